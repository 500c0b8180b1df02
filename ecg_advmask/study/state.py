"""What of a study is done: finished pretrainings, and stored evaluations of what would be evaluated now."""

import dataclasses
import json
import zipfile
from typing import Any, Final

import numpy as np

from ecg_advmask.evaluate.finetune import FineTuning
from ecg_advmask.files import sha256_of
from ecg_advmask.pretrain.ending import is_finished
from ecg_advmask.pretrain.resume import continued
from ecg_advmask.pretrain.run import ENCODER_FILE, Run, is_begun
from ecg_advmask.study.data import StudyData
from ecg_advmask.study.design import Method
from ecg_advmask.study.units import Unit

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
        run = self.begun_run(method, unit.seed)
        return 0 if run is None else len(run.history())

    def finished_run(self, method: Method, seed: int) -> Run | None:
        """The finished pretraining of a method and seed; None if there is none, or only a part of it.

        Raises:
            InputError: its place is taken by a run of other settings or data.
        """
        run = self.begun_run(method, seed)
        return run if run is not None and is_finished(run) else None

    def begun_run(self, method: Method, seed: int) -> Run | None:
        """The run directory of a pretraining, with the settings that it has now; None if it is yet to be made.

        Raises:
            InputError: it is one of other settings or data.
        """
        path = self.folder.run(method, seed)
        if self.data.pretraining is None or not is_begun(path):
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
        protocol = dataclasses.replace(self.study.protocol(method), fractions=(labels,))
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
                    "protocol": dataclasses.asdict(protocol),
                    "fine_tuning": dataclasses.asdict(self.fine_tuning) if whole_network else None,
                }
            )
        )
