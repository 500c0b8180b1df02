"""Generated recordings: physiology, truth, noise, and both layouts as their readers see them."""

import dataclasses
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
import wfdb

from ecg_advmask.data import cinc2021
from ecg_advmask.data.archives import open_source
from ecg_advmask.ecg.leads import STANDARD_LEADS, leads_from_heart_vector
from ecg_advmask.errors import InputError
from ecg_advmask.synthetic import archive as archives
from ecg_advmask.synthetic.archive import LAYOUTS, generate, write_archive
from ecg_advmask.synthetic.noise import Noise, electrode_noise_mv, independent_leads
from ecg_advmask.synthetic.recording import GeneratedRecording, draw_recording
from ecg_advmask.synthetic.rhythm import RHYTHMS, Rhythm, atrial_vector_mv
from ecg_advmask.synthetic.sources import DIAGNOSTICS_COLUMNS, SOURCES, Source, index_of, place_of
from ecg_advmask.synthetic.subject import Subject, draw_subject, electrical_axis_deg, qrs_duration_s

RHYTHM = {rhythm.acronym: rhythm for rhythm in RHYTHMS}
LEAD = {name: column for column, name in enumerate(STANDARD_LEADS)}
SILENCE = Noise()


def record(
    rhythm: str, seed: int, noise: Noise | None = SILENCE, **settings: float
) -> tuple[Subject, GeneratedRecording]:
    rng = np.random.default_rng(seed)
    subject = draw_subject(rng, RHYTHM[rhythm])
    return subject, draw_recording(subject, rng, noise=noise, **settings)


def average_subject(rhythm: Rhythm) -> Subject:
    """The mean of many men, so that chance in single people does not decide a test of the common shape."""
    rng = np.random.default_rng(0)
    men = [subject for subject in (draw_subject(rng, rhythm) for _ in range(300)) if subject.sex == "male"]
    means = {name: np.mean([getattr(man, name) for man in men], axis=0) for name in ("centres_s", "widths_s")}
    return dataclasses.replace(men[0], amplitudes_mv=np.mean([man.amplitudes_mv for man in men], axis=0), **means)


def band_energy(signal: np.ndarray, rate_hz: float, low_hz: float, high_hz: float) -> float:
    frequency_hz = np.fft.rfftfreq(len(signal), 1 / rate_hz)
    power = np.abs(np.fft.rfft(signal - signal.mean())) ** 2
    return float(power[(frequency_hz >= low_hz) & (frequency_hz <= high_hz)].sum() / power.sum())


@pytest.mark.parametrize("rhythm", RHYTHM)
def test_limb_leads_obey_einthoven_and_goldberger(rhythm: str) -> None:
    x = record(rhythm, 1, noise=None)[1].signals_mv
    i, ii = x[:, 0], x[:, 1]
    assert x.dtype == np.float32
    assert x.shape == (5000, 12)
    np.testing.assert_array_equal(x[:, 2], ii - i)
    np.testing.assert_array_equal(x[:, 3], -(i + ii) / 2)
    np.testing.assert_array_equal(x[:, 4], i - ii / 2)
    np.testing.assert_array_equal(x[:, 5], ii - i / 2)


def test_average_heart_looks_normal_in_twelve_leads() -> None:
    recording = draw_recording(average_subject(RHYTHM["SR"]), np.random.default_rng(0), noise=SILENCE)
    spans = {wave.name: wave for wave in recording.waves if 3 < wave.onset_s < 4.2}
    cut = {name: slice(round(wave.onset_s * 500), round(wave.end_s * 500)) for name, wave in spans.items()}
    x = recording.signals_mv
    high = {wave: x[where].max(axis=0) for wave, where in cut.items()}
    low = {wave: x[where].min(axis=0) for wave, where in cut.items()}
    for lead in ("I", "II", "V4", "V5", "V6"):
        for wave in ("P", "QRS", "T"):
            assert high[wave][LEAD[lead]] > 2 * -low[wave][LEAD[lead]], f"{wave} is not upright in {lead}"
    for wave in ("P", "QRS", "T"):
        assert -low[wave][LEAD["aVR"]] > 3 * high[wave][LEAD["aVR"]]
    r, s = high["QRS"], -low["QRS"]
    ratio = [r[LEAD[lead]] / s[LEAD[lead]] for lead in ("V1", "V2", "V3", "V4")]
    assert ratio == sorted(ratio), "R does not grow against S from V1 to V4"
    assert 0.1 < r[LEAD["V1"]] < 0.6 * s[LEAD["V1"]]
    assert 0.8 < r[LEAD["V5"]] < 2.2
    assert 0.05 < high["P"][LEAD["II"]] < 0.25
    assert 0.1 < high["T"][LEAD["V5"]] < 0.8
    assert x[cut["P"].start : cut["P"].start + 15, LEAD["V1"]].max() > 0.005 > -0.005 > low["P"][LEAD["V1"]]


