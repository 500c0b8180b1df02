"""What every archive layout tells `prepare` before a signal is read: one entry per recording."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ecg_advmask.ecg.npz import opened, read_numpy
from ecg_advmask.ecg.recording import Recording, Sex, UnreadableRecordingError, one_line, read_csv
from ecg_advmask.ecg.signals import microvolts, resample, signal_hash
from ecg_advmask.ecg.wfdb import read_wfdb
from ecg_advmask.ecg.windows import Cut, Window, Windowing, cut
from ecg_advmask.errors import InputError, printable


@dataclass(frozen=True)
class SourceOptions:
    """What the user says about an archive as a whole.

    ``include_chapman``: take the Chapman-Shaoxing part of CinC 2021 in. ``sampling_rate_hz`` and ``unit`` are those of
    files that do not state their own (CSV and plain NumPy arrays).
    """

    include_chapman: bool = False
    sampling_rate_hz: float | None = None
    unit: str = "mV"


@dataclass(frozen=True, slots=True)
class Entry:
    """A recording of an archive, not yet read.

    ``file`` is where it is and ``name`` the same within the archive; ``number`` is its place in a file that holds
    several. ``refusal`` says why it is left out although it is there; empty if it is to be read. Age, sex and codes are
    those that a table beside the signals gives, and go before those in the signal files. ``labels`` are further columns
    of such a table, name and value.
    """

    record_id: str
    file: str
    name: str
    source: str
    patient: str
    refusal: str = ""
    age_years: float | None = None
    sex: Sex = ""
    codes: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    number: int | None = None


# ---- Walking a folder for the files of recordings, one at a time, so that any number of them takes little memory.


@dataclass(frozen=True, slots=True)
class Found:
    """A file; ``name`` is its path within the folder, and ``refusal`` why it must not be read (empty if it may)."""

    path: str
    name: str
    refusal: str = ""

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        folder, slash, file = self.name.rpartition("/")
        stem, dot, _ = file.rpartition(".")
        return f"{folder}{slash}{stem if dot and stem else file}"


def walk(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Found]:
    """Files below a folder that end in one of ``suffixes`` (lower case), in any order.

    Links to folders are never followed. They are given with a refusal, as are links that lead out of the folder or
    nowhere, files that are no regular ones (opening a pipe would wait for ever), and names that cannot be printed.

    Raises:
        InputError: ``folder`` is no folder, or a folder in it cannot be listed.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: is not a folder, give the one that holds the recordings")
    root = folder.resolve()
    waiting = [(os.fspath(folder), "")]
    while waiting:
        place, within = waiting.pop()
        try:
            with os.scandir(place) as items:
                for item in items:
                    name = f"{within}{item.name}"
                    if item.is_dir(follow_symlinks=False):
                        waiting.append((item.path, f"{name}/"))
                    elif item.name.lower().endswith(suffixes) or _is_link_to_folder(item):
                        yield Found(item.path, printable(name), _refusal(item, name, root))
        except OSError as error:
            raise InputError(f"{printable(place)}: cannot be listed ({error.strerror}), make it readable") from error


def _refusal(item: "os.DirEntry[str]", name: str, root: Path) -> str:
    if name != printable(name):
        return "its name cannot be printed, rename it"
    if item.is_symlink():
        try:
            target = Path(item.path).resolve(strict=True)
        except (OSError, RuntimeError):  # a link to nothing, or to itself
            return "is a link that leads nowhere"
        if target.is_dir():
            return "is a link to a folder and was not followed, give its target as the source"
        if not target.is_relative_to(root):
            return "is a link that leads out of the folder and was not followed, give its target as the source"
    return "" if item.is_file() else "is not a regular file"


def _is_link_to_folder(item: "os.DirEntry[str]") -> bool:
    try:
        return item.is_symlink() and item.is_dir()
    except OSError:  # a link that leads back to itself
        return False


# ---- Recordings in a file or folder: found in order, read from any of the formats, refused with a reason.
#
# This is the door for code that needs recordings: the readers (`ecg_advmask.ecg.recording`, `ecg_advmask.ecg.wfdb`) and
# what is done to the samples (`ecg_advmask.ecg.signals`, `ecg_advmask.ecg.windows`) are importable from here. No
# TensorFlow.

