"""A 12-lead ECG on ECG paper with the masked stretches shaded."""

from typing import Final

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MultipleLocator

from ecg_advmask.leads import STANDARD_LEADS

MASK_COLOURS: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")
THRESHOLD: Final = 0.5
"""A sample counts as masked where the mask is above this, the centre of the soft binarisation."""

_MM_PER_SECOND: Final = 25.0
_MM_PER_MV: Final = 10.0
_LARGEST_HEIGHT_MM: Final = 320.0
_LEFT_MARGIN_S: Final = 1.0
_ROW_LIMIT_MV: Final = 2.5


def mask_picture(
    signals_mv: npt.NDArray[np.floating], masks: npt.NDArray[np.floating], sampling_rate_hz: float, title: str = ""
) -> Figure:
    """Twelve leads below one another over the whole window, with the samples shaded where a mask is above one half.

    The paper has the proportions of 25 mm/s and 10 mm/mV (5 mm/mV if the leads need more height), squares of 0.2 s and
    0.5 mV (1 mV), and a calibration pulse of 1 mV and 0.2 s before each lead. Each lead is centred on its median. Under
    the leads stand the masks themselves, unless each lead has its own.

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
    baselines, height_mv = _rows(centred)
    mm_per_mv = _MM_PER_MV if height_mv * _MM_PER_MV <= _LARGEST_HEIGHT_MM else _MM_PER_MV / 2

    width_s = _LEFT_MARGIN_S + len(signals_mv) / sampling_rate_hz
    paper_inches = (width_s * _MM_PER_SECOND / 25.4, height_mv * mm_per_mv / 25.4)
    strip_inches = 0.0 if per_lead else 0.9
    figure = Figure(figsize=(paper_inches[0] + 0.7, paper_inches[1] + strip_inches + 1.3), layout="constrained")
    if per_lead:
        paper = figure.subplots()
    else:
        paper, strip = figure.subplots(2, 1, sharex=True, height_ratios=[paper_inches[1], strip_inches])
        _mask_strip(strip, seconds, masks)
    _paper(paper, width_s, height_mv, 0.5 if mm_per_mv == _MM_PER_MV else 1.0)
    for lead, (name, baseline) in enumerate(zip(STANDARD_LEADS, baselines, strict=True)):
        paper.plot(seconds, centred[:, lead] + baseline, color="black", linewidth=0.8, gid=f"trace {name}")
        pulse_x = np.array([-0.45, -0.35, -0.35, -0.15, -0.15, -0.05])
        paper.plot(pulse_x, baseline + np.array([0, 0, 1, 1, 0, 0]), color="black", linewidth=0.8)
        paper.text(-0.95, baseline, name, fontsize=11, fontweight="bold", verticalalignment="center")

    edges = np.concatenate([[height_mv], (baselines[:-1] + baselines[1:]) / 2, [0.0]])
    for index in range(masks.shape[1]):
        bottom, top = (edges[index + 1], edges[index]) if per_lead else (0.0, height_mv)
        paper.broken_barh(
            [(start, length) for start, length in _masked_stretches(masks[:, index], sampling_rate_hz)],
            (bottom, top - bottom),
            facecolor=MASK_COLOURS[0 if per_lead else index % len(MASK_COLOURS)],
            alpha=0.28,
            linewidth=0,
            label=_legend(masks, index),
            gid=f"mask {STANDARD_LEADS[index] if per_lead else index + 1}",
        )
    handles, labels = paper.get_legend_handles_labels()
    if per_lead:
        handles, labels = (
            handles[:1],
            [f"mask of the lead > {THRESHOLD} ({np.mean(masks > THRESHOLD):.0%} of all samples)"],
        )
    figure.legend(handles, labels, loc="outside upper right", ncols=len(labels), fontsize=9, frameon=False)
    scale = f"25 mm/s, {mm_per_mv:g} mm/mV"
    paper.set_title(f"{title}   mean mask area {masks.mean():.2f}   ({scale})".strip(), loc="left", fontsize=11)
    (paper if per_lead else strip).set_xlabel("seconds")
    return figure


def _rows(centred: npt.NDArray[np.floating]) -> tuple[npt.NDArray[np.float64], float]:
    """Baseline of each lead, counted from the bottom, and the height of all, in mV on the paper's half-millivolt grid.

    Each lead gets the room that it needs, above it at least that of the calibration pulse, below it at least 0.5 mV,
    and at most `_ROW_LIMIT_MV`; beyond that it runs into its neighbours, as it does on paper.
    """
    above = np.clip(centred.max(axis=0) + 0.1, 1.1, _ROW_LIMIT_MV)
    below = np.clip(-centred.min(axis=0) + 0.1, 0.5, _ROW_LIMIT_MV)
    depth, baselines_from_top = 0.0, []
    for up, down in zip(above, below, strict=True):
        baselines_from_top.append(np.ceil((depth + up) * 2) / 2)
        depth = baselines_from_top[-1] + down
    height = float(np.ceil(depth * 2) / 2)
    return height - np.array(baselines_from_top), height


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


def _paper(axes: Axes, width_s: float, height_mv: float, square_mv: float) -> None:
    axes.set_xlim(-_LEFT_MARGIN_S, width_s - _LEFT_MARGIN_S)
    axes.set_ylim(0, height_mv)
    axes.xaxis.set_minor_locator(MultipleLocator(0.2))
    axes.yaxis.set_minor_locator(MultipleLocator(square_mv))
    axes.xaxis.set_major_locator(FixedLocator(np.arange(0.0, width_s - _LEFT_MARGIN_S + 0.5).tolist()))
    axes.yaxis.set_major_locator(MultipleLocator(height_mv * 2))
    axes.grid(which="both", color="#f2c4c4", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", length=0, labelleft=False)
    for spine in axes.spines.values():
        spine.set_color("#f2c4c4")


def _mask_strip(axes: Axes, seconds: npt.NDArray[np.float64], masks: npt.NDArray[np.floating]) -> None:
    for index in range(masks.shape[1]):
        axes.plot(seconds, masks[:, index], color=MASK_COLOURS[index % len(MASK_COLOURS)], linewidth=0.9)
    axes.axhline(THRESHOLD, color="black", linestyle=":", linewidth=0.8)
    axes.set_ylim(-0.05, 1.05)
    axes.set_yticks([0, 0.5, 1])
    axes.set_ylabel("mask")
