"""What a study found: ``results.json`` read and checked, and its entries by task, method and number of labels."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.metrics import LOWER_IS_BETTER
from ecg_advmask.files import read_json

Entry = Mapping[str, Any]
Pair = tuple[str, str]
Verdict = Literal["better", "worse", "open"]

_FORMAT_VERSION: Final = 1
_TEXTS: Final = ("name", "question", "baseline")
_TABLES: Final = ("study", "protocol", "data", "versions")
_LISTS: Final[Mapping[str, tuple[str, ...]]] = {
    "methods": ("name", "kind"),
    "tasks": ("task", "kind", "names", "primary", "counts", "parts"),
    "summary": ("task", "method", "fraction", "labels", "draws", "metrics"),
    "differences": ("task", "first", "second", "fraction", "labels", "metrics"),
    "confusion": ("task", "method", "labels", "counts"),
    "training": ("method", "seed", "history"),
    "missing": ("method", "seed", "task"),
}
"""Lists of a result, and what each of their entries must have."""


@dataclass(frozen=True)
class StudyResult:
    """A study's ``results.json``; ``content`` is the whole of it."""

    content: Mapping[str, Any]

    @classmethod
    def read(cls, path: str | Path) -> "StudyResult":
        """Read the result of a study.

        Raises:
            InputError: the file is missing, is no such result, has another format version, or lacks a part.
        """
        content = read_json(path)
        if content.get("kind") != "study":
            raise InputError(f"{path}: is not the result of a study, give a folder that ecg-advmask study wrote")
        if content.get("format_version") != _FORMAT_VERSION:
            found = content.get("format_version")
            raise InputError(f"{path}: has format version {found}, this program reads {_FORMAT_VERSION}; run it again")
        _check(path, content)
        return cls(content)

    @property
    def baseline(self) -> str:
        """The method that every other one is compared with."""
        return str(self.content["baseline"])

    @property
    def level(self) -> float:
        """Coverage of the intervals."""
        return float(self.content["protocol"].get("level", 0.95))

    @property
    def level_text(self) -> str:
        """The same as text, such as ``95 %``."""
        return f"{100 * self.level:g} %"

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods, in the order of the study file."""
        return tuple(method["name"] for method in self.content["methods"])

    @property
    def others(self) -> tuple[str, ...]:
        """Methods that are compared with the baseline."""
        return tuple(name for name in self.methods if name != self.baseline)

    @property
    def compare(self) -> tuple[Pair, ...]:
        """Further pairs of methods that the study file fixes, first minus second; older results have no such part."""
        return tuple((first, second) for first, second in self.content.get("compare", []))

    @property
    def tasks(self) -> tuple[Entry, ...]:
        """The tasks, in their order."""
        return tuple(self.content["tasks"])

    def columns(self, task: str) -> list[tuple[float, int]]:
        """Numbers of labels of a task, ascending: (as the study file states it, number of recordings)."""
        found = {(entry["fraction"], entry["labels"]) for entry in self.content["summary"] if entry["task"] == task}
        return sorted(found, key=lambda pair: (pair[1], pair[0]))

    def summary(self, task: str, method: str, fraction: float) -> Entry | None:
        """The entry of a method at a number of labels; None where there is none."""
        return _first(self.content["summary"], task=task, method=method, fraction=fraction)

    def difference(self, task: str, method: str, fraction: float, second: str | None = None) -> Entry | None:
        """The paired difference of a method from a second one, or from the baseline; None where there is none."""
        second = self.baseline if second is None else second
        return _first(self.content["differences"], task=task, first=method, second=second, fraction=fraction)

    def verdict(self, task: Entry, method: str, fraction: float, second: str | None = None) -> Verdict | None:
        """What the paired interval of the primary metric says of a method against a second one, or against the
        baseline; None where there is none.

        A method is better or worse only where the interval leaves out 0; of errors, less is better.
        """
        entry = self.difference(task["task"], method, fraction, second)
        estimate = entry and entry["metrics"].get(task["primary"])
        if not estimate or estimate["low"] is None or estimate["high"] is None:
            return None
        if estimate["low"] <= 0 <= estimate["high"]:
            return "open"
        return "better" if (estimate["low"] > 0) != (task["primary"] in LOWER_IS_BETTER) else "worse"

    def clearly_best(self, task: str, fraction: float, metric: str) -> str | None:
        """The method with the best mean, if its interval overlaps that of no other; None otherwise, or if alone."""
        found = {}
        for method in self.methods:
            entry = self.summary(task, method, fraction)
            estimate = entry and entry["metrics"].get(metric)
            if estimate and None not in (estimate["mean"], estimate["low"], estimate["high"]):
                found[method] = estimate
        if len(found) < 2:
            return None
        sign = -1 if metric in LOWER_IS_BETTER else 1
        best = max(found, key=lambda method: float(sign * found[method]["mean"]))
        worst_of_best = min(sign * found[best]["low"], sign * found[best]["high"])
        rivals = [max(sign * one["low"], sign * one["high"]) for method, one in found.items() if method != best]
        return best if worst_of_best > max(rivals) else None


def _first(entries: list[Entry], **wanted: Any) -> Entry | None:
    return next((entry for entry in entries if all(entry[key] == value for key, value in wanted.items())), None)


def _is_pair(value: Any, names: list[str]) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(name in names for name in value)


def _check(path: str | Path, content: Mapping[str, Any]) -> None:
    """Every part is there, and entries speak of methods and tasks that are there."""

    def damaged(what: str) -> InputError:
        return InputError(f"{path}: {what}; run ecg-advmask study again, it keeps what is finished")

    for keys, kind in ((_TEXTS, str), (_TABLES, dict), (tuple(_LISTS), list)):
        for key in keys:
            if not isinstance(content.get(key), kind):
                raise damaged(f"has no part {key!r} of its form")
    for key, needed in _LISTS.items():
        for entry in content[key]:
            lacking = [name for name in needed if not isinstance(entry, dict) or name not in entry]
            if lacking:
                raise damaged(f"an entry of {key!r} lacks {', '.join(lacking)}")
    names, pairs = [one["name"] for one in content["methods"]], content.get("compare", [])
    if not isinstance(pairs, list) or not all(_is_pair(pair, names) for pair in pairs):
        raise damaged("has no part 'compare' of its form")
    methods, tasks = ({one[key] for one in content[part]} for part, key in (("methods", "name"), ("tasks", "task")))
    for key in ("summary", "differences", "confusion"):
        for entry in content[key]:
            named = {entry[role] for role in ("method", "first", "second") if role in entry}
            if not named <= methods or entry["task"] not in tasks:
                raise damaged(f"an entry of {key!r} is of a method or task that the study does not have")


# ---- Which methods a study compares: every other one with the baseline, and the further pairs that its file fixes.
#
# In: the result of a study. Out: the pairs in two groups, which a report never mixes, with the words for each group.


class Made(NamedTuple):
    """One comparison at one number of labels, judged by the primary metric of its task."""

    task: Entry
    first: str
    second: str
    fraction: float
    verdict: Verdict


@dataclass(frozen=True)
class Comparisons:
    """Pairs of methods that are told of together; differences are the first method minus the second."""

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
    """What stands after the metric in the answer of a task."""

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
