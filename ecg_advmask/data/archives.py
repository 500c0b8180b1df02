"""The archive layouts that `prepare` knows, by name: how to list the recordings of each and how to read one."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ecg_advmask.data import chapman, cinc2021
from ecg_advmask.ecg.npz import NumpyFile, opened
from ecg_advmask.ecg.recording import Recording, UnreadableRecordingError, read_csv
from ecg_advmask.ecg.sources import Entry, Found, SourceOptions, walk
from ecg_advmask.ecg.wfdb import read_wfdb
from ecg_advmask.errors import InputError

# ---- A user's own recordings: any folder of WFDB records, of CSV files, or of NumPy archives.
#
# The id of a recording is its path within the folder without the suffix, such as ``2019/a17``. In a NumPy archive it is
# the one that the archive states in ``ids``, else that path, with the place in an archive of several
# (``cohort-00012``). Each recording is a patient of its own until a label table says otherwise.


def list_wfdb(folder: Path, options: SourceOptions) -> Iterator[Entry]:  # noqa: ARG001 (all layouts are called alike)
    """One entry per WFDB header (``.hea``) in a folder and below.

    Raises:
        InputError: the folder is missing, cannot be listed or holds no header.
    """
    return _one_per_file(folder, ".hea", "WFDB headers")


def list_csv(folder: Path, options: SourceOptions) -> Iterator[Entry]:
    """One entry per CSV file in a folder and below.

    Raises:
        InputError: as `list_wfdb`; or no sampling rate was given, which CSV files do not state.
    """
    if options.sampling_rate_hz is None:
        raise InputError(f"{folder}: CSV files do not state their sampling rate, give it (--source-rate HZ)")
    return _one_per_file(folder, ".csv", "CSV files")


def list_numpy(folder: Path, options: SourceOptions) -> Iterator[Entry]:
    """One entry per recording in the ``.npz`` and ``.npy`` files of a folder and below, read from their headers alone.

    A file whose header is of no use gives one entry with the reason.

    Raises:
        InputError: as `list_wfdb`.
    """
    source, empty = _source(folder), True
    for found in walk(folder, (".npz", ".npy")):
        empty = False
        try:
            if found.refusal:
                raise UnreadableRecordingError(found.path, found.refusal)
            file = NumpyFile.open(found.path, options.sampling_rate_hz, options.unit)
        except UnreadableRecordingError as error:
            yield _entry(found, source, error.reason)
            continue
        for number in range(len(file)):
            own_id = file.stated_id(number)
            record_id = own_id or (found.stem if len(file) == 1 else f"{found.stem}-{number:05d}")
            refusal = "" if record_id.isprintable() else "ids: its id holds characters that cannot be printed"
            yield replace(
                _entry(found, source, refusal),
                record_id=record_id if not refusal else ascii(record_id),
                patient=f"{source}/{record_id}" if not refusal else "",
                number=number,
            )
    if empty:
        raise InputError(f"{folder}: holds no NumPy files (*.npz, *.npy)")


def read(entry: Entry, options: SourceOptions) -> Recording:
    """The recording of an entry.

    Raises:
        UnreadableRecordingError: its file is missing or damaged, or does not say what it must.
    """
    suffix = Path(entry.file).suffix.lower()
    if suffix == ".hea":
        recording = read_wfdb(entry.file)
    elif suffix == ".csv":
        if options.sampling_rate_hz is None:
            raise UnreadableRecordingError(entry.file, "a CSV file does not state its sampling rate, give it")
        recording = read_csv(entry.file, options.sampling_rate_hz, options.unit)
    else:
        recording = opened(entry.file, options.sampling_rate_hz, options.unit).read(entry.number or 0)
    return replace(
        recording,
        record_id=entry.record_id,
        source=entry.source,
        patient=entry.patient,
        age_years=recording.age_years if entry.age_years is None else entry.age_years,
        sex=entry.sex or recording.sex,
        codes=entry.codes or recording.codes,
        file=entry.name,
    )


def _one_per_file(folder: Path, suffix: str, meaning: str) -> Iterator[Entry]:
    source, empty = _source(folder), True
    for found in walk(folder, (suffix,)):
        empty = False
        yield _entry(found, source, found.refusal)
    if empty:
        raise InputError(f"{folder}: holds no {meaning} (*{suffix})")


def _entry(found: Found, source: str, refusal: str) -> Entry:
    return Entry(found.stem, found.path, found.name, source, patient=f"{source}/{found.stem}", refusal=refusal)


def _source(folder: Path) -> str:
    """Name of the folder, as the name of the source."""
    name = Path(os.path.realpath(folder)).name  # unlike Path.resolve, silent on a link that leads back to itself
    return name if name.isprintable() else ascii(name)


@dataclass(frozen=True)
class Layout:
    """``list_entries`` gives every recording in a folder, in any order, ids possibly repeated; ``read`` reads one."""

    meaning: str
    list_entries: Callable[[Path, SourceOptions], Iterator[Entry]]
    read: Callable[[Entry, SourceOptions], Recording]


LAYOUTS: Final[Mapping[str, Layout]] = {
    "cinc2021": Layout("PhysioNet/CinC 2020 and 2021, a folder per source", cinc2021.list_entries, cinc2021.read),
    "chapman": Layout("Chapman-Shaoxing, from figshare or PhysioNet", chapman.list_entries, chapman.read),
    "wfdb": Layout("any folder of WFDB records", list_wfdb, read),
    "csv": Layout("a folder of CSV files, one per recording", list_csv, read),
    "npz": Layout("NumPy archives (.npz, .npy) of many recordings", list_numpy, read),
}
