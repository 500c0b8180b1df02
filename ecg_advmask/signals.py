"""The samples of one recording as a whole: its sampling rate, its form in microvolts, its hash.

Signals are ``(T, 12)`` float32 arrays in millivolts, leads in the order of `ecg_advmask.leads.STANDARD_LEADS`, NaN
where a sample is missing. Windows of a recording are cut in `ecg_advmask.windows` and judged in `ecg_advmask.quality`.
"""

import hashlib
import math
from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt

from ecg_advmask.errors import InputError

FloatSignals = npt.NDArray[np.float32]

LARGEST_MV: Final = 32.767
"""Windows are kept as 16-bit microvolts; the lowest code stands for a missing sample."""


def resampling_ratio(from_hz: float, to_hz: float) -> Fraction:
    """``to_hz / from_hz`` as a fraction: exact where both are whole numbers below 10,000, else closer than 1e-8.

    Raises:
        InputError: a rate is not a positive number, or they are more than a factor of 1000 apart.
    """
    if not (math.isfinite(from_hz) and math.isfinite(to_hz) and from_hz > 0 and to_hz > 0):
        raise InputError(f"sampling rate: cannot go from {from_hz:g} Hz to {to_hz:g} Hz, both must be positive")
    if not 1e-3 <= to_hz / from_hz <= 1e3:
        raise InputError(f"sampling rate: {from_hz:g} Hz is too far from {to_hz:g} Hz")
    return Fraction(to_hz / from_hz).limit_denominator(10_000)


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
    ratio = resampling_ratio(from_hz, to_hz)
    if ratio == 1 or len(signals_mv) == 0:
        return signals_mv
    from scipy.signal import resample_poly  # here, because it takes longer to import than a recording to embed

    missing = ~np.isfinite(signals_mv)
    whole = _bridged(signals_mv, missing) if missing.any() else signals_mv
    first, slope = whole[:1].astype(np.float64), (whole[-1:] - whole[:1]).astype(np.float64) / max(len(whole) - 1, 1)
    from_line = whole - (first + slope * np.arange(len(whole))[:, None])
    resampled = resample_poly(from_line, ratio.numerator, ratio.denominator, axis=0, window=("kaiser", 5.0))
    resampled += first + slope * (np.arange(len(resampled)) / float(ratio))[:, None]
    if missing.any():
        resampled[_missing_after(missing, len(resampled))] = np.nan
    return resampled.astype(np.float32)


def microvolts(signals_mv: FloatSignals) -> npt.NDArray[np.int16]:
    """Signals rounded to whole microvolts; missing samples and those beyond `LARGEST_MV` become -32768."""
    rounded = np.rint(signals_mv * np.float32(1000))
    fits = np.abs(rounded) <= LARGEST_MV * 1000
    return np.where(fits, rounded, -32768).astype("<i2")


def signal_hash(signals_mv: FloatSignals) -> str:
    """SHA-256 of a whole recording in microvolts at its own rate: the same for copies of it in different archives."""
    return hashlib.sha256(microvolts(signals_mv).tobytes()).hexdigest()


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
