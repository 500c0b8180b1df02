"""Resampling by a rational factor in NumPy alone: ``scipy.signal`` takes longer to import than a recording to embed."""

import math

import numpy as np
import numpy.typing as npt

_ZERO_CROSSINGS = 10
_KAISER_BETA = 5.0


def resample_poly(signals: npt.NDArray[np.float64], up: int, down: int) -> npt.NDArray[np.float64]:
    """Resample along the first axis by ``up / down``, with zeros assumed beyond the ends.

    The anti-aliasing filter is a sinc with ten zero crossings on each side under a Kaiser window of beta 5, of gain 1
    at zero frequency: filter and result are those of ``scipy.signal.resample_poly`` with its defaults.

    Args:
        signals: (T, ...) float64.
        up, down: positive, without a common factor.

    Returns:
        (ceil(T * up / down), ...) float64.
    """
    widest = max(up, down)
    half = _ZERO_CROSSINGS * widest
    offsets = np.arange(-half, half + 1)
    taps = np.sinc(offsets / widest) * np.kaiser(len(offsets), _KAISER_BETA)
    taps *= up / taps.sum()

    resampled = np.zeros((math.ceil(len(signals) * up / down), *signals.shape[1:]))
    reach = half // up + 1
    padded = np.pad(signals, [(reach, reach), *[(0, 0)] * (signals.ndim - 1)])
    for first in range(min(up, len(resampled))):  # outputs first, first + up, first + 2 up ... weigh alike
        outputs = resampled[first::up]
        nearest, phase = divmod(first * down, up)
        for step in range(-reach, reach + 1):  # inputs before and after the nearest one
            tap = half + phase - step * up
            if 0 <= tap < len(taps):
                start = nearest + step + reach
                inputs = padded[start : start + (len(outputs) - 1) * down + 1 : down]
                outputs += taps[tap] * inputs
    return resampled
