"""From a recording to the windows of a network: resampled, cut one after the other, checked, padded if short.

Making a data set and embedding new recordings go through the same function here, `cut`.
"""

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ecg_advmask.ecg.quality import ALWAYS_REFUSED, CHECKS, REFUSED, Span
from ecg_advmask.ecg.recording import Recording
from ecg_advmask.ecg.signals import FloatSignals, resample, resampling_ratio
from ecg_advmask.ecg.units import millivolts
from ecg_advmask.errors import InputError

_SAMPLES_LOOKED_AT: Final = 100_000

SHORTEST_ZEROS_S: Final = 0.1
"""Seconds at an end of a recording in which all leads are exactly 0: from here on they are padding and cut off."""


@dataclass(frozen=True)
class Windowing:
    """How recordings become windows.

    Attributes:
        sampling_rate_hz: rate of the windows.
        window_samples: samples in a window, at that rate.
        shortest_samples: a recording shorter than a window is padded to one if it has at least this many samples, at
            the rate of the windows; None refuses all that are shorter than a window.
        most_windows: windows kept of one recording at most; None keeps all that pass.
        refuse: names of the checks (`ecg_advmask.ecg.quality.CHECKS`) that refuse a window; `ALWAYS_REFUSED` do so
            in any case, and what other checks find is reported.

    Raises:
        InputError: a number is out of range, or no check has such a name.
    """

    sampling_rate_hz: float
    window_samples: int
    shortest_samples: int | None = None
    most_windows: int | None = None
    refuse: tuple[str, ...] = REFUSED

    def __post_init__(self) -> None:
        if self.window_samples < 1:
            raise InputError(f"window: {self.window_samples} samples, must be at least 1")
        if self.shortest_samples is not None and not 1 <= self.shortest_samples <= self.window_samples:
            raise InputError(
                f"shortest recording: {self.shortest_samples} samples, must be 1 to {self.window_samples}, a window"
            )
        if self.most_windows is not None and self.most_windows < 1:
            raise InputError(f"windows per recording: {self.most_windows}, must be at least 1")
        unknown = [name for name in self.refuse if name not in CHECKS]
        if unknown:
            raise InputError(f"no check is named {', '.join(unknown)}, the checks are {', '.join(CHECKS)}")

    def with_shortest(self, seconds: float) -> "Windowing":
        """The same, with padding of recordings of at least ``seconds``.

        Raises:
            InputError: the seconds are not above 0, or more than a window.
        """
        window_s = self.window_samples / self.sampling_rate_hz
        if not 0 < seconds <= window_s:
            raise InputError(f"least length of {seconds:g} s: must be above 0 and at most a window of {window_s:g} s")
        return replace(self, shortest_samples=max(1, round(seconds * self.sampling_rate_hz)))


@dataclass(frozen=True)
class Window:
    """A piece of a recording that passed every check that refuses.

    ``index`` counts the windows of the recording from 0, refused ones included; ``signals_mv`` is (L, 12) float32;
    the first ``valid_samples`` of it are the recording's own, the others padding; ``reported`` names the checks that it
    fails all the same.
    """

    index: int
    start_s: float
    signals_mv: FloatSignals
    valid_samples: int
    reported: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cut:
    """What became of one recording.

    Its windows; those that were refused (index and reason, "<check>: <sentence>"); the seconds at its end that do not
    fill a window; how many windows passed but are more than the most that were wanted; and the seconds of zeros that
    were cut off at its ends.
    """

    windows: list[Window]
    refused: list[tuple[int, str]]
    trailing_s: float
    beyond_limit: int = 0
    zeros_s: float = 0.0


