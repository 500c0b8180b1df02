"""The state of a study: finished pretrainings and stored evaluations that match its file."""

import dataclasses
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ecg_advmask.evaluate.finetune import FineTuning
from ecg_advmask.files import locked, sha256_of
from ecg_advmask.pretrain.checkpoints import continued
from ecg_advmask.pretrain.probe import is_finished
from ecg_advmask.pretrain.run import ENCODER_FILE, Run, is_started
from ecg_advmask.study.data import StudyData
from ecg_advmask.study.design import Method, Study
from ecg_advmask.study.jobs import (
    Folder,
    JobEnded,
    JobLine,
    Message,
    StudyJob,
    Unit,
    UnitFinished,
    UnitProgress,
    UnitStarted,
)

if TYPE_CHECKING:
    from ecg_advmask.evaluate.evaluation import Fit
    from ecg_advmask.evaluate.split import Split
    from ecg_advmask.pretrain.callbacks import DrawMasks


_FORMAT: Final = 1
"""Counts up when an evaluation of the same would give something else."""


class State:
    """The files of a study, judged by what its file says now."""

    def __init__(self, data: StudyData) -> None:
        self.data, self.study, self.folder = data, data.study, data.folder
        self.fine_tuning = FineTuning(**self.study.fine_tuning)

    def is_done(self, unit: Unit) -> bool:
        """Whether a unit is finished.

        Raises:
            InputError: the place of a pretraining is taken by a run of other settings or data.
        """
        method = self.study.method(unit.method)
        if unit.task:
            return not self.missing_labels(method, unit.seed, unit.task)
        return self.finished_run(method, unit.seed) is not None

    def amount_done(self, unit: Unit) -> int:
        """The finished epochs of a pretraining; the numbers of labels at which an evaluation is done."""
        method = self.study.method(unit.method)
        if unit.task:
            return unit.amount - len(self.missing_labels(method, unit.seed, unit.task))
        run = self.started_run(method, unit.seed)
        return 0 if run is None else len(run.history())

    def finished_run(self, method: Method, seed: int) -> Run | None:
        """The finished pretraining of a method and seed; None if there is none, or only a part of it.

        Raises:
            InputError: its place is taken by a run of other settings or data.
        """
        run = self.started_run(method, seed)
        return run if run is not None and is_finished(run) else None

    def started_run(self, method: Method, seed: int) -> Run | None:
        """The run directory of a pretraining, with the settings that it has now; None if it is yet to be made.

        Raises:
            InputError: it is one of other settings or data.
        """
        path = self.folder.run(method, seed)
        if self.data.pretraining is None or not is_started(path):
            return None
        return continued(path, self.study.config(method, seed), self.data.pretraining)

    def missing_labels(self, method: Method, seed: int, task: str) -> list[float]:
        """The numbers of labels at which a method and seed are still to be evaluated."""
        return [labels for labels in self.study.labels if not self.is_evaluated(method, seed, task, labels)]

    def is_evaluated(self, method: Method, seed: int, task: str, labels: float) -> bool:
        """Whether there is an evaluation, and of what would be evaluated now."""
        wanted = self.made_of(method, seed, task, labels)
        path = self.folder.evaluation(method, seed, task, labels)
        try:
            with np.load(path, allow_pickle=False) as stored:
                about = json.loads(str(stored["about"]))["about"]  # the arrays, which are large, are not read
        except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile):
            return False
        return wanted is not None and about.get("made_of") == wanted

    def made_of(self, method: Method, seed: int, task: str, labels: float) -> dict[str, Any] | None:
        """All that an evaluation depends on, in plain values; None while its encoder or its division is lacking."""
        encoder: dict[str, Any]
        config = self.study.config(method, seed)
        if method.kind in ("random", "scratch"):
            encoder = {"width": config.encoder_width, "embedding_dim": config.embedding_dim, "seed": seed}
        else:
            origin = self.study.method(method.of) if method.of else method
            run = self.finished_run(origin, seed)
            if run is None:
                return None
            encoder = {"sha256": sha256_of(run.path / ENCODER_FILE)}
        split = self.folder.split(task)
        if not split.is_file():
            return None
        whole_network = method.kind in ("scratch", "finetune")
        protocol = dataclasses.asdict(dataclasses.replace(self.study.protocol(method), fractions=(labels,)))
        if protocol["penalty"] == "validation":  # evaluations of versions without a choice are of this one
            for name in ("penalty", "folds", "few_labels_strength"):
                del protocol[name]
        return json.loads(  # type: ignore[no-any-return]  # lists for tuples, as they are read again
            json.dumps(
                {
                    "format": _FORMAT,
                    "kind": method.kind,
                    "task": task,
                    "data_sha256": self.data.evaluation.sha256,
                    "split_sha256": sha256_of(split),
                    "encoder": encoder,
                    "window_samples": config.window_samples,
                    "mixed_precision": whole_network and config.mixed_precision,
                    "protocol": protocol,
                    "fine_tuning": dataclasses.asdict(self.fine_tuning) if whole_network else None,
                }
            )
        )


