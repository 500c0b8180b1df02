"""An online probe: a linear head evaluated during pretraining, on labelled pretraining patients.

The contrastive loss does not show when to stop, since the adversary raises it. The probe can; it never sees a recording
of a patient that the run holds back for evaluation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ecg_advmask.config import Config
from ecg_advmask.data.batches import ordered
from ecg_advmask.data.dataset import DataSet
from ecg_advmask.data.scaling import scale_to_unit
from ecg_advmask.data.split import split_by_patient
from ecg_advmask.data.targets import targets_of
from ecg_advmask.errors import InputError
from ecg_advmask.pretrain import checkpoints
from ecg_advmask.pretrain.history import stored
from ecg_advmask.pretrain.run import CHECKPOINTS, ENCODER_FILE, PROBE_AUROC, Run

# ---- When a pretraining ends: after all of its epochs, or when its probe gains no more.


def best_epoch(probed: Mapping[int, float]) -> int:
    """The epoch with the best probe, the first of equals; 0 if there is none.

    ``probed`` holds the mean AUROC of each epoch that was probed, as the history has it.
    """
    return min(probed, key=lambda epoch: (-probed[epoch], epoch), default=0)


def should_stop(run: Run, probed: Mapping[int, float], epoch: int) -> bool:
    """Whether training ends after an epoch: it is the last, or the probe finds no gain in ``patience`` epochs.

    The probe can end a run only in an epoch in which it is asked.
    """
    if epoch >= run.epochs:
        return True
    known, patience = {number: auroc for number, auroc in probed.items() if number <= epoch}, run.config.patience
    return patience > 0 and epoch in known and epoch - best_epoch(known) >= patience


def is_finished(run: Run) -> bool:
    """Whether a run directory holds a pretraining that has come to its end, by its settings as ``run`` has them.

    An epoch counts from its checkpoint on. The contents of the checkpoints are not read: whether they are whole matters
    to who continues a run, and a finished one is over.
    """
    saved = checkpoints.found(run.path / CHECKPOINTS)
    if not saved or not (run.path / ENCODER_FILE).is_file():
        return False
    return should_stop(run, run.probed(), checkpoints.epoch_of(saved[-1]))


MOST_RECORDINGS: Final = 2000
_SHARES: Final = {"fitted": 0.5, "judged": 0.5}
_SPLIT_SEED: Final = 2021
_BATCH: Final = 128


@dataclass(frozen=True)
class _Task:
    """Labels of some of the probe's recordings: ``places`` among them, and which of these are fitted and judged."""

    places: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    fitted: npt.NDArray[np.int64]
    judged: npt.NDArray[np.int64]

    def auroc(self, embeddings: npt.NDArray[np.float32]) -> float:
        """Macro AUROC of a logistic regression on the embeddings (all of the probe's recordings, D)."""
        # imported here, so that the first step of a run does not wait for them
        from sklearn.linear_model import LogisticRegression
        from sklearn.metrics import roc_auc_score
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        own = embeddings[self.places]
        head = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=200))
        head.fit(own[self.fitted], self.labels[self.fitted])
        scores = head.predict_proba(own[self.judged])
        truth = self.labels[self.judged]
        if scores.shape[1] == 2:
            return float(roc_auc_score(truth, scores[:, 1]))
        return float(roc_auc_score(truth, scores, multi_class="ovr", average="macro"))


class Probe:
    """Macro AUROC of logistic regressions on embeddings, fitted on half of the labelled patients, judged on the rest.

    Attributes:
        names: what `judge` gives.
    """

    def __init__(self, data: DataSet, rows: npt.NDArray[np.int64], config: Config) -> None:
        """Choose the first window of each labelled recording among ``rows``, of at most `MOST_RECORDINGS` per task.

        Raises:
            InputError: there is no such task, it is not one of classes, or fewer than two classes have recordings in
                both halves.
        """
        self.data, self.samples = data, config.window_samples
        self.names = (PROBE_AUROC, *(f"probe_{task}" for task in config.probe_tasks))
        records = data.records.iloc[rows].drop_duplicates("id")
        targets = {task: targets_of(records, data.labels, task) for task in config.probe_tasks}
        for task, found in targets.items():
            if found.kind != "classes":
                raise InputError(
                    f"{data.path}: {task} is no task of classes, which the probe needs; choose other probe_tasks or "
                    "none"
                )
        order = np.random.default_rng(_SPLIT_SEED).permutation(len(records))
        chosen = {task: np.sort(order[found.known[order]][:MOST_RECORDINGS]) for task, found in targets.items()}
        union = np.unique(np.concatenate(list(chosen.values())))
        self.rows = records.index.to_numpy()[union]
        patients = records["patient"].to_numpy()
        self.tasks: dict[str, _Task] = {}
        for task, own in chosen.items():
            names, labels = np.unique(targets[task].texts()[own].astype(str), return_inverse=True)
            part = split_by_patient(patients[own], labels, _SHARES, _SPLIT_SEED)
            fitted, judged = (np.flatnonzero(part == name) for name in _SHARES)
            if len(names) < 2 or len(set(labels[fitted]) & set(labels[judged])) < len(names):
                raise InputError(
                    f"{data.path}: the probe of {task} finds too few labels ({len(own)} recordings of {len(names)} "
                    "classes) among the pretraining patients, choose other probe_tasks or none"
                )
            self.tasks[task] = _Task(np.searchsorted(union, own), labels, fitted, judged)

    def judge(self, encoder: keras.Model) -> dict[str, float]:
        """AUROC of an encoder in inference mode: the mean over tasks as ``probe_auroc``, each as ``probe_TASK``."""
        embed = tf.function(lambda signals: encoder(scale_to_unit(signals), training=False))
        batches = ordered(self.data, _BATCH, self.rows, self.samples)
        embeddings = np.concatenate([embed(signals).numpy() for signals, _ in batches])
        each = {f"probe_{name}": task.auroc(embeddings) for name, task in self.tasks.items()}
        return {PROBE_AUROC: float(np.mean(list(each.values()))), **each}


class Probing(keras.callbacks.Callback):  # type: ignore[misc]
    """Runs the probe after every few epochs, adds its values to the logs, and stops a run that no longer gains.

    What it decides depends on the history alone, in the digits that are kept there: a resumed run decides the same.
    """

    def __init__(self, probe: Probe, run: Run) -> None:
        super().__init__()
        self.probe, self.run = probe, run
        self.probed = run.probed()  # the mean AUROC of earlier epochs, of a run that is resumed

    @property
    def best_epoch(self) -> int:
        """The epoch with the best probe so far, counted from 1; 0 before the first."""
        return best_epoch(self.probed)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        number = epoch + 1
        if number % self.run.config.probe_every and number < self.run.epochs:
            return
        values = self.probe.judge(self.model.kept_encoder)
        self.probed[number] = stored(values[PROBE_AUROC])
        if logs is not None:
            logs.update(values)
        self.model.stop_training = should_stop(self.run, self.probed, number)
