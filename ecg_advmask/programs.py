"""What XLA compiles is kept for later processes, in a folder of the user's cache that is bounded in size.

TensorFlow writes and reads the programs itself, each whole or not at all; this module says where, before TensorFlow is
imported, and removes what is old. Programs depend on settings and shapes, but not on seeds, weights or data. They hold
instructions of the processor that they were compiled for, so each kind of machine and each version has its own folder.
"""

import hashlib
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from ecg_advmask.errors import InputError

VARIABLE: Final = "ECG_ADVMASK_CACHE"
"""Environment variable: another folder than the default, or ``off``."""

MOST_BYTES: Final = 2 * 2**30
LEAST_FREE_BYTES: Final = 2**30
"""With less room on the disk, programs are read and none are added."""

_FLAG: Final = "--tf_xla_persistent_cache_directory"
_PROGRAMS: Final = "programs"


def folder() -> Path | None:
    """Where programs are kept: what the environment variable names, or ``ecg-advmask`` in the user's cache.

    None if it says ``off``.
    """
    named = os.environ.get(VARIABLE, "")
    if named.lower() == "off":
        return None
    if named:
        return Path(named) / _PROGRAMS
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "ecg-advmask" / _PROGRAMS


def share(place: Path | None = None) -> None:
    """Let TensorFlow, which must not be imported yet, take programs from the folder and keep new ones there.

    Nothing is shared where the flags of TensorFlow name a folder already, or where none can be made. Of the programs in
    the folder the oldest are removed, until they take at most `MOST_BYTES`.

    Args:
        place: the folder; by default `folder`.
    """
    place = folder() if place is None else place
    flags = os.environ.get("TF_XLA_FLAGS", "")
    if place is None or _FLAG in flags or "tensorflow" in sys.modules:
        return
    own = place / _machine()
    try:
        own.mkdir(parents=True, exist_ok=True)
        trim(place, MOST_BYTES)
        is_full = shutil.disk_usage(own).free < LEAST_FREE_BYTES
    except OSError:  # compiled again each time, then
        return
    if is_full or not os.access(own, os.W_OK):
        flags += " --tf_xla_persistent_cache_read_only=true"
    os.environ["TF_XLA_FLAGS"] = f"{flags} {_FLAG}='{own}'".strip()


def trim(place: Path, most_bytes: int) -> None:
    """Remove the programs that were used longest ago, until the others fit into the limit, and damaged ones.

    TensorFlow takes the end of a file that was cut short, as a power failure may do it, for that of the training data.
    """
    total = 0
    for path, _, size in sorted(_files(place), key=lambda file: file[1], reverse=True):  # the last used first
        if total + size > most_bytes or not _is_whole(path):
            path.unlink(missing_ok=True)
        else:
            total += size


def clear(place: Path) -> int:
    """Remove all programs; the number of bytes that they took.

    Raises:
        InputError: the folder cannot be emptied.
    """
    total = sum(size for _, _, size in _files(place))
    try:
        if place.exists():
            shutil.rmtree(place)
    except OSError as error:
        raise InputError(f"{error.filename or place}: cannot be removed ({error.strerror})") from error
    return total


def size_bytes(place: Path) -> int:
    """What all programs take."""
    return sum(size for _, _, size in _files(place))


def _files(place: Path) -> Iterator[tuple[Path, float, int]]:
    """Every program: its path, when it was last used or written (seconds), and its size in bytes."""
    for path in place.glob("*/*"):
        try:
            found = path.lstat()
        except FileNotFoundError:  # another process has removed it
            continue
        yield path, max(found.st_atime, found.st_mtime), found.st_size


def _is_whole(path: Path) -> bool:
    """Whether a file is a message of protocol buffers up to its end: fields of a key, a length and its bytes.

    Of other files, such as those being written, this is not asked.
    """
    if path.suffix != ".pb":
        return True
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        while (place := stream.tell()) < size:
            key, length = _number(stream), _number(stream)
            if key % 8 != 2 or length < 0:  # 2: the kind of a field with a length
                return False
            stream.seek(length, os.SEEK_CUR)
        return place == size > 0


def _number(stream: BinaryIO) -> int:
    """A number in groups of seven bits, the lowest first; the highest bit of a byte says that another one follows.

    -1 where the file ends before it.
    """
    value = shift = 0
    while byte := stream.read(1):
        value |= (byte[0] & 127) << shift
        shift += 7
        if byte[0] < 128:
            return value
    return -1


def _machine() -> str:
    """A name for all that programs depend on beside the model: processor, GPUs, drivers, versions and flags."""
    parts = [platform.machine(), os.environ.get("XLA_FLAGS", ""), os.environ.get("TF_XLA_FLAGS", "")]
    parts += [f"{name} {_version(name)}" for name in ("tensorflow", "keras")]
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        parts += sorted({line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))})
    except OSError:
        parts.append(platform.processor())
    nvidia = Path("/proc/driver/nvidia")
    for path in (nvidia / "version", *sorted(nvidia.glob("gpus/*/information"))):
        if path.is_file():
            parts += [line for line in path.read_text().splitlines() if line.startswith(("Model", "NVRM"))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _version(package: str) -> str:
    from importlib import metadata  # here, because it takes longer to import than ``--help`` may

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"
