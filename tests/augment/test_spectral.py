"""The mask in time and frequency: its transform against slow loops and its inverse, its statistics over 2,000 draws."""

import math

import numpy as np
import pytest
import tensorflow as tf

from augment.injection import RATE, generator, recorded, standard_normal
from ecg_advmask.augment.spectral import frame_means, from_short_time_spectrum, short_time_spectrum, spectral_mask


def frames_of(signal: np.ndarray, hop: int) -> list[np.ndarray]:
    """Frames of one lead under the sine window, from one hop before its first sample on."""
    hops = math.ceil(len(signal) / hop)
    padded = np.zeros((hops + 2) * hop)
    padded[hop : hop + len(signal)] = signal
    window = [math.sin(math.pi * (n + 0.5) / (2 * hop)) for n in range(2 * hop)]
    return [padded[frame * hop : frame * hop + 2 * hop] * window for frame in range(hops + 1)]


def test_the_mask_is_what_a_loop_over_frames_gives() -> None:
    signals = standard_normal(2)
    result, (chances,) = recorded(spectral_mask, signals, generator(), RATE, share=0.3, seconds=0.4)
    assert chances.shape == (2, 12, 14, 21)
    expected = np.zeros((2, 20 * 14, 12))
    window = np.sin(np.pi * (np.arange(40) + 0.5) / 40)
    for recording in range(2):
        for lead in range(12):
            for place, frame in enumerate(frames_of(signals[recording, :, lead], 20)):
                spectrum = np.fft.rfft(frame)
                for k in range(21):
                    if chances[recording, lead, place, k] < 0.3:
                        spectrum[k] = 0
                back = np.fft.irfft(spectrum, 40) * window
                for n in range(40):
                    sample = (place - 1) * 20 + n
                    if 0 <= sample < 250:
                        expected[recording, sample, lead] += back[n]
    assert np.abs(result - signals).max() > 0.5
    np.testing.assert_allclose(result, expected[:, :250], rtol=0, atol=1e-5)


def test_the_spectrum_is_that_of_the_frames() -> None:
    signals = standard_normal(2)
    real, imaginary = short_time_spectrum(tf.constant(signals), 32)
    expected = [[np.fft.rfft(frames_of(signals[b, :, lead], 32)) for lead in range(12)] for b in range(2)]
    np.testing.assert_allclose(np.asarray(real) + 1j * np.asarray(imaginary), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("samples", "hop"), [(250, 25), (250, 32), (125, 125), (125, 300)])
def test_a_mean_over_a_frame_is_that_of_its_samples(samples: int, hop: int) -> None:
    signals = standard_normal(2, samples)
    starts = [hop * frame for frame in range(-1, math.ceil(samples / hop))]
    expected = [signals[:, max(0, start) : start + 2 * hop].mean(axis=1) for start in starts]
    np.testing.assert_allclose(frame_means(tf.constant(signals), hop), np.stack(expected, 1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(("samples", "hop"), [(250, 25), (250, 32), (125, 1), (125, 125), (125, 300), (1000, 50)])
def test_the_inverse_is_exact_from_the_first_sample_to_the_last(samples: int, hop: int, jit_compile: bool) -> None:
    signals = tf.constant(standard_normal(3, samples))
    there_and_back = tf.function(
        lambda x: from_short_time_spectrum(*short_time_spectrum(x, hop), hop, samples), jit_compile=jit_compile
    )
    np.testing.assert_allclose(there_and_back(signals), signals, rtol=0, atol=1e-5)


def test_without_a_share_nothing_changes() -> None:
    signals = standard_normal(3)
    np.testing.assert_allclose(spectral_mask(signals, generator(), RATE, share=0.0), signals, rtol=0, atol=1e-5)


@pytest.mark.parametrize("share", [0.2, 0.6])
def test_of_a_signal_so_much_is_lost_on_average(share: float) -> None:
    signals = standard_normal(2000)
    result = np.asarray(spectral_mask(signals, generator(), RATE, share=share), np.float64)
    kept = (result * signals).sum(axis=1) / np.square(signals).sum(axis=1)
    assert kept.mean() == pytest.approx(1 - share, abs=0.002)
    assert kept.std() > 0.02, "and now more, now less"
    _, (chances,) = recorded(spectral_mask, signals[:200], generator(), RATE, share=share)
    coverage = (chances < share).mean(axis=(0, 1))
    np.testing.assert_allclose(coverage, share, atol=5 * 0.5 / math.sqrt(2400))


def test_bins_are_as_wide_in_hertz_at_any_rate() -> None:
    for rate in (100.0, 500.0):
        _, (chances,) = recorded(spectral_mask, standard_normal(1, 2500), generator(), rate, seconds=0.5)
        assert chances.shape[3] == rate / 2 / 2 + 1, "2 Hz wide, up to half the rate"


def test_a_removed_band_is_gone_and_the_rest_is_untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    time_s = np.arange(1000) / RATE
    tones = {hz: np.sin(2 * np.pi * hz * time_s) for hz in (10, 30)}
    signals = np.repeat(sum(tones.values())[None, :, None], 12, axis=2).astype(np.float32)
    removed = np.abs(np.arange(51) - 30) < 5
    monkeypatch.setattr(
        "ecg_advmask.augment.draws.uniform", lambda shape, _: tf.broadcast_to(np.where(removed, 0.0, 1.0), shape)
    )
    result = np.asarray(spectral_mask(signals, generator(), RATE, share=0.5, seconds=1.0))
    np.testing.assert_allclose(result[0, 100:-100, 0], tones[10][100:-100], atol=0.01)
