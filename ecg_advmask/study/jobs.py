"""The jobs of a study: pretrainings and evaluations in their order, and the files of each of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ecg_advmask.errors import InputError
from ecg_advmask.files import in_file_name
from ecg_advmask.study.design import Method, Study

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
