"""Figures with rows of methods and a panel for each number of labels: paired differences, spread over seeds."""

import math
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ecg_advmask.report.study.comparisons import Comparisons
from ecg_advmask.report.study.numbers import labels_text, scale_of
from ecg_advmask.report.study.result import Entry, StudyResult
from ecg_advmask.report.study.style import FONT_PT, GREY, finish, method_styles, panels, shown

_MOST_COLUMNS = 4
_ROW_IN = 0.21
_LINE_IN = 0.13
"""Height that a second line in a name adds to all rows."""


def forest(study: StudyResult, task: Entry, group: Comparisons) -> Figure:
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


def spread(study: StudyResult, task: Entry) -> Figure:
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
    study: StudyResult, task: Entry, names: Sequence[str], draw: Callable[[Axes, int, float], None]
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
        finish(axes)
    limits = [limit for axes in grid for limit in axes.get_xlim()] or [0.0, 1.0]
    room = 0.02 * (max(limits) - min(limits))  # so that markers are whole
    for axes in grid:
        axes.set_xlim(min(limits) - room, max(limits) + room)
    return figure, grid


def _label(*parts: str) -> str:
    """One name in two lines at most, or two in a line each."""
    return "\n".join(shown(part, 26, 2 // len(parts)) for part in parts)
