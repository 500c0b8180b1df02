"""Windows: counted and timed at odd rates, padded, limited, refused and reported, each sample where it belongs."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ecg_advmask.ecg.leads import STANDARD_LEADS, twelve_from_eight
from ecg_advmask.ecg.quality import CHECKS
from ecg_advmask.ecg.recording import Recording
from ecg_advmask.ecg.signals import microvolts, resample
from ecg_advmask.ecg.sources import read_recordings
from ecg_advmask.ecg.windows import Windowing, cut, refusal
from ecg_advmask.errors import InputError


def noise_mv(samples: int, seed: int = 0) -> np.ndarray:
    """Noise that obeys Einthoven's law."""
    rng = np.random.default_rng(seed)
    return twelve_from_eight(rng.normal(0, 0.2, (samples, 8)).astype(np.float32))


def test_windows_follow_one_another_and_the_rest_is_left() -> None:
    signals = noise_mv(2599)
    found = cut(signals, 100, Windowing(100, 1000))
    assert [(window.index, window.start_s, window.valid_samples) for window in found.windows] == [
        (0, 0.0, 1000),
        (1, 10.0, 1000),
    ]
    np.testing.assert_array_equal(np.concatenate([window.signals_mv for window in found.windows]), signals[:2000])
    assert found.trailing_s == pytest.approx(5.99)
    assert (found.refused, found.beyond_limit) == ([], 0)


@pytest.mark.parametrize(
    ("from_hz", "seconds", "to_hz", "windows", "trailing_s"),
    [
        (257, 1800, 100, 180, 0.0),
        (500.5, 10, 500, 1, 0.0),
        (360.5, 30, 500, 3, 0.0),
        (128.3, 20, 500, 2, 0.0),
        (1000, 38.4, 500, 3, 8.4),
        (257, 19.99, 500, 1, 9.99),
        (333.333, 10, 500, 1, 0.0),
    ],
)
def test_odd_rates_give_the_windows_that_fit_in(
    from_hz: float, seconds: float, to_hz: int, windows: int, trailing_s: float
) -> None:
    signals = noise_mv(round(seconds * from_hz))
    found = cut(signals, from_hz, Windowing(to_hz, 10 * to_hz))
    assert [window.start_s for window in found.windows] == [10.0 * index for index in range(windows)]
    assert found.trailing_s == pytest.approx(trailing_s, abs=1 / from_hz)
    assert found.trailing_s >= 0
    resampled = resample(signals, from_hz, to_hz)
    for window in found.windows:
        start = 10 * to_hz * window.index
        np.testing.assert_array_equal(window.signals_mv, resampled[start : start + 10 * to_hz])


def test_cut_accounts_for_every_second() -> None:
    signals = noise_mv(3 * 2570 + 257)  # 31 s at 257 Hz
    signals[2600:2605, STANDARD_LEADS.index("V3")] = np.nan
    found = cut(signals, 257, Windowing(100, 1000))
    assert [window.index for window in found.windows] == [0, 2]
    assert found.refused == [(1, "finite: lead V3 has 5 missing or infinite samples")]
    assert 10 * 3 + found.trailing_s == pytest.approx(31.0, abs=0.01)


@pytest.mark.parametrize(("from_hz", "to_hz"), [(500, 100), (257, 500), (100, 500), (500, 500), (500.5, 257)])
def test_no_kept_window_holds_a_missing_sample(from_hz: float, to_hz: int) -> None:
    edge = math.ceil(2 * from_hz)
    for place in range(edge - 3, edge + 3):
        signals = noise_mv(round(6 * from_hz))
        signals[place, 7] = np.nan
        found = cut(signals, from_hz, Windowing(to_hz, 2 * to_hz))
        assert len(found.refused) >= 1
        assert len(found.windows) + len(found.refused) == 3
        assert all(np.isfinite(window.signals_mv).all() for window in found.windows)


