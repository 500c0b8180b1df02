"""Processes of one's own: spawned, talked to over a pipe, and ended with the process that began them."""

import multiprocessing
import os
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any


def spawn(serve: Callable[..., None], *arguments: Any) -> tuple[Connection, BaseProcess]:
    """Begin a process that runs ``serve(connection, *arguments)``; returns the other end of the connection, and it.

    It is spawned, not forked: forking a process that has threads can leave locks held that nobody frees.
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
