"""The jobs of a study: pretrainings and evaluations in their order, the files of each of them, and their processes."""

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
from typing import Final, Protocol

from ecg_advmask import programs
from ecg_advmask.errors import InputError, printable
from ecg_advmask.files import in_file_name
from ecg_advmask.study.design import Method, Study
from ecg_advmask.workers import spawn

STUDY_FILE: Final = "study.toml"
RESULTS_FILE: Final = "results.json"
"""In the folder of a study: a copy of its file, and what it found."""


@dataclass(frozen=True)
class Unit:
    """One pretraining (``task`` is empty), or one evaluation: of a method and a seed on a task."""

    method: str
    seed: int
    task: str
    amount: int
    """Epochs of a pretraining, numbers of labels of an evaluation."""

    @property
    def title(self) -> str:
        """What it is, in words."""
        return f"{self.method}, seed {self.seed}: {self.task or 'pretraining'}"


@dataclass(frozen=True)
class StudyJob:
    """Units that one process does one after the other: a pretraining and what is built on it."""

    method: str
    seed: int
    units: tuple[Unit, ...]
    after: str
    """The method whose job with the same seed must have ended before; empty if none."""


@dataclass(frozen=True)
class Folder:
    """Where a study keeps its files."""

    path: Path

    def split(self, task: str) -> Path:
        """The division of the recordings for a task, as CSV; what it was made of is beside it, as JSON."""
        return self.path / "splits" / f"{in_file_name(task)}.csv"

    def run(self, method: Method, seed: int) -> Path:
        """The run directory of a pretraining."""
        return self.path / "runs" / method.folder / f"seed-{seed}"

    def evaluation(self, method: Method, seed: int, task: str, labels: float) -> Path:
        """The result of a method and seed on a task with a number (or share) of labels."""
        place = self.path / "evaluations" / method.folder / f"seed-{seed}"
        return place / in_file_name(task) / f"{labels:g}{'' if labels > 1 else '-share'}.npz"

    def lock(self, method: Method, seed: int) -> Path:
        """A file that is locked while a process works on the method and seed."""
        return self.path / "locks" / method.folder / f"seed-{seed}"

    def log(self, method: Method, seed: int) -> Path:
        """What that process prints."""
        return self.path / "logs" / method.folder / f"seed-{seed}.log"

    @property
    def embeddings(self) -> Path:
        """Embeddings by all encoders."""
        return self.path / "embeddings"


def units_of(study: Study, method: Method, seed: int) -> list[Unit]:
    """The pretraining of a method and seed, if it has one of its own, and its evaluations."""
    pretraining = []
    if method.kind == "pretrained":
        pretraining.append(Unit(method.name, seed, "", study.config(method, seed).epochs))
    evaluations = [Unit(method.name, seed, task, len(study.labels)) for task in study.tasks]
    return pretraining + evaluations


def jobs_of(study: Study, only: Sequence[str] = (), seeds: Sequence[int] = ()) -> list[StudyJob]:
    """The jobs of a study in their order, or of a part of it: some methods, some seeds.

    They come seed by seed, all methods of the first seed before any of the second: a study that is interrupted has
    compared its methods with the seeds that it has. A method that fine-tunes brings the pretraining that it starts
    from.

    Raises:
        InputError: there is no such method or seed, or nothing has both.
    """
    for name in only:
        if name not in {method.name for method in study.methods}:
            known = ", ".join(method.name for method in study.methods)
            raise InputError(f"{study.path}: has no method {name!r} (--only), there are: {known}")
    for seed in seeds:
        if not any(seed in method.seeds for method in study.methods):
            raise InputError(f"{study.path}: no method has the seed {seed} (--seed)")
    wanted = [
        (method, seed)
        for method in study.methods
        for seed in method.seeds
        if (not only or method.name in only) and (not seeds or seed in seeds)
    ]
    if not wanted:
        raise InputError(f"{study.path}: none of these methods (--only) has one of these seeds (--seed)")
    needed = {(method.of, seed) for method, seed in wanted if method.of}
    jobs = []
    for seed in sorted({seed for method in study.methods for seed in method.seeds}):
        for method in (method for method in study.methods if seed in method.seeds):
            units = units_of(study, method, seed)
            if (method, seed) not in wanted:
                units = [unit for unit in units if not unit.task] if (method.name, seed) in needed else []
            if units:
                jobs.append(StudyJob(method.name, seed, tuple(units), method.of))
    return jobs


# ---- Messages of a process of a study to the process that started it.


@dataclass(frozen=True)
class UnitStarted:
    """The work on a unit starts, of which some parts (epochs, fitted heads) may be done already."""

    unit: Unit
    done: int = 0


@dataclass(frozen=True)
class UnitProgress:
    """How many parts of the unit are done."""

    done: int
    of: int


@dataclass(frozen=True)
class UnitFinished:
    """The unit is done."""

    unit: Unit


