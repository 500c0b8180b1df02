"""Checks: their sentences, both sides of every threshold, slow loops beside the measures, damage to real recordings."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ecg_advmask.ecg.leads import STANDARD_LEADS, twelve_from_eight
from ecg_advmask.ecg.quality import ALWAYS_REFUSED, CHECKS, REFUSED, Span
from ecg_advmask.ecg.wfdb import read_wfdb

RATE_HZ = 500


def noise_mv(samples: int = 5000, seed: int = 0) -> np.ndarray:
    """Noise that obeys Einthoven's law, leads first."""
    rng = np.random.default_rng(seed)
    return twelve_from_eight(rng.normal(0, 0.2, (samples, 8))).astype(np.float32).T.copy()


def span(leads_mv: np.ndarray, rate_hz: float = RATE_HZ) -> Span:
    return Span(leads_mv, rate_hz, leads_mv)


def failing(leads_mv: np.ndarray, rate_hz: float = RATE_HZ) -> dict[str, list[str]]:
    found = {name: check.find(span(leads_mv, rate_hz)) for name, check in CHECKS.items()}
    return {name: sentences for name, sentences in found.items() if sentences}


def test_checks_are_named_in_order_and_refuse_unless_einthoven() -> None:
    assert list(CHECKS) == ["finite", "amplitude", "flat", "lead-off", "clipped", "einthoven"]
    assert REFUSED == ("finite", "amplitude", "flat", "lead-off", "clipped")
    assert set(ALWAYS_REFUSED) <= set(REFUSED)
    assert all(name == check.name and check.meaning.endswith(".") for name, check in CHECKS.items())
    assert CHECKS["amplitude"].threshold <= 32.767  # the most that 16-bit microvolts hold


def test_noise_passes_every_check() -> None:
    assert failing(noise_mv()) == {}


def test_missing_and_infinite_samples_are_counted() -> None:
    leads = noise_mv()
    leads[8, 10:15], leads[0, 3], leads[0, 4] = np.nan, np.inf, -np.inf
    assert CHECKS["finite"].find(span(leads)) == [
        "lead I has 2 missing or infinite samples",
        "lead V3 has 5 missing or infinite samples",
    ]


def test_amplitude_holds_before_and_after_resampling() -> None:
    leads, larger = noise_mv(), noise_mv()
    leads[11, 7], larger[11, 7] = -20.0, -20.01
    check = CHECKS["amplitude"]
    assert check.find(span(leads)) == []
    message = ["lead V6 reaches 20.01 mV, more than 20 mV"]
    assert check.find(span(larger)) == check.find(Span(leads, RATE_HZ, larger)) == message


def test_flat_means_a_deviation_below_one_microvolt() -> None:
    leads = noise_mv()
    leads[2] = 0.5 + 0.0009 * np.resize([-1, 1], 5000)
    message = "lead III is flat, its deviation 0.9 uV is below 1 uV"
    assert failing(leads)["flat"] == [message]
    leads[2] = 0.5 + 0.0011 * np.resize([-1, 1], 5000)
    assert "flat" not in failing(leads)


@pytest.mark.parametrize("start", [0, 1234, 5000 - 501])
def test_lead_off_is_one_value_for_more_than_a_second(start: int) -> None:
    leads = noise_mv()
    leads[7, start : start + 500] = 0.31
    assert failing(leads) == {}
    leads[7, start : start + 501] = 0.31
    assert failing(leads) == {"lead-off": ["lead V2 keeps one value for 1.002 s, longer than 1 s"]}


def test_a_lead_that_is_constant_throughout_is_flat_and_nothing_else() -> None:
    leads = noise_mv()
    leads[10] = -0.7
    assert list(failing(leads)) == ["flat"]


def saturated(beats: int, held: int) -> np.ndarray:
    """Leads of which V5 is held ``held`` samples at +3 mV in every one of its beats."""
    leads = noise_mv()
    for beat in range(beats):
        leads[10, 100 + 400 * beat : 100 + 400 * beat + held] = 3
    return leads


def test_clipped_is_the_share_at_the_extremes_without_the_longest_stretch() -> None:
    message = ["lead V5 is held at its own extremes for 0.6 % of the time, more than 0.5 %"]
    assert failing(saturated(beats=4, held=10)) == {"clipped": message}  # three of four stretches of 10 samples
    assert failing(saturated(beats=6, held=5)) == {}  # 0.5 % is not more than 0.5 %
    upside_down = -saturated(beats=4, held=10)
    assert failing(upside_down) == {"clipped": message}


def test_what_only_looks_clipped_passes() -> None:
    assert failing(saturated(beats=12, held=4)) == {}  # flat tops of 8 ms
    assert failing(saturated(beats=1, held=400)) == {}  # one plateau
    coarse = noise_mv()
    coarse[10] = np.repeat(np.random.default_rng(1).integers(0, 2, 500) * 0.02, 10)  # baseline of two steps ...
    coarse[10, ::450] = 1.5  # ... and upright beats: its least value is its baseline
    assert failing(coarse) == {}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda leads: leads[[1, 0, 2, *range(3, 12)]], "III = II - I does not hold"),
        (lambda leads: leads * np.where(np.arange(12) == 3, -1, 1)[:, None], "aVR = -(I + II)/2 does not hold"),
        (lambda leads: leads * np.where(np.arange(12) == 4, 1.2, 1)[:, None], "aVL = (I - III)/2 does not hold"),
        (lambda leads: np.concatenate([leads[:5], np.roll(leads[5:6], 5), leads[6:]]), "aVF = (II + III)/2 does not"),
    ],
)
def test_einthoven_finds_swapped_turned_scaled_and_late_leads(damage, message: str) -> None:
    leads = damage(noise_mv()).astype(np.float32)
    (name,) = failing(leads)
    assert name == "einthoven"
    assert message in " ".join(failing(leads)[name])
    assert "uV is more than 10 uV" in failing(leads)[name][0]


