"""Which differences a study's result holds, and in which order."""

from pathlib import Path

import numpy as np
import pytest

from ecg_advmask.evaluate.evaluation import AtCount, Draw
from ecg_advmask.study.comparison import Evaluations, summary_of
from ecg_advmask.study.design import read_study
from ecg_advmask.study.results import differences_of

STUDY = """
name = "Small"
question = "Which?"
baseline = "B"
compare = [["C", "A"], ["A", "D"]]
[data]
evaluation = "data"
[protocol]
tasks = ["sex", "age"]
labels = [10, 1.0]
"""


def test_further_differences_follow_those_from_the_baseline_wherever_both_methods_are(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    method = '[[methods]]\nname = "{}"\nkind = "random"\npreset = "cpu-gaussian"\n'
    file.write_text(STUDY + "".join(map(method.format, "ABCD")))
    study, rng = read_study(file), np.random.default_rng(0)
    evaluations: Evaluations = {}
    for task in study.tasks:
        for name in "ABC" if task == "sex" else "ACD":  # D is not evaluated on sex, nor the baseline on age
            for labels in study.labels:
                for seed in (0, 1) if name != "A" else (1,):
                    value, resampled = float(rng.random()), rng.random(50)
                    at = AtCount(labels, 7, (Draw(0, {"m": value}, None, {}),), {"m": resampled})
                    evaluations.setdefault((task, name, labels), {})[seed] = at
    found = list(differences_of(study, evaluations, 0.95))
    assert [(one["task"], one["first"], one["second"], one["fraction"]) for one in found] == [
        *(("sex", name, "B", labels) for name in "AC" for labels in (10, 1)),
        *(("sex", "C", "A", labels) for labels in (10, 1)),
        *(("age", *pair, labels) for pair in ("CA", "AD") for labels in (10, 1)),
    ]
    for one in found:
        both = [evaluations[one["task"], one[role], one["fraction"]] for role in ("first", "second")]
        ours, theirs = (summary_of(by_seed, 0.95)["m"] for by_seed in both)
        metric = one["metrics"]["m"]
        assert metric["mean"] == pytest.approx(ours["mean"] - theirs["mean"])
        assert metric["by_seed"] == pytest.approx(
            {
                seed: ours["by_seed"][seed] - theirs["by_seed"][seed]
                for seed in ours["by_seed"]
                if seed in theirs["by_seed"]
            }
        )
        assert list(metric["by_seed"]) == (["1"] if "A" in (one["first"], one["second"]) else ["0", "1"])
        assert one["seeds"] == [len(by_seed) for by_seed in both]
        assert metric["low"] < metric["mean"] < metric["high"]
