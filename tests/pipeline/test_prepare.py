"""From archive to data set: values, account of every recording, repeatability, and things that go wrong."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import wfdb

from ecg_advmask.errors import InputError
from ecg_advmask.pipeline import prepare as prepare_module
from ecg_advmask.pipeline import reading, shards
from ecg_advmask.pipeline.prepare import prepare, total
from ecg_advmask.pipeline.shards import DataSet
from ecg_advmask.signals import signal_hash

Write = Callable[..., Path]


def samples(length: int, seed: int = 0, leads: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).integers(-2000, 2000, (length, leads)).astype(np.int16)


def refused(folder: Path) -> dict[str, list[dict[str, str]]]:
    rows: dict[str, list[dict[str, str]]] = {}
    with (folder / "refused.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            rows.setdefault(row["id"], []).append(row)
    return rows


def test_windows_hold_the_signals_of_the_files(tmp_path: Path, write_wfdb: Write) -> None:
    lengths = {"B": 1000, "A": 2499, "C": 500}
    for seed, (name, length) in enumerate(lengths.items()):
        write_wfdb(tmp_path / "in" / "src" / "g1" / f"{name}.hea", samples(length, seed), 250)
    counts = prepare(tmp_path / "in", tmp_path / "out", "cinc2021", sampling_rate_hz=250, seconds=2, workers=1)
    data = DataSet.open(tmp_path / "out", verify=True)
    assert (data.sampling_rate_hz, data.window_samples) == (250, 500)
    assert list(zip(data.records["id"], data.records["window"], data.records["start_s"], strict=True)) == [
        *(("A", window, 2.0 * window) for window in range(4)),
        *(("B", window, 2.0 * window) for window in range(2)),
        ("C", 0, 0.0),
    ]
    found = data.signals_mv(range(len(data.records)))
    for row, record in enumerate(data.records.itertuples()):
        reference = wfdb.rdrecord(str(tmp_path / "in" / str(record.file)).removesuffix(".hea")).p_signal
        start = 500 * int(record.window)
        np.testing.assert_allclose(found[row], reference[start : start + 500], atol=1e-6)
        assert record.signal_hash == signal_hash(reference.astype(np.float32))
    assert set(data.records["patient"]) == {"src/A", "src/B", "src/C"}
    assert data.records.iloc[0][["age_years", "sex", "codes", "original_rate_hz"]].tolist() == [
        61.0,
        "female",
        "426177001;164934002",
        250.0,
    ]
    assert (data.records["valid_samples"] == 500).all()
    assert counts["src"].trailing_seconds == pytest.approx(499 / 250)
    assert counts["src"].windows_kept == 7


def test_resampling_keeps_a_sine_and_the_hash(tmp_path: Path, write_wfdb: Write) -> None:
    time_s = np.arange(5000) / 500
    wave = np.rint(1000 * np.sin(2 * np.pi * 7 * time_s))[:, None].repeat(12, 1).astype(np.int16)
    write_wfdb(tmp_path / "in" / "src" / "A.hea", wave, 500)
    hashes = []
    for rate in (100, 500):
        prepare(tmp_path / "in", tmp_path / str(rate), "cinc2021", sampling_rate_hz=rate, workers=1)
        data = DataSet.open(tmp_path / str(rate))
        expected = np.sin(2 * np.pi * 7 * np.arange(10 * rate) / rate)
        middle = slice(2 * rate, 8 * rate)
        np.testing.assert_allclose(data.signals_mv([0])[0, middle, 3], expected[middle], atol=0.01)
        hashes += data.records["signal_hash"].tolist()
    assert hashes[0] == hashes[1] == signal_hash((wave / 1000).astype(np.float32))


def test_every_recording_is_kept_or_refused_with_its_reason(tmp_path: Path, write_wfdb: Write) -> None:
    folder = tmp_path / "in" / "training" / "src" / "g1"
    good = samples(1000)
    write_wfdb(folder / "good.hea", good, 100)
    write_wfdb(folder / "same.hea", good, 100)
    write_wfdb(folder / "short.hea", samples(990), 100)
    write_wfdb(
        folder / "eleven.hea", samples(1000, leads=11), 100, leads=["I", "II", "III", *(f"V{n}" for n in range(1, 9))]
    )
    flat, gaps, high, partly = samples(1000, 1), samples(1000, 2), samples(1000, 3), samples(3000, 4)
    flat[:, 7], gaps[3:8, 8], high[5, 0], partly[1200:1210, 5] = 12, -32768, 32767, -32768
    write_wfdb(folder / "flat.hea", flat, 100)
    write_wfdb(folder / "gaps.hea", gaps, 100)
    write_wfdb(folder / "high.hea", high, 100, gain="900/mV")
    write_wfdb(folder / "partly.hea", partly, 100)
    cut = write_wfdb(folder / "cut.hea", samples(1000), 100).with_suffix(".mat")
    cut.write_bytes(cut.read_bytes()[:7000])
    write_wfdb(folder / "nofile.hea", samples(1000), 100).with_suffix(".mat").unlink()
    write_wfdb(folder / "outside.hea", samples(1000), 100, signal_file="../x.mat")
    write_wfdb(folder / "address.hea", samples(1000), 100, signal_file="https://example.org/x.mat")
    write_wfdb(tmp_path / "in" / "training" / "chapman_shaoxing" / "g1" / "JS1.hea", samples(1000, 9), 100)
    counts = prepare(tmp_path / "in", tmp_path / "out", "cinc2021", sampling_rate_hz=100, workers=1)

    data = DataSet.open(tmp_path / "out")
    assert data.records["id"].tolist() == ["good", "partly", "partly", "same"]
    assert data.records["start_s"].tolist() == [0.0, 0.0, 20.0, 0.0]
    reasons = {name: rows[0]["reason"] for name, rows in refused(tmp_path / "out").items()}
    assert reasons == {
        "JS1": "left out: Chapman-Shaoxing is kept for judging encoders, --include-chapman takes it into the data set",
        "address": "names 'https://example.org/x.mat', which is not a file beside it",
        "cut": "cut.mat is cut short, it has 7000 bytes of at least 24000, fetch it again",
        "eleven": "leads: has 9 of the 12 standard leads, lacks aVR, aVL, aVF",
        "flat": "flat: lead V2 is flat, its deviation 0 uV is below 1 uV",
        "gaps": "finite: lead V3 has 5 missing or infinite samples",
        "high": "amplitude: lead I reaches 36.41 mV, more than 32.767 mV",
        "nofile": "names nofile.mat, which does not exist",
        "outside": "names '../x.mat', which is not a file beside it",
        "partly": "finite: lead aVF has 10 missing or infinite samples",
        "short": "length: 9.90 s, shorter than a window of 10 s",
    }
    windows = {name: rows[0]["window"] for name, rows in refused(tmp_path / "out").items()}
    assert {name: window for name, window in windows.items() if window} == {"partly": "1"}
    whole = total(counts)
    assert (whole.recordings_in, whole.recordings_kept, whole.recordings_refused) == (13, 3, 10)
    assert (whole.windows_kept, whole.windows_refused, whole.duplicates) == (4, 1, 1)
    assert counts["src"].reasons == {"unreadable": 4, "leads": 1, "flat": 1, "finite": 1, "amplitude": 1, "length": 1}
    stated = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert stated["counts"]["recordings_in"] == 13
    assert stated["sources"]["chapman_shaoxing"]["reasons"] == {"left out": 1}

    prepare(tmp_path / "in", tmp_path / "all", "cinc2021", sampling_rate_hz=100, workers=1, include_chapman=True)
    assert "JS1" in DataSet.open(tmp_path / "all").records["id"].tolist()


def test_the_number_of_processes_changes_no_byte(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare_module, "WINDOWS_PER_SHARD", 10)
    for workers in (1, 2):
        prepare(archive, tmp_path / str(workers), "cinc2021", sampling_rate_hz=50, seconds=0.5, workers=workers)
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("1", "2"))
    assert one == two
    assert len(one) == 3 + 8


def test_patients_come_from_the_table(archive: Path, tmp_path: Path) -> None:
    table = tmp_path / "patients.csv"
    table.write_text("record,patient\nR001,P1\nR002,P1\n")
    prepare(archive, tmp_path / "out", "cinc2021", sampling_rate_hz=100, seconds=1, workers=1, patients=table)
    assert DataSet.open(tmp_path / "out").records["patient"].tolist()[:4] == ["made/R000", "P1", "P1", "made/R003"]


def test_chapman_layout(tmp_path: Path) -> None:
    signals = tmp_path / "in" / "ECGDataDenoised"
    signals.mkdir(parents=True)
    values = np.random.default_rng(0).normal(0, 300, (5000, 12)).round(2)
    np.savetxt(signals / "MUSE_1.csv", values, delimiter=",", fmt="%.2f")
    rows = {
        "FileName": ["MUSE_1", "MUSE_2"],
        "Rhythm": ["SB", "SR"],
        "PatientAge": [59, 60],
        "Gender": ["MALE", "FEMALE"],
    }
    pd.DataFrame(rows).to_excel(tmp_path / "in" / "Diagnostics.xlsx", index=False)
    counts = prepare(tmp_path / "in", tmp_path / "out", "chapman", workers=1)
    data = DataSet.open(tmp_path / "out")
    assert data.records.loc[0, ["id", "codes", "sex", "age_years"]].tolist() == ["MUSE_1", "SB", "male", 59.0]
    np.testing.assert_allclose(1000 * data.signals_mv([0])[0], values, atol=0.5001)
    assert counts["chapman"].reasons == {"missing file": 1}


def test_nothing_usable_leaves_nothing(tmp_path: Path, write_wfdb: Write) -> None:
    for name in ("a", "b"):
        write_wfdb(tmp_path / "in" / "src" / f"{name}.hea", np.full((1000, 12), 7, np.int16), 100)
    with pytest.raises(InputError, match=r"none of the 2 recordings can be used; .*\(2\): flat: lead I is flat"):
        prepare(tmp_path / "in", tmp_path / "out", "cinc2021", sampling_rate_hz=100, workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_an_interruption_leaves_nothing(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shards, "write_shard", interrupt)
    with pytest.raises(KeyboardInterrupt):
        prepare(archive, tmp_path / "out", "cinc2021", sampling_rate_hz=100, seconds=1, workers=1)
    assert list(tmp_path.iterdir()) == []


def test_a_destination_in_use_is_not_touched(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("out", "file"):
        with pytest.raises(InputError, match="already exists"):
            prepare(archive, tmp_path / name, "cinc2021", workers=1)
    assert (tmp_path / "out" / "mine.txt").read_text() == (tmp_path / "file").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    prepare(archive, tmp_path / "empty", "cinc2021", sampling_rate_hz=100, seconds=1, workers=1)
    assert len(DataSet.open(tmp_path / "empty").records) == 37


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"sampling_rate_hz": 0}, "whole number of samples"),
        ({"seconds": 0.0}, "whole number of samples"),
        ({"seconds": float("nan")}, "whole number of samples"),
        ({"sampling_rate_hz": 100, "seconds": 0.123}, "whole number of samples"),
        ({"workers": 0}, "workers 0: must be at least 1"),
        ({"layout": "tape"}, "layout 'tape' is not known"),
        ({"patients": "absent.csv"}, r"absent\.csv: cannot be read"),
    ],
)
def test_impossible_settings_are_refused(
    archive: Path, tmp_path: Path, settings: dict[str, object], reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        prepare(archive, tmp_path / "out", **({"layout": "cinc2021"} | settings))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_dies_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    killing = "kill -9 $PPID"  # the shell that a reading process starts ends this process
    monkeypatch.setattr(reading, "ENTRIES_PER_JOB", len(killing))
    with pytest.raises(InputError, match="a reading process died"):
        list(reading.in_order(os.system, killing, workers=2))  # type: ignore[arg-type]


def test_reading_processes_do_without_tensorflow() -> None:
    code = "import sys, ecg_advmask.pipeline.prepare; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_the_real_archive_is_accounted_for(shared: Path, tmp_path: Path) -> None:
    root = shared / "data" / "cinc2021"
    counts = prepare(
        root, tmp_path / "out", "cinc2021", sampling_rate_hz=100, patients=shared / "data" / "ptbxl_patients.csv"
    )
    headers = list(root.rglob("*.hea"))
    whole = total(counts)
    assert whole.recordings_in == len(headers) == whole.recordings_kept + whole.recordings_refused
    data = DataSet.open(tmp_path / "out", verify=True)
    ids = set(data.records["id"])
    left_out = {name for name, rows in refused(tmp_path / "out").items() if not rows[0]["window"]}
    assert ids.isdisjoint(left_out)
    assert ids | left_out == {path.stem for path in headers}
    assert {path.stem for path in headers if "chapman" in str(path)} <= left_out
    same_rate = data.records[(data.records["original_rate_hz"] == 100) & (data.records["window"] == 0)]
    for row in same_rate.index[:: max(1, len(same_rate) // 10)]:
        reference = wfdb.rdrecord(str(root / data.records["file"][row]).removesuffix(".hea")).p_signal
        np.testing.assert_allclose(data.signals_mv([row])[0], reference[:1000], atol=1e-3)