def test_intervals_and_axes_are_those_of_adults() -> None:
    people = [record("SR", seed) for seed in range(120)]
    qrs_ms = np.array([1000 * qrs_duration_s(subject) for subject, _ in people])
    axis_deg = np.array([electrical_axis_deg(subject, "QRS") for subject, _ in people])
    pr_ms = []
    for _, recording in people:
        p, qrs = (next(w for w in recording.waves if w.name == name and w.onset_s > 1.5) for name in ("P", "QRS"))
        pr_ms.append(1000 * ((qrs.onset_s - p.onset_s) % (60 / recording.heart_rate_bpm)))
    assert 80 < qrs_ms.mean() < 100
    assert qrs_ms.max() < 120
    assert 20 < axis_deg.mean() < 65
    assert np.mean((axis_deg > -30) & (axis_deg < 90)) > 0.9
    assert 130 < np.mean(pr_ms) < 180


def test_qt_shortens_as_the_label_table_says() -> None:
    """Mean QT of Chapman-Shaoxing: 433 ms in SB, 386 ms in SR, 320 ms in GSVT."""
    for rhythm, expected_ms, mean_bpm in (("SB", 433, 55), ("SR", 386, 75), ("ST", 335, 111)):
        recordings = [record(rhythm, seed)[1] for seed in range(60)]
        assert np.mean([recording.heart_rate_bpm for recording in recordings]) == pytest.approx(mean_bpm, abs=3)
        assert 1000 * np.mean([recording.qt_s for recording in recordings]) == pytest.approx(expected_ms, abs=18)


@pytest.mark.parametrize("rhythm", [r.acronym for r in RHYTHMS if r.atria not in ("fibrillation", "flutter")])
def test_regular_rhythms_keep_to_their_rates(rhythm: str) -> None:
    low, high = RHYTHM[rhythm].rate_bpm[2:]
    rates = [record(rhythm, seed)[1].heart_rate_bpm for seed in range(40)]
    # Part of a breath remains in the mean of ten seconds.
    assert low * 0.96 < min(rates)
    assert max(rates) < high * 1.04


@pytest.mark.slow
def test_classes_differ_in_rate() -> None:
    rates = {name: [record(name, seed)[1].heart_rate_bpm for seed in range(60)] for name in ("SB", "SR", "ST", "SVT")}
    assert max(rates["SB"]) < 60 < min(rates["SR"])
    assert max(rates["SR"]) < 100 < min(rates["ST"])
    assert min(rates["SVT"]) > 125


@pytest.mark.slow
def test_fibrillation_is_irregular_at_a_plausible_rate() -> None:
    gaps = {
        rhythm: [np.diff(record(rhythm, seed, duration_s=20.0)[1].r_peaks_s) for seed in range(40)]
        for rhythm in ("AFIB", "SR", "SA", "SVT")
    }
    afib, sinus, arrhythmia, svt = (np.array([gap.std() / gap.mean() for gap in of_one]) for of_one in gaps.values())
    assert afib.min() > 0.08
    assert 0.15 < afib.mean() < 0.27
    assert sinus.max() < 0.06
    assert 0.06 < arrhythmia.mean() < 0.16
    assert svt.max() < 0.01
    rates = np.array([record("AFIB", seed)[1].heart_rate_bpm for seed in range(100)])
    assert np.mean((rates > 55) & (rates < 155)) > 0.97
    assert 85 < rates.mean() < 108
    # Irregularly irregular: an interval says nothing about the next one.
    pairs = np.concatenate([np.stack([gap[:-1], gap[1:]], axis=1) / gap.mean() for gap in gaps["AFIB"]])
    assert abs(np.corrcoef(pairs.T)[0, 1]) < 0.12


