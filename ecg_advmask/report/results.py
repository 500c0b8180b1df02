"""Results of evaluations, read from their JSON files and put into table rows.

What the tables show depends on the kind of the task: classes, labels, or a number.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ecg_advmask.data.targets import Kind
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.metrics import PRIMARY
from ecg_advmask.files import read_json

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
METRICS_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "classes": (
        "macro_auroc",
        "accuracy",
        "macro_f1",
        "balanced_accuracy",
        "macro_average_precision",
        "calibration_error",
    ),
    "labels": ("macro_auroc", "macro_average_precision", "macro_f1", "calibration_error"),
    "number": ("mae", "r2"),
}
"""Metrics in the tables, by kind of task, the first three before others; single classes have a table of their own."""

DETAIL_METRICS: Final = {"auroc": "AUROC", "average_precision": "average precision", "f1": "F1"}
NONE: Final = "–"
"""Stands where a metric is not defined."""

GENERATED_NOTICE: Final = (
    "Made on generated recordings: no person was recorded. The figures show that the program works; they say nothing "
    "about patients."
)

FINE_TUNING: Final = "fine-tuning"
"""The kind of a result whose encoders were trained on the labels; that of the others is ``linear evaluation``."""

_COMMAND_OF: Final = {"linear evaluation": "linear-eval", FINE_TUNING: "finetune"}
_FIRST: Final = 3
_FORMAT_VERSION: Final = 2
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
    if result["format_version"] != _FORMAT_VERSION:
        raise InputError(
            f"{path}: has format version {result['format_version']}, this program reads {_FORMAT_VERSION}; "
            f"run {command} again"
        )
    missing = [key for key in _KEYS if key not in result]
    if missing:
        raise InputError(f"{path}: is not a whole result, it lacks {', '.join(missing)}; run {command} again")
    return result


def kind_of(result: Mapping[str, Any]) -> Kind:
    """What kind of targets a task has."""
    kind: Kind = result["targets"]["kind"]
    return kind


def primary_of(result: Mapping[str, Any]) -> str:
    """The metric that the task is judged by."""
    return PRIMARY[kind_of(result)]


def title_of(result: Mapping[str, Any], metric: str) -> str:
    """What a metric is called, with the unit of a number."""
    unit = result["targets"]["names"][0] if metric == "mae" else ""
    return METRIC_TITLES[metric] + (f" ({unit})" if unit else "")


def estimate(result: Mapping[str, Any], metric: str, values: Mapping[str, Any], signed: bool = False) -> str:
    """Mean and interval, such as ``0.931 (0.901 to 0.954)``."""
    mean, low, high = (_figure(result, metric, values[key], signed) for key in ("mean", "low", "high"))
    return f"{mean} ({low} to {high})"


def _figure(result: Mapping[str, Any], metric: str, value: float | None, signed: bool = False) -> str:
    """Three decimals; of an error in the unit of a number so many that the largest mean has four digits."""
    if value is None:
        return NONE
    decimals = 3
    if metric == "mae":
        largest = max(row["metrics"][metric]["mean"] for row in result["summary"])
        decimals = min(max(3 - math.floor(math.log10(largest)), 0), 9) if largest > 0 else 3
    return f"{value:{'+' if signed else ''}.{decimals}f}"


def share_text(fraction: float, labels: int, counts: Mapping[str, Any]) -> str:
    """The share of the training part that the labels are, such as ``10 %``."""
    share = fraction if fraction <= 1 else labels / counts["recordings_of_parts"]["train"]
    return f"{100 * share:.3g} %"


def summary_table(result: Mapping[str, Any], further: bool = False) -> tuple[list[str], list[list[Any]]]:
    """Titles of columns, and one row per encoder and number of labels: the first metrics and the spread over draws.

    With ``further`` the other metrics instead; no rows where the kind has none.
    """
    metrics, primary = _metrics(result, further), primary_of(result)
    titles = ["encoder", "labels", "share", "draws", *(title_of(result, name) for name in metrics)]
    rows = [
        [result["encoders"][row["encoder"]]["name"], row["labels"]]
        + [share_text(row["fraction"], row["labels"], result["counts"]), row["draws"]]
        + [estimate(result, name, row["metrics"][name]) for name in metrics]
        + ([] if further else [_spread(result, primary, row["metrics"][primary])])
        for row in result["summary"]
        if metrics
    ]
    spread = [] if further else [f"{METRIC_TITLES[primary].removeprefix('macro ')} over draws (SD; range)"]
    return [*titles, *spread], rows


def difference_table(result: Mapping[str, Any], further: bool = False) -> tuple[list[str], list[list[Any]]]:
    """Titles of columns, and one row per pair of encoders and number of labels; ``further`` as in `summary_table`."""
    metrics = _metrics(result, further)
    titles = ["difference", "labels", "share", "draws", *(title_of(result, name) for name in metrics)]
    return titles, [
        [f"{result['encoders'][row['first']]['name']} − {result['encoders'][row['second']]['name']}", row["labels"]]
        + [share_text(row["fraction"], row["labels"], result["counts"]), row["draws"]]
        + [estimate(result, name, row["metrics"][name], signed=True) for name in metrics]
        for row in result["differences"]
        if metrics
    ]


def _metrics(result: Mapping[str, Any], further: bool) -> tuple[str, ...]:
    metrics = METRICS_OF[kind_of(result)]
    return metrics[_FIRST:] if further else metrics[:_FIRST]


def _spread(result: Mapping[str, Any], metric: str, values: Mapping[str, Any]) -> str:
    """Standard deviation and range over draws."""
    if values["standard_deviation"] is None:
        return "one draw"
    deviation, low, high = (
        _figure(result, metric, values[key]) for key in ("standard_deviation", "minimum", "maximum")
    )
    return f"{deviation}; {low} to {high}"


def detail_table(result: Mapping[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """Titles of columns, and at the largest number of labels one row per class (or label) and encoder."""
    if kind_of(result) == "number":
        return [], []
    most = max(row["labels"] for row in result["summary"])
    titles = ["class" if kind_of(result) == "classes" else "label", "test recordings", "encoder"]
    return [*titles, *DETAIL_METRICS.values()], [
        [name, result["counts"]["parts"]["test"][name], result["encoders"][row["encoder"]]["name"]]
        + [estimate(result, metric, row["metrics"][f"{metric}:{name}"]) for metric in DETAIL_METRICS]
        for name in result["targets"]["names"]
        for row in result["summary"]
        if row["labels"] == most
    ]


def confusion_tables(result: Mapping[str, Any]) -> list[tuple[str, list[str], list[list[Any]]]]:
    """Caption, titles of columns, and rows of the confusion of classes, one table per encoder; none of other kinds."""
    names = result["targets"]["names"]
    return [
        (
            f"{result['encoders'][one['encoder']]['name']} with {one['labels']:,} labelled recordings: test recordings "
            f"by true class (row) and likeliest class (column)"
            + (f", summed over {one['draws']} draws" if one["draws"] > 1 else ""),
            ["true class", *names],
            [[name, *counts] for name, counts in zip(names, one["counts"], strict=True)],
        )
        for one in result["confusion"]
    ]


# ---- Results of evaluations as text in columns, for the terminal.


def terminal_table(result: Mapping[str, Any]) -> str:
    """The summary and the paired differences as text in columns, with the first metrics of the kind."""
    blocks = [_columns(*summary_table(result))]
    if result["differences"]:
        blocks.append(_columns(*difference_table(result)))
    return "\n\n".join(blocks)


def _columns(titles: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    cells = [list(titles), *[[str(value) for value in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(titles))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])
