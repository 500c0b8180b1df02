"""Additive noise on standardised signals, drawn independently for every recording of a batch.

Every function takes and returns ``(B, L, 12)`` signals in standardised units and keeps their type. A parameter called
``maximum`` bounds the absolute value of what is added to any sample. The kinds of noise are those of Bo et al. 2022,
whose published code adapts them from fairseq-signals. There, too, noise is added to standardised signals, so amplitudes
are in the same unit, but the default amplitudes here are ours: docs/fidelity.md sets the two side by side. Functions
called ``published_...`` add the noise of that code, amplitudes included; they have no bound.
"""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from ecg_advmask.augment import draws
from ecg_advmask.augment.masks import block
from ecg_advmask.augment.parameters import Amplitude, Hertz, MainsHertz, Seconds, Share
from ecg_advmask.errors import InputError

_WANDERING_COSINES = 3


def gaussian(
    signals: Any,
    seed: keras.random.SeedGenerator,
    sampling_rate_hz: float,  # noqa: ARG001
    *,
    deviation: Amplitude = 0.1,
) -> Any:
    """White Gaussian noise of this deviation on every sample and lead; it is not clipped, so it has no maximum."""
    return _add(signals, deviation * draws.normal(ops.shape(signals), seed))


def baseline_wander(
    signals: Any,
    seed: keras.random.SeedGenerator,
    sampling_rate_hz: float,
    *,
    maximum: Amplitude = 1.0,
    lowest_hz: Hertz = 0.01,
    highest_hz: Hertz = 0.2,
) -> Any:
    """The slow drift of respiration and of electrodes: three cosines, the same in all leads but for their amplitude.

    Each cosine has a frequency uniform between ``lowest_hz`` and ``highest_hz``, a uniform phase, and an amplitude
    uniform up to a third of ``maximum``; each lead takes a uniform part, 0 to 1, of their sum. Number of cosines and
    frequencies are those of the published code of Bo et al. 2022.

    Raises:
        InputError: ``lowest_hz`` is above ``highest_hz``.
    """
    if lowest_hz > highest_hz:
        raise InputError(
            f"baseline_wander: lowest_hz = {lowest_hz:g} is above highest_hz = {highest_hz:g}; exchange them"
        )
    recordings, samples, leads = ops.shape(signals)[0], signals.shape[1], ops.shape(signals)[2]
    cosines = (recordings, 1, _WANDERING_COSINES)
    wander = _wander(
        draws.uniform(cosines, seed, lowest_hz, highest_hz) if lowest_hz < highest_hz else ops.full(cosines, lowest_hz),
        draws.uniform(cosines, seed, 0, 2 * math.pi),
        draws.uniform(cosines, seed) * (maximum / _WANDERING_COSINES),
        draws.uniform((recordings, 1, leads), seed),
        np.arange(samples) / sampling_rate_hz,
    )
    return _add(signals, wander)


def baseline_shift(
    signals: Any,
    seed: keras.random.SeedGenerator,
    sampling_rate_hz: float,
    *,
    maximum: Amplitude = 1.0,
    seconds: Seconds = 2.0,
) -> Any:
    """A sudden displacement, as by a moved electrode, that ends after ``seconds``, or with a shorter window.

    It starts at one uniform place for all leads; each lead is moved by its own uniform amount between -``maximum`` and
    ``maximum``. Two seconds of ten are the share of the published code of Bo et al. 2022.
    """
    recordings, samples, leads = ops.shape(signals)[0], signals.shape[1], ops.shape(signals)[2]
    length = min(samples, max(1, round(seconds * sampling_rate_hz)))
    start = draws.whole((recordings, 1, 1), seed, samples - length + 1)
    amplitude = maximum * draws.uniform((recordings, 1, leads), seed, -1, 1)
    return _add(signals, _shift(start, length, amplitude, samples))