def test_short_recordings_are_padded_with_the_mean_of_each_lead() -> None:
    signals = noise_mv(700) + np.linspace(-1, 1, 12, dtype=np.float32)
    found = cut(signals, 100, Windowing(100, 1000, shortest_samples=500))
    (window,) = found.windows
    assert (window.valid_samples, window.index, window.start_s, found.trailing_s) == (700, 0, 0.0, 0.0)
    assert window.signals_mv.shape == (1000, 12) and window.signals_mv.dtype == np.float32
    np.testing.assert_array_equal(window.signals_mv[:700], signals)
    means = signals.mean(axis=0, dtype=np.float64)
    np.testing.assert_allclose(window.signals_mv[700:], np.tile(means, (300, 1)), atol=1e-6)
    np.testing.assert_allclose(window.signals_mv.mean(axis=0, dtype=np.float64), means, atol=1e-6)
    assert len(np.unique(microvolts(window.signals_mv)[700:], axis=0)) == 1


@pytest.mark.parametrize(("before", "after"), [(0, 0), (48, 48), (600, 0), (0, 1200), (9, 9), (9, 40), (10, 10)])
def test_zeros_at_the_ends_are_no_recording(before: int, after: int) -> None:
    """From a tenth of a second on, at each end by itself; windows are where they are in the recording as it came."""
    signals = noise_mv(1000)
    signals[0], signals[-1] = 0, 0
    signals[0, 3] = signals[-1, 5] = 0.01
    signals[300:500] = 0
    padded = np.pad(signals, ((before, after), (0, 0)))
    cut_before, cut_after = (count if count >= 10 else 0 for count in (before, after))
    found = cut(padded, 100, Windowing(100, 500, refuse=()))
    start = before - cut_before
    expected = padded[cut_before : len(padded) - cut_after]
    assert start + 1000 <= len(expected) and found.zeros_s == pytest.approx((cut_before + cut_after) / 100)
    np.testing.assert_array_equal(found.windows[0].signals_mv, expected[:500])
    assert [window.start_s for window in found.windows[:2]] == pytest.approx([cut_before / 100, cut_before / 100 + 5])


def test_zeros_alone_are_a_flat_recording_and_zeros_of_some_leads_no_padding() -> None:
    found = cut(np.zeros((1000, 12), np.float32), 100, Windowing(100, 1000))
    assert (found.zeros_s, len(found.windows), len(found.refused)) == (0, 0, 1)
    signals = noise_mv(1000)
    signals[:50, :11] = 0
    assert cut(signals, 100, Windowing(100, 1000)).zeros_s == 0
    signals[:50] = np.nan
    assert cut(signals, 100, Windowing(100, 1000)).zeros_s == 0


def test_what_zeros_leave_may_be_too_short() -> None:
    with pytest.raises(InputError, match=r"4\.00 s without the 6\.00 s of zeros"):
        cut(np.pad(noise_mv(400), ((300, 300), (0, 0))), 100, Windowing(100, 1000, shortest_samples=500))


def test_a_padded_window_is_judged_by_its_own_samples_alone() -> None:
    signals = noise_mv(700)
    assert cut(signals, 100, Windowing(100, 1000, shortest_samples=500)).windows[0].reported == ()
    signals[100:230, 3] = 0.5
    found = cut(signals, 100, Windowing(100, 1000, shortest_samples=500))
    assert found.refused == [(0, "lead-off: lead aVR keeps one value for 1.3 s, longer than 1 s")]


def test_only_a_recording_shorter_than_a_window_is_padded() -> None:
    found = cut(noise_mv(1700), 100, Windowing(100, 1000, shortest_samples=500))
    assert [window.valid_samples for window in found.windows] == [1000]
    assert found.trailing_s == pytest.approx(7)


