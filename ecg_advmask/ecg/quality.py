"""Checks of one window: what makes a part of a recording unusable, each with a name, measure and threshold.

The checks judge the recording's own samples, at its own rate, because resampling smears what they look for. The faults
are those of the PhysioNet/CinC Challenge 2011 on the quality of 12-lead ECGs (Silva, Moody, Celi, Computing in
Cardiology 38:273-276). The thresholds are ours: they leave a wide margin to the sound recordings of the CinC 2021
sources and of LUDB, so that what is refused is beyond doubt. `CHECKS` is the one place of them all.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.ecg.signals import FloatSignals

Values = npt.NDArray[np.floating | np.integer]

EINTHOVEN: Final = ("III = II - I", "aVR = -(I + II)/2", "aVL = (I - III)/2", "aVF = (II + III)/2")
"""Einthoven's law and Goldberger's definitions of the augmented leads, which hold at every instant."""


@dataclass(frozen=True)
class Span:
    """What the checks judge: a window's span of a recording, padding left out.

    ``leads_mv`` (12, n) holds the recording's own samples at ``sampling_rate_hz``, leads first, and ``resampled_mv``
    (12, m) what they became at the rate of the window; both float32, millivolts.
    """

    leads_mv: FloatSignals
    sampling_rate_hz: float
    resampled_mv: FloatSignals


@dataclass(frozen=True)
class Check:
    """One check: a measure of every lead, or of other parts of a window, and the threshold beyond which a part fails.

    ``meaning`` is a sentence for an account of a data set, and ``refuses`` says whether a window that fails is refused
    by default. ``says`` is the sentence on a part that fails, with its ``{part}``, ``{value}`` and ``{threshold}``. A
    value fails above the threshold, or with ``fails_below`` below it.
    """

    name: str
    threshold: float
    unit: str
    meaning: str
    refuses: bool
    measure: Callable[[Span], Values]
    says: str
    parts: tuple[str, ...] = tuple(f"lead {lead}" for lead in STANDARD_LEADS)
    fails_below: bool = False

    def find(self, span: Span) -> list[str]:
        """A sentence with value, threshold and unit for every part that fails, none if the span passes.

        Only `finite` takes samples that are not finite.
        """
        values = self.measure(span)
        failing = values < self.threshold if self.fails_below else values > self.threshold
        return [
            self.says.format(part=self.parts[index], value=f"{values[index]:.4g}", threshold=f"{self.threshold:g}")
            for index in np.flatnonzero(failing)
        ]


def missing_samples(span: Span) -> Values:
    """Samples of each lead that are missing or infinite."""
    return np.asarray(np.count_nonzero(~np.isfinite(span.leads_mv), axis=1))


def peak_mv(span: Span) -> Values:
    """Largest absolute value of each lead, before or after resampling, in mV."""
    return np.asarray(np.maximum(np.abs(span.leads_mv).max(axis=1), np.abs(span.resampled_mv).max(axis=1)))


def deviation_uv(span: Span) -> Values:
    """Standard deviation of each lead, in uV."""
    return np.asarray(1000 * np.std(span.leads_mv, axis=1, dtype=np.float64))


def longest_constant_s(span: Span) -> Values:
    """Longest stretch over which each lead keeps exactly one value, in s; 0 for one that is constant throughout."""
    leads = span.leads_mv
    same = leads[:, 1:] == leads[:, :-1]
    longest = np.zeros(len(leads))
    for lead in np.flatnonzero(~same.all(axis=1)):
        longest[lead] = _runs(same[lead]).max(initial=0) + 1
    return longest / span.sampling_rate_hz


def clipped_percent(span: Span) -> Values:
    """Share of the time for which each lead is clipped, in percent.

    A lead counts as clipped where it holds its own largest or smallest value for 10 ms and 3 samples or longer. Three
    things look alike and do not count: the flat top of a wave, which is shorter; one plateau alone, such as the held
    first value of a recording, so the longest at either extreme is left out; and a baseline which coarse resolution or
    compression made level, so the extreme must be a quarter of the lead's range or more away from its median.
    """
    leads = span.leads_mv
    shortest = max(3, math.ceil(0.01 * span.sampling_rate_hz))
    share = np.zeros(len(leads))
    low, high = leads.min(axis=1), leads.max(axis=1)
    for extreme in (low, high):
        at_extreme = leads == extreme[:, None]
        for lead in np.flatnonzero((np.count_nonzero(at_extreme, axis=1) >= 2 * shortest) & (low < high)):
            runs = _runs(at_extreme[lead])
            runs = runs[runs >= shortest]
            if abs(extreme[lead] - np.median(leads[lead])) >= (high[lead] - low[lead]) / 4:
                share[lead] += 100 * (runs.sum() - runs.max(initial=0)) / leads.shape[1]
    return share


def einthoven_residual_uv(span: Span) -> Values:
    """Root-mean-square residual of each equation of `EINTHOVEN`, in uV.

    Its mean is left out, because the zero line of every lead is arbitrary.
    """
    i, ii, iii, avr, avl, avf = span.leads_mv[:6]
    residuals = np.stack([iii - ii + i, avr + (i + ii) / 2, avl - (i - iii) / 2, avf - (ii + iii) / 2])
    return np.asarray(1000 * np.std(residuals, axis=1, dtype=np.float64))


def _runs(true: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Lengths of the unbroken runs of True."""
    edges = np.flatnonzero(np.diff(true, prepend=False, append=False))
    return edges[1::2] - edges[::2]