def powerline(
    signals: Any,
    seed: keras.random.SeedGenerator,
    sampling_rate_hz: float,
    *,
    maximum: Amplitude = 0.5,
    frequency_hz: MainsHertz = None,
) -> Any:
    """Hum of the mains: one sinusoid of uniform phase, the same in all leads, of amplitude uniform up to ``maximum``.

    By default each recording hums at 50 or at 60 Hz with equal chance, as in the published code of Bo et al. 2022, but
    not at what exceeds half the sampling rate: no properly sampled recording holds it.

    Raises:
        InputError: the frequency, or both 50 and 60 Hz, exceed half the sampling rate.
    """
    wanted = (50.0, 60.0) if frequency_hz is None else (frequency_hz,)
    frequencies_hz = np.array([frequency for frequency in wanted if frequency <= sampling_rate_hz / 2])
    if not frequencies_hz.size:
        raise InputError(
            f"powerline: {min(wanted):g} Hz cannot be in signals sampled at {sampling_rate_hz:g} Hz; "
            f"take frequency_hz up to {sampling_rate_hz / 2:g}"
        )
    recordings, samples = ops.shape(signals)[0], signals.shape[1]
    hum = _hum(
        draws.whole((recordings,), seed, len(frequencies_hz)),
        draws.uniform((recordings, 1), seed, 0, 2 * math.pi),
        maximum * draws.uniform((recordings, 1), seed),
        2 * np.pi * frequencies_hz[:, None] * np.arange(samples) / sampling_rate_hz,
    )
    return _add(signals, hum)


