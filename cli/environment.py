"""Keeps TensorFlow's start-up notes off the screen."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Final, NoReturn, TextIO

import click

from ecg_advmask import programs

_OPTIONAL_IN_KERAS: Final = ("matplotlib", "sklearn")
"""Packages that Keras imports, where they are installed, for pictures and wrappers that are not used here."""


@contextlib.contextmanager
def _as_if_not_installed(*packages: str) -> Iterator[None]:
    """Imports of these packages fail, unless they are imported already; afterwards they succeed."""
    hidden = [package for package in packages if package not in sys.modules]
    for package in hidden:
        sys.modules[package] = None  # type: ignore[assignment]  # which Python takes for a package that is missing
    try:
        yield
    finally:
        for package in hidden:
            del sys.modules[package]


def import_tensorflow() -> None:
    """Import TensorFlow, to use the compiled programs of earlier runs, and without notes on processors and drivers.

    It writes these at import, whatever the log level.

    They come from C++ code before TensorFlow's logging is set up, so the stream itself is turned away while the import
    runs; what goes wrong still arrives as an exception. Keras comes without packages that take a quarter of the time.
    """
    programs.share()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    screen = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        with _as_if_not_installed(*_OPTIONAL_IN_KERAS):
            import tensorflow  # noqa: F401
    finally:
        os.dup2(screen, 2)
        os.close(screen)
        os.close(nowhere)


# ---- Ctrl-C, and SIGTERM as Slurm, Kubernetes and spot machines send it: one line that says what to do, and an end.

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class _StoppedError(KeyboardInterrupt):
    """As Ctrl-C, so that whatever lets that through lets this through."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextlib.contextmanager
def stoppable(what_to_do: Callable[[], str]) -> Iterator[None]:
    """To be put around work that can be resumed: either signal ends it with a line on stderr and exit code 130 or 143.

    A second signal ends the process at once, as a kill does. A signal that is ignored at the start stays ignored.
    """
    own = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]

    def stop(number: int, _: FrameType | None) -> NoReturn:
        for each in own:
            signal.signal(each, signal.SIG_DFL)
        raise _StoppedError(number)

    before = {number: signal.signal(number, stop) for number in own}
    try:
        yield
    except _StoppedError as stopped:
        click.echo(f"ecg-advmask {click.get_current_context().info_name}: {what_to_do()}", err=True)
        sys.exit(128 + stopped.number)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# ---- A reader of the output that stops reading, such as head: the work continues, and ends as it would have ended.


class _OutputUntilClosed:
    """A stream that writes nowhere once its reader has gone."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        return self._unless_closed(lambda: self._stream.write(text)) or 0

    def flush(self) -> None:
        self._unless_closed(self._stream.flush)

    def _unless_closed(self, do: Callable[[], int | None]) -> int | None:
        try:
            return do()
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
            return None


@contextlib.contextmanager
def output_may_close() -> Iterator[None]:
    """For a command: it does not end when the reader of its output has ended."""
    before = sys.stdout
    sys.stdout = _OutputUntilClosed(before)
    try:
        yield
        sys.stdout.flush()
    finally:
        sys.stdout = before
