"""Recordings in HDF5 files (``.h5``, ``.hdf5``) and in MATLAB's of version 7.3, which are HDF5 as well.

The arrays of `ecg_advmask.ecg.arrays` are data sets of the file's first group; what is beside the signals may be
attributes of the file or of the signals as well. A file of groups has a recording in each, under the group's name; what
stands above them holds for all. Samples are read recording by recording. Data that lie in other files
(external or virtual) are refused. The package h5py is imported when a file is opened.
"""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ecg_advmask.ecg.arrays import MOST_NAMES, ArrayFile, Given, array_named_signals, described, is_beside, kind_of
from ecg_advmask.ecg.recording import Recording, UnreadableRecordingError, check_samples, one_line
from ecg_advmask.errors import printable, some_of

_MOST_ITEMS: Final = 1000
_PATHS_SHOWN: Final = 5
_MOST_IDS: Final = 10_000_000
_OF_EACH: Final = {"ids", "patient", "age", "sex"}
_MATLAB_CLASS: Final = "MATLAB_class"


@dataclass
class Hdf5File(ArrayFile):
    """An HDF5 file with recordings; `ArrayFile` says what it holds."""

    _name: str = ""
    _reversed: bool = field(default=False)
    """The axes lie in reverse, as MATLAB writes them."""

    def _values(self, number: int) -> npt.NDArray[Any]:
        with _file(self.path) as file:
            data = file[self._name]
            values = data[()] if data.ndim == 2 else data[..., number] if self._reversed else data[number]
        return np.asarray(values.T if self._reversed else values)


@dataclass
class Hdf5Groups:
    """An HDF5 file with one recording in each of its groups, which are looked into when they are read."""

    path: str
    given: Given
    _names: list[str]

    def __len__(self) -> int:
        return len(self._names)

    def stated_id(self, number: int) -> str:
        """The name of a group; empty if there is only one."""
        return self._names[number] if len(self) > 1 else ""

    def read(self, number: int) -> Recording:
        """The recording of a group, by its place.

        Raises:
            UnreadableRecordingError: the group does not hold one recording, or the file is damaged or gone.
        """
        name = self._names[number]
        with _file(self.path) as file, _errors(self.path):
            described = _described(self.path, file[name], self.given, above=file)
        if len(described) > 1:
            raise UnreadableRecordingError(
                self.path, f"group {name[:80]} holds {len(described)} recordings, save each group as a file of its own"
            )
        recording = described.read(0)
        return replace(recording, record_id=self.stated_id(number) or recording.record_id)


def open_hdf5(path: str | os.PathLike[str], given: Given) -> Hdf5File | Hdf5Groups:
    """Read everything but the samples.

    Raises:
        UnreadableRecordingError: h5py is not installed, or the file is missing, damaged, or does not hold these arrays
            in these shapes.
    """
    with _file(path) as file, _errors(path):
        groups = _groups(path, file)
        return Hdf5Groups(os.fspath(path), given, groups) if groups else _described(path, file, given)


