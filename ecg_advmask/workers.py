"""Worker processes: spawned, and ended with the process that started them, even if that was killed."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

from ecg_advmask.errors import InputError


def processors() -> int:
    """How many processors this process may use, as far as the system says."""
    allowed = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    return (len(allowed(0)) if allowed else os.cpu_count()) or 1


class ProgressBar(Protocol):
    """What long work reports to: `update` receives the number of recordings done since the last call."""

    def update(self, n: int, /) -> object: ...


@contextlib.contextmanager
def worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of processes; when the block ends by an error or a signal, they end at once, whatever they are doing.

    They are spawned, not forked: forking a process that has threads can leave locks that nobody frees. Signals are
    left to the process that started them.

    Raises:
        InputError: one of the processes died.
    """
    context = multiprocessing.get_context("spawn")
    theirs, ours = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, context, initializer=_serve, initargs=(theirs,))
    try:
        yield pool
        pool.shutdown()
    except BrokenProcessPool as error:
        raise InputError(
            "a reading process died, perhaps for lack of memory; the same command with fewer --workers continues"
        ) from error
    finally:
        ours.close()  # those that are still at work end
        pool.shutdown(cancel_futures=True)
        theirs.close()


def _serve(starter: Connection) -> None:
    """Begin a process of the pool; nothing comes over the connection, but it ends when the other end is closed."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)

    def end() -> None:
        wait([starter])
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()


def spawn(serve: Callable[..., None], *arguments: Any) -> tuple[Connection, BaseProcess]:
    """Begin a process that runs ``serve(connection, *arguments)``; returns the other end of the connection, and it.

    It is spawned, not forked: forking a process that has threads can leave locks that nobody frees.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_run, args=(serve, there, arguments), daemon=True)
    process.start()
    there.close()
    return here, process


def _run(serve: Callable[..., None], connection: Connection, arguments: tuple[Any, ...]) -> None:
    threading.Thread(target=end_with_parent, daemon=True).start()
    serve(connection, *arguments)


def end_with_parent() -> None:
    """End this process as soon as the one that began it has ended, even if that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
