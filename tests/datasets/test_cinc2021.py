"""Listing of the CinC 2021 layout: sources, patients, what is left out."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ecg_advmask.datasets import cinc2021
from ecg_advmask.errors import InputError

Write = Callable[..., Path]


@pytest.fixture
def archive(tmp_path: Path, write_wfdb: Write) -> Path:
    """Three sources, one of them without numbered folders; one id occurs twice."""
    samples = np.random.default_rng(0).integers(-500, 500, (50, 12)).astype(np.int16)
    for name in ("ptb-xl/g2/HR2", "ptb-xl/g1/HR1", "WFDB_ChapmanShaoxing/g1/JS1", "georgia/E1", "georgia/g7/HR1"):
        write_wfdb(tmp_path / "training" / f"{name}.hea", samples)
    return tmp_path


def test_entries_are_sorted_by_id_with_source_and_patient(archive: Path) -> None:
    entries = cinc2021.list_entries(archive, patients={"HR2": "P7"})
    found = [(entry.record_id, entry.source, entry.patient) for entry in entries]
    assert found == [
        ("E1", "georgia", "georgia/E1"),
        ("HR1", "georgia", "georgia/HR1"),
        ("HR1", "ptb-xl", "ptb-xl/HR1"),
        ("HR2", "ptb-xl", "P7"),
        ("JS1", "WFDB_ChapmanShaoxing", "WFDB_ChapmanShaoxing/JS1"),
    ]
    assert [entry.name for entry in entries][3] == "training/ptb-xl/g2/HR2.hea"


def test_chapman_is_left_out_unless_asked_for_and_a_second_id_always(archive: Path) -> None:
    refusals = {entry.name: entry.refusal for entry in cinc2021.list_entries(archive) if entry.refusal}
    assert set(refusals) == {"training/WFDB_ChapmanShaoxing/g1/JS1.hea", "training/ptb-xl/g1/HR1.hea"}
    assert refusals["training/WFDB_ChapmanShaoxing/g1/JS1.hea"] == cinc2021.CHAPMAN_REFUSAL
    assert refusals["training/ptb-xl/g1/HR1.hea"] == "duplicate: its id is also that of training/georgia/g7/HR1.hea"
    taken = cinc2021.list_entries(archive, include_chapman=True)
    assert [entry.name for entry in taken if entry.refusal] == ["training/ptb-xl/g1/HR1.hea"]


def test_one_source_alone_keeps_its_name(archive: Path) -> None:
    for folder in ("training/ptb-xl", "training/ptb-xl/g1"):
        assert {entry.source for entry in cinc2021.list_entries(archive / folder)} == {"ptb-xl"}


def test_reading_adds_what_the_listing_knows(archive: Path) -> None:
    entry = cinc2021.list_entries(archive, patients={"HR2": "P7"})[3]
    recording = cinc2021.read(entry)
    assert (recording.record_id, recording.source, recording.patient) == ("HR2", "ptb-xl", "P7")
    assert (recording.file, recording.age_years, recording.sex) == ("training/ptb-xl/g2/HR2.hea", 61.0, "female")


def test_patients_table(tmp_path: Path, archive: Path) -> None:
    table = tmp_path / "patients.csv"
    table.write_text("record,patient,extra\nHR1,P1,x\nHR2,P1,y\nHR1,P1,z\n")
    assert cinc2021.read_patients(table) == {"HR1": "P1", "HR2": "P1"}
    for text, reason in [
        ("id,patient\na,b\n", "expected record and patient"),
        ("record,patient\na,\n", "line 2 lacks a record or a patient"),
        ("record,patient\na,b\na,c\n", "line 3 gives record a a second patient"),
        ("", "expected record and patient"),
    ]:
        table.write_text(text)
        with pytest.raises(InputError, match=reason):
            cinc2021.read_patients(table)
    with pytest.raises(InputError, match="cannot be read"):
        cinc2021.read_patients(tmp_path / "absent.csv")
    with pytest.raises(InputError, match="names none of its 5 records"):
        cinc2021.list_entries(archive, patients={"unknown": "P1"})


def test_a_folder_without_records_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no recordings \(files \*\.hea\)"):
        cinc2021.list_entries(tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        cinc2021.list_entries(tmp_path / "absent")


def test_every_real_record_is_listed_once(shared: Path) -> None:
    root = shared / "data" / "cinc2021"
    entries = cinc2021.list_entries(root)
    assert sorted(entry.name for entry in entries) == sorted(
        path.relative_to(root).as_posix() for path in root.rglob("*.hea")
    )
    folders = {path.name for path in (root / "training").iterdir() if path.is_dir()}
    assert {entry.source for entry in entries} == folders
