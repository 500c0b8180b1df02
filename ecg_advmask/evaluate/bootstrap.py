"""Bootstrap resamples of a test set, drawn by patient, and the intervals that they give.

The resamples of a test set are drawn once and shared by everything that is compared on it, which is what makes
differences paired. A resample is a column of counts: how often each recording was drawn.
"""

import numpy as np
import numpy.typing as npt


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