def test_flutter_conducts_at_multiples_of_its_cycle() -> None:
    for seed in range(15):
        recording = record("AF", seed)[1]
        cycles = np.diff(recording.r_peaks_s) * recording.atrial_rate_bpm / 60
        np.testing.assert_allclose(cycles, np.rint(cycles), atol=1e-6)
        assert set(np.rint(cycles).astype(int)) <= {2, 3, 4}
        assert 250 <= recording.atrial_rate_bpm <= 320


def test_only_rhythms_with_a_p_wave_have_one() -> None:
    def names(rhythm: str) -> list[str]:
        return [wave.name for wave in record(rhythm, 3)[1].waves]

    for rhythm in ("SR", "SB", "ST", "SA", "AT", "SAAWR"):
        assert abs(names(rhythm).count("P") - names(rhythm).count("QRS")) <= 1
    for rhythm in ("AFIB", "AF", "SVT", "AVNRT", "AVRT"):
        assert names(rhythm).count("P") == 0
        assert names(rhythm).count("QRS") > 8


def test_p_wave_is_in_the_signal_of_sinus_rhythm_and_not_of_svt() -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        sinus = draw_subject(rng, RHYTHM["SR"])
        still = dataclasses.replace(sinus, rhythm=dataclasses.replace(RHYTHM["SR"], atria="hidden"))
        with_p = draw_recording(sinus, np.random.default_rng(99), noise=SILENCE)
        without = draw_recording(still, np.random.default_rng(99), noise=SILENCE)
        inside = np.zeros(5000, dtype=bool)
        for wave in with_p.waves:
            if wave.name == "P":
                inside[round(wave.onset_s * 500) : round(wave.end_s * 500)] = True
        difference = (with_p.signals_mv - without.signals_mv)[:, LEAD["II"]].astype(np.float64)
        assert np.sum(difference[inside] ** 2) > 0.995 * np.sum(difference**2) > 0


def test_fibrillation_waves_lie_between_four_and_nine_hertz_and_show_best_in_v1_and_ii() -> None:
    """The atria alone, since QRS and T share the band."""
    time_s = np.arange(5000) / 500
    size = np.zeros(12)
    for seed in range(30):
        rng = np.random.default_rng(seed)
        vector_mv = atrial_vector_mv(RHYTHM["AFIB"], time_s, rng.uniform(4.8, 8.2), rng)
        x = leads_from_heart_vector(vector_mv)
        assert band_energy(x[:, LEAD["V1"]], 500, 3.5, 9.5) > 0.7
        assert 0.02 < np.ptp(x[:, LEAD["V1"]]) < 0.5
        size += x.std(axis=0)
    assert min(size[LEAD["V1"]], size[LEAD["II"]]) > 1.4 * max(size[LEAD["I"]], size[LEAD["V5"]], size[LEAD["V6"]])
    assert not atrial_vector_mv(RHYTHM["SR"], time_s, 0.0, np.random.default_rng(0)).any()


@pytest.mark.parametrize("rhythm", ["SR", "SB", "ST", "AFIB", "SVT"])
def test_truth_contains_the_peaks_and_orders_the_waves(rhythm: str) -> None:
    for seed in range(8):
        recording = record(rhythm, seed)[1]
        complexes = [wave for wave in recording.waves if wave.name == "QRS"]
        for peak_s in recording.r_peaks_s:
            around = [wave for wave in complexes if wave.onset_s <= peak_s <= wave.end_s]
            assert len(around) == 1
            if around[0].onset_s > 0 and around[0].end_s < 10:
                first = max(0, round(peak_s * 500) - 60)
                beat = np.abs(recording.signals_mv[first : first + 120]).sum(axis=1)
                top_s = (first + np.argmax(beat)) / 500
                assert around[0].onset_s <= top_s <= around[0].end_s
        for wave in recording.waves:
            assert 0 <= wave.onset_s < wave.end_s <= 10
        onsets = [wave.onset_s for wave in recording.waves]
        assert onsets == sorted(onsets)
    if rhythm in ("SR", "SB"):
        order = "".join(wave.name[0] for wave in recording.waves)
        assert "PQTPQTPQTPQT" in order


