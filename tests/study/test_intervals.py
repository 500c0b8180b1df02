"""Intervals over seeds, draws and patients: closed forms, coverage in a simulated model, correction of P values."""

import numpy as np
import pytest
from scipy.stats import t as student
from scipy.stats import ttest_ind

from ecg_advmask.evaluate.metrics import bootstrap_interval
from ecg_advmask.study.intervals import Arm, holm, p_value

RNG = np.random.default_rng(0)


def test_of_one_seed_the_interval_is_that_of_the_patients() -> None:
    resampled = RNG.normal(size=(1, 400))
    values = Arm(np.array([0.3]), resampled).plausible()
    assert bootstrap_interval(values, 0.9) == pytest.approx(np.percentile(np.tile(resampled[0], 16), [5, 95]))


@pytest.mark.parametrize("seeds", [2, 3, 10])
def test_where_patients_make_no_difference_it_is_student_s_t_of_the_seeds(seeds: int) -> None:
    by_seed = RNG.normal(size=seeds)
    values = Arm(by_seed, np.repeat(by_seed[:, None], 500, axis=1)).plausible()
    half = student.ppf(0.975, seeds - 1) * by_seed.std(ddof=1) / np.sqrt(seeds)
    limits = by_seed.mean() - half, by_seed.mean() + half
    assert bootstrap_interval(values) == pytest.approx(limits, rel=0.01)


def test_draws_come_in_as_seeds_do_and_a_single_one_adds_nothing() -> None:
    draws, arm = RNG.normal(size=8), Arm(np.array([0.4]), np.full((1, 500), 0.4))
    half = student.ppf(0.975, 7) * draws.std(ddof=1) / np.sqrt(8)
    assert bootstrap_interval(arm.plausible([draws])) == pytest.approx((0.4 - half, 0.4 + half), rel=0.01)
    assert bootstrap_interval(arm.plausible([draws[:1]])) == (0.4, 0.4)


def test_of_two_arms_it_is_welch_s() -> None:
    one, two = RNG.normal(size=3), RNG.normal(loc=1, scale=0.4, size=6)
    arms = [Arm(by_seed, np.repeat(by_seed[:, None], 500, axis=1)) for by_seed in (one, two)]
    expected = ttest_ind(one, two, equal_var=False).confidence_interval(0.95)
    assert bootstrap_interval(arms[0].plausible(minus=arms[1])) == pytest.approx(
        (expected.low, expected.high), rel=0.01
    )


def test_seeds_that_differ_by_patient_are_counted_once() -> None:
    """What seeds lack in common is in their spread; resamples of the mean hold it too, and lose it."""
    seeds, patients, resamples = 4, 400, 4000
    values = RNG.normal(size=(seeds, patients))
    counts = RNG.multinomial(patients, [1 / patients] * patients, size=resamples).T
    arm = Arm(values.mean(axis=1), values @ counts / patients)
    spread = arm.plausible().std() ** 2
    error = arm.by_seed.var(ddof=1) / seeds
    assert spread == pytest.approx(error * 3 / (3 - 2), rel=0.25), "of t with 3 degrees of freedom alone"


def covered(seeds: tuple[int, ...], of_seeds: float, of_patients: float, trials: int = 400) -> float:
    """Share of trials in which the interval holds the truth, for a mean or a difference of two."""
    generator, patients, resamples = np.random.default_rng(1), 60, 100
    counts = generator.multinomial(patients, [1 / patients] * patients, size=resamples).T
    found = 0
    for _ in range(trials):
        shared, arms = generator.normal(scale=of_patients * np.sqrt(patients), size=patients), []
        for number, weight in zip(seeds, (1, 0.5), strict=False):
            values = weight * shared + generator.normal(scale=of_seeds * np.sqrt(number), size=(number, 1))
            arms.append(Arm(values.mean(axis=1), values @ counts / patients))
        low, high = bootstrap_interval(arms[0].plausible(minus=arms[1] if len(arms) > 1 else None))
        found += low <= 0 <= high
    return found / trials


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [(3,), (5,), (3, 3), (10, 5)])
@pytest.mark.parametrize("errors", [(1.0, 0.3), (0.7, 0.7), (0.3, 1.0)])
def test_a_95_per_cent_interval_holds_the_truth_as_often(seeds: tuple[int, ...], errors: tuple[float, float]) -> None:
    assert 0.92 <= covered(seeds, *errors) <= 0.985


def test_p_is_below_5_per_cent_where_the_interval_leaves_out_0() -> None:
    values = RNG.normal(size=4001)
    low, high = bootstrap_interval(values)
    assert p_value(values - low - 0.01) > 0.05 > p_value(values - low + 0.02)
    assert p_value(values - high + 0.01) > 0.05 > p_value(values - high - 0.02)
    assert (
        p_value(np.ones(99)) == 0.02 and p_value(np.array([-1.0, 1.0])) == 1.0 and np.isnan(p_value(np.array([np.nan])))
    )


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx(
        [0.03, 0.06, 0.06, 0.02]
    )  # 3, then 2 * 0.03, its maximum, 4
    assert holm([0.5, 0.9]) == [1.0, 1.0] and holm([0.2]) == [0.2] and holm([]) == []
