"""Random occlusion of standardised signals in time and frequency, by a short-time Fourier transform and its inverse.

The transform is computed from real Fourier transforms of frames, so that both directions are exact up to the
window's edges, compile under XLA, and cut frames without gathering or scattering.
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from ecg_advmask.augment import draws
from ecg_advmask.augment.parameters import Seconds, Share


def spectral_mask(
    signals: Any,
    seed: keras.random.SeedGenerator,
    sampling_rate_hz: float,
    *,
    share: Share = 0.2,
    seconds: Seconds = 1.0,
) -> Any:
    """Remove this share (0 to 0.9) of the bins of each lead's short-time spectrum, each bin with that probability.

    Frames are ``seconds`` long and overlap by half; bins are 1 / ``seconds`` Hz wide. ``(B, L, 12)`` in, the same
    out, in the same type; computed in float32. The published code of Bo et al. 2022 weights every bin with a number
    from Beta(5, 2) instead, in frames of two seconds; whole bins, as a mask has them, and the defaults are ours.
    """
    samples = signals.shape[1]
    hop = max(1, round(seconds * sampling_rate_hz / 2))
    real, imaginary = short_time_spectrum(ops.cast(signals, "float32"), hop)
    kept = draws.uniform(ops.shape(real), seed) >= share
    return ops.cast(_masked(real, imaginary, kept, hop, samples), signals.dtype)


def short_time_spectrum(signals: Any, hop: int) -> tuple[Any, Any]:
    """Real and imaginary part of the short-time Fourier transform, ``(B, L, C) -> (B, C, frames, hop + 1)``.

    Frames of ``2 * hop`` samples begin every ``hop`` samples, from ``hop`` before the first sample on, under a sine
    window; samples outside the signals are zero. float32.
    """
    recordings, samples, leads = ops.shape(signals)[0], signals.shape[1], signals.shape[2]
    hops = -(-samples // hop)
    padded = ops.pad(ops.transpose(signals, (0, 2, 1)), ((0, 0), (0, 0), (hop, (hops + 1) * hop - samples)))
    pieces = ops.reshape(padded, (recordings, leads, hops + 2, hop))
    frames = ops.concatenate([pieces[:, :, :-1], pieces[:, :, 1:]], axis=3)
    real, imaginary = ops.rfft(frames * _window(hop))
    return real, imaginary


def from_short_time_spectrum(real: Any, imaginary: Any, hop: int, samples: int) -> Any:
    """The inverse of `short_time_spectrum`, ``(B, C, frames, hop + 1) -> (B, samples, C)``.

    The squared sine windows of two frames that overlap add up to one.
    """
    frames = ops.irfft((real, imaginary), fft_length=2 * hop) * _window(hop)
    pieces = frames[:, :, :-1, hop:] + frames[:, :, 1:, :hop]
    recordings, leads, hops, _ = ops.shape(pieces)
    joined = ops.reshape(pieces, (recordings, leads, hops * hop))
    return ops.transpose(joined[:, :, :samples], (0, 2, 1))


def frame_means(signals: Any, hop: int) -> Any:
    """Mean over the samples of each frame of `short_time_spectrum`, ``(B, L, C) -> (B, frames, C)``.

    Samples outside the signals do not count.
    """
    samples, channels = signals.shape[1:]
    hops = -(-samples // hop)
    padded = ops.pad(signals, ((0, 0), (0, hops * hop - samples), (0, 0)))
    sums = ops.sum(ops.reshape(padded, (-1, hops, hop, channels)), axis=2)
    sums = ops.pad(sums, ((0, 0), (1, 1), (0, 0)))
    counts = np.diff(np.clip(hop * np.arange(-1, hops + 2), 0, samples))
    return (sums[:, :-1] + sums[:, 1:]) / (counts[:-1] + counts[1:])[:, None].astype(np.float32)


def _masked(real: Any, imaginary: Any, kept: Any, hop: int, samples: int) -> Any:
    """Signals (B, L, C) from the bins that are ``kept`` (B, C, frames, bins)."""
    kept = ops.cast(kept, real.dtype)
    return from_short_time_spectrum(real * kept, imaginary * kept, hop, samples)


def _window(hop: int) -> Any:
    return ops.convert_to_tensor(np.sin(np.pi * (np.arange(2 * hop) + 0.5) / (2 * hop)), "float32")
