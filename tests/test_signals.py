"""Rate, windows and checks: sines and constants whose resampled values are known, and the reasons of each check."""

import hashlib

import numpy as np
import pytest

from ecg_advmask.errors import InputError
from ecg_advmask.leads import STANDARD_LEADS
from ecg_advmask.signals import cut, fault, microvolts, resample, signal_hash, windows


def sines(seconds: float, rate_hz: float, frequency_hz: float) -> np.ndarray:
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    phases = np.arange(12) / 12
    return np.sin(2 * np.pi * (frequency_hz * time_s[:, None] + phases)).astype(np.float32)


def noise_mv(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.2, (samples, 12)).astype(np.float32)


@pytest.mark.parametrize(
    ("from_hz", "to_hz", "frequency_hz"),
    [(500, 100, 5), (500, 100, 35), (1000, 500, 40), (257, 100, 10), (100, 500, 20), (360.5, 500, 25), (1000, 257, 60)],
)
def test_a_sine_in_the_passband_keeps_its_values(from_hz: float, to_hz: float, frequency_hz: float) -> None:
    found = resample(sines(10, from_hz, frequency_hz), from_hz, to_hz)
    assert found.dtype == np.float32
    expected = sines((len(found)) / to_hz, to_hz, frequency_hz)
    middle = slice(round(2 * to_hz), round(8 * to_hz))
    np.testing.assert_allclose(found[middle], expected[middle], atol=0.01)


@pytest.mark.parametrize(("from_hz", "to_hz", "frequency_hz"), [(500, 100, 70), (1000, 500, 320), (257, 100, 65)])
def test_a_sine_above_the_new_nyquist_is_rejected(from_hz: float, to_hz: float, frequency_hz: float) -> None:
    found = resample(sines(10, from_hz, frequency_hz), from_hz, to_hz)
    middle = found[round(2 * to_hz) : round(8 * to_hz)]
    assert np.abs(middle).max() < 0.01  # 40 dB below the amplitude of 1 that decimation alone would leave
    plain = sines(10, from_hz, frequency_hz)[:: round(from_hz / to_hz)]
    assert np.abs(plain).max() > 0.9


def test_equal_rates_return_the_input_itself() -> None:
    signals = noise_mv(700)
    signals[3, 2] = np.nan
    assert resample(signals, 500, 500) is signals


