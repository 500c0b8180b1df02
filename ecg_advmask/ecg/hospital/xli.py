"""XLI, the compression of samples in Philips Sierra XML, decoded and encoded.

Each channel is a block: its size in bytes (4 bytes, little-endian), 1 (2 bytes), the first second difference (2 bytes,
signed), then Lempel-Ziv-Welch codes of 10 bits, most significant bit first, up to the code 1023 (Welch 1984, IEEE
Computer 17(6):8-19; the table is not cleared when it is full). They give the high bytes of all samples, then all low
bytes. The first two 16-bit numbers are samples; from the third on, sample k is

    x[k] = 2 x[k-1] - x[k-2] - e[k],   e[2] is in the header, e[k+1] = number[k] - 64,

so that the last number carries no information. Philips did not publish this; the source is sierra-ecg-tools (C. A.
Watford).
"""

import struct
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from ecg_advmask.ecg.hospital.waveform import Counts, RefusedError

_HEADER: Final = struct.Struct("<iHh")
_CODE_BITS: Final = 10
_END: Final = 1023
_SHIFT: Final = 64
_MOST_CHANNELS: Final = 32
_MOST_SAMPLES: Final = 1_000_000
"""Of a channel; a code of 10 bits can stand for hundreds of bytes."""


def decode_xli(content: bytes, samples: int) -> list[Counts]:
    """All channels, each ``(samples,)``.

    Raises:
        RefusedError: a block is cut short, holds another number of samples, or is damaged.
    """
    if not 3 <= samples <= _MOST_SAMPLES:
        raise RefusedError(f"states {samples} samples per lead, expected 3 to {_MOST_SAMPLES}")
    channels: list[Counts] = []
    start = 0
    while start < len(content):
        if len(channels) == _MOST_CHANNELS:
            raise RefusedError(f"holds more than {_MOST_CHANNELS} channels")
        if start + _HEADER.size > len(content):
            raise RefusedError("holds compressed samples that are cut short")
        size, one, first = _HEADER.unpack_from(content, start)
        start += _HEADER.size
        if one != 1 or not 0 < size <= len(content) - start:
            raise RefusedError("holds compressed samples that are cut short or damaged")
        channels.append(_undo_differences(_decode_codes(content[start : start + size], 2 * samples), first))
        start += size
    return channels


def encode_xli(channels: Sequence[npt.NDArray[np.integer]]) -> bytes:
    """Blocks of all channels, each ``(T,)`` with at least three samples of 16 bits."""
    blocks = []
    for channel in channels:
        values = channel.astype(np.int64)
        second = 2 * values[1:-1] - values[:-2] - values[2:]
        numbers = np.concatenate([values[:2], second[1:] + _SHIFT, [_SHIFT]]).astype(">i2")
        high_then_low = numbers.view(np.uint8).reshape(-1, 2).T.tobytes()
        codes = _encode_codes(high_then_low)
        blocks.append(_HEADER.pack(len(codes), 1, int(second[0])) + codes)
    return b"".join(blocks)


def _undo_differences(unpacked: bytes, first: int) -> Counts:
    """Samples from the bytes of one channel."""
    numbers = np.frombuffer(unpacked, np.uint8).reshape(2, -1).T.copy().view(">i2").ravel().astype(np.int64)
    values = numbers.copy()
    steps = np.concatenate([[numbers[1] - numbers[0]], -np.concatenate([[first], numbers[2:-1] - _SHIFT])])
    values[1:] = numbers[0] + np.cumsum(np.cumsum(steps))
    if np.abs(values).max() > 2**15:
        raise RefusedError("holds compressed samples beyond 16 bits, it is damaged")
    return values


def _decode_codes(block: bytes, expected: int) -> bytes:
    """``expected`` bytes from Lempel-Ziv-Welch codes."""
    words = [bytes([byte]) for byte in range(256)]
    unpacked, length, previous = [], 0, b""
    reservoir = bits = 0
    remaining = iter(block)
    while True:
        while bits < _CODE_BITS:
            byte = next(remaining, None)
            if byte is None:
                raise RefusedError("holds compressed samples without an end, it is cut short or damaged")
            reservoir, bits = (reservoir << 8 | byte) & 0xFFFFFF, bits + 8
        bits -= _CODE_BITS
        code = reservoir >> bits & _END
        if code == _END:
            break
        if code < len(words):
            word = words[code]
        elif code == len(words) and previous:
            word = previous + previous[:1]
        else:
            raise RefusedError("holds compressed samples with a code that cannot be, it is damaged")
        if previous and len(words) < _END:
            words.append(previous + word[:1])
        previous = word
        unpacked.append(word)
        length += len(word)
        if length > expected:
            break
    if length != expected:
        raise RefusedError(f"holds another number of compressed samples than the {expected // 2} that it states")
    return b"".join(unpacked)


def _encode_codes(content: bytes) -> bytes:
    longer_codes: dict[tuple[int, int], int] = {}  # by the code of a word and the byte that follows it
    codes, code = [], content[0]
    for byte in content[1:]:
        longer = longer_codes.get((code, byte))
        if longer is not None:
            code = longer
            continue
        codes.append(code)
        if len(longer_codes) < _END - 256:
            longer_codes[code, byte] = 256 + len(longer_codes)
        code = byte
    codes += [code, _END]
    bits = np.array(codes)[:, None] >> np.arange(_CODE_BITS - 1, -1, -1) & 1
    return np.packbits(bits.astype(np.uint8).ravel()).tobytes()
