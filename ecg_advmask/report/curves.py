"""Label-efficiency curves of a study: one panel for each method, and all methods in one panel."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ecg_advmask.report.figures import (
    FONT_PT,
    GREY,
    WIDTH_IN,
    Style,
    label_counts_axis,
    method_styles,
    outer_only,
    panels,
    shown,
    style_axes,
)
from ecg_advmask.report.results import JsonObject, StudyResult
from ecg_advmask.report.text import Comparisons, labels_text, scale_of

_COLUMNS = 3
_LINE_OF_PRINT_IN = 0.15
_PANEL = 0.55
"""Share of the width that the panel of all methods takes; the rest is for their names."""


def curves_by_method(study: StudyResult, task: JsonObject) -> Figure:
    """One panel for each method, its curve with the band of its interval, the baseline in grey behind.

    A marker is filled where the paired interval of the difference from the baseline leaves out 0, otherwise hollow.
    """
    styles, counts = method_styles(study.methods, study.baseline), study.columns(task["task"])
    drawn = [name for name in (study.baseline, *study.others) if len(_curve(study, task, name)[0])]
    figure, grid = panels(len(drawn), _COLUMNS, 1.75)
    grey = _curve(study, task, study.baseline)
    for axes, name in zip(grid, drawn, strict=True):
        label_counts_axis(axes, [labels for _, labels in counts], WIDTH_IN / _COLUMNS - 0.35)
        if len(grey[0]):
            _band(axes, grey, styles[study.baseline])
        if name == study.baseline:
            axes.plot(grey[0], grey[1], styles[name].marker, color=GREY, markersize=4)
            axes.set_title(f"{shown(name, 22)} (baseline)", fontsize=FONT_PT)
            continue
        style, curve = styles[name], _curve(study, task, name)
        _band(axes, curve, style)
        for fraction, labels in counts:
            at = curve[0] == labels
            differs = study.verdict(task, name, fraction) in {"better", "worse"}
            face = style.colour if differs else "white"
            axes.plot(curve[0][at], curve[1][at], style.marker, color=style.colour, markerfacecolor=face, markersize=5)
        axes.set_title(shown(name), fontsize=FONT_PT)
    _same_height(study, task, grid)
    outer_only(grid, _COLUMNS)
    figure.supxlabel("labelled recordings given for training", fontsize=FONT_PT)
    figure.supylabel(f"{scale_of(study, task, task['primary']).axis} on the test part", fontsize=FONT_PT)
    return figure


def curves_together(study: StudyResult, task: JsonObject) -> Figure:
    """All methods in one panel without bands, each named at its end."""
    height_in = max(3.6, 0.6 + _LINE_OF_PRINT_IN * len(study.methods))
    figure = Figure(figsize=(WIDTH_IN, height_in))
    axes = figure.add_axes((0.1, 0.45 / height_in, _PANEL, 1 - 0.55 / height_in))
    style_axes(axes)
    styles = method_styles(study.methods, study.baseline)
    label_counts_axis(axes, [labels for _, labels in study.columns(task["task"])], _PANEL * WIDTH_IN)
    ends: dict[str, tuple[float, float]] = {}
    for name in study.methods:
        labels, mean, _, _ = _curve(study, task, name)
        if len(labels):
            style = styles[name]
            width = 2.2 if name == study.baseline else 1.1
            axes.plot(
                labels, mean, style.marker, linestyle=style.dash, color=style.colour, linewidth=width, markersize=4
            )
            ends[name] = (labels[-1], mean[-1])
    _same_height(study, task, [axes], bands=False)
    axes.set_xlabel("labelled recordings given for training", fontsize=FONT_PT)
    axes.set_ylabel(f"{scale_of(study, task, task['primary']).axis} on the test part", fontsize=FONT_PT)
    _name_ends(axes, ends, styles, study.baseline, height_in - 0.55)
    return figure


def _curve(study: StudyResult, task: JsonObject, method: str) -> tuple[npt.NDArray[np.float64], ...]:
    """Numbers of labels, means, lower and upper limits of the primary metric, where there is a mean."""
    rows: list[Sequence[Any]] = []
    for fraction, labels in study.columns(task["task"]):
        entry = study.summary(task["task"], method, fraction)
        estimate = entry and entry["metrics"].get(task["primary"])
        if estimate and estimate["mean"] is not None:
            rows.append([labels, estimate["mean"], estimate["low"], estimate["high"]])
    return tuple(np.array(rows, np.float64).reshape(-1, 4).T)


def _band(axes: Axes, curve: tuple[npt.NDArray[np.float64], ...], style: Style) -> None:
    labels, mean, low, high = curve
    axes.fill_between(labels, low, high, color=style.colour, alpha=0.22, linewidth=0)
    axes.plot(labels, mean, linestyle=style.dash, color=style.colour, linewidth=1.4)


def _same_height(study: StudyResult, task: JsonObject, grid: Sequence[Axes], bands: bool = True) -> None:
    """The same limits for all panels, and the level of chance where it is within them."""
    curves = [_curve(study, task, name)[1 : 4 if bands else 2] for name in study.methods]
    values = np.concatenate([part for curve in curves for part in curve] or [np.zeros(1)])
    values = values[np.isfinite(values)]
    low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
    room = 0.05 * (high - low) or 0.05
    low, high = low - room, high + room
    is_auroc = "auroc" in task["primary"]
    if is_auroc and low < 0.5 + room:
        low = min(low, 0.5 - room)
    for axes in grid:
        axes.set_ylim(low, min(high, 1.005) if is_auroc else high)
        if is_auroc and low < 0.5:
            axes.axhline(0.5, color="black", linestyle=":", linewidth=0.8)


def _name_ends(
    axes: Axes, ends: dict[str, tuple[float, float]], styles: dict[str, Style], baseline: str, height_in: float
) -> None:
    """Names to the right of the panel, in the order of the last points, each joined to its point by a thin line."""
    to_axes = axes.transData + axes.transAxes.inverted()
    names = sorted(ends, key=lambda name: ends[name][1])
    points = [to_axes.transform(ends[name]) for name in names]
    heights = apart(np.array([point[1] for point in points]), _LINE_OF_PRINT_IN / height_in)
    for name, (x, y), height in zip(names, points, heights, strict=True):
        style = styles[name]
        line: dict[str, Any] = {"transform": axes.transAxes, "clip_on": False, "color": style.colour}
        axes.plot([x + 0.012, 1.05], [y, height], linewidth=0.5, **line)
        axes.plot([1.05, 1.12], [height, height], linestyle=style.dash, linewidth=1.4, **line)
        axes.plot([1.085], [height], style.marker, markersize=4, **line)
        text = f"{shown(name, 18, 1)} (baseline)" if name == baseline else shown(name, 28, 1)
        axes.text(1.135, height, text, transform=axes.transAxes, fontsize=FONT_PT, va="center")


def apart(heights: npt.NDArray[np.float64], gap: float) -> npt.NDArray[np.float64]:
    """The heights nearest to those given (ascending), in least squares, that are a gap apart; then moved into [0, 1].

    With h_i - i gap in place of h_i this is isotonic regression, solved by pooling neighbours that are out of order
    (Barlow et al. 1972).
    """
    blocks: list[list[float]] = []  # mean, weight
    for index, height in enumerate(heights):
        blocks.append([height - index * gap, 1.0])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, weight = blocks.pop()
            before, other = blocks[-1]
            blocks[-1] = [(before * other + mean * weight) / (other + weight), other + weight]
    means = np.repeat([mean for mean, _ in blocks], [int(weight) for _, weight in blocks])
    placed = means + gap * np.arange(len(heights))
    placed -= max(placed[-1] - 1, 0.0) if len(placed) else 0.0
    return np.asarray(placed + max(-placed[0], 0.0) if len(placed) else placed)


# ---- Figures with rows of methods and a panel for each number of labels: paired differences, spread over seeds.

_MOST_COLUMNS = 4
_ROW_IN = 0.21
_LINE_IN = 0.13
"""Height that a second line in a name adds to all rows."""


def forest(study: StudyResult, task: JsonObject, group: Comparisons) -> Figure:
    """Paired differences of the primary metric, with their intervals; grey: each seed by itself.

    A row has the style of its first method. A marker is filled where the interval leaves out 0, otherwise hollow.
    """
    styles, metric = method_styles(study.methods, study.baseline), task["primary"]

    def draw(axes: Axes, row: int, fraction: float) -> None:
        first, second = group.pairs[row]
        entry = study.difference(task["task"], first, fraction, second)
        estimate = entry and entry["metrics"].get(metric)
        if not estimate or estimate["mean"] is None:
            return
        style = styles[first]
        seeds = [value for value in estimate["by_seed"].values() if value is not None]
        axes.plot(seeds, [row + 0.28] * len(seeds), "|", color=GREY, markersize=4, markeredgewidth=0.9)
        if estimate["low"] is not None:
            axes.plot([estimate["low"], estimate["high"]], [row, row], color=style.colour, linewidth=1.4)
        face = style.colour if study.verdict(task, first, fraction, second) in {"better", "worse"} else "white"
        axes.plot([estimate["mean"]], [row], style.marker, color=style.colour, markerfacecolor=face, markersize=4)

    scale = scale_of(study, task, metric)
    figure, grid = _rows(study, task, [_label(*group.lines(pair)) for pair in group.pairs], draw)
    for axes in grid:
        axes.axvline(0, color="black", linewidth=0.8, zorder=1)
    side = "left" if scale.lower_is_better else "right"
    figure.supxlabel(
        f"{scale.axis}: {group.first} minus {shown(group.second, 60)}; {side} of 0 the {group.first} is better",
        fontsize=FONT_PT,
    )
    return figure


def spread_figure(study: StudyResult, task: JsonObject) -> Figure:
    """Means of each pretraining seed, on a bar of one standard deviation over draws of labels to either side."""
    styles, metric = method_styles(study.methods, study.baseline), task["primary"]

    def draw(axes: Axes, row: int, fraction: float) -> None:
        name = study.methods[row]
        entry = study.summary(task["task"], name, fraction)
        estimate = entry and entry["metrics"].get(metric)
        if not estimate or estimate["mean"] is None:
            return
        style, mean, deviation = styles[name], estimate["mean"], estimate["sd_over_draws"]
        if deviation is not None:
            ends = [mean - deviation, mean + deviation]
            axes.plot(ends, [row, row], color=style.colour, alpha=0.3, linewidth=6, solid_capstyle="butt")
        seeds = [value for value in estimate["by_seed"].values() if value is not None]
        axes.plot(
            seeds,
            [row] * len(seeds),
            style.marker,
            color=style.colour,
            markerfacecolor="white",
            markersize=3.5,
            markeredgewidth=0.8,
        )

    figure, _ = _rows(study, task, [_label(name) for name in study.methods], draw)
    figure.supxlabel(f"{scale_of(study, task, metric).axis} on the test part", fontsize=FONT_PT)
    return figure


def _rows(
    study: StudyResult, task: JsonObject, names: Sequence[str], draw: Callable[[Axes, int, float], None]
) -> tuple[Figure, list[Axes]]:
    """Panels that share both axes, the first row on top; ``draw`` adds one row at one number of labels."""
    counts = study.columns(task["task"])
    columns = math.ceil(len(counts) / math.ceil(len(counts) / _MOST_COLUMNS)) if counts else 1
    further_lines = max((name.count("\n") for name in names), default=0)
    figure, grid = panels(len(counts), columns, 0.5 + (_ROW_IN + _LINE_IN * further_lines) * len(names))
    for index, (axes, (fraction, labels)) in enumerate(zip(grid, counts, strict=True)):
        for row in range(len(names)):
            draw(axes, row, fraction)
        axes.set_title(labels_text(fraction, labels, "labels"), fontsize=FONT_PT)
        axes.set_ylim(len(names) - 0.4, -0.6)
        first = index % columns == 0
        axes.set_yticks(range(len(names)), [name if first else "" for name in names], fontsize=FONT_PT)
        axes.xaxis.set_major_locator(MaxNLocator(2 if columns > 3 else 4, steps=[1, 2, 5, 10]))
        style_axes(axes)
    limits = [limit for axes in grid for limit in axes.get_xlim()] or [0.0, 1.0]
    room = 0.02 * (max(limits) - min(limits))  # so that markers are whole
    for axes in grid:
        axes.set_xlim(min(limits) - room, max(limits) + room)
    return figure, grid


def _label(*parts: str) -> str:
    """One name in two lines at most, or two in a line each."""
    return "\n".join(shown(part, 26, 2 // len(parts)) for part in parts)
