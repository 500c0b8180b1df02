"""A whole study: every method pretrained with every seed and judged on every task, resumed wherever it was left.

In: the design of a study, from its file (`file`), and a folder. Out: in that folder the divisions of the
recordings, run directories, evaluations, and what they say together (`results`). Training and evaluation happen
in processes of their own (`processes`), a method and seed at a time.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ecg_advmask import presets
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.run_data import check_fit
from ecg_advmask.files import atomic_path
from ecg_advmask.locks import locked
from ecg_advmask.pretrain.callbacks import DrawMasks
from ecg_advmask.study.data import StudyData
from ecg_advmask.study.design import Study
from ecg_advmask.study.processes import do_jobs
from ecg_advmask.study.progress import Progress
from ecg_advmask.study.results import collate
from ecg_advmask.study.state import State
from ecg_advmask.study.units import STUDY_FILE, Folder, jobs_of
from ecg_advmask.study.work import Work


def run_study(
    study: Study,
    path: str | Path,
    *,
    only: Sequence[str] = (),
    seeds: Sequence[int] = (),
    workers: int = 1,
    draw_masks: DrawMasks | None = None,
) -> list[dict[str, Any]]:
    """Do what is missing of a study, or of a part of it, and write its results.

    Args:
        study: what to do.
        path: folder of the study; a new one, an empty one, or that of an earlier sitting.
        only: names of methods to do; by default all.
        seeds: seeds to do; by default all.
        workers: how many methods and seeds are worked on at a time.
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
    known = _measured_epochs(state)
    units = [unit for job in jobs for unit in job.units]
    done = {unit for unit in units if state.is_done(unit)}
    left = [job for job in jobs if not done.issuperset(job.units)]
    begun = {unit: float(state.amount_done(unit)) for unit in units if unit not in done}
    view = Progress(units, done, workers, known, begun=begun)
    try:
        do_jobs(Work(study, folder, draw_masks), left, workers, view.listen, view.tick)
    finally:
        view.close()
    with locked(folder.path / "locks" / "results", wait_for_it=True):  # who comes last has seen everything
        return collate(state)


def _check_place(folder: Folder, study: Study) -> None:
    """Refuse a folder that holds something other than this study."""
    stored = folder.path / STUDY_FILE
    if stored.is_file():
        name = presets.read_toml(stored).get("name")
        if name != study.name:
            raise InputError(f"{folder.path}: holds the study {name!r}, name another folder for {study.name!r}")
    elif folder.path.exists() and (not folder.path.is_dir() or any(folder.path.iterdir())):
        raise InputError(f"{folder.path}: already exists and holds no study, name another folder")


def _measured_epochs(state: State) -> dict[tuple[str, str], tuple[float, float]]:
    """Epochs of each method's runs, and the seconds that they took.

    Raises:
        InputError: the place of a pretraining is taken by a run of other settings or data.
    """
    known: dict[tuple[str, str], tuple[float, float]] = {}
    for method in state.study.methods:
        for seed in method.seeds if method.kind == "pretrained" else ():
            run = state.begun_run(method, seed)
            history = None if run is None else run.history()
            if history is not None and "seconds" in history:
                epochs, seconds = known.get(("pretraining", method.name), (0.0, 0.0))
                known["pretraining", method.name] = epochs + len(history), seconds + float(history["seconds"].sum())
    return known
