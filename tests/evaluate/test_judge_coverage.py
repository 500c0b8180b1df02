"""The intervals and forecasts of ``judge`` on generated embeddings, as ``benchmarks/judge_coverage.py`` counts them."""

import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "judge_coverage.py"


@pytest.mark.exhaustive
def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    script = runpy.run_path(str(SCRIPT))
    found = script["coverage"]("number", (script["of_evaluations"],), 40, seed=1)
    assert len(found) == 4 and min(found.values()) >= 0.8 and sum(found.values()) / 4 >= 0.87


@pytest.mark.exhaustive
def test_forecasts_from_half_of_the_labels_hold_what_the_other_half_brings() -> None:
    script = runpy.run_path(str(SCRIPT))
    found = script["coverage"]("labels", (script["of_forecasts"],), 20, seed=1)
    made = found.pop("(a forecast is made)")
    assert made >= 0.8 and min(found.values()) >= 0.7
