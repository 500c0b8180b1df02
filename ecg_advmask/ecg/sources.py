"""The interface to recordings: a source lists what it contains, one `Entry` each, and reads one by its entry.

`FileSource` is any files and folders, in order, as `embed` takes them; the layouts of archives, as `prepare` takes
them, are sources too (`ecg_advmask.data.archives.open_source`). What a file of a suffix holds is known to
`ecg_advmask.ecg.formats` alone. No TensorFlow here.

The readers, and what is done to the samples (`ecg_advmask.ecg.signals`, `ecg_advmask.ecg.windows`), are importable from
here.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from ecg_advmask.ecg.csv import read_csv
from ecg_advmask.ecg.formats import FORMATS, SourceOptions, read_file, suffix_of
from ecg_advmask.ecg.leads import AS_NAMED, LeadNames
from ecg_advmask.ecg.npz import read_numpy
from ecg_advmask.ecg.recording import Recording, Sex, UnreadableRecordingError, one_line
from ecg_advmask.ecg.signals import microvolts, resample, signal_hash
from ecg_advmask.ecg.walking import Found, Ignored, walk
from ecg_advmask.ecg.wfdb import read_wfdb
from ecg_advmask.ecg.windows import Cut, Window, Windowing, cut
from ecg_advmask.errors import InputError, printable

__all__ = [
    "Cut",
    "Entry",
    "FileSource",
    "Recording",
    "RecordingSource",
    "Refused",
    "SourceOptions",
    "UnreadableRecordingError",
    "Window",
    "Windowing",
    "cut",
    "entries_of",
    "microvolts",
    "read_csv",
    "read_numpy",
    "read_or_refuse",
    "read_recordings",
    "read_wfdb",
    "resample",
    "signal_hash",
]


@dataclass(frozen=True, slots=True)
class Entry:
    """A recording of a source, not yet read.

    ``file`` is where it is and ``name`` the same within the source; ``number`` is its place in a file that holds
    several. ``refusal`` says why it is left out although it is there; empty if it is to be read. Patient, age, sex and
    codes are those that a table beside the signals gives, and override those in the signal files; ``unknown`` names
    those ("age", "sex") that the table makes unknown, whatever the signal files say. ``labels`` are further columns of
    such a table, name and value. ``sampling_rate_hz`` is that of a file that does not state its own.
    """

    record_id: str
    file: str
    name: str
    source: str
    patient: str = ""
    refusal: str = ""
    age_years: float | None = None
    sex: Sex = ""
    codes: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    number: int | None = None
    unknown: tuple[str, ...] = ()
    sampling_rate_hz: float | None = None

    @property
    def own_patient(self) -> str:
        """The patient of a recording of whom nothing is known, ``<source>/<id>``: nobody else's recording has it."""
        return f"{self.source}/{self.record_id}" if self.source else ""

    def complete(self, recording: Recording) -> Recording:
        """The recording as it was read, with what the entry knows of it.

        The patient is the one that a table gives, else the one of the file, else (in an archive) ``own_patient``.
        """
        age_years = recording.age_years if self.age_years is None else self.age_years
        return replace(
            recording,
            record_id=self.record_id,
            source=self.source or recording.source,
            patient=self.patient or recording.patient or self.own_patient,
            age_years=None if "age" in self.unknown else age_years,
            sex="" if "sex" in self.unknown else self.sex or recording.sex,
            codes=self.codes or recording.codes,
            file=self.name,
        )


@dataclass(frozen=True)
class Refused:
    """A recording that was found and cannot be used, and why."""

    record_id: str
    file: str
    reason: str


@dataclass(frozen=True)
class RecordingSource:
    """Recordings that are found in one way and read in one way.

    ``exclude`` are files that are no recordings whatever their names, such as a table of labels. ``ignored``
    takes the names of what else is no recording, while the entries are listed. ``has_rates``: the
    entries are given sampling rates by a table, after they are listed. ``label_columns`` are the names of the labels
    that the entries bring.
    """

    label_columns: ClassVar[tuple[str, ...]] = ()

    options: SourceOptions = field(default_factory=SourceOptions)
    exclude: tuple[Path, ...] = field(default=(), kw_only=True)
    ignored: Ignored = field(default_factory=Ignored, kw_only=True, compare=False)
    has_rates: bool = field(default=False, kw_only=True)

    def entries(self) -> Iterator[Entry]:
        """One entry per recording.

        Raises:
            InputError: there is no such source, or it holds no recordings.
        """
        raise NotImplementedError

    def read(self, entry: Entry) -> Recording:
        """The recording of an entry that is not refused.

        Raises:
            UnreadableRecordingError: its files are missing or damaged.
        """
        options = replace(self.options, sampling_rate_hz=entry.sampling_rate_hz or self.options.sampling_rate_hz)
        return entry.complete(read_file(entry.file, options, entry.number))

    def files(self, folder: Path, suffixes: tuple[str, ...]) -> Iterator[Found]:
        """Files below a folder (`walk`) but for those to exclude."""
        excluded = {os.path.realpath(path) for path in self.exclude}
        names = {os.path.basename(path) for path in excluded}  # noqa: PTH119

        def is_excluded(path: str) -> bool:
            return os.path.basename(path) in names and os.path.realpath(path) in excluded  # noqa: PTH119

        ignored = Ignored()
        for found in walk(folder, suffixes, follow_links=self.options.follow_links, ignored=ignored):
            if not is_excluded(found.path):
                yield found
        for kind, more in vars(ignored).items():
            getattr(self.ignored, kind).extend(name for name in more if not is_excluded(f"{folder}/{name}"))


