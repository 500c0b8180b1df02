"""Listing and reading of the Chapman-Shaoxing layout; rows without files and files without rows."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecg_advmask.datasets import chapman
from ecg_advmask.errors import InputError


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    signals = tmp_path / "ECGDataDenoised"
    signals.mkdir()
    for number, name in enumerate(("MUSE_1", "MUSE_2", "MUSE_9")):
        values = np.random.default_rng(number).normal(0, 200, (60, 12)).round(3)
        np.savetxt(signals / f"{name}.csv", values, delimiter=",", fmt="%.3f")
    rows = [
        ("MUSE_2", "SB", 59, "FEMALE"),
        ("MUSE_1", "AFIB", 85, "MALE"),
        ("MUSE_3", "SR", 20, "MALE"),
        ("../Diagnostics", "SR", 20, "MALE"),
    ]
    pd.DataFrame(rows, columns=["FileName", "Rhythm", "PatientAge", "Gender"]).assign(Beat="NONE").to_excel(
        tmp_path / "Diagnostics.xlsx", index=False
    )
    return tmp_path


def test_rows_and_files_are_matched(archive: Path) -> None:
    entries = chapman.list_entries(archive)
    assert [entry.record_id for entry in entries] == ["../Diagnostics", "MUSE_1", "MUSE_2", "MUSE_3", "MUSE_9"]
    refusals = {entry.record_id: entry.refusal for entry in entries if entry.refusal}
    assert set(refusals) == {"../Diagnostics", "MUSE_3", "MUSE_9"}
    assert "not a file inside ECGDataDenoised" in refusals["../Diagnostics"]
    assert refusals["MUSE_3"].startswith("missing file:")
    assert refusals["MUSE_9"].startswith("missing row:")


def test_a_recording_has_the_table_s_age_sex_and_rhythm(archive: Path) -> None:
    recording = chapman.read(chapman.list_entries(archive)[1])
    assert (recording.record_id, recording.patient, recording.source) == ("MUSE_1", "chapman/MUSE_1", "chapman")
    assert (recording.age_years, recording.sex, recording.codes) == (85.0, "male", ("AFIB",))
    assert recording.sampling_rate_hz == 500
    microvolts = np.loadtxt(archive / "ECGDataDenoised" / "MUSE_1.csv", delimiter=",")
    np.testing.assert_allclose(recording.signals_mv, microvolts / 1000, atol=1e-6)


def test_missing_parts_are_input_errors(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no folder ECGDataDenoised"):
        chapman.list_entries(tmp_path / "absent")
    table = archive / "Diagnostics.xlsx"
    pd.DataFrame({"FileName": ["a"], "Rhythm": ["SR"]}).to_excel(table, index=False)
    with pytest.raises(InputError, match="lacks the columns PatientAge, Gender"):
        chapman.list_entries(archive)
    table.write_text("no workbook")
    with pytest.raises(InputError, match="cannot be read as an Excel table"):
        chapman.list_entries(archive)
    table.unlink()
    with pytest.raises(InputError, match=r"Diagnostics\.xlsx: does not exist"):
        chapman.list_entries(archive)


def test_real_table_and_recordings(shared: Path) -> None:
    folder = shared / "data" / "chapman"
    table = pd.read_excel(folder / "Diagnostics.xlsx")
    files = {path.stem for path in (folder / "ECGDataDenoised").glob("*.csv")}
    entries = chapman.list_entries(folder)
    assert {entry.record_id for entry in entries} == files | set(table["FileName"])
    readable = [entry for entry in entries if not entry.refusal]
    assert {entry.record_id for entry in readable} == files & set(table["FileName"])
    for entry in readable[:2]:
        (row,) = table[table["FileName"] == entry.record_id].itertuples()
        recording = chapman.read(entry)
        assert (recording.codes, recording.sex) == ((row.Rhythm,), row.Gender.lower())
        raw = np.loadtxt(folder / "ECGDataDenoised" / f"{entry.record_id}.csv", delimiter=",")
        np.testing.assert_allclose(recording.signals_mv, raw / 1000, atol=1e-4)
