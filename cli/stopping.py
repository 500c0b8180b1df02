"""Ctrl-C, and SIGTERM as Slurm, Kubernetes and spot machines send it: one line that says what to do, and an end."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Final, NoReturn

import click

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class _StoppedError(KeyboardInterrupt):
    """As Ctrl-C, so that whatever lets that through lets this through."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextlib.contextmanager
def stoppable(what_to_do: Callable[[], str]) -> Iterator[None]:
    """To be put around work that can be resumed: either signal ends it with a line on stderr and exit code 130 or 143.

    A second signal ends the process at once, as a kill does. A signal that the process was begun to ignore stays so.
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
