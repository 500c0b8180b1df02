"""Huffman codes of SCP-ECG (EN 1064, section 2), decoded and, with the default table, encoded.

A code is a prefix that no other begins with, and possibly a number of further bits, which is added as a signed number
to the base value of the code. A table may hold codes that switch to another table. Bits come most significant first.
"""

import functools
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from ecg_advmask.ecg.hospital.waveform import Counts, RefusedError

_LONGEST_BITS: Final = 16
_MOST_TABLES: Final = 16


class HuffmanCode(NamedTuple):
    """One code: the bits of its prefix as text, how many bits follow, its base value, and the table to switch to."""

    prefix: str
    further_bits: int
    value: int
    switch_to: int | None = None


Table = list[HuffmanCode | None]
"""The code that each of all 16 bits begin with."""

DEFAULT_CODES: Final = (
    HuffmanCode("0", 0, 0),
    *(HuffmanCode("1" * size + "0" + sign, 0, -size if sign == "1" else size) for size in range(1, 9) for sign in "01"),
    HuffmanCode("1111111110", 8, 0),
    HuffmanCode("1111111111", 16, 0),
)
"""The default table, which section 2 names by the number 19999: up to 8 by their size, others in 8 or 16 bits."""


@functools.cache
def default_tables() -> list[Table]:
    """The one table of `DEFAULT_CODES`."""
    return [_table(DEFAULT_CODES)]


def parse_tables(section: bytes) -> list[Table]:
    """Tables from the body of section 2.

    Raises:
        RefusedError: a table has codes of more than 16 bits, or one that begins another.
        struct.error: the section is cut short.
    """
    count, start, tables = struct.unpack_from("<H", section)[0], 2, []
    if not 0 < count <= _MOST_TABLES:
        raise RefusedError(f"holds {count} Huffman tables, of at most {_MOST_TABLES}")
    for _ in range(count):
        size = struct.unpack_from("<H", section, start)[0]
        start += 2
        codes = []
        for _ in range(size):
            bits, all_bits, keeps_table, value, stored = struct.unpack_from("<BBBhI", section, start)
            start += 9
            if not 0 < bits <= _LONGEST_BITS or not 0 <= all_bits - bits <= _LONGEST_BITS:
                raise RefusedError("holds a Huffman table with codes of more than 16 bits")
            if not keeps_table and not 1 <= value <= count:
                raise RefusedError("holds a Huffman table that switches to one that is not there")
            # The first bit of a prefix is stored as the least significant one.
            prefix = f"{stored & (1 << bits) - 1:0{bits}b}"[::-1]
            codes.append(HuffmanCode(prefix, all_bits - bits, value, None if keeps_table else value - 1))
        tables.append(_table(codes))
    return tables


def decode_huffman(content: bytes, count: int, tables: Sequence[Table]) -> Counts:
    """The first ``count`` numbers, ``(count,)``.

    Raises:
        RefusedError: the bits end before, or are no code.
    """
    if count > 8 * len(content):  # a code has a bit at least
        raise RefusedError("holds a lead that is cut short")
    bits = np.concatenate([np.unpackbits(np.frombuffer(content, np.uint8)), np.zeros(_LONGEST_BITS, np.uint8)])
    ahead = np.zeros(8 * len(content) + 1, np.int64)  # the next 16 bits from each bit on
    for bit in range(_LONGEST_BITS):
        ahead |= bits[bit : bit + len(ahead)].astype(np.int64) << (_LONGEST_BITS - 1 - bit)
    windows, end = ahead.tolist(), 8 * len(content)
    numbers: list[int] = []
    table, position = tables[0], 0
    while len(numbers) < count:
        code = table[windows[position]] if position < end else None
        if code is None:
            raise RefusedError("holds a lead that is cut short or no Huffman code")
        position += len(code.prefix)
        if code.switch_to is not None:
            table = tables[code.switch_to]
            continue
        value = code.value
        if code.further_bits and position < end:
            further = windows[position] >> (_LONGEST_BITS - code.further_bits)
            value += further - (further >> (code.further_bits - 1) << code.further_bits)
        position += code.further_bits
        if position > end:
            raise RefusedError("holds a lead that is cut short")
        numbers.append(value)
    return np.array(numbers, np.int64)


def encode_huffman(numbers: Counts) -> bytes:
    """Numbers of 16 bits in the codes of the default table, filled up with zeros to a byte."""
    prefixes = {code.value: code.prefix for code in DEFAULT_CODES if not code.further_bits}
    short, long = (code.prefix for code in DEFAULT_CODES[-2:])
    words = []
    for number in numbers.tolist():
        further = f"{short}{number & 0xFF:08b}" if -128 <= number < 128 else f"{long}{number & 0xFFFF:016b}"
        words.append(prefixes.get(number, further))
    text = "".join(words)
    text += "0" * (-len(text) % 8)
    return int(text or "0", 2).to_bytes(len(text) // 8, "big")


def _table(codes: Sequence[HuffmanCode]) -> Table:
    table: Table = [None] * (1 << _LONGEST_BITS)
    for code in codes:
        free = _LONGEST_BITS - len(code.prefix)
        first = int(code.prefix, 2) << free
        if any(table[first : first + (1 << free)]):
            raise RefusedError("holds a Huffman table with a code that begins another")
        table[first : first + (1 << free)] = [code] * (1 << free)
    return table
