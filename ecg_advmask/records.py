"""Recordings in a file or folder: found in order, read from any of the formats, refused with a reason.

This is the door for code that needs recordings: the readers (`ecg_advmask.formats`, `ecg_advmask.wfdb_format`) and what
is done to the samples (`ecg_advmask.signals`, `ecg_advmask.windows`) are importable from here. No TensorFlow.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ecg_advmask.errors import InputError
from ecg_advmask.formats import Recording, UnreadableRecordingError, read_csv
from ecg_advmask.numpy_format import read_numpy
from ecg_advmask.signals import microvolts, resample, signal_hash
from ecg_advmask.walking import Found, walk
from ecg_advmask.wfdb_format import read_wfdb
from ecg_advmask.windows import Cut, Window, Windowing, cut

__all__ = [
    "Cut",
    "Recording",
    "Refused",
    "UnreadableRecordingError",
    "Window",
    "Windowing",
    "cut",
    "find_recordings",
    "microvolts",
    "read_csv",
    "read_numpy",
    "read_recordings",
    "read_wfdb",
    "resample",
    "signal_hash",
]

SUFFIXES: Final = (".hea", ".csv", ".npz", ".npy")
"""Files that `find_recordings` looks for."""


@dataclass(frozen=True)
class Refused:
    """A recording that was found and cannot be used, and why."""

    record_id: str
    file: str
    reason: str


def find_recordings(source: str | os.PathLike[str]) -> list[Path]:
    """Files of recordings in a folder and all folders below, sorted; or ``source`` itself if it is a file.

    Links to folders are not followed; they are listed, so that reading them tells why they were left out.

    Raises:
        InputError: ``source`` does not exist, or a folder cannot be listed, or there is no such file.
    """
    return [Path(found.path) for found in _find(Path(source))]


def read_recordings(
    source: str | os.PathLike[str], *, sampling_rate_hz: float | None = None, unit: str = "mV"
) -> Iterator[Recording | Refused]:
    """Every recording in a file or folder, in the order of the paths; what cannot be read comes as `Refused`.

    ``sampling_rate_hz`` and ``unit`` are for files that do not state them (CSV and plain NumPy). Ids are file names
    without their suffix; a name that occurs more than once gives way to the path within ``source``.

    Raises:
        InputError: ``source`` does not exist or holds no recordings.
    """
    found_files = _find(Path(source))
    times_seen = Counter(Path(found.path).stem for found in found_files)
    for found in found_files:
        path = Path(found.path)
        unique = times_seen[path.stem] == 1
        record_id = found.stem.rpartition("/")[2] if unique else found.stem
        if found.refusal:
            yield Refused(record_id, found.path, found.refusal)
            continue
        try:
            for recording in _read(path, sampling_rate_hz, unit):
                yield recording if unique else _renamed(recording, path.stem, record_id)
        except UnreadableRecordingError as error:
            yield Refused(record_id, found.path, error.reason)


def _find(source: Path) -> list[Found]:
    if source.is_dir():
        if files := sorted(walk(source, SUFFIXES), key=lambda found: Path(found.path)):
            return files
        raise InputError(f"{source}: holds no recordings (files {', '.join('*' + suffix for suffix in SUFFIXES)})")
    header = source.with_name(source.name + ".hea")  # a WFDB record may be named without its suffix
    for file in (source, header):
        if file.is_file():
            return [Found(os.fspath(file), file.name)]
    raise InputError(f"{source}: does not exist, give a file or folder with recordings")


def _read(path: Path, sampling_rate_hz: float | None, unit: str) -> Iterator[Recording]:
    suffix = path.suffix.lower()
    if suffix == ".hea":
        yield read_wfdb(path)
    elif suffix == ".csv":
        if sampling_rate_hz is None:
            raise UnreadableRecordingError(path, "a CSV file does not state its sampling rate, give it")
        yield read_csv(path, sampling_rate_hz, unit)
    elif suffix in {".npz", ".npy"}:
        yield from read_numpy(path, sampling_rate_hz, unit)
    else:
        raise UnreadableRecordingError(path, f"is none of {', '.join(SUFFIXES)}")


def _renamed(recording: Recording, stem: str, record_id: str) -> Recording:
    suffix = recording.record_id.removeprefix(stem) if recording.record_id.startswith(stem) else recording.record_id
    return replace(recording, record_id=f"{record_id}{suffix}")