def test_outside_the_waves_nothing_happens() -> None:
    """What is left of a noiseless beat outside its intervals is the 5 % tails of the Gaussians."""
    recording = record("SB", 5)[1]
    outside = np.ones(5000, dtype=bool)
    for wave in recording.waves:
        outside[int(wave.onset_s * 500) : int(np.ceil(wave.end_s * 500)) + 1] = False
    assert 0.2 < outside.mean() < 0.7
    size = np.abs(recording.signals_mv).max(axis=1)
    assert size[outside].max() < 0.06 * size.max()
    assert np.median(size[outside]) < 0.002


@pytest.mark.slow
def test_sex_shows_but_does_not_decide() -> None:
    rng = np.random.default_rng(0)
    subjects = [draw_subject(rng, RHYTHM["SR"]) for _ in range(240)]
    people = [(subject, draw_recording(subject, rng, noise=SILENCE)) for subject in subjects]
    female = np.array([subject.sex == "female" for subject, _ in people])
    assert 0.35 < female.mean() < 0.53
    depth_mv = np.array([-recording.signals_mv[:, LEAD["V2"]].min() for _, recording in people])
    height_mv = np.array([recording.signals_mv[:, LEAD["V5"]].max() for _, recording in people])
    duration_s = np.array([qrs_duration_s(subject) for subject, _ in people])
    for feature in (depth_mv, height_mv, duration_s):
        men, women = feature[~female], feature[female]
        effect = (men.mean() - women.mean()) / np.sqrt((men.var() + women.var()) / 2)
        assert 0.3 < effect < 2.5
        assert women.max() > men.mean() > women.mean() > men.min()


@pytest.mark.parametrize("mains_hz", [50.0, 60.0])
def test_mains_makes_a_line_at_its_frequency(mains_hz: float) -> None:
    x = record("SR", 0, noise=Noise(mains_mv=0.05, mains_hz=mains_hz))[1].signals_mv
    power = np.abs(np.fft.rfft(x[:, LEAD["V3"]])) ** 2
    frequency_hz = np.fft.rfftfreq(5000, 1 / 500)
    beyond = frequency_hz > 45
    assert frequency_hz[beyond][np.argmax(power[beyond])] == pytest.approx(mains_hz)


def test_noise_levels_and_bands() -> None:
    def electrodes(**levels: float) -> np.ndarray:
        return electrode_noise_mv(Noise(**levels), 20000, 500, 0.25, np.random.default_rng(0))

    assert not electrodes().any()
    muscle = electrodes(muscle_mv=0.02)
    assert muscle.std() == pytest.approx(0.02 * 1.13, rel=0.1)  # the bursts have a mean square of I0(1) = 1.266
    assert band_energy(muscle[:, 0], 500, 19, 151) > 0.995
    wander = electrodes(wander_mv=0.05)
    assert 0.02 < wander.std() < 0.09
    assert band_energy(wander[:, 0], 500, 0, 0.6) > 0.99
    assert electrodes(sensor_mv=0.01).std() == pytest.approx(0.01, rel=0.02)
    motion = electrodes(motion_mv=0.3)
    assert (motion.any(axis=0)).sum() == 1
    assert 0.28 < motion.max() <= 0.3


def test_noise_of_a_limb_electrode_reaches_the_leads_as_wiring_says() -> None:
    right_arm, left_arm, left_leg, c1 = independent_leads(np.eye(9)[:4])
    np.testing.assert_allclose(right_arm, [-1, -1, *[-1 / 3] * 6])
    np.testing.assert_allclose(left_arm, [1, 0, *[-1 / 3] * 6])
    np.testing.assert_allclose(left_leg, [0, 1, *[-1 / 3] * 6])
    np.testing.assert_allclose(c1, [0, 0, 1, 0, 0, 0, 0, 0])
    np.testing.assert_allclose(independent_leads(np.ones((1, 9))), 0, atol=1e-12)  # a common potential is not seen


