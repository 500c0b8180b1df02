"""What evaluations say together, against closed forms and plain loops."""

import numpy as np
import pytest

from ecg_advmask.evaluate.evaluation import AtCount, Draw
from ecg_advmask.evaluate.metrics import bootstrap_interval
from ecg_advmask.study.comparison import confusion_of, difference_of, summary_of
from ecg_advmask.study.intervals import Arm


def at(values: list[float], resampled: list[float], confusion: list[list[int]] | None = None) -> AtCount:
    draws = tuple(Draw(seed, {"m": value}, confusion, {}) for seed, value in enumerate(values))
    return AtCount(10.0, 10, draws, {"m": np.array(resampled)})


def test_means_are_over_draws_then_seeds_and_spreads_are_apart() -> None:
    metric = summary_of({3: at([1.0, 3.0], [0.0, 1.0]), 5: at([4.0, 8.0], [4.0, 7.0])}, 0.5)["m"]
    assert metric["by_seed"] == {"3": 2, "5": 6} and metric["mean"] == 4
    assert metric["sd_over_draws"] == pytest.approx(np.sqrt((2 + 8) / 2))  # variances of 1, 3 and of 4, 8, averaged
    assert metric["sd_over_seeds"] == pytest.approx(np.sqrt(8))  # of 2 and 6
    arm = Arm(np.array([2.0, 6.0]), np.array([[0.0, 1.0], [4.0, 7.0]]))
    limits = bootstrap_interval(arm.plausible([np.array([2.5, 5.5])]), 0.5)  # by draw, over seeds: of 1, 4 and of 3, 8
    assert (metric["low"], metric["high"]) == pytest.approx(limits)


def test_a_single_draw_and_seed_have_no_spread_and_what_is_not_defined_is_none() -> None:
    metric = summary_of({0: at([0.25], [0.1, 0.3])}, 0.95)["m"]
    assert metric["sd_over_draws"] is None and metric["sd_over_seeds"] is None and metric["mean"] == 0.25
    undefined = summary_of({0: at([float("nan")], [float("nan")] * 2)}, 0.95)["m"]
    assert [undefined[key] for key in ("mean", "low", "high")] == [None] * 3 and undefined["by_seed"] == {"0": None}


def test_differences_are_paired_by_resample_and_by_draw() -> None:
    """A method that is better by 0.1 on every resample has an interval without width, however wide theirs are."""
    resampled = list(np.random.default_rng(0).normal(size=500))
    first = {0: at([0.6, 0.8], [one + 0.1 for one in resampled])}
    second = {2: at([0.5, 0.7], resampled)}
    metric = difference_of(first, second, 0.95)["m"]
    assert (metric["mean"], metric["low"], metric["high"]) == pytest.approx((0.1, 0.1, 0.1))
    assert metric["by_seed"] == {}


def test_seeds_of_two_methods_are_independent_and_draws_of_others_too() -> None:
    rng = np.random.default_rng(1)
    ours, theirs = rng.normal(size=(3, 400)), rng.normal(size=(2, 400))
    first = {seed: at([1.0 * seed, 2.0], list(row)) for seed, row in enumerate(ours)}
    second = {seed: at([0.0, 1.0, 5.0 * seed], list(row)) for seed, row in enumerate(theirs)}
    metric = difference_of(first, second, 0.9)["m"]
    means = np.array([1.0, 1.5, 2.0]), np.array([1 / 3, 2.0])
    draws = [np.array([1.0, 2.0]), np.array([0.0, 1.0, 2.5])]
    plausible = Arm(means[0], ours).plausible(draws, minus=Arm(means[1], theirs))
    assert metric["mean"] == pytest.approx(1.5 - 7 / 6)
    assert (metric["low"], metric["high"]) == pytest.approx(bootstrap_interval(plausible, 0.9))
    assert metric["by_seed"] == pytest.approx({"0": 1 - 1 / 3, "1": 1.5 - 2})


def test_limits_stay_within_the_range_of_the_metric() -> None:
    rng = np.random.default_rng(2)
    draws = tuple(Draw(seed, {"auroc:SR": value, "mae": 9 * value}, None, {}) for seed, value in enumerate([0.9, 0.99]))
    resampled = {"auroc:SR": rng.normal(0.95, 0.02, 300), "mae": rng.normal(8, 1, 300)}
    metrics = summary_of({0: AtCount(10.0, 10, draws, resampled)}, 0.95)
    assert metrics["auroc:SR"]["high"] == 1 and metrics["auroc:SR"]["low"] > 0
    assert metrics["mae"]["high"] > 10


def test_confusion_is_summed_over_seeds_and_draws() -> None:
    one, two = [[3, 1], [0, 2]], [[1, 1], [1, 1]]
    assert confusion_of({0: at([0, 0], [0], one), 1: at([0], [0], two)}) == [[7, 3], [1, 5]]
    assert confusion_of({0: at([0], [0])}) is None
