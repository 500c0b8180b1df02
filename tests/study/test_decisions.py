"""Comparisons that a study file fixes for its endpoints, and the method that its rule recommends."""

from pathlib import Path

import numpy as np
import pytest

from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.evaluation import AtCount, Draw
from ecg_advmask.study.comparison import Evaluations, plausible_differences
from ecg_advmask.study.decisions import corrected_comparisons, recommendation
from ecg_advmask.study.design import Study, read_study
from ecg_advmask.study.intervals import holm, p_value

STUDY = """
name = "Small"
question = "Which?"
baseline = "Untrained"
compare = [["Costly", "Cheap"], ["Costly", "Middle"]]
endpoints = [["sex", 10], ["rhythm", 1.0]]
[recommendation]
tasks = ["sex", "rhythm"]
labels = [10]
margin = 0.01
[data]
pretraining = "data"
evaluation = "data"
[protocol]
tasks = ["sex", "rhythm"]
labels = [10, 1.0]
seeds = [0, 1, 2]
[[methods]]
name = "Untrained"
kind = "random"
preset = "cpu-gaussian"
"""


def read(folder: Path, text: str = STUDY) -> Study:
    file = folder / "study.toml"
    file.write_text(text + "".join(f'[[methods]]\nname = "{one}"\npreset = "cpu-gaussian"\n' for one in LEVELS))
    return read_study(file)


LEVELS = {"Cheap": 0.70, "Middle": 0.745, "Costly": 0.75}


def evaluations(study: Study, spread: float = 0.002, levels: dict[str, float] = LEVELS) -> Evaluations:
    """Every method near its level, its seeds ``spread`` apart; untrained encoders beyond all of them."""
    rng, found = np.random.default_rng(0), Evaluations()
    patients = rng.normal(scale=0.002, size=400)
    for task in study.tasks:
        for name, level in (levels | {"Untrained": 0.99}).items():
            for labels in study.labels:
                for seed, offset in enumerate((-spread, 0.0, spread)):
                    values = level + offset + np.array([-0.004, 0.004])
                    draws = tuple(Draw(one, {"macro_auroc": value}, None, {}) for one, value in enumerate(values))
                    resampled = level + offset + patients + rng.normal(scale=1e-3, size=400)
                    at = AtCount(labels, 10, draws, {"macro_auroc": resampled})
                    found.setdefault((task, name, labels), {})[seed] = at
    return found


def test_each_endpoint_has_its_comparisons_and_its_own_correction(tmp_path: Path) -> None:
    study = read(tmp_path)
    given = evaluations(study)
    found = corrected_comparisons(study, given)
    assert [(one["endpoint"], one["task"], one["fraction"], one["second"]) for one in found] == [
        ("primary", "sex", 10, "Cheap"),
        ("primary", "sex", 10, "Middle"),
        ("secondary", "rhythm", 1, "Cheap"),
        ("secondary", "rhythm", 1, "Middle"),
    ]
    for task, fraction in study.endpoints:
        arms = [given[task, name, fraction] for name in ("Costly", "Cheap", "Middle")]
        p = [p_value(plausible_differences(arms[0], arm, "macro_auroc")) for arm in arms[1:]]
        here = [one for one in found if one["task"] == task]
        assert [one["p"] for one in here] == p and [one["p_holm"] for one in here] == pytest.approx(holm(p))


def test_what_is_not_evaluated_yet_counts_in_the_correction(tmp_path: Path) -> None:
    study = read(tmp_path)
    given = evaluations(study)
    del given["sex", "Cheap", 10.0]
    (one, *_) = corrected_comparisons(study, given)
    assert (one["second"], one["of"]) == ("Middle", 2) and one["p_holm"] == pytest.approx(2 * one["p"])


@pytest.mark.parametrize(
    ("levels", "spread", "recommended"),
    [
        (LEVELS, 0.02, "Middle"),  # within the margin, and seeds do not tell it from the best
        (LEVELS, 0.0002, "Costly"),  # the best one leads clearly, if by half a hundredth
        (LEVELS | {"Cheap": 0.7405}, 0.02, "Cheap"),
        (LEVELS | {"Cheap": 0.739}, 0.02, "Middle"),  # more than the margin below
    ],
)
def test_the_simplest_that_is_close_to_the_best_is_recommended(
    tmp_path: Path, levels: dict[str, float], spread: float, recommended: str
) -> None:
    study = read(tmp_path)
    found = recommendation(study, evaluations(study, spread, levels))
    assert found is not None and (found["best"], found["recommended"]) == ("Costly", recommended)
    assert [one["method"] for one in found["methods"]] == [*LEVELS], "not the untrained encoders"
    assert [one["mean"] for one in found["methods"]] == pytest.approx([*levels.values()])
    assert found["methods"][0]["behind"] == pytest.approx(0.75 - levels["Cheap"])


def test_a_seed_counts_where_it_has_all_of_the_figure(tmp_path: Path) -> None:
    study = read(tmp_path)
    given = evaluations(study)
    del given["rhythm", "Cheap", 10.0][1], given["rhythm", "Middle", 10.0]
    found = recommendation(study, given)
    assert found is not None
    assert [(one["method"], one["seeds"]) for one in found["methods"]] == [("Cheap", [0, 2]), ("Costly", [0, 1, 2])]
    none = recommendation(study, {})
    assert none is not None and none["recommended"] is None


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('[["sex", 10], ', '[["sex", 20], ', "endpoints"),
        ('[["sex", 10], ', '[["age", 10], ', "endpoints"),
        ('[["sex", 10], ', '[["rhythm", 1.0], ', "endpoints"),
        ('[["sex", 10], ', '["sex", ', "endpoints"),
        ('compare = [["Costly", "Cheap"], ["Costly", "Middle"]]', "", "endpoints"),
        ("labels = [10]\n", "labels = [20]\n", "recommendation"),
        ("margin = 0.01", "margin = -1", "recommendation.margin"),
        ("margin = 0.01", "marign = 1", "recommendation.marign"),
    ],
)
def test_decisions_about_what_is_not_there_are_refused(tmp_path: Path, old: str, new: str, key: str) -> None:
    assert old in STUDY
    with pytest.raises(InputError) as caught:
        read(tmp_path, STUDY.replace(old, new, 1))
    assert f"study.toml: {key}" in str(caught.value)