@dataclass(frozen=True)
class JobLine:
    """A line for the user."""

    text: str


@dataclass(frozen=True)
class JobEnded:
    """The job is over: done, or left because another study works on it (``busy``)."""

    busy: bool
    fresh: bool
    """Whether the process may take another job: one that has trained a network ends, and its memory with it."""


Message = UnitStarted | UnitProgress | UnitFinished | JobLine | JobEnded


# ---- Jobs of a study done by processes of their own, which end with the one that began them.
#
# A process that has trained a network is not used again: memory and random state end with it. What XLA compiles is kept
# for the processes that come after it, as seeds differ in nothing that is compiled: in the folder of `programs`, or if
# that is off, in one that goes when the study ends.


class JobRunner(Protocol):
    """Does jobs; it is sent to each process."""

    def log(self, job: StudyJob) -> Path:
        """The file that takes what is printed while a job is done."""
        ...

    def do(self, job: StudyJob, tell: Callable[[Message], None]) -> JobEnded:
        """Do the missing part of a job, and report its progress."""
        ...


@dataclass
class _Worker:
    connection: Connection
    process: BaseProcess
    job: StudyJob


def do_jobs(
    runner: JobRunner,
    jobs: Sequence[StudyJob],
    workers: int,
    listen: Callable[[StudyJob, Message], None],
    tick: Callable[[], None],
) -> list[StudyJob]:
    """Do jobs in their order, several at a time; a job waits for the one that it comes ``after``.

    Args:
        runner: does them.
        jobs: what there is to do.
        workers: how many at a time.
        listen: called with every message of every process.
        tick: called every second.

    Returns:
        The jobs that were left to another study, which works on them, and those that come after them.

    Raises:
        InputError: a job was refused or failed, or its process died.
    """
    waiting, left = list(jobs), list[StudyJob]()
    running: list[_Worker] = []
    idle: list[_Worker] = []
    own = tempfile.TemporaryDirectory(prefix="ecg-advmask-programs-")
    place = programs.folder() or Path(own.name)
    try:
        while waiting or running:
            while len(running) < workers and (job := _next(waiting, running)) is not None:
                waiting.remove(job)
                if any(_waits_for(job, other) for other in left):
                    left.append(job)
                    continue
                worker = idle.pop() if idle else _start(runner, job, place)
                worker.job = job
                running.append(worker)
                worker.connection.send(job)
            for worker in _spoken(running, seconds=1.0):
                message = _received(worker, runner)
                listen(worker.job, message)
                if isinstance(message, JobEnded):
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
        own.cleanup()
    return left


def _waits_for(job: StudyJob, other: StudyJob) -> bool:
    return (job.after, job.seed) == (other.method, other.seed)


def _next(waiting: list[StudyJob], running: list[_Worker]) -> StudyJob | None:
    """The first job that waits for no other one."""
    for job in waiting:
        if not any(_waits_for(job, other) for other in (*waiting, *(worker.job for worker in running))):
            return job
    return None


def _start(runner: JobRunner, job: StudyJob, place: Path) -> _Worker:
    connection, process = spawn(_serve, runner, place)
    return _Worker(connection, process, job)


def _spoken(running: list[_Worker], seconds: float) -> list[_Worker]:
    ready = wait([worker.connection for worker in running], seconds)
    return [worker for worker in running if worker.connection in ready]


def _received(worker: _Worker, runner: JobRunner) -> Message:
    try:
        answer: Message | Exception = worker.connection.recv()
    except (EOFError, OSError) as error:  # at the other end nobody is left
        job = worker.job
        raise InputError(
            f"{runner.log(job)}: the process for {job.method}, seed {job.seed} died, perhaps for lack of memory; "
            "the same command continues where it stopped"
        ) from error
    if isinstance(answer, Exception):
        raise answer
    return answer


def _serve(connection: Connection, runner: JobRunner, place: Path) -> None:
    """Do one job after the other, in a process of its own."""
    programs.share(place)
    os.environ["TQDM_DISABLE"] = "1"  # the study has a view of its own
    from tqdm import tqdm

    tqdm.set_lock(
        threading.RLock()
    )  # its own would be one between processes, which are left behind when this is killed
    while True:
        job: StudyJob = connection.recv()
        try:
            _print_to(runner.log(job))
            connection.send(runner.do(job, connection.send))
        except InputError as error:
            connection.send(error)
        except Exception as error:
            traceback.print_exc()
            what = printable(f"{type(error).__name__}: {error}".splitlines()[0])
            connection.send(InputError(f"{runner.log(job)}: {job.method}, seed {job.seed} failed ({what})"))


def _print_to(path: Path) -> None:
    """Send all that this process prints to a file, also what C++ code does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        for number, standard in ((1, sys.stdout), (2, sys.stderr)):
            standard.flush()
            os.dup2(stream.fileno(), number)
