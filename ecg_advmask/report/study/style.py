"""How methods look in every figure of a study, and the frames that the figures share.

Figures are 178 mm wide, the text width of most journals, with print of 8 points. Colours are those of Okabe and Ito
(2008) without their yellow, which is too pale for a line on white; markers tell methods apart in greys also.
"""

import io
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter, NullLocator

from ecg_advmask.report.compact_picture import compact
from ecg_advmask.report.plots import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY_BLUE, VERMILION

WIDTH_IN: Final = 7.0
FONT_PT: Final = 8.0
DPI: Final = 150
GREY: Final = "#6E6E6E"
"""Colour of the baseline."""
_LABELS_IN: Final = 0.3
"""Height of what stands around all panels."""
_COLOURS: Final = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY_BLUE, BLACK)
_DASHES: Final = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (4, 1.2, 1, 1.2)))
_MARKERS: Final = ("s", "^", "D", "v", "p", "<", ">", "h", "d", "8", "X", "P", "*")


@dataclass(frozen=True)
class Style:
    """Colour, dashes and marker of a method."""

    colour: str
    dash: Any
    marker: str


def method_styles(names: Sequence[str], baseline: str) -> dict[str, Style]:
    """The style of each method, by its place in the study: grey for the baseline.

    Of the others, the first seven differ in colour and have solid lines, the next seven have the same colours with
    dashes, and so on; 7 colours and 13 markers give 91 different pairs.
    """
    styles = {baseline: Style(GREY, "-", "o")}
    for index, name in enumerate(name for name in names if name != baseline):
        dash = _DASHES[index // len(_COLOURS) % len(_DASHES)]
        styles[name] = Style(_COLOURS[index % len(_COLOURS)], dash, _MARKERS[index % len(_MARKERS)])
    return styles


def png(figure: Figure) -> bytes:
    """The figure as a PNG file in memory, with few colours where that cannot be seen."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return compact(buffer.getvalue(), round(WIDTH_IN * DPI), DPI)


def shown(name: str, width: int = 30, lines: int = 2) -> str:
    """A name for a figure: a few lines at most, and dollar signs that begin no formula."""
    return "\n".join(textwrap.wrap(name, width, max_lines=lines, placeholder=" …")).replace("$", r"\$")


def panels(count: int, columns: int, height_in: float) -> tuple[Figure, list[Axes]]:
    """A figure with ``count`` panels of a height, in rows, and room for common labels."""
    rows = max(math.ceil(count / columns), 1)
    spacing = ConstrainedLayoutEngine(w_pad=0.05, h_pad=0.06)  # inches
    figure = Figure(figsize=(WIDTH_IN, rows * height_in + _LABELS_IN), layout=spacing)
    grid = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for axes in grid[count:]:
        axes.remove()
    for axes in grid[:count]:
        finish(axes)
    return figure, grid[:count]


def outer_only(grid: Sequence[Axes], columns: int) -> None:
    """Tick labels at the left and below alone, for panels with the same limits."""
    for index, axes in enumerate(grid):
        axes.tick_params(labelleft=index % columns == 0, labelbottom=index + columns >= len(grid))


def finish(axes: Axes) -> None:
    """Print of the right size, thin frame, light grid."""
    axes.tick_params(labelsize=FONT_PT, width=0.6, length=3)
    axes.grid(alpha=0.3, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_linewidth(0.6)


def label_counts_axis(axes: Axes, counts: Sequence[int], width_in: float) -> None:
    """A logarithmic axis of numbers of labels with a tick at each; print that would touch its neighbour is left out."""
    low, high = (min(counts), max(counts)) if counts else (1, 10)
    room = 0.12 * math.log(high / low) if high > low else 0.5
    axes.set_xscale("log")
    axes.set_xlim(low * math.exp(-room), high * math.exp(room))
    inches = width_in * (np.log(counts) - math.log(low) + room) / (math.log(high / low) + 2 * room)
    texts = [f"{count:,}" for count in counts]
    free = math.inf
    for index in reversed(range(len(counts))):  # the largest number keeps its print
        half = 0.038 * len(texts[index])  # of the print, in inches
        if inches[index] + half > free:
            texts[index] = ""
        else:
            free = inches[index] - half - 0.05
    axes.xaxis.set_major_locator(FixedLocator(list(counts)))
    axes.xaxis.set_major_formatter(FixedFormatter(texts))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
