"""Recordings read, resampled, checked and cut by processes of their own, while others are embedded.

The recordings come in the order in which they were listed, whoever read them, and a window is in memory only while it
is on its way: a process that is ahead waits until the windows of its recording are taken.
"""

import signal
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from itertools import cycle
from multiprocessing.connection import Connection
from typing import Final

import numpy as np

from ecg_advmask.errors import InputError
from ecg_advmask.export.windows import Outline, Windowed, windows_of
from ecg_advmask.leads import STANDARD_LEADS
from ecg_advmask.processes import spawn
from ecg_advmask.records import Listed, Reading, Refused, Windowing, read_listed
from ecg_advmask.signals import FloatSignals

_ASKED_AHEAD: Final = 4
"""Recordings that each process is asked for at a time: the next one is known to it when it has sent the last."""


def read_windows(
    recordings: Iterable[Listed], reading: Reading, windowing: Windowing, workers: int = 0
) -> Generator[Windowed, None, None]:
    """Read listed recordings and cut them into windows, which must be taken before the next recording is.

    Args:
        recordings: what to read, in this order.
        reading: how.
        windowing: the form of the windows.
        workers: processes that read; with 0 this one does.

    Raises:
        InputError: a process died.
    """
    if workers == 0:
        for listed in recordings:
            yield windows_of(read_listed(listed, reading), windowing)
        return
    readers = [spawn(_serve, reading, windowing) for _ in range(workers)]
    asked: deque[Connection] = deque()
    try:
        for (connection, _), listed in zip(cycle(readers), recordings, strict=False):
            if len(asked) == _ASKED_AHEAD * workers:
                yield from _next(asked.popleft(), windowing)
            connection.send(listed)
            asked.append(connection)
        while asked:
            yield from _next(asked.popleft(), windowing)
    except (EOFError, ConnectionError) as error:  # at the other end of a connection nobody is left
        raise InputError(
            "a reading process died, perhaps for lack of memory; the same command with fewer --workers goes on"
        ) from error
    finally:
        for _, process in readers:
            process.kill()
            process.join()


def _next(connection: Connection, windowing: Windowing) -> Iterator[Windowed]:
    """The next recording of a process; windows of it that nobody took are left behind."""
    told: Outline | Refused = connection.recv()
    windows = _windows(connection, 0 if isinstance(told, Refused) else len(told.windows), windowing)
    yield told, windows
    for _ in windows:
        pass


def _windows(connection: Connection, count: int, windowing: Windowing) -> Iterator[FloatSignals]:
    for _ in range(count):
        samples = np.frombuffer(connection.recv_bytes(), np.float32)
        yield samples.reshape(windowing.window_samples, len(STANDARD_LEADS))


def _serve(connection: Connection, reading: Reading, windowing: Windowing) -> None:
    """Read one recording after the other, in a process of its own."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the process that began this one says what happened, and ends it
        signal.signal(number, signal.SIG_IGN)
    while True:
        told, windows = windows_of(read_listed(connection.recv(), reading), windowing)
        connection.send(told)
        for window in windows:
            connection.send_bytes(np.ascontiguousarray(window).data.cast("B"))
