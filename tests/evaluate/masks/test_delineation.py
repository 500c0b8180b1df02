"""The delineator: on a signal whose waves are known, and on LUDB against the cardiologists' marks."""

import numpy as np
import pytest

from ecg_advmask.ecg import annotations
from ecg_advmask.ecg.annotations import PARTS, UNKNOWN, parts_at
from ecg_advmask.ecg.signals import resample
from ecg_advmask.ecg.wfdb import read_wfdb
from ecg_advmask.evaluate.masks.delineation import DelineationError, delineate

pytest.importorskip("neurokit2")

RATE_HZ = 100


def beats(p_spread_s=0.0, seed=0):
    """Ten seconds of P, QRS and T as Gaussians on twelve leads; each lead's P at a time of its own where asked for."""
    rng = np.random.default_rng(seed)
    seconds = np.arange(10 * RATE_HZ) / RATE_HZ
    peaks_s = np.arange(0.5, 9.8, 0.8)
    signals_mv = rng.normal(scale=0.004, size=(len(seconds), 12))
    for lead in range(12):
        for peak_s in peaks_s:
            early = rng.uniform(-p_spread_s, p_spread_s)
            for centre_s, width_s, height_mv in ((-0.16 + early, 0.02, 0.15), (0, 0.012, 1.0), (0.26, 0.04, 0.3)):
                signals_mv[:, lead] += height_mv * np.exp(-0.5 * ((seconds - peak_s - centre_s) / width_s) ** 2)
    return signals_mv, peaks_s


def test_the_waves_of_a_known_signal_are_found_where_they_are():
    signals_mv, peaks_s = beats()
    marks = delineate(signals_mv, RATE_HZ)
    for name, centre_s, half_width_s in (("P", -0.16, 0.06), ("QRS", 0.0, 0.04), ("T", 0.26, 0.11)):
        found = [wave for wave in marks.waves if wave.name == name]
        assert len(found) >= len(peaks_s) - 2
        for wave in found:
            peak_s = peaks_s[np.abs(peaks_s + centre_s - (wave.onset_s + wave.end_s) / 2).argmin()]
            assert wave.onset_s == pytest.approx(peak_s + centre_s - half_width_s, abs=0.04)
            assert wave.end_s == pytest.approx(peak_s + centre_s + half_width_s, abs=0.04)
    assert marks.first_s == marks.waves[0].onset_s and marks.last_s == max(wave.end_s for wave in marks.waves)


def test_p_waves_on_whose_time_the_leads_disagree_do_not_count():
    signals_mv, _ = beats(p_spread_s=0.09)
    names = [wave.name for wave in delineate(signals_mv, RATE_HZ).waves]
    assert names.count("P") < 0.5 * names.count("QRS") and names.count("T") >= names.count("QRS") - 1


def test_the_result_does_not_depend_on_the_order_of_leads_that_count_alike_nor_on_the_unit():
    signals_mv, _ = beats(seed=1)
    swapped = signals_mv[:, [0, 1, 2, 3, 4, 5, 11, 10, 9, 8, 7, 6]]
    assert delineate(swapped, RATE_HZ) == delineate(signals_mv, RATE_HZ)
    scaled = delineate(signals_mv * 2, RATE_HZ)
    assert np.allclose([wave[1:] for wave in scaled.waves], [wave[1:] for wave in delineate(signals_mv, RATE_HZ).waves])


@pytest.mark.parametrize("signals_mv", [np.zeros((1000, 12)), beats()[0][:60], np.full((1000, 12), np.nan)])
def test_a_signal_without_beats_is_refused_with_a_reason(signals_mv):
    with pytest.raises(DelineationError, match=r"beats found|NeuroKit2 failed"):
        delineate(signals_mv, RATE_HZ)


@pytest.mark.slow
@pytest.mark.parametrize("every", [20, pytest.param(3, marks=pytest.mark.exhaustive)])
def test_on_real_recordings_it_is_near_the_hand_marks(shared, every):
    """Recordings of LUDB at 100 Hz: edges of QRS within 40 ms in nine of ten, and samples mostly agree."""
    offsets_s, agree, marked, found = [], np.zeros(4), np.zeros(4), np.zeros(4)
    headers = sorted((shared / "data" / "ludb" / "data").glob("*.hea"))[::every]
    for header in headers:
        recording = read_wfdb(header)
        signals_mv = resample(recording.signals_mv, recording.sampling_rate_hz, RATE_HZ)
        machine = delineate(signals_mv, RATE_HZ)
        times_s = np.arange(len(signals_mv)) / RATE_HZ
        edges_s = np.array([wave[1:] for wave in machine.waves if wave.name == "QRS"])
        for hand in annotations.read_marks(header):
            qrs = np.array([wave[1:] for wave in hand.waves if wave.name == "QRS"])
            distances = edges_s[None, :, :] - qrs[:, None, :]  # (by hand, by machine, onset and end)
            offsets_s.append(np.abs(distances).min(axis=1))
            truth, guess = parts_at(hand, times_s), parts_at(machine, times_s)
            known = (truth != UNKNOWN) & (guess != UNKNOWN)
            for code in range(len(PARTS)):
                agree[code] += (known & (truth == code) & (guess == code)).sum()
                marked[code] += (known & (truth == code)).sum()
                found[code] += (known & (guess == code)).sum()
    onsets, ends = (np.concatenate(offsets_s) <= 0.04).mean(axis=0)
    assert onsets > 0.9 and ends > 0.85
    dice = dict(zip(PARTS, 2 * agree / (marked + found), strict=True))
    assert dice["QRS"] > 0.8 and dice["P"] > 0.65 and dice["T"] > 0.75, dice
