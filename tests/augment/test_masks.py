"""Masks in time: each against a slow loop under the same random numbers, and its statistics over 2,000 draws."""

import math
from typing import Any

import numpy as np
import pytest

from augment.injection import RATE, generator, recorded, standard_normal
from ecg_advmask.augment import AUGMENTATIONS

DRAWS = 2000
OCCLUDING = ["random_mask", "block_mask", "sync_block_mask", "lead_mask", "peak_mask"]


def occluded_by(name: str, recordings: int = DRAWS, **parameters: Any) -> np.ndarray:
    """(recordings, 250, 12): what is occluded, in signals without two equal samples; the minimum itself cannot show."""
    signals = standard_normal(recordings)
    return np.asarray(AUGMENTATIONS[name](signals, generator(), RATE, **parameters)) != signals


def close_to_loop(result: np.ndarray, signals: np.ndarray, occluded: np.ndarray) -> None:
    assert 0 < occluded.mean() < 1
    expected = signals.copy()
    for recording, sample, lead in zip(*np.nonzero(occluded), strict=True):
        expected[recording, sample, lead] = signals[recording].min()
    np.testing.assert_array_equal(result, expected)


def test_single_samples() -> None:
    signals = standard_normal(3)
    result, (chances,) = recorded(AUGMENTATIONS["random_mask"], signals, generator(), RATE, probability=0.3)
    close_to_loop(result, signals, chances < 0.3)


@pytest.mark.parametrize("name", ["block_mask", "sync_block_mask"])
def test_blocks(name: str) -> None:
    signals = standard_normal(4)
    result, (starts,) = recorded(AUGMENTATIONS[name], signals, generator(), RATE, share=0.3)
    assert starts.shape == (4, 1, 12 if name == "block_mask" else 1)
    occluded = np.zeros(signals.shape, bool)
    for recording in range(4):
        for lead in range(12):
            start = starts[recording, 0, lead if name == "block_mask" else 0]
            for sample in range(start, start + 75):
                occluded[recording, sample, lead] = True
    close_to_loop(result, signals, occluded)


@pytest.mark.parametrize("probability", [0.5, 1.0])
def test_leads(probability: float) -> None:
    signals = standard_normal(6)
    result, (chances,) = recorded(AUGMENTATIONS["lead_mask"], signals, generator(), RATE, probability=probability)
    occluded = np.zeros(signals.shape, bool)
    for recording in range(6):
        chosen = [lead for lead in range(12) if chances[recording, 0, lead] < probability]
        if len(chosen) == 12:
            chosen.remove(int(np.argmax(chances[recording, 0])))
        occluded[recording][:, chosen] = True
    close_to_loop(result, signals, occluded)


def test_peaks_or_what_is_quiet() -> None:
    signals = standard_normal(8)
    signals[:, :, 3] += 100  # an offset of a lead is no amplitude
    result, (chances,) = recorded(
        AUGMENTATIONS["peak_mask"], signals, generator(1), RATE, share=0.1, peak_probability=0.6
    )
    occluded = np.zeros(signals.shape, bool)
    for recording, signal in enumerate(signals.astype(np.float64)):
        amplitudes = [
            np.mean([abs(signal[t, lead] - signal[:, lead].mean()) for lead in range(12)]) for t in range(250)
        ]
        ranked = sorted(range(250), key=lambda t: amplitudes[t])
        occluded[recording, ranked[-25:] if chances[recording, 0] < 0.6 else ranked[:25]] = True
    assert 0 < np.mean(chances < 0.6) < 1
    close_to_loop(result, signals, occluded)


def test_a_time_mask_goes_round_and_leaves_zeros() -> None:
    signals = standard_normal(4)
    result, (starts,) = recorded(AUGMENTATIONS["time_mask"], signals, generator(), RATE, share=0.4)
    assert starts.max() > 150, "one of them goes round"
    expected = signals.copy()
    for recording in range(4):
        for lead in range(12):
            for sample in range(starts[recording, 0, lead], starts[recording, 0, lead] + 100):
                expected[recording, sample % 250, lead] = 0
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("name", OCCLUDING)
def test_nothing_is_occluded_at_zero(name: str) -> None:
    signals = standard_normal(9)
    zero = {"probability" if name in {"random_mask", "lead_mask"} else "share": 0.0}
    np.testing.assert_array_equal(AUGMENTATIONS[name](signals, generator(), RATE, **zero), signals)
    np.testing.assert_array_equal(AUGMENTATIONS["time_mask"](signals, generator(), RATE, share=0), signals)


