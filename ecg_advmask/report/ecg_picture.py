"""Twelve leads below one another on ECG paper: the place of each, the grid, and the picture of a recording."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MultipleLocator

from ecg_advmask.ecg.leads import STANDARD_LEADS

_MM_PER_SECOND: Final = 25.0
_MM_PER_MV: Final = 10.0
_LARGEST_HEIGHT_MM: Final = 320.0
_LEFT_MARGIN_S: Final = 1.0
_ROW_LIMIT_MV: Final = 2.5
_GRID_COLOUR: Final = "#f2c4c4"


@dataclass(frozen=True)
class EcgPaper:
    """Paper in the proportions of 25 mm/s and 10 mm/mV (5 mm/mV if the leads need more height).

    Squares are 0.2 s wide and 0.5 mV (1 mV) high, and a calibration pulse of 1 mV and 0.2 s precedes each lead.

    Attributes:
        baselines_mv: (12,), height of each lead's baseline above the lower edge.
        height_mv: of the paper.
        width_s: of the paper, with the margin before time 0.
        mm_per_mv: the gain.
    """

    baselines_mv: npt.NDArray[np.float64]
    height_mv: float
    width_s: float
    mm_per_mv: float

    @classmethod
    def for_leads(cls, centred_mv: npt.NDArray[np.floating], sampling_rate_hz: float) -> "EcgPaper":
        """The paper for leads (L, 12) whose baselines are at 0 mV."""
        baselines, height_mv = _rows(centred_mv)
        mm_per_mv = _MM_PER_MV if height_mv * _MM_PER_MV <= _LARGEST_HEIGHT_MM else _MM_PER_MV / 2
        return cls(baselines, height_mv, _LEFT_MARGIN_S + len(centred_mv) / sampling_rate_hz, mm_per_mv)

    @property
    def inches(self) -> tuple[float, float]:
        """Width and height."""
        return self.width_s * _MM_PER_SECOND / 25.4, self.height_mv * self.mm_per_mv / 25.4

    @property
    def scale(self) -> str:
        """Speed and gain, in words."""
        return f"{_MM_PER_SECOND:g} mm/s, {self.mm_per_mv:g} mm/mV"

    @property
    def edges_mv(self) -> npt.NDArray[np.float64]:
        """(13,), upper edge of each lead's row and lower edge of the last, from above."""
        between = (self.baselines_mv[:-1] + self.baselines_mv[1:]) / 2
        return np.concatenate([[self.height_mv], between, [0.0]])

    def draw(self, axes: Axes) -> None:
        """Draw the grid, the leads' names and the calibration pulses."""
        square_mv = 0.5 if self.mm_per_mv == _MM_PER_MV else 1.0
        last_s = self.width_s - _LEFT_MARGIN_S
        axes.set_xlim(-_LEFT_MARGIN_S, last_s)
        axes.set_ylim(0, self.height_mv)
        axes.xaxis.set_minor_locator(MultipleLocator(0.2))
        axes.yaxis.set_minor_locator(MultipleLocator(square_mv))
        axes.xaxis.set_major_locator(FixedLocator(np.arange(0.0, last_s + 0.5).tolist()))
        axes.yaxis.set_major_locator(MultipleLocator(self.height_mv * 2))
        axes.grid(which="both", color=_GRID_COLOUR, linewidth=0.5)
        axes.set_axisbelow(True)
        axes.tick_params(which="both", length=0, labelleft=False)
        for spine in axes.spines.values():
            spine.set_color(_GRID_COLOUR)
        pulse_s = np.array([-0.45, -0.35, -0.35, -0.15, -0.15, -0.05])
        for name, baseline in zip(STANDARD_LEADS, self.baselines_mv, strict=True):
            axes.plot(pulse_s, baseline + np.array([0, 0, 1, 1, 0, 0]), color="black", linewidth=0.8)
            axes.text(-0.95, baseline, name, fontsize=11, fontweight="bold", verticalalignment="center")

    def draw_leads(
        self, axes: Axes, centred_mv: npt.NDArray[np.floating], sampling_rate_hz: float, *, gid: str, **style: Any
    ) -> None:
        """Draw leads (L, 12) in their rows, as lines whose gid is this one and the lead's name."""
        seconds = np.arange(len(centred_mv)) / sampling_rate_hz
        for lead, (name, baseline) in enumerate(zip(STANDARD_LEADS, self.baselines_mv, strict=True)):
            axes.plot(seconds, centred_mv[:, lead] + baseline, gid=f"{gid} {name}", **{"linewidth": 0.8} | style)


_SUPPORTS, _OPPOSES = "#D55E00", "#0072B2"


def ecg_picture(
    signals_mv: npt.NDArray[np.floating],
    sampling_rate_hz: float,
    title: str = "",
    support: npt.NDArray[np.floating] | None = None,
    supported: str = "",
) -> Figure:
    """A recording on ECG paper, in its true proportions; each lead is centred on its median.

    Args:
        signals_mv: ``(L, 12)``, millivolts, in the order of `STANDARD_LEADS`; missing samples are NaN and leave gaps.
        sampling_rate_hz: samples per second.
        title: shown above, before speed and gain.
        support: ``(L,)``, as `ecg_advmask.export.occlusion.Occlusion` has it: shades the leads.
        supported: what it supports, for the legend.
    """
    centred = signals_mv - np.nanmedian(signals_mv, axis=0)
    paper = EcgPaper.for_leads(np.nan_to_num(centred), sampling_rate_hz)
    width, height = paper.inches
    figure = Figure(figsize=(width + 0.5, height + 1.0), layout="constrained")
    axes = figure.subplots()
    if support is not None:
        _shade(axes, support, sampling_rate_hz, paper.height_mv)
        for colour, text in ((_SUPPORTS, f"supports {supported}"), (_OPPOSES, f"speaks against {supported}")):
            axes.fill_between([], [], [], color=colour, alpha=0.5, linewidth=0, label=text)
        figure.legend(loc="outside upper right", ncols=2, fontsize=9, frameon=False)
    paper.draw(axes)
    paper.draw_leads(axes, centred, sampling_rate_hz, color="black", gid="trace")
    axes.set_title(f"{title}   ({paper.scale})".strip(), loc="left", fontsize=11)
    axes.set_xlabel("seconds")
    return figure


def _shade(axes: Axes, support: npt.NDArray[np.floating], sampling_rate_hz: float, height_mv: float) -> None:
    """Shade samples by their support, in ten steps of its largest size."""
    steps = np.rint(10 * support / max(float(np.abs(support).max()), 1e-12)).astype(int)
    edges = np.flatnonzero(np.diff(steps, prepend=0, append=0))
    for first, last in pairwise(edges.tolist()):
        step = steps[first]
        if step:
            colour = _SUPPORTS if step > 0 else _OPPOSES
            span = [((first - 0.5) / sampling_rate_hz, (last - first) / sampling_rate_hz)]
            axes.broken_barh(span, (0, height_mv), facecolor=colour, alpha=0.05 * abs(step), linewidth=0, gid="support")


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
