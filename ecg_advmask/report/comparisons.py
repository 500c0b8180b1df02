"""Which methods a study compares: every other one with the baseline, and the further pairs that its file fixes.

In: the result of a study. Out: the pairs in two groups, which a report never mixes, with the words for each group.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ecg_advmask.report.results import Entry, Pair, StudyResult, Verdict


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
