"""A figure of mask enrichment in P, QRS, T and rest with intervals, beside the random controls."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ecg_advmask.ecg.annotations import PARTS
from ecg_advmask.ecg.leads import STANDARD_LEADS

_COLOURS: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")  # of Okabe and Ito (2008)
_HATCHES: Final = ("", "//", "\\\\", "xx", "..")  # for those who print in black and white
_GREYS: Final = ("#999999", "#BBBBBB", "#DDDDDD")
_MARKERS: Final = ("o", "s", "^", "D")
LEARNT: Final = "learnt"

Row = Mapping[str, Any]


def enrichment_picture(rows: Sequence[Row], title: str = "") -> Figure:
    """Bars over all leads and recordings, the same by rhythm class where any is known, and points by lead.

    The bars are of each learnt mask, in colour, and of the controls, in grey; where there are several masks, the
    controls and the panels below are of the mean over the masks.

    Args:
        rows: as `ecg_advmask.evaluate.masks.coverage.measure_masks` gives them under ``enrichment``.
        title: shown above the figure.
    """
    masks = list(dict.fromkeys(row["mask"] for row in rows))
    rhythms = [group for group in dict.fromkeys(row["group"] for row in rows) if group != "all"]
    figure = Figure(figsize=(10, 3.6 * (3 if rhythms else 2)), layout="constrained")
    panels = figure.subplots(3 if rhythms else 2, 1, squeeze=False)[:, 0]
    overall = [row for row in rows if row["group"] == "all" and row["lead"] == "all"]
    series = {name: [row for row in overall if row["kind"] == LEARNT and row["mask"] == name] for name in masks}
    series |= {
        row["kind"]: [other for other in overall if other["kind"] == row["kind"] and other["mask"] == masks[-1]]
        for row in overall
        if row["kind"] != LEARNT
    }
    _bars(panels[0], series, len(masks))
    panels[0].set_title("all leads and recordings", fontsize=11)
    mean = [row for row in rows if row["kind"] == LEARNT and row["mask"] == masks[-1]]
    if rhythms:
        by_rhythm = {
            group: [row for row in mean if row["group"] == group and row["lead"] == "all"] for group in rhythms
        }
        _bars(panels[1], by_rhythm, len(rhythms))
        panels[1].set_title(f"{masks[-1]}, by rhythm class, all leads", fontsize=11)
    _by_lead(panels[-1], [row for row in mean if row["group"] == "all" and row["lead"] != "all"])
    panels[-1].set_title(f"{masks[-1]}, by lead", fontsize=11)
    figure.suptitle(title, fontsize=12)
    return figure


def _bars(axes: Axes, series: Mapping[str, Sequence[Row]], coloured: int) -> None:
    """A group of bars for each part, a bar for each series; the first ``coloured`` in colour, the others in grey."""
    width = 0.8 / len(series)
    for index, (name, rows) in enumerate(series.items()):
        grey = index >= coloured
        places = np.arange(len(PARTS)) - 0.4 + (index + 0.5) * width
        axes.bar(
            places,
            [np.nan if row["enrichment"] is None else row["enrichment"] for row in rows],
            width,
            color=_GREYS[(index - coloured) % len(_GREYS)] if grey else _COLOURS[index % len(_COLOURS)],
            hatch=_HATCHES[(index - coloured if grey else index) % len(_HATCHES)],
            edgecolor="black",
            linewidth=0.6,
            label=name,
        )
        _intervals(axes, places, rows, "")
    axes.set_xticks(range(len(PARTS)), PARTS)
    _finish(axes)


def _by_lead(axes: Axes, rows: Sequence[Row]) -> None:
    for index, part in enumerate(PARTS):
        of_part = [row for row in rows if row["part"] == part]
        places = np.arange(len(STANDARD_LEADS)) + (index - 1.5) * 0.15
        values = [np.nan if row["enrichment"] is None else row["enrichment"] for row in of_part]
        axes.plot(places, values, _MARKERS[index], color=_COLOURS[index], markersize=5, label=part)
        _intervals(axes, places, of_part, _COLOURS[index])
    axes.set_xticks(range(len(STANDARD_LEADS)), STANDARD_LEADS)
    _finish(axes)


def _intervals(axes: Axes, places: Any, rows: Sequence[Row], colour: str) -> None:
    given = [
        (place, row["low"], row["high"]) for place, row in zip(places, rows, strict=True) if row["low"] is not None
    ]
    if given:
        at, low, high = zip(*given, strict=True)
        axes.vlines(at, low, high, color=colour or "black", linewidth=1.2)


def _finish(axes: Axes) -> None:
    axes.axhline(1.0, color="black", linestyle="--", linewidth=1)
    axes.set_ylabel("enrichment (1: as at random)")
    axes.set_ylim(0, 1.25 * axes.get_ylim()[1])  # room for the legend
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    axes.legend(fontsize=8, ncols=5, loc="upper right")