@pytest.mark.parametrize(
    ("samples", "shortest", "message"),
    [
        (4990, None, "length: 9.98 s, shorter than a window of 10 s"),
        (4995, None, "length: 9.99 s, shorter than a window of 10 s"),
        (2100, 500, "length: 4.20 s, shorter than the least of 5 s"),
        (2495, 500, "length: 4.99 s, shorter than the least of 5 s"),
        (0, 1, "length: 0.00 s, shorter than the least of 0.01 s"),
    ],
)
def test_recordings_that_are_too_short_are_refused_with_their_length(
    samples: int, shortest: int | None, message: str
) -> None:
    with pytest.raises(InputError) as raised:
        cut(noise_mv(samples), 500, Windowing(100, 1000, shortest))
    assert str(raised.value) == message


def test_a_recording_that_reaches_the_last_sample_of_a_window_fills_it() -> None:
    assert len(cut(noise_mv(4996), 500, Windowing(100, 1000)).windows) == 1  # both end at 9.99 s
    with pytest.raises(InputError, match=r"length: 9\.99 s"):
        cut(noise_mv(4995), 500, Windowing(100, 1000))


@pytest.mark.parametrize(
    ("most", "kept"), [(1, [5]), (2, [2, 8]), (3, [1, 5, 8]), (4, [1, 3, 6, 9]), (10, None), (99, None)]
)
def test_a_limit_keeps_windows_spread_over_those_that_pass(most: int, kept: list[int] | None) -> None:
    signals = noise_mv(11 * 200)
    signals[4 * 200 + 7, 0] = np.inf  # window 4 is refused: ten pass
    found = cut(signals, 100, Windowing(100, 200, most_windows=most))
    passing = [0, 1, 2, 3, 5, 6, 7, 8, 9, 10]
    indices = [window.index for window in found.windows]
    assert len(indices) == min(most, 10) and found.beyond_limit == 10 - len(indices)
    if kept is None:
        assert indices == passing
    else:
        centres = [(place + 0.5) * 10 / most for place in range(most)]
        assert indices == [passing[math.floor(centre)] for centre in centres]
    assert [index for index, _ in found.refused] == [4]


def test_what_does_not_refuse_is_reported_in_the_order_of_the_checks() -> None:
    signals = noise_mv(1000)
    signals[:, 2] += noise_mv(1000, seed=1)[:, 2]  # III on its own
    signals[200:350, 9] = 0.1
    default = cut(signals, 100, Windowing(100, 1000))
    assert default.refused[0][1].startswith("lead-off: lead V4 keeps one value for 1.5 s")
    lenient = cut(signals, 100, Windowing(100, 1000, refuse=("flat",)))
    assert lenient.windows[0].reported == ("lead-off", "einthoven")
    strict = cut(signals, 100, Windowing(100, 1000, refuse=("einthoven",)))
    assert strict.refused[0][1].startswith("einthoven: III = II - I does not hold")
    signals[200:350, 9] = noise_mv(150, seed=2)[:, 9]
    assert cut(signals, 100, Windowing(100, 1000)).windows[0].reported == ("einthoven",)


@pytest.mark.parametrize("value", [np.nan, -np.inf, 33.0, -32.768])
def test_samples_that_cannot_be_stored_refuse_in_any_case(value: float) -> None:
    signals = noise_mv(1000)
    signals[500, 5] = value
    found = cut(signals, 100, Windowing(100, 1000, refuse=()))
    assert found.windows == []
    assert found.refused[0][1].startswith("amplitude: lead aVF" if np.isfinite(value) else "finite: lead aVF")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("from_hz", [100, 500])
