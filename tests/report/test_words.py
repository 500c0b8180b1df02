"""What a study's report claims: rules of better, worse and bold, on constructed numbers."""

import pytest

from ecg_advmask.report.protocol import task_in_words
from ecg_advmask.report.results import StudyResult
from ecg_advmask.report.tables import (
    common_settings,
    differences,
    estimates,
    methods,
    other_metrics,
    spreads,
    value_text,
    verdicts,
)
from ecg_advmask.report.text import against_baseline, answer, answer_of_task, further, labels_text, missing, scale_of
from report.example import BASELINE, METHODS, TASKS, study_result

COUNTS = ((25.0, 25), (1.0, 584))


def constructed(intervals, task="rhythm", by_seed=None):
    """A study in which method M0, M1, ... differs from the baseline by these (mean, low, high) at 25 labels."""
    names = [BASELINE, *(f"M{index}" for index in range(len(intervals)))]
    content = study_result((task,), tuple((name, "pretrained", "cpu-gaussian", 0.7) for name in names), counts=COUNTS)
    primary = content["tasks"][0]["primary"]
    content["differences"] = [one for one in content["differences"] if one["labels"] == 25]
    for entry, (mean, low, high) in zip(content["differences"], intervals, strict=True):
        estimate = {"mean": mean, "low": low, "high": high, "by_seed": by_seed or {}}
        entry["metrics"] = {primary: estimate}
    return StudyResult(content)


@pytest.fixture(scope="module")
def whole():
    return StudyResult(study_result(tuple(TASKS), METHODS, counts=COUNTS))


@pytest.mark.parametrize(("task", "above", "below"), [("rhythm", "better", "worse"), ("age", "worse", "better")])
def test_verdict_follows_the_interval_and_the_direction_of_the_metric(task, above, below):
    study = constructed(
        [(0.2, 0.1, 0.3), (-0.2, -0.3, -0.1), (0.2, -0.1, 0.5), (0.1, 0.0, 0.2), (-0.1, -0.2, 0.0)], task
    )
    found = [study.verdict(study.tasks[0], f"M{index}", 25.0) for index in range(5)]
    assert found == [above, below, "open", "open", "open"]  # an interval that ends at 0 includes it


def test_method_without_an_interval_is_not_judged():
    study = constructed([(0.2, None, None)])
    assert study.verdict(study.tasks[0], "M0", 25.0) is None
    assert against_baseline(study).made(study) == []
    assert "no paired differences yet" in answer(study)[0]


def test_answer_counts_comparisons_and_those_expected_by_chance():
    study = constructed([(0.2, 0.1, 0.3), (-0.2, -0.3, -0.1), (0.2, -0.1, 0.5), (0.0, -0.1, 0.1)])
    text = " ".join(answer(study))
    assert (
        "4 comparisons were made (4 methods, 1 task, each at its numbers of labels): 1 better, 1 worse, 2 without"
        in text
    )
    assert "about 0.2 of 4 intervals would still leave out 0 by chance" in text
    assert "every seed" not in text  # no seeds to compare


def test_answer_says_in_how_many_comparisons_all_seeds_agree():
    seeds = {"0": 0.1, "1": 0.3, "2": -0.05}
    text = answer(constructed([(0.2, 0.1, 0.3)], by_seed=seeds))[-1]
    assert "1 comparison called better or worse has several pretraining seeds; in 0 of them every seed" in text
    text = answer(constructed([(0.2, 0.1, 0.3)], by_seed=seeds | {"2": 0.05}))[-1]
    assert "in 1 of them every seed" in text


def test_answer_never_names_a_method_whose_interval_includes_0_as_better_or_worse():
    study = constructed([(0.2, 0.1, 0.3), (0.5, -0.1, 1.1), (-0.4, -0.5, -0.3)])
    text = answer_of_task(study, study.tasks[0], against_baseline(study))
    assert text == (
        "rhythm, by macro AUROC. Better than Block mask: M0 (at 25 labels). Worse than Block mask: M2 (at 25 labels). "
        "Nowhere clearly different from Block mask: M1."
    )


def with_further(against, between):
    """A study with M0, M1, ... , these differences from the baseline, and those of each from the next one beside."""
    study = constructed(against)
    content, primary = dict(study.content), study.tasks[0]["primary"]
    content["compare"] = [[f"M{index}", f"M{index + 1}"] for index in range(len(between))]
    content["differences"] = content["differences"] + [
        {"task": "rhythm", "first": first, "second": second, "fraction": 25.0, "labels": 25,
         "metrics": {primary: {"mean": mean, "low": low, "high": high, "by_seed": {"0": mean, "1": -mean}}}}
        for (first, second), (mean, low, high) in zip(content["compare"], between, strict=True)
    ]  # fmt: skip
    return study, StudyResult(content)


