"""Recordings in MATLAB files (``.mat``): version 4 by SciPy, 5 to 7 by `ecg_advmask.ecg.mat5`; version 7.3 is HDF5.

The arrays of `ecg_advmask.ecg.arrays` are variables of the file, or fields of its only structure (``ECG.data`` with
``ECG.sex`` and ``ECG.age``, as CPSC 2018 was published).
"""

import io
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ecg_advmask.ecg.arrays import MOST_NAMES, ArrayFile, Given, array_named_signals, described, is_beside, kind_of
from ecg_advmask.ecg.hdf5 import Hdf5File, Hdf5Groups, is_hdf5, open_hdf5
from ecg_advmask.ecg.mat5 import read_mat5
from ecg_advmask.ecg.recording import (
    MOST_SAMPLES,
    UnreadableRecordingError,
    check_samples,
    one_line,
)

_LARGEST_BYTES: Final = 8 * MOST_SAMPLES
"""Of a file, and of what its packed variables unpack to: they are in memory all at once."""


@dataclass
class MatFile(ArrayFile):
    """A MATLAB file of version 4 to 7, in memory as a whole; `ArrayFile` says what it holds."""

    _signals: npt.NDArray[Any] = field(default_factory=lambda: np.empty((0, 0)), repr=False)

    def _values(self, number: int) -> npt.NDArray[Any]:
        return self._signals[number] if self._signals.ndim == 3 else self._signals


def open_mat(path: str | os.PathLike[str], given: Given) -> MatFile | Hdf5File | Hdf5Groups:
    """Read a file; one of version 7.3 without its samples.

    Raises:
        UnreadableRecordingError: the file is missing, damaged, or does not hold these arrays in these shapes.
    """
    try:
        with Path(path).open("rb") as stream:
            if (size := os.fstat(stream.fileno()).st_size) > _LARGEST_BYTES:
                raise UnreadableRecordingError(path, f"has {size} bytes, of at most {_LARGEST_BYTES}, cut it first")
            head = stream.read(520)
            if not is_hdf5(head):
                stream.seek(0)
                return _described(path, _variables(path, stream.read()), given)
    except UnreadableRecordingError:
        raise
    except Exception as error:  # damage shows in errors of many kinds
        raise UnreadableRecordingError(path, f"cannot be read as a MATLAB file ({one_line(error)})") from error
    return open_hdf5(path, given)


def _variables(path: str | os.PathLike[str], data: bytes) -> dict[str, npt.NDArray[Any]]:
    """Variables by name; the fields of the only structure where there are no signals beside it."""
    variables: Mapping[str, npt.NDArray[Any] | dict[str, npt.NDArray[Any]]]
    if 0 in data[:4]:
        from scipy.io import loadmat

        loaded = loadmat(io.BytesIO(data))  # type: ignore[arg-type]  # it takes streams as well
        variables = {name: np.asarray(value) for name, value in loaded.items() if not name.startswith("__")}
    else:
        variables = read_mat5(data, _LARGEST_BYTES)
    structures = [value for value in variables.values() if isinstance(value, dict)]
    if len(structures) == 1 and not _has_signals(variables):
        (variables,) = structures
    if not variables:
        raise UnreadableRecordingError(path, "holds no variables")
    return {name: np.empty(0, object) if isinstance(value, dict) else value for name, value in variables.items()}


def _has_signals(variables: Mapping[str, npt.NDArray[Any] | dict[str, npt.NDArray[Any]]]) -> bool:
    return any(
        kind_of(name) == "signals" and getattr(value, "dtype", np.dtype("O")).kind in "fiu"
        for name, value in variables.items()
    )


def _described(path: str | os.PathLike[str], variables: dict[str, npt.NDArray[Any]], given: Given) -> MatFile:
    name = array_named_signals({name: array.shape for name, array in variables.items()}, path)
    signals = variables.pop(name)
    if signals.dtype.kind not in "fiu" or signals.ndim not in {2, 3}:
        raise UnreadableRecordingError(
            path,
            f"{name} have shape {signals.shape} and type {signals.dtype}, expected numbers (N, T, 12) or (T, 12)",
        )
    if 0 in signals.shape:
        raise UnreadableRecordingError(path, f"holds no samples ({name} have shape {signals.shape})")
    check_samples(math.prod(signals.shape[-2:]), path)
    others = {
        other: _texts(path, other, value)
        for other, value in variables.items()
        if is_beside(other, value.size, value.dtype.kind in "UO")
    }
    fields = described(path, signals.shape, others, given, whole_numbers=signals.dtype.kind in "iu")
    return MatFile(os.fspath(path), **fields, _signals=signals)


def _texts(path: str | os.PathLike[str], name: str, value: Any) -> list[str]:
    """Values of a small variable as text: numbers, rows of characters, or the texts in cells."""
    array = np.asarray(value)
    of_recordings = kind_of(name) in {"ids", "patient", "age", "sex", "rate"}
    most = array.size if of_recordings else MOST_NAMES
    if array.size > max(most, MOST_NAMES) and array.dtype.kind != "U":
        raise UnreadableRecordingError(path, f"{name} have shape {array.shape}, expected at most {MOST_NAMES} values")
    cells = array.ravel("F")
    if array.dtype.kind == "O":
        cells = np.array([text for cell in cells for text in np.asarray(cell).ravel("F")], dtype=object)
    return [_text(cell) for cell in cells]


def _text(cell: Any) -> str:
    number = isinstance(cell, np.floating | float) and float(cell).is_integer()
    return str(int(cell)) if number else str(cell).strip()
