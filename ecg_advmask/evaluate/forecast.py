"""What more labels would bring: a power law through the learning curve of an evaluation, with its uncertainty.

In: metrics at several numbers of labels. Out: the metric at larger numbers, with an interval. The law is
``a - b * n ** -c`` (``a + b * n ** -c`` of an error), b and c not negative, as in Hestness et al. 2017 (Deep learning
scaling is predictable, empirically, arXiv 1712.00409). The interval is over test patients and draws of labels, for a
curve that follows the law; whether it does cannot be known from the numbers of labels that were tried.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import curve_fit

from ecg_advmask.evaluate.evaluation import AtCount
from ecg_advmask.evaluate.metrics import LOWER_IS_BETTER, bootstrap_interval

Float64 = npt.NDArray[np.float64]

FEWEST_COUNTS: Final = 4
"""Different numbers of labels that a law of three constants needs."""
_CURVES: Final = 100
_LARGEST_EXPONENT: Final = 2.0


def forecast(evaluation: Sequence[AtCount], metric: str, level: float, seed: int = 0) -> dict[str, Any]:
    """The metric at twice the largest number of labels, and at 200 more.

    A curve goes through the metric on one bootstrap resample of the test set, with the draws of each number of labels
    drawn again; a law is fitted to each of `_CURVES` curves.

    Args:
        evaluation: numbers of labels with their draws.
        metric: what is forecast.
        level: coverage of the intervals.
        seed: of the draws.

    Returns:
        ``metric``, ``forecasts`` (``labels``, ``mean``: the median over curves, ``low`` and ``high``), and ``reason``
        why there are none, else empty.
    """
    by_labels = {at.labels: at for at in evaluation if np.isfinite(at.mean.values[metric])}
    found: dict[str, Any] = {"metric": metric, "forecasts": [], "reason": ""}
    if len(by_labels) < FEWEST_COUNTS:
        found["reason"] = f"needs {FEWEST_COUNTS} different numbers of labels, there are {len(by_labels)}"
        return found
    counts = np.array(sorted(by_labels), np.float64)
    rng = np.random.default_rng(seed)
    curves = np.stack([_curves_at(by_labels[int(count)], metric, rng) for count in counts])
    wanted = np.array(sorted({2 * counts[-1], counts[-1] + 200}))
    sign = 1.0 if metric in LOWER_IS_BETTER else -1.0
    laws = [_law(counts, curve, wanted, sign) for curve in curves.T if np.isfinite(curve).all()]
    values = np.array([law for law in laws if law is not None]).reshape(-1, len(wanted))
    if len(values) < len(curves.T) / 2:
        found["reason"] = "the metric does not follow a power law of the number of labels"
        return found
    for labels, column in zip(wanted, values.T, strict=True):
        low, high = bootstrap_interval(column, level)
        found["forecasts"].append({"labels": int(labels), "mean": float(np.median(column)), "low": low, "high": high})
    return found


def _curves_at(at: AtCount, metric: str, rng: np.random.Generator) -> Float64:
    """The metric at one number of labels on each curve."""
    values = np.array([draw.values[metric] for draw in at.draws])
    drawn = values[rng.integers(len(values), size=(_CURVES, len(values)))].mean(axis=1) - values.mean()
    resampled = at.resampled[metric]
    return np.asarray(resampled[np.arange(_CURVES) % len(resampled)] + drawn)


def _law(counts: Float64, curve: Float64, wanted: Float64, sign: float) -> Float64 | None:
    """The law through a curve, at the wanted numbers of labels; None where none is found."""

    def law(labels: Float64, limit: float, gap: float, exponent: float) -> Float64:
        return np.asarray(limit + sign * gap * (labels / counts[0]) ** -exponent)

    spread = float(np.ptp(curve)) or 1e-6
    limits = (-np.inf, 1.0) if sign < 0 else (0.0, np.inf)
    bounds = ([limits[0], 0.0, 0.0], [limits[1], np.inf, _LARGEST_EXPONENT])
    start = (float(np.clip(curve[-1], limits[0], limits[1])), spread, 0.5)
    try:
        constants, _ = curve_fit(law, counts, curve, p0=start, bounds=bounds, max_nfev=400)
    except (RuntimeError, ValueError):  # no convergence
        return None
    return np.asarray(law(wanted, *constants))
