"""A study in plain sentences, computed from its numbers: what differs from the baseline, and how it was measured."""

from collections.abc import Sequence
from typing import Final

from ecg_advmask.report.study.numbers import scale_of
from ecg_advmask.report.study.result import Entry, StudyResult, Verdict

SIGNS: Final[dict[Verdict | None, str]] = {"better": "▲", "worse": "▼", "open": "○", None: "–"}
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


def comparisons(study: StudyResult) -> list[tuple[Entry, str, float, Verdict]]:
    """All comparisons with the baseline by the primary metric: task, method, number of labels, verdict."""
    found = []
    for task in study.tasks:
        for fraction, _ in study.columns(task["task"]):
            for method in study.others:
                if verdict := study.verdict(task, method, fraction):
                    found.append((task, method, fraction, verdict))
    return found


def answer(study: StudyResult) -> list[str]:
    """The outcome over all tasks and numbers of labels, and how far it can be read."""
    made = comparisons(study)
    if not made:
        return [f"No method can be compared with {study.baseline}: there are no paired differences yet."]
    told = [one for one in made if one[3] != "open"]
    better = sum(verdict == "better" for *_, verdict in made)
    same, of = 0, 0
    for task, method, fraction, _ in told:
        entry = study.difference(task["task"], method, fraction)
        estimate = entry["metrics"][task["primary"]] if entry else {}
        seeds = [value for value in estimate.get("by_seed", {}).values() if value is not None]
        if len(seeds) > 1:
            of += 1
            same += all(value * estimate["mean"] > 0 for value in seeds)
    methods = len({method for _, method, *_ in made})
    tasks = len({task["task"] for task, *_ in made})
    sentences = [
        f"Every other method is compared with the baseline, {study.baseline}, on the same test recordings. It is "
        f"called better or worse only where the {study.level_text} interval of the paired difference leaves out 0; "
        "where the interval includes 0, these data do not tell the two apart, which does not mean that they are equal.",
        f"{_count(len(made), 'comparison was', 'comparisons were')} made ({_count(methods, 'method')}, "
        f"{_count(tasks, 'task')}, each at its numbers of labels): {better} better, {len(told) - better} worse, "
        f"{len(made) - len(told)} not told apart. If no method differed from the baseline, about "
        f"{(1 - study.level) * len(made):.3g} of {len(made)} intervals would still leave out 0 by chance; no "
        "correction was made for that, and comparisons that share recordings or encoders err together. What holds over "
        "several numbers of labels carries weight; a single entry does not.",
    ]
    if of:
        sentences.append(
            f"The intervals hold the encoders fixed. {_count(of, 'comparison')} called better or worse "
            f"{'has' if of == 1 else 'have'} several pretraining seeds; in {same} of them every seed gives a "
            "difference of that sign."
        )
    return sentences


def answer_of_task(study: StudyResult, task: Entry) -> str:
    """Which methods are better and worse than the baseline in a task, and at which numbers of labels; empty if none is
    compared."""
    columns = study.columns(task["task"])
    groups: dict[Verdict, list[str]] = {"better": [], "worse": [], "open": []}
    for method in study.others:
        found = {labels: study.verdict(task, method, fraction) for fraction, labels in columns}
        known = [verdict for verdict in found.values() if verdict]
        for verdict in ("better", "worse"):
            at = [f"{labels:,}" for labels, one in found.items() if one == verdict]
            if at:
                every = len(at) == len(columns) and len(columns) > 1
                groups[verdict].append(f"{method} (at {'every number of' if every else _listed(at)} labels)")
        if known and set(known) == {"open"}:
            groups["open"].append(method)
    if not any(groups.values()):
        return ""
    titles = {"better": "better than", "worse": "worse than", "open": "nowhere told apart from"}
    parts = [f"{titles[verdict]} {study.baseline}: {'; '.join(named) or 'none'}" for verdict, named in groups.items()]
    return f"{task['task']}, by {scale_of(study, task, task['primary']).title}. {'. '.join(map(_sentence, parts))}."


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
    sentences.append(
        f"Intervals: {study.level_text} percentile bootstrap over the test patients within strata of the "
        f"label{resamples}, the same for all methods, which pairs the differences. They are of means over seeds and "
        "draws, with the encoders held fixed: the uncertainty from the test set alone. The spread over "
        "pretraining seeds and over draws of labels is shown apart."
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


def _count(number: int, word: str, plural: str = "") -> str:
    return f"{number:,} {word if number == 1 else plural or word + 's'}"


def _listed(texts: Sequence[str]) -> str:
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
