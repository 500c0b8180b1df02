"""Random occlusion of standardised signals: what the learnt masks are compared with.

An occluded sample takes the recording's minimum over time and leads, which is the 0 of the scaled view: the same value
that a learnt mask leaves behind.
"""

from typing import Any

import keras
from keras import ops

_BLOCK_SHARE = 0.2


def block_mask(signals: Any, seed: keras.random.SeedGenerator, sampling_rate_hz: float) -> Any:  # noqa: ARG001
    """Occlude one block of 20 % of the window in each lead, each at its own uniform place; ``(B, L, 12)``."""
    return _occlude_blocks(signals, ops.shape(signals)[2], seed)


def sync_block_mask(signals: Any, seed: keras.random.SeedGenerator, sampling_rate_hz: float) -> Any:  # noqa: ARG001
    """Occlude one block of 20 % of the window, the same in all leads of a recording; ``(B, L, 12)``."""
    return _occlude_blocks(signals, 1, seed)


def _occlude_blocks(signals: Any, places: int, seed: keras.random.SeedGenerator) -> Any:
    recordings, samples = ops.shape(signals)[0], signals.shape[1]
    length = round(_BLOCK_SHARE * samples)
    start = keras.random.randint((recordings, 1, places), 0, samples - length + 1, seed=seed)
    time = ops.reshape(ops.arange(samples, dtype="int32"), (1, -1, 1))
    occluded = ops.logical_and(time >= start, time < start + length)
    return ops.where(occluded, ops.min(signals, axis=(1, 2), keepdims=True), signals)
