"""The two scalings, recording by recording."""

import numpy as np

from ecg_advmask.data.scaling import scale_to_unit, standardise

BATCH = np.random.default_rng(0).normal(3.0, 5.0, size=(4, 250, 12)).astype(np.float32)


def test_standardised_recordings_have_mean_zero_and_deviation_one() -> None:
    for recording, scaled in zip(BATCH, np.asarray(standardise(BATCH)), strict=True):
        np.testing.assert_allclose(scaled, (recording - recording.mean()) / recording.std(), atol=1e-5)


def test_unit_scaled_recordings_span_zero_to_one() -> None:
    for recording, scaled in zip(BATCH, np.asarray(scale_to_unit(BATCH)), strict=True):
        expected = (recording - recording.min()) / (recording.max() - recording.min())
        np.testing.assert_allclose(scaled, expected, atol=1e-6)


def test_one_recording_does_not_change_another() -> None:
    loud = BATCH.copy()
    loud[0] *= 100
    for scaling in (standardise, scale_to_unit):
        np.testing.assert_array_equal(np.asarray(scaling(loud))[1:], np.asarray(scaling(BATCH))[1:])


def test_unit_scaling_forgets_offset_and_gain() -> None:
    np.testing.assert_allclose(scale_to_unit(standardise(BATCH)), scale_to_unit(BATCH), atol=1e-5)


def test_a_constant_recording_becomes_zeros() -> None:
    """Up to the rounding of its mean."""
    for scaling in (standardise, scale_to_unit):
        np.testing.assert_allclose(scaling(np.full((1, 250, 12), 0.7, np.float32)), 0, atol=1e-2)
