"""A 12-lead ECG on ECG paper with the masked stretches shaded."""

from typing import Final

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ecg_advmask.leads import STANDARD_LEADS
from ecg_advmask.report.ecg_paper import EcgPaper

MASK_COLOURS: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")
THRESHOLD: Final = 0.5
"""A sample counts as masked where the mask is above this, the centre of the soft binarisation."""


def mask_picture(
    signals_mv: npt.NDArray[np.floating], masks: npt.NDArray[np.floating], sampling_rate_hz: float, title: str = ""
) -> Figure:
    """Twelve leads below one another over the whole window, with the samples shaded where a mask is above one half.

    Each lead is centred on its median. Under the leads stand the masks themselves, unless each lead has its own.

    Args:
        signals_mv: ``(L, 12)``, millivolts, in the order of `STANDARD_LEADS`.
        masks: ``(L, N)`` in [0, 1]. With N = 12 each lead has its own mask; any other N applies to all leads alike.
        sampling_rate_hz: samples per second.
        title: stands above the picture, before the mean area of the masks.

    Raises:
        ValueError: the shapes do not fit.
    """
    if signals_mv.ndim != 2 or signals_mv.shape[1] != 12 or masks.ndim != 2 or len(masks) != len(signals_mv):
        raise ValueError(f"expected signals (L, 12) and masks (L, N), found {signals_mv.shape} and {masks.shape}")
    per_lead = masks.shape[1] == 12
    seconds = np.arange(len(signals_mv)) / sampling_rate_hz
    centred = signals_mv - np.median(signals_mv, axis=0)
    paper = EcgPaper.for_leads(centred, sampling_rate_hz)
    width, height = paper.inches
    strip_inches = 0.0 if per_lead else 0.9
    figure = Figure(figsize=(width + 0.7, height + strip_inches + 1.3), layout="constrained")
    if per_lead:
        axes = figure.subplots()
    else:
        axes, strip = figure.subplots(2, 1, sharex=True, height_ratios=[height, strip_inches])
        _mask_strip(strip, seconds, masks)
    paper.draw(axes)
    paper.draw_leads(axes, centred, sampling_rate_hz, color="black", gid="trace")

    edges = paper.edges_mv
    for index in range(masks.shape[1]):
        bottom, top = (edges[index + 1], edges[index]) if per_lead else (0.0, paper.height_mv)
        axes.broken_barh(
            [(start, length) for start, length in _masked_stretches(masks[:, index], sampling_rate_hz)],
            (bottom, top - bottom),
            facecolor=MASK_COLOURS[0 if per_lead else index % len(MASK_COLOURS)],
            alpha=0.28,
            linewidth=0,
            label=_legend(masks, index),
            gid=f"mask {STANDARD_LEADS[index] if per_lead else index + 1}",
        )
    handles, labels = axes.get_legend_handles_labels()
    if per_lead:
        handles, labels = (
            handles[:1],
            [f"mask of the lead > {THRESHOLD} ({np.mean(masks > THRESHOLD):.0%} of all samples)"],
        )
    figure.legend(handles, labels, loc="outside upper right", ncols=len(labels), fontsize=9, frameon=False)
    axes.set_title(f"{title}   mean mask area {masks.mean():.2f}   ({paper.scale})".strip(), loc="left", fontsize=11)
    (axes if per_lead else strip).set_xlabel("seconds")
    return figure


def _masked_stretches(mask: npt.NDArray[np.floating], sampling_rate_hz: float) -> list[tuple[float, float]]:
    """Start and length in seconds of each run of masked samples, from half a sample before to half a sample after."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask > THRESHOLD, [False]]).astype(np.int8)))
    starts, stops = edges[0::2], edges[1::2]
    return [
        ((start - 0.5) / sampling_rate_hz, (stop - start) / sampling_rate_hz)
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)
    ]


def _legend(masks: npt.NDArray[np.floating], index: int) -> str:
    name = "mask" if masks.shape[1] == 1 else f"mask {index + 1}"
    return f"{name} > {THRESHOLD} ({np.mean(masks[:, index] > THRESHOLD):.0%} of the samples)"


def _mask_strip(axes: Axes, seconds: npt.NDArray[np.float64], masks: npt.NDArray[np.floating]) -> None:
    for index in range(masks.shape[1]):
        axes.plot(seconds, masks[:, index], color=MASK_COLOURS[index % len(MASK_COLOURS)], linewidth=0.9)
    axes.axhline(THRESHOLD, color="black", linestyle=":", linewidth=0.8)
    axes.set_ylim(-0.05, 1.05)
    axes.set_yticks([0, 0.5, 1])
    axes.set_ylabel("mask")