def test_further_comparisons_are_counted_and_reported_by_themselves():
    plain, both = with_further(
        [(0.2, 0.1, 0.3), (-0.2, -0.3, -0.1), (0.2, -0.1, 0.5)], [(0.4, 0.2, 0.6), (-0.4, -0.9, 0.1)]
    )
    of_baseline, beside = answer(plain), answer(both)
    assert beside[: len(of_baseline)] == of_baseline, "what is said of the baseline does not change"
    assert (
        "3 comparisons were made (3 methods, 1 task, each at its numbers of labels): 1 better, 1 worse, 1 without"
        in (of_baseline[1])
    )
    opening, counts, seeds = beside[len(of_baseline) :]
    assert opening.endswith("fixed in the study file, on the same test recordings: M0 against M1; M1 against M2.")
    assert counts == (
        "2 further comparisons were made (2 pairs, 1 task, each at its numbers of labels): 1 better, 0 worse, 1 "
        "without a clear difference. If no first method differed from the second, about 0.1 of 2 intervals would still "
        "leave out 0 by chance."
    )
    assert "1 further comparison called better or worse has several pretraining seeds; in 0 of them" in seeds
    task = both.tasks[0]
    assert answer_of_task(both, task, against_baseline(both)) == answer_of_task(plain, task, against_baseline(plain))
    assert answer_of_task(both, task, further(both)) == (
        "rhythm, by macro AUROC, further comparisons. Better than the second: M0 against M1 (at 25 labels). "
        "Worse than the second: none. Nowhere clearly different from the second: M1 against M2."
    )


def test_further_comparisons_alone_are_reported_with_the_rule():
    _, both = with_further([(0.2, None, None)] * 2, [(0.4, 0.2, 0.6)])
    nothing, opening, counts, _ = answer(both)
    assert nothing == "Against Block mask: there are no paired differences yet."
    assert "better or worse only where the 95 % interval" in opening and "No correction was made" in counts


def test_every_number_of_labels_is_said_only_of_all(whole):
    task = whole.tasks[0]
    parts = answer_of_task(whole, task, against_baseline(whole)).split(f"than {BASELINE}: ")[1:]
    said = []
    for verdict, part in zip(("better", "worse"), parts, strict=True):
        names = part.partition(". ")[0].split("; ")
        for method in whole.others:
            at = [labels for fraction, labels in COUNTS if whole.verdict(task, method, fraction) == verdict]
            where = "every number of" if len(at) == len(COUNTS) else " and ".join(map(str, at))
            assert (f"{method} (at {where} labels)" in names) == bool(at)
            said.append(where)
    assert {"every number of", "25"} <= set(said)


def with_means(limits, task="rhythm", metric="macro_auroc"):
    """A study whose methods have these (low, mean, high) at 25 labels."""
    names = [BASELINE, *(f"M{index}" for index in range(1, len(limits)))]
    content = study_result((task,), tuple((name, "pretrained", "cpu-gaussian", 0.7) for name in names), counts=COUNTS)
    for name, (low, mean, high) in zip(names, limits, strict=True):
        entry = next(one for one in content["summary"] if (one["method"], one["labels"]) == (name, 25))
        entry["metrics"][metric] |= {"low": low, "mean": mean, "high": high}
    return StudyResult(content)


@pytest.mark.parametrize(
    ("limits", "task", "best"),
    [
        ([(0.6, 0.7, 0.8), (0.81, 0.85, 0.9)], "rhythm", "M1"),
        ([(0.6, 0.7, 0.8), (0.8, 0.85, 0.9)], "rhythm", None),  # the intervals touch
        ([(0.9, 0.95, 1.0), (0.6, 0.7, 0.8), (0.5, 0.6, 0.89)], "rhythm", BASELINE),
        ([(9.0, 9.5, 10.0), (8.0, 8.5, 8.9)], "age", "M1"),
        ([(9.0, 9.5, 10.0), (8.0, 8.5, 9.1)], "age", None),
        ([(0.6, 0.7, 0.8)], "rhythm", None),  # nothing to be better than
    ],
)
def test_bold_stands_only_where_the_best_interval_overlaps_no_other(limits, task, best):
    study = with_means(limits, task, "mae" if task == "age" else "macro_auroc")
    metric = study.tasks[0]["primary"]
    assert study.clearly_best(task, 25.0, metric) == best
    bold = [row[0] for row in estimates(study, study.tasks[0]).rows if row[1].strong]
    assert [name.removesuffix(" (baseline)") for name in bold] == ([best] if best else [])


