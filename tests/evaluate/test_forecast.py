"""Forecasts of learning curves: the law that made a curve is found, and intervals hold what comes."""

import numpy as np
import pytest

from ecg_advmask.evaluate.evaluation import AtCount, Draw
from ecg_advmask.evaluate.forecast import forecast

COUNTS = (25, 50, 100, 200, 400)


def curve(metric, law, noise=0.0, seed=0, counts=COUNTS, draws=5):
    """An evaluation whose metric follows a law of the number of labels, but for noise of draws and resamples."""
    rng = np.random.default_rng(seed)
    shift = rng.normal(scale=noise)  # of the test set: the same at all numbers of labels
    at = []
    for count in counts:
        values = law(count) + shift + rng.normal(scale=noise, size=draws)
        resampled = values.mean() + rng.normal(scale=noise, size=300)
        at.append(AtCount(float(count), count, tuple(Draw(n, {metric: v}, None, {}) for n, v in enumerate(values)),
                          {metric: resampled}))  # fmt: skip
    return at


@pytest.mark.parametrize(
    ("metric", "law"),
    [("macro_auroc", lambda n: 0.95 - 1.2 * n**-0.5), ("mae", lambda n: 8 + 30 * n**-0.6)],
)
def test_the_law_that_made_a_curve_is_found(metric, law):
    found = forecast(curve(metric, law), metric, 0.95)
    assert [one["labels"] for one in found["forecasts"]] == [600, 800] and found["reason"] == ""
    for one in found["forecasts"]:
        assert one["mean"] == pytest.approx(law(one["labels"]), rel=1e-3)
        assert one["low"] == pytest.approx(one["high"], rel=1e-3)


@pytest.fixture(autouse=True)
def few_curves(monkeypatch):
    """Fewer laws are fitted, which take their time."""
    monkeypatch.setattr("ecg_advmask.evaluate.forecast._CURVES", 40)


@pytest.mark.slow
def test_intervals_hold_what_comes_about_as_often_as_they_say():
    def law(n):
        return 0.9 - 0.8 * n**-0.4

    hits = 0
    for seed in range(10):
        (one, _) = forecast(curve("macro_auroc", law, 0.008, seed), "macro_auroc", 0.95)["forecasts"]
        hits += one["low"] <= law(one["labels"]) <= one["high"]
    assert hits >= 7


def test_an_auroc_is_never_forecast_above_one():
    found = forecast(curve("macro_auroc", lambda n: 0.999 - 2 * n**-0.9, 0.01), "macro_auroc", 0.95)
    assert all(one["high"] <= 1 for one in found["forecasts"])


def test_what_cannot_be_forecast_says_why():
    few = forecast(curve("macro_auroc", lambda n: 0.9 - n**-0.5, counts=(25, 50, 100)), "macro_auroc", 0.95)
    assert few["forecasts"] == [] and "4" in few["reason"]
