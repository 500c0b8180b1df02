"""Files of arrays: the signals of one or of many recordings, and beside them their rate, leads, unit and ids.

What the arrays mean is decided here, once for NumPy, MATLAB and HDF5 files, by their names. Each kind of file lists its
arrays and reads the samples of one recording at a time.
"""

import functools
import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ecg_advmask.ecg.leads import LeadColumns, LeadNames
from ecg_advmask.ecg.recording import (
    Recording,
    UnreadableRecordingError,
    assumed_unit,
    column_factors,
    lead_columns,
    one_line,
    positive_rate,
)

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "signals": ("signals", "signal", "ecg", "ecgs", "tracings", "p_signal", "val", "data", "x"),
    "rate": ("sampling_rate_hz", "sampling_rate", "sampling_frequency", "sample_rate", "fs", "sfreq"),
    "leads": ("leads", "lead_names", "sig_name", "channels", "channel_names", "ch_names"),
    "unit": ("unit", "units"),
    "ids": ("ids", "id", "exam_id", "exam_ids", "record_id", "record_ids"),
}
"""What arrays are called, in any case. Of several names the first goes; rates of any name must agree."""

MOST_NAMES: Final = 100
"""Leads that are believed."""


@dataclass(frozen=True)
class Given:
    """What the caller says of files that do not state it: rate in Hz, unit, names of columns; and what may lack."""

    sampling_rate_hz: float | None
    unit: str
    leads: LeadNames
    rebuild_leads: bool


def array_named(kind: str, names: Collection[str], path: str | os.PathLike[str]) -> str | None:
    """The name of the array of this kind among those of a file, None if there is none.

    Raises:
        UnreadableRecordingError: there are no signals, or several arrays that may be them.
    """
    by_lower = {name.lower(): name for name in sorted(names, reverse=True)}
    found = [by_lower[name] for name in NAMES[kind] if name in by_lower]
    if kind == "signals":
        shown = ", ".join(sorted(names))[:100] or "none"
        if not found:
            raise UnreadableRecordingError(path, f"has no array named signals (it has: {shown})")
        if len(found) > 1 and found[0].lower() != "signals":
            raise UnreadableRecordingError(
                path, f"has several arrays that may be the signals ({', '.join(found)}), name one of them signals"
            )
    return found[0] if found else None


@dataclass
class ArrayFile(ABC):
    """An opened file of arrays; its length is the number of recordings.

    It holds ``signals``, (N, T, leads) or (T, leads), and ``sampling_rate_hz``; it may hold ``leads`` (names of the
    columns; default: the twelve in standard order), ``ids`` (N,) and ``unit``, one or one for each column. `NAMES` has
    the other names of these arrays. What the file states overrides what the caller says.
    """

    path: str
    sampling_rate_hz: float
    _recordings: int
    _factors: float | tuple[float, ...]
    _leads: LeadColumns
    _ids: list[str] | None
    _assumed_unit: str

    def __len__(self) -> int:
        return self._recordings

    def stated_id(self, number: int) -> str:
        """The id that the file gives to a recording; empty if it gives none."""
        return "" if self._ids is None else self._ids[number]

    def id_of(self, number: int) -> str:
        """The id of a recording: the one stated, or one made of the file's name."""
        stem = Path(self.path).stem
        return self.stated_id(number) or (stem if len(self) == 1 else f"{stem}-{number:05d}")

    def read(self, number: int) -> Recording:
        """One recording, by its place.

        Raises:
            UnreadableRecordingError: the file is damaged or gone, or there is no room to unpack it.
        """
        try:
            values = self._values(number)[:, list(self._leads.columns)]
        except UnreadableRecordingError:
            raise
        except Exception as error:  # damage shows in errors of many kinds
            raise UnreadableRecordingError(self.path, f"cannot be read ({one_line(error)})") from error
        with np.errstate(over="ignore", invalid="ignore"):  # what does not fit becomes infinite and is refused as such
            signals_mv = (values * np.asarray(self._factors, np.float64)).astype(np.float32)
        return Recording(
            self.id_of(number),
            self._leads.to_twelve_leads(signals_mv),
            self.sampling_rate_hz,
            file=self.path,
            rebuilt=self._leads.rebuilt,
            assumed_unit=self._assumed_unit,
        )

    @abstractmethod
    def _values(self, number: int) -> npt.NDArray[Any]:
        """The samples of one recording as the file has them, (T, columns)."""


