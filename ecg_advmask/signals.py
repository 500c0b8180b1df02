"""What is done to the samples of one recording before a network sees them: rate, windows, quality checks.

Signals are ``(T, 12)`` arrays in millivolts, leads in the order of `ecg_advmask.leads.STANDARD_LEADS`, NaN where a
sample is missing. Making a data set and embedding new recordings go through the same function here, `cut`.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt

from ecg_advmask.errors import InputError
from ecg_advmask.leads import STANDARD_LEADS

FloatSignals = npt.NDArray[np.float32]

FLAT_BELOW_MV: Final = 0.001
"""A lead whose standard deviation over a window is below one microvolt carries no signal."""

LARGEST_MV: Final = 32.767
"""Windows are kept as 16-bit microvolts; the lowest code stands for a missing sample."""


@dataclass(frozen=True)
class Window:
    """A piece of a recording that passed every check.

    ``index`` counts the windows of the recording from 0, refused ones included; ``signals_mv`` is (L, 12) float32;
    the first ``valid_samples`` of it are the recording's own (at present always all of them).
    """

    index: int
    start_s: float
    signals_mv: FloatSignals
    valid_samples: int


@dataclass(frozen=True)
class Cut:
    """What became of one recording: windows kept, windows refused (index and reason), and seconds left over."""

    windows: list[Window]
    refused: list[tuple[int, str]]
    trailing_s: float


def cut(signals_mv: FloatSignals, from_hz: float, to_hz: float, window_samples: int) -> Cut:
    """Bring a recording to a rate, cut it into consecutive windows and check each of them.

    A last piece shorter than a window is left over and accounted for in ``trailing_s``.

    Args:
        signals_mv: (T, 12) float32, millivolts, NaN where a sample is missing.
        from_hz: the recording's sampling rate.
        to_hz: the rate of the windows.
        window_samples: samples in a window, at ``to_hz``.

    Raises:
        InputError: the recording is shorter than one window, or a rate makes no sense.
    """
    resampled = resample(signals_mv, from_hz, to_hz)
    if len(resampled) < window_samples:
        raise InputError(
            f"length: {len(signals_mv) / from_hz:.2f} s, shorter than a window of {window_samples / to_hz:g} s"
        )
    kept, refused = [], []
    end = 0
    for index, (start, window, valid) in enumerate(windows(resampled, window_samples)):
        reason = fault(window)
        if reason:
            refused.append((index, reason))
        else:
            kept.append(Window(index, start / to_hz, window, valid))
        end = start + valid
    return Cut(kept, refused, (len(resampled) - end) / to_hz)


def resample(signals_mv: FloatSignals, from_hz: float, to_hz: float) -> FloatSignals:
    """Change the sampling rate by polyphase filtering, with an anti-aliasing filter (Kaiser window, beta 5).

    The straight line through a lead's first and last sample is taken off before and put back after, so that constants
    and ramps are kept exactly and the ends do not ring. Missing samples are bridged by straight lines while filtering
    and are missing again in the result. Computed in float64.

    Args:
        signals_mv: (T, leads), float32.
        from_hz: its rate; any positive number, also one that is not whole.
        to_hz: the wanted rate.

    Returns:
        (ceil(T * to_hz / from_hz), leads) float32; for equal rates the input itself.

    Raises:
        InputError: a rate is not a positive number, or they are more than a factor of 1000 apart.
    """
    if not (math.isfinite(from_hz) and math.isfinite(to_hz) and from_hz > 0 and to_hz > 0):
        raise InputError(f"sampling rate: cannot go from {from_hz:g} Hz to {to_hz:g} Hz, both must be positive")
    if from_hz == to_hz or len(signals_mv) == 0:
        return signals_mv
    if not 1e-3 <= to_hz / from_hz <= 1e3:
        raise InputError(f"sampling rate: {from_hz:g} Hz is too far from {to_hz:g} Hz")
    from scipy.signal import resample_poly  # here, because it takes longer to import than a recording to embed

    ratio = Fraction(to_hz / from_hz).limit_denominator(10_000)
    missing = ~np.isfinite(signals_mv)
    whole = _bridged(signals_mv, missing) if missing.any() else signals_mv
    first, slope = whole[:1].astype(np.float64), (whole[-1:] - whole[:1]).astype(np.float64) / max(len(whole) - 1, 1)
    from_line = whole - (first + slope * np.arange(len(whole))[:, None])
    resampled = resample_poly(from_line, ratio.numerator, ratio.denominator, axis=0, window=("kaiser", 5.0))
    resampled += first + slope * (np.arange(len(resampled)) / float(ratio))[:, None]
    if missing.any():
        resampled[_missing_after(missing, len(resampled))] = np.nan
    return resampled.astype(np.float32)


def windows(signals_mv: FloatSignals, window_samples: int) -> list[tuple[int, FloatSignals, int]]:
    """Consecutive windows from the first sample on; a last piece that does not fill a window is not among them.

    Returns:
        (first sample, window (window_samples, 12), number of its samples that are the recording's own) for each.
    """
    starts = range(0, len(signals_mv) - window_samples + 1, window_samples)
    return [(start, signals_mv[start : start + window_samples], window_samples) for start in starts]


def fault(window_mv: FloatSignals) -> str:
    """The first check that a window fails, with the lead concerned; empty if it passes them all."""
    return next((f"{name}: {found}" for name, check in CHECKS.items() for found in check(window_mv)), "")


def microvolts(signals_mv: FloatSignals) -> npt.NDArray[np.int16]:
    """Signals rounded to whole microvolts; missing samples and those beyond `LARGEST_MV` become -32768."""
    rounded = np.rint(signals_mv * np.float32(1000))
    fits = np.abs(rounded) <= LARGEST_MV * 1000
    return np.where(fits, rounded, -32768).astype("<i2")


def signal_hash(signals_mv: FloatSignals) -> str:
    """SHA-256 of a whole recording in microvolts at its own rate: the same for copies of it in different archives."""
    return hashlib.sha256(microvolts(signals_mv).tobytes()).hexdigest()


def _not_finite(window_mv: FloatSignals) -> Iterator[str]:
    for lead, count in zip(STANDARD_LEADS, np.sum(~np.isfinite(window_mv), axis=0), strict=True):
        if count:
            yield f"lead {lead} has {count} missing or infinite samples"


def _too_large(window_mv: FloatSignals) -> Iterator[str]:
    for lead, peak in zip(STANDARD_LEADS, np.max(np.abs(window_mv), axis=0), strict=True):
        if peak > LARGEST_MV:
            yield f"lead {lead} reaches {peak:.4g} mV, more than {LARGEST_MV} mV"


def _flat(window_mv: FloatSignals) -> Iterator[str]:
    for lead, deviation in zip(STANDARD_LEADS, np.std(window_mv, axis=0, dtype=np.float64), strict=True):
        if deviation < FLAT_BELOW_MV:
            yield f"lead {lead} is flat, its deviation {1000 * deviation:.2g} uV is below {1000 * FLAT_BELOW_MV:g} uV"


CHECKS: Final[Mapping[str, Callable[[FloatSignals], Iterator[str]]]] = {
    "finite": _not_finite,
    "amplitude": _too_large,
    "flat": _flat,
}
"""Checks of a window, in order: each yields a sentence for every lead that fails it."""


def _bridged(signals_mv: FloatSignals, missing: npt.NDArray[np.bool_]) -> FloatSignals:
    """Missing samples replaced by straight lines between their neighbours, or by 0 in a lead that has no sample."""
    bridged = signals_mv.copy()
    time = np.arange(len(signals_mv))
    for lead in np.flatnonzero(missing.any(axis=0)):
        gone = missing[:, lead]
        bridged[gone, lead] = 0 if gone.all() else np.interp(time[gone], time[~gone], signals_mv[~gone, lead])
    return bridged


def _missing_after(missing: npt.NDArray[np.bool_], length: int) -> npt.NDArray[np.bool_]:
    """Where samples are missing at the new rate: wherever the time of a new sample meets that of a missing one."""
    edges = np.arange(length + 1) * (len(missing) / length)
    first = np.floor(edges[:-1]).astype(int)
    last = np.minimum(np.ceil(edges[1:]).astype(int), len(missing))
    counts = np.concatenate([np.zeros((1, missing.shape[1]), int), np.cumsum(missing, axis=0)])
    return np.asarray(counts[last] > counts[first])
