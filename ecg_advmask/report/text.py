"""The findings of a study in plain sentences computed from its numbers, and the format of its numbers."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from ecg_advmask.evaluate.metrics import LOWER_IS_BETTER
from ecg_advmask.report.results import METRIC_TITLES, NONE, JsonObject, Pair, StudyResult, Verdict

# ---- Which methods a study compares: every other one with the baseline, and the further pairs that its file fixes.
#
# A report never mixes the two groups, each of which has its words.


class Made(NamedTuple):
    """One comparison at one number of labels, judged by the primary metric of its task."""

    task: JsonObject
    first: str
    second: str
    fraction: float
    verdict: Verdict


@dataclass(frozen=True)
class Comparisons:
    """Pairs of methods that are described together; differences are the first method minus the second."""

    pairs: tuple[Pair, ...]
    key: str
    """In names of files."""
    title: str
    opening: str
    """A sentence that says which pairs they are."""
    noun: str
    """What one comparison is called where they are counted."""
    counted: str
    """What a row is: a method where all have the same second one, otherwise a pair."""
    first: str
    """What the first method is called in captions."""
    second: str
    """What the second method is called in captions."""
    role: str
    """What the first method is better or worse than."""
    qualifier: str = ""
    """What follows the metric in the answer of a task."""

    def lines(self, pair: Pair) -> list[str]:
        """The name of a pair, in one line where all have the same second method, otherwise in two."""
        return [pair[0]] if self.counted == "method" else [pair[0], f"against {pair[1]}"]

    def name(self, pair: Pair) -> str:
        """The same in one line."""
        return " ".join(self.lines(pair))

    def made(self, study: StudyResult) -> list[Made]:
        """All of them that have an interval, at each number of labels."""
        return [
            Made(task, first, second, fraction, verdict)
            for task in study.tasks
            for fraction, _ in study.columns(task["task"])
            for first, second in self.pairs
            if (verdict := study.verdict(task, first, fraction, second))
        ]


def groups(study: StudyResult) -> Iterator[Comparisons]:
    """The comparisons with the baseline and, where the study file fixes such, the further ones."""
    yield against_baseline(study)
    if study.compare:
        yield further(study)


def against_baseline(study: StudyResult) -> Comparisons:
    """Every other method with the baseline."""
    return Comparisons(
        pairs=tuple((method, study.baseline) for method in study.others),
        key="differences",
        title=f"Against {study.baseline}",
        opening=f"Every other method is compared with the baseline, {study.baseline}, on the same test recordings.",
        noun="comparison",
        counted="method",
        first="method",
        second=study.baseline,
        role="the baseline",
    )


def further(study: StudyResult) -> Comparisons:
    """The pairs that the study file fixes beside the baseline."""
    named = "; ".join(f"{first} against {second}" for first, second in study.compare)
    return Comparisons(
        pairs=study.compare,
        key="further",
        title="Further comparisons, fixed in the study file",
        opening=f"Further comparisons, fixed in the study file, on the same test recordings: {named}.",
        noun="further comparison",
        counted="pair",
        first="first method",
        second="the second",
        role="the second",
        qualifier=", further comparisons",
    )


# ---- How the numbers of a study are written: title, unit, decimals and better direction of a metric.


@dataclass(frozen=True)
class Scale:
    """How values of one metric of one task are written."""

    title: str
    unit: str
    decimals: int
    lower_is_better: bool

    @property
    def axis(self) -> str:
        """Title and unit, as an axis states them."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    @property
    def better(self) -> str:
        """Which direction is better, in words."""
        return "lower is better" if self.lower_is_better else "higher is better"

    def text(self, value: float | None, signed: bool = False) -> str:
        """A value, with a true minus sign; with ``signed`` also a plus."""
        if value is None or not math.isfinite(value):
            return NONE
        return f"{value:{'+' if signed else ''}.{self.decimals}f}".replace("-", "−")

    def interval(self, estimate: Mapping[str, Any], signed: bool = False) -> str:
        """The limits of an estimate, such as ``0.781 to 0.843``; empty where there are none."""
        if estimate["low"] is None or estimate["high"] is None:
            return ""
        return f"{self.text(estimate['low'], signed)} to {self.text(estimate['high'], signed)}"

    def estimate(self, estimate: Mapping[str, Any], signed: bool = False) -> str:
        """Mean and interval, such as ``0.931 (0.901 to 0.954)``."""
        interval = self.interval(estimate, signed)
        return self.text(estimate["mean"], signed) + (f" ({interval})" if interval else "")


def scale_of(study: StudyResult, task: JsonObject, metric: str) -> Scale:
    """The scale of a metric: three decimals for shares and areas, four digits of the largest mean for errors in a unit.

    Metrics of single classes or labels, such as ``auroc:SR``, are titled by what they are.
    """
    kind, _, name = metric.partition(":")
    title = f"{kind.replace('_', ' ').replace('auroc', 'AUROC')} of {name}" if name else METRIC_TITLES.get(kind, kind)
    if metric != "mae":
        return Scale(title, "", 3, metric in LOWER_IS_BETTER)
    entries = (entry for entry in study.content["summary"] if entry["task"] == task["task"])
    means = [entry["metrics"][metric]["mean"] for entry in entries if metric in entry["metrics"]]
    largest = max((abs(mean) for mean in means if mean), default=1.0)
    unit = "".join(task["names"][:1])
    return Scale(title, unit, min(max(3 - math.floor(math.log10(largest)), 0), 6), metric in LOWER_IS_BETTER)


