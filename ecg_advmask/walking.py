"""Walking a folder for the files of recordings, one at a time, so that any number of them takes little memory."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ecg_advmask.errors import InputError, printable


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
