"""What the evaluations of a study say together: means, intervals and spreads of each method, and paired differences.

In: the evaluations of one task at one number of labels, by pretraining seed. The interval tells how far another test
set might move a mean, with the encoders as they are: on each resample of the test set, metrics are averaged over draws
and seeds. The spread over draws of labels and the spread over seeds of pretraining are given apart.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ecg_advmask.evaluate.bootstrap import bootstrap_interval
from ecg_advmask.evaluate.evaluation import AtCount, defined

BySeed = Mapping[int, AtCount]


def summary_of(evaluations: BySeed, level: float) -> dict[str, Any]:
    """Each metric of a method: ``mean`` over seeds and draws, ``low`` and ``high`` of the interval of that mean,
    ``sd_over_draws`` (within seeds, pooled; None of single draws), ``sd_over_seeds`` (of the means of seeds; None of a
    single seed), and ``by_seed`` the mean over draws."""
    metrics = {}
    for name in _names(evaluations):
        means = _means(evaluations, name)
        values = [[draw.values[name] for draw in at.draws] for at in evaluations.values()]
        variances = [np.var(of_seed, ddof=1) for of_seed in values if len(of_seed) > 1]
        metrics[name] = _estimate(means, _resampled(evaluations, name), level) | {
            "sd_over_draws": defined(float(np.sqrt(np.mean(variances)))) if variances else None,
            "sd_over_seeds": defined(float(np.std(list(means.values()), ddof=1))) if len(means) > 1 else None,
            "by_seed": {str(seed): defined(mean) for seed, mean in means.items()},
        }
    return metrics


def difference_of(first: BySeed, second: BySeed, level: float) -> dict[str, Any]:
    """Each metric of one method minus that of another one, paired by resample of the test set: ``mean``, ``low``,
    ``high``, and ``by_seed`` of the seeds that both have."""
    metrics = {}
    for name in _names(first):
        ours, theirs = _means(first, name), _means(second, name)
        by_seed = {seed: mean - theirs[seed] for seed, mean in ours.items() if seed in theirs}
        mean = float(np.mean(list(ours.values())) - np.mean(list(theirs.values())))
        resampled = _resampled(first, name) - _resampled(second, name)
        metrics[name] = _estimate({0: mean}, resampled, level) | {
            "by_seed": {str(seed): defined(value) for seed, value in by_seed.items()}
        }
    return metrics


def confusion_of(evaluations: BySeed) -> list[list[int]] | None:
    """True classes in rows, likeliest ones in columns, summed over seeds and draws; None for other kinds of task."""
    matrices = [draw.confusion for at in evaluations.values() for draw in at.draws if draw.confusion is not None]
    total: list[list[int]] | None = np.sum(matrices, axis=0).tolist() if matrices else None
    return total


def _estimate(means: Mapping[int, float], resampled: Any, level: float) -> dict[str, Any]:
    low, high = bootstrap_interval(resampled, level)
    return {"mean": defined(float(np.mean(list(means.values())))), "low": defined(low), "high": defined(high)}


def _names(evaluations: BySeed) -> list[str]:
    return list(next(iter(evaluations.values())).resampled)


def _means(evaluations: BySeed, name: str) -> dict[int, float]:
    return {seed: at.mean.values[name] for seed, at in evaluations.items()}


def _resampled(evaluations: BySeed, name: str) -> Any:
    return np.mean([at.resampled[name] for at in evaluations.values()], axis=0)
