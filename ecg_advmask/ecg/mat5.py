"""The arrays in MATLAB files of version 5 to 7, whose elements are checked before they are used.

The form is MathWorks' "MAT-File Format". Each element states its type and its bytes, and an array its class and its
dimensions, which must agree; a packed element is unpacked once, up to the bytes that it states. Numbers keep the type
in which they are stored: MATLAB stores whole numbers of class double in few bytes.
"""

import math
import struct
import zlib
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_MATRIX, _COMPRESSED, _UTF8 = 14, 15, 16
_FLAGS, _SIZES, _NAMES = (6,), (5, 6), (1, 16)
"""Types of the elements that describe an array; the second ones are those of other programs than MATLAB."""

_NUMBERS: Final = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
_CHARACTERS: Final = {1: "u1", 2: "u1", 4: "u2", 17: "u2", 18: "u4"}
_CELL, _STRUCT, _CHAR, _OPAQUE = 1, 2, 4, 17
_OF_NUMBERS: Final = range(6, 16)
_CLASSES: Final = range(1, 17)
"""Those not named here are of no use: objects, sparse matrices, functions. `_OPAQUE` is beyond them in form as well."""
_IS_COMPLEX: Final = 0x800

_MOST_CELLS: Final = 1_000_000
_MOST_DIMENSIONS: Final = 32
_DEEPEST: Final = 8


def read_mat5(data: bytes, most_bytes: int) -> dict[str, Array | dict[str, Array]]:
    """The variables of a file by name.

    Args:
        data: the file.
        most_bytes: that packed elements may unpack to, all together.

    Returns:
        Numbers of the shape stated, one text for each row of characters, arrays of type object for cells, and a
        dictionary of fields for a structure. What is none of these is an empty array of type object.

    Raises:
        ValueError, struct.error, zlib.error: the file is damaged, or unpacks to more.
    """
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None:
        raise ValueError("its header does not state the order of bytes")
    reader, variables = _Reader(order), dict[str, Array | dict[str, Array]]()
    whole, place = memoryview(data), 128
    while place < len(whole):
        kind, content, place = reader.element(whole, place)
        if kind == _COMPRESSED:
            kind, content = reader.unpacked(content, most_bytes)
            most_bytes -= len(content)
        if kind != _MATRIX:
            raise ValueError(f"it has an element of type {kind}, expected a matrix")
        name, value = reader.matrix(content)
        if name in variables:
            raise ValueError(f"it has the variable {name[:40]!r} twice")
        variables[name] = value
    return {name: value for name, value in variables.items() if name and not name.startswith("__")}


