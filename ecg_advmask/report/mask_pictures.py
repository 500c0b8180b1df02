"""A 12-lead ECG on ECG paper with the masked stretches shaded."""

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.files import atomic_path
from ecg_advmask.report.ecg_picture import EcgPaper

MASK_COLOURS: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")
THRESHOLD: Final = 0.5
"""A sample counts as masked where the mask is above this, by default the centre of the soft binarisation."""


def mask_picture(
    signals_mv: npt.NDArray[np.floating],
    masks: npt.NDArray[np.floating],
    sampling_rate_hz: float,
    title: str = "",
    threshold: float = THRESHOLD,
) -> Figure:
    """Twelve leads below one another over the whole window, with the samples shaded where a mask is above a threshold.

    Each lead is centred on its median. Under the leads stand the masks themselves, unless each lead has its own.

    Args:
        signals_mv: ``(L, 12)``, millivolts, in the order of `STANDARD_LEADS`.
        masks: ``(L, N)`` in [0, 1]. With N = 12 each lead has its own mask; any other N applies to all leads alike.
        sampling_rate_hz: samples per second.
        title: shown above the picture, before the mean area of the masks.
        threshold: the mask value above which a sample counts as masked.

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
        _mask_strip(strip, seconds, masks, threshold)
    paper.draw(axes)
    paper.draw_leads(axes, centred, sampling_rate_hz, color="black", gid="trace")

    edges = paper.edges_mv
    for index in range(masks.shape[1]):
        bottom, top = (edges[index + 1], edges[index]) if per_lead else (0.0, paper.height_mv)
        axes.broken_barh(
            [(start, length) for start, length in _masked_stretches(masks[:, index] > threshold, sampling_rate_hz)],
            (bottom, top - bottom),
            facecolor=MASK_COLOURS[0 if per_lead else index % len(MASK_COLOURS)],
            alpha=0.28,
            linewidth=0,
            label=_legend(masks, index, threshold),
            gid=f"mask {STANDARD_LEADS[index] if per_lead else index + 1}",
        )
    handles, labels = axes.get_legend_handles_labels()
    if per_lead:
        handles, labels = (
            handles[:1],
            [f"mask of the lead > {threshold:.2g} ({np.mean(masks > threshold):.0%} of all samples)"],
        )
    figure.legend(handles, labels, loc="outside upper right", ncols=len(labels), fontsize=9, frameon=False)
    axes.set_title(f"{title}   mean mask area {masks.mean():.2f}   ({paper.scale})".strip(), loc="left", fontsize=11)
    (axes if per_lead else strip).set_xlabel("seconds")
    return figure


def _masked_stretches(masked: npt.NDArray[np.bool_], sampling_rate_hz: float) -> list[tuple[float, float]]:
    """Start and length in seconds of each run of masked samples, from half a sample before to half a sample after."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], masked, [False]]).astype(np.int8)))
    starts, stops = edges[0::2], edges[1::2]
    return [
        ((start - 0.5) / sampling_rate_hz, (stop - start) / sampling_rate_hz)
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)
    ]


def _legend(masks: npt.NDArray[np.floating], index: int, threshold: float) -> str:
    name = "mask" if masks.shape[1] == 1 else f"mask {index + 1}"
    return f"{name} > {threshold:.2g} ({np.mean(masks[:, index] > threshold):.0%} of the samples)"


def _mask_strip(
    axes: Axes, seconds: npt.NDArray[np.float64], masks: npt.NDArray[np.floating], threshold: float
) -> None:
    for index in range(masks.shape[1]):
        axes.plot(seconds, masks[:, index], color=MASK_COLOURS[index % len(MASK_COLOURS)], linewidth=0.9)
    axes.axhline(threshold, color="black", linestyle=":", linewidth=0.8)
    axes.set_ylim(-0.05, 1.05)
    axes.set_yticks([0, 0.5, 1])
    axes.set_ylabel("mask")


# ---- A 12-lead ECG, what is left of it without the masked bins of its short-time spectrum, and the mask of these bins.

_LOST_COLOUR: Final = "#D55E00"
_REMOVED: Final = LinearSegmentedColormap.from_list("removed", ["white", MASK_COLOURS[0]])
_LINEAR_TO_HZ: Final = 50.0
"""Above, where an ECG has little, frequencies are drawn on a logarithmic scale."""
_LEADS_ACROSS: Final = 3