def test_too_short_a_recording_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 5 s"):
        record("SR", 0, duration_s=1.0)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_recording_depends_on_layout_seed_and_index_alone(layout: archives.Layout) -> None:
    first, again, other_seed = generate(layout, 4, 7), generate(layout, 4, 7), generate(layout, 5, 7)
    np.testing.assert_array_equal(first.recording.signals_mv, again.recording.signals_mv)
    assert first.recording.waves == again.recording.waves
    assert not np.array_equal(first.subject.amplitudes_mv, other_seed.subject.amplitudes_mv)
    other_layout = generate(LAYOUTS[1 - LAYOUTS.index(layout)], 4, 7)
    assert not np.array_equal(first.subject.amplitudes_mv, other_layout.subject.amplitudes_mv)


def test_rhythms_are_as_common_as_in_the_label_table() -> None:
    rng = np.random.default_rng(0)
    groups = pd.Series([draw_subject(rng).rhythm.group for _ in range(2000)]).value_counts(normalize=True)
    expected = {"SB": 3889 / 10646, "GSVT": 2307 / 10646, "AFIB": 2225 / 10646, "SR": 2225 / 10646}
    assert groups.to_dict() == pytest.approx(expected, abs=0.04)
    assert sum(rhythm.share for rhythm in RHYTHMS) == pytest.approx(10646, abs=0)


def test_rhythms_and_columns_are_those_of_the_real_label_table(shared: Path) -> None:
    real = pd.read_excel(shared / "data" / "chapman" / "Diagnostics.xlsx", engine="calamine")
    assert {rhythm.acronym for rhythm in RHYTHMS} >= set(real["Rhythm"])
    assert tuple(real.columns) == DIAGNOSTICS_COLUMNS


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "archive"
    write_archive(folder, LAYOUTS, 24, 3)
    return folder


def test_wfdb_reads_what_was_generated(archive: Path) -> None:
    patients = pd.read_csv(archive / "cinc2021" / "patients.csv").set_index("record")["patient"]
    rates, lengths = {}, set()
    for index in range(24):
        entry, (source, rank) = generate("cinc2021", 3, index), place_of(index)
        path = archive / "cinc2021" / "training" / source.name / "g1" / entry.record
        read = wfdb.rdrecord(str(path))
        np.testing.assert_allclose(read.p_signal, entry.recording.signals_mv, atol=0.00051)
        assert read.sig_name == list(STANDARD_LEADS)
        assert {unit.lower() for unit in read.units} == {"mv"}
        assert read.fs == entry.recording.sampling_rate_hz
        digital = wfdb.rdrecord(str(path), physical=False)
        assert [value % 65536 for value in digital.checksum] == digital.calc_checksum()
        assert digital.init_value == digital.d_signal[0].tolist()
        comments = dict(comment.split(": ", 1) for comment in read.comments if ": " in comment)
        assert comments["Age"] == source.age_text(entry.subject.age_years, rank)
        assert comments["Sex"] == entry.subject.sex.capitalize()
        assert comments["Dx"] == entry.subject.rhythm.snomed
        assert any("Generated by ecg-advmask synth, seed 3" in comment for comment in read.comments)
        assert patients[entry.record] == entry.patient
        rates[source.name] = read.fs
        lengths.add(read.sig_len)
    assert rates == {source.name: source.sampling_rate_hz for source in SOURCES}
    assert set(rates.values()) == {257, 500, 1000}
    assert len(lengths) > 4
    assert 12 < patients.nunique() < 24, "nobody came back, or hardly anybody did not"


