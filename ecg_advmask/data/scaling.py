"""The two scalings of a batch of recordings, each recording by its own statistics over time and leads together.

Both take and return ``(B, L, C)`` arrays. Lead amplitudes stay comparable within a recording, and no recording is
scaled by another one's values.
"""

from typing import Any

from keras import ops

SMALLEST_SPREAD = 1e-4
"""What constant recordings are divided by, instead of by zero."""


def standardise(signals: Any) -> Any:
    """Zero mean and unit deviation per recording, over time and all leads; a constant recording becomes zeros."""
    centred = signals - ops.mean(signals, axis=(1, 2), keepdims=True)
    deviation = ops.sqrt(ops.mean(ops.square(centred), axis=(1, 2), keepdims=True))
    return centred / ops.maximum(deviation, SMALLEST_SPREAD)


def scale_to_unit(signals: Any) -> Any:
    """Minimum 0 and maximum 1 per recording, over time and all leads; a constant recording becomes zeros.

    Not changed by an affine change of the input, so millivolts and standardised signals give the same result.
    """
    smallest = ops.min(signals, axis=(1, 2), keepdims=True)
    spread = ops.max(signals, axis=(1, 2), keepdims=True) - smallest
    return (signals - smallest) / ops.maximum(spread, SMALLEST_SPREAD)
