"""How the numbers of a study are written: title, unit, decimals and better direction of a metric."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ecg_advmask.evaluate.metrics import LOWER_IS_BETTER
from ecg_advmask.report.results import METRIC_TITLES, NONE
from ecg_advmask.report.study.result import Entry, StudyResult


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


def scale_of(study: StudyResult, task: Entry, metric: str) -> Scale:
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
