"""Files that are either whole or absent, and paths that stay inside their folder."""

import contextlib
import csv
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ecg_advmask.errors import InputError


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside ``path`` to write to; renamed to ``path`` when the block ends well, removed otherwise.

    The temporary name keeps the suffix, since many writers choose their format by it. A missing parent folder is made.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.stem}.{os.getpid()}.tmp{target.suffix}")
    try:
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def in_file_name(text: str) -> str:
    """The last 60 characters of the text, with _ for whatever lies between ASCII letters, digits, - and _."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text)[-60:]


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Mapping[str, Any]) -> None:
    """Write a JSON object, atomically, indented and with a newline at the end."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        InputError: the file is missing, is not JSON, or holds something other than an object.
    """
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a JSON file ({error})") from error
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