def labels_text(fraction: float, labels: int, word: str = "") -> str:
    """A number of labels, such as ``50``, ``58 (10 %)`` or, with a word, ``580 labels (all)``."""
    share = "" if fraction > 1 else " (all)" if fraction == 1 else f" ({100 * fraction:.3g} %)"
    return f"{labels:,}{word and ' '}{word}{share}"


def missing(study: StudyResult) -> list[str]:
    """What is not finished, method by method."""
    found: dict[tuple[str, str], list[str]] = {}
    for entry in study.content["missing"]:
        found.setdefault((str(entry["method"]), str(entry["task"])), []).append(str(entry["seed"]))
    return [
        f"{method}, {task}: seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)}"
        for (method, task), seeds in found.items()
    ]


# ---- What a study found, in plain sentences computed from its numbers, each group of comparisons by itself.

_RULE: Final = (
    "A method is called better or worse only where the {} interval of the paired difference leaves out 0; where the "
    "interval includes 0, these data do not distinguish the two, which does not mean that they are equal."
)
_CAUTION: Final = (
    "No correction was made for that, and comparisons that share recordings or encoders err together. What holds over "
    "several numbers of labels carries weight; a single entry does not."
)
_FIXED: Final = " The intervals hold the encoders fixed."


def answer(study: StudyResult) -> list[str]:
    """The outcome over all tasks and numbers of labels, and how far it can be read."""
    sentences: list[str] = []
    rule, caution = _RULE.format(study.level_text), _CAUTION + ("" if study.over_seeds else _FIXED)
    for group in groups(study):
        made = group.made(study)
        if not made:
            sentences.append(f"{group.title}: there are no paired differences yet.")
            continue
        sentences += [f"{group.opening} {rule}".strip(), f"{_counts(study, group, made)} {caution}".strip()]
        sentences += _seeds_that_agree(study, group, made)
        rule = caution = ""  # said once
    return sentences


def _counts(study: StudyResult, group: Comparisons, made: Sequence[Made]) -> str:
    """How many comparisons there are and what became of them, beside what chance alone would give."""
    better, worse, apart = (sum(one.verdict == verdict for one in made) for verdict in ("better", "worse", "open"))
    pairs = len({(one.first, one.second) for one in made})
    tasks = len({one.task["task"] for one in made})
    return (
        f"{_count(len(made), f'{group.noun} was', f'{group.noun}s were')} made ({_count(pairs, group.counted)}, "
        f"{_count(tasks, 'task')}, each at its numbers of labels): {better} better, {worse} worse, {apart} without "
        f"a clear difference. If no {group.first} differed from {group.role}, about "
        f"{(1 - study.level) * len(made):.3g} of {len(made)} intervals would still leave out 0 by chance."
    )


def _seeds_that_agree(study: StudyResult, group: Comparisons, made: Sequence[Made]) -> list[str]:
    """In how many of the comparisons called better or worse each pretraining seed by itself gives the same sign."""
    same, of = 0, 0
    for task, first, second, fraction, verdict in made:
        entry = study.difference(task["task"], first, fraction, second)
        estimate = entry["metrics"][task["primary"]] if entry else {}
        seeds = [value for value in estimate.get("by_seed", {}).values() if value is not None]
        if verdict != "open" and len(seeds) > 1:
            of += 1
            same += all(value * estimate["mean"] > 0 for value in seeds)
    if not of:
        return []
    return [
        f"{_count(of, group.noun)} called better or worse {'has' if of == 1 else 'have'} several pretraining seeds; "
        f"in {same} of them every seed gives a difference of that sign."
    ]


def answer_of_task(study: StudyResult, task: JsonObject, group: Comparisons) -> str:
    """Which methods or pairs are better and worse in a task, and at which numbers of labels; empty if none is
    compared."""
    columns = study.columns(task["task"])
    by_verdict: dict[Verdict, list[str]] = {"better": [], "worse": [], "open": []}
    for first, second in group.pairs:
        found = {labels: study.verdict(task, first, fraction, second) for fraction, labels in columns}
        known, name = [verdict for verdict in found.values() if verdict], group.name((first, second))
        for verdict in ("better", "worse"):
            at = [f"{labels:,}" for labels, one in found.items() if one == verdict]
            if at:
                every = len(at) == len(columns) and len(columns) > 1
                by_verdict[verdict].append(f"{name} (at {'every number of' if every else _listed(at)} labels)")
        if known and set(known) == {"open"}:
            by_verdict["open"].append(name)
    if not any(by_verdict.values()):
        return ""
    titles = {"better": "Better than", "worse": "Worse than", "open": "Nowhere clearly different from"}
    parts = [f"{titles[verdict]} {group.second}: {'; '.join(named) or 'none'}" for verdict, named in by_verdict.items()]
    metric = scale_of(study, task, task["primary"]).title
    return f"{task['task']}, by {metric}{group.qualifier}. {'. '.join(parts)}."


def _count(number: int, word: str, plural: str = "") -> str:
    return f"{number:,} {word if number == 1 else plural or word + 's'}"


def _listed(texts: Sequence[str]) -> str:
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def headline(study: StudyResult) -> str:
    """The estimates of evaluations at the largest number of labels in one sentence, and which of them differ where."""
    task = study.tasks[0]
    scale, columns = scale_of(study, task, task["primary"]), study.columns(task["task"])
    fraction, labels = columns[-1]
    entries = {method: study.summary(task["task"], method, fraction) for method in study.methods}
    figures = [f"{name} {scale.estimate(one['metrics'][task['primary']])}" for name, one in entries.items() if one]
    found = answer_of_task(study, task, against_baseline(study))
    return f"{study.content['name']}, {labels:,} labels: {scale.axis} {', '.join(figures)}. {found}".strip()
