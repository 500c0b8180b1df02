"""A whole study: every method pretrained with every seed and evaluated on every task; it can be resumed.

In: the design of a study, from its file (`file`), and a folder. Out: in that folder the divisions of the
recordings, run directories, evaluations, and what they say together (`results`). Training and evaluation happen
in processes of their own (`jobs`), a method and seed at a time.
"""

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from ecg_advmask import presets
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.experiment import check_fit
from ecg_advmask.files import atomic_path, locked
from ecg_advmask.pretrain.callbacks import DrawMasks
from ecg_advmask.study.data import StudyData
from ecg_advmask.study.design import Study
from ecg_advmask.study.jobs import (
    STUDY_FILE,
    Folder,
    JobEnded,
    JobLine,
    Message,
    StudyJob,
    Unit,
    UnitFinished,
    UnitProgress,
    UnitStarted,
    do_jobs,
    jobs_of,
)
from ecg_advmask.study.results import collate
from ecg_advmask.study.work import State, Work

# ---- One bar for a whole study: what is in progress, parts and units done of all, time left.


@dataclass(frozen=True)
class _InProgress:
    unit: Unit
    since: float


class StudyProgress:
    """A bar over the epochs and the numbers of labels of all units; without a terminal a line for each finished unit.

    Args:
        units: all that there is to do, and was done.
        done: how much of each was done before; units that are not in it have yet to be started.
        stream: where to write; stderr by default.
    """

    def __init__(self, units: Iterable[Unit], done: Mapping[Unit, float], stream: TextIO | None = None) -> None:
        self._done = {unit: min(float(done.get(unit, 0)), unit.amount) for unit in units}
        self._stream = stream or sys.stderr
        self._in_progress: dict[tuple[str, int], _InProgress] = {}
        self._bar = tqdm(
            total=float(sum(unit.amount for unit in self._done)),
            initial=sum(self._done.values()),
            file=self._stream,
            disable=None,
            bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}",
            dynamic_ncols=True,
        )
        self._show()

    def listen(self, job: StudyJob, message: Message) -> None:
        """Take a message of the process that does a job."""
        key = (job.method, job.seed)
        match message:
            case UnitStarted(unit, done):
                self._in_progress[key] = _InProgress(unit, time.monotonic())
                self._set(unit, done)
            case UnitProgress(done, of):
                unit = self._in_progress[key].unit
                self._set(unit, unit.amount * done / of)
            case UnitFinished(unit):
                started = self._in_progress.pop(key, None)
                self._set(unit, unit.amount)
                if started is not None:
                    seconds = tqdm.format_interval(time.monotonic() - started.since)
                    self._write(f"{unit.title} done in {seconds}, {self._units_done()}")
            case JobLine(text):
                self._write(f"{job.method}, seed {job.seed}: {text}")
            case JobEnded(busy=True):
                for unit in [unit for unit in self._done if (unit.method, unit.seed) == key]:
                    self._bar.total -= unit.amount
                    self._bar.n -= self._done.pop(unit)
                self._write(f"{job.method}, seed {job.seed}: left to another study, which works on it")
        self._show()

    def tick(self) -> None:
        """Show the time that has passed."""
        self._bar.refresh()

    def close(self) -> None:
        """End the bar."""
        self._bar.close()

    def _set(self, unit: Unit, done: float) -> None:
        self._bar.update(done - self._done[unit])
        self._done[unit] = done

    def _units_done(self) -> str:
        return f"{sum(done >= unit.amount for unit, done in self._done.items())}/{len(self._done)} units"

    def _show(self) -> None:
        described = " | ".join(_state(one.unit, self._done[one.unit]) for one in self._in_progress.values())
        self._bar.set_description_str(described or "starting", refresh=False)
        self._bar.set_postfix_str(self._units_done())

    def _write(self, line: str) -> None:
        self._bar.write(line, file=self._stream)
        self._stream.flush()


def _state(unit: Unit, done: float) -> str:
    if unit.task:
        return f"{unit.title}, {100 * done / unit.amount:.0f} %"
    return f"{unit.title}, epoch {min(int(done) + 1, unit.amount)}/{unit.amount}"


def run_study(
    study: Study,
    path: str | Path,
    *,
    only: Sequence[str] = (),
    seeds: Sequence[int] = (),
    workers: int = 1,
    results_only: bool = False,
    draw_masks: DrawMasks | None = None,
) -> list[dict[str, Any]]:
    """Do what is missing of a study, or of a part of it, and write its results.

    Args:
        study: what to do.
        path: folder of the study; a new one, an empty one, or that of an earlier sitting.
        only: names of methods to do; by default all.
        seeds: seeds to do; by default all.
        workers: how many methods and seeds are worked on at a time.
        results_only: write the results of what is finished, and do none of what is missing.
        draw_masks: draws the masks of the runs; it is sent to other processes, so it must be a function of a module.

    Returns:
        What is missing of the whole study: method, seed and task of each.

    Raises:
        InputError: data, settings and what is in the folder do not go together, or a process died.
    """
    jobs = jobs_of(study, only, seeds)
    folder = Folder(Path(path))
    _check_place(folder, study)
    data = StudyData.open(study, folder)
    for method in study.methods:
        check_fit(study.config(method, method.seeds[0]), data.evaluation, f"{study.path}: method {method.name}")
    with atomic_path(folder.path / STUDY_FILE) as temporary:
        temporary.write_bytes(study.path.read_bytes())
    for task in study.tasks:
        data.check_labels(data.split(task))
    state = State(data)
    if not results_only:
        _work_on(jobs, state, Work(study, folder, draw_masks), workers)
    with locked(folder.path / "locks" / "results", wait_for_it=True):  # who comes last has seen everything
        return collate(state)


def _work_on(jobs: Sequence[StudyJob], state: State, work: Work, workers: int) -> None:
    """Do the jobs that are not done, under a bar of all of them."""
    units = [unit for job in jobs for unit in job.units]
    finished = {unit for unit in units if state.is_done(unit)}
    left = [job for job in jobs if not finished.issuperset(job.units)]
    view = StudyProgress(units, {unit: unit.amount if unit in finished else state.amount_done(unit) for unit in units})
    try:
        do_jobs(work, left, workers, view.listen, view.tick)
    finally:
        view.close()


def _check_place(folder: Folder, study: Study) -> None:
    """Refuse a folder that holds something other than this study."""
    stored = folder.path / STUDY_FILE
    if stored.is_file():
        name = presets.read_toml(stored).get("name")
        if name != study.name:
            raise InputError(f"{folder.path}: holds the study {name!r}, name another folder for {study.name!r}")
    elif folder.path.exists() and (not folder.path.is_dir() or any(folder.path.iterdir())):
        raise InputError(f"{folder.path}: already exists and holds no study, name another folder")
