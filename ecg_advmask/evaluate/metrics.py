"""The metrics of every evaluation, on a whole test set and on each of its bootstrap resamples.

In: truth and predictions of n recordings, by the kind of task:

======== =========================== ====================================================
kind     truth                       predicted
======== =========================== ====================================================
classes  (n,) int, 0..C-1            (n, C) probabilities, each row summing to one
labels   (n, C) int, 0 or 1          (n, C) probabilities, each label for itself
number   (n,) float                  (n,) float, in the same unit
======== =========================== ====================================================

`DEFINITIONS` says what each metric is, its range, and which way is better. Values on the whole test set come from
scikit-learn where it has the metric; those on resamples from `resampled`, which computes all resamples at once.

The calibration error is that of Naeini, Cooper and Hauskrecht (Obtaining well calibrated probabilities using Bayesian
binning, AAAI 2015), for classes as by Guo, Pleiss, Sun and Weinberger (On calibration of modern neural networks, ICML
2017).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    confusion_matrix,
    f1_score,
    mean_absolute_error,
    precision_recall_fscore_support,
    r2_score,
    roc_auc_score,
)

from ecg_advmask.data.targets import Kind

# ---- Metrics on all bootstrap resamples at once; their definitions are in `metrics`.
#
# In: truth and predictions of n recordings, and ``counts (n, R)`` float32, how often each recording is in each
# resample. Out: each metric ``(R,)`` float64. What a metric sums over recordings is the product of a sparse matrix with
# the counts, so that a recording costs one pass over its counts. Counts and sums of them are whole numbers, exact in
# float32 up to 2 ** 24 recordings.

Counts = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.floating]
Values = npt.NDArray[np.float64]

CALIBRATION_BINS: Final = 15


def ranking(positive: Flags, scores: FloatArray, counts: Counts) -> tuple[Values, Values]:
    """AUROC and average precision of ``scores (n,)`` for ``positive (n,)``, on every resample.

    Only the scores of positives matter as thresholds. At each of them, from the highest down, running sums over the
    resampled recordings give how many positives and how many negatives have at least that score.

    Returns:
        AUROC ``(R,)``, NaN where a resample has no positive or no negative; average precision ``(R,)``, NaN where it
        has no positive.
    """
    thresholds = np.unique(scores[positive])
    reached = len(thresholds) - np.searchsorted(thresholds, scores, side="right")  # 0: the highest threshold
    tied = ~positive & np.isin(scores, thresholds)
    positives, negatives, ties = (
        _grouped(np.flatnonzero(which), reached[which], None, len(thresholds) + 1, counts)
        for which in (positive, ~positive, tied)
    )
    found, mistaken = _running_sum(positives.copy()), _running_sum(negatives)
    all_positives, all_negatives = found[-1], mistaken[-1]
    in_order = positives * (all_negatives - mistaken + ties / 2)
    auroc = _ratio(in_order.sum(axis=0, dtype=np.float64), all_positives.astype(np.float64) * all_negatives)
    precise = positives * np.divide(found, found + mistaken, out=np.zeros_like(found), where=positives > 0)
    return auroc, _ratio(precise.sum(axis=0, dtype=np.float64), all_positives)


def decisions(truth: Flags, decided: Flags, counts: Counts) -> tuple[Values, Values, Values]:
    """What follows from ``decided (n, C)``, whether each class or label was predicted, on every resample.

    Returns:
        Hits ``(C, R)``, recordings of each class that were predicted so; recall ``(C, R)``, NaN where a resample lacks
        the class; F1 ``(C, R)``, 0 where the class is neither there nor predicted.
    """
    hits, true, predicted = (_columns(flags, counts) for flags in (truth & decided, truth, decided))
    return hits, _ratio(hits, true), np.nan_to_num(_ratio(2 * hits, true + predicted))


def calibration_errors(truth: Flags, probabilities: FloatArray, counts: Counts) -> Values:
    """Expected calibration error of each column of ``probabilities (n, C)`` on every resample, ``(C, R)``."""
    n, columns = probabilities.shape
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1]
    bins = np.searchsorted(edges, probabilities) + CALIBRATION_BINS * np.arange(columns)
    gaps = truth.astype(np.float64) - probabilities
    rows = np.repeat(np.arange(n), columns)
    sums = _grouped(rows, bins.ravel(), gaps.ravel(), CALIBRATION_BINS * columns, counts)
    errors = np.abs(sums).reshape(columns, CALIBRATION_BINS, -1).sum(axis=1)
    return _ratio(errors, counts.sum(axis=0, dtype=np.float64))


def errors_of_number(truth: FloatArray, predicted: FloatArray, counts: Counts) -> tuple[Values, Values]:
    """MAE and R2 of ``predicted (n,)`` on every resample; R2 is NaN where a resample holds one number only."""
    centred = truth.astype(np.float64) - truth.mean(dtype=np.float64)  # keeps the digits of the spread
    errors = predicted.astype(np.float64) - truth
    terms = np.stack([np.abs(errors), errors**2, centred, centred**2])
    absolute, squared, sums, squares = _weighted_sums(csr_array(terms), counts)
    total = counts.sum(axis=0, dtype=np.float64)
    spread = squares - _ratio(sums**2, total)
    spread[spread <= 1e-12 * squares] = 0  # all numbers equal, but for rounding
    return _ratio(absolute, total), 1 - _ratio(squared, spread)


def _columns(flags: Flags, counts: Counts) -> Values:
    """Sum of the counts of the recordings that each column of ``flags (n, C)`` marks, ``(C, R)``."""
    return _weighted_sums(csr_array(flags.T.astype(np.float32)), counts).astype(np.float64)


def _grouped(
    rows: npt.NDArray[np.int64],
    groups: npt.NDArray[np.int64],
    values: Values | None,
    number_of_groups: int,
    counts: Counts,
) -> npt.NDArray[Any]:
    """Sum over the recordings ``rows`` of a group of their counts, times ``values`` if given, ``(groups, R)``."""
    entries = np.ones(len(rows), np.float32) if values is None else values
    return _weighted_sums(csr_array((entries, (groups, rows)), shape=(number_of_groups, len(counts))), counts)


def _weighted_sums(weights: Any, counts: Counts) -> npt.NDArray[Any]:
    """Product of a sparse ``weights (m, n)`` with the counts, ``(m, R)``, in the precision of the weights."""
    sums: npt.NDArray[Any] = weights @ counts
    return sums


def _running_sum(rows: Counts) -> Counts:
    """Cumulative sum over the first axis, in place: row by row, which is many times faster than `numpy.cumsum`."""
    for place in range(1, len(rows)):
        rows[place] += rows[place - 1]
    return rows


def _ratio(numerator: npt.NDArray[Any], denominator: npt.NDArray[Any]) -> Values:
    """Their ratio, NaN where the denominator is zero."""
    shape = np.broadcast_shapes(numerator.shape, denominator.shape)
    quotient: Values = np.divide(numerator, denominator, out=np.full(shape, np.nan), where=denominator != 0)
    return quotient


IntArray = npt.NDArray[np.int64]

PRIMARY: Final[dict[Kind, str]] = {"classes": "macro_auroc", "labels": "macro_auroc", "number": "mae"}
"""The metric that an evaluation is judged by, and by which heads are chosen, of each kind of task."""

LOWER_IS_BETTER: Final = frozenset({"mae", "calibration_error"})
"""Of every other metric a larger value is better."""

DECISION_THRESHOLD: Final = 0.5
"""A label is predicted where its probability is at least this."""

DEFINITIONS: Final[dict[str, str]] = {
    "accuracy": "share of recordings whose likeliest class is the true one; 0 to 1, more is better",
    "balanced_accuracy": "recall of each class at the likeliest class, averaged over the classes that occur; 0 to 1, "
    "more is better",
    "macro_auroc": "area under the ROC curve of each class against all others, or of each label, averaged without "
    "weights; 0 to 1, chance 0.5, more is better",
    "macro_average_precision": "average precision, the sum over thresholds of the precision there times the recall "
    "gained there, of each class or label, averaged without weights; 0 to 1, chance the mean prevalence, more is "
    "better",
    "macro_f1": "harmonic mean of precision and recall of each class at the likeliest class, or of each label at a "
    "probability of at least 0.5 (0 where neither there nor predicted), averaged without weights; 0 to 1, more is "
    "better",
    "calibration_error": f"expected calibration error over {CALIBRATION_BINS} bins of equal width, closed above: mean "
    "over recordings of the distance, in their bin, between mean probability and share of correct ones. Classes: of "
    "the likeliest class (Guo et al. 2017); labels: of each label's probability (Naeini et al. 2015), averaged over "
    "labels; 0 to 1, less is better",
    "mae": "mean absolute error, in the unit of the number; 0 upwards, less is better",
    "r2": "coefficient of determination, 1 - squared errors / squared deviations of the truth from its mean; at most "
    "1, 0 for predicting that mean, more is better",
}
"""What each metric is. `auroc:NAME`, `average_precision:NAME` and `f1:NAME` are the terms of the macro averages."""


@dataclass(frozen=True)
class Measured:
    """One prediction of a test set: each metric on the whole set, and on every resample ``(R,)``, by its name."""

    values: dict[str, float]
    resampled: dict[str, Values]

    def minus(self, other: "Measured") -> "Measured":
        """The paired difference: both predictions must be of the same recordings, measured on the same resamples."""
        return Measured(
            {name: value - other.values[name] for name, value in self.values.items()},
            {name: values - other.resampled[name] for name, values in self.resampled.items()},
        )


def bounds_of(metric: str) -> tuple[float, float]:
    """The range of a metric, of `DEFINITIONS` or of a single class or label; infinite where it has no limit."""
    if metric == "mae":
        return 0.0, np.inf
    if metric == "r2":
        return -np.inf, 1.0
    known = metric in DEFINITIONS or metric.partition(":")[0] in ("auroc", "average_precision", "f1")
    return (0.0, 1.0) if known else (-np.inf, np.inf)


def measure(
    kind: Kind, names: Sequence[str], truth: npt.NDArray[Any], predicted: FloatArray, counts: Counts
) -> Measured:
    """Every metric of the kind on the whole test set and on its resamples.

    Args:
        kind: what is predicted.
        names: of the C classes or labels; not used for a number.
        truth: as the head of this module says; known for every recording.
        predicted: likewise; finite.
        counts: (n, R) from `bootstrap.resample_counts`.

    Returns:
        Metrics in the order of `DEFINITIONS`, then those of single classes or labels. NaN where a metric is not
        defined: AUROC where only one of class and rest occurs, average precision of a class that does not occur, R2 of
        equal numbers, and the macro averages that hold one of them. The calibration error of a finite test set is too
        large, as chance alone parts probability and share in a bin, and that of a resample is so twice over: its
        resampled values are moved (not below 0) to have the value on the test set as their mean, so that their interval
        is that of test sets of this size.
    """
    values = values_of(kind, names, truth, predicted)
    resampled = resampled_values_of(kind, names, truth, predicted, counts)
    if "calibration_error" in values:
        errors = resampled["calibration_error"]
        resampled["calibration_error"] = np.maximum(errors - errors.mean() + values["calibration_error"], 0)
    return Measured(values, resampled)


def values_of(kind: Kind, names: Sequence[str], truth: npt.NDArray[Any], predicted: FloatArray) -> dict[str, float]:
    """Every metric of the kind on the whole test set; arguments and NaN as in `measure`."""
    if kind == "number":
        varied = len(np.unique(truth)) > 1
        r2 = float(r2_score(truth, predicted)) if varied else float("nan")
        return {"mae": float(mean_absolute_error(truth, predicted)), "r2": r2}
    true = _indicators(kind, truth, predicted)
    overall = {}
    if kind == "classes":
        classes = list(range(predicted.shape[1]))
        likeliest = predicted.argmax(axis=1)
        _, recall, f1, occurs = precision_recall_fscore_support(truth, likeliest, labels=classes, zero_division=0.0)
        overall = {"accuracy": accuracy_score(truth, likeliest), "balanced_accuracy": recall[occurs > 0].mean()}
    else:
        f1 = _f1_of_labels(truth, predicted >= DECISION_THRESHOLD)
    once = np.ones((len(truth), 1), np.float32)
    each = {"auroc": _aurocs(true, predicted), "average_precision": _average_precisions(true, predicted), "f1": f1}
    overall |= {f"macro_{metric}": values.mean() for metric, values in each.items()}
    overall["calibration_error"] = _calibration(kind, true, predicted, once)[0]
    return {name: float(value) for name, value in (overall | _by_name(each, names)).items()}


def resampled_values_of(
    kind: Kind, names: Sequence[str], truth: npt.NDArray[Any], predicted: FloatArray, counts: Counts
) -> dict[str, Values]:
    """Every metric of the kind on every resample, ``(R,)``; arguments, order and NaN as in `measure`."""
    if kind == "number":
        mae, r2 = errors_of_number(truth, predicted, counts)
        return {"mae": mae, "r2": r2}
    true = _indicators(kind, truth, predicted)
    decided = _likeliest(predicted) if kind == "classes" else predicted >= DECISION_THRESHOLD
    hits, recall, f1 = decisions(true, decided, counts)
    overall = {}
    if kind == "classes":
        occurs = ~np.isnan(recall)
        overall = {
            "accuracy": hits.sum(axis=0) / counts.sum(axis=0, dtype=np.float64),
            "balanced_accuracy": np.where(occurs, recall, 0).sum(axis=0) / occurs.sum(axis=0),
        }
    aurocs, precisions = zip(*(ranking(true[:, k], predicted[:, k], counts) for k in range(len(names))), strict=True)
    each = {"auroc": np.stack(aurocs), "average_precision": np.stack(precisions), "f1": f1}
    overall |= {f"macro_{metric}": values.mean(axis=0) for metric, values in each.items()}
    overall["calibration_error"] = _calibration(kind, true, predicted, counts)
    return overall | _by_name(each, names)


def confusion(truth: IntArray, predicted: FloatArray) -> IntArray:
    """How many recordings of each true class (row) have each class (column) as their likeliest, ``(C, C)``."""
    matrix: IntArray = confusion_matrix(truth, predicted.argmax(axis=1), labels=list(range(predicted.shape[1])))
    return matrix


def _indicators(kind: Kind, truth: npt.NDArray[Any], predicted: FloatArray) -> Flags:
    """Whether each recording has each class or label, ``(n, C)``."""
    true: Flags = truth[:, None] == np.arange(predicted.shape[1]) if kind == "classes" else truth == 1
    return true


def _likeliest(probabilities: FloatArray) -> Flags:
    """Which class of each recording is the likeliest, of equal ones the first, ``(n, C)``."""
    flags: Flags = probabilities.argmax(axis=1)[:, None] == np.arange(probabilities.shape[1])
    return flags


def _calibration(kind: Kind, true: Flags, predicted: FloatArray, counts: Counts) -> Values:
    """Of the likeliest class, or averaged over labels, ``(R,)``."""
    if kind == "classes":
        correct = true[_likeliest(predicted)]
        errors = calibration_errors(correct[:, None], predicted.max(axis=1, keepdims=True), counts)
    else:
        errors = calibration_errors(true, predicted, counts)
    averaged: Values = errors.mean(axis=0)
    return averaged


def _aurocs(true: Flags, predicted: FloatArray) -> Values:
    return _of_columns(roc_auc_score, true, predicted, [bool(0 < n < len(true)) for n in true.sum(axis=0)])


def _average_precisions(true: Flags, predicted: FloatArray) -> Values:
    return _of_columns(average_precision_score, true, predicted, [bool(n > 0) for n in true.sum(axis=0)])


def _of_columns(score: Any, true: Flags, predicted: FloatArray, defined: list[bool]) -> Values:
    """scikit-learn's ``score`` of each column where it is defined, else NaN, ``(C,)``."""
    values = np.full(len(defined), np.nan)
    if any(defined):
        values[defined] = score(true[:, defined].astype(int), predicted[:, defined], average=None)
    return values


