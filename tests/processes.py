"""Processes with TensorFlow, for tests: forked from one that has imported it, which takes longer than what they do."""

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(["ecg_advmask.pretrain.trainer"])


@contextlib.contextmanager
def started(
    target: Callable[..., object], *arguments: Any, output: Path, environment: dict[str, str] | None = None
) -> Iterator[BaseProcess]:
    """A process that calls a function of a module, and whose output goes to a file; it ends with the block at last."""
    process = FORKED.Process(target=_run, args=(target, arguments, output, environment or {}), daemon=True)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def _run(target: Callable[..., object], arguments: tuple[Any, ...], output: Path, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    with output.open("w") as stream:
        for number in (1, 2):
            os.dup2(stream.fileno(), number)
    target(*arguments)


def command(*words: str) -> None:
    """Run ``ecg-advmask``; the process ends with its exit code."""
    from ecg_advmask.cli import main

    main(words, prog_name="ecg-advmask")
