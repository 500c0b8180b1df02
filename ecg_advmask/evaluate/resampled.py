"""Metrics on all bootstrap resamples at once; their definitions stand in `metrics`.

In: truth and predictions of n recordings, and ``counts (n, R)`` float32, how often each recording is in each resample.
Out: each metric ``(R,)`` float64. What a metric sums over recordings is the product of a sparse matrix with the counts,
so that a recording costs one pass over its counts. Counts and sums of them are whole numbers, exact in float32 up to
2 ** 24 recordings.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

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
