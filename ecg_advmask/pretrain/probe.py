"""An online probe: what a linear head makes of the encoder while it is pretrained, on labelled pretraining patients.

The contrastive loss cannot tell when to stop, since the adversary raises it. The probe can; it never sees a recording
of a patient that the run holds back for evaluation.
"""

from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ecg_advmask.config import Config
from ecg_advmask.datasets.labels import classes_and_reasons
from ecg_advmask.datasets.splits import split_by_patient
from ecg_advmask.errors import InputError
from ecg_advmask.pipeline.shards import DataSet
from ecg_advmask.pipeline.stream import ordered
from ecg_advmask.scaling import scale_to_unit

MOST_RECORDINGS: Final = 2000
_SHARES: Final = {"fitted": 0.5, "judged": 0.5}
_SPLIT_SEED: Final = 2021
_BATCH: Final = 128


class Probe:
    """Macro AUROC of a logistic regression on embeddings, fitted on half of the labelled patients, judged on the rest.

    Attributes:
        best: the highest AUROC so far; minus infinity before the first.
        best_epoch: the epoch in which it was reached, counted from 1; 0 before the first.
    """

    def __init__(self, data: DataSet, rows: npt.NDArray[np.int64], config: Config) -> None:
        """Choose the first window of each labelled recording among ``rows``, of at most `MOST_RECORDINGS`.

        Raises:
            InputError: there is no such task, or fewer than two classes have recordings in both halves.
        """
        self.data, self.samples = data, config.window_samples
        self.best, self.best_epoch = -np.inf, 0
        records = data.records.iloc[rows].drop_duplicates("id")
        classes, _ = classes_and_reasons(records, data.labels, config.probe_task)
        labelled = np.flatnonzero(classes.notna())
        chosen = np.sort(np.random.default_rng(_SPLIT_SEED).permutation(labelled)[:MOST_RECORDINGS])
        self.rows = records.index.to_numpy()[chosen]
        names, self.labels = np.unique(classes.to_numpy()[chosen].astype(str), return_inverse=True)
        patients = records["patient"].to_numpy()[chosen]
        part = split_by_patient(patients, self.labels, _SHARES, _SPLIT_SEED)
        self.fitted, self.judged = (np.flatnonzero(part == name) for name in _SHARES)
        common = set(self.labels[self.fitted]) & set(self.labels[self.judged])
        if len(names) < 2 or len(common) < len(names):
            raise InputError(
                f"{data.path}: probe_task {config.probe_task} finds too few labels ({len(self.rows)} recordings of "
                f"{len(names)} classes) among the pretraining patients, choose another task or leave it out"
            )

    def auroc(self, encoder: keras.Model) -> float:
        """Judge an encoder, in inference mode."""
        embed = tf.function(lambda signals: encoder(scale_to_unit(signals), training=False))
        batches = ordered(self.data, _BATCH, self.rows, self.samples)
        embeddings = np.concatenate([embed(signals).numpy() for signals, _ in batches])
        head = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=200))
        head.fit(embeddings[self.fitted], self.labels[self.fitted])
        scores = head.predict_proba(embeddings[self.judged])
        truth = self.labels[self.judged]
        if scores.shape[1] == 2:
            return float(roc_auc_score(truth, scores[:, 1]))
        return float(roc_auc_score(truth, scores, multi_class="ovr", average="macro"))

    def remember(self, epoch: int, auroc: float) -> bool:
        """Take note of an epoch's value; whether it is the best so far."""
        if auroc > self.best:
            self.best, self.best_epoch = auroc, epoch
        return self.best_epoch == epoch


class Probing(keras.callbacks.Callback):  # type: ignore[misc]
    """Runs the probe after every few epochs, adds its value to the logs, and stops a run that no longer gains."""

    def __init__(self, probe: Probe, config: Config, history: dict[int, float]) -> None:
        """``history`` holds the values of earlier epochs, of a run that is resumed."""
        super().__init__()
        self.probe, self.config = probe, config
        for epoch, value in sorted(history.items()):
            probe.remember(epoch, value)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        number = epoch + 1
        if number % self.config.probe_every and number < self.config.epochs:
            return
        value = self.probe.auroc(self.model.encoder)
        self.probe.remember(number, value)
        if logs is not None:
            logs["probe_auroc"] = value
        self.model.stop_training = self.is_over(number)

    def is_over(self, epoch: int) -> bool:
        """Whether training ends after this epoch for lack of progress."""
        patience = self.config.patience
        return bool(patience) and epoch - self.probe.best_epoch >= patience
