"""Additive noise on standardised signals, drawn anew for every recording of a batch."""

from typing import Any

import keras
from keras import ops


def gaussian(signals: Any, seed: keras.random.SeedGenerator, sampling_rate_hz: float) -> Any:  # noqa: ARG001
    """White noise of deviation 0.1 on every sample and lead; ``(B, L, 12)`` in standardised units."""
    return signals + keras.random.normal(ops.shape(signals), stddev=0.1, dtype=signals.dtype, seed=seed)