def test_tables_state_unit_and_direction(whole):
    age = next(task for task in whole.tasks if task["task"] == "age")
    assert scale_of(whole, age, "mae").axis == "mean absolute error (years)"
    assert "mean absolute error (years) by number of labels (lower is better)" in estimates(whole, age).caption
    assert "(negative is better than the baseline)" in differences(whole, age, against_baseline(whole)).caption
    assert (
        "(positive is better than the baseline)" in differences(whole, whole.tasks[0], against_baseline(whole)).caption
    )
    assert "Judged by mean absolute error (years) (lower is better)." in task_in_words(whole, age)
    assert "Recordings: 584 for training, 117 for validation, 467 for the test." in task_in_words(whole, age)


@pytest.mark.parametrize(("mean", "decimals"), [(123.4, 1), (12.34, 2), (9.99, 3), (0.5, 4), (0.0, 3)])
def test_errors_are_written_with_four_digits(mean, decimals):
    study = with_means([(mean, mean, mean)], "age", "mae")
    for entry in study.content["summary"]:
        entry["metrics"]["mae"]["mean"] = mean
    assert scale_of(study, study.tasks[0], "mae").decimals == decimals


def test_spreads_stand_apart(whole):
    task = whole.tasks[0]
    for row in spreads(whole, task).rows:
        for (fraction, _), cell in zip(COUNTS, row[1:], strict=True):
            estimate = whole.summary("rhythm", row[0], fraction)["metrics"]["macro_auroc"]
            texts = [
                "–" if estimate[key] is None else f"{estimate[key]:.3f}" for key in ("sd_over_seeds", "sd_over_draws")
            ]
            assert cell == " / ".join(texts)


def test_metrics_of_classes_and_labels_are_of_the_largest_number_of_labels(whole):
    for task in whole.tasks:
        tables = other_metrics(whole, task)
        shown = {name for table in tables for name in table.columns[1:]}
        if task["kind"] != "number":
            assert set(task["names"]) <= shown
            first = next(table for table in tables if task["names"][0] in table.columns)
            cell = first.rows[1][first.columns.index(task["names"][0])]
            estimate = whole.summary(task["task"], first.rows[1][0], 1.0)["metrics"][f"auroc:{task['names'][0]}"]
            assert cell.text == f"{estimate['mean']:.3f}"
            assert any("Lower is better for calibration error." in table.caption for table in tables)
        else:
            assert shown == {"R²"}
        assert all(len(table.columns) <= 7 for table in tables)


def test_signs_of_the_overview_are_the_verdicts(whole):
    table = verdicts(whole, against_baseline(whole))
    signs = {"better": "▲", "worse": "▼", "open": "○"}
    for row in table.rows:
        for task, cell in zip(whole.tasks, row[1:], strict=True):
            assert cell == " ".join(signs[whole.verdict(task, row[0], fraction)] for fraction, _ in COUNTS)
    assert {sign for row in table.rows for cell in row[1:] for sign in cell.split()} == {"▲", "▼", "○"}


def test_settings_are_split_into_common_and_own(whole):
    common = common_settings(whole)
    assert common["epochs"] == 20 and common["batch_size"] == 128
    assert "augmentations" not in common and "alpha" not in common
    rows = {row[0]: row for row in methods(whole).rows}
    assert rows["Gaussian noise"][4] == "method = simclr; augmentations = gaussian"
    assert "alpha = 1.0" in rows["Adv Mask"][4] and "epochs" not in rows["Adv Mask"][4]
    assert rows["From scratch"][3:] == [
        "The whole network, trained on the drawn labels from its initial weights.", "–", "0", "3"
    ]  # fmt: skip
    assert rows["Untrained"][3:5] == ["A frozen encoder with its initial weights.", "–"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), ([1, 2.5], "1, 2.5"), ([], "none"), ({"a": 1, "b": [2, 3]}, "a = 1; b = 2, 3"), (None, "None")],
)
def test_settings_are_written_as_a_reader_does(value, text):
    assert value_text(value) == text


def test_missing_is_gathered_by_method_and_task(whole):
    content = dict(whole.content) | {"missing": [{"method": "A", "seed": 0, "task": "sex"},
                                                 {"method": "A", "seed": 1, "task": "sex"},
                                                 {"method": "B", "seed": 1, "task": "sex"}]}  # fmt: skip
    assert missing(StudyResult(content)) == ["A, sex: seeds 0, 1", "B, sex: seed 1"]


@pytest.mark.parametrize(
    ("fraction", "labels", "text"),
    [(50.0, 50, "50"), (0.1, 58, "58 (10 %)"), (1.0, 5840, "5,840 (all)"), (0.015, 9, "9 (1.5 %)")],
)
def test_numbers_of_labels_say_what_they_are(fraction, labels, text):
    assert labels_text(fraction, labels) == text