def test_coverage_of_single_samples() -> None:
    occluded = occluded_by("random_mask")
    assert occluded.mean() == pytest.approx(0.2, abs=4 * 0.4 / math.sqrt(occluded.size))
    np.testing.assert_allclose(occluded.mean(axis=(0, 2)), 0.2, atol=5 * 0.4 / math.sqrt(DRAWS * 12))
    neighbours = np.mean(occluded[:, 1:] & occluded[:, :-1])
    assert neighbours == pytest.approx(0.04, abs=1e-3), "neighbours are independent"


@pytest.mark.parametrize("name", ["block_mask", "sync_block_mask"])
def test_a_block_of_a_fifth_is_occluded_in_every_lead_at_a_uniform_place(name: str) -> None:
    occluded = occluded_by(name)
    assert set(np.unique(occluded.sum(axis=1))) <= {49, 50}  # 49: the block covers the minimum itself
    first = occluded[:, :, 0].argmax(axis=1)
    assert first.min() == 0
    assert first.max() == 200
    assert first.mean() == pytest.approx(100, abs=4 * 200 / np.sqrt(12 * DRAWS))


def test_blocks_are_one_per_lead_or_one_for_all() -> None:
    starts = occluded_by("block_mask", 300).argmax(axis=1)
    together = occluded_by("sync_block_mask", 300).argmax(axis=1)
    assert np.mean(starts.std(axis=1) > 10) > 0.95
    assert np.mean(together.std(axis=1) == 0) > 0.95  # the minimum may be the first sample of the block


@pytest.mark.parametrize("probability", [0.5, 0.9, 1.0])
def test_never_all_leads_are_occluded(probability: float) -> None:
    share = occluded_by("lead_mask", probability=probability).mean(axis=1)
    occluded = share > 0.5
    assert ((share == 0) | (share >= 249 / 250)).all(), "a lead is occluded whole or not at all"
    assert occluded.sum(axis=1).max() == 11
    expected = probability - probability**12 / 12  # of each lead: one is spared if all would go
    np.testing.assert_allclose(occluded.mean(axis=0), expected, atol=4 * 0.5 / math.sqrt(DRAWS))


@pytest.mark.parametrize("peak_probability", [0.0, 0.5, 1.0])
def test_peaks_are_occluded_as_often_as_asked(peak_probability: float) -> None:
    signals = np.full((DRAWS, 250, 12), -1.0, np.float32) + 0.1 * standard_normal(DRAWS)
    signals[:, 100:150] += 5 * np.where(np.arange(12) % 2, -1, 1)  # leads of opposite sign: their average stays
    result = AUGMENTATIONS["peak_mask"](signals, generator(), RATE, peak_probability=peak_probability)
    occluded = (np.asarray(result) != signals).mean(axis=2) > 0.5
    np.testing.assert_array_equal(occluded.sum(axis=1), 50)
    peaks = occluded[:, 100:150].all(axis=1)
    assert (peaks | ~occluded[:, 100:150].any(axis=1)).all(), "all of the peak or nothing of it"
    assert peaks.mean() == pytest.approx(peak_probability, abs=4 * 0.5 / math.sqrt(DRAWS))


def test_equal_amplitudes_are_not_occluded_beyond_the_share() -> None:
    padded = standard_normal(20)
    padded[:, 50:] = padded.mean(axis=1, keepdims=True)
    result = np.asarray(AUGMENTATIONS["peak_mask"](padded, generator(), RATE, share=0.2))
    assert ((result != padded).any(axis=2).sum(axis=1) <= 50).all()


def test_every_sample_is_as_likely_to_be_lost_to_a_time_mask() -> None:
    lost = occluded_by("time_mask")
    np.testing.assert_array_equal(lost.sum(axis=1), 125)
    np.testing.assert_allclose(lost.mean(axis=(0, 2)), 0.5, atol=4.5 * 0.5 / math.sqrt(DRAWS * 12))
    assert np.mean(lost[:, 0, 0] & lost[:, 0, 1]) == pytest.approx(0.25, abs=4 * 0.45 / math.sqrt(DRAWS))
