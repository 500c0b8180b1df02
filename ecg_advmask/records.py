"""Recordings in a file or folder: found in order, read from any of the formats, refused with a reason.

This is the door for code that needs recordings: the readers (`ecg_advmask.formats`, `ecg_advmask.wfdb_format`) and what
is done to the samples (`ecg_advmask.signals`, `ecg_advmask.windows`) are importable from here. No TensorFlow.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ecg_advmask.errors import InputError
from ecg_advmask.formats import Recording, UnreadableRecordingError, read_csv
from ecg_advmask.numpy_format import read_numpy
from ecg_advmask.signals import microvolts, resample, signal_hash
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
    "walk_recordings",
]

SUFFIXES: Final = (".hea", ".csv", ".npz", ".npy")
"""Files that `find_recordings` looks for."""


@dataclass(frozen=True)
class Refused:
    """A recording that was found and cannot be used, and why."""

    record_id: str
    file: str
    reason: str


def find_recordings(source: str | os.PathLike[str], suffixes: Iterable[str] = SUFFIXES) -> list[Path]:
    """Files with one of ``suffixes`` in a folder and all folders below, sorted; or ``source`` itself if it is a file.

    Links to folders are not followed; they are listed, so that reading them tells why they were left out.

    Raises:
        InputError: ``source`` does not exist, or a folder cannot be listed, or there is no such file.
    """
    path, wanted = Path(source), tuple(suffixes)
    if path.is_dir():
        paths = sorted(walk_recordings(path, wanted))
        if not paths:
            raise InputError(f"{path}: holds no recordings (files {', '.join('*' + suffix for suffix in wanted)})")
        return paths
    header = path.with_name(path.name + ".hea")  # a WFDB record may be named without its suffix
    found = next((file for file in (path, header) if file.is_file()), None)
    if found is None:
        raise InputError(f"{path}: does not exist, give a file or folder with recordings")
    return [found]


def walk_recordings(folder: str | os.PathLike[str], suffixes: Iterable[str] = SUFFIXES) -> Iterator[Path]:
    """Files with one of ``suffixes`` in a folder and all folders below, one by one as the file system gives them.

    Only the folders still to be visited are kept in memory, never the files. Links to folders are not followed; they
    are yielded, so that whoever lists them can tell why they were left out (`check_link`).

    Raises:
        InputError: a folder does not exist or cannot be listed.
    """
    wanted = tuple(suffixes)
    waiting = [os.fspath(folder)]
    while waiting:
        current = waiting.pop()
        try:
            with os.scandir(current) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif entry.name.lower().endswith(wanted) or _is_link_to_folder(entry):
                        yield Path(entry.path)
        except OSError as error:
            raise InputError(f"{error.filename or current}: cannot be listed ({error.strerror})") from error


def read_recordings(
    source: str | os.PathLike[str], *, sampling_rate_hz: float | None = None, unit: str = "mV"
) -> Iterator[Recording | Refused]:
    """Every recording in a file or folder, in the order of the paths; what cannot be read comes as `Refused`.

    ``sampling_rate_hz`` and ``unit`` are for files that do not state them (CSV and plain NumPy). Ids are file names
    without their suffix; a name that occurs more than once gives way to the path within ``source``.

    Raises:
        InputError: ``source`` does not exist or holds no recordings.
    """
    paths = find_recordings(source)
    folder = Path(source) if Path(source).is_dir() else Path(source).parent
    times_seen = Counter(path.stem for path in paths)
    for path in paths:
        unique = times_seen[path.stem] == 1
        record_id = path.stem if unique else path.relative_to(folder).with_suffix("").as_posix()
        try:
            check_link(path, folder)
            for recording in _read(path, sampling_rate_hz, unit):
                yield recording if unique else _renamed(recording, path.stem, record_id)
        except UnreadableRecordingError as error:
            yield Refused(record_id, os.fspath(path), error.reason)


def check_link(path: Path, folder: Path) -> None:
    """Refuse a path that `walk_recordings` found in ``folder``, if it is a link to a folder or leads out of ``folder``.

    Raises:
        UnreadableRecordingError: it is such a link.
    """
    if not path.is_symlink():  # the walk follows no links, so this lies where it seems to
        return
    if path.is_dir():
        raise UnreadableRecordingError(
            path, "is a link to a folder and was not followed, give its target as the source"
        )
    if not path.resolve().is_relative_to(folder.resolve()):
        raise UnreadableRecordingError(path, "is a link that leads out of the folder and was not followed")


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


def _is_link_to_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_symlink() and entry.is_dir()
    except OSError:  # a link that leads back to itself
        return False


def _renamed(recording: Recording, stem: str, record_id: str) -> Recording:
    suffix = recording.record_id.removeprefix(stem) if recording.record_id.startswith(stem) else recording.record_id
    return replace(recording, record_id=f"{record_id}{suffix}")
