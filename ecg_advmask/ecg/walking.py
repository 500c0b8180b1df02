"""Walking a folder for the files of recordings, one at a time, so that any number of them takes little memory."""

import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ecg_advmask.ecg.formats import FORMATS, stem_of, suffix_of
from ecg_advmask.errors import InputError, printable, some_of

_NEVER_SEARCHED: Final = frozenset({".git", ".dvc", ".hg", ".svn"})
"""Folders in which version control keeps its files, among them the recordings' own contents under other names."""

_OWN_FOLDERS: Final = ("dataset.json", "work/plan.json", "state.json", "config.json")
"""Files by which folders are known that `prepare`, `embed` and `pretrain` made."""

_OWN_TABLES: Final = (b"id,file,reason", b"id,window,start_s,", b"id,windows,")
"""How tables begin that `embed` and `prepare` write."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file; ``name`` is its path within the folder, and ``refusal`` why it must not be read (empty if it may)."""

    path: str
    name: str
    refusal: str = ""

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return stem_of(self.name)


@dataclass
class Ignored:
    """Names of what was met and is no recording: what this package wrote (``own``), tables about recordings, notes."""

    own: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """What to say of them, a line for each kind."""
        kinds = (
            ("since ecg-advmask wrote them", self.own, ""),
            ("since they are tables about recordings", self.tables, " (prepare --labels takes one)"),
            ("since they hold no samples", self.notes, ""),
        )
        return [f"ignored, {why} ({len(names)}): {some_of(names)}{advice}" for why, names, advice in kinds if names]


