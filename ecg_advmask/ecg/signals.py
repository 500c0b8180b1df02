"""The samples of one recording as a whole: its sampling rate, its form in microvolts, its hash.

Signals are ``(T, 12)`` float32 arrays in millivolts, leads in the order of `ecg_advmask.ecg.leads.STANDARD_LEADS`, NaN
where a sample is missing. Windows of a recording are cut in `ecg_advmask.ecg.windows` and judged in
`ecg_advmask.ecg.quality`.
"""

import functools
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

_SHORTEST_RUN: Final = 64
_LARGEST_MATRIX: Final = 1_000_000
_UNSHARED_PRODUCTS: Final = 262_144
"""Up to this many multiplications OpenBLAS uses one thread; recordings are read in several threads already."""


def resampling_ratio(from_hz: float, to_hz: float) -> Fraction:
    """``to_hz / from_hz`` as a fraction of numbers up to 10,000: exact for whole rates up to that, else within 0.01 %.

    Raises:
        InputError: a rate is not a positive number, or they are more than a factor of 1000 apart.
    """
    if not (math.isfinite(from_hz) and math.isfinite(to_hz) and from_hz > 0 and to_hz > 0):
        raise InputError(f"sampling rate: cannot go from {from_hz:g} Hz to {to_hz:g} Hz, both must be positive")
    if not 1e-3 <= to_hz / from_hz <= 1e3:
        raise InputError(f"sampling rate: {from_hz:g} Hz is too far from {to_hz:g} Hz")
    downwards = Fraction(min(from_hz, to_hz) / max(from_hz, to_hz)).limit_denominator(10_000)
    return downwards if to_hz < from_hz else 1 / downwards


def resample(signals_mv: FloatSignals, from_hz: float, to_hz: float) -> FloatSignals:
    """Change the sampling rate by polyphase filtering, with a linear-phase filter against aliasing.

    Measured on pure tones between 100, 250, 257, 500 and 1000 Hz (tests/test_signals.py), the Nyquist frequency being
    that of the lower rate: up to 0.8 of it the gain is within 0.003 dB of 1; beyond it aliases, and images when the
    rate rises, are at least 70 dB down, so that 1 mV of interference leaves less than 0.4 uV. There is no delay.

    The straight line through a lead's first and last sample is taken off before and put back after, so that constants
    and ramps are kept exactly and the ends do not ring. Missing samples are bridged by straight lines while filtering
    and are missing again in the result, wherever a new sample's time meets that of a missing one. Computed in float64,
    lead by lead, so that a long recording is not copied many times.

    Args:
        signals_mv: (T, leads), float32.
        from_hz: its rate; any positive number, also one that is not whole.
        to_hz: the wanted rate.

    Returns:
        (ceil(T * to_hz / from_hz), leads) float32, each lead contiguous in memory; for equal rates the input itself.

    Raises:
        InputError: a rate is not a positive number, or they are more than a factor of 1000 apart.
    """
    ratio = resampling_ratio(from_hz, to_hz)
    if ratio == 1 or len(signals_mv) == 0:
        return signals_mv
    old_time = np.arange(len(signals_mv), dtype=np.float64)
    new_time = np.arange(math.ceil(len(signals_mv) * ratio)) / float(ratio)
    resampled = np.empty((signals_mv.shape[1], len(new_time)), np.float32)
    for row, column in enumerate(signals_mv.T):
        missing = ~np.isfinite(column)
        lead = _bridged(column.astype(np.float64), missing)
        first, slope = lead[0], (lead[-1] - lead[0]) / max(len(lead) - 1, 1)
        lead -= first + slope * old_time
        filtered = _filtered(lead, ratio, len(new_time))
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and no check lets it pass
            resampled[row] = filtered + (first + slope * new_time)
        if missing.any():
            resampled[row, _missing_after(missing, ratio, len(new_time))] = np.nan
    return resampled.T