def test_places_of_recordings_and_back() -> None:
    places = [place_of(index) for index in range(250)]
    assert [index_of(source, rank) for source, rank in places] == list(range(250))
    assert [source.name for source, _ in places[:8]] == [source.name for source in SOURCES]
    for source in SOURCES:
        ranks = [rank for other, rank in places if other == source]
        assert ranks == list(range(len(ranks)))
        assert sum(other == source for other, _ in places[:100]) == source.share
        assert len(ranks) == pytest.approx(2.5 * source.share, abs=1)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_lengths_and_ages_of_a_source(source: Source) -> None:
    rng = np.random.default_rng(0)
    lengths_s = np.array([source.draw_duration_s(rng) for _ in range(2000)])
    assert source.shortest_s <= lengths_s.min() <= lengths_s.max() <= source.longest_s
    if source.mean_excess_s:
        excess_s = source.longest_s - source.shortest_s
        expected_s = source.shortest_s + source.mean_excess_s * (1 - np.exp(-excess_s / source.mean_excess_s))
        assert lengths_s.mean() == pytest.approx(expected_s, rel=0.05)  # an exponential time, cut off at the longest
    ages = [source.age_text(95, rank) for rank in range(100)]
    assert ages.count("NaN") == (100 // source.no_age_every if source.no_age_every else 0)
    assert set(ages) - {"NaN"} == {"300" if source.name == "ptb-xl" else "95"}
    assert source.record_name(0).endswith("10647" if source.name == "ningbo" else "0001")


def test_a_generated_archive_lists_as_the_eight_sources(archive: Path) -> None:
    entries = list(open_source(archive / "cinc2021", "cinc2021").entries())
    expected = {generate("cinc2021", 3, index).record: place_of(index)[0].name for index in range(24)}
    assert {entry.record_id: entry.source for entry in entries} == expected
    assert {entry.source for entry in entries if entry.refusal} == {cinc2021.CHAPMAN}
    assert set(expected.values()) == set(cinc2021.FOLDERS)
    assert all("GENERATED" in entry.record_id for entry in entries)


def test_people_who_return_keep_source_sex_age_and_rhythm(archive: Path) -> None:
    subjects = pd.read_csv(archive / "cinc2021" / "subjects.csv")
    subjects["source"] = [place_of(index)[0].name for index in range(24)]
    assert (subjects.groupby("patient")[["source", "sex", "age_years", "rhythm"]].nunique() == 1).all(axis=None)


def test_headers_have_the_form_of_real_ones(archive: Path, shared: Path) -> None:
    compared = 0
    for source in SOURCES:
        ours = next((archive / "cinc2021" / "training" / source.name).rglob("*.hea")).read_text().splitlines()
        for path in sorted((shared / "data" / "cinc2021" / "training" / source.name).rglob("*.hea"))[:5]:
            real = path.read_text().splitlines()
            assert [len(line.split()) for line in ours[1:13]] == [len(line.split()) for line in real[1:13]]
            assert [line.split()[-1] for line in ours[1:13]] == [line.split()[-1] for line in real[1:13]]
            keys = [[line.lstrip("# ").split(":")[0] for line in lines[13:18]] for lines in (ours, real)]
            assert keys[0] == keys[1] == ["Age", "Sex", "Dx", "Rx", "Hx"]
            compared += 1
    assert compared


@pytest.mark.parametrize(
    ("record", "first", "signal", "dx"),
    [
        ("ptb-xl/g1/GENERATED_HR00001", " 12 500 5000", "16x1+24 1000.0(0)/mV 16 0", "# Dx:"),
        ("ningbo/g1/GENERATED_JS10647", " 12 500 5000", "16x1+24 1000.0(0)/mV 16 0", "# Dx:"),
        ("chapman_shaoxing/g1/GENERATED_JS00001", " 12 500 5000 12-May-2020 12:00:00", "16+24 1000/mV 16 0", "#Dx:"),
        ("ptb/g1/GENERATED_S0001", " 12 1000 ", "16+24 1000/mv 16 0", "#Dx:"),
        ("st_petersburg_incart/g1/GENERATED_I0001", " 12 257 19275 12-May", "16+24 1000/mv 16 0", "#Dx:"),
    ],
)
def test_each_source_writes_its_own_header(archive: Path, record: str, first: str, signal: str, dx: str) -> None:
    path = archive / "cinc2021" / "training" / f"{record}.hea"
    lines = path.read_text().splitlines()
    assert lines[0].startswith(path.stem + first)
    assert all(line.startswith(f"{path.stem}.mat {signal} ") for line in lines[1:13])
    assert lines[15].startswith(dx)


def test_chapman_files_hold_what_was_generated(archive: Path) -> None:
    folder = archive / "chapman"
    table = pd.read_excel(folder / "Diagnostics.xlsx", keep_default_na=False)
    truth = pd.read_csv(folder / "truth.csv")
    assert tuple(table.columns) == DIAGNOSTICS_COLUMNS
    assert len(table) == 24
    for index, row in table.iterrows():
        entry = generate("chapman", 3, int(str(index)))
        microvolts = np.loadtxt(folder / "ECGDataDenoised" / f"{row['FileName']}.csv", delimiter=",")
        assert microvolts.shape == (5000, 12)
        np.testing.assert_allclose(microvolts, entry.recording.signals_mv * 1000.0, atol=0.051)
        assert (row["Rhythm"], row["Gender"]) == (entry.subject.rhythm.acronym, entry.subject.sex.upper())
        assert row["PatientAge"] == entry.subject.age_years
        assert row["VentricularRate"] == round(entry.recording.heart_rate_bpm)
        assert row["QRSDuration"] == 2 * (row["QOffset"] - row["QOnset"])
        assert row["QTInterval"] == 2 * (row["TOffset"] - row["QOnset"])
        assert row["QRSCount"] == len(entry.recording.r_peaks_s)
        own = truth[truth["record"] == row["FileName"]]
        np.testing.assert_allclose(own[["onset_s", "end_s"]], [wave[1:] for wave in entry.recording.waves], atol=5.1e-5)
        assert own["wave"].tolist() == [wave.name for wave in entry.recording.waves]


def test_everything_says_that_it_is_generated(archive: Path) -> None:
    for folder in (archive, archive / "cinc2021", archive / "chapman"):
        assert "No person was recorded" in (folder / "GENERATED.txt").read_text()
    assert openpyxl.load_workbook(archive / "chapman" / "Diagnostics.xlsx").sheetnames == ["Sheet1", "Generated"]


def test_a_larger_archive_begins_with_the_smaller_one_whatever_the_workers(archive: Path, tmp_path: Path) -> None:
    updates: list[int] = []
    write_archive(tmp_path / "small", LAYOUTS, 5, 3, workers=2, progress=updates.append)
    assert sum(updates) == 10
    files = [path.relative_to(tmp_path / "small") for path in (tmp_path / "small").rglob("*") if path.is_file()]
    assert sum(path.suffix in (".hea", ".mat") for path in files) == 10
    for path in files:
        ours, larger = (tmp_path / "small" / path).read_bytes(), (archive / path).read_bytes()
        if path.suffix in (".hea", ".mat") or "ECGDataDenoised" in path.parts:
            assert ours == larger
        elif path.suffix == ".csv":
            assert larger.startswith(ours)


def test_folders_are_cut_as_in_the_challenge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "RECORDS_PER_FOLDER", 2)
    write_archive(tmp_path / "out", ["cinc2021"], 12, 0)
    training = tmp_path / "out" / "cinc2021" / "training"
    expected = {}
    for index in range(12):
        source, rank = place_of(index)
        expected[source.record_name(rank)] = f"{source.name}/g{rank // 2 + 1}"
    assert {path.stem: path.parent.relative_to(training).as_posix() for path in training.rglob("*.hea")} == expected
    assert "ningbo/g2" in expected.values()


def test_a_used_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="not an empty folder"):
        write_archive(tmp_path / "used", ["cinc2021"], 1, 0)
    assert [path.name for path in tmp_path.rglob("*")] == ["used", "mine.txt"]


def test_a_mount_point_is_refused_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mounted").mkdir()
    monkeypatch.setattr("os.path.ismount", lambda path: Path(path) == tmp_path / "mounted")
    with pytest.raises(InputError, match="name a folder inside it"):
        write_archive(tmp_path / "mounted", ["cinc2021"], 1, 0)
    assert list(tmp_path.rglob("*")) == [tmp_path / "mounted"]


def test_nothing_is_left_when_writing_fails(tmp_path: Path) -> None:
    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_archive(tmp_path / "out", ["cinc2021"], 3, 0, progress=stop)
    assert list(tmp_path.iterdir()) == []
