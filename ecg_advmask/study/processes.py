"""Jobs of a study done by processes of their own, which end with the one that began them.

A process that has trained a network is not used again: memory and random state end with it. What XLA compiles is kept
for the processes that come after it, as seeds differ in nothing that is compiled.
"""

import os
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Protocol

from ecg_advmask.errors import InputError, printable
from ecg_advmask.processes import spawn
from ecg_advmask.study.messages import Ended, Message
from ecg_advmask.study.units import Job


class Workshop(Protocol):
    """Does jobs; it is sent to each process."""

    def log(self, job: Job) -> Path:
        """The file that takes what is printed while a job is done."""
        ...

    def do(self, job: Job, tell: Callable[[Message], None]) -> Ended:
        """Do what is missing of a job, and tell how it goes."""
        ...


@dataclass
class _Worker:
    connection: Connection
    process: BaseProcess
    job: Job


def do_jobs(
    workshop: Workshop,
    jobs: Sequence[Job],
    workers: int,
    listen: Callable[[Job, Message], None],
    tick: Callable[[], None],
) -> list[Job]:
    """Do jobs in their order, several at a time; a job waits for the one that it comes ``after``.

    Args:
        workshop: does them.
        jobs: what there is to do.
        workers: how many at a time.
        listen: told every message of every process.
        tick: called every second.

    Returns:
        The jobs that were left to another study, which works on them, and those that come after them.

    Raises:
        InputError: a job was refused or failed, or its process died.
    """
    waiting, left = list(jobs), list[Job]()
    running: list[_Worker] = []
    idle: list[_Worker] = []
    programs = tempfile.TemporaryDirectory(prefix="ecg-advmask-programs-")
    try:
        while waiting or running:
            while len(running) < workers and (job := _next(waiting, running)) is not None:
                waiting.remove(job)
                if any(_waits_for(job, other) for other in left):
                    left.append(job)
                    continue
                worker = idle.pop() if idle else _start(workshop, job, programs.name)
                worker.job = job
                running.append(worker)
                worker.connection.send(job)
            for worker in _spoken(running, seconds=1.0):
                message = _received(worker, workshop)
                listen(worker.job, message)
                if isinstance(message, Ended):
                    running.remove(worker)
                    left += [worker.job] if message.busy else []
                    if message.fresh:
                        idle.append(worker)
                    else:
                        worker.process.kill()
            tick()
    finally:
        for worker in (*running, *idle):
            worker.process.kill()
            worker.process.join()
        programs.cleanup()
    return left


def _waits_for(job: Job, other: Job) -> bool:
    return (job.after, job.seed) == (other.method, other.seed)


def _next(waiting: list[Job], running: list[_Worker]) -> Job | None:
    """The first job that waits for no other one."""
    for job in waiting:
        if not any(_waits_for(job, other) for other in (*waiting, *(worker.job for worker in running))):
            return job
    return None


def _start(workshop: Workshop, job: Job, programs: str) -> _Worker:
    connection, process = spawn(_serve, workshop, programs)
    return _Worker(connection, process, job)


def _spoken(running: list[_Worker], seconds: float) -> list[_Worker]:
    ready = wait([worker.connection for worker in running], seconds)
    return [worker for worker in running if worker.connection in ready]


def _received(worker: _Worker, workshop: Workshop) -> Message:
    try:
        answer: Message | Exception = worker.connection.recv()
    except (EOFError, OSError) as error:  # at the other end nobody is left
        job = worker.job
        raise InputError(
            f"{workshop.log(job)}: the process for {job.method}, seed {job.seed} died, perhaps for lack of memory; "
            "the same command goes on where it was"
        ) from error
    if isinstance(answer, Exception):
        raise answer
    return answer


def _serve(connection: Connection, workshop: Workshop, programs: str) -> None:
    """Do one job after the other, in a process of its own."""
    if not any(sign.isspace() for sign in programs):  # TensorFlow parts its flags there; it reads them when imported
        flags = os.environ.get("TF_XLA_FLAGS", "")
        os.environ["TF_XLA_FLAGS"] = f"{flags} --tf_xla_persistent_cache_directory={programs}".strip()
    os.environ["TQDM_DISABLE"] = "1"  # the study has a view of its own
    from tqdm import tqdm

    tqdm.set_lock(
        threading.RLock()
    )  # its own would be one between processes, which are left behind when this is killed
    while True:
        job: Job = connection.recv()
        try:
            _print_to(workshop.log(job))
            connection.send(workshop.do(job, connection.send))
        except InputError as error:
            connection.send(error)
        except Exception as error:
            traceback.print_exc()
            what = printable(f"{type(error).__name__}: {error}".splitlines()[0])
            connection.send(InputError(f"{workshop.log(job)}: {job.method}, seed {job.seed} failed ({what})"))


def _print_to(path: Path) -> None:
    """Send all that this process prints to a file, also what C++ code does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        for number, standard in ((1, sys.stdout), (2, sys.stderr)):
            standard.flush()
            os.dup2(stream.fileno(), number)
