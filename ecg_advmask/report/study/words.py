"""How a study was measured, in plain sentences: its protocol, its tasks, and what is missing."""

from collections.abc import Sequence
from typing import Final

from ecg_advmask.report.study.numbers import scale_of
from ecg_advmask.report.study.result import Entry, StudyResult

_HEADS: Final = {
    "lbfgs": "fitted to its optimum (logistic regression by L-BFGS, ridge regression for numbers), its penalty chosen "
    "on the validation part",
    "adam": "trained by Adam",
}
_PARTS: Final = {"train": "training", "validation": "validation", "test": "the test"}
_KINDS: Final = {
    "classes": "one of {} classes ({})",
    "labels": "any of {} labels ({})",
    "number": "a number",
}


def protocol(study: StudyResult) -> list[str]:
    """How the numbers were made."""
    known, sentences = study.content["protocol"], []
    if "pretraining_share" in known:
        share = known["pretraining_share"]
        sentences.append(
            "Each pretrained method learns without labels on "
            + ("all patients" if share == 1 else f"{100 * share:g} % of the patients")
            + " of the pretraining data, once for each seed. No recording, signal or patient that any method's "
            "pretraining meets is used for the evaluation."
        )
    if "shares" in known:
        train, validation, test = (f"{100 * share:g} %" for share in known["shares"])
        seed = f" (seed {known['split_seed']})" if "split_seed" in known else ""
        sentences.append(
            f"The patients that no pretraining meets are split once for each task{seed}, before any training, "
            f"stratified by label: {train} for training, {validation} for validation, {test} for the test. The test "
            "part is the same for every method, seed, number of labels and draw, and every metric is computed on the "
            "whole of it."
        )
    if "draws" in known:
        sentences.append(
            f"For each number of labels, {known['draws']} draws from the training part, where a method's own number is "
            "not stated below; a smaller draw is contained in a larger one of the same seed. The whole training part "
            "is drawn once. The labels of the validation part come on top of the numbers given."
        )
    sentences.append(
        "Frozen encoders (pretrained, or untrained with random weights) get a linear head"
        + (f" {_HEADS[known['head']]}" if known.get("head") in _HEADS else "")
        + ". From scratch, and fine-tuned from a pretrained encoder, the whole network is trained on the drawn labels "
        "and stopped by the validation part."
    )
    resamples = f", {known['resamples']:,} resamples" if "resamples" in known else ""
    kinds = {task["kind"] for task in study.content["tasks"]}
    strata = "" if kinds == {"number"} else " within strata of the label"
    if strata and "number" in kinds:
        strata += " (without strata where a number is predicted)"
    sentences.append(
        f"Intervals: {study.level_text} percentile bootstrap over the test patients{strata}{resamples}, the same for "
        "all methods, which pairs the differences. They are of means over seeds and draws, with the encoders held "
        "fixed: the uncertainty from the test set alone. The spread over pretraining seeds and over draws of labels "
        "is shown apart."
    )
    return sentences


def task_in_words(study: StudyResult, task: Entry) -> str:
    """What is predicted, by which metric it is judged, on how many recordings."""
    names: Sequence[str] = task["names"]
    what = _KINDS.get(task["kind"], "{} values ({})").format(len(names), ", ".join(names))
    if task["kind"] == "number" and names and names[0]:
        what += f" in {names[0]}"
    scale = scale_of(study, task, task["primary"])
    sizes = task["counts"].get("recordings_of_parts", {})
    parts = ", ".join(f"{size:,} for {_PARTS.get(part, part)}" for part, size in sizes.items())
    chance = "; 0.5 is chance" if "auroc" in task["primary"] else ""
    return f"Predicted: {what}. Judged by {scale.axis} ({scale.better}{chance}).{parts and f' Recordings: {parts}.'}"


def missing(study: StudyResult) -> list[str]:
    """What is not finished, method by method."""
    found: dict[tuple[str, str], list[str]] = {}
    for entry in study.content["missing"]:
        found.setdefault((str(entry["method"]), str(entry["task"])), []).append(str(entry["seed"]))
    return [
        f"{method}, {task}: seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)}"
        for (method, task), seeds in found.items()
    ]
