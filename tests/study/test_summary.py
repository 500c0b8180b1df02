"""What evaluations say together, against closed forms and plain loops."""

import numpy as np
import pytest

from ecg_advmask.evaluate.evaluation import AtCount, Draw
from ecg_advmask.study.results import confusion_of, difference_of, summary_of


def at(values: list[float], resampled: list[float], confusion: list[list[int]] | None = None) -> AtCount:
    draws = tuple(Draw(seed, {"m": value}, confusion, {}) for seed, value in enumerate(values))
    return AtCount(10.0, 10, draws, {"m": np.array(resampled)})


def test_means_are_over_draws_then_seeds_and_spreads_are_apart() -> None:
    metric = summary_of({3: at([1.0, 3.0], [0.0, 1.0]), 5: at([4.0, 8.0], [4.0, 7.0])}, 0.5)["m"]
    assert metric["by_seed"] == {"3": 2, "5": 6} and metric["mean"] == 4
    assert metric["sd_over_draws"] == pytest.approx(np.sqrt((2 + 8) / 2))  # variances of 1, 3 and of 4, 8, averaged
    assert metric["sd_over_seeds"] == pytest.approx(np.sqrt(8))  # of 2 and 6
    # resampled means are 2 and 4; the middle half of them goes from the 25th to the 75th percentile
    assert (metric["low"], metric["high"]) == (pytest.approx(2.5), pytest.approx(3.5))


def test_a_single_draw_and_seed_have_no_spread_and_what_is_not_defined_is_none() -> None:
    metric = summary_of({0: at([0.25], [0.1, 0.3])}, 0.95)["m"]
    assert metric["sd_over_draws"] is None and metric["sd_over_seeds"] is None and metric["mean"] == 0.25
    undefined = summary_of({0: at([float("nan")], [float("nan")] * 2)}, 0.95)["m"]
    assert [undefined[key] for key in ("mean", "low", "high")] == [None] * 3 and undefined["by_seed"] == {"0": None}


def test_differences_are_paired_by_resample() -> None:
    """A method that is better by 0.1 on every resample has an interval without width, however wide theirs are."""
    rng = np.random.default_rng(0)
    resampled = rng.normal(size=500)
    first = {0: at([0.6, 0.8], list(resampled + 0.1)), 1: at([0.5, 0.7], list(resampled + 0.1))}
    second = {1: at([0.4], list(resampled)), 2: at([0.7], list(resampled))}
    metric = difference_of(first, second, 0.95)["m"]
    assert metric["mean"] == pytest.approx(0.65 - 0.55)
    assert (metric["low"], metric["high"]) == (pytest.approx(0.1), pytest.approx(0.1))
    assert metric["by_seed"] == {"1": pytest.approx(0.6 - 0.4)}


def test_differences_have_the_percentiles_of_averaged_resamples() -> None:
    rng = np.random.default_rng(1)
    ours, theirs = rng.normal(size=(3, 400)), rng.normal(size=(2, 400))
    metric = difference_of(
        {seed: at([0.0], list(row)) for seed, row in enumerate(ours)},
        {seed: at([0.0], list(row)) for seed, row in enumerate(theirs)},
        0.9,
    )["m"]
    differences = [sum(ours[:, r]) / 3 - sum(theirs[:, r]) / 2 for r in range(400)]
    assert [metric["low"], metric["high"]] == pytest.approx(np.percentile(differences, [5, 95]))


def test_confusion_is_summed_over_seeds_and_draws() -> None:
    one, two = [[3, 1], [0, 2]], [[1, 1], [1, 1]]
    assert confusion_of({0: at([0, 0], [0], one), 1: at([0], [0], two)}) == [[7, 3], [1, 5]]
    assert confusion_of({0: at([0], [0])}) is None