def test_values_at_the_end_of_float32_are_refused_without_a_warning(from_hz: int) -> None:
    signals = noise_mv(10 * from_hz)
    signals[300:600:2, 1], signals[301:600:2, 1] = 3.4e38, -3.4e38
    (reason,) = [reason for _, reason in cut(signals, from_hz, Windowing(100, 1000)).refused]
    assert reason.startswith("amplitude: lead II reaches ")
    assert set(microvolts(signals)[300:600, 1]) == {-32768}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"refuse": ("flat", "nonsense")}, f"no check is named nonsense, the checks are {', '.join(CHECKS)}"),
        ({"window_samples": 0}, "window: 0 samples"),
        ({"shortest_samples": 1001}, "shortest recording: 1001 samples, must be 1 to 1000"),
        ({"shortest_samples": 0}, "shortest recording: 0 samples"),
        ({"most_windows": 0}, "windows per recording: 0"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Windowing(**({"sampling_rate_hz": 100, "window_samples": 1000} | settings))


def test_real_recordings_keep_their_values_in_windows(shared) -> None:
    from ecg_advmask.ecg.wfdb import read_wfdb

    headers = sorted((shared / "data/cinc2021/training").rglob("*.hea"))[::200]
    assert headers
    for header in headers:
        recording = read_wfdb(header)
        rate, signals = recording.sampling_rate_hz, recording.signals_mv
        windowing = Windowing(rate, int(2.5 * rate), refuse=())
        found = cut(signals, rate, windowing)
        indices = [window.index for window in found.windows] + [index for index, _ in found.refused]
        assert sorted(indices) == list(range(len(signals) // windowing.window_samples))
        for window in found.windows:
            start = round(window.start_s * rate)
            np.testing.assert_array_equal(window.signals_mv, signals[start : start + windowing.window_samples])


@pytest.mark.parametrize(
    ("factor", "whole", "assumed", "hinted"),
    [
        (1000, True, "mV", True),
        (50, True, "mV", True),  # few beyond 20 mV, but whole numbers
        (5000, False, "mV", True),
        (50, False, "mV", False),
        (1000, True, "", False),  # the file states its unit
        (1000, True, "uV", False),
        (1000, True, "1e-3V", True),
    ],
)
def test_microvolts_taken_for_millivolts_are_suspected(factor: float, whole: bool, assumed: str, hinted: bool) -> None:
    signals = (factor * np.sin(np.arange(1000)[:, None] ** 1.5 + np.arange(12)) ** 9).astype(np.float32)
    signals = np.rint(signals) if whole else signals
    pieces = cut(signals, 500, Windowing(500, 500))
    reason = refusal(Recording("a", signals, 500, assumed_unit=assumed), pieces)
    assert reason.startswith("amplitude: ") and ("--source-unit uV" in reason) is hinted


def test_other_refusals_come_without_a_hint() -> None:
    signals = np.zeros((1000, 12), np.float32)
    pieces = cut(signals, 500, Windowing(500, 500))
    assert refusal(Recording("a", signals, 500, assumed_unit="mV"), pieces) == pieces.refused[0][1]


def test_readers_say_where_a_unit_was_assumed(tmp_path: Path, write_wfdb: Callable[..., Path]) -> None:
    values = np.random.default_rng(0).integers(-900, 900, (30, 12)).astype(np.int16)
    rows = "".join(",".join(map(str, row)) + "\n" for row in values)
    (tmp_path / "none.csv").write_text(",".join(STANDARD_LEADS) + "\n" + rows)
    (tmp_path / "names.csv").write_text(",".join(f"{lead} (uV)" for lead in STANDARD_LEADS) + "\n" + rows)
    (tmp_path / "row.csv").write_text(",".join(STANDARD_LEADS) + "\n" + ",".join(["uV"] * 12) + "\n" + rows)
    np.savez(tmp_path / "plain.npz", signals=values)
    np.savez(tmp_path / "stated.npz", signals=values, unit="uV")
    np.savez(tmp_path / "named.npz", signals=values, leads=[f"{lead} (uV)" for lead in STANDARD_LEADS])
    write_wfdb(tmp_path / "header.hea", values)
    found = {one.record_id: one for one in read_recordings(tmp_path, sampling_rate_hz=500)}
    assumed = {name: one.assumed_unit for name, one in found.items() if isinstance(one, Recording)}
    assert assumed == {
        **dict.fromkeys(("none", "plain"), "mV"),
        **dict.fromkeys(("names", "row", "stated", "named", "header"), ""),
    }