def entries_of(found: Found, options: SourceOptions, stem: str, source: str = "") -> Iterator[Entry]:
    """The recordings in a file, of which only headers are read; one entry with the reason if it is of no use.

    Ids are those that the file states, else ``stem``, with the place in a file of several (``stem-00012``).
    """
    one = FORMATS.get(suffix_of(found.path))  # none for a link to a folder
    whole = Entry(stem, found.path, found.name, source, refusal=found.refusal)
    if found.refusal or one is None or one.opened is None:
        yield whole
        return
    try:
        file = one.opened(found.path, options)
    except UnreadableRecordingError as error:
        yield replace(whole, refusal=error.reason)
        return
    for number in range(len(file)):
        record_id = file.stated_id(number) or (stem if len(file) == 1 else f"{stem}-{number:05d}")
        if record_id.isprintable():
            yield replace(whole, record_id=record_id, number=number)
        else:
            refusal = "ids: its id holds characters that cannot be printed, change it"
            yield replace(whole, record_id=printable(record_id), number=number, refusal=refusal)


@dataclass(frozen=True)
class FileSource(RecordingSource):
    """Files and folders of recordings in any of the formats, in the order of the paths.

    Ids are file names without their suffix, or what a file states. Of file names that occur more than once among the
    files of one path the id is the path within it; an id that came before gets the path of its folder in front, and is
    refused if it is still not new. A WFDB record may be named without its suffix.
    """

    paths: tuple[Path, ...] = ()

    def entries(self) -> Iterator[Entry]:
        """Every recording, without its samples, path by path.

        Raises:
            InputError: a path does not exist or holds no recordings.
        """
        taken: set[str] = set()
        for path in self.paths:
            found_files = self._find(path)
            times_seen = Counter(found.stem.rpartition("/")[2] for found in found_files)
            for found in found_files:
                stem = found.stem.rpartition("/")[2]
                for entry in entries_of(found, self.options, stem if times_seen[stem] == 1 else found.stem):
                    record_id, refusal = entry.record_id, entry.refusal
                    if record_id in taken:
                        record_id = printable(f"{Path(entry.file).parent.as_posix()}/{record_id}")
                    if record_id in taken:
                        refusal = refusal or "a recording with this id came before, give it another"
                    taken.add(record_id)
                    yield replace(entry, record_id=record_id, name=entry.file, refusal=refusal)

    def _find(self, path: Path) -> list[Found]:
        if path.is_dir():
            if files := sorted(self.files(path, tuple(FORMATS)), key=lambda found: Path(found.path)):
                return files
            others = "".join(f"; {line}" for line in self.ignored.lines())
            raise InputError(f"{path}: holds no recordings (files {', '.join('*' + one for one in FORMATS)}){others}")
        header = path.with_name(path.name + ".hea")
        for file in (path, header):
            if file.is_file():
                return [Found(os.fspath(file), printable(file.name))]
        raise InputError(f"{path}: does not exist, give a file or folder with recordings")


def read_or_refuse(source: RecordingSource, entry: Entry) -> Recording | Refused:
    """Read one recording; whatever is wrong with it comes as `Refused`."""
    if entry.refusal:
        return Refused(entry.record_id, entry.name, entry.refusal)
    try:
        return source.read(entry)
    except UnreadableRecordingError as error:
        return Refused(entry.record_id, entry.name, error.reason)
    except InputError as error:
        return Refused(entry.record_id, entry.name, printable(str(error)))
    except ImportError:  # this is about the installation, not about the recording
        raise
    except Exception as error:  # one recording must not end the work on a hundred thousand
        reason = f"unexpected: {type(error).__name__} ({one_line(error)}), please report it"
        return Refused(entry.record_id, entry.name, printable(reason))


def read_recordings(
    source: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    sampling_rate_hz: float | None = None,
    unit: str = "mV",
    leads: LeadNames = AS_NAMED,
    rebuild_leads: bool = False,
) -> Iterator[Recording | Refused]:
    """Every recording in a file or folder, in the order of the paths; what cannot be read comes as `Refused`.

    ``sampling_rate_hz`` and ``unit`` are for files that do not state them, ``leads`` and ``rebuild_leads`` those of
    `SourceOptions`; ids are those of `FileSource`.

    Raises:
        InputError: ``source`` does not exist or holds no recordings.
    """
    paths = (source,) if isinstance(source, str | os.PathLike) else source
    options = SourceOptions(sampling_rate_hz=sampling_rate_hz, unit=unit, leads=leads, rebuild_leads=rebuild_leads)
    files = FileSource(options, paths=tuple(map(Path, paths)))
    return (read_or_refuse(files, entry) for entry in files.entries())
