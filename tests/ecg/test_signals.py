"""Rate, microvolts and hash: tones, constants and ramps whose resampled values are known, and scipy beside them."""

import hashlib
import tracemalloc

import numpy as np
import pytest
import scipy.signal

from ecg_advmask.ecg.signals import microvolts, resample, resampling_ratio, signal_hash
from ecg_advmask.errors import InputError


def sines(seconds: float, rate_hz: float, frequency_hz: float) -> np.ndarray:
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    phases = np.arange(12) / 12
    return np.sin(2 * np.pi * (frequency_hz * time_s[:, None] + phases)).astype(np.float32)


def noise_mv(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.2, (samples, 12)).astype(np.float32)


RATES = [(1000, 500), (500, 100), (257, 500), (257, 100), (500, 250), (100, 500)]


def fitted(signals: np.ndarray, rate_hz: float, frequency_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """Least squares in the middle: amplitude of one tone in each lead, and the amplitude that the rest would have."""
    middle = signals[len(signals) // 5 : -len(signals) // 5].astype(np.float64)
    phase = 2 * np.pi * frequency_hz * np.arange(len(middle)) / rate_hz
    basis = np.stack([np.cos(phase), np.sin(phase)], axis=1)
    found = np.linalg.lstsq(basis, middle, rcond=None)[0]
    return np.hypot(*found), np.sqrt(2 * np.mean((middle - basis @ found) ** 2, axis=0))


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES)
def test_passband_ripple_and_images_of_swept_tones(from_hz: int, to_hz: int) -> None:
    nyquist_hz = min(from_hz, to_hz) / 2
    for frequency_hz in np.linspace(0.02, 0.8, 14) * nyquist_hz:
        gain, rest = fitted(resample(sines(20, from_hz, frequency_hz), from_hz, to_hz), to_hz, frequency_hz)
        assert np.abs(20 * np.log10(gain)).max() < 0.003
        assert 20 * np.log10(rest.max()) < -75


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES)
def test_aliases_and_images_of_swept_tones_are_70_db_down(from_hz: int, to_hz: int) -> None:
    if to_hz < from_hz:  # a tone beyond the new Nyquist frequency leaves nothing
        for frequency_hz in np.linspace(to_hz / 2, 0.999 * from_hz / 2, 25):
            middle = resample(sines(20, from_hz, frequency_hz), from_hz, to_hz)[4 * to_hz : 16 * to_hz]
            assert 20 * np.log10(np.sqrt(2 * np.mean(middle.astype(np.float64) ** 2))) < -70
    else:  # a tone close below the old one may be weakened, but has no image above it
        for frequency_hz in np.linspace(0.8, 0.99, 12) * from_hz / 2:
            _, rest = fitted(resample(sines(20, from_hz, frequency_hz), from_hz, to_hz), to_hz, frequency_hz)
            assert 20 * np.log10(rest.max()) < -70
    if from_hz % to_hz == 0:
        plain = sines(20, from_hz, 0.5 * to_hz + 0.1 * from_hz / 2)[:: from_hz // to_hz]
        assert np.abs(plain).max() > 0.9  # what plain decimation leaves


@pytest.mark.parametrize(("from_hz", "to_hz", "frequency_hz"), [(500, 100, 35), (360.5, 500, 25), (1000, 257, 60)])
def test_a_sine_keeps_its_values_at_their_times(from_hz: float, to_hz: float, frequency_hz: float) -> None:
    found = resample(sines(10, from_hz, frequency_hz), from_hz, to_hz)
    assert found.dtype == np.float32
    expected = sines(len(found) / to_hz, to_hz, frequency_hz)
    middle = slice(round(2 * to_hz), round(8 * to_hz))
    np.testing.assert_allclose(found[middle], expected[middle], atol=5e-4)


def by_scipy(signals: np.ndarray, from_hz: float, to_hz: float) -> np.ndarray:
    """Resampled by scipy with the same kind of filter, the line through both ends taken off, (T, leads) float64."""
    up, down = resampling_ratio(from_hz, to_hz).as_integer_ratio()
    factor = max(up, down)
    taps, beta = scipy.signal.kaiserord(72, 0.2 / factor)
    window = scipy.signal.firwin(taps + (taps + 1) % 2, 0.9 / factor, window=("kaiser", beta))
    slope = (signals[-1:] - signals[:1]) / max(len(signals) - 1, 1)
    level = signals - signals[:1] - slope * np.arange(len(signals))[:, None]
    found = scipy.signal.resample_poly(level, up, down, axis=0, window=window)
    return found + signals[:1] + slope * np.arange(len(found))[:, None] * down / up


@pytest.mark.parametrize(("from_hz", "to_hz"), [*RATES, (500.5, 500)])
def test_equals_scipy_with_the_line_through_both_ends_taken_off(from_hz: float, to_hz: float) -> None:
    signals = noise_mv(round(3 * from_hz)).astype(np.float64) + np.linspace(0, 5, 12)
    for _ in range(2):  # the kept filter is not used up by the first call
        found = resample(signals.astype(np.float32), from_hz, to_hz)
        np.testing.assert_allclose(found, by_scipy(signals, from_hz, to_hz), atol=2e-6)


@pytest.mark.parametrize(("from_hz", "to_hz"), [(100, 500), (500, 100), (360, 500), (500, 257), (500.5, 500)])
@pytest.mark.parametrize("samples", [1, 2, 13, 64, 65, 66, 321])
def test_recordings_of_any_length_equal_scipy(from_hz: float, to_hz: float, samples: int) -> None:
    signals = noise_mv(samples).astype(np.float64)
    found = resample(signals.astype(np.float32), from_hz, to_hz)
    np.testing.assert_allclose(found, by_scipy(signals, from_hz, to_hz), atol=2e-6)


@pytest.mark.parametrize(
    ("from_hz", "to_hz", "ratio"),
    [
        (257, 500, (500, 257)),
        (500, 257, (257, 500)),
        (500.5, 500, (1000, 1001)),
        (360.5, 100, (200, 721)),
        (1, 1, (1, 1)),
    ],
)
def test_ratios_of_usual_rates_are_exact(from_hz: float, to_hz: float, ratio: tuple[int, int]) -> None:
    assert resampling_ratio(from_hz, to_hz).as_integer_ratio() == ratio


def test_ratios_of_odd_rates_are_close_and_their_filters_bounded() -> None:
    for from_hz in np.random.default_rng(3).uniform(1, 5000, 300):
        ratio = resampling_ratio(from_hz, 500)
        assert max(ratio.as_integer_ratio()) <= 10_000
        assert float(ratio) == pytest.approx(500 / from_hz, rel=1e-4)


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


def test_microvolts_are_exact_and_the_hash_is_that_of_their_bytes() -> None:
    codes = np.random.default_rng(1).integers(-32767, 32768, (5000, 12))
    codes[0, :2] = [-32767, 32767]
    signals = (codes / 1000).astype(np.float32)
    np.testing.assert_array_equal(microvolts(signals), codes)
    assert signal_hash(signals) == hashlib.sha256(codes.astype("<i2").tobytes()).hexdigest()
    signals[5, 5] = np.nan
    assert microvolts(signals)[5, 5] == -32768
    assert microvolts(np.full((1, 12), 40, np.float32)).tolist() == [[-32768] * 12]


def test_the_hash_of_a_long_recording_is_that_of_the_whole() -> None:
    signals = noise_mv(250_001)
    assert signal_hash(signals) == hashlib.sha256(microvolts(signals).tobytes()).hexdigest()
    assert signal_hash(signals) == signal_hash(np.asfortranarray(signals))


def test_no_copy_of_a_long_recording_is_made_but_the_result() -> None:
    signals = noise_mv(300_000)  # five minutes at 1000 Hz
    resample(signals[:1000], 1000, 500)
    tracemalloc.start()
    found = resample(signals, 1000, 500)
    assert tracemalloc.get_traced_memory()[1] < found.nbytes + signals.nbytes
    tracemalloc.stop()
