"""Results of evaluations and studies, read from their files into one form: a study.

An evaluation (``linear-eval``, ``finetune``) is a study of one: its encoders are methods of one pretraining seed each.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.metrics import LOWER_IS_BETTER, PRIMARY
from ecg_advmask.files import read_json

JsonObject = Mapping[str, Any]
Pair = tuple[str, str]
Verdict = Literal["better", "worse", "open"]

METRIC_TITLES: Final = {
    "macro_auroc": "macro AUROC",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_average_precision": "macro average precision",
    "macro_f1": "macro F1",
    "calibration_error": "calibration error",
    "mae": "mean absolute error",
    "r2": "R²",
}
NONE: Final = "–"
"""Stands where a metric is not defined."""

GENERATED_NOTICE: Final = (
    "Made on generated recordings: no person was recorded. The figures show that the program works; they say nothing "
    "about patients."
)

FINE_TUNING: Final = "fine-tuning"
"""The kind of a result whose encoders were trained on the labels; that of the others is ``linear evaluation``."""

_STUDY_VERSION: Final = 1
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
    """A study's ``results.json``, or evaluations in its form; ``content`` is the whole of it."""

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
        if content.get("format_version") != _STUDY_VERSION:
            found = content.get("format_version")
            raise InputError(f"{path}: has format version {found}, this program reads {_STUDY_VERSION}; run it again")
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
    def over_seeds(self) -> bool:
        """Whether intervals hold the spread over pretraining seeds and draws; those of earlier versions are over
        patients alone."""
        return "seeds" in self.content["protocol"].get("intervals_over", [])

    @property
    def interval_over(self) -> str:
        """What intervals are over, in words."""
        return "pretraining seeds, draws and test patients" if self.over_seeds else "the test set"

    @property
    def confirmed(self) -> tuple[JsonObject, ...]:
        """The comparisons that the study file fixes for its endpoints; older results have none."""
        return tuple(self.content.get("confirmed", []))

    @property
    def recommendation(self) -> JsonObject | None:
        """What the rule of the study file picks; older results have none."""
        return self.content.get("recommendation")

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
    def tasks(self) -> tuple[JsonObject, ...]:
        """The tasks, in their order."""
        return tuple(self.content["tasks"])

    def columns(self, task: str) -> list[tuple[float, int]]:
        """Numbers of labels of a task, ascending: (as the study file states it, number of recordings)."""
        found = {(entry["fraction"], entry["labels"]) for entry in self.content["summary"] if entry["task"] == task}
        return sorted(found, key=lambda pair: (pair[1], pair[0]))

    def summary(self, task: str, method: str, fraction: float) -> JsonObject | None:
        """The entry of a method at a number of labels; None where there is none."""
        return _first(self.content["summary"], task=task, method=method, fraction=fraction)

    def difference(self, task: str, method: str, fraction: float, second: str | None = None) -> JsonObject | None:
        """The paired difference of a method from a second one, or from the baseline; None where there is none."""
        second = self.baseline if second is None else second
        return _first(self.content["differences"], task=task, first=method, second=second, fraction=fraction)

    def verdict(self, task: JsonObject, method: str, fraction: float, second: str | None = None) -> Verdict | None:
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


def _first(entries: list[JsonObject], **wanted: Any) -> JsonObject | None:
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


# ---- Evaluations as studies.

_COMMAND_OF: Final = {"linear evaluation": "linear-eval", FINE_TUNING: "finetune"}
_EVALUATION_VERSION: Final = 2
_KEYS: Final = (
    "task",
    "targets",
    "dataset",
    "run",
    "encoders",
    "counts",
    "sha256_of_ids",
    "protocol",
    "results",
    "summary",
    "differences",
    "confusion",
)


def read_result(path: str | Path) -> dict[str, Any]:
    """The result that ``ecg-advmask linear-eval`` or ``ecg-advmask finetune`` wrote.

    Raises:
        InputError: the file is missing, is not such a result, or has another format version.
    """
    result = read_json(path)
    command = _COMMAND_OF.get(str(result.get("kind")))
    if command is None or "format_version" not in result:
        raise InputError(f"{path}: is not a result of linear-eval or finetune, give a file that one of them wrote")
    if result["format_version"] != _EVALUATION_VERSION:
        raise InputError(
            f"{path}: has format version {result['format_version']}, this program reads {_EVALUATION_VERSION}; "
            f"run {command} again"
        )
    missing = [key for key in _KEYS if key not in result]
    if missing:
        raise InputError(f"{path}: is not a whole result, it lacks {', '.join(missing)}; run {command} again")
    return result


