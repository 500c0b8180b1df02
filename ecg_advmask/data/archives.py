"""The archive layouts that `prepare` knows, by name, each a `RecordingSource`: one function opens them all."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from ecg_advmask.data import code15, mimic, ptbxl
from ecg_advmask.data.chapman import SIGNAL_FOLDERS, ChapmanSource
from ecg_advmask.data.cinc2021 import CHAPMAN, FOLDERS, CincSource, source_of
from ecg_advmask.ecg.formats import FORMATS, suffix_of, suffixes_of
from ecg_advmask.ecg.sources import Entry, RecordingSource, SourceOptions, entries_of
from ecg_advmask.ecg.walking import Ignored
from ecg_advmask.errors import InputError


@dataclass(frozen=True)
class FolderSource(RecordingSource):
    """A user's own recordings: any folder of files of one format, ``layout`` in `FORMATS`.

    The id of a recording is its path within the folder without the suffix, such as ``2019/a17``. In a file of several
    recordings it is the one that the file states, else that path with the place in the file (``cohort-00012``).
    """

    folder: Path = Path()
    layout: str = "wfdb"

    def entries(self) -> Iterator[Entry]:
        """One entry per recording, in any order; a file whose header is of no use gives one entry with the reason.

        Raises:
            InputError: the folder is missing, cannot be listed or holds no such file; or the files do not state their
                sampling rate and none was given.
        """
        formats = {suffix: FORMATS[suffix] for suffix in suffixes_of(self.layout)}
        kind = next(iter(formats.values()))
        if kind.needs_rate and self.options.sampling_rate_hz is None and not self.has_rates:
            raise InputError(
                f"{self.folder}: {kind.meaning} do not state their sampling rate, give it (--source-rate HZ)"
            )
        source, empty = _name(self.folder), True
        for found in self.files(self.folder, tuple(formats)):
            empty = False
            yield from entries_of(found, self.options, found.stem, source)
        if empty:
            raise InputError(f"{self.folder}: holds no {kind.meaning} ({', '.join(f'*{one}' for one in formats)})")


def _name(folder: Path) -> str:
    """Name of the folder, as the name of the source."""
    name = Path(os.path.realpath(folder)).name  # unlike Path.resolve, silent on a link that leads back to itself
    return name if name.isprintable() else ascii(name)


LAYOUTS: Final[Mapping[str, Callable[..., RecordingSource]]] = {
    "cinc2021": CincSource,
    "chapman": ChapmanSource,
    "ptbxl": ptbxl.PtbxlSource,
    "mimic": mimic.MimicSource,
    "code15": code15.Code15Source,
    **{one.layout: partial(FolderSource, layout=one.layout) for one in FORMATS.values()},
}
"""What opens a folder of each layout."""


_LAYOUT_OF_TABLE: Final = {ptbxl.TABLE: "ptbxl", mimic.TABLE: "mimic", code15.TABLE: "code15"}


def find_layout(folder: str | os.PathLike[str], exclude: Sequence[Path] = (), ignored: Ignored | None = None) -> str:
    """The layout of a folder, by the names of its files.

    Args:
        folder: where the recordings are.
        exclude: files that are no recordings whatever their names.
        ignored: takes the names of what else is no recording.

    Raises:
        InputError: the folder is missing, or its files fit no layout, or more than one.
    """
    place = Path(folder)
    if any((place / name).is_dir() for name in SIGNAL_FOLDERS):
        return "chapman"
    if by_table := [layout for name, layout in _LAYOUT_OF_TABLE.items() if (place / name).is_file()]:
        return by_table[0]
    top = Path(os.path.realpath(place))
    examples: dict[str, str] = {}
    others: dict[str, str] = {}  # texts without leads or numbers, which count where there is nothing else
    sources: set[str] = set()
    source = FolderSource(folder=place, exclude=tuple(exclude), ignored=ignored or Ignored())
    for found in source.files(place, tuple(FORMATS)):
        if one := FORMATS.get(suffix_of(found.name)):
            is_other = one.content is not None and one.content(found.path) == "notes"
            (others if is_other else examples).setdefault(one.layout, found.name)
            if one.layout == "wfdb":
                sources.add(source_of(top / found.name))
    examples = examples or others
    if not examples:
        raise InputError(f"{folder}: holds no files of recordings ({', '.join(f'*{suffix}' for suffix in FORMATS)})")
    challenge = sources & FOLDERS.keys()
    if len(examples) > 1 or (challenge and (challenge != sources or challenge <= {CHAPMAN, "ningbo"})):
        found_there = ", ".join(f"{layout} ({name})" for layout, name in examples.items())
        if challenge:
            found_there += f", of which some are named as in the Challenge ({', '.join(sorted(challenge))})"
        raise InputError(f"{folder}: could be of several layouts, choose one; it holds files of {found_there}")
    return "cinc2021" if challenge else next(iter(examples))


def open_source(
    folder: str | os.PathLike[str],
    layout: str,
    options: SourceOptions = SourceOptions(),  # noqa: B008 (immutable)
    exclude: Sequence[Path] = (),
) -> RecordingSource:
    """The source in a folder.

    Args:
        folder: where the recordings are.
        layout: a name in `LAYOUTS`.
        options: what the archive does not say itself.
        exclude: files that are no recordings whatever their names.

    Raises:
        InputError: there is no such layout, or the folder is plainly of another one. What else is wrong with it comes
            when the entries are listed.
    """
    if layout not in LAYOUTS:
        raise InputError(f"layout {layout!r} is not known, there are: {', '.join(LAYOUTS)}")
    place = Path(folder)
    if layout == "wfdb" and all((place / name).exists() for name in (ptbxl.TABLE, *ptbxl.FOLDERS)):
        raise InputError(
            f"{place}: is PTB-XL, with each recording at two rates; choose --format ptbxl, which reads one, or give "
            f"one of the folders {' and '.join(ptbxl.FOLDERS)}"
        )
    return LAYOUTS[layout](options, folder=place, exclude=tuple(exclude))


def check_labels(path: str | os.PathLike[str], folder: str | os.PathLike[str], layout: str | None) -> None:
    """Refuse the table of an archive as one of labels.

    Raises:
        InputError: the layout, or that of the folder if it is None, reads the table itself.
    """
    table = Path(path).name
    own = _LAYOUT_OF_TABLE.get(table)
    if own is not None and layout in (None, own) and (Path(folder) / table).is_file():
        raise InputError(f"{path}: is read by --format {own} itself, choose that without --labels")