def described(
    path: str | os.PathLike[str], shape: Sequence[int], others: Mapping[str, Sequence[str]], given: Given
) -> dict[str, Any]:
    """The fields of an `ArrayFile` but for its path, from the shape of its signals and the arrays beside them.

    Args:
        path: the file, for complaints.
        shape: of the signals, (N, T, columns) or (T, columns).
        others: by name, the values of arrays that are not the signals.
        given: what the caller says.

    Raises:
        UnreadableRecordingError: the arrays do not fit together, lack a lead or the rate, or contradict each other.
    """
    recordings = shape[0] if len(shape) == 3 else 1
    names = _of("leads", others) or list(given.leads.of_nameless())
    if len(names) != shape[-1]:
        swapped = "; put time before the leads" if shape[-2] == len(names) else ""
        raise UnreadableRecordingError(
            path, f"signals have {shape[-1]} leads in the last axis, expected {len(names)}{swapped}"
        )
    ids = _of("ids", others)
    if ids is not None and len(ids) != recordings:
        raise UnreadableRecordingError(path, f"has {len(ids)} ids for {recordings} recordings")
    if ids is not None and not all(ids):
        raise UnreadableRecordingError(path, "has an empty id in ids, give every recording one")
    found = lead_columns(names, path, rebuild=given.rebuild_leads, leads=given.leads)
    units = list(_of("unit", others) or [])
    if len(units) not in {0, 1, len(names)}:
        raise UnreadableRecordingError(path, f"has {len(units)} units for {len(names)} leads")
    if len(units) == len(names):
        units = [units[column] for column in found.columns]
    return {
        "sampling_rate_hz": _rate(path, others, given),
        "_recordings": recordings,
        "_factors": column_factors(found, units, given.unit, path),
        "_leads": found,
        "_ids": None if ids is None else list(ids),
        "_assumed_unit": assumed_unit(found, units, given.unit),
    }


def _of(kind: str, others: Mapping[str, Sequence[str]]) -> Sequence[str] | None:
    by_lower = {name.lower(): values for name, values in others.items()}
    return next((by_lower[name] for name in NAMES[kind] if name in by_lower), None)


def _rate(path: str | os.PathLike[str], others: Mapping[str, Sequence[str]], given: Given) -> float:
    rates = {}
    for name, values in others.items():
        if name.lower() in NAMES["rate"]:
            if len(set(values)) != 1:
                raise UnreadableRecordingError(path, f"{name} holds {len(values)} values, expected one")
            rates[name] = positive_rate(values[0], path)
    if len(set(rates.values())) > 1:
        stated = ", ".join(f"{name} {rate:g}" for name, rate in sorted(rates.items()))
        raise UnreadableRecordingError(path, f"states several sampling rates ({stated}), leave the right one")
    return next(iter(rates.values())) if rates else positive_rate(given.sampling_rate_hz, path)


def leads_first(
    shape: Sequence[int], others: Mapping[str, Sequence[str]], given: Given, path: str | os.PathLike[str]
) -> bool:
    """Whether the signals of one recording lie as (leads, T), as MATLAB users store them; two axes alike are refused.

    Raises:
        UnreadableRecordingError: both axes are as long as there are leads.
    """
    leads = len(_of("leads", others) or given.leads.of_nameless())
    if len(shape) != 2 or leads not in shape:
        return False
    if shape[0] == shape[1]:
        raise UnreadableRecordingError(path, f"signals have shape {tuple(shape)}, the axis of time is not clear")
    return shape[0] == leads


def opened(
    path: str, sampling_rate_hz: float | None, unit: str, rebuild_leads: bool = False, leads: LeadNames | None = None
) -> ArrayFile:
    """A file that recordings are read from one by one: it is opened again only when it has changed, or after others.

    Raises:
        UnreadableRecordingError: the file is missing, damaged, or does not hold the arrays of an `ArrayFile`.
    """
    try:
        stamp = os.stat(path)  # noqa: PTH116 (a string, as the cache takes it)
    except OSError as error:
        raise UnreadableRecordingError(path, f"cannot be read ({error.strerror})") from error
    given = Given(sampling_rate_hz, unit, leads or LeadNames(), rebuild_leads)
    return _opened(path, given, stamp.st_mtime_ns, stamp.st_size)


OPEN_FILES: Final = 64
"""Files that `opened` holds open at once in a process; their samples stay on disk."""

SUFFIXES: Final = (".npz", ".npy", ".mat", ".h5", ".hdf5")
"""Endings of the files that `opened` is for, in lower case."""


@functools.lru_cache(maxsize=OPEN_FILES)
def _opened(path: str, given: Given, *_stamp: int) -> ArrayFile:
    suffix = Path(path).suffix.lower()
    if suffix == ".mat":
        from ecg_advmask.ecg.mat import open_mat

        return open_mat(path, given)
    if suffix in {".h5", ".hdf5"}:
        from ecg_advmask.ecg.hdf5 import open_hdf5

        return open_hdf5(path, given)
    from ecg_advmask.ecg.npz import NumpyFile

    return NumpyFile.open(path, given.sampling_rate_hz, given.unit, given.rebuild_leads, given.leads)
