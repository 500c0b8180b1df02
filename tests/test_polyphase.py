"""Resampling in NumPy against SciPy's."""

import numpy as np
import pytest
import scipy.signal

from ecg_advmask.polyphase import resample_poly


@pytest.mark.parametrize(
    ("up", "down"), [(1, 5), (1, 2), (2, 1), (5, 1), (2, 5), (5, 2), (25, 18), (18, 25), (500, 257), (257, 500)]
)
@pytest.mark.parametrize("samples", [1, 2, 7, 400, 1001])
def test_same_as_scipy(up: int, down: int, samples: int) -> None:
    signals = np.random.default_rng(samples).normal(size=(samples, 3))
    expected = scipy.signal.resample_poly(signals, up, down, axis=0)
    found = resample_poly(signals, up, down)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_slow_wave_is_kept_and_fast_wave_is_taken_out() -> None:
    """From 500 to 100 Hz, away from the ends: 5 Hz passes, 80 Hz does not come back as 20 Hz."""
    time_s = np.arange(2000) / 500
    slow, fast = np.sin(2 * np.pi * 5 * time_s), np.sin(2 * np.pi * 80 * time_s)
    found = resample_poly(np.column_stack([slow, fast]), 1, 5)[50:-50]
    np.testing.assert_allclose(found[:, 0], slow[::5][50:-50], atol=2e-3)
    assert np.abs(found[:, 1]).max() < 0.01
