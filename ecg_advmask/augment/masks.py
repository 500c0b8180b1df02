"""Random occlusion of standardised signals in time: what the learnt masks are compared with.

An occluded sample takes the recording's minimum over time and leads, which is the 0 of the scaled view: the same value
that a learnt mask leaves behind. Only 3KG's time mask leaves zeros, as its authors do.

Every function takes and returns ``(B, L, 12)`` signals and keeps their type. Random, block and lead masks with their
shares are those of the code that Bo et al. 2022 published. There blocks wrap around the window's end; samples and
blocks become 0 in standardised units, the recording's mean, and only leads become the 0 of the scaled view.
"""

from typing import Any

import keras
from keras import ops

from ecg_advmask.augment import draws
from ecg_advmask.augment.parameters import Probability, Share


def random_mask(
    signals: Any,
    seed: keras.random.SeedGenerator,
    sampling_rate_hz: float,  # noqa: ARG001
    *,
    probability: Probability = 0.2,
) -> Any:
    """Occlude single samples, each of each lead with this probability (0 to 1), whatever its neighbours."""
    return occlude(signals, draws.uniform(ops.shape(signals), seed) < probability)


def block_mask(
    signals: Any,
    seed: keras.random.SeedGenerator,
    sampling_rate_hz: float,  # noqa: ARG001
    *,
    share: Share = 0.2,
) -> Any:
    """Occlude one block of each lead, this share of the window long (0 to 0.9), each at its own uniform place."""
    return _occlude_blocks(signals, ops.shape(signals)[2], seed, share)


def sync_block_mask(
    signals: Any,
    seed: keras.random.SeedGenerator,
    sampling_rate_hz: float,  # noqa: ARG001
    *,
    share: Share = 0.2,
) -> Any:
    """Occlude one block, this share of the window long (0 to 0.9), at the same uniform place in all leads."""
    return _occlude_blocks(signals, 1, seed, share)


def lead_mask(
    signals: Any,
    seed: keras.random.SeedGenerator,
    sampling_rate_hz: float,  # noqa: ARG001
    *,
    probability: Probability = 0.5,
) -> Any:
    """Occlude whole leads, each with this probability (0 to 1), but never all of a recording: one is spared then."""
    recordings, _, leads = ops.shape(signals)
    return occlude(signals, _leads(draws.uniform((recordings, 1, leads), seed), probability))


def peak_mask(
    signals: Any,
    seed: keras.random.SeedGenerator,
    sampling_rate_hz: float,  # noqa: ARG001
    *,
    share: Share = 0.2,
    peak_probability: Probability = 0.5,
) -> Any:
    """Occlude by amplitude: the moments where it is largest, or else those where it is smallest, in all leads.

    Amplitude is the mean over leads of the distance from each lead's own mean. With ``peak_probability`` (0 to 1) the
    highest ``share`` of the moments (0 to 0.9) is occluded, otherwise the lowest. Moments as extreme as the first that
    stays stay, too, so that no more than the share is lost.

    The published code of Bo et al. 2022 occludes, with equal chance, the moments where the average of the leads is
    above or below the recording's mean. The distance and the share are ours: leads of opposite sign do not cancel, and
    the area is that of the other masks.
    """
    peaks = draws.uniform((ops.shape(signals)[0], 1), seed) < peak_probability
    return occlude(signals, _extremes(signals, peaks, round(share * signals.shape[1])))


def time_mask(
    signals: Any,
    seed: keras.random.SeedGenerator,
    sampling_rate_hz: float,  # noqa: ARG001
    *,
    share: Share = 0.5,
) -> Any:
    """Set one stretch of each lead to zero, this share of the window long (0 to 0.9), each at its own uniform place.

    A stretch that begins near the end continues at the beginning, so that every sample is as likely to be lost. This is
    the temporal augmentation of 3KG (Gopal et al. 2021) as fairseq-signals has it, default included.
    """
    recordings, samples, leads = ops.shape(signals)[0], signals.shape[1], ops.shape(signals)[2]
    start = draws.whole((recordings, 1, leads), seed, samples)
    return ops.where(_wrapped(start, round(share * samples), samples), ops.zeros_like(signals), signals)


def occlude(signals: Any, occluded: Any) -> Any:
    """The signals ``(B, L, 12)`` with the recording's minimum where ``occluded`` (booleans that broadcast) says so."""
    return ops.where(occluded, ops.min(signals, axis=(1, 2), keepdims=True), signals)


def block(start: Any, length: Any, samples: int) -> Any:
    """True from ``start`` (B, 1, P) for ``length`` samples, one number or (B, 1, P), ``(B, samples, P)``."""
    time = ops.reshape(ops.arange(samples, dtype="int32"), (1, -1, 1))
    return ops.logical_and(time >= start, time < start + length)


def _occlude_blocks(signals: Any, places: int, seed: keras.random.SeedGenerator, share: float) -> Any:
    recordings, samples = ops.shape(signals)[0], signals.shape[1]
    length = round(share * samples)
    start = draws.whole((recordings, 1, places), seed, samples - length + 1)
    return occlude(signals, block(start, length, samples))


def _wrapped(start: Any, length: int, samples: int) -> Any:
    """True from ``start`` (B, 1, P) for ``length`` samples, going round at the end, ``(B, samples, P)``."""
    return ops.logical_or(block(start, length, samples), block(start - samples, length, samples))


def _leads(chance: Any, probability: float) -> Any:
    """Leads whose number (B, 1, 12) is below ``probability``, without the highest of them if these are all."""
    return chance < ops.minimum(ops.max(chance, axis=2, keepdims=True), probability)


def _extremes(signals: Any, peaks: Any, count: int) -> Any:
    """The ``count`` moments of largest amplitude where ``peaks`` (B, 1), otherwise of smallest, ``(B, L, 1)``."""
    centred = ops.cast(signals, "float32")
    centred = centred - ops.mean(centred, axis=1, keepdims=True)
    amplitude = ops.mean(ops.abs(centred), axis=2)
    score = ops.where(peaks, amplitude, -amplitude)
    edge = ops.sort(score, axis=1)[:, signals.shape[1] - count - 1]
    return ops.expand_dims(score > ops.expand_dims(edge, 1), 2)
