"""Training curves of a study: a panel for each pretrained method, a thin line for each seed."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ecg_advmask.report.study.result import Entry, StudyResult
from ecg_advmask.report.study.style import FONT_PT, method_styles, outer_only, panels, shown

_COLUMNS = 4
Dash = Literal["-", ":"]

QUANTITIES: Final[Mapping[str, tuple[str, Mapping[str, Dash]]]] = {
    "loss": ("contrastive loss (NT-Xent)", {"loss": "-"}),
    "masks": ("share of samples or bins", {"mask_area": "-", "mask_cover": ":"}),
    "probe": ("AUROC of the online probe", {"probe_auroc": "-"}),
}
"""Name of a figure -> label of its axis, and the columns of the history that it shows with their dashes."""
_WORDS: Final = {"mask_area": "mean of the mask", "mask_cover": "share occluded"}


def training_curves(study: StudyResult, quantity: str) -> Figure | None:
    """The curves of one of `QUANTITIES`; None if no method logged it."""
    label, columns = QUANTITIES[quantity]
    histories: dict[str, list[Entry]] = {}
    for run in study.content["training"]:
        if any(len(_finite(run["history"].get(column, ()))[0]) for column in columns):
            histories.setdefault(run["method"], []).append(run["history"])
    if not histories:
        return None
    styles = method_styles(study.methods, study.baseline)
    figure, grid = panels(len(histories), min(_COLUMNS, max(len(histories), 2)), 1.45)
    names = [name for name in study.methods if name in histories]
    for axes, name in zip(grid, names, strict=True):
        for history in histories[name]:
            for column, dash in columns.items():
                epochs, values = _finite(history.get(column, ()))
                axes.plot(epochs, values, linestyle=dash, color=styles[name].colour, linewidth=0.9)
        axes.set_title(shown(name, 24), fontsize=FONT_PT)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
    limits = [(0.0, 1.0)] if quantity == "masks" else [axes.get_ylim() for axes in grid]
    last = max(axes.get_xlim()[1] for axes in grid)
    for axes in grid:
        axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
        axes.set_xlim(0, last)
    outer_only(grid, min(_COLUMNS, max(len(histories), 2)))
    figure.supxlabel("epoch", fontsize=FONT_PT)
    figure.supylabel(label, fontsize=FONT_PT)
    if len(columns) > 1:
        keys = [Line2D([], [], color="black", linestyle=dash, linewidth=0.9) for dash in columns.values()]
        figure.legend(
            keys, [_WORDS[column] for column in columns], fontsize=FONT_PT, ncols=2, loc="outside upper right"
        )
    return figure


def _finite(values: Sequence[float | None]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Epochs, counted from 1, and values, where there is one: a probe may rest for some epochs."""
    numbers = np.array(values, np.float64)  # None becomes NaN
    known = np.isfinite(numbers)
    return np.flatnonzero(known).astype(np.float64) + 1, numbers[known]