@dataclass(frozen=True)
class _Reader:
    """Elements of a file with this order of bytes (``<`` or ``>``)."""

    order: str

    def element(self, data: memoryview, place: int) -> tuple[int, memoryview, int]:
        """Type and content of the element at a place, and the place of the next."""
        kind, count = struct.unpack_from(f"{self.order}2I", data, place)
        if kind >> 16:  # up to four bytes stand in the tag itself
            kind, count, start, after = kind & 0xFFFF, kind >> 16, place + 4, place + 8
        else:
            start = place + 8
            after = start + count + (0 if kind == _COMPRESSED else -count % 8)
        if start + count > min(len(data), after):
            raise ValueError(f"an element states {count} bytes, more than there are")
        return kind, data[start : start + count], after

    def unpacked(self, packed: memoryview, most_bytes: int) -> tuple[int, memoryview]:
        """Type and content of a packed element."""
        unpacker = zlib.decompressobj()
        kind, count = struct.unpack(f"{self.order}2I", unpacker.decompress(packed, 8))
        if kind != _MATRIX or count > most_bytes:
            raise ValueError(f"it packs an element of type {kind} and {count} bytes, of at most {most_bytes}")
        content = unpacker.decompress(unpacker.unconsumed_tail, count) if count else b""
        if len(content) != count:
            raise ValueError(f"a packed element holds {len(content)} of {count} bytes")
        if not unpacker.eof and (unpacker.decompress(unpacker.unconsumed_tail, 1) or not unpacker.eof):
            raise ValueError("a packed element does not end where it states")  # at its end the checksum is compared
        return kind, memoryview(content)

    def matrix(self, content: memoryview, depth: int = 0) -> tuple[str, Array | dict[str, Array]]:
        """Name and value of an array."""
        if not content:
            return "", np.empty((0, 0))
        flags, place = self._values(content, 0, _FLAGS)
        if len(flags) != 2 or depth > _DEEPEST:
            raise ValueError("the flags of an array are damaged, or arrays lie too deep within others")
        array_class = int(flags[0]) & 0xFF
        if array_class == _OPAQUE:
            return bytes(self._values(content, place, _NAMES)[0]).decode("latin-1"), np.empty(0, object)
        dims, place = self._values(content, place, _SIZES)
        letters, place = self._values(content, place, _NAMES)
        name, shape = bytes(letters).decode("latin-1"), tuple(dims.tolist())
        if not 2 <= len(shape) <= _MOST_DIMENSIONS or min(shape) < 0 or array_class not in _CLASSES:
            raise ValueError(f"an array has class {array_class} and the dimensions {shape[:_MOST_DIMENSIONS]}")
        if array_class in _OF_NUMBERS:
            value, place = self._numbers(content, place, shape)
            if int(flags[0]) & _IS_COMPLEX:
                value = value + 1j * self._numbers(content, place, shape)[0]
            return name, value
        if array_class == _STRUCT and math.prod(shape) == 1:
            return name, self._fields(content, place, depth)
        if array_class == _CHAR:
            return name, self._rows(content, place, shape)
        return name, self._cells(content, place, shape if array_class == _CELL else (0,), depth)

    def _values(self, data: memoryview, place: int, expected: tuple[int, ...]) -> tuple[Array, int]:
        kind, content, place = self.element(data, place)
        if kind not in expected:
            raise ValueError(f"an array has an element of type {kind}, expected {expected[0]}")
        return np.frombuffer(content, self.order + _NUMBERS.get(kind, "u1")), place

    def _numbers(self, data: memoryview, place: int, shape: tuple[int, ...]) -> tuple[Array, int]:
        kind, content, place = self.element(data, place)
        if kind not in _NUMBERS:
            raise ValueError(f"numbers have the type {kind}, which there is not")
        values = np.frombuffer(content, self.order + _NUMBERS[kind])
        _check_count(len(values), shape)
        return values.reshape(shape, order="F"), place

    def _rows(self, data: memoryview, place: int, shape: tuple[int, ...]) -> Array:
        """One text for each row of a matrix of characters."""
        if 0 in shape:  # may have no element of characters
            return np.empty(0, np.str_)
        kind, content, _ = self.element(data, place)
        if kind == _UTF8:
            codes = np.array([ord(letter) for letter in bytes(content).decode("utf-8")], np.uint32)
        elif kind in _CHARACTERS:
            codes = np.frombuffer(content, self.order + _CHARACTERS[kind])
        else:
            raise ValueError(f"characters have the type {kind}, which there is not")
        _check_count(len(codes), shape)
        rows = codes.reshape((shape[0], -1), order="F")
        return np.array(["".join(map(chr, row.tolist())) for row in rows], np.str_)

    def _cells(self, data: memoryview, place: int, shape: tuple[int, ...], depth: int) -> Array:
        count = math.prod(shape)
        if count > min(_MOST_CELLS, len(data) // 8):
            raise ValueError(f"there are {count} cells in {len(data)} bytes, of at most {_MOST_CELLS}")
        cells = np.empty(count, object)
        for number in range(count):
            cells[number], place = self._within(data, place, depth)
        return cells.reshape(shape, order="F")

    def _fields(self, data: memoryview, place: int, depth: int) -> dict[str, Array]:
        """The fields of one structure by name."""
        (length, *_), place = self._values(data, place, _SIZES)
        letters, place = self._values(data, place, _NAMES)
        if length < 1 or len(letters) % length:
            raise ValueError("the names of a structure's fields are damaged")
        names = [bytes(row).split(b"\0")[0].decode("latin-1") for row in letters.reshape(-1, int(length))]
        if len(set(names)) != len(names):
            raise ValueError("a structure has two fields of one name")
        fields = {}
        for name in names:
            fields[name], place = self._within(data, place, depth)
        return fields

    def _within(self, data: memoryview, place: int, depth: int) -> tuple[Array, int]:
        """An array in a cell or a field; structures there are not read."""
        kind, content, place = self.element(data, place)
        if kind != _MATRIX:
            raise ValueError(f"a cell or field has the type {kind}, expected a matrix")
        _, value = self.matrix(content, depth + 1)
        return (np.empty(0, object) if isinstance(value, dict) else value), place


def _check_count(found: int, shape: tuple[int, ...]) -> None:
    if found != math.prod(shape):
        raise ValueError(f"an array of the dimensions {shape} holds {found} values")