@contextmanager
def _errors(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except UnreadableRecordingError:
        raise
    except Exception as error:  # h5py raises errors of many kinds on damaged files
        raise UnreadableRecordingError(path, f"cannot be read as HDF5 ({one_line(error)})") from error


@contextmanager
def _file(path: str | os.PathLike[str]) -> Iterator[Any]:
    try:
        import h5py
    except ImportError as error:
        raise UnreadableRecordingError(path, "HDF5 files need h5py: pip install 'ecg-advmask[hdf5]'") from error
    try:
        file = h5py.File(path, "r")
    except Exception as error:
        raise UnreadableRecordingError(path, f"cannot be read as HDF5 ({one_line(error)})") from error
    with file:
        yield file


def _local(group: Any, kind: Any) -> list[str]:
    """Names of the items of a kind that lie in a group itself; links are not followed."""
    import h5py

    names = [name for name in group if isinstance(group.get(name, getlink=True), h5py.HardLink)]
    return [name for name in names if group.get(name, getclass=True) is kind]


def _groups(path: str | os.PathLike[str], file: Any) -> list[str]:
    """Names of the groups of a file that has its recordings in groups; none if it has signals above them.

    Raises:
        UnreadableRecordingError: there are neither signals nor groups of them.
    """
    import h5py

    if any(file[name].ndim > 1 for name in _local(file, h5py.Dataset)):
        return []
    groups = [name for name in _local(file, h5py.Group) if not name.startswith("#")]  # MATLAB's own
    if groups and not any(file[groups[0]][name].ndim > 1 for name in _local(file[groups[0]], h5py.Dataset)):
        found: list[str] = []

        def collect(name: str, item: Any) -> bool | None:
            found.extend([name] if isinstance(item, h5py.Dataset) else [])
            return len(found) > _PATHS_SHOWN or None  # else it is called for the others, too

        file.visititems(collect)
        raise UnreadableRecordingError(
            path,
            f"has its arrays deeper in groups ({printable(some_of(sorted(found)))[:200]}), save the signals as "
            "/signals, or as /ID/signals for each recording",
        )
    return groups


def _described(path: str | os.PathLike[str], file: Any, given: Given, above: Any = None) -> Hdf5File:
    """What a file, or a group within the file ``above``, holds."""
    import h5py

    if len(file) > _MOST_ITEMS:
        raise UnreadableRecordingError(path, f"holds {len(file)} items, of at most {_MOST_ITEMS}")
    arrays = {name: file[name] for name in _local(file, h5py.Dataset)}
    name = array_named_signals({name: array.shape for name, array in arrays.items()}, path)
    signals = arrays.pop(name)
    if signals.is_virtual or signals.external:
        raise UnreadableRecordingError(path, f"{name} lies in other files, copy it into one")
    if signals.dtype.kind not in "fiu" or signals.ndim not in {2, 3}:
        raise UnreadableRecordingError(
            path,
            f"{name} have shape {signals.shape} and type {signals.dtype}, expected numbers (N, T, 12) or (T, 12)",
        )
    if 0 in signals.shape:
        raise UnreadableRecordingError(path, f"holds no samples ({name} have shape {signals.shape})")
    is_reversed = _MATLAB_CLASS in signals.attrs
    shape = signals.shape[::-1] if is_reversed else signals.shape
    check_samples(math.prod(shape[-2:]), path)
    others: dict[str, list[str]] = {}
    stated = [*signals.attrs.items(), *file.attrs.items()]
    if above is not None:
        shared = [*above.attrs.items(), *((other, above[other]) for other in _local(above, h5py.Dataset))]
        stated += [(other, value) for other, value in shared if kind_of(other) not in _OF_EACH]
    for other, value in [*stated, *arrays.items()]:
        if is_beside(other, math.prod(getattr(value, "shape", ()) or ()), _is_text(value)):
            values = _texts(path, file, other, value)
            if others.setdefault(other, values) != values:
                raise UnreadableRecordingError(path, f"states {other} twice, and not alike")
    fields = described(path, shape, others, given, whole_numbers=signals.dtype.kind in "iu")
    return Hdf5File(os.fspath(path), **fields, _name=signals.name, _reversed=is_reversed)


def _is_text(value: Any) -> bool:
    """Whether an array or attribute holds text, or references to it as MATLAB's cells do."""
    dtype = getattr(value, "dtype", None)
    if dtype is None:
        return isinstance(value, str | bytes | list)
    is_char = hasattr(value, "attrs") and value.attrs.get(_MATLAB_CLASS) in (b"char", "char")
    return is_char or dtype.kind in "SUO"


def _texts(path: str | os.PathLike[str], file: Any, name: str, value: Any) -> list[str]:
    """Values of a small array or attribute as text."""
    import h5py

    most = _MOST_IDS if kind_of(name) in {"ids", "patient", "age", "sex", "rate"} else MOST_NAMES
    dims = tuple(getattr(value, "shape", ()) or ())
    is_char = isinstance(value, h5py.Dataset) and value.attrs.get(_MATLAB_CLASS) in (b"char", "char")
    if math.prod(dims) > (MOST_NAMES * most if is_char else most):
        raise UnreadableRecordingError(path, f"{name} have shape {dims}, expected at most {most} values")
    if isinstance(value, h5py.Dataset):
        if value.is_virtual or value.external:
            raise UnreadableRecordingError(path, f"{name} lies in other files, copy it into one")
        if is_char:
            return _characters(value)
        cells = value[()]
    else:
        cells = value
    return [
        text
        for cell in np.asarray(cells, dtype=object).ravel("F")
        for text in (_characters(file[cell]) if isinstance(cell, h5py.Reference) and cell else [_text(cell)])
    ]


def _characters(value: Any) -> list[str]:
    """MATLAB's matrix of characters, whose rows are the columns here."""
    codes = np.atleast_2d(np.asarray(value[()]).T)
    if codes.dtype.kind not in "ui" or codes.size > MOST_NAMES * MOST_NAMES:
        raise ValueError("names are no text")
    return ["".join(map(chr, row)).strip() for row in codes]


def _text(cell: Any) -> str:
    return (cell.decode() if isinstance(cell, bytes) else str(cell)).strip()


def is_hdf5(head: bytes) -> bool:
    """Whether a file that starts so is HDF5, at its start or, as MATLAB writes it, behind 512 bytes."""
    return head.startswith(b"\x89HDF\r\n\x1a\n") or head[512:520] == b"\x89HDF\r\n\x1a\n"
