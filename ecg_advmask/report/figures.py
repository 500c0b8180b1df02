"""Figures: a 12-lead ECG with its masks, training curves, label efficiency.

Each function returns a `matplotlib.figure.Figure` and touches no global state, so it may run in any thread and without
a display. Colours are those of Okabe and Ito (2008), which people with any common colour vision tell apart.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from PIL import Image

from ecg_advmask.evaluate.metrics import LOWER_IS_BETTER
from ecg_advmask.report.mask_pictures import mask_picture
from ecg_advmask.report.results import primary_of, title_of

__all__ = [
    "encoder_colours",
    "encoder_names",
    "label_efficiency",
    "mask_picture",
    "png",
    "training_curves",
]

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
VERMILION, SKY_BLUE, BLACK = "#D55E00", "#56B4E9", "#000000"
_TRAINED: Final = (BLUE, GREEN, PURPLE, SKY_BLUE, ORANGE)
UNTRAINED: Final = VERMILION
_DPI: Final = 130


def png(figure: Figure) -> bytes:
    """The figure as a PNG file in memory."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    return buffer.getvalue()


def training_curves(history: pd.DataFrame, batch_size: int | None = None) -> Figure:
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


def encoder_names(results: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """A name for every encoder, by its hash: the method, with the run's folder where two encoders share it."""
    found = {
        encoder["sha256"]: (key, encoder["name"], str(result["run"]["path"]).rstrip("/").rpartition("/")[2])
        for result in results
        for key, encoder in result["encoders"].items()
    }
    names = [name for _, name, _ in found.values()]
    return {
        sha256: name if names.count(name) == 1 else f"{name} ({folder})" for sha256, (_, name, folder) in found.items()
    }


def encoder_colours(results: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The colour of every encoder, by its hash, the same in all figures: vermilion is untrained."""
    keys = {encoder["sha256"]: key for result in results for key, encoder in result["encoders"].items()}
    trained = [sha256 for sha256, key in keys.items() if key != "random"]
    colours = {sha256: _TRAINED[index % len(_TRAINED)] for index, sha256 in enumerate(trained)}
    return {sha256: colours.get(sha256, UNTRAINED) for sha256 in keys}


def label_efficiency(results: Sequence[Mapping[str, Any]]) -> Figure:
    """The primary metric against the number of labels: one panel per task and test set, one line per encoder.

    The line is the mean over the draws of labels, the band reaches from the worst to the best draw, and the bar is the
    bootstrap interval of the mean over the test set.
    """
    panels: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for result in results:
        key = (result["task"], result["dataset"]["name"], result["sha256_of_ids"]["test"])
        panels.setdefault(key, []).append(result)
    names, colours = encoder_names(results), encoder_colours(results)
    columns, rows = min(max(len(panels), 1), 2), max((len(panels) + 1) // 2, 1)
    figure = Figure(figsize=(6.2 * columns, 4.4 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    for axes, ((task, dataset, _), members) in zip(grid, panels.items(), strict=False):
        drawn: set[str] = set()
        for result in members:
            for encoder, about in result["encoders"].items():
                if about["sha256"] not in drawn:
                    own = sorted((r for r in result["summary"] if r["encoder"] == encoder), key=lambda r: r["labels"])
                    label, colour = names[about["sha256"]], colours[about["sha256"]]
                    _efficiency_line(axes, own, primary_of(result), label, colour, shift=1.02 ** len(drawn))
                    drawn.add(about["sha256"])
        _finish_efficiency(axes, members[0], f"{task} on {dataset}")
    return figure


def _efficiency_line(
    axes: Axes, rows: Sequence[Mapping[str, Any]], primary: str, label: str, colour: str, shift: float
) -> None:
    """One encoder; ``shift`` moves it a little along the logarithmic axis, so that bars do not cover one another."""
    labels = np.array([row["labels"] for row in rows]) * shift
    keys = ("mean", "low", "high", "minimum", "maximum")
    metric = {key: np.array([row["metrics"][primary][key] for row in rows], float) for key in keys}
    axes.fill_between(labels, metric["minimum"], metric["maximum"], color=colour, alpha=0.15, linewidth=0)
    bars = np.array([metric["mean"] - metric["low"], metric["high"] - metric["mean"]]).clip(min=0)
    axes.errorbar(labels, metric["mean"], bars, color=colour, marker="o", markersize=4, capsize=3, label=label)


def _finish_efficiency(axes: Axes, result: Mapping[str, Any], title: str) -> None:
    ticks = sorted({row["labels"] for row in result["summary"]})
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    primary = primary_of(result)
    if primary == "macro_auroc":
        axes.axhline(0.5, color=BLACK, linestyle=":", linewidth=1)
        axes.set_ylim(top=1.005)
    whose = ", lower is better" if primary in LOWER_IS_BETTER else " on the test set"
    axes.set_title(title, fontsize=11)
    axes.set_xlabel("labelled recordings given to the head")
    axes.set_ylabel(f"{title_of(result, primary)}{whose}")
    axes.grid(alpha=0.3)
    axes.legend(loc="best" if primary in LOWER_IS_BETTER else "lower right", fontsize=9)


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