# ---- The work on one method and seed of a study: pretraining, then its evaluations, each skipped if it is done.


Tell = Callable[[Message], None]


@dataclass(frozen=True)
class Work:
    """Does the jobs of a study; it is sent to the processes that work."""

    study: Study
    folder: Folder
    draw_masks: "DrawMasks | None"

    def log(self, job: StudyJob) -> Path:
        """The file that takes what is printed while a job is done."""
        return self.folder.log(self.study.method(job.method), job.seed)

    def do(self, job: StudyJob, tell: Tell) -> JobEnded:
        """Do the missing part of a job, and report its progress.

        Raises:
            InputError: the data, the settings and what is there already do not go together.
        """
        method = self.study.method(job.method)
        trained = method.kind in ("scratch", "finetune")
        with locked(self.folder.lock(method, job.seed)) as mine:
            if not mine:
                return JobEnded(busy=True, fresh=True)
            for unit in job.units:
                if not self._state.is_done(unit):
                    if unit.task:
                        self._evaluate(method, unit, tell)
                    else:
                        self._pretrain(method, unit, tell)
                        trained = True
                tell(UnitFinished(unit))
        return JobEnded(busy=False, fresh=not trained)

    @cached_property
    def _state(self) -> "State":
        from ecg_advmask.study.data import StudyData

        return State(StudyData.open(self.study, self.folder))

    def _pretrain(self, method: Method, unit: Unit, tell: Tell) -> None:
        from keras.callbacks import LambdaCallback

        from ecg_advmask.pretrain.trainer import pretrain

        data = self._state.data.pretraining
        assert data is not None, "`file` sees to it"
        tell(UnitStarted(unit, self._state.amount_done(unit)))

        def log(line: str) -> None:
            print(line, flush=True)
            if line.startswith("warning"):
                tell(JobLine(line))

        reporter: Any = LambdaCallback(  # of as many epochs as there are, also where the settings state updates
            on_epoch_end=lambda epoch, _: tell(UnitProgress(epoch + 1, reporter.params["epochs"]))
        )
        pretrain(
            data,
            self.folder.run(method, unit.seed),
            self.study.config(method, unit.seed),
            resume=True,
            draw_masks=self.draw_masks,
            log=log,
            callbacks=[reporter],
        )

    def _evaluate(self, method: Method, unit: Unit, tell: Tell) -> None:
        """Evaluate at the numbers of labels that are missing, and store each as it is done."""
        import dataclasses

        from ecg_advmask.evaluate.evaluation import draws_of, evaluate, store_evaluation

        state, data = self._state, self._state.data
        split = data.split(unit.task)
        missing = state.missing_labels(method, unit.seed, unit.task)
        done = unit.amount - len(missing)
        tell(UnitStarted(unit, done))
        fit, about = self._fit(method, unit.seed, split)
        for labels in missing:
            protocol = dataclasses.replace(self.study.protocol(method), fractions=(labels,))
            made_of = state.made_of(method, unit.seed, unit.task, labels)
            fits = _Counter(draws_of(split, protocol), done, len(self.study.labels), tell)
            evaluation = evaluate(fit, split, protocol, fits.one_more)
            path = self.folder.evaluation(method, unit.seed, unit.task, labels)
            store_evaluation(path, evaluation, about | {"made_of": made_of})
            done += 1

    def _fit(self, method: Method, seed: int, split: "Split") -> "tuple[Fit, dict[str, Any]]":
        """What learns from drawn labels, and the metadata of its encoder."""
        from ecg_advmask.evaluate.experiment import Experiment
        from ecg_advmask.models.resnet import weights_sha256
        from ecg_advmask.pretrain.run import random_encoder

        state, data = self._state, self._state.data
        config = self.study.config(method, seed)
        if method.kind in ("random", "scratch"):
            encoder = random_encoder(config, seed)
        else:
            run = state.finished_run(self.study.method(method.of) if method.of else method, seed)
            assert run is not None, "its job has ended"
            data.check_unseen(run, split)
            encoder = run.encoder()

        def embedded(one: Any) -> Any:
            return data.embeddings(one, config.window_samples)[data.places(split)]

        settings = state.fine_tuning if method.kind in ("scratch", "finetune") else None
        experiment = Experiment(config, data.evaluation, split, self.study.protocol(method), embedded, settings)
        fit = experiment.fit(encoder, from_scratch=method.kind == "scratch")
        return fit, {"encoder_sha256": weights_sha256(encoder)}


class _Counter:
    """Counts the fits at one number of labels, and reports how much of a whole evaluation is done."""

    def __init__(self, fits: int, before: int, numbers_of_labels: int, tell: Tell) -> None:
        self._fits, self._before, self._of, self._tell = fits, before, numbers_of_labels, tell
        self._done = 0

    def one_more(self) -> None:
        self._done += 1
        self._tell(UnitProgress(self._before * self._fits + self._done, self._of * self._fits))