def spectral_picture(
    signals_mv: npt.NDArray[np.floating],
    remaining_mv: npt.NDArray[np.floating],
    covered: npt.NDArray[np.floating],
    sampling_rate_hz: float,
    title: str = "",
) -> Figure:
    """The recording in red, in black over it what a mask leaves, and below the mask itself, in time and frequency.

    Both traces stand on the medians of the recording's leads, so that an offset that the mask makes is seen.

    Args:
        signals_mv: ``(L, 12)``, millivolts, in the order of `STANDARD_LEADS`.
        remaining_mv: ``(L, 12)``, the same without the bins that the mask covers.
        covered: ``(frames, bins, 1 or 12)`` in [0, 1], the binarised mask of all leads alike or of each, on the frames
            and bins of `ecg_advmask.augment.spectral.short_time_spectrum`.
        sampling_rate_hz: samples per second.
        title: shown above the picture, before the share of the bins that is removed.

    Raises:
        ValueError: the shapes do not fit.
    """
    hop = covered.shape[1] - 1 if covered.ndim == 3 else 0
    frames = -(-len(signals_mv) // hop) + 1 if hop > 0 else 0
    leads = signals_mv.shape == remaining_mv.shape and signals_mv.shape[1:] == (12,)
    if not leads or not frames or covered.shape[0] != frames or covered.shape[2] not in (1, 12):
        raise ValueError(
            f"expected signals (L, 12) twice and a mask (frames, bins, 1 or 12) of their spectrum, found "
            f"{signals_mv.shape}, {remaining_mv.shape} and {covered.shape}"
        )
    baselines_mv = np.median(signals_mv, axis=0)
    paper = EcgPaper.for_leads(signals_mv - baselines_mv, sampling_rate_hz)
    width, height = paper.inches
    per_lead = covered.shape[2] == 12
    image_inches = 7.0 if per_lead else 2.4
    figure = Figure(figsize=(width + 0.7, height + image_inches + 1.3), layout="constrained")
    rows = 12 // _LEADS_ACROSS if per_lead else 1
    grid = figure.add_gridspec(1 + rows, _LEADS_ACROSS, height_ratios=[height, *[image_inches / rows] * rows])
    axes = figure.add_subplot(grid[0, :])
    paper.draw(axes)
    for values_mv, label, colour in (
        (signals_mv, "recording", _LOST_COLOUR),
        (remaining_mv, "what the mask leaves of it", "black"),
    ):
        paper.draw_leads(axes, values_mv - baselines_mv, sampling_rate_hz, gid=label, color=colour)
        axes.plot([], [], color=colour, label=label)
    figure.legend(loc="outside upper right", ncols=2, fontsize=9, frameon=False)
    removed = f"{covered.mean():.0%} of the bins removed"
    axes.set_title(f"{title}   {removed}   ({paper.scale})".strip(), loc="left", fontsize=11)

    duration_s = len(signals_mv) / sampling_rate_hz
    edges_s = np.clip((np.arange(frames + 1) - 0.5) * hop / sampling_rate_hz, 0, duration_s)
    images = []
    if per_lead:
        for lead, name in enumerate(STANDARD_LEADS):  # I to III in the first row, as leads belong together
            image = figure.add_subplot(grid[1 + lead // _LEADS_ACROSS, lead % _LEADS_ACROSS])
            _image(image, edges_s, covered[:, :, lead], sampling_rate_hz)
            image.set_title(name, loc="left", fontsize=9, fontweight="bold")
            images.append(image)
    else:
        image = figure.add_subplot(grid[1, :], sharex=axes)
        _image(image, edges_s, covered[:, :, 0], sampling_rate_hz)
        image.set_xlabel(f"seconds (frames of {2 * hop / sampling_rate_hz:g} s, one each {hop / sampling_rate_hz:g} s)")
        images.append(image)
    bar = figure.colorbar(ScalarMappable(cmap=_REMOVED), ax=images, ticks=[0, 1], aspect=30, pad=0.01)
    bar.set_ticklabels(["kept", "removed"])
    return figure


def _image(
    axes: Axes, edges_s: npt.NDArray[np.float64], covered: npt.NDArray[np.floating], sampling_rate_hz: float
) -> None:
    """Draw a binarised mask (frames, bins) as rectangles around the centres of frames and bins."""
    bins = covered.shape[1]
    highest_hz = sampling_rate_hz / 2
    edges_hz = np.clip((np.arange(bins + 1) - 0.5) * highest_hz / (bins - 1), 0, highest_hz)
    axes.pcolormesh(edges_s, edges_hz, covered.T, cmap=_REMOVED, vmin=0, vmax=1, rasterized=True, gid="mask")
    axes.set_ylabel("Hz")
    if highest_hz > _LINEAR_TO_HZ:
        axes.set_yscale("symlog", linthresh=_LINEAR_TO_HZ, linscale=2)
        ticks = [hz for hz in (0, 10, 20, 30, 40, 50, 100) if hz < 0.8 * highest_hz]
        axes.set_yticks([*ticks, highest_hz], [f"{hz:g}" for hz in [*ticks, highest_hz]], minor=False)
        axes.yaxis.minorticks_off()
    axes.set_ylim(0, highest_hz)


# ---- Pictures of masks as files, which a pretraining run leaves in ``masks/`` as it goes.


def draw_masks(
    path: Path,
    signals_mv: npt.NDArray[np.float32],
    masks: npt.NDArray[np.float32],
    remaining_mv: npt.NDArray[np.float32] | None,
    sampling_rate_hz: int,
    title: str,
    threshold: float = THRESHOLD,
) -> None:
    """Write the picture of a recording and its masks, as `ecg_advmask.pretrain.callbacks.DrawMasks` has it."""
    if remaining_mv is None:
        figure = mask_picture(signals_mv, masks, sampling_rate_hz, title, threshold)
    else:
        figure = spectral_picture(signals_mv, remaining_mv, masks, sampling_rate_hz, title)
    with atomic_path(path) as temporary:
        figure.savefig(temporary)
