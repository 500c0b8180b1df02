"""What the evaluations of a study say together: means, intervals and spreads of each method, and paired differences.

In: the evaluations of one task at one number of labels, by pretraining seed. On each resample of the test set metrics
are averaged over draws and seeds; `ecg_advmask.study.intervals` brings in the spread over seeds and over draws. A
method with one seed has an interval over patients and draws alone. The two spreads are given apart as well.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ecg_advmask.evaluate.evaluation import AtCount, defined
from ecg_advmask.evaluate.metrics import bootstrap_interval, bounds_of
from ecg_advmask.study.intervals import Arm

BySeed = Mapping[int, AtCount]

Evaluations = dict[tuple[str, str, float], dict[int, AtCount]]
"""By task, method and number of labels as the study states it: the evaluations of each seed."""


def summary_of(evaluations: BySeed, level: float) -> dict[str, Any]:
    """Each metric of a method: ``mean`` over seeds and draws, ``low`` and ``high`` of the interval of that mean,
    ``sd_over_draws`` (within seeds, pooled; None of single draws), ``sd_over_seeds`` (of the means of seeds; None of a
    single seed), and ``by_seed`` the mean over draws."""
    metrics = {}
    for name in metric_names(evaluations):
        means = means_of(evaluations, name)
        values = [[draw.values[name] for draw in at.draws] for at in evaluations.values()]
        variances = [np.var(of_seed, ddof=1) for of_seed in values if len(of_seed) > 1]
        plausible = _arm(evaluations, name).plausible([np.array([*_draws(evaluations, name).values()])])
        lowest, highest = bounds_of(name)
        metrics[name] = _estimate(means, np.clip(plausible, lowest, highest), level) | {
            "sd_over_draws": defined(float(np.sqrt(np.mean(variances)))) if variances else None,
            "sd_over_seeds": defined(float(np.std(list(means.values()), ddof=1))) if len(means) > 1 else None,
            "by_seed": {str(seed): defined(mean) for seed, mean in means.items()},
        }
    return metrics


def difference_of(first: BySeed, second: BySeed, level: float) -> dict[str, Any]:
    """Each metric of one method minus that of another one, paired by resample of the test set: ``mean``, ``low``,
    ``high``, and ``by_seed`` of the seeds that both have."""
    metrics = {}
    for name in metric_names(first):
        ours, theirs = means_of(first, name), means_of(second, name)
        by_seed = {seed: mean - theirs[seed] for seed, mean in ours.items() if seed in theirs}
        mean = float(np.mean(list(ours.values())) - np.mean(list(theirs.values())))
        metrics[name] = _estimate({0: mean}, plausible_differences(first, second, name), level) | {
            "by_seed": {str(seed): defined(value) for seed, value in by_seed.items()}
        }
    return metrics


def plausible_differences(first: BySeed, second: BySeed, name: str) -> npt.NDArray[np.float64]:
    """Plausible values of the difference of a metric: patients are paired, draws where both have the same ones, and the
    seeds of the two are independent."""
    ours, theirs = _draws(first, name), _draws(second, name)
    if ours.keys() == theirs.keys():
        draws = [np.array([value - theirs[seed] for seed, value in ours.items()])]
    else:
        draws = [np.array([*values.values()]) for values in (ours, theirs)]
    return _arm(first, name).plausible(draws, minus=_arm(second, name))


def _arm(evaluations: BySeed, name: str) -> Arm:
    by_seed = np.array([*means_of(evaluations, name).values()])
    return Arm(by_seed, np.stack([at.resampled[name] for at in evaluations.values()]))


def _draws(evaluations: BySeed, name: str) -> dict[int, float]:
    """A metric by the seed of the draw, averaged over pretraining seeds."""
    found: dict[int, list[float]] = {}
    for at in evaluations.values():
        for draw in at.draws:
            found.setdefault(draw.seed, []).append(draw.values[name])
    return {seed: float(np.mean(values)) for seed, values in found.items()}


def confusion_of(evaluations: BySeed) -> list[list[int]] | None:
    """True classes in rows, likeliest ones in columns, summed over seeds and draws; None for other kinds of task."""
    matrices = [draw.confusion for at in evaluations.values() for draw in at.draws if draw.confusion is not None]
    total: list[list[int]] | None = np.sum(matrices, axis=0).tolist() if matrices else None
    return total


def _estimate(means: Mapping[int, float], resampled: Any, level: float) -> dict[str, Any]:
    low, high = bootstrap_interval(resampled, level)
    return {"mean": defined(float(np.mean(list(means.values())))), "low": defined(low), "high": defined(high)}


def metric_names(evaluations: BySeed) -> list[str]:
    """The metrics that were measured."""
    return list(next(iter(evaluations.values())).resampled)


def means_of(evaluations: BySeed, name: str) -> dict[int, float]:
    """A metric by pretraining seed, averaged over draws."""
    return {seed: at.mean.values[name] for seed, at in evaluations.items()}


def labels_of(by_seed: BySeed) -> int:
    """Labelled recordings in each draw."""
    return next(iter(by_seed.values())).labels
