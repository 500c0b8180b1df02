"""Files that are either complete or absent, and paths that stay inside their folder."""

import contextlib
import csv
import errno
import gzip
import hashlib
import json
import os
import platform
import re
import shutil
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ecg_advmask import __version__
from ecg_advmask.errors import InputError

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Full are the disk, the user's share of it, or what a file may hold (`ulimit -f`)."""


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside ``path`` to write to; renamed to ``path`` when the block ends well, removed otherwise.

    The temporary name keeps the suffix, since many writers choose their format by it. A missing parent folder is made.
    An error for lack of room bears the name of ``path``.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(_temporary_name(target, str(os.getpid())))
    try:
        yield temporary
        temporary.replace(target)
    except OSError as error:
        if error.errno in _NO_ROOM and error.filename in (None, str(temporary)):
            error.filename = str(target)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """See that a file or folder can be made at a path, before any work is done.

    Raises:
        InputError: its parent is no folder, or cannot be written to.
    """
    above = next(parent for parent in path.absolute().parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        reason = "cannot be written to" if above.is_dir() else "is not a folder"
        raise InputError(f"{path}: nothing can be written there, {above} {reason}; choose another place")


def clear_temporaries(folder: Path, *names: str) -> None:
    """Remove what processes that were killed left of files with these names, in which ``*`` stands for anything."""
    for name in names:
        for temporary in folder.glob(_temporary_name(Path(name), "*")):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def room_errors(folder: Path, advice: str) -> Iterator[None]:
    """To be put around what writes into a folder: a disk that is full becomes an `InputError` that ends in the advice.

    Raises:
        InputError: which file could not be written, and how much room there is.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        free = shutil.disk_usage(folder).free / 1e6
        raise InputError(
            f"{error.filename or folder}: could not be written ({os.strerror(error.errno)}, {free:,.0f} MB are free); "
            f"free some space and {advice}"
        ) from error


def _temporary_name(target: Path, process: str) -> str:
    return f".{target.stem}.{process}.tmp{target.suffix}"


def in_file_name(text: str) -> str:
    """The last 60 characters of the text, with _ for anything between ASCII letters, digits, - and _."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text)[-60:]


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Mapping[str, Any]) -> None:
    """Write a JSON object, atomically, indented and with a newline at the end."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a JSON object; a file whose name ends in ``.gz`` is decompressed.

    Raises:
        InputError: the file is missing, is not JSON, or holds something other than an object.
    """
    try:
        content = Path(path).read_bytes()
        value = json.loads((gzip.decompress(content) if Path(path).suffix == ".gz" else content).decode("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: not a JSON file ({error})") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected a JSON object, found {type(value).__name__}")
    return value


def write_csv(path: str | os.PathLike[str], columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a table with a header row, atomically; every row must hold exactly ``columns``."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def inside(folder: str | os.PathLike[str], name: str) -> Path:
    """``folder / name``, for a name that was read from a file.

    Raises:
        InputError: the name is empty, absolute, a URL, or leads out of the folder (also through a symbolic link), or
            no file can have it.
    """
    try:
        root = Path(folder).resolve()
        path = (root / name).resolve()
        leads_out = not name or "://" in name or Path(name).is_absolute() or not path.is_relative_to(root)
    except (OSError, RuntimeError, ValueError):  # too long, a circle of links, a zero byte
        leads_out = True
    if leads_out:
        raise InputError(f"{folder}: refers to {name!r}, which is not a file inside that folder")
    return path


# ---- Locks between processes, on files that stay; the kernel frees those of a process that ends, however it does.

_NO_LOCKS_HERE: Final = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK})


@contextlib.contextmanager
def locked(path: Path, *, wait_for_it: bool = False) -> Iterator[bool]:
    """Hold the lock of a file while the block runs; False if another process holds it, unless that is waited for.

    Where a file system knows no locks (some of clusters), the block runs unguarded.
    """
    from filelock import FileLock, Timeout  # here, so that light commands start at once

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, fallback_to_soft=False)
    try:
        lock.acquire(timeout=-1 if wait_for_it else 0)
    except Timeout:
        yield False
        return
    except NotImplementedError:
        pass
    except OSError as error:
        if error.errno not in _NO_LOCKS_HERE:
            raise
    try:
        yield True
    finally:
        lock.release()


# ---- Which versions a result was made with.


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions of this package, of Python and of the installed ``packages``."""
    from importlib import metadata  # here, because it takes longer to import than ``--help`` may

    installed = {name: metadata.version(name) for name in packages}
    return {"ecg-advmask": __version__, "python": platform.python_version(), **installed}
