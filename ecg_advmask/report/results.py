"""Results of linear evaluations, read from their JSON files and put into words and table rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ecg_advmask.errors import InputError
from ecg_advmask.files import read_json

METRIC_TITLES: Final = {"macro_auroc": "macro AUROC", "accuracy": "accuracy", "macro_f1": "macro F1"}
SUMMARY_COLUMNS: Final = (
    "encoder",
    "labels",
    "share",
    "draws",
    *METRIC_TITLES.values(),
    "AUROC over draws (SD; range)",
)
DIFFERENCE_COLUMNS: Final = ("difference", "labels", "share", "draws", *METRIC_TITLES.values())
_FORMAT_VERSION: Final = 1
_KEYS: Final = (
    "task",
    "classes",
    "dataset",
    "run",
    "encoders",
    "counts",
    "sha256_of_ids",
    "protocol",
    "summary",
    "differences",
)


def read_result(path: str | Path) -> dict[str, Any]:
    """The result that ``ecg-advmask linear-eval`` wrote.

    Raises:
        InputError: the file is missing, is not such a result, or has another format version.
    """
    result = read_json(path)
    missing = [key for key in _KEYS if key not in result]
    if missing or result.get("kind") != "linear evaluation":
        raise InputError(f"{path}: is not a result of linear-eval, give a file that ecg-advmask linear-eval wrote")
    if result.get("format_version") != _FORMAT_VERSION:
        raise InputError(
            f"{path}: has format version {result.get('format_version')}, this program reads {_FORMAT_VERSION}; "
            "run linear-eval again"
        )
    return result


def estimate(metric: Mapping[str, Any], signed: bool = False) -> str:
    """Mean and interval, such as ``0.931 (0.901 to 0.954)``."""
    sign = "+" if signed else ""
    return f"{metric['mean']:{sign}.3f} ({metric['low']:{sign}.3f} to {metric['high']:{sign}.3f})"


def share_text(fraction: float, labels: int, counts: Mapping[str, Any]) -> str:
    """The share of the training part that the labels are, such as ``10 %``."""
    share = fraction if fraction <= 1 else labels / sum(counts["parts"]["train"].values())
    return f"{100 * share:.3g} %"


def summary_rows(result: Mapping[str, Any]) -> list[list[Any]]:
    """One row per encoder and number of labels, for `SUMMARY_COLUMNS`."""
    rows = []
    for row in result["summary"]:
        auroc = row["metrics"]["macro_auroc"]
        spread = "one draw"
        if auroc["standard_deviation"] is not None:
            spread = f"{auroc['standard_deviation']:.3f}; {auroc['minimum']:.3f} to {auroc['maximum']:.3f}"
        rows.append(
            [result["encoders"][row["encoder"]]["name"], row["labels"]]
            + [share_text(row["fraction"], row["labels"], result["counts"]), row["draws"]]
            + [estimate(row["metrics"][name]) for name in METRIC_TITLES]
            + [spread]
        )
    return rows


def difference_rows(result: Mapping[str, Any]) -> list[list[Any]]:
    """One row per pair of encoders and number of labels, for `DIFFERENCE_COLUMNS`."""
    return [
        [f"{result['encoders'][row['first']]['name']} − {result['encoders'][row['second']]['name']}", row["labels"]]
        + [share_text(row["fraction"], row["labels"], result["counts"]), row["draws"]]
        + [estimate(row["metrics"][name], signed=True) for name in METRIC_TITLES]
        for row in result["differences"]
    ]


def verdicts(result: Mapping[str, Any]) -> list[str]:
    """What the paired differences of macro AUROC say, one sentence per pair and number of labels."""
    sentences = []
    for row in result["differences"]:
        first, second = (result["encoders"][row[key]]["name"] for key in ("first", "second"))
        auroc = row["metrics"]["macro_auroc"]
        if auroc["low"] > 0:
            meaning = f"{first} is better"
        elif auroc["high"] < 0:
            meaning = f"{second} is better"
        else:
            meaning = "this test set does not tell them apart"
        sentences.append(
            f"{result['task']}, {row['labels']:,} labels: {first} minus {second} {estimate(auroc, signed=True)} "
            f"macro AUROC; {meaning}."
        )
    return sentences


def headline(result: Mapping[str, Any]) -> str:
    """The result with most labels in one sentence, and for how many numbers of labels the encoders differ."""
    most = max(row["labels"] for row in result["summary"])
    figures = [
        f"{result['encoders'][row['encoder']]['name']} {estimate(row['metrics']['macro_auroc'])}"
        for row in result["summary"]
        if row["labels"] == most
    ]
    told = f"{result['task']} on {result['dataset']['name']}, {most:,} labels: macro AUROC {', '.join(figures)}."
    lows = [row["metrics"]["macro_auroc"]["low"] for row in result["differences"]]
    highs = [row["metrics"]["macro_auroc"]["high"] for row in result["differences"]]
    if lows:
        first = result["encoders"][result["differences"][0]["first"]]["name"]
        told += (
            f" Of {len(lows)} numbers of labels, the interval of the paired difference puts {first} above the other at "
            f"{sum(low > 0 for low in lows)} and below it at {sum(high < 0 for high in highs)}; the rest stay open."
        )
    return told


def protocol_in_words(result: Mapping[str, Any]) -> list[str]:
    """How the figures were made, and how many recordings were left out for which reason."""
    counts, protocol = result["counts"], result["protocol"]
    sizes = {part: sum(classes.values()) for part, classes in counts["parts"].items()}
    reasons = "; ".join(f"{reason}: {count:,}" for reason, count in counts["unlabelled_reasons"].items())
    reasons = f" ({reasons})" if reasons else ""
    stored = result.get("split")
    how = f"as stored in {Path(stored['path']).name}" if stored else f"seed {protocol['split_seed']}"
    outside = f", and {counts['outside_split']:,} are not in the split" if counts.get("outside_split") else ""
    strengths = ", ".join(f"{value:g}" for value in protocol["strengths"])
    return [
        f"Task {result['task']} with the classes {', '.join(result['classes'])}. The encoder is frozen; a recording of "
        "several windows has the mean of their embeddings.",
        f"Of {counts['recordings']:,} recordings, {counts['seen']:,} were left out because the encoder had met them in "
        f"pretraining (by id {counts['seen_by_id']:,}, by signal {counts['seen_by_signal']:,}, by patient "
        f"{counts['seen_by_patient']:,}; one can count in several), {counts['copies']:,} as copies of another signal "
        f"and {counts['unlabelled']:,} for want of a label{reasons}{outside}. The other {counts['eligible']:,} are of "
        f"{counts['patients']:,} patients.",
        f"They were split once by patient ({how}), stratified by class: {sizes['train']:,} for "
        f"training, {sizes['validation']:,} for validation, {sizes['test']:,} for the test. Every encoder, number of "
        "labels and draw is measured on this same, whole test set.",
        f"For each number of labels, up to {protocol['draws']} stratified draws from the training part (seeds from "
        f"{protocol['seed']}). On each, logistic regression with an L2 penalty (L-BFGS) on embeddings standardised by "
        f"the drawn recordings; its C is chosen from {strengths} by macro AUROC on the validation part, whose "
        f"{sizes['validation']:,} labels come on top of the number given.",
        f"Intervals: {protocol['level']:.0%} percentile bootstrap over test patients within classes, "
        f"{protocol['resamples']:,} resamples, the same for all heads, which pairs the differences. They tell the "
        "uncertainty from the test set alone; the spread over draws of labels stands apart. One pretrained encoder was "
        "tested: how much pretraining varies from seed to seed is not in these figures.",
    ]


def terminal_table(result: Mapping[str, Any]) -> str:
    """The summary and the paired differences as text in columns."""
    blocks = [_columns(SUMMARY_COLUMNS, summary_rows(result))]
    if result["differences"]:
        blocks.append(_columns(DIFFERENCE_COLUMNS, difference_rows(result)))
    return "\n\n".join(blocks)


def _columns(titles: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    cells = [list(titles), *[[str(value) for value in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(titles))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])
