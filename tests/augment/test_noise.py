"""Noise: each kind against a slow loop under the same random numbers, and its statistics over 2,000 draws."""

import math
from typing import Any

import numpy as np
import pytest

from augment.injection import RATE, generator, recorded, standard_normal
from ecg_advmask.augment import AUGMENTATIONS

BOUNDED = ["baseline_wander", "baseline_shift", "powerline", "emg"]


def noise_of(
    name: str, recordings: int = 2000, samples: int = 250, rate: float = RATE, **parameters: Any
) -> np.ndarray:
    silent = np.zeros((recordings, samples, 12), np.float32)
    return np.asarray(AUGMENTATIONS[name](silent, generator(), rate, **parameters))


def close_to_loop(result: np.ndarray, signals: np.ndarray, noise: np.ndarray) -> None:
    assert np.abs(noise).max() > 0.05
    np.testing.assert_allclose(result, signals + noise, rtol=0, atol=1e-5)


def test_gaussian_noise_is_added_as_drawn() -> None:
    signals = standard_normal(4)
    result, (drawn,) = recorded(AUGMENTATIONS["gaussian"], signals, generator(), RATE, deviation=0.3)
    close_to_loop(result, signals, 0.3 * drawn)


def test_wander_is_the_sum_of_three_cosines() -> None:
    signals = standard_normal(3)
    result, (frequencies, phases, amplitudes, gains) = recorded(
        AUGMENTATIONS["baseline_wander"], signals, generator(), RATE, maximum=0.9, highest_hz=0.4
    )
    noise = np.zeros(signals.shape)
    for recording, sample, lead in np.ndindex(signals.shape):
        for cosine in range(3):
            angle = 2 * math.pi * frequencies[recording, 0, cosine] * sample / RATE + phases[recording, 0, cosine]
            size = amplitudes[recording, 0, cosine] * 0.9 / 3 * gains[recording, 0, lead]
            noise[recording, sample, lead] += size * math.cos(angle)
    close_to_loop(result, signals, noise)


def test_shift_displaces_a_stretch() -> None:
    signals = standard_normal(3)
    result, (starts, parts) = recorded(
        AUGMENTATIONS["baseline_shift"], signals, generator(), RATE, maximum=0.7, seconds=0.5
    )
    noise = np.zeros(signals.shape)
    for recording in range(3):
        for sample in range(starts[recording, 0, 0], starts[recording, 0, 0] + 50):
            for lead in range(12):
                noise[recording, sample, lead] = 0.7 * parts[recording, 0, lead]
    close_to_loop(result, signals, noise)


def test_hum_is_a_sinusoid_of_50_or_60_hz() -> None:
    signals = standard_normal(8)
    result, (choices, phases, sizes) = recorded(AUGMENTATIONS["powerline"], signals, generator(), 500.0, maximum=0.4)
    assert set(choices) == {0, 1}
    noise = np.zeros(signals.shape)
    for recording, sample, lead in np.ndindex(signals.shape):
        angle = 2 * math.pi * (50, 60)[choices[recording]] * sample / 500 + phases[recording, 0]
        noise[recording, sample, lead] = 0.4 * sizes[recording, 0] * math.cos(angle)
    close_to_loop(result, signals, noise)


@pytest.mark.parametrize("samples", [250, 125])
def test_muscle_noise_is_the_sum_of_the_cosines_in_the_band(samples: int) -> None:
    signals = standard_normal(2, samples)
    result, (phases, parts) = recorded(
        AUGMENTATIONS["emg"], signals, generator(), RATE, maximum=0.4, lowest_hz=20, highest_hz=30
    )
    seconds = samples / RATE
    frequencies = [k / seconds for k in range(samples) if 20 <= k / seconds <= 30]
    noise = np.zeros(signals.shape)
    for recording in range(2):
        for lead in range(12):
            sums = [
                sum(
                    math.cos(2 * math.pi * hz * sample / RATE + phase)
                    for hz, phase in zip(frequencies, phases[recording, lead], strict=True)
                )
                for sample in range(samples)
            ]
            noise[recording, :, lead] = 0.4 * parts[recording, lead, 0] * np.array(sums) / np.abs(sums).max()
    close_to_loop(result, signals, noise)


def test_published_noise_is_one_vector_for_all_leads() -> None:
    signals = standard_normal(4)
    result, (drawn,) = recorded(AUGMENTATIONS["published_gaussian"], signals, generator(), RATE, deviation=0.3)
    assert drawn.shape == (4, 250, 1)
    close_to_loop(result, signals, 0.3 * np.repeat(drawn, 12, axis=2))
    noise = noise_of("published_gaussian")
    assert noise.std() == pytest.approx(0.05, rel=0.005)
    assert np.mean(noise[:, 1:] * noise[:, :-1]) == pytest.approx(0.0, abs=1e-5)


