"""The style of methods in every figure of a report, shared frames, confusion and training curves.

Each function returns a `matplotlib.figure.Figure` and touches no global state, so it may run in any thread and without
a display. Figures are 178 mm wide, the text width of most journals, with print of 8 points. Colours are those of Okabe
and Ito (2008), which people with any common colour vision distinguish, without their yellow, which is too pale for a
line on white; markers distinguish methods in grey as well.
"""

import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullFormatter, NullLocator
from PIL import Image

from ecg_advmask.report.results import JsonObject, StudyResult

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
VERMILION, SKY_BLUE, BLACK = "#D55E00", "#56B4E9", "#000000"

WIDTH_IN: Final = 7.0
FONT_PT: Final = 8.0
DPI: Final = 150
GREY: Final = "#6E6E6E"
"""Colour of the baseline."""
_LABELS_IN: Final = 0.3
"""Height of the space around all panels."""
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


def png(figure: Figure, dots_per_inch: int = DPI) -> bytes:
    """The figure as a PNG file in memory, with few colours where that cannot be seen."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dots_per_inch)
    return compact(buffer.getvalue(), round(figure.get_figwidth() * dots_per_inch), dots_per_inch)


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
        style_axes(axes)
    return figure, grid[:count]


def outer_only(grid: Sequence[Axes], columns: int) -> None:
    """Tick labels at the left and below alone, for panels with the same limits."""
    for index, axes in enumerate(grid):
        axes.tick_params(labelleft=index % columns == 0, labelbottom=index + columns >= len(grid))


def style_axes(axes: Axes) -> None:
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


# ---- Confusion matrices of a study: a panel for each method, shares of each true class.

_COLUMNS: Final = 4
_MOST_CLASSES_WITH_NUMBERS = 5
_DARK = 55


def confusion_matrices(study: StudyResult, task: JsonObject, matrices: Mapping[str, JsonObject]) -> Figure:
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


# ---- Training curves of a study: a panel for each pretrained method, a thin line for each seed.

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
    histories: dict[str, list[JsonObject]] = {}
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


# ---- Training curves of a single run.


def run_curves(history: pd.DataFrame, batch_size: int | None = None) -> Figure:
    """What was logged at each epoch: contrastive loss, mask area, contrastive accuracy, spread of the embeddings.

    Args:
        history: the run's ``history.csv``. Columns that are absent or empty (a run without adversary) get no panel.
        batch_size: recordings contrasted with one another; draws log(2B - 1), the loss of embeddings that are all
            equal, and chance level 1 / (2B - 1) of the contrastive accuracy.
    """
    panels = {
        "loss": "contrastive loss (NT-Xent)",
        "mask_area": "masks",
        "contrastive_accuracy": "contrastive accuracy",
        "embedding_std": "embedding spread (1: isotropic, 0: collapsed)",
    }
    present = [name for name in panels if name in history and history[name].notna().any()]
    figure = Figure(figsize=(10, 3.2 * ((len(present) + 1) // 2)), layout="constrained")
    grid = figure.subplots((len(present) + 1) // 2 or 1, 2, squeeze=False).ravel()
    epochs = history["epoch"]
    for axes, name in zip(grid, present, strict=False):
        label = "mask area (mean of the mask)" if name == "mask_area" else "mean of the epoch"
        axes.plot(epochs, history[name], color=BLUE, marker="." if len(epochs) < 30 else "", label=label)
        axes.set_title(panels[name], fontsize=11)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    axes_of = dict(zip(present, grid, strict=False))
    if batch_size is not None:
        collapse = float(np.log(2 * batch_size - 1))
        _level(axes_of.get("loss"), collapse, f"all embeddings equal: log(2B − 1) = {collapse:.2f}")
        _level(axes_of.get("contrastive_accuracy"), 1 / (2 * batch_size - 1), "chance")
    if "mask_area" in axes_of:
        axes = axes_of["mask_area"]
        if {"mask_area_min", "mask_area_max"} <= set(history):
            low, high = history["mask_area_min"], history["mask_area_max"]
            axes.fill_between(epochs, low, high, color=BLUE, alpha=0.2, linewidth=0, label="smallest to largest area")
        if "mask_cover" in history:
            axes.plot(epochs, history["mask_cover"], color=GREEN, linestyle="--", label="share occluded")
        axes.set_ylim(0, 1)
        axes.legend(fontsize=8)
    for axes in grid[len(present) :]:
        axes.set_visible(False)
    return figure


def _level(axes: Axes | None, value: float, label: str) -> None:
    """A dashed horizontal line, where there is a panel for it."""
    if axes is not None:
        axes.axhline(value, color=VERMILION, linestyle="--", linewidth=1, label=label)
        axes.legend(fontsize=8)


# ---- Pictures for a page: not wider than needed, and with a palette, at a third of the size.

_PALETTES: Final = (128, 256)
_MOST_SHIFT: Final = 24
"""A palette that moves any channel of any pixel by more (of 255) is not used."""


def compact(image: bytes, most_width: int, dots_per_inch: int) -> bytes:
    """A picture as a PNG of at most that width, with a palette if no colour moves visibly.

    Raises:
        OSError, ValueError: the bytes are no picture.
    """
    with Image.open(io.BytesIO(image)) as opened:
        picture = opened.convert("RGB")
    if picture.width > most_width:
        height = round(picture.height * most_width / picture.width)
        picture = picture.resize((most_width, height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    _with_palette(picture).save(buffer, format="PNG", optimize=True, dpi=(dots_per_inch, dots_per_inch))
    return buffer.getvalue()


def _with_palette(picture: Image.Image) -> Image.Image:
    """The picture with the smallest palette that moves no colour visibly; as it is where there is none."""
    for colours in _PALETTES:
        indexed = picture.quantize(colours, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        shift = np.abs(np.asarray(indexed.convert("RGB"), np.int16) - np.asarray(picture, np.int16))
        if shift.max() <= _MOST_SHIFT:
            return indexed
    return picture
