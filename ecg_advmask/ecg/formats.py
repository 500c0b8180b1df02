"""The files that hold recordings: one table of suffixes and readers, for every command that reads recordings.

A new format is a row of `FORMATS`: `prepare`, `embed` and all others then find and read its files.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from ecg_advmask.ecg import arrays
from ecg_advmask.ecg.csv import Content, content_of, read_csv
from ecg_advmask.ecg.leads import AS_NAMED, LeadNames
from ecg_advmask.ecg.recording import RATES_HZ, Recording, UnreadableRecordingError
from ecg_advmask.ecg.units import millivolts
from ecg_advmask.ecg.wfdb import read_wfdb
from ecg_advmask.ecg.wfdb_header import parts_of
from ecg_advmask.errors import InputError


@dataclass(frozen=True)
class SourceOptions:
    """What the user says about all recordings of a source.

    Attributes:
        include_chapman: take the Chapman-Shaoxing part of CinC 2021 in.
        sampling_rate_hz, unit: those of files that do not state their own (text, plain NumPy arrays and others). A unit
            may be a scale (``1e-4V``).
        leads: names for nameless columns, or leads for the names that files have.
        rebuild_leads: limb leads that a file lacks are computed where they follow from others; else it is refused.
        follow_links: read what links lead to, wherever that is; else links out of the source's folder are refused.

    Raises:
        InputError: the rate or the unit cannot be.
    """

    include_chapman: bool = False
    sampling_rate_hz: float | None = None
    unit: str = "mV"
    rebuild_leads: bool = True
    follow_links: bool = False
    leads: LeadNames = AS_NAMED

    def __post_init__(self) -> None:
        if millivolts(self.unit) is None:
            raise InputError(f"--source-unit {self.unit}: is no voltage, give mV, uV or V, or one scaled as in 1e-4V")
        rate, (least, most) = self.sampling_rate_hz, RATES_HZ
        if rate is not None and not least <= rate <= most:
            raise InputError(f"--source-rate {rate:g}: must be from {least:g} to {most:g} Hz")


class Container(Protocol):
    """An opened file of several recordings; its length is their number."""

    def __len__(self) -> int: ...

    def stated_id(self, number: int) -> str:
        """The id that the file gives to a recording; empty if it gives none."""

    def read(self, number: int) -> Recording:
        """One recording, by its place."""


@dataclass(frozen=True)
class Format:
    """How the files of a suffix are read.

    Either ``read`` is set (a file is one recording) or ``opened`` (a file holds several); both raise
    `UnreadableRecordingError`. ``layout`` is the name for folders of such files (``prepare --format``), ``meaning``
    what they are called in sentences. ``needs_rate``: the files never state their sampling rate. ``part_of``: suffixes
    of files that such a file belongs to, if one with the same stem lies beside it; then it is no recording of its own.
    ``parts`` gives the names of files beside such a file that belong to it, and are no recordings of their own either;
    its second argument is `SourceOptions.follow_links`. ``content`` says what such a file seems to hold (`Content`).
    """

    layout: str
    meaning: str
    read: Callable[[str, SourceOptions], Recording] | None = None
    opened: Callable[[str, SourceOptions], Container] | None = None
    needs_rate: bool = False
    part_of: tuple[str, ...] = ()
    parts: Callable[[str, bool], list[str]] | None = None
    content: Callable[[str], Content] | None = None


def _read_wfdb(path: str, options: SourceOptions) -> Recording:
    return read_wfdb(path, leads=options.leads, rebuild_leads=options.rebuild_leads, follow_links=options.follow_links)


def _parts_of_wfdb(path: str, follow_links: bool) -> list[str]:
    return parts_of(path, follow_links=follow_links)


def _read_csv(path: str, options: SourceOptions) -> Recording:
    return read_csv(path, options.sampling_rate_hz, options.unit, options.leads, rebuild_leads=options.rebuild_leads)


def _opened(path: str, options: SourceOptions) -> Container:
    return arrays.opened(path, options.sampling_rate_hz, options.unit, options.rebuild_leads, options.leads)


def _read_hospital(path: str, options: SourceOptions) -> Recording:
    from ecg_advmask.ecg.hospital import read_hospital

    return read_hospital(path, rebuild_leads=options.rebuild_leads)


_HOSPITAL: Final = Format("hospital", "files of hospital ECG systems", read=_read_hospital)
_TEXT: Final = Format("csv", "CSV files", read=_read_csv, needs_rate=True, content=content_of)
_NUMPY: Final = Format("npz", "NumPy files", opened=_opened)
_HDF5: Final = Format("hdf5", "HDF5 files", opened=_opened)

FORMATS: Final[dict[str, Format]] = {
    ".hea": Format("wfdb", "WFDB headers", read=_read_wfdb, parts=_parts_of_wfdb),
    **dict.fromkeys((".csv", ".csv.gz"), _TEXT),
    # Beside a header lie notes, and the samples in MATLAB's version 4.
    **dict.fromkeys((".tsv", ".txt", ".tsv.gz", ".txt.gz"), replace(_TEXT, part_of=(".hea",))),
    ".npz": _NUMPY,
    ".npy": _NUMPY,
    ".dcm": _HOSPITAL,
    ".edf": _HOSPITAL,
    ".scp": _HOSPITAL,
    ".xml": _HOSPITAL,
    ".mat": Format("mat", "MATLAB files", opened=_opened, part_of=(".hea",)),
    ".h5": _HDF5,
    ".hdf5": _HDF5,
}
"""Format by suffix, in lower case; of a file whose name ends in several (``.csv.gz``), the longest counts."""


def suffix_of(name: str) -> str:
    """The suffix in `FORMATS` that a file's name ends in, in lower case; empty if there is none."""
    lower = name.lower()
    last = lower.rfind(".")
    for start in (lower.rfind(".", 0, max(last, 0)), last):
        if start >= 0 and lower[start:] in FORMATS:
            return lower[start:]
    return ""


def suffixes_of(layout: str) -> tuple[str, ...]:
    """Suffixes of the files of a layout."""
    return tuple(suffix for suffix, one in FORMATS.items() if one.layout == layout)


def stem_of(name: str) -> str:
    """A file's name, or its path, without its suffix; of names such as ``.hea`` nothing is removed."""
    folder, slash, file = name.rpartition("/")
    known = suffix_of(file)
    stem = file[: -len(known)] if known else os.path.splitext(file)[0]  # noqa: PTH122 (a Path for each of a million files takes long)
    return f"{folder}{slash}{stem or file}"


def read_file(path: str, options: SourceOptions = SourceOptions(), number: int | None = None) -> Recording:
    """The recording in a file; of a file that holds several, the one at the place ``number`` (default: the first).

    Raises:
        UnreadableRecordingError: the file is missing, damaged, of no known format, or does not say what it must.
    """
    suffix = suffix_of(path)
    if not suffix:
        raise UnreadableRecordingError(path, f"is none of {', '.join(f'*{one}' for one in FORMATS)}")
    one = FORMATS[suffix]
    if one.opened is not None:
        return one.opened(path, options).read(number or 0)
    assert one.read is not None
    return one.read(path, options)
