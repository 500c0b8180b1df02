"""Accuracy, macro AUROC and macro F1 of class probabilities, with bootstrap intervals over patients.

In: true classes ``labels (n,)`` int in 0..C-1 and ``probabilities (n, C)`` float, each row summing to one. The
resamples of a test set are drawn once and shared by everything that is compared on it, which is what makes differences
paired. A resample is a column of counts: how often each recording was drawn.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.floating]


_CHUNK: Final = 50


def accuracy(labels: IntArray, probabilities: FloatArray) -> float:
    """Share of recordings whose likeliest class is the true one."""
    return float(accuracy_score(labels, probabilities.argmax(axis=1)))


def macro_auroc(labels: IntArray, probabilities: FloatArray) -> float:
    """Area under the ROC curve of each class against the rest, averaged over classes without weights.

    Raises:
        ValueError: a class has no recording.
    """
    classes = range(probabilities.shape[1])
    return float(np.mean([roc_auc_score(_is_class(labels, k), probabilities[:, k]) for k in classes]))


def macro_f1(labels: IntArray, probabilities: FloatArray) -> float:
    """F1 of each class at the likeliest class, averaged without weights; 0 for a class never met nor predicted."""
    classes = list(range(probabilities.shape[1]))
    likeliest = probabilities.argmax(axis=1)
    return float(f1_score(labels, likeliest, labels=classes, average="macro", zero_division=0.0))


METRICS: Final[dict[str, Callable[[IntArray, FloatArray], float]]] = {
    "accuracy": accuracy,
    "macro_auroc": macro_auroc,
    "macro_f1": macro_f1,
}


def resample_counts(
    labels: IntArray, patients: npt.NDArray[np.object_], resamples: int, seed: int
) -> npt.NDArray[np.float32]:
    """How often each recording occurs in each bootstrap resample of a test set, ``(n, resamples)``.

    Patients are drawn with replacement, all recordings of a patient together, because recordings of one patient are
    not independent. They are drawn within strata, a patient's stratum being the rarest of their classes, so that every
    resample holds about as many recordings of each class as the test set does.
    """
    rng = np.random.default_rng(seed)
    patient_names, patient_of = np.unique(patients.astype(str), return_inverse=True)
    rank_of_class = np.argsort(np.argsort(np.bincount(labels), kind="stable"))
    stratum = np.full(len(patient_names), len(rank_of_class))
    np.minimum.at(stratum, patient_of, rank_of_class[labels])
    times_drawn = np.zeros((len(patient_names), resamples), np.float32)
    for members in (np.flatnonzero(stratum == value) for value in np.unique(stratum)):
        drawn = rng.integers(len(members), size=(resamples, len(members)))
        cells = drawn + len(members) * np.arange(resamples)[:, None]
        counts = np.bincount(cells.ravel(), minlength=cells.size)
        times_drawn[members] = counts.reshape(resamples, len(members)).T
    return times_drawn[patient_of]


def resampled_metrics(
    labels: IntArray, probabilities: FloatArray, counts: npt.NDArray[np.float32]
) -> dict[str, npt.NDArray[np.float64]]:
    """Each metric of `METRICS` on each resample, ``(resamples,)``; AUROC is NaN where a resample lacks a class."""
    likeliest = probabilities.argmax(axis=1)
    total = counts.sum(axis=0, dtype=np.float64)
    auroc, f1 = [], []
    for k in range(probabilities.shape[1]):
        true, predicted = labels == k, likeliest == k
        both = counts[true & predicted].sum(axis=0, dtype=np.float64)
        either = counts[true].sum(axis=0) + counts[predicted].sum(axis=0)
        f1.append(2 * both / np.maximum(either, 1))
        auroc.append(_weighted_auroc(true, probabilities[:, k], counts))
    return {
        "accuracy": counts[labels == likeliest].sum(axis=0) / total,
        "macro_auroc": np.mean(auroc, axis=0),
        "macro_f1": np.mean(f1, axis=0),
    }


def bootstrap_interval(resampled: npt.NDArray[np.float64], level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of a metric, or of a paired difference, from its values on resamples ``(resamples,)``."""
    tail = 50 * (1 - level)
    low, high = np.nanpercentile(resampled, [tail, 100 - tail])
    return float(low), float(high)


@dataclass(frozen=True)
class Measured:
    """One model on a test set: each metric of `METRICS` on the whole set, and on every resample ``(resamples,)``."""

    values: dict[str, float]
    resampled: dict[str, npt.NDArray[np.float64]]

    @classmethod
    def on(cls, labels: IntArray, probabilities: FloatArray, counts: npt.NDArray[np.float32]) -> "Measured":
        """Measure ``probabilities`` on the test set and on the resamples given by ``counts``."""
        values = {name: metric(labels, probabilities) for name, metric in METRICS.items()}
        return cls(values, resampled_metrics(labels, probabilities, counts))

    def minus(self, other: "Measured") -> "Measured":
        """The paired difference: both models must have been tested on the same recordings and resamples."""
        return Measured(
            {name: value - other.values[name] for name, value in self.values.items()},
            {name: values - other.resampled[name] for name, values in self.resampled.items()},
        )


def _is_class(labels: IntArray, k: int) -> IntArray:
    return np.where(labels == k, 1, 0)


def _weighted_auroc(
    positive: npt.NDArray[np.bool_], scores: FloatArray, counts: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    """AUROC as the share of (positive, negative) pairs in the right order, ties counting half, on every resample.

    The scores are sorted once; on a resample only the weights of the pairs differ, and a running sum over the sorted
    negatives holds the weight that lies below each positive.
    """
    order = np.argsort(scores[~positive])
    negative_scores = scores[~positive][order]
    below = np.searchsorted(negative_scores, scores[positive], side="left")
    up_to = np.searchsorted(negative_scores, scores[positive], side="right")
    tied = up_to > below
    auroc = np.full(counts.shape[1], np.nan)
    for part in range(0, counts.shape[1], _CHUNK):  # so many resamples at a time stay in the processor's cache
        chunk = counts[:, part : part + _CHUNK]
        positive_weights, negative_weights = chunk[positive], chunk[~positive]
        weight_below = np.zeros((len(order) + 1, chunk.shape[1]), np.float32)
        np.cumsum(negative_weights[order], axis=0, out=weight_below[1:])
        beaten = weight_below[below]
        beaten[tied] = (beaten[tied] + weight_below[up_to[tied]]) / 2
        pairs = positive_weights.sum(axis=0) * weight_below[-1]
        in_order = (positive_weights * beaten).sum(axis=0, dtype=np.float64)
        np.divide(in_order, pairs, out=auroc[part : part + _CHUNK], where=pairs > 0)
    return auroc