def emg(
    signals: Any,
    seed: keras.random.SeedGenerator,
    sampling_rate_hz: float,
    *,
    maximum: Amplitude = 0.5,
    lowest_hz: Hertz = 20.0,
    highest_hz: Hertz = 150.0,
) -> Any:
    """Noise of muscles: a flat spectrum of random phases between two frequencies, independent in every lead.

    The largest absolute value in each lead is uniform up to ``maximum``. Frequencies above half the sampling rate are
    left out. The published code of Bo et al. 2022 has white Gaussian noise with an amplitude of each lead instead; the
    band is ours: movement rules below 20 Hz, and muscles are strongest at 50 to 150 Hz (De Luca 2002, Surface
    electromyography: detection and recording).

    Raises:
        InputError: no frequency of the window is in the band.
    """
    samples = signals.shape[1]
    first = math.ceil(lowest_hz * samples / sampling_rate_hz)
    last = min(math.floor(highest_hz * samples / sampling_rate_hz), (samples - 1) // 2)
    if first > last:
        raise InputError(
            f"emg: no frequency between lowest_hz = {lowest_hz:g} and highest_hz = {highest_hz:g} is in a window of "
            f"{samples} samples at {sampling_rate_hz:g} Hz; lower lowest_hz or raise highest_hz"
        )
    recordings, leads = ops.shape(signals)[0], ops.shape(signals)[2]
    phases = draws.uniform((recordings, leads, last - first + 1), seed, 0, 2 * math.pi)
    return _add(signals, _muscles(phases, maximum * draws.uniform((recordings, leads, 1), seed), first, samples))


# ---- The noise of the published code of Bo et al. 2022, in distribution.

_PUBLISHED_HZ = (0.01, 0.2)


def published_gaussian(
    signals: Any,
    seed: keras.random.SeedGenerator,
    sampling_rate_hz: float,  # noqa: ARG001
    *,
    deviation: Amplitude = 0.05,
) -> Any:
    """White Gaussian noise of this deviation, one vector of it for all leads."""
    recordings, samples = ops.shape(signals)[0], signals.shape[1]
    return _add(signals, deviation * draws.normal((recordings, samples, 1), seed))


def published_wander(
    signals: Any, seed: keras.random.SeedGenerator, sampling_rate_hz: float, *, amplitude: Amplitude = 0.5
) -> Any:
    """Three cosines between 0.01 and 0.2 Hz, each of an amplitude uniform up to ``amplitude``, in all leads.

    Each lead multiplies their sum with a number of its own, normal with mean 1 and deviation 0.5.
    """
    recordings, samples, leads = ops.shape(signals)[0], signals.shape[1], ops.shape(signals)[2]
    cosines = (recordings, 1, _WANDERING_COSINES)
    wander = _wander(
        draws.uniform(cosines, seed, *_PUBLISHED_HZ),
        draws.uniform(cosines, seed, 0, 2 * math.pi),
        amplitude * draws.uniform(cosines, seed),
        1 + 0.5 * draws.normal((recordings, 1, leads), seed),
        np.arange(samples) / sampling_rate_hz,
    )
    return _add(signals, wander)


def published_shift(
    signals: Any,
    seed: keras.random.SeedGenerator,
    sampling_rate_hz: float,  # noqa: ARG001
    *,
    spread: Amplitude = 0.25,
    share: Share = 0.2,
) -> Any:
    """A displacement of each lead by +1 or -1, with equal chance, less one number uniform up to ``spread`` for all.

    It takes a stretch at a uniform place, the same in all leads, whose length is normal: ``share`` of the window
    (0 to 0.9), with a fifth of that as deviation, at least one sample and at most the window.
    """
    recordings, samples, leads = ops.shape(signals)[0], signals.shape[1], ops.shape(signals)[2]
    length = share * samples * (1 + 0.2 * draws.normal((recordings, 1, 1), seed))
    length = ops.cast(ops.floor(ops.clip(length, 1.0, float(samples))), "int32")
    room = ops.cast(samples - length + 1, "float32")
    start = ops.cast(ops.floor(draws.uniform((recordings, 1, 1), seed) * room), "int32")
    sign = 2.0 * ops.cast(draws.whole((recordings, 1, leads), seed, 2), "float32") - 1.0
    return _add(signals, _shift(start, length, sign - spread * draws.uniform((recordings, 1, 1), seed), samples))


def published_emg(
    signals: Any,
    seed: keras.random.SeedGenerator,
    sampling_rate_hz: float,  # noqa: ARG001
    *,
    deviation: Amplitude = 0.1,
) -> Any:
    """White Gaussian noise, independent in every lead, whose deviation is uniform up to ``deviation`` in each."""
    recordings, leads = ops.shape(signals)[0], ops.shape(signals)[2]
    size = deviation * draws.uniform((recordings, 1, leads), seed)
    return _add(signals, size * draws.normal(ops.shape(signals), seed))


def _add(signals: Any, noise: Any) -> Any:
    return signals + ops.cast(noise, signals.dtype)


def _wander(frequencies_hz: Any, phases: Any, amplitudes: Any, gains: Any, time_s: Any) -> Any:
    """(B, L, 12) from the cosines' (B, 1, K) frequencies, phases and amplitudes, and the leads' (B, 1, 12) gains."""
    time_s = ops.reshape(ops.convert_to_tensor(time_s, "float32"), (1, -1, 1))
    cosines = amplitudes * ops.cos(2 * math.pi * frequencies_hz * time_s + phases)
    return ops.sum(cosines, axis=2, keepdims=True) * gains


def _shift(start: Any, length: Any, amplitude: Any, samples: int) -> Any:
    """(B, L, 12): ``amplitude`` (B, 1, 12) from ``start`` (B, 1, 1) on for ``length`` samples, zero elsewhere."""
    return ops.cast(block(start, length, samples), "float32") * amplitude


def _hum(choice: Any, phases: Any, amplitudes: Any, angles: Any) -> Any:
    """(B, L, 1) sinusoids: the chosen (B,) rows of ``angles`` (F, L), with (B, 1) phases and amplitudes.

    By addition of angles: the float32 of a large angle plus a phase would be off by 1e-4.
    """
    cosines, sines = (
        ops.take(ops.convert_to_tensor(function(angles), "float32"), choice, axis=0) for function in (np.cos, np.sin)
    )
    return ops.expand_dims(amplitudes * (ops.cos(phases) * cosines - ops.sin(phases) * sines), 2)


def _muscles(phases: Any, amplitudes: Any, first: int, samples: int) -> Any:
    """(B, L, 12) of (B, 12, 1) amplitude: cosines of (B, 12, K) phases, ``first``, ``first`` + 1, ... to a window."""
    around = ((0, 0), (0, 0), (first, samples // 2 + 1 - first - phases.shape[2]))
    spectrum = tuple(ops.pad(part, around) for part in (ops.cos(phases), ops.sin(phases)))
    noise = ops.irfft(spectrum, fft_length=samples)
    return ops.transpose(amplitudes * noise / ops.max(ops.abs(noise), axis=2, keepdims=True), (0, 2, 1))
