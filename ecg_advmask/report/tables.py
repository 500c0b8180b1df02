"""Tables of a study: methods by numbers of labels, paired differences, spreads, classes."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ecg_advmask.report.document import Cell, Table
from ecg_advmask.report.results import METRIC_TITLES, NONE, JsonObject, StudyResult, Verdict
from ecg_advmask.report.text import Comparisons, labels_text, scale_of

SIGNS: Final[Mapping[Verdict | None, str]] = {"better": "▲", "worse": "▼", "open": "○", None: "–"}
_MOST_COLUMNS: Final = 6
_TOLD: Final[Mapping[Verdict | None, str]] = {"better": SIGNS["better"], "worse": SIGNS["worse"]}
DETAIL_METRICS: Final = {"auroc": "AUROC", "average_precision": "average precision", "f1": "F1"}
"""Of single classes or labels."""
BOLD_RULE: Final = "Bold: the best mean of a column, only where its interval overlaps that of no other method."
_SIGN_RULE: Final = (
    "▲ better and ▼ worse than {} by the paired interval (limits before rounding); no sign: no clear difference."
)


def verdicts(study: StudyResult, group: Comparisons) -> Table:
    """One sign for each comparison."""
    rows = [
        [group.name((first, second))]
        + [
            " ".join(SIGNS[study.verdict(task, first, fraction, second)] for fraction, _ in study.columns(task["task"]))
            for task in study.tasks
        ]
        for first, second in group.pairs
    ]
    caption = (
        f"{group.title}, by the primary metric of each task; in a cell one sign for each number of labels, "
        "from the fewest to the most: ▲ better and ▼ worse by the paired interval, ○ no clear difference."
    )
    return Table([group.counted, *(task["task"] for task in study.tasks)], rows, caption)


def verdicts_by_labels(study: StudyResult, task: JsonObject, group: Comparisons) -> Table:
    """For each number of labels the methods or pairs that are better, worse, and without a clear difference."""
    scale, rows = scale_of(study, task, task["primary"]), []
    for fraction, labels in study.columns(task["task"]):
        by_verdict: dict[Verdict, list[str]] = {"better": [], "worse": [], "open": []}
        for first, second in group.pairs:
            verdict = study.verdict(task, first, fraction, second)
            entry, name = study.difference(task["task"], first, fraction, second), group.name((first, second))
            if verdict and entry:
                mean = scale.text(entry["metrics"][task["primary"]]["mean"], signed=True)
                by_verdict[verdict].append(name if verdict == "open" else f"{name} ({mean})")
        rows.append([labels_text(fraction, labels), *("; ".join(named) or "none" for named in by_verdict.values())])
    pairs = f"each {group.first} against {group.second}"
    caption = f"{task['task']}: {pairs}, with the difference of {scale.axis} ({scale.better})."
    return Table(["labels", "better", "worse", "no clear difference"], rows, caption, prose=True)


def estimates(study: StudyResult, task: JsonObject) -> Table:
    """The primary metric of each method at each number of labels, with intervals."""
    metric, columns = task["primary"], study.columns(task["task"])
    scale = scale_of(study, task, metric)
    best = {fraction: study.clearly_best(task["task"], fraction, metric) for fraction, _ in columns}
    rows = []
    for method in study.methods:
        cells: list[Cell | str] = [method + (" (baseline)" if method == study.baseline else "")]
        found = [study.summary(task["task"], method, fraction) for fraction, _ in columns]
        for (fraction, _), entry in zip(columns, found, strict=True):
            sign = _TOLD.get(study.verdict(task, method, fraction), "")
            cells.append(_estimate(scale, entry, metric, strong=best[fraction] == method, sign=sign))
        sizes = [(len(entry["metrics"][metric]["by_seed"]), entry["draws"]) for entry in found if entry]
        rows.append([*cells, " × ".join(str(max(size)) for size in zip(*sizes, strict=True)) or NONE])
    caption = (
        f"{task['task']}: {scale.axis} by number of labels ({scale.better}): mean over seeds and draws, "
        f"and its interval over {study.interval_over}. {BOLD_RULE} {_SIGN_RULE.format('the baseline')} Last column: "
        "pretraining seeds × most draws of labels for each."
        + (
            " Of a method with one seed, the interval is over draws and test patients alone."
            if study.over_seeds
            else ""
        )
    )
    return Table(["method", *(labels_text(*column) for column in columns), "seeds × draws"], rows, caption)


def differences(study: StudyResult, task: JsonObject, group: Comparisons) -> Table:
    """Paired differences of the primary metric, with intervals."""
    metric, columns = task["primary"], study.columns(task["task"])
    scale, rows = scale_of(study, task, metric), []
    for first, second in group.pairs:
        cells: list[Cell | str] = [group.name((first, second))]
        for fraction, _ in columns:
            sign = _TOLD.get(study.verdict(task, first, fraction, second), "")
            entry = study.difference(task["task"], first, fraction, second)
            cells.append(_estimate(scale, entry, metric, signed=True, strong=bool(sign), sign=sign))
        rows.append(cells)
    better = "negative" if scale.lower_is_better else "positive"
    caption = (
        f"{task['task']}: {scale.axis}, {group.first} minus {group.second}, by number of labels: paired difference on "
        f"the same test recordings and its interval ({better} is better than {group.role}). "
        f"Bold: the interval leaves out 0. {_SIGN_RULE.format(group.role)}"
    )
    return Table([group.counted, *(labels_text(*column) for column in columns)], rows, caption)


def confirmatory(study: StudyResult) -> Table:
    """The comparisons fixed beforehand for the endpoints of the study, corrected for their number."""
    tasks = {str(task["task"]): task for task in study.tasks}
    rows: list[list[Cell | str]] = []
    for one in study.confirmed:
        entry = study.difference(one["task"], one["first"], one["fraction"], one["second"])
        scale = scale_of(study, tasks[one["task"]], one["metric"])
        seeds = " and ".join(map(str, (entry or {}).get("seeds", []))) or NONE
        verdict = study.verdict(tasks[one["task"]], one["first"], one["fraction"], one["second"])
        sign = SIGNS[verdict if one["p_holm"] is not None and one["p_holm"] < 1 - study.level else "open"]
        at = f"{one['endpoint']}: {one['task']}, {labels_text(one['fraction'], one['labels'], 'labels')}"
        difference = _estimate(scale, entry, one["metric"], signed=True)
        p = [_p_text(one[key]) for key in ("p", "p_holm")]
        rows.append([at, f"{one['first']} against {one['second']}", difference, *p, sign, seeds])
    count = max((int(one["of"]) for one in study.confirmed), default=0)
    caption = (
        "Comparisons and endpoints fixed in the study file: paired difference of the primary metric with its "
        f"uncorrected {study.level_text} interval, two-sided P, and P corrected by Holm's method for the {count} "
        f"comparisons of the endpoint. ▲ better, ▼ worse: corrected P below {1 - study.level:.2g}; ○ no clear "
        "difference. Last column: pretraining seeds of both methods."
    )
    titles = ["endpoint", "comparison", "difference", "P", "P (Holm)", "", "seeds"]
    return Table(titles, rows, caption)


def recommended(study: StudyResult, rule: JsonObject) -> Table:
    """The figure by which one method is recommended, and how far each is behind the best one."""
    rows: list[list[Cell | str]] = []
    for one in rule["methods"]:
        behind = f"{one['behind']:.3f}" if one["method"] != rule["best"] else "best"
        limits = f"{one['low']:+.3f} to {one['high']:+.3f}".replace("-", "−") if one["method"] != rule["best"] else ""
        chosen = one["method"] == rule["recommended"]
        rows.append(
            [one["method"], Cell(f"{one['mean']:.3f}", "", chosen), Cell(behind, limits), str(len(one["seeds"]))]
        )
    caption = (
        f"Macro AUROC averaged over {', '.join(rule['tasks'])} and {', '.join(f'{n:g}' for n in rule['labels'])} "
        f"labels, of the pretrained methods in the order of the study file, and how far it is below the best, with the "
        f"{study.level_text} interval of that difference. Recommended (bold): the first method at most "
        f"{rule['margin']:g} below the best and without a clear difference from it."
    )
    return Table(["method", "mean AUROC", "below the best", "seeds"], rows, caption)


def _p_text(value: float | None) -> str:
    return NONE if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def spreads(study: StudyResult, task: JsonObject) -> Table:
    """Standard deviations over pretraining seeds and over draws of labels."""
    metric, columns = task["primary"], study.columns(task["task"])
    scale, rows = scale_of(study, task, metric), []
    for method in study.methods:
        cells: list[Cell | str] = [method]
        for fraction, _ in columns:
            entry = study.summary(task["task"], method, fraction)
            estimate = entry["metrics"].get(metric, {}) if entry else {}
            over_seeds, over_draws = (scale.text(estimate.get(f"sd_over_{what}")) for what in ("seeds", "draws"))
            cells.append(f"{over_seeds} / {over_draws}")
        rows.append(cells)
    caption = (
        f"{task['task']}: {scale.axis}: standard deviation over pretraining seeds / over draws of labels within a "
        f"seed, by number of labels. {NONE}: a single seed or draw has none."
    )
    return Table(["method", *(labels_text(*column) for column in columns)], rows, caption)


def other_metrics(study: StudyResult, task: JsonObject, single: Sequence[str] = ("auroc",)) -> list[Table]:
    """Whatever else was measured at the largest number of labels: whole metrics, then these of single classes."""
    columns = study.columns(task["task"])
    if not columns:
        return []
    fraction, labels = columns[-1]
    entries = {name: study.summary(task["task"], name, fraction) for name in study.methods}
    present = dict.fromkeys(metric for entry in entries.values() if entry for metric in entry["metrics"])
    at = f"at {labels_text(fraction, labels, 'labels')}, mean and interval"
    whole = [metric for metric in METRIC_TITLES if metric in present and metric != task["primary"]]
    tables = [("other metrics", metrics) for metrics in _chunks(whole)]
    of_each = "of each class against all others" if task["kind"] == "classes" else "of each label"
    for one in single:
        title = DETAIL_METRICS[one]
        tables += [(f"{title} {of_each}", chunk) for chunk in _chunks([m for m in present if m.startswith(f"{one}:")])]
    made = []
    for title, metrics in tables:
        scales = {metric: scale_of(study, task, metric) for metric in metrics}
        names = [metric.partition(":")[2] or scales[metric].axis for metric in metrics]
        lower = [scale.title for scale in scales.values() if scale.lower_is_better]
        note = f" Lower is better for {', '.join(lower)}." if lower else ""
        rows: list[list[Cell | str]] = [
            [name, *(_estimate(scales[metric], entries[name], metric) for metric in metrics)] for name in entries
        ]
        made.append(Table(["method", *names], rows, f"{task['task']}: {title} {at}.{note}"))
    return made


def _estimate(
    scale: Any, entry: JsonObject | None, metric: str, *, signed: bool = False, strong: bool = False, sign: str = ""
) -> Cell:
    estimate = entry["metrics"].get(metric) if entry else None
    if not estimate or estimate["mean"] is None:
        return Cell(NONE)
    text = scale.text(estimate["mean"], signed)
    return Cell(f"{text} {sign}".strip(), scale.interval(estimate, signed), strong)


def _chunks(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[start : start + _MOST_COLUMNS] for start in range(0, len(names), _MOST_COLUMNS)]


# ---- Evaluations with a row for each encoder and number of labels, for a terminal as well.

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
"""Metrics in the tables, by kind of task, the first three before others."""
_FIRST: Final = 3


def summary_table(study: StudyResult, task: JsonObject, further: bool = False) -> Table:
    """The first metrics of the kind and the spread over draws, or the ``further`` ones (no rows: there are none)."""
    metrics = METRICS_OF[task["kind"]][_FIRST:] if further else METRICS_OF[task["kind"]][:_FIRST]
    scales = {metric: scale_of(study, task, metric) for metric in metrics}
    titles = ["encoder", "labels", "share", "draws", *(scale.axis for scale in scales.values())]
    if not further:
        titles.append(f"{METRIC_TITLES[task['primary']].removeprefix('macro ')} over draws (SD; range)")
    rows = []
    for row in study.content["summary"] if metrics else ():
        cells = [row["method"], *_setting(row, task)]
        cells += [scale.estimate(row["metrics"][metric]) for metric, scale in scales.items()]
        rows.append(cells if further else [*cells, _spread(scales[task["primary"]], row["metrics"][task["primary"]])])
    return Table(
        titles, rows, f"{study.content['name']}: mean over draws, with {study.level_text} interval over the test set"
    )


def difference_table(study: StudyResult, task: JsonObject, further: bool = False) -> Table:
    """Paired differences, a row for each pair of encoders and number of labels; ``further`` as in `summary_table`."""
    metrics = METRICS_OF[task["kind"]][_FIRST:] if further else METRICS_OF[task["kind"]][:_FIRST]
    scales = {metric: scale_of(study, task, metric) for metric in metrics}
    rows = [
        [f"{row['first']} − {row['second']}", *_setting(row, task)]
        + [scale.estimate(row["metrics"][metric], signed=True) for metric, scale in scales.items()]
        for row in (study.content["differences"] if metrics else ())
    ]
    titles = ["difference", "labels", "share", "draws", *(scale.axis for scale in scales.values())]
    return Table(titles, rows, f"Paired difference on the same test recordings, with {study.level_text} interval")


def _setting(row: JsonObject, task: JsonObject) -> list[str]:
    """Number of labels, the share of the training part that they are, and draws."""
    train = task["counts"]["recordings_of_parts"]["train"]
    share = row["fraction"] if row["fraction"] <= 1 else row["labels"] / train
    return [f"{row['labels']:,}", f"{100 * share:.3g} %", str(row["draws"])]


def _spread(scale: Any, estimate: JsonObject) -> str:
    """Standard deviation and range over draws."""
    if estimate["sd_over_draws"] is None:
        return "one draw"
    deviation, low, high = (scale.text(estimate[key]) for key in ("sd_over_draws", "minimum", "maximum"))
    return f"{deviation}; {low} to {high}"


def terminal_table(study: StudyResult) -> str:
    """`summary_table` and `difference_table` as text in columns."""
    task, blocks = study.tasks[0], []
    for table in (summary_table(study, task), difference_table(study, task)):
        cells = [list(table.columns), *([str(cell) for cell in row] for row in table.rows)]
        widths = [max(len(row[i]) for row in cells) for i in range(len(table.columns))]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]
        if table.rows:
            blocks.append("\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]]))
    return "\n\n".join(blocks)


# ---- Settings of a study's methods: a table of the methods, and what all of them share.

_WITHOUT_PRETRAINING: Final = {
    "random": "A frozen encoder with its initial weights.",
    "scratch": "The whole network, trained on the drawn labels from its initial weights.",
    "finetune": "The whole network, trained on the drawn labels from the encoder of {}.",
}
"""What methods are that the description of their preset does not state."""


def methods(study: StudyResult) -> Table:
    """What each method is, and where its settings differ from the common ones.

    Of methods that do not pretrain, only the settings that the study file states are shown.
    """
    settings = {one["name"]: _settings(one) for one in study.content["methods"]}
    common = common_settings(study)
    rows = []
    for one in study.content["methods"]:
        stated = settings[one["name"]] if one["kind"] == "pretrained" else dict(one.get("settings") or {})
        own = {key: value for key, value in stated.items() if key not in common}
        what = _WITHOUT_PRETRAINING.get(one["kind"], one.get("about") or NONE).format(one.get("of"))
        changed = "; ".join(f"{key} = {value_text(value)}" for key, value in own.items())
        seeds = ", ".join(map(str, one.get("seeds", []))) or NONE
        draws = str(one.get("draws") or NONE)
        rows.append([one["name"], one["kind"], one.get("preset") or NONE, what, changed or NONE, seeds, draws])
    caption = (
        "Methods in the order of the study file; settings that all methods share stand apart, under Configuration."
    )
    return Table(
        ["method", "kind", "preset", "what it is", "settings of its own", "seeds", "draws"], rows, caption, prose=True
    )


def common_settings(study: StudyResult) -> Mapping[str, Any]:
    """Settings that every method has, with the same value."""
    found = [_settings(one) for one in study.content["methods"]]
    first = found[0] if found else {}
    return {k: v for k, v in first.items() if all(k in other and other[k] == v for other in found)}


def _settings(method: JsonObject) -> dict[str, Any]:
    """Those of the preset, and on top of them those of the study and of the method."""
    return dict(method.get("preset_settings") or {}) | dict(method.get("settings") or {})


def value_text(value: Any) -> str:
    """A setting as a reader writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "; ".join(f"{key} = {value_text(one)}" for key, one in value.items()) or NONE
    return ", ".join(map(str, value)) or "none" if isinstance(value, list | tuple) else str(value)
