"""Intervals over pretraining seeds, draws of labels and test patients together, and what they decide.

A figure of a method is a mean over a few pretraining seeds and draws of labels, on one sample of test patients: three
crossed random factors. Of patients there are enough to resample them (`ecg_advmask.evaluate.metrics`). Of seeds there
are not: the bootstrap of S of them has (S - 1) / S of the variance and none of the long tails, and resampling seeds
and patients together (the pigeonhole bootstrap of Owen 2007, Annals of Applied Statistics 1:386) inherits that. So
the small factors come in as Student's t does: to each resampled mean a deviate of t is added, times the standard
error that seeds and draws give the mean, with the degrees of freedom of Welch and Satterthwaite. Where seeds alone
differ this is Welch's interval, where patients alone differ the percentile interval. That seeds differ by patient is
in the spread over seeds and again in the resamples of a mean over seeds, so these are drawn together by that part. No
bootstrap is exact for crossed factors (McCullagh 2000, Bernoulli 6:285); ``benchmarks/interval_coverage.py`` measures
this one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

Values = npt.NDArray[np.float64]

_REPEATS: Final = 16
"""How often each resample of the patients is used, with other deviates each time."""
_SEED: Final = 20221113


@dataclass(frozen=True)
class Arm:
    """A metric of one method: ``by_seed (S,)`` of each pretraining seed on the whole test set, and ``resampled (S, R)``
    on each resample of the test patients, the same for all methods."""

    by_seed: Values
    resampled: Values

    @property
    def _interaction(self) -> float:
        """Variance of the mean over seeds on resamples that comes from seeds differing by patient."""
        seeds = len(self.resampled)
        if seeds < 2:
            return 0.0
        apart = self.resampled - self.resampled.mean(axis=0)
        return float(apart.var(axis=1).mean() / (seeds - 1))

    def plausible(self, draws: Sequence[Values] = (), minus: "Arm | None" = None) -> Values:
        """Plausible values of the mean over seeds, or of its difference from that of another arm.

        Args:
            draws: the values (D,) of single draws of labels whose average the mean is: one set, or two of which the
                mean is the difference. A single draw tells nothing of their spread and adds none; nor does a single
                seed.
            minus: the other arm, with seeds of its own.

        Returns:
            (16 R,) values, whose quantiles are the limits of an interval.
        """
        arms = [self] if minus is None else [self, minus]
        means = [arm.resampled.mean(axis=0) for arm in arms]
        patients = means[0] if minus is None else means[0] - means[1]
        centre, variance = patients.mean(), patients.var()
        if variance > 0:
            kept = max(0.0, 1 - sum(arm._interaction for arm in arms) / variance)
            patients = centre + np.sqrt(kept) * (patients - centre)
        values = np.tile(patients, _REPEATS)
        samples = [sample for sample in (*(arm.by_seed for arm in arms), *draws) if len(sample) > 1]
        variances = np.array([np.var(sample, ddof=1) / len(sample) for sample in samples])
        if variances.sum() > 0:
            freedom = variances.sum() ** 2 / sum(v**2 / (len(s) - 1) for v, s in zip(variances, samples, strict=True))
            deviates = student.ppf((np.arange(len(values)) + 0.5) / len(values), freedom)
            values += np.sqrt(variances.sum()) * np.random.default_rng(_SEED).permutation(deviates)
        return values


def p_value(differences: Values) -> float:
    """Two-sided P of no difference: twice the share of plausible differences at or beyond 0, at most 1.

    It is below 1 - level where their interval of that level leaves out 0. Never 0, which finitely many cannot show.
    """
    values = differences[~np.isnan(differences)]
    if not len(values):
        return float("nan")
    beyond = min(int((values <= 0).sum()), int((values >= 0).sum()))
    return min(1.0, 2 * (beyond + 1) / (len(values) + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """P values corrected for their number (Holm 1979, Scandinavian Journal of Statistics 6:65), in the same order.

    To call a difference clear where its corrected P is below 0.05 errs, in the whole family, in 5 % of cases at most.
    """
    order = np.argsort(p_values, kind="stable")
    steps = np.asarray(p_values, np.float64)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected.tolist()