@pytest.mark.parametrize(("from_hz", "to_hz"), [(500, 100), (257, 500), (100, 360)])
def test_constants_and_ramps_are_kept_up_to_the_ends(from_hz: float, to_hz: float) -> None:
    levels = np.linspace(-3, 4, 12)
    slopes = np.linspace(1, -1, 12)  # mV per second
    old_times, found_length = np.arange(1000) / from_hz, -(-1000 * to_hz // from_hz)
    ramps = (levels + slopes * old_times[:, None]).astype(np.float32)
    found = resample(ramps, from_hz, to_hz)
    assert found.shape == (found_length, 12)
    inside = np.arange(found_length) / to_hz <= old_times[-1]
    expected = levels + slopes * (np.arange(found_length) / to_hz)[:, None]
    np.testing.assert_allclose(found[inside], expected[inside], atol=2e-6)
    constant = np.broadcast_to(levels.astype(np.float32), (1000, 12))
    np.testing.assert_allclose(resample(constant, from_hz, to_hz), constant[:1].repeat(found_length, 0), atol=1e-6)


def test_missing_samples_stay_missing_and_harm_no_others() -> None:
    whole = sines(10, 500, 3)
    gaps = whole.copy()
    gaps[1000:1003, 4] = np.nan
    gaps[:, 7] = np.nan
    found, expected = resample(gaps, 500, 100), resample(whole, 500, 100)
    assert np.flatnonzero(np.isnan(found[:, 4])).tolist() == [200]
    assert np.isnan(found[:, 7]).all()
    others = [lead for lead in range(12) if lead not in {4, 7}]
    np.testing.assert_array_equal(found[:, others], expected[:, others])
    kept = np.isfinite(found[:, 4])
    np.testing.assert_allclose(found[kept, 4], expected[kept, 4], atol=2e-3)
    upwards = resample(gaps[::5], 100, 500)[:, 4]
    assert np.flatnonzero(np.isnan(upwards)).tolist() == list(range(1000, 1005))


@pytest.mark.parametrize(
    ("from_hz", "to_hz"), [(0, 100), (-500, 100), (float("nan"), 100), (500, float("inf")), (1, 5000)]
)
def test_impossible_rates_are_refused(from_hz: float, to_hz: float) -> None:
    with pytest.raises(InputError, match="sampling rate"):
        resample(noise_mv(100), from_hz, to_hz)


def test_windows_follow_one_another_and_the_rest_is_left() -> None:
    signals = noise_mv(2599)
    found = windows(signals, 1000)
    assert [(start, valid) for start, _, valid in found] == [(0, 1000), (1000, 1000)]
    np.testing.assert_array_equal(np.concatenate([window for _, window, _ in found]), signals[:2000])
    assert windows(signals, 2600) == []


def test_cut_accounts_for_every_second() -> None:
    signals = noise_mv(3 * 2570 + 257)  # 31 s at 257 Hz
    signals[2600:2605, STANDARD_LEADS.index("V3")] = np.nan
    found = cut(signals, 257, 100, 1000)
    assert [(window.index, window.start_s, window.valid_samples) for window in found.windows] == [
        (0, 0.0, 1000),
        (2, 20.0, 1000),
    ]
    ((index, reason),) = found.refused
    assert index == 1
    assert reason.startswith("finite: lead V3 has")
    assert 10 * 3 + found.trailing_s == pytest.approx(31.0, abs=0.01)


def test_a_recording_shorter_than_a_window_is_refused_with_its_length() -> None:
    with pytest.raises(InputError, match=r"length: 9\.98 s, shorter than a window of 10 s"):
        cut(noise_mv(4990), 500, 100, 1000)
    assert len(cut(noise_mv(5000), 500, 100, 1000).windows) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda x: x.__setitem__((slice(10, 15), 8), np.nan), "finite: lead V3 has 5 missing or infinite samples"),
        (lambda x: x.__setitem__((3, 0), np.inf), "finite: lead I has 1 missing or infinite samples"),
        (lambda x: x.__setitem__((slice(None), 5), 0.25), "flat: lead aVF is flat"),
        (lambda x: x.__setitem__((slice(None, None, 2), 1), x[::2, 1] + 0), ""),
        (lambda x: x.__setitem__((7, 11), -32.768), "amplitude: lead V6 reaches 32.77 mV"),
        (lambda x: x.__setitem__((7, 11), 32.767), ""),
    ],
)
def test_each_check_names_itself_and_the_lead(change: object, reason: str) -> None:
    window = noise_mv(1000)
    assert callable(change)
    change(window)
    assert fault(window).startswith(reason)
    assert bool(fault(window)) == bool(reason)


def test_flat_means_a_deviation_below_one_microvolt() -> None:
    window = noise_mv(1000)
    window[:, 2] = 0.5 + 0.0009 * np.resize([-1, 1], 1000)
    assert fault(window).startswith("flat: lead III")
    window[:, 2] = 0.5 + 0.0011 * np.resize([-1, 1], 1000)
    assert fault(window) == ""


def test_microvolts_are_exact_and_the_hash_is_that_of_their_bytes() -> None:
    codes = np.random.default_rng(1).integers(-32767, 32768, (5000, 12))
    codes[0, :2] = [-32767, 32767]
    signals = (codes / 1000).astype(np.float32)
    np.testing.assert_array_equal(microvolts(signals), codes)
    assert signal_hash(signals) == hashlib.sha256(codes.astype("<i2").tobytes()).hexdigest()
    signals[5, 5] = np.nan
    assert microvolts(signals)[5, 5] == -32768
    assert microvolts(np.full((1, 12), 40, np.float32)).tolist() == [[-32768] * 12]
