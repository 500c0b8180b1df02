"""Confusion matrices of a study: a panel for each method, shares of each true class."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from ecg_advmask.report.study.result import Entry, StudyResult
from ecg_advmask.report.study.style import FONT_PT, panels, shown

_COLUMNS = 4
_MOST_CLASSES_WITH_NUMBERS = 5
_DARK = 55


def confusion_matrices(study: StudyResult, task: Entry, matrices: Mapping[str, Entry]) -> Figure:
    """Per cent of each true class (row) that is taken for each class (column), over all seeds and draws."""
    names = [shown(str(name), 14) for name in task["names"]]
    figure, grid = panels(len(matrices), _COLUMNS, 1.75)
    image = None
    for index, (axes, name) in enumerate(zip(grid, (n for n in study.methods if n in matrices), strict=True)):
        counts = np.array(matrices[name]["counts"], np.float64)
        totals = counts.sum(axis=1, keepdims=True)
        shares = np.divide(100 * counts, totals, out=np.full_like(counts, np.nan), where=totals > 0)
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
        axes.grid(False)
        axes.spines[["top", "right"]].set_visible(True)
        if len(names) <= _MOST_CLASSES_WITH_NUMBERS:
            for (row, column), share in np.ndenumerate(shares):
                text = f"{share:.0f}" if np.isfinite(share) else "–"
                colour = "white" if share > _DARK else "black"
                axes.text(column, row, text, ha="center", va="center", fontsize=FONT_PT, color=colour)
        left, below = index % _COLUMNS == 0, index + _COLUMNS >= len(matrices)
        axes.set_xticks(range(len(names)), names if below else [""] * len(names), rotation=90, fontsize=FONT_PT)
        axes.set_yticks(range(len(names)), names if left else [""] * len(names), fontsize=FONT_PT)
        axes.set_title(shown(name, 24), fontsize=FONT_PT)
    if image is not None:
        bar = figure.colorbar(image, ax=grid, shrink=0.5, aspect=30, pad=0.01)
        bar.set_label("% of the true class", fontsize=FONT_PT)
        bar.ax.tick_params(labelsize=FONT_PT)
    figure.supxlabel("predicted class", fontsize=FONT_PT)
    figure.supylabel("true class", fontsize=FONT_PT)
    return figure
