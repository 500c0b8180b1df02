"""A stand-in for the work of a study, sent to processes: what it does is said by the method of a job."""

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ecg_advmask.errors import InputError
from ecg_advmask.study.jobs import JobEnded, JobLine, JobRunner, Message, StudyJob, Unit, UnitFinished, do_jobs


def job(method: str, seed: int = 0, after: str = "") -> StudyJob:
    return StudyJob(method, seed, (Unit(method, seed, "", 1),), after)


@dataclass(frozen=True)
class StandIn:
    folder: Path

    def log(self, job: StudyJob) -> Path:
        return self.folder / "logs" / f"{job.method}-{job.seed}.log"

    def do(self, job: StudyJob, tell: Callable[[Message], None]) -> JobEnded:
        print(f"working on {job.method}")
        if job.method == "refused":
            raise InputError("somewhere: is not good, fix it")
        if job.method == "broken":
            raise ZeroDivisionError("one line\nanother")
        if job.method == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if job.method == "flags":
            (self.folder / f"flags-{job.seed}").write_text(os.environ["TF_XLA_FLAGS"])
        if job.method == "endless":
            (self.folder / "pid").write_text(str(os.getpid()))
            signal.pause()
        tell(JobLine(str(os.getpid())))
        tell(UnitFinished(job.units[0]))
        return JobEnded(busy=job.method == "busy", fresh=job.method != "training")


def work_endlessly(folder: Path) -> None:
    """A study that does not end by itself; the file ``pid`` in the folder says which process works for it."""
    do_jobs(StandIn(folder), [job("endless")], 1, lambda *_: None, lambda: None)


def do_jobs_here(
    runner: JobRunner,
    jobs: Sequence[StudyJob],
    workers: int,  # noqa: ARG001
    listen: Callable[[StudyJob, Message], None],
    tick: Callable[[], None],
) -> list[StudyJob]:
    """Jobs one after the other in this process, which has imported TensorFlow already."""
    left = []
    for job in jobs:
        ended = runner.do(job, partial(listen, job))
        listen(job, ended)
        left += [job] if ended.busy else []
        tick()
    return left