def test_einthoven_forgives_rounding_and_offsets_and_not_more() -> None:
    rounded = np.round(noise_mv() / 0.0049) * 0.0049  # steps of 4.9 uV
    offset = rounded + np.linspace(-1, 1, 12)[:, None]
    assert failing(offset.astype(np.float32)) == {}
    for residual_uv, fails in [(9.9, False), (10.1, True)]:
        leads = noise_mv()
        leads[3] += residual_uv / 1000 * np.resize([-1, 1], 5000)
        assert ("einthoven" in failing(leads)) == fails


@pytest.mark.parametrize("rate_hz", [100, 257, 500, 1000])
def test_measures_agree_with_slow_loops(rate_hz: int) -> None:
    rng = np.random.default_rng(rate_hz)
    for seed in range(20):  # few levels, so that plateaus and extremes of all lengths occur
        levels = rng.integers(-2, 3, (12, 400)) * rng.choice([0.0, 0.01, 0.5], (12, 1))
        leads = np.repeat(levels, rng.integers(1, rate_hz // 20), axis=1).astype(np.float32)
        leads[:, :: 1 + seed] += np.float32(0.003) * rng.integers(0, 2, (12, 1))
        assert_as_slow(leads, rate_hz)


def assert_as_slow(leads: np.ndarray, rate_hz: float) -> None:
    """The measures of all leads against loops over their samples."""
    slow = np.array([slow_measures(lead.tolist(), rate_hz) for lead in leads])
    for column, name in enumerate(["flat", "lead-off", "clipped"]):
        measured = CHECKS[name].measure(span(leads, rate_hz))
        np.testing.assert_allclose(measured, slow[:, column], rtol=1e-5, atol=1e-2 if name == "flat" else 1e-9)


def slow_measures(lead: list[float], rate_hz: float) -> tuple[float, float, float]:
    """Deviation in uV, longest constant stretch in s, percent of the time clipped."""
    mean = sum(lead) / len(lead)
    deviation = (sum((sample - mean) ** 2 for sample in lead) / len(lead)) ** 0.5
    plateaus = [(value, len(list(group))) for value, group in itertools.groupby(lead)]
    longest = max(length for _, length in plateaus) if len(plateaus) > 1 else 0
    low, high, held = min(lead), max(lead), 0
    ordered = sorted(lead)
    median = (ordered[(len(lead) - 1) // 2] + ordered[len(lead) // 2]) / 2
    for extreme in {low, high} if low < high else {}:
        long = sorted(n for value, n in plateaus if value == extreme and n >= 3 and n / rate_hz >= 0.01)
        if abs(extreme - median) >= (high - low) / 4:
            held += sum(long[:-1])
    return 1000 * deviation, longest / rate_hz, 100 * held / len(lead)


@pytest.fixture(scope="module")
def real(shared: Path) -> list[tuple[np.ndarray, float]]:
    """Up to 10 s of some forty real recordings, leads first, and their rates."""
    headers = sorted((shared / "data/cinc2021/training").rglob("*.hea"))[::80]
    headers += sorted((shared / "data/ludb").rglob("*.hea"))[::20]
    recordings = [read_wfdb(header) for header in headers]
    rates = [recording.sampling_rate_hz for recording in recordings]
    return [
        (np.ascontiguousarray(recording.signals_mv[: int(10 * rate)].T), rate)
        for recording, rate in zip(recordings, rates, strict=True)
    ]


def sound(real: list[tuple[np.ndarray, float]]) -> Iterator[tuple[np.ndarray, float]]:
    """The recordings that pass every check that refuses."""
    for leads, rate_hz in real:
        if not set(failing(leads, rate_hz)) & set(REFUSED):
            yield leads.copy(), rate_hz


def test_measures_of_real_recordings_agree_with_slow_loops(real: list[tuple[np.ndarray, float]]) -> None:
    for leads, rate_hz in real[::4]:
        if np.isfinite(leads).all():
            assert_as_slow(leads, rate_hz)


def test_an_electrode_that_comes_off_is_found_in_every_real_recording(real: list[tuple[np.ndarray, float]]) -> None:
    found = []
    for leads, rate_hz in sound(real):
        start, end = int(2 * rate_hz), int(4 * rate_hz)
        leads[8, start:end] = leads[8, start]
        found.append(failing(leads, rate_hz)["lead-off"][0].startswith("lead V3 keeps one value for 2"))
    assert found and all(found)


def test_leads_of_real_recordings_cut_off_at_half_their_size_are_found(real: list[tuple[np.ndarray, float]]) -> None:
    clipped = []
    for leads, rate_hz in sound(real):
        if rate_hz < 500:  # at 100 Hz a saturated wave is a sample or two
            continue
        centre = np.median(leads, axis=1, keepdims=True)
        size = np.abs(leads - centre).max(axis=1, keepdims=True) / 2
        cut_off = np.clip(leads, centre - size, centre + size).astype(np.float32)
        clipped.append(np.mean(CHECKS["clipped"].measure(span(cut_off, rate_hz)) > CHECKS["clipped"].threshold))
    if not clipped:
        pytest.skip("no recordings at 500 Hz or more")
    assert np.mean(clipped) > 0.75


def test_parts_named_in_sentences_are_the_standard_leads() -> None:
    leads = np.full((12, 1000), np.nan, np.float32)
    sentences = CHECKS["finite"].find(span(leads))
    assert [sentence.split()[1] for sentence in sentences] == list(STANDARD_LEADS)
