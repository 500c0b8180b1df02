"""How often 95 % intervals over pretraining seeds and test patients hold the truth, in a simulated two-level model.

The metric of seed s on patients p is the mean of mu + a_s + b_p + c_sp; the spread of the seeds (a), of the patients
(b) and of their interaction (c) is stated as the standard error that it gives the mean over three seeds and all
patients, or the difference of two arms with the same patients and seeds of their own. Four ways are compared:
encoders held fixed (patients alone are resampled), the pigeonhole bootstrap (seeds and patients resampled together),
the same with the seeds stretched by sqrt(S / (S - 1)), and `ecg_advmask.study.intervals`.

    python benchmarks/interval_coverage.py --trials 2000
"""

import argparse

import numpy as np
import numpy.typing as npt

from ecg_advmask.evaluate.metrics import bootstrap_interval
from ecg_advmask.study.intervals import Arm

Values = npt.NDArray[np.float64]
PATIENTS, RESAMPLES = 150, 400


def fixed(resampled: list[Values]) -> tuple[float, float]:
    """Patients alone."""
    low, high = np.percentile(resampled[0].mean(axis=0) - sum(one.mean(axis=0) for one in resampled[1:]), [2.5, 97.5])
    return low, high


def pigeonhole(
    resampled: list[Values], generator: np.random.Generator, *, stretched: bool = False
) -> tuple[float, float]:
    """Seeds and patients together."""
    values = np.zeros(RESAMPLES)
    for sign, arm in zip((1, -1), resampled, strict=False):
        seeds = len(arm)
        drawn = np.take_along_axis(arm, generator.integers(seeds, size=(seeds, RESAMPLES)), axis=0).mean(axis=0)
        factor = np.sqrt(seeds / (seeds - 1)) if stretched else 1.0
        values += sign * (arm.mean(axis=0) + factor * (drawn - arm.mean(axis=0)))
    low, high = np.percentile(values, [2.5, 97.5])
    return low, high


def of_package(resampled: list[Values], whole: list[Values]) -> tuple[float, float]:
    """As studies do."""
    first, *others = (Arm(by_seed, values) for by_seed, values in zip(whole, resampled, strict=True))
    return bootstrap_interval(first.plausible(minus=others[0] if others else None))


def coverage(
    seeds: tuple[int, ...],
    of_seeds: float,
    of_patients: float,
    of_both: float,
    trials: int,
    generator: np.random.Generator,
) -> dict[str, float]:
    """Share of the trials in which the interval of one arm, or of the difference of two, holds the truth, by method.

    Args:
        seeds: pretraining seeds of each arm.
        of_seeds, of_patients, of_both: standard errors of the mean of three seeds and all patients.
        trials: simulated studies.
        generator: the source of everything random.
    """
    found = {"encoders fixed": 0, "pigeonhole": 0, "stretched": 0, "of this package": 0}
    shared = of_patients * np.sqrt(PATIENTS)
    for _ in range(trials):
        patients = generator.normal(scale=shared, size=PATIENTS)
        counts = generator.multinomial(PATIENTS, [1 / PATIENTS] * PATIENTS, size=RESAMPLES).T
        resampled, whole = [], []
        for arm, number in enumerate(seeds):
            own = patients if arm == 0 else 0.5 * patients
            values = own + generator.normal(scale=of_seeds * np.sqrt(3), size=(number, 1))
            values = values + generator.normal(scale=of_both * np.sqrt(3 * PATIENTS), size=(number, PATIENTS))
            resampled.append(values @ counts / PATIENTS)
            whole.append(values.mean(axis=1))
        limits = {
            "encoders fixed": fixed(resampled),
            "pigeonhole": pigeonhole(resampled, generator),
            "stretched": pigeonhole(resampled, generator, stretched=True),
            "of this package": of_package(resampled, whole),
        }
        for name, (low, high) in limits.items():
            found[name] += bool(low <= 0 <= high)
    return {name: count / trials for name, count in found.items()}


def main() -> None:
    """Print the coverage of each method for arms and differences with several numbers of seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    trials = parser.parse_args().trials
    generator = np.random.default_rng(0)
    print("seeds     SE of seeds, patients, both   coverage of 95 % intervals")
    for seeds in ((3,), (5,), (10,), (3, 3), (5, 5), (10, 10), (10, 5)):
        for errors in ((1.0, 0.2, 0.0), (1.0, 1.0, 0.0), (0.2, 1.0, 0.0), (0.7, 0.7, 0.7)):
            shares = coverage(seeds, *errors, trials, generator)
            text = "  ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items())
            print(f"{' and '.join(map(str, seeds)):9} {errors!s:30} {text}", flush=True)


if __name__ == "__main__":
    main()