def walk(
    folder: Path, suffixes: tuple[str, ...], *, follow_links: bool = False, ignored: Ignored | None = None
) -> Iterator[Found]:
    """Files below a folder that end in one of ``suffixes`` (lower case), in any order.

    Links to folders are not followed. They are given with a refusal, as are links that lead out of the folder or
    nowhere, files that are no regular ones (opening a pipe would wait for ever), and names that cannot be printed.

    No recordings, and not given, are the folders of version control, files that belong to one beside them
    (`Format.part_of`, `Format.parts`), tables about recordings and notes among text files, and what this package wrote:
    data sets, runs, tables of embeddings.

    Args:
        folder: where to start.
        suffixes: of the files.
        follow_links: go where links lead; each folder is visited once, at first those that are no links.
        ignored: takes the names of what is no recording.

    Raises:
        InputError: ``folder`` is no folder, or a folder in it cannot be listed.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: is not a folder, give the one that holds the recordings")
    yield from _Walk(folder.resolve(), suffixes, follow_links, ignored or Ignored()).below(folder)


@dataclass
class _Walk:
    root: Path
    suffixes: tuple[str, ...]
    follow_links: bool
    ignored: Ignored
    visited: set[tuple[int, int]] = field(default_factory=set)
    links: list[tuple[str, str]] = field(default_factory=list)
    """Links to folders (path, name) that were met and not followed yet."""

    def below(self, folder: Path) -> Iterator[Found]:
        waiting = [(os.fspath(folder), "")]
        while waiting or self.links:
            place, within = waiting.pop() if waiting else self._followed()
            if (found := self._not_searched(place, within)) is not None:
                yield from found
                continue
            try:
                parts = self._parts(place, within)
                with os.scandir(place) as items:
                    for item in items:
                        name = f"{within}{item.name}"
                        if item.name in parts:
                            continue
                        if not item.is_dir(follow_symlinks=False):
                            yield from self._file(item, name)
                        elif item.name not in _NEVER_SEARCHED:
                            waiting.append((item.path, f"{name}/"))
            except OSError as error:
                raise InputError(
                    f"{printable(place)}: cannot be listed ({error.strerror}), make it readable"
                ) from error

    def _parts(self, place: str, within: str) -> set[str]:
        """Names of the files in a folder that others beside them join (`Format.parts`)."""
        parts: set[str] = set()
        joining = tuple(suffix for suffix, one in FORMATS.items() if one.parts is not None and suffix in self.suffixes)
        if not joining:
            return parts
        with os.scandir(place) as items:
            for item in items:
                if not item.name.lower().endswith(joining) or self._refusal(item, f"{within}{item.name}"):
                    continue
                if (of := FORMATS[suffix_of(item.name)].parts) is not None:
                    parts.update(of(item.path, self.follow_links))
        return parts

    def _followed(self) -> tuple[str, str]:
        """The first of the links that wait, so that the order is the same on every machine."""
        link = min(self.links, key=lambda link: link[1])
        self.links.remove(link)
        return link[0], f"{link[1]}/"

    def _not_searched(self, place: str, within: str) -> list[Found] | None:
        """None for a folder that is to be searched; else what is to be said of it."""
        if within and any(os.path.exists(f"{place}/{name}") for name in _OWN_FOLDERS) and _is_own_folder(place):  # noqa: PTH110
            self.ignored.own.append(within)
            return []
        if self.follow_links:
            state = os.stat(place)  # noqa: PTH116
            key = (state.st_dev, state.st_ino)
            if key in self.visited:
                is_link = os.path.islink(place)  # noqa: PTH114
                refusal = "is a link to a folder that is read under another name"
                return [Found(place, within[:-1], refusal)] if is_link else []
            self.visited.add(key)
        return None

    def _file(self, item: "os.DirEntry[str]", name: str) -> Iterator[Found]:
        if _is_link_to_folder(item):
            if self.follow_links and name == printable(name):
                self.links.append((item.path, name))
            else:
                yield Found(item.path, printable(name), self._refusal(item, name))
        elif item.name.lower().endswith(self.suffixes) and not _is_part_of_another(item.path):
            refusal = self._refusal(item, name)
            kind = "" if refusal else _kind_of_other(item.path)
            if kind:
                {"own": self.ignored.own, "labels": self.ignored.tables, "notes": self.ignored.notes}[kind].append(name)
            else:
                yield Found(item.path, printable(name), refusal)

    def _refusal(self, item: "os.DirEntry[str]", name: str) -> str:
        if name != printable(name):
            return "its name cannot be printed, rename it"
        if item.is_symlink():
            try:
                target = Path(item.path).resolve(strict=True)
            except (OSError, RuntimeError):  # a link to nothing, or to itself
                return "is a link that leads nowhere"
            if target.is_dir():
                return (
                    "is a link to a folder and was not followed with all that it holds; --follow-links follows it, or "
                    "give its target as the source"
                )
            if not self.follow_links and not target.is_relative_to(self.root):
                return (
                    "is a link that leads out of the folder and was not followed; --follow-links follows it, or give "
                    "its target as the source"
                )
        return "" if item.is_file() else "is not a regular file"


def _is_link_to_folder(item: "os.DirEntry[str]") -> bool:
    try:
        return item.is_symlink() and item.is_dir()
    except OSError:  # a link that leads back to itself
        return False


def _is_part_of_another(path: str) -> bool:
    suffix = suffix_of(path)
    return any(os.path.exists(path[: -len(suffix)] + other) for other in FORMATS[suffix].part_of) if suffix else False  # noqa: PTH110


# ---- What is no recording, by how it begins.


def _kind_of_other(path: str) -> str:
    """``own``, ``labels`` or ``notes`` for a file that is no recording, else empty.

    Without a row of numbers only those that are called text are notes: others may be recordings that are damaged.
    """
    if _is_own_table(path):
        return "own"
    one = FORMATS[suffix_of(path)]
    content = one.content(path) if one.content is not None else ""
    if content == "notes" and not path.lower().endswith((".txt", ".txt.gz")):
        return ""
    return content if content in {"labels", "notes"} else ""


def _is_own_folder(place: str) -> bool:
    holds = {name: os.path.exists(f"{place}/{name}") for name in (*_OWN_FOLDERS, "records.csv", "history.csv")}  # noqa: PTH110
    return (
        holds["work/plan.json"]
        or (holds["dataset.json"] and holds["records.csv"])
        or (holds["state.json"] and place.endswith(".parts"))
        or (holds["config.json"] and holds["history.csv"])
    )


def _is_own_table(path: str) -> bool:
    lower = path.lower()
    try:
        if lower.endswith(".csv"):
            with open(path, "rb") as stream:  # noqa: PTH123 (a Path for each of a million files takes long)
                return stream.read(64).startswith(_OWN_TABLES)
        if lower.endswith(".npz"):
            with zipfile.ZipFile(path) as archive:
                return {"ids.npy", "embeddings.npy", "encoder_sha256.npy"} <= set(archive.namelist())
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):  # reading it will say what is wrong
        pass
    return False
