"""Pictures for a page: not wider than needed, and with a palette of 256 colours, at a third of the size."""

import io
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

_COMMON: Final = 128
_COLOURS: Final = 256
_MOST_SHIFT: Final = 24
"""A palette that moves any channel of any pixel by more (of 255) is not used."""


def compact(image: bytes, most_width: int, dots_per_inch: int) -> bytes:
    """A picture as a PNG of at most that width, with a palette if no colour moves visibly.

    Raises:
        OSError, ValueError: the bytes are no picture.
    """
    with Image.open(io.BytesIO(image)) as opened:
        picture = opened.convert("RGB")
    if picture.width > most_width:
        height = round(picture.height * most_width / picture.width)
        picture = picture.resize((most_width, height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    _with_palette(picture).save(buffer, format="PNG", optimize=True, dpi=(dots_per_inch, dots_per_inch))
    return buffer.getvalue()


def _with_palette(picture: Image.Image) -> Image.Image:
    """The commonest colours exactly, since areas show a shift most; then those farthest from any chosen one."""
    pixels = np.asarray(picture, np.int32)
    codes = pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2]
    found, place, counts = np.unique(codes, return_inverse=True, return_counts=True)
    colours = np.stack([found >> 16, found >> 8 & 255, found & 255], axis=1).astype(np.int16)
    chosen = np.argsort(-counts, kind="stable")[:_COMMON].tolist()
    distances = np.full(len(colours), 256, np.int16)
    nearest = np.zeros(len(colours), np.uint8)

    def include(number: int) -> None:
        to_it = np.abs(colours - colours[chosen[number]]).max(axis=1)
        closer = to_it < distances
        distances[closer], nearest[closer] = to_it[closer], number

    for number in range(len(chosen)):
        include(number)
    while len(chosen) < _COLOURS and distances.max() > 0:
        chosen.append(int(distances.argmax()))
        include(len(chosen) - 1)
    if distances.max() > _MOST_SHIFT:
        return picture
    indexed = Image.fromarray(nearest[place].reshape(codes.shape))
    indexed.putpalette(_palette(colours[chosen]))
    return indexed


def _palette(colours: npt.NDArray[Any]) -> bytes:
    return colours.astype(np.uint8).tobytes()