__all__ = [
    "Cut",
    "Listed",
    "Reading",
    "Recording",
    "Refused",
    "UnreadableRecordingError",
    "Window",
    "Windowing",
    "cut",
    "find_recordings",
    "list_recordings",
    "microvolts",
    "read_csv",
    "read_listed",
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


@dataclass(frozen=True)
class Reading:
    """How files are read: rate and unit of those that do not state them (CSV and plain NumPy).

    With ``rebuild_leads`` a file may lack limb leads that follow from the others (`ecg_advmask.ecg.leads.LeadColumns`).
    """

    sampling_rate_hz: float | None = None
    unit: str = "mV"
    rebuild_leads: bool = False


@dataclass(frozen=True, slots=True)
class Listed:
    """A recording that was found and is not yet read.

    ``number`` is its place in a NumPy file, None in others; ``refusal`` says why it is not to be read, empty if it is.
    """

    record_id: str
    file: str
    number: int | None = None
    refusal: str = ""


def find_recordings(source: str | os.PathLike[str]) -> list[Path]:
    """Files of recordings in a folder and all folders below, sorted; or ``source`` itself if it is a file.

    Links to folders are not followed; they are listed, so that reading them tells why they were left out.

    Raises:
        InputError: ``source`` does not exist, or a folder cannot be listed, or there is no such file.
    """
    return [Path(found.path) for found in _find(Path(source))]


def list_recordings(sources: Iterable[str | os.PathLike[str]], reading: Reading = Reading()) -> Iterator[Listed]:
    """Every recording of the files and folders, without its samples, source by source in the order of the paths.

    Ids are file names without their suffix, or what a NumPy file states. Within a source, a file name that occurs more
    than once gives way to the path; an id that came before gets the path of its folder in front, and is refused if it
    is still not new.

    Raises:
        InputError: a source does not exist or holds no recordings.
    """
    taken: set[str] = set()
    for source in sources:
        for listed in _listed(Path(source), reading):
            record_id = listed.record_id
            if record_id in taken:
                record_id = f"{Path(listed.file).parent.as_posix()}/{record_id}"
            refusal = listed.refusal
            if not record_id.isprintable():
                record_id, refusal = printable(record_id), refusal or "its id cannot be printed, change it"
            elif record_id in taken:
                refusal = refusal or "a recording with this id came before, give it another"
            taken.add(record_id)
            yield Listed(record_id, listed.file, listed.number, refusal)


def read_listed(listed: Listed, reading: Reading = Reading()) -> Recording | Refused:
    """Read one recording; whatever is wrong with it comes as `Refused`."""
    try:
        if listed.refusal:
            raise UnreadableRecordingError(listed.file, listed.refusal)
        recording = _read(listed, reading)
    except UnreadableRecordingError as error:
        return Refused(listed.record_id, listed.file, error.reason)
    except ImportError:  # this is about the installation, not about the recording
        raise
    except Exception as error:  # one recording must not end the work on a hundred thousand
        reason = f"unexpected: {type(error).__name__} ({one_line(error)}), please report it"
        return Refused(listed.record_id, listed.file, printable(reason))
    return recording if recording.record_id == listed.record_id else replace(recording, record_id=listed.record_id)


def read_recordings(
    source: str | os.PathLike[str],
    *,
    sampling_rate_hz: float | None = None,
    unit: str = "mV",
    rebuild_leads: bool = False,
) -> Iterator[Recording | Refused]:
    """Every recording in a file or folder, in the order of the paths; what cannot be read comes as `Refused`.

    ``sampling_rate_hz`` and ``unit`` are for files that do not state them (CSV and plain NumPy), ``rebuild_leads`` is
    that of `Reading`; ids are those of `list_recordings`.

    Raises:
        InputError: ``source`` does not exist or holds no recordings.
    """
    reading = Reading(sampling_rate_hz, unit, rebuild_leads)
    return (read_listed(listed, reading) for listed in list_recordings([source], reading))


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


def _listed(source: Path, reading: Reading) -> Iterator[Listed]:
    """The recordings of one source, with ids that may repeat."""
    found_files = _find(source)
    times_seen = Counter(_stem(found.path) for found in found_files)
    for found in found_files:
        stem = _stem(found.path)
        unique = times_seen[stem] == 1
        file_id = found.stem.rpartition("/")[2] if unique else found.stem
        if found.refusal or not found.path.lower().endswith((".npz", ".npy")):
            yield Listed(file_id, found.path, refusal=found.refusal)
            continue
        try:
            file = opened(found.path, reading.sampling_rate_hz, reading.unit, reading.rebuild_leads)
        except UnreadableRecordingError as error:
            yield Listed(file_id, found.path, refusal=error.reason)
            continue
        for number in range(len(file)):
            own_id = file.id_of(number)
            yield Listed(own_id if unique else _within(file_id, stem, own_id), found.path, number)


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]  # noqa: PTH119, PTH122 (a Path for each of a million files takes long)


def _within(file_id: str, stem: str, own_id: str) -> str:
    """The id of a recording in a file whose name another file has too."""
    return f"{file_id}{own_id.removeprefix(stem) if own_id.startswith(stem) else own_id}"


def _read(listed: Listed, reading: Reading) -> Recording:
    path, rate, rebuild = listed.file, reading.sampling_rate_hz, reading.rebuild_leads
    if listed.number is not None:
        return opened(path, rate, reading.unit, rebuild).read(listed.number)
    suffix = Path(path).suffix.lower()
    if suffix == ".hea":
        return read_wfdb(path, rebuild_leads=rebuild)
    if suffix != ".csv":
        raise UnreadableRecordingError(path, f"is none of {', '.join(SUFFIXES)}")
    if rate is None:
        raise UnreadableRecordingError(path, "a CSV file does not state its sampling rate, give it")
    return read_csv(path, rate, reading.unit, rebuild_leads=rebuild)
