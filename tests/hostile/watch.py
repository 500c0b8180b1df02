"""Watching what a piece of work opens and how long it takes.

Python tells every file and socket that it opens to an audit hook (PEP 578); libraries in C that open files on their own
are not seen, but of these only libsndfile is used, which is watched at its door.
"""

import contextlib
import faulthandler
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import soundfile

_watching: list[list[tuple[str, str]]] = []
HARMLESS = {
    "/dev/urandom",
    "/etc/localtime",
    "/sys/fs/cgroup/cpu.max",
    "/sys/fs/cgroup/cpu/cpu.cfs_quota_us",
    "/sys/fs/cgroup/cpu/cpu.cfs_period_us",
}
"""Files of the system that packages look at when they are imported. The folder for temporary files counts as such: it
is opened itself for files without a name."""

_PACKAGES = tuple(
    {f"{os.path.realpath(folder)}/" for folder in (sys.prefix, sys.base_prefix, Path(__file__).parents[2], *sys.path)}
)
_NETWORK = ("socket.", "urllib.", "http.", "ftplib.", "subprocess.", "os.system")


class Hung(BaseException):
    """The work took too long; no `except Exception` stops it."""


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if not _watching:
        return
    if event in {"open", "os.listdir", "os.scandir"} and isinstance(arguments[0], str | bytes | os.PathLike):
        _watching[-1].append(("open", os.fsdecode(arguments[0])))
    elif event.startswith(_NETWORK) and event not in {"socket.gethostname", "socket.__new__"}:
        _watching[-1].append((event, str(arguments)))


sys.addaudithook(_hook)


@contextlib.contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Raise `Hung` after ``seconds``, wherever the work is; end the process if even that does not help."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise Hung(f"still at it after {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    faulthandler.dump_traceback_later(4 * seconds, exit=True)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        faulthandler.cancel_dump_traceback_later()


@contextlib.contextmanager
def opened() -> Iterator[list[tuple[str, str]]]:
    """What is opened meanwhile: ("open", path), or the name of a network event and its arguments."""
    seen: list[tuple[str, str]] = []
    original = soundfile.SoundFile.__init__

    def watched(self: object, file: object, *rest: object, **named: object) -> None:
        if isinstance(file, str | os.PathLike):
            seen.append(("open", os.fsdecode(file)))
        original(self, file, *rest, **named)

    soundfile.SoundFile.__init__ = watched
    _watching.append(seen)
    try:
        yield seen
    finally:
        _watching.pop()
        soundfile.SoundFile.__init__ = original


def strays(seen: list[tuple[str, str]], allowed: Path) -> list[tuple[str, str]]:
    """What of it is neither in a folder nor part of Python and its packages."""
    return [(event, what) for event, what in seen if event != "open" or not _expected(what, allowed)]


def _expected(path: str, allowed: Path) -> bool:
    if path in {*HARMLESS, tempfile.gettempdir()} or f"{path}/".startswith(_PACKAGES):
        return True
    return f"{os.path.realpath(path)}/".startswith((f"{allowed.resolve()}/", *_PACKAGES))
