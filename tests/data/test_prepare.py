"""From archive to data set: values, account of every recording, repeatability, and things that go wrong."""

import csv
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import wfdb

from ecg_advmask.data import finish as finish_module
from ecg_advmask.data import parts
from ecg_advmask.data.dataset import DataSet
from ecg_advmask.data.parts import Outcome, make_parts, read_entry
from ecg_advmask.data.prepare import merge, prepare
from ecg_advmask.data.summary import DataSummary, summaries_of, total
from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.ecg.quality import REFUSED
from ecg_advmask.ecg.signals import signal_hash
from ecg_advmask.ecg.sources import Entry, FileSource, SourceOptions
from ecg_advmask.ecg.windows import Windowing
from ecg_advmask.errors import InputError

Write = Callable[..., Path]


def counted(*arguments: Any, **options: Any) -> dict[str, DataSummary]:
    """Prepare a data set; counts by source."""
    data = prepare(*arguments, **options)
    assert data is not None
    return summaries_of(data)


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
    counts = counted(tmp_path / "in", tmp_path / "out", "cinc2021", sampling_rate_hz=250, seconds=2, workers=1)
    data = DataSet.open(tmp_path / "out", verify=True)
    assert (data.sampling_rate_hz, data.window_samples, data.windows) == (250, 500, 7)
    in_order = sorted(lengths, key=lambda name: hashlib.sha256(name.encode()).digest())
    assert list(zip(data.records["id"], data.records["window"], data.records["start_s"], strict=True)) == [
        (name, window, 2.0 * window) for name in in_order for window in range(lengths[name] // 500)
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
    assert counts["src"].codes == {"426177001": 3, "164934002": 3}
    assert counts["src"].classes_2021 == {"SB": 3, "TAb": 3}


def test_short_recordings_are_padded_down_to_a_least_length(tmp_path: Path, write_wfdb: Write) -> None:
    for name, length in {"short": 599, "padded": 600, "whole": 1000}.items():
        write_wfdb(tmp_path / "in" / "src" / f"{name}.hea", samples(length, length), 100)
    counts = counted(tmp_path / "in", tmp_path / "out", "cinc2021", sampling_rate_hz=100, min_seconds=6, workers=1)
    data = DataSet.open(tmp_path / "out")
    assert dict(zip(data.records["id"], data.records["valid_samples"], strict=True)) == {"padded": 600, "whole": 1000}
    assert (counts["src"].windows_padded, counts["src"].reasons) == (1, {"length": 1})
    row = data.records["id"].tolist().index("padded")
    np.testing.assert_allclose(data.signals_mv([row])[0, :600], samples(600, 600) / 1000, atol=1e-6)
    means = np.rint(samples(600, 600).mean(axis=0, dtype=np.float64))
    assert np.abs(data.windows_uv([row])[0, 600:] - means).max() <= 1


def test_a_limit_of_windows_per_recording(tmp_path: Path, write_wfdb: Write) -> None:
    write_wfdb(tmp_path / "in" / "src" / "long.hea", samples(1000), 100)
    counts = counted(
        tmp_path / "in", tmp_path / "out", "cinc2021", sampling_rate_hz=100, seconds=1, max_windows=3, workers=1
    )
    data = DataSet.open(tmp_path / "out")
    assert len(data.records) == 3
    assert data.records["window"].is_monotonic_increasing
    assert (counts["src"].windows_kept, counts["src"].windows_left_out) == (3, 7)


def test_checks_refuse_or_report_as_asked(tmp_path: Path, write_wfdb: Write) -> None:
    broken = samples(1000)  # noise in every lead breaks Einthoven's law
    write_wfdb(tmp_path / "in" / "src" / "noise.hea", broken, 100)
    counts = counted(tmp_path / "in", tmp_path / "kept", "cinc2021", sampling_rate_hz=100, workers=1)
    assert counts["src"].reported["einthoven"] == 1
    assert "einthoven" in DataSet.open(tmp_path / "kept").records.loc[0, "reported"].split(";")
    with pytest.raises(InputError, match=r"none of the 1 recordings can be used; .*einthoven: "):
        prepare(
            tmp_path / "in",
            tmp_path / "out",
            "cinc2021",
            sampling_rate_hz=100,
            refuse=[*REFUSED, "einthoven"],
            workers=1,
        )


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
    write_wfdb(folder / "short.hea", samples(490), 100)
    write_wfdb(
        folder / "eleven.hea",
        samples(1000, leads=11),
        100,
        leads=["I", "II", "III", "aVR", "aVL", "aVF", *(f"V{n}" for n in range(2, 7))],
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
    counts = counted(tmp_path / "in", tmp_path / "out", "cinc2021", sampling_rate_hz=100, workers=1)

    data = DataSet.open(tmp_path / "out")
    windows = sorted(zip(data.records["id"], data.records["start_s"], strict=True))
    assert windows == [("good", 0.0), ("partly", 0.0), ("partly", 20.0), ("same", 0.0)]
    copies = data.records.set_index("id")["duplicate_of"]
    assert sorted(copies[["good", "same"]]) in (["", "good"], ["", "same"])
    assert copies["good"] != "good" and copies["same"] != "same" and (copies["partly"] == "").all()
    reasons = {name: rows[0]["reason"] for name, rows in refused(tmp_path / "out").items()}
    assert reasons == {
        "JS1": "left out: Chapman-Shaoxing is kept for judging encoders, --include-chapman takes it into the data set",
        "address": "names 'https://example.org/x.mat', which is not a file beside it",
        "cut": "cut.mat is cut short, it has 7000 bytes of at least 24024, fetch it again",
        "eleven": "leads: has 11 of the 12 standard leads, lacks V1; V1 to V6 and two limb leads are needed, from "
        "which the others follow; its columns: I, II, III, aVR, aVL, aVF, V2, V3, V4, V5, V6",
        "flat": "flat: lead V2 is flat, its deviation 0 uV is below 1 uV",
        "gaps": "finite: lead V3 has 5 missing or infinite samples",
        "high": "amplitude: lead I reaches 36.41 mV, more than 20 mV",
        "nofile": "names nofile.mat, which does not exist",
        "outside": "names '../x.mat', which is not a file beside it",
        "partly": "finite: lead aVF has 10 missing or infinite samples",
        "short": "length: 4.90 s, shorter than the least of 5 s",
    }
    places = {name: rows[0]["window"] for name, rows in refused(tmp_path / "out").items()}
    assert {name: window for name, window in places.items() if window} == {"partly": "1"}
    whole = total(counts.values())
    assert (whole.recordings_in, whole.recordings_kept, whole.recordings_refused) == (13, 3, 10)
    assert (whole.windows_kept, whole.windows_refused, whole.duplicates) == (4, 1, 1)
    assert counts["src"].reasons == {"unreadable": 4, "leads": 1, "flat": 1, "finite": 1, "amplitude": 1, "length": 1}
    stated = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert stated["counts"]["recordings_in"] == 13
    assert stated["sources"]["chapman_shaoxing"]["reasons"] == {"left out": 1}

    prepare(
        tmp_path / "in",
        tmp_path / "all",
        "cinc2021",
        sampling_rate_hz=100,
        workers=1,
        options=SourceOptions(include_chapman=True),
    )
    assert "JS1" in DataSet.open(tmp_path / "all").records["id"].tolist()


def test_neither_processes_nor_interruptions_nor_jobs_change_a_byte(archive: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"layout": "cinc2021", "sampling_rate_hz": 50, "seconds": 0.5}
    prepare(archive, tmp_path / "one", **settings, workers=1)
    prepare(archive, tmp_path / "two", **settings, workers=2)
    for number in (3, 1, 2):
        assert prepare(archive, tmp_path / "jobs", **settings, workers=1, shard=(number, 3)) is None
    merge(tmp_path / "jobs")
    for number in (1, 2):
        prepare(archive, tmp_path / f"far{number}" / "apart", **settings, workers=1, shard=(number, 2))
    merge(tmp_path / "apart", [tmp_path / "far1" / "apart.partial", tmp_path / "far2" / "apart.partial"])
    expected = contents(tmp_path / "one")
    assert len(expected) == 3 + 13
    for name in ("two", "jobs", "apart"):
        assert contents(tmp_path / name) == expected
    assert not list(tmp_path.glob("*.partial"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_work_goes_on_where_it_was_interrupted(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings: dict[str, Any] = {"layout": "cinc2021", "sampling_rate_hz": 50, "seconds": 0.5, "workers": 1}
    read: list[str] = []

    def read_some(entry: Entry, *rest: Any) -> Outcome:
        if len(read) == 20:
            raise KeyboardInterrupt
        read.append(entry.record_id)
        return read_entry(entry, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(parts, "read_entry", read_some)
        with pytest.raises(KeyboardInterrupt):
            prepare(archive, tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()
    done = sorted((tmp_path / "out.partial").glob("shard-*.tfrecord"))
    assert [path.name for path in done] == [f"shard-{number:05d}.tfrecord" for number in range(6)]  # 18 recordings
    damaged = done[2].read_bytes()
    done[2].write_bytes(damaged[:-20] + bytes(20))
    read_again: list[str] = []

    def note(entry: Entry, *rest: Any) -> Outcome:
        read_again.append(entry.record_id)
        return read_entry(entry, *rest)

    monkeypatch.setattr(parts, "read_entry", note)
    prepare(archive, tmp_path / "out", **settings)
    assert set(read[:18]) & set(read_again) == set(read[6:9])  # of the finished shards only the damaged one
    prepare(archive, tmp_path / "undisturbed", **settings)
    assert contents(tmp_path / "out") == contents(tmp_path / "undisturbed")


def test_an_end_between_the_last_two_steps(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings: dict[str, Any] = {"layout": "cinc2021", "sampling_rate_hz": 50, "seconds": 0.5, "workers": 1}

    def killed(folder: Path, _: Path) -> None:
        (folder / "work" / "plan.json").unlink()
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(finish_module, "complete", killed)
        with pytest.raises(SystemExit):
            prepare(archive, tmp_path / "out", **settings)
    counts = counted(archive, tmp_path / "out", **settings)
    assert counts["made"].recordings_kept == 37
    prepare(archive, tmp_path / "undisturbed", **settings)
    assert contents(tmp_path / "out") == contents(tmp_path / "undisturbed")


def test_other_settings_or_another_archive_do_not_go_on(archive: Path, tmp_path: Path, write_wfdb: Write) -> None:
    copy = shutil.copytree(archive, tmp_path / "archive")
    settings: dict[str, Any] = {"layout": "cinc2021", "sampling_rate_hz": 50, "workers": 1}
    prepare(copy, tmp_path / "out", **settings, seconds=0.5, shard=(1, 2))
    with pytest.raises(InputError, match=r"out\.partial: was started with other settings \(.*seconds 0\.5 -> 0\.4"):
        prepare(copy, tmp_path / "out", **settings, seconds=0.4)
    with pytest.raises(InputError, match=r"6 of 13 shards are not finished \(1, 3, 5, 7, 9, 11\)"):
        merge(tmp_path / "out")
    write_wfdb(copy / "training" / "made" / "g1" / "R999.hea", samples(100), 100)
    with pytest.raises(InputError, match="the archive has changed"):
        prepare(copy, tmp_path / "out", **settings, seconds=0.5)
    prepare(copy, tmp_path / "other", **settings, seconds=0.5, shard=(2, 2))
    with pytest.raises(InputError, match="the archive has changed"):
        merge(tmp_path / "out", [tmp_path / "other.partial"])
    with pytest.raises(InputError, match="cannot be read"):
        merge(tmp_path / "absent")


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_bytes(generated_cinc: Path, tmp_path: Path) -> None:
    """In processes that are forked from one that has imported the package, so that all their time is at work."""
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["ecg_advmask.data.prepare"])

    def killed(out: str, after_s: float | None) -> bool:
        shutil.rmtree(tmp_path / out, ignore_errors=True)  # the last one came to its end, killed after it or not
        settings = {"layout": "cinc2021", "sampling_rate_hz": 100, "workers": 1}
        process = forks.Process(target=prepare, args=(generated_cinc, tmp_path / out), kwargs=settings)
        process.start()
        process.join(after_s)
        process.kill()
        process.join()
        assert process.exitcode in {0, -signal.SIGKILL}
        return process.exitcode != 0

    assert not killed("first", None)  # until then the package is being imported
    began = time.monotonic()
    assert not killed("undisturbed", None)
    duration, kills = time.monotonic() - began, 0
    generator = np.random.default_rng(3)
    while kills < 15:
        if killed("out", generator.uniform(0.1, 1.0) * duration):
            kills += 1
        else:
            duration *= 0.9  # the machine may have become faster
    assert not killed("out", None)
    assert contents(tmp_path / "out") == contents(tmp_path / "undisturbed")
    assert not (tmp_path / "out.partial").exists()


@pytest.mark.slow
@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.exhaustive)])
def test_a_command_that_is_killed_ends_with_the_same_bytes(generated_cinc: Path, tmp_path: Path, kills: int) -> None:
    """While two processes of its own read, which end with it."""
    command = [sys.executable, "-m", "ecg_advmask", "prepare", str(generated_cinc), str(tmp_path / "out")]
    command += ["--format", "cinc2021", "--sampling-rate", "100", "--workers", "2"]
    for shards in np.linspace(0, 15, kills + 1)[1:]:  # of 16
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while len(list(tmp_path.glob("out.partial/work/shard-*.json"))) < int(shards):
            assert process.poll() is None
            time.sleep(0.005)
        process.kill()
        process.wait()
        if (tmp_path / "out").exists():  # killed after its end
            shutil.rmtree(tmp_path / "out")
    subprocess.run(command, check=True, capture_output=True)
    prepare(generated_cinc, tmp_path / "undisturbed", "cinc2021", sampling_rate_hz=100, workers=1)
    assert contents(tmp_path / "out") == contents(tmp_path / "undisturbed")
    assert not (tmp_path / "out.partial").exists()


def test_patients_come_from_the_table(archive: Path, tmp_path: Path) -> None:
    table = tmp_path / "patients.csv"
    table.write_text("record,patient\nR001,P1\nR002,P1\n")
    prepare(archive, tmp_path / "out", "cinc2021", sampling_rate_hz=100, seconds=1, workers=1, labels=table)
    patients = DataSet.open(tmp_path / "out").records.set_index("id")["patient"]
    assert patients[["R000", "R001", "R002", "R003"]].tolist() == ["made/R000", "P1", "P1", "made/R003"]


def test_labels_come_along(archive: Path, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("id,ward,grade\nR001,north,2\nR002,,3\nR900,south,1\n")
    prepare(archive, tmp_path / "out", "cinc2021", sampling_rate_hz=100, seconds=1, workers=1, labels=table)
    data = DataSet.open(tmp_path / "out", verify=True)
    assert data.labels.columns.tolist() == ["id", "ward", "grade"]
    labels = data.labels.set_index("id")
    assert len(labels) == 37
    assert labels.loc[["R000", "R001", "R002"]].to_numpy().tolist() == [["", ""], ["north", "2"], ["", "3"]]
    assert json.loads((tmp_path / "out" / "dataset.json").read_text())["labels_without_recording"] == 1


def test_ids_without_their_leading_zeros_match_and_it_is_stated(tmp_path: Path, write_wfdb: Write) -> None:
    for number in (1, 2, 10):
        write_wfdb(tmp_path / "in" / f"{number:05d}.hea", samples(1000, number), 100)
    (tmp_path / "t.csv").write_text("id,patient,x\n1,p,a\n2,p,b\n10,q,c\n")
    data = prepare(
        tmp_path / "in", tmp_path / "out", sampling_rate_hz=100, refuse=(), labels=tmp_path / "t.csv", workers=1
    )
    assert data is not None
    assert data.labels.set_index("id")["x"].to_dict() == {"00001": "a", "00002": "b", "00010": "c"}
    assert data.records.set_index("id")["patient"].to_dict() == {"00001": "p", "00002": "p", "00010": "q"}
    stated = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert any("leading zeros" in line and "00001" in line for line in stated["label_remarks"])
    assert stated["unmatched"]["recordings_without_row"]["count"] == stated["labels_without_recording"] == 0


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
    counts = counted(tmp_path / "in", tmp_path / "out", "chapman", workers=1)
    data = DataSet.open(tmp_path / "out")
    assert data.records.loc[0, ["id", "codes", "sex", "age_years"]].tolist() == ["MUSE_1", "SB", "male", 59.0]
    np.testing.assert_allclose(1000 * data.signals_mv([0])[0], values, atol=0.5001)
    assert counts["chapman"].reasons == {"missing file": 1}


def test_recordings_that_the_listing_refuses_are_counted_and_never_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signals = tmp_path / "in" / "ECGDataDenoised"
    signals.mkdir(parents=True)
    np.savetxt(signals / "M7.csv", np.random.default_rng(0).normal(0, 300, (5000, 12)), delimiter=",", fmt="%.2f")
    table = [f"M{number},SB,59,MALE" for number in range(300)]
    (tmp_path / "in" / "Diagnostics.csv").write_text("\n".join(["FileName,Rhythm,PatientAge,Gender", *table]))
    read: list[str] = []

    def note(entry: Entry, *rest: Any) -> Outcome:
        read.append(entry.record_id)
        return read_entry(entry, *rest)

    monkeypatch.setattr(parts, "read_entry", note)
    counts = counted(tmp_path / "in", tmp_path / "out", "chapman", workers=1)["chapman"]
    assert read == ["M7"]
    assert (counts.recordings_in, counts.recordings_kept, counts.recordings_refused) == (300, 1, 299)
    assert counts.reasons == {"missing file": 299}
    rows = refused(tmp_path / "out")
    assert rows.keys() == {f"M{number}" for number in range(300)} - {"M7"}
    reason = "missing file: Diagnostics.csv has a row for it, but there is no ECGDataDenoised/M0.csv"
    assert rows["M0"] == [{"id": "M0", "file": "ECGDataDenoised/M0.csv", "reason": reason, "window": ""}]


def test_shards_without_a_recording_to_read_need_no_process(tmp_path: Path) -> None:
    job = parts.Job(tmp_path, Deadly(), Windowing(100, 100))  # type: ignore[arg-type]
    entries = [Entry("a", "", "a", "a", refusal="missing file: a"), Entry("b", "", "b", "a", refusal="missing file: b")]
    assert list(make_parts(job, iter([(0, entries), (1, entries[:1])]), workers=2)) == [2, 1]
    part = parts.load_part(tmp_path, 0)
    assert part is not None
    assert [row["id"] for row in part.refused] == ["a", "b"]


def test_nothing_usable_leaves_nothing(tmp_path: Path, write_wfdb: Write) -> None:
    for name in ("a", "b"):
        write_wfdb(tmp_path / "in" / "src" / f"{name}.hea", np.full((1000, 12), 7, np.int16), 100)
    with pytest.raises(InputError, match=r"none of the 2 recordings can be used; .*\(2\): flat: lead I is flat"):
        prepare(tmp_path / "in", tmp_path / "out", "cinc2021", sampling_rate_hz=100, workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


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
        ({"shard": (3, 2)}, "shard 3/2: must be from 1/2 to 2/2"),
        ({"min_seconds": 11.0}, "at most a window of 10 s"),
        ({"refuse": ["flat", "ugly"]}, "ugly"),
        ({"layout": "tape"}, "layout 'tape' is not known"),
        ({"labels": "absent.csv"}, r"absent\.csv: cannot be read"),
    ],
)
def test_impossible_settings_are_refused(
    archive: Path, tmp_path: Path, settings: dict[str, object], reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        prepare(archive, tmp_path / "out", **({"layout": "cinc2021"} | settings))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


class Deadly:
    """Ends the process that it is sent to."""

    refusal = ""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[int]]:
        return os._exit, (9,)


@pytest.mark.parametrize("when", ["at the start", "with the second shard"])
def test_a_process_that_dies_is_reported(tmp_path: Path, when: str) -> None:
    job = parts.Job(tmp_path, Deadly() if when == "at the start" else FileSource(), Windowing(100, 100))  # type: ignore[arg-type]
    entries = [Entry("a", "a", "a", "a", "a")]
    second: Any = [Deadly()]
    with pytest.raises(InputError, match="a reading process died"):
        list(make_parts(job, iter([(0, entries), (1, second), (2, entries), (3, entries)]), workers=2))


def test_an_error_in_a_process_is_that_of_the_whole(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way of a folder")
    job = parts.Job(tmp_path / "file", FileSource(), Windowing(100, 100))
    entries = [Entry("a", "a", "a", "a", "a")]
    with pytest.raises(OSError, match="file") as raised:
        list(make_parts(job, iter([(0, entries), (1, entries)]), workers=2))
    assert raised.value.filename is not None


def test_reading_processes_do_without_tensorflow() -> None:
    code = "import sys, ecg_advmask.data.prepare; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("folder", "layout", "rate", "every"),
    [
        pytest.param("cinc2021", "cinc2021", 100, 1, marks=pytest.mark.exhaustive),
        pytest.param("cinc2021", "cinc2021", 500, 1, marks=pytest.mark.exhaustive),
        pytest.param("ludb", "wfdb", 500, 1, marks=pytest.mark.exhaustive),
        ("ludb", "wfdb", 500, 8),
    ],
)
def test_real_recordings_are_accounted_for_and_keep_their_values(
    shared: Path, tmp_path: Path, folder: str, layout: str, rate: int, every: int
) -> None:
    """Each is accounted for; the values of every n-th are compared."""
    root = shared / "data" / folder
    counts = counted(root, tmp_path / "out", layout, sampling_rate_hz=rate)
    headers = {path.relative_to(root).as_posix() for path in root.rglob("*.hea")}
    data = DataSet.open(tmp_path / "out", verify=True)
    kept = set(data.records["file"])
    left_out = {row["file"] for rows in refused(tmp_path / "out").values() for row in rows if not row["window"]}
    assert kept | left_out == headers
    assert kept.isdisjoint(left_out)
    assert all(row["reason"] for rows in refused(tmp_path / "out").values() for row in rows)
    assert {name for name in headers if "chapman" in name} <= left_out
    for source, summary in counts.items():
        there = [name for name in headers if layout == "wfdb" or f"/{source}/" in name]
        assert summary.recordings_in == len(there) == summary.recordings_kept + summary.recordings_refused
        assert summary.recordings_kept == len(kept & set(there))
    whole = total(counts.values())
    assert (whole.recordings_in, whole.windows_kept) == (len(headers), data.windows)

    largest_uv, compared = 0.0, 0
    for name, rows in list(data.records[data.records["original_rate_hz"] == rate].groupby("file"))[::every]:
        record = wfdb.rdrecord(str(root / str(name)).removesuffix(".hea"))
        columns = [[lead.lower() for lead in record.sig_name].index(lead.lower()) for lead in STANDARD_LEADS]
        for row, record_row in rows.iterrows():
            start, samples = round(record_row["start_s"] * rate), record_row["valid_samples"]
            expected_uv = 1000 * record.p_signal[start : start + samples, columns]
            found_uv = data.windows_uv([int(str(row))])[0, :samples]
            largest_uv, compared = max(largest_uv, float(np.abs(found_uv - expected_uv).max())), compared + 1
    assert compared > 0
    assert largest_uv <= 0.51  # half a microvolt of rounding, and what float32 adds