def _filtered(lead: npt.NDArray[np.float64], ratio: Fraction, length: int) -> npt.NDArray[np.float64]:
    """The first ``length`` samples at the new rate: `scipy.signal.resample_poly` with the taps of `_lowpass`.

    A run of new samples is a product of the old ones around it with a matrix of taps, the same for every run; that is
    three times as fast as scalar products one by one.
    """
    up, down = ratio.numerator, ratio.denominator
    if up * (down + _reach(up, down)) > _LARGEST_MATRIX:
        from scipy.signal import resample_poly  # here, because it takes longer to import than a recording to embed

        whole = resample_poly(lead, up, down, window=_lowpass(max(up, down)))  # type: ignore[call-overload]
        return np.asarray(whole[:length])
    matrix = _polyphase_matrix(up, down)
    reach, (width, run) = _reach(up, down), matrix.shape
    runs, step = -(-length // run), width - 2 * reach
    padded = np.zeros(runs * step + 2 * reach)
    padded[reach : reach + len(lead)] = lead[: len(padded) - reach]
    around = np.lib.stride_tricks.sliding_window_view(padded, width)[::step]
    filtered = np.empty((runs, run))
    at_once = max(1, _UNSHARED_PRODUCTS // matrix.size)
    for first in range(0, runs, at_once):
        rows = slice(first, first + at_once)
        np.matmul(np.ascontiguousarray(around[rows]), matrix, out=filtered[rows])
    return filtered.reshape(-1)[:length]


def _reach(up: int, down: int) -> int:
    """Old samples before and after a new one that it depends on."""
    return -(-(len(_lowpass(max(up, down))) // 2) // up)


@functools.lru_cache(maxsize=8)
def _polyphase_matrix(up: int, down: int) -> npt.NDArray[np.float64]:
    """(width, run): the weight of each old sample, from `_reach` before a run of new ones on, in each of the run."""
    taps, reach = _lowpass(max(up, down)), _reach(up, down)
    periods = max(1, round(_SHORTEST_RUN / up))
    old = np.arange(-reach, periods * down + reach)[:, None] * up
    place = np.arange(periods * up) * down - old + len(taps) // 2
    within = (place >= 0) & (place < len(taps))
    return np.where(within, up * taps[np.where(within, place, 0)], 0.0)


@functools.lru_cache(maxsize=8)
def _lowpass(factor: int) -> npt.NDArray[np.float64]:
    """Taps of a low-pass at ``factor`` times the lower rate, from 0.8 to 1.0 of that rate's Nyquist frequency.

    A sinc under a Kaiser window, whose length and shape follow from the wanted 72 dB and the width between the edges
    (Kaiser 1974, in the form of Oppenheim and Schafer, Discrete-Time Signal Processing, section 7.5.3).
    """
    attenuation_db, width, cutoff = 72.0, 0.2 / factor, 0.9 / factor  # in units of the Nyquist frequency
    half = math.ceil((attenuation_db - 7.95) / (2.285 * math.pi * width) + 1) // 2
    place = np.arange(-half, half + 1)
    taps = np.sinc(cutoff * place) * np.kaiser(2 * half + 1, 0.1102 * (attenuation_db - 8.7))
    return np.asarray(taps / taps.sum())


def microvolts(signals_mv: FloatSignals) -> npt.NDArray[np.int16]:
    """Signals rounded to whole microvolts; missing samples and those beyond `LARGEST_MV` become -32768."""
    with np.errstate(over="ignore"):
        rounded = np.rint(signals_mv * np.float32(1000))
    fits = np.abs(rounded) <= LARGEST_MV * 1000
    return np.where(fits, rounded, -32768).astype("<i2")


def signal_hash(signals_mv: FloatSignals) -> str:
    """SHA-256 of a whole recording in microvolts at its own rate: the same for copies of it in different archives."""
    digest = hashlib.sha256()
    for start in range(0, len(signals_mv), 100_000):  # piece by piece, so that a long recording is not copied whole
        digest.update(microvolts(signals_mv[start : start + 100_000]).tobytes())
    return digest.hexdigest()


def _bridged(lead: npt.NDArray[np.float64], missing: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Missing samples replaced by straight lines between their neighbours, or by 0 in a lead that has no sample."""
    if not missing.any():
        return lead
    there = np.flatnonzero(~missing)
    return np.interp(np.arange(len(lead)), there, lead[there]) if len(there) else np.zeros_like(lead)


def _missing_after(missing: npt.NDArray[np.bool_], ratio: Fraction, length: int) -> npt.NDArray[np.bool_]:
    """Where samples are missing at the new rate: wherever the time of a new sample meets that of a missing one."""
    edges = np.arange(length + 1) * ratio.denominator  # in old samples, times the numerator
    first, last = edges[:-1] // ratio.numerator, -(-edges[1:] // ratio.numerator)
    missing_before = np.concatenate([[0], np.cumsum(missing)])
    return np.asarray(missing_before[np.minimum(last, len(missing))] > missing_before[first])
