"""Pictures for a page: colours stay what they are, and a picture is never wider than asked for."""

import io

import numpy as np
import pytest
from PIL import Image

from ecg_advmask.report.figures import compact


def stored(pixels, most_width=1000):
    """The picture as it is stored: its mode, size and pixels."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    with Image.open(io.BytesIO(compact(buffer.getvalue(), most_width, 150))) as opened:
        return opened.mode, opened.size, np.asarray(opened.convert("RGB"), int)


def test_few_colours_are_kept_exactly():
    ramp = np.repeat(np.arange(0, 256, 2, dtype=np.uint8)[None, :, None], 40, axis=0).repeat(3, axis=2)
    mode, _, pixels = stored(ramp)
    assert mode == "P" and (pixels == ramp).all()


def test_areas_keep_their_colour_and_edges_nearly():
    rng = np.random.default_rng(0)
    picture = np.full((200, 200, 3), [222, 221, 223], np.uint8)
    picture[50:150] = [12, 130, 77]
    shades = np.linspace([222, 221, 223], [12, 130, 77], 5000)  # of a smooth edge
    picture[:50, :100] = shades.astype(np.uint8).reshape(50, 100, 3) + rng.integers(0, 8, (50, 100, 3), np.uint8)
    mode, _, pixels = stored(picture)
    assert mode == "P"
    assert np.abs(pixels[50:] - picture[50:]).max() <= 4  # areas
    assert 0 < np.abs(pixels - picture).max() <= 24


def test_picture_with_more_colours_than_a_palette_holds_has_none():
    noise = np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    mode, _, pixels = stored(noise)
    assert mode == "RGB" and (pixels == noise).all()


def test_wide_picture_is_made_smaller_in_proportion():
    assert stored(np.zeros((300, 2100, 3), np.uint8), 1050)[1] == (1050, 150)
    assert stored(np.zeros((300, 700, 3), np.uint8), 1050)[1] == (700, 300)


def test_bytes_that_are_no_picture_are_an_error():
    with pytest.raises(OSError, match="cannot identify"):
        compact(b"no picture", 10, 150)