_IN_ORDER: Final = (
    Check(
        "finite",
        threshold=0,
        unit="samples",
        meaning="A lead has missing or infinite samples.",
        refuses=True,
        measure=missing_samples,
        says="{part} has {value} missing or infinite samples",
    ),
    # Electrocardiographs must take +-5 mV (IEC 60601-2-25), and the recorder of the PTB database, which keeps electrode
    # offsets, ends at +-16.4 mV. The largest beat in the sources above, an ectopic one, reaches 8.6 mV.
    Check(
        "amplitude",
        threshold=20,
        unit="mV",
        meaning="A lead reaches an amplitude that no heart produces.",
        refuses=True,
        measure=peak_mv,
        says="{part} reaches {value} mV, more than {threshold} mV",
    ),
    Check(
        "flat",
        threshold=1,
        unit="uV",
        meaning="A lead carries no signal: its standard deviation is less than any recorder's noise.",
        refuses=True,
        measure=deviation_uv,
        says="{part} is flat, its deviation {value} uV is below {threshold} uV",
        fails_below=True,
    ),
    # Compression and smoothing level the baseline for up to 0.6 s in LUDB and 0.4 s in the other sources.
    Check(
        "lead-off",
        threshold=1,
        unit="s",
        meaning="A lead keeps exactly one value for a long stretch, though not throughout: an electrode came off.",
        refuses=True,
        measure=longest_constant_s,
        says="{part} keeps one value for {value} s, longer than {threshold} s",
    ),
    # The recordings of the sources above stay below 0.13 %. Of their leads at 500 Hz, cut off by us at half of their
    # largest value, 19 in 20 are found.
    Check(
        "clipped",
        threshold=0.5,
        unit="%",
        meaning="A lead stays again and again at its own largest or smallest value: the recorder was saturated.",
        refuses=True,
        measure=clipped_percent,
        says="{part} is held at its own extremes for {value} % of the time, more than {threshold} %",
    ),
    # Rounding to 4.9 uV leaves 1.3 uV in Chapman-Shaoxing and Ningbo. Leads that were swapped, or scaled one by one as
    # in LUDB, leave tens to hundreds. The law: Kligfield et al. 2007 (AHA/ACC/HRS, Circulation 115:1306-1324).
    Check(
        "einthoven",
        threshold=10,
        unit="uV",
        meaning="The limb leads break Einthoven's law: they are not of one scale, one moment or one patient.",
        refuses=False,
        measure=einthoven_residual_uv,
        says="{part} does not hold, the root-mean-square residual of {value} uV is more than {threshold} uV",
        parts=EINTHOVEN,
    ),
)

CHECKS: Final[Mapping[str, Check]] = {check.name: check for check in _IN_ORDER}
"""All checks by name, in the order in which they are made."""

REFUSED: Final = tuple(check.name for check in _IN_ORDER if check.refuses)
"""Names of the checks that refuse a window by default; what the others find is reported."""

ALWAYS_REFUSED: Final = ("finite", "amplitude")
"""Names of the checks that refuse a window in any case: 16-bit microvolts cannot hold such samples."""
