"""How hard the task of pretraining was, beside what the encoders are worth: accuracy, loss, share occluded."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure

from ecg_advmask.report.document import Block, Heading, Paragraph, Picture, Table
from ecg_advmask.report.figures import FONT_PT, WIDTH_IN, method_styles, png, shown, style_axes
from ecg_advmask.report.results import NONE, JsonObject, StudyResult
from ecg_advmask.report.text import labels_text

_ACCURACY: Final = "contrastive_accuracy"
_COLUMNS: Final = {
    _ACCURACY: "contrastive accuracy",
    "loss": "contrastive loss",
    "mask_area": "mean of the mask",
    "mask_cover": "share occluded",
    "probe_auroc": "probe",
}
_PANELS: Final = 3
_LEGEND_COLUMNS: Final = 3

Endpoint = tuple[JsonObject, float]


def difficulty_section(study: StudyResult) -> Iterator[Block]:
    """A figure and a table; nothing where no run has logged a contrastive accuracy."""
    ends = _ends(study)
    if not any(np.isfinite(seed[_ACCURACY]) for seeds in ends.values() for seed in seeds.values()):
        return
    yield Heading("How hard the task of pretraining was")
    yield Paragraph(
        "An encoder that recognises every pair is given too easy a task to learn more from; one that recognises none "
        "learns nothing. Accuracies depend on the batch size and on the pairing: they compare methods that share these."
    )
    endpoints = _endpoints(study)
    if endpoints:
        where = "; ".join(_title(study, endpoint) for endpoint in endpoints)
        yield Picture(
            "difficulty",
            png(difficulty_figure(study, endpoints)),
            f"Macro AUROC against the contrastive accuracy at the end of pretraining: {where}. Large markers: means "
            "over seeds; small ones: single seeds.",
            "Scatter plot of AUROC against final contrastive accuracy, a marker for each method",
        )
    yield difficulty_table(study)


def difficulty_figure(study: StudyResult, endpoints: list[Endpoint]) -> Figure:
    """AUROC against final contrastive accuracy, a panel for each task and number of labels."""
    ends, styles = _ends(study), method_styles(study.methods, study.baseline)
    names = [name for name in study.methods if name in ends]
    height_in = 2.7 + 0.16 * (-(-len(names) // _LEGEND_COLUMNS))
    figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
    for axes, (task, fraction) in zip(figure.subplots(1, len(endpoints), squeeze=False)[0], endpoints, strict=True):
        style_axes(axes)
        for name in names:
            entry = study.summary(task["task"], name, fraction)
            by_seed = entry["metrics"][task["primary"]]["by_seed"] if entry else {}
            points = [
                (ends[name][seed][_ACCURACY], by_seed[str(seed)])
                for seed in ends[name]
                if by_seed.get(str(seed)) is not None and np.isfinite(ends[name][seed][_ACCURACY])
            ]
            if points:
                x, y = np.array(points).T
                style = styles[name]
                axes.plot(x, y, style.marker, color=style.colour, markersize=2.5, alpha=0.5)
                hollow = style.dash != "-"
                axes.plot(
                    x.mean(), y.mean(), style.marker, color=style.colour, markersize=6.5,
                    markerfacecolor="white" if hollow else style.colour, label=shown(name, 34, 1),
                )  # fmt: skip
        axes.set_title(_title(study, (task, fraction)), fontsize=FONT_PT)
        axes.set_xlabel("contrastive accuracy in the last epoch", fontsize=FONT_PT)
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        handles |= {label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(
        handles.values(),
        handles,
        fontsize=FONT_PT - 1,
        ncols=_LEGEND_COLUMNS,
        loc="outside lower center",
        frameon=False,
    )
    figure.supylabel("macro AUROC on the test part", fontsize=FONT_PT)
    return figure


def difficulty_table(study: StudyResult) -> Table:
    """Updates, and the means over seeds of what was logged in the last epoch (of the probe, when last asked)."""
    rows = []
    for name, seeds in _ends(study).items():
        updates = sorted({int(seed["updates"]) for seed in seeds.values() if np.isfinite(seed["updates"])})
        cells = [name, str(len(seeds)), " to ".join(f"{one:,}" for one in (updates[:1] + updates[1:][-1:])) or NONE]
        for column in _COLUMNS:
            values = np.array([seed[column] for seed in seeds.values()])
            values = values[np.isfinite(values)]
            spread = f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else ""
            cells.append(f"{values.mean():.3f}{spread}" if len(values) else NONE)
        rows.append(cells)
    caption = (
        "The end of pretraining: updates of the encoder, and what was logged in the last epoch (the probe: when it was "
        "last asked), mean over seeds ± standard deviation. Losses of different views are not comparable."
    )
    return Table(["method", "seeds", "updates", *_COLUMNS.values()], rows, caption)


def _ends(study: StudyResult) -> dict[str, dict[int, dict[str, float]]]:
    """By method and seed the last value of each column; NaN where it was not logged."""
    found: dict[str, dict[int, dict[str, float]]] = {}
    for run in study.content["training"]:
        last = {column: _last(run["history"].get(column, [])) for column in _COLUMNS}
        last["updates"] = float(run.get("updates", np.nan))
        found.setdefault(str(run["method"]), {})[int(run["seed"])] = last
    return found


def _last(values: list[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(known[-1]) if known else float("nan")


def _endpoints(study: StudyResult) -> list[Endpoint]:
    """The endpoints of the study file that have an AUROC; without such, each task with one, at its fewest labels."""
    tasks = {str(task["task"]): task for task in study.tasks if task["primary"] == "macro_auroc"}
    stated = [(one["task"], one["fraction"]) for one in study.confirmed if one["task"] in tasks]
    if not stated:
        stated = [(name, study.columns(name)[0][0]) for name in tasks if study.columns(name)]
    return [(tasks[task], fraction) for task, fraction in list(dict.fromkeys(stated))[:_PANELS]]


def _title(study: StudyResult, endpoint: Endpoint) -> str:
    task, fraction = endpoint
    labels = dict(study.columns(task["task"]))[fraction]
    return f"{task['task']}, {labels_text(fraction, labels, 'labels')}"