def test_published_wander_is_the_sum_of_three_cosines() -> None:
    signals = standard_normal(3)
    result, (frequencies, phases, sizes, normal) = recorded(
        AUGMENTATIONS["published_wander"], signals, generator(), RATE, amplitude=0.4
    )
    noise = np.zeros(signals.shape)
    for recording, sample, lead in np.ndindex(signals.shape):
        for cosine in range(3):
            angle = 2 * math.pi * frequencies[recording, 0, cosine] * sample / RATE + phases[recording, 0, cosine]
            gain = 1 + normal[recording, 0, lead] / 2
            noise[recording, sample, lead] += 0.4 * sizes[recording, 0, cosine] * math.cos(angle) * gain
    close_to_loop(result, signals, noise)
    assert frequencies.min() > 0.01 and frequencies.max() < 0.2 and sizes.min() >= 0 and sizes.max() <= 1
    # cosines x mean square of amplitude, of cosine and of gain
    assert noise_of("published_wander").var() == pytest.approx(3 * 0.5**2 / 3 / 2 * 1.25, rel=0.1)


def test_published_shift_is_by_one_less_a_number_that_leads_share() -> None:
    signals = standard_normal(5)
    result, (lengths, places, signs, less) = recorded(
        AUGMENTATIONS["published_shift"], signals, generator(), RATE, spread=0.5, share=0.4
    )
    noise = np.zeros(signals.shape)
    for recording in range(5):
        length = math.floor(100 + 20 * lengths[recording, 0, 0])
        start = math.floor(places[recording, 0, 0] * (250 - length + 1))
        for sample in range(start, start + length):
            for lead in range(12):
                sign = 1 if signs[recording, 0, lead] else -1
                noise[recording, sample, lead] = sign - 0.5 * less[recording, 0, 0]
    close_to_loop(result, signals, noise)


def test_published_shift_has_its_length_its_place_and_its_sizes() -> None:
    noise = noise_of("published_shift")
    moved = noise != 0
    assert (moved == moved[:, :, :1]).all(), "all leads at the same time"
    lengths = moved[:, :, 0].sum(axis=1)
    assert lengths.mean() == pytest.approx(49.5, abs=4 * 10 / math.sqrt(2000))
    assert lengths.std() == pytest.approx(10, rel=0.1)
    start = moved[:, :, 0].argmax(axis=1)
    assert start.mean() == pytest.approx(100, abs=4 * 200 / math.sqrt(12 * 2000))
    sizes = noise.sum(axis=1) / lengths[:, None]
    up = sizes > 0
    assert up.mean() == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(24000))
    assert sizes[up].min() + 1e-5 >= 0.75 and sizes[up].max() < 1 + 1e-5
    assert -sizes[~up].max() + 1e-5 >= 1 and -sizes[~up].min() < 1.25 + 1e-5
    short = noise_of("published_shift", recordings=50, share=0.0)
    assert ((short != 0).sum(axis=1) == 1).all(), "at least one sample"
    assert (noise_of("published_shift", recordings=200, share=0.9) != 0).sum(axis=1).max() == 250


def test_published_muscle_noise_is_white_with_a_deviation_of_each_lead() -> None:
    signals = standard_normal(3)
    result, (sizes, drawn) = recorded(AUGMENTATIONS["published_emg"], signals, generator(), RATE, deviation=0.6)
    assert sizes.shape == (3, 1, 12)
    close_to_loop(result, signals, 0.6 * sizes * drawn)
    noise = noise_of("published_emg")
    assert noise.var() == pytest.approx(0.1**2 / 3, rel=0.02)
    deviations = noise.std(axis=1)
    assert deviations.mean() == pytest.approx(0.05, rel=0.02) and deviations.max() < 0.1 * 1.2
    assert np.mean(noise[:, 1:] * noise[:, :-1]) == pytest.approx(0.0, abs=1e-5)
    assert np.mean(noise[:, :, 0] * noise[:, :, 1]) == pytest.approx(0.0, abs=5e-5)


@pytest.mark.parametrize("maximum", [0.0, 0.3])
@pytest.mark.parametrize("name", BOUNDED)
def test_the_maximum_is_never_exceeded_and_nearly_reached(name: str, maximum: float) -> None:
    largest = np.abs(noise_of(name, rate=250.0, maximum=maximum)).max(axis=(1, 2))
    assert (largest <= maximum * (1 + 1e-6)).all()
    assert largest.max() > 0.75 * maximum or maximum == 0


@pytest.mark.parametrize(
    ("name", "variance"),
    [
        ("gaussian", 0.3**2),
        ("baseline_wander", 3 * 0.1**2 / 3 / 2 / 3),  # cosines x mean square of amplitude, of cosine and of gain
        ("baseline_shift", 0.2 * 0.3**2 / 3),  # 50 of 250 samples
        ("powerline", 0.3**2 / 3 / 2),
    ],
)
def test_mean_and_variance(name: str, variance: float) -> None:
    size = {"deviation" if name == "gaussian" else "maximum": 0.3}
    noise = noise_of(name, rate=250.0, **size, **({"seconds": 0.2} if name == "baseline_shift" else {}))
    deviation = math.sqrt(variance / 2000)  # of the mean of 2,000 recordings that are each of one sign throughout
    assert noise.mean() == pytest.approx(0, abs=4 * deviation)
    assert noise.var() == pytest.approx(variance, rel=0.1)


