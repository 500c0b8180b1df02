"""Listing and reading of Chapman-Shaoxing in both layouts; rows without files and files without rows."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecg_advmask.data.archives import open_source
from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.ecg.recording import UnreadableRecordingError
from ecg_advmask.ecg.sources import Entry
from ecg_advmask.errors import InputError

COLUMNS = ["FileName", "Rhythm", "PatientAge", "Gender"]


def listed(folder: Path) -> dict[str, Entry]:
    return {entry.record_id: entry for entry in open_source(folder, "chapman").entries()}


def microvolts(number: int) -> np.ndarray:
    return np.random.default_rng(number).normal(0, 200, (60, 12)).round(3)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    signals = tmp_path / "ECGDataDenoised"
    signals.mkdir()
    for number, name in enumerate(("MUSE_1", "MUSE_2", "MUSE_9")):
        np.savetxt(signals / f"{name}.csv", microvolts(number), delimiter=",", fmt="%.3f")
    rows = [
        ("MUSE_2", "SB", 59, "FEMALE"),
        ("MUSE_1", "AFIB", 85, "MALE"),
        ("MUSE_3", "SR", 20, "MALE"),
        ("../Diagnostics", "SR", 20, "MALE"),
        ("", "SR", 20, "MALE"),
    ]
    pd.DataFrame(rows, columns=COLUMNS).assign(Beat="NONE").to_excel(tmp_path / "Diagnostics.xlsx", index=False)
    return tmp_path


def test_rows_and_files_are_matched(archive: Path) -> None:
    entries = listed(archive)
    assert set(entries) == {"../Diagnostics", "MUSE_1", "MUSE_2", "MUSE_3", "MUSE_9", "line 6 of Diagnostics.xlsx"}
    refusals = {name: entry.refusal for name, entry in entries.items() if entry.refusal}
    assert set(refusals) == set(entries) - {"MUSE_1", "MUSE_2"}
    assert "not a file inside ECGDataDenoised" in refusals["../Diagnostics"]
    assert refusals["MUSE_3"].startswith("missing file:")
    assert refusals["MUSE_9"].startswith("missing row:")


def test_a_recording_has_the_table_s_age_sex_and_rhythm(archive: Path) -> None:
    recording = open_source(archive, "chapman").read(listed(archive)["MUSE_1"])
    assert (recording.record_id, recording.patient, recording.source) == ("MUSE_1", "chapman/MUSE_1", "chapman")
    assert (recording.age_years, recording.sex, recording.codes) == (85.0, "male", ("AFIB",))
    assert (recording.sampling_rate_hz, recording.file) == (500, "ECGDataDenoised/MUSE_1.csv")
    np.testing.assert_allclose(recording.signals_mv, microvolts(0) / 1000, atol=1e-6)


def test_other_spellings_a_csv_table_and_header_rows_are_known(archive: Path) -> None:
    (archive / "Diagnostics.xlsx").unlink()
    (archive / "ECGDataDenoised").rename(archive / "ECGData")
    header = ",".join(STANDARD_LEADS[::-1])
    path = archive / "ECGData" / "MUSE_2.csv"
    np.savetxt(path, microvolts(1)[:, ::-1], delimiter=",", fmt="%.3f", header=header, comments="")
    (archive / "Diagnostics.csv").write_text(
        "\ufeffGENDER,Patient Age,rhythm,Beat,file_name\nFemale,59,SB,NONE,MUSE_2\n"
    )
    entry = listed(archive)["MUSE_2"]
    recording = open_source(archive, "chapman").read(entry)
    assert (entry.refusal, recording.age_years, recording.sex, recording.codes) == ("", 59.0, "female", ("SB",))
    np.testing.assert_allclose(recording.signals_mv, microvolts(1) / 1000, atol=1e-6)


def test_a_file_that_leads_out_is_not_read(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "x.csv"
    (archive / "ECGDataDenoised" / "MUSE_1.csv").rename(outside)
    (archive / "ECGDataDenoised" / "MUSE_1.csv").symlink_to(outside)
    assert "leads out of the folder" in listed(archive)["MUSE_1"].refusal


def test_physionet_records_are_distinguished_by_their_number(tmp_path: Path, write_wfdb: Callable[..., Path]) -> None:
    values = np.random.default_rng(0).integers(-2000, 2000, (500, 12)).astype(np.int16)
    for name in ("01/010/JS00001", "10/109/JS10646", "10/109/JS10647", "45/452/JS45551", "A0001"):
        write_wfdb(tmp_path / "WFDBRecords" / f"{name}.hea", values, 500)
    entries = listed(tmp_path)
    sources = {name: entry.source for name, entry in entries.items() if not entry.refusal}
    chapman_s, ningbo_s = ("JS00001", "JS10646"), ("JS10647", "JS45551")
    assert sources == dict.fromkeys(chapman_s, "chapman") | dict.fromkeys(ningbo_s, "ningbo")
    assert "no record of Chapman-Shaoxing" in entries["A0001"].refusal
    recording = open_source(tmp_path, "chapman").read(entries["JS10647"])
    assert (recording.source, recording.patient) == ("ningbo", "ningbo/JS10647")
    assert (recording.age_years, recording.sex) == (61.0, "female")
    assert recording.codes == ("426177001", "164934002")
    assert recording.file == "WFDBRecords/10/109/JS10647.hea"
    np.testing.assert_array_equal(recording.signals_mv, (values / 1000).astype(np.float32))
    (tmp_path / "WFDBRecords" / "10" / "109" / "JS10647.mat").unlink()
    with pytest.raises(UnreadableRecordingError):
        open_source(tmp_path, "chapman").read(entries["JS10647"])


def test_real_physionet_records_are_read(shared: Path) -> None:
    folder = shared / "data" / "cinc2021" / "training" / "chapman_shaoxing"
    headers = {path.stem for path in folder.rglob("*.hea")}
    entries = listed(folder)
    assert set(entries) == headers
    assert all(entry.source == "chapman" and not entry.refusal for entry in entries.values())
    for entry in list(entries.values())[:2]:
        assert open_source(folder, "chapman").read(entry).codes


def test_missing_parts_are_input_errors(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        listed(tmp_path / "absent")
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match="holds neither a folder ECGDataDenoised or ECGData nor WFDB headers"):
        listed(tmp_path / "other")
    table = archive / "Diagnostics.xlsx"
    pd.DataFrame({"FileName": ["a"], "Rhythm": ["SR"]}).to_excel(table, index=False)
    with pytest.raises(InputError, match="lacks the columns PatientAge, Gender"):
        listed(archive)
    table.write_text("no workbook")
    with pytest.raises(InputError, match="cannot be read as a table"):
        listed(archive)
    table.unlink()
    with pytest.raises(InputError, match=r"has no Diagnostics\.xlsx or Diagnostics\.csv"):
        listed(archive)


def test_real_table_and_recordings(shared: Path) -> None:
    folder = shared / "data" / "chapman"
    table = pd.read_excel(folder / "Diagnostics.xlsx", engine="calamine")
    files = {path.stem for path in (folder / "ECGDataDenoised").glob("*.csv")}
    entries = listed(folder)
    assert set(entries) == files | set(table["FileName"])
    readable = [entry for entry in entries.values() if not entry.refusal]
    assert {entry.record_id for entry in readable} == files & set(table["FileName"])
    for entry in readable[:2]:
        (row,) = table[table["FileName"] == entry.record_id].itertuples()
        recording = open_source(folder, "chapman").read(entry)
        assert (recording.codes, recording.sex) == ((row.Rhythm,), str(row.Gender).lower())
        raw = np.loadtxt(folder / "ECGDataDenoised" / f"{entry.record_id}.csv", delimiter=",")
        np.testing.assert_allclose(recording.signals_mv, raw / 1000, atol=1e-4)