def _f1_of_labels(truth: IntArray, decided: Flags) -> Values:
    if truth.shape[1] == 1:  # scikit-learn takes a single column for a task of two classes
        return np.array([f1_score(truth[:, 0], decided[:, 0], zero_division=0.0)])
    values: Values = f1_score(truth, decided, average=None, zero_division=0.0)
    return values


def _by_name(each: dict[str, npt.NDArray[Any]], names: Sequence[str]) -> dict[str, Any]:
    return {f"{metric}:{name}": values[k] for metric, values in each.items() for k, name in enumerate(names)}


# ---- Bootstrap resamples of a test set, drawn by patient, and the intervals that they give.
#
# The resamples of a test set are drawn once and shared by everything that is compared on it, which is what makes
# differences paired. A resample is a column of counts: how often each recording was drawn.


def resample_counts(
    strata: npt.NDArray[np.int64], patients: npt.NDArray[np.object_], resamples: int, seed: int
) -> npt.NDArray[np.float32]:
    """How often each recording occurs in each bootstrap resample of a test set.

    Patients are drawn with replacement, all recordings of a patient together, because recordings of one patient are
    not independent. They are drawn within strata, a patient's stratum being the rarest of those of their recordings, so
    that every resample holds about as many recordings of each stratum as the test set does (Davison and Hinkley,
    Bootstrap Methods and their Application, 1997, section 3.2).

    Intervals from stratified resamples hold for test sets of this composition. That suits classes, of which no resample
    should lack a rare one. A number to be estimated wants a single stratum: ranges of it would take from the resamples
    the spread between small and large errors, and the intervals of a weak estimate would be far too narrow.

    Args:
        strata: (n,) stratum of each recording, any whole numbers; all zero for no strata.
        patients: (n,) whose recordings they are.
        resamples: R.
        seed: equal seeds give equal counts.

    Returns:
        (n, R) whole numbers; a patient is drawn once on average.
    """
    rng = np.random.default_rng(seed)
    patient_names, patient_of = np.unique(patients.astype(str), return_inverse=True)
    _, stratum_of, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    rank = np.argsort(np.argsort(sizes, kind="stable"))
    stratum = np.full(len(patient_names), len(rank))
    np.minimum.at(stratum, patient_of, rank[stratum_of])
    times_drawn = np.zeros((len(patient_names), resamples), np.float32)
    for members in (np.flatnonzero(stratum == value) for value in np.unique(stratum)):
        drawn = rng.integers(len(members), size=(resamples, len(members)))
        cells = drawn + len(members) * np.arange(resamples)[:, None]
        counts = np.bincount(cells.ravel(), minlength=cells.size)
        times_drawn[members] = counts.reshape(resamples, len(members)).T
    return times_drawn[patient_of]


def bootstrap_interval(resampled: npt.NDArray[np.float64], level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of a metric, or of a paired difference, from its values on resamples (R,).

    Resamples on which the metric is not defined (NaN) are left out; (NaN, NaN) where it is defined on none.
    """
    defined = resampled[~np.isnan(resampled)]
    if len(defined) == 0:
        return float("nan"), float("nan")
    tail = 50 * (1 - level)
    low, high = np.percentile(defined, [tail, 100 - tail])
    return float(low), float(high)