def cut(signals_mv: FloatSignals, from_hz: float, windowing: Windowing) -> Cut:
    """Bring a recording to a rate, cut it into consecutive windows from its first sample on and check each of them.

    At either end, `SHORTEST_ZEROS_S` or more in which all leads are exactly 0, as CODE-15 % is filled up, are no
    recording and cut off first. A recording shorter than a window is padded at its end, each lead with its own mean, if
    `Windowing.shortest_samples` allows it. If more windows pass than `Windowing.most_windows`, those kept are spread
    evenly over those that pass.

    Args:
        signals_mv: (T, 12) float32, millivolts, NaN where a sample is missing.
        from_hz: the recording's sampling rate.
        windowing: rate and length of the windows, and what is refused.

    Raises:
        InputError: the recording is too short, or a rate makes no sense.
    """
    to_hz, length = windowing.sampling_rate_hz, windowing.window_samples
    step = 1 / resampling_ratio(from_hz, to_hz)
    whole = len(signals_mv)
    first_s, signals_mv = _without_zeros(signals_mv, from_hz)
    zeros_s = (whole - len(signals_mv)) / from_hz
    resampled = resample(signals_mv, from_hz, to_hz)
    least = windowing.shortest_samples or length
    if len(resampled) < least:
        seconds = math.floor(round(100 * len(signals_mv) / from_hz, 6)) / 100
        of_what = "a window" if least == length else "the least"
        cut_off = f" without the {zeros_s:.2f} s of zeros at its ends" if zeros_s else ""
        raise InputError(f"length: {seconds:.2f} s{cut_off}, shorter than {of_what} of {least / to_hz:g} s")
    kept, refused = [], []
    count = max(len(resampled) // length, 1)
    for index in range(count):
        window = resampled[index * length : (index + 1) * length]
        first, last = math.floor(index * length * step), math.ceil((index * length + len(window)) * step)
        own = np.ascontiguousarray(signals_mv[first:last].T)
        found = _failing(Span(own, from_hz, np.ascontiguousarray(window.T)), windowing.refuse)
        if isinstance(found, str):
            refused.append((index, found))
        else:
            kept.append(Window(index, first_s + index * length / to_hz, _padded(window, length), len(window), found))
    most = windowing.most_windows or len(kept)
    chosen = kept if len(kept) <= most else [kept[(2 * place + 1) * len(kept) // (2 * most)] for place in range(most)]
    trailing_s = max(len(signals_mv) / from_hz - count * length / to_hz, 0.0)
    return Cut(chosen, refused, trailing_s, len(kept) - len(chosen), zeros_s)


def _without_zeros(signals_mv: FloatSignals, rate_hz: float) -> tuple[float, FloatSignals]:
    """Where a recording starts, in seconds, and its samples without long zeros at the ends; all, if it is all zeros."""
    count, least = len(signals_mv), max(1, round(SHORTEST_ZEROS_S * rate_hz))
    if signals_mv[:least].any() and signals_mv[-least:].any():
        return 0.0, signals_mv
    held = np.flatnonzero(signals_mv.any(axis=1))
    if not len(held):
        return 0.0, signals_mv
    first = int(held[0]) if held[0] >= least else 0
    last = int(held[-1]) + 1 if count - 1 - held[-1] >= least else count
    return first / rate_hz, signals_mv[first:last]


def refusal(recording: Recording, pieces: Cut) -> str:
    """Why no window of a recording could be kept: the reason of the first.

    Amplitudes beyond any heart's, in a file that states no unit and was taken in millivolts, are mostly microvolts.
    That is said where the samples are whole numbers, or most of them are too large.
    """
    _, reason = pieces.refused[0]
    if not reason.startswith("amplitude:") or millivolts(recording.assumed_unit) != 1:
        return reason
    some = recording.signals_mv[:_SAMPLES_LOOKED_AT]
    some = some[np.isfinite(some)]
    are_whole = bool((some == np.rint(some)).all())
    if are_whole or np.median(np.abs(some)) > CHECKS["amplitude"].threshold:
        return f"{reason}; if these are microvolts, give --source-unit uV"
    return reason


def _failing(span: Span, refuse: tuple[str, ...]) -> str | tuple[str, ...]:
    """The reason to refuse a window; or, if there is none, the names of the other checks that it fails."""
    refusing = {*refuse, *ALWAYS_REFUSED}
    for name, check in CHECKS.items():
        if name in refusing and (sentences := check.find(span)):
            return f"{name}: {sentences[0]}"
    return tuple(name for name, check in CHECKS.items() if name not in refusing and check.find(span))


def _padded(window: FloatSignals, length: int) -> FloatSignals:
    """Every lead filled up at its end with its own mean: the padding carries nothing and the mean stays."""
    if len(window) == length:
        return window
    mean = np.mean(window, axis=0, dtype=np.float64).astype(np.float32)
    return np.concatenate([window, np.broadcast_to(mean, (length - len(window), window.shape[1]))])