def as_studies(results: Iterable[JsonObject]) -> list[StudyResult]:
    """Results of `read_result` as studies: those of one task on one test set, judged alike, side by side in one.

    An encoder has the name of its method, with the folder of its run where two encoders share the name.
    """
    alike: dict[str, list[JsonObject]] = {}
    for result in results:
        protocol = {key: value for key, value in result["protocol"].items() if key not in ("fractions", "draws")}
        judged = (result["task"], result["dataset"]["name"], result["sha256_of_ids"]["test"], result["kind"])
        alike.setdefault(json.dumps([*judged, protocol, result.get("fine_tuning")]), []).append(result)
    return [_side_by_side(members) for members in alike.values()]


def _side_by_side(results: Sequence[JsonObject]) -> StudyResult:
    """Results of one task on one test set as a study; what two of them have measured alike is there once."""
    first, names = results[0], _names(results)
    named = [{key: names[about["sha256"]] for key, about in result["encoders"].items()} for result in results]
    task, kind = first["task"], first["targets"]["kind"]
    summary: dict[tuple[Any, ...], JsonObject] = {}
    differences: dict[tuple[Any, ...], JsonObject] = {}
    confusion: dict[str, JsonObject] = {}
    for result, name in zip(results, named, strict=True):
        for row in result["summary"]:
            entry = _entry(task, row) | {"method": name[row["encoder"]]}
            summary.setdefault((entry["method"], row["fraction"]), entry)
        for row in result["differences"]:
            entry = _entry(task, row) | {"first": name[row["first"]], "second": name[row["second"]]}
            differences.setdefault((entry["first"], entry["second"], row["fraction"]), entry)
        for row in result["confusion"]:
            confusion.setdefault(name[row["encoder"]], {"task": task, **row, "method": name[row["encoder"]]})
    kinds = {name[key]: key for name in named for key in name}
    baseline = list(named[0].values())[-1]
    others = dict.fromkeys((one["first"], one["second"]) for one in differences.values() if one["second"] != baseline)
    about = {"task": task, "names": first["targets"]["names"], "counts": first["counts"], "kind": kind}
    return StudyResult(
        {
            "kind": first["kind"],
            "name": f"{task} on {first['dataset']['name']}{', fine-tuned' if first['kind'] == FINE_TUNING else ''}",
            "baseline": baseline,
            "compare": [list(pair) for pair in others],
            "protocol": first["protocol"],
            "methods": [{"name": name, "kind": kinds[name]} for name in kinds],
            "tasks": [about | {"primary": PRIMARY[kind], "parts": first["counts"]["parts"]}],
            "summary": list(summary.values()),
            "differences": list(differences.values()),
            "confusion": list(confusion.values()),
            "results": list(results),
        }
    )


def _entry(task: str, row: JsonObject) -> dict[str, Any]:
    """A row of a summary or of differences as a study has it; smallest and largest draw stay with its estimates."""
    metrics = {
        name: {key: value for key, value in estimate.items() if key != "standard_deviation"}
        | {"sd_over_draws": estimate["standard_deviation"], "sd_over_seeds": None, "by_seed": {"": estimate["mean"]}}
        for name, estimate in row["metrics"].items()
    }
    setting = {key: row[key] for key in ("fraction", "labels", "draws")}
    return {"task": task, **setting, "metrics": metrics}


def _names(results: Sequence[JsonObject]) -> dict[str, str]:
    """A name for every encoder, by its hash."""
    found = {
        about["sha256"]: (about["name"], str(result["run"]["path"]).rstrip("/").rpartition("/")[2])
        for result in reversed(results)
        for about in result["encoders"].values()
    }
    names = [name for name, _ in found.values()]
    return {
        sha256: name if names.count(name) == 1 else f"{name} ({folder})" for sha256, (name, folder) in found.items()
    }
