"""The spatial augmentation of 3KG: the heart's electrical vector is rotated and scaled, and seen by the leads again.

Gopal et al. 2021 (ML4H, PMLR 158): the vectorcardiogram comes from the eight independent leads by the inverse Dower
transform, and goes back to them by its pseudo-inverse, which is Dower's matrix; the other four follow from I and II.
"""

from typing import Any, Final

import keras
import numpy as np
from keras import ops

from ecg_advmask.augment import draws
from ecg_advmask.augment.parameters import Degrees, Factor
from ecg_advmask.ecg.leads import DOWER, eight_from_twelve

INVERSE_DOWER: Final = np.linalg.pinv(DOWER)
"""(3, 8): heart vector from the independent leads; the table of Edenbrandt and Pahlm 1988 (J Electrocardiol 21:361-367)
but for its rounding."""

_HEART_VECTOR: Final = eight_from_twelve(np.eye(12)) @ INVERSE_DOWER.T
"""(12, 3), to multiply twelve leads with: the four that depend on others count for nothing."""

_COMMON_OFFSET: Final = np.array([1, -1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0]) / 4
"""(12,): I - II + III and aVR + aVL + aVF are zero, so this mean shows a number that was added to all leads."""


def vcg(
    signals: Any,
    seed: keras.random.SeedGenerator,
    sampling_rate_hz: float,  # noqa: ARG001
    *,
    angle_degrees: Degrees = 45.0,
    scale: Factor = 1.5,
) -> Any:
    """Rotate the heart vector by Euler angles within ±``angle_degrees``, then stretch each axis by 1 to ``scale``.

    Args:
        signals: ``(B, L, 12)``, standardised or in millivolts; computed in float32.
        seed: where the angles and factors come from, three of each for every recording.
        sampling_rate_hz: not used.
        angle_degrees: largest angle about each of the axes z, y and x, in this order, in degrees (0 to 180); uniform.
        scale: largest factor of each axis (1 to 10); uniform.

    Returns:
        ``(B, L, 12)`` of the same type: what is left of the recording is the part that a dipole explains, so even zero
        angle and unit scale change it. Limb leads obey Einthoven and Goldberger. Defaults as in the paper.

    Standardisation takes one number away from all leads, after which III is no longer II - I. That number shows in the
    limb leads (it is minus the mean of I - II + III, and likewise of aVR + aVL + aVF, three times), and is added before
    the transform: a standardised recording becomes what its millivolts would become, but for their unit.
    """
    recordings = ops.shape(signals)[0]
    angles = np.deg2rad(angle_degrees) * draws.uniform((recordings, 3), seed, -1, 1)
    factors = 1 + (scale - 1) * draws.uniform((recordings, 3), seed)
    return ops.cast(_moved(ops.cast(signals, "float32"), _rotations(angles), factors), signals.dtype)


def _moved(signals: Any, rotations: Any, factors: Any) -> Any:
    """Twelve leads (B, L, 12) of the heart vector rotated by (B, 3, 3) matrices, then stretched by (B, 3) factors."""
    common = ops.matmul(ops.mean(signals, axis=1, keepdims=True), _constant(_COMMON_OFFSET[:, None]))
    heart_vector = ops.matmul(signals - common, _constant(_HEART_VECTOR))
    moved = ops.matmul(heart_vector, ops.transpose(rotations, (0, 2, 1))) * ops.expand_dims(factors, 1)
    leads = ops.matmul(moved, _constant(DOWER.T))
    i, ii = leads[..., 0:1], leads[..., 1:2]
    return ops.concatenate([i, ii, ii - i, -(i + ii) / 2, i - ii / 2, ii - i / 2, leads[..., 2:]], axis=2)


def _rotations(angles: Any) -> Any:
    """(B, 3, 3) matrices Rx(c) Ry(b) Rz(a) of angles (B, 3) = (a, b, c), in radians."""
    (sin_a, sin_b, sin_c), (cos_a, cos_b, cos_c) = (
        ops.unstack(function(angles), 3, axis=1) for function in (ops.sin, ops.cos)
    )
    rows = [
        [cos_b * cos_a, -cos_b * sin_a, sin_b],
        [cos_c * sin_a + sin_c * sin_b * cos_a, cos_c * cos_a - sin_c * sin_b * sin_a, -sin_c * cos_b],
        [sin_c * sin_a - cos_c * sin_b * cos_a, sin_c * cos_a + cos_c * sin_b * sin_a, cos_c * cos_b],
    ]
    return ops.stack([ops.stack(row, axis=1) for row in rows], axis=1)


def _constant(matrix: Any) -> Any:
    return ops.convert_to_tensor(matrix, "float32")
