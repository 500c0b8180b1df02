"""Shifts of recordings: features by their definitions, no false alarms, and planted mistakes that are named."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import rankdata

from ecg_advmask.ecg import shift
from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.ecg.shift import FEATURES, FEWEST_WINDOWS, Reference, Shift, two_sample_test

Array = np.ndarray[Any, Any]
RATE = 100.0
TOWARDS = np.array([0.9, 1.1, 0.3, -1.0, 0.3, 0.7, -0.7, -1.2, -0.3, 0.9, 1.2, 0.8])
"""How high a beat is in each lead, in mV."""


def windows(number: int, seed: int) -> Array:
    """Beats (number, 600, 12) at 100 Hz that differ in rate, height and noise, with another late wave in each lead."""
    rng = np.random.default_rng(seed)
    seconds = np.arange(600) / RATE
    phase = (seconds + rng.random((number, 1))) % rng.uniform(0.7, 1.1, (number, 1))
    beat, late = np.exp(-(((phase - 0.2) / 0.02) ** 2)), np.exp(-(((phase - 0.45) / 0.06) ** 2))
    heights = TOWARDS * rng.lognormal(0, 0.15, (number, 12))
    later = np.linspace(0.1, 0.4, 12) * rng.normal(1, 0.3, (number, 12))
    signals = beat[..., None] * heights[:, None] + late[..., None] * later[:, None]
    return np.asarray(signals + 0.02 * rng.normal(size=signals.shape), np.float32)


def exchanged(signals: Array, one: str, other: str) -> Array:
    order = list(STANDARD_LEADS)
    first, second = order.index(one), order.index(other)
    order[first], order[second] = other, one
    return signals[..., [STANDARD_LEADS.index(lead) for lead in order]]


def arms_exchanged(signals: Array) -> Array:
    """RA and LA: I turns over, II is III, aVR is aVL."""
    found = exchanged(exchanged(signals, "II", "III"), "aVR", "aVL")
    return found * np.where(np.array(STANDARD_LEADS) == "I", -1, 1).astype(np.float32)


def stretched(signals: Array) -> Array:
    """What comes of half the rate that the file should state."""
    half = signals[:, : signals.shape[1] // 2]
    between = (half + np.roll(half, -1, axis=1)) / 2
    return np.stack([half, between], axis=2).reshape(signals.shape)


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference.of(windows(100, 0), RATE)


def test_features_are_those_of_their_definitions() -> None:
    signals = windows(3, 5).astype(np.float64)
    found = dict(zip(FEATURES, Reference.of(signals, RATE).features.T, strict=True))
    for number, window in enumerate(signals):
        lead = {name: window[:, place] - window[:, place].mean() for place, name in enumerate(STANDARD_LEADS)}
        assert 10 ** found["amplitude of V2"][number] == pytest.approx(lead["V2"].std(), rel=5e-3)
        skewness = np.mean(lead["III"] ** 3) / lead["III"].std() ** 3
        assert found["skewness of III"][number] ** 3 == pytest.approx(skewness, rel=5e-3)
        correlation = np.corrcoef(lead["V1"], lead["V3"])[0, 1]
        assert np.tanh(found["correlation of V1 and V3"][number]) == pytest.approx(correlation, abs=2e-3)
        power = sum(np.abs(np.fft.rfft(one / one.std())) ** 2 for one in lead.values())
        share = sum(power[place] for place in range(len(power)) if 8 <= place / 6 < 12) / power.sum()
        assert 10 ** found["power from 8 to 12 Hz"][number] == pytest.approx(share, rel=5e-3)


def test_samples_of_one_distribution_are_two_sample_test_as_often_as_the_level_says() -> None:
    rng = np.random.default_rng(0)
    pool = rng.standard_t(3, size=(600, 4)) @ rng.normal(size=(4, 4))
    found = []
    for seed in range(200):
        drawn = pool[rng.permutation(len(pool))[:60]]
        found.append(two_sample_test(drawn[:40], drawn[40:], seed)[1])
    assert np.mean(np.array(found) <= 0.05) <= 0.09 and np.mean(np.array(found) <= 0.01) <= 0.03
    auroc, p = two_sample_test(pool[:40], pool[40:60] + 9)
    assert auroc > 0.9 and p == 1 / 200


def test_other_recordings_of_the_same_kind_do_not_differ(reference: Reference) -> None:
    found = reference.compare(windows(60, 1), RATE)
    assert not found.differs and found.lines() == [] and abs(found.auroc - 0.5) < 0.15


@pytest.mark.parametrize(
    ("mistake", "explanation"),
    [
        (lambda signals: signals * 2, "amplitudes times 0.5"),
        (lambda signals: signals * 1000, "amplitudes times 0.001"),
        (stretched, "a sampling rate times 2"),
        (arms_exchanged, "the electrodes RA and LA exchanged"),
        (lambda signals: exchanged(signals, "V1", "V2"), "V1 and V2 exchanged"),
        (lambda signals: -signals, "all leads inverted"),
    ],
)
def test_mistakes_are_found_and_named(mistake: Any, explanation: str, reference: Reference) -> None:
    found = reference.compare(mistake(windows(FEWEST_WINDOWS, 2)), RATE)
    assert found.differs and found.auroc > 0.9
    assert found.explanation == explanation and found.explained >= 0.75 and explanation in found.lines()[1]


def test_a_difference_that_no_mistake_explains_is_shown_by_its_features(reference: Reference) -> None:
    signals = windows(60, 3)
    louder = signals + 0.3 * np.random.default_rng(0).normal(size=signals.shape) * (np.arange(12) == 8)
    found = reference.compare(louder, RATE)
    assert found.differs and found.explanation == "" and len(found.lines()) == 1
    assert any("V3" in name for name, _, _ in found.features)


@pytest.mark.parametrize("mistake", ["none", "arms", "V1 V2", "rate", "gain"])
def test_mistakes_in_foreign_recordings_are_told_from_what_is_foreign(mistake: str, shared: Any) -> None:
    """LUDB, which the shipped encoder has not met, differs from its data as it is; that needs no explanation."""
    from ecg_advmask.ecg.sources import read_recordings
    from ecg_advmask.export.encoder import OnnxEncoder

    encoder = OnnxEncoder.from_pretrained("small")
    read = [
        one for number in range(1, 41) for one in read_recordings(shared / "data" / "ludb" / "data" / f"{number}.hea")
    ]
    signals = np.stack([one.signals_mv[::5] for one in read])
    planted = {"none": lambda x: x, "arms": arms_exchanged, "V1 V2": lambda x: exchanged(x, "V1", "V2")}
    planted |= {"rate": stretched, "gain": lambda x: x * 1000}
    assert encoder.reference is not None
    found = encoder.reference.compare(planted[mistake](signals), RATE)
    names = {"none": "", "arms": "the electrodes RA and LA exchanged", "V1 V2": "V1 and V2 exchanged"}
    names |= {"rate": "a sampling rate times 2", "gain": "amplitudes times 0.001"}
    assert found.differs and found.explanation == names[mistake]


def test_a_reference_is_kept_as_text(reference: Reference) -> None:
    np.testing.assert_array_equal(Reference.from_text(reference.text()).features, reference.features)
    for damaged in ("", "[]", '{"format": 2}', reference.text().replace("==", "").replace('"}', 'A"}'), "null"):
        with pytest.raises(ValueError):
            Reference.from_text(damaged)


def test_without_significance_there_is_no_warning() -> None:
    assert Shift(50, 0.7, 0.02).lines() == [] and len(Shift(50, 0.7, 0.01).lines()) == 1


def test_equal_values_have_their_mean_rank() -> None:
    values = np.random.default_rng(0).integers(0, 9, 50) / 3
    np.testing.assert_array_equal(shift._ranks(values), rankdata(values))