def test_gaussian_noise_is_white_and_of_its_own_in_every_lead() -> None:
    noise = noise_of("gaussian")
    assert noise.std() == pytest.approx(0.1, rel=0.005)
    assert np.mean(noise[:, 1:] * noise[:, :-1]) == pytest.approx(0.0, abs=5e-5)
    assert np.mean(noise[:, :, 0] * noise[:, :, 1]) == pytest.approx(0.0, abs=1e-4)
    power = np.mean(np.abs(np.fft.rfft(noise, axis=1)) ** 2, axis=(0, 2))[1:-1] / 250
    np.testing.assert_allclose(power, 0.01, rtol=0.03)


def test_wander_stays_below_its_highest_frequency() -> None:
    noise = noise_of("baseline_wander", recordings=100, samples=10_000, lowest_hz=0.1, highest_hz=0.2)
    power = np.abs(np.fft.rfft(noise * np.hanning(10_000)[:, None], axis=1)) ** 2
    hz = np.fft.rfftfreq(10_000, 1 / RATE)
    inside = (hz > 0.08) & (hz < 0.22)
    assert power[:, ~inside].sum() < 1e-3 * power.sum()
    _, (frequencies, *_) = recorded(AUGMENTATIONS["baseline_wander"], standard_normal(2000, 125), generator(), RATE)
    assert frequencies.min() == pytest.approx(0.01, abs=1e-3)
    assert frequencies.max() == pytest.approx(0.2, abs=1e-3)
    assert frequencies.mean() == pytest.approx(0.105, abs=4 * 0.19 / math.sqrt(12 * 6000))


def test_leads_wander_together() -> None:
    noise = noise_of("baseline_wander", recordings=50)
    for recording in noise:
        assert np.linalg.matrix_rank(recording, tol=1e-4) == 1


def test_a_shift_has_its_length_and_a_uniform_place() -> None:
    moved = noise_of("baseline_shift", seconds=0.5) != 0
    np.testing.assert_array_equal(moved.sum(axis=1), 50)
    assert (moved == moved[:, :, :1]).all(), "all leads at the same time"
    start = moved[:, :, 0].argmax(axis=1)
    assert (start.min(), start.max()) == (0, 200)
    assert start.mean() == pytest.approx(100, abs=4 * 200 / math.sqrt(12 * 2000))
    assert (noise_of("baseline_shift", recordings=9, seconds=60) != 0).all(), "longer than the window: all of it"


@pytest.mark.parametrize(
    ("rate", "parameters", "expected"),
    [
        (500.0, {}, {50, 60}),
        (100.0, {}, {50}),
        (500.0, {"frequency_hz": 60.0}, {60}),
        (500.0, {"frequency_hz": 16}, {16}),
    ],
)
def test_hum_has_one_line_in_its_spectrum(rate: float, parameters: dict[str, float], expected: set[int]) -> None:
    noise = noise_of("powerline", rate=rate, **parameters)
    assert (noise == noise[:, :, :1]).all(), "the same in all leads"
    power = np.abs(np.fft.rfft(noise[:, :, 0], axis=1)) ** 2
    hz = np.fft.rfftfreq(250, 1 / rate)
    np.testing.assert_allclose(power.max(axis=1), power.sum(axis=1), rtol=1e-4)
    found = hz[power.argmax(axis=1)]
    assert set(found) == expected
    if len(expected) == 2:
        assert np.mean(found == 50) == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(2000))


def test_muscle_noise_is_flat_in_its_band_and_silent_outside() -> None:
    noise = noise_of("emg", recordings=200, rate=500.0)
    power = np.abs(np.fft.rfft(noise, axis=1)) ** 2
    hz = np.fft.rfftfreq(250, 1 / 500)
    inside = (hz >= 20) & (hz <= 150)
    assert power[:, ~inside].max() < 1e-8 * power.max()
    flat = power[:, inside]
    loud = flat.mean(axis=1) > 1e-3
    np.testing.assert_allclose((flat / flat.mean(axis=1, keepdims=True)).transpose(0, 2, 1)[loud], 1, rtol=1e-2)
    largest = np.abs(noise).max(axis=1)
    assert largest.mean() == pytest.approx(0.25, abs=4 * 0.5 / math.sqrt(12 * 2400))
    together = [abs(np.corrcoef(recording[:, 0], recording[:, 1])[0, 1]) for recording in noise]
    assert np.mean(together) < 0.15, "leads are independent"
