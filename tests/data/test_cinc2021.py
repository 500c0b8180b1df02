"""Listing of the layouts of CinC 2020 and 2021: sources under every name of their folders, what is left out."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ecg_advmask.data import cinc2021
from ecg_advmask.data.archives import open_source
from ecg_advmask.ecg.sources import Entry, SourceOptions
from ecg_advmask.errors import InputError

Write = Callable[..., Path]


def listed(folder: Path, *, include_chapman: bool = True) -> list[Entry]:
    entries = open_source(folder, "cinc2021", SourceOptions(include_chapman=include_chapman)).entries()
    return sorted(entries, key=lambda entry: (entry.record_id, entry.name))


@pytest.fixture
def archive(tmp_path: Path, write_wfdb: Write) -> Path:
    """Three sources, one of them without numbered folders; one id occurs twice."""
    samples = np.random.default_rng(0).integers(-500, 500, (50, 12)).astype(np.int16)
    for name in ("ptb-xl/g2/HR2", "ptb-xl/g1/HR1", "WFDB_ChapmanShaoxing/g1/JS1", "georgia/E1", "georgia/g7/HR1"):
        write_wfdb(tmp_path / "training" / f"{name}.hea", samples)
    return tmp_path


def test_entries_have_their_source(archive: Path) -> None:
    found = [(entry.record_id, entry.source) for entry in listed(archive)]
    assert found == [
        ("E1", "georgia"),
        ("HR1", "georgia"),
        ("HR1", "ptb-xl"),
        ("HR2", "ptb-xl"),
        ("JS1", "chapman_shaoxing"),
    ]
    assert listed(archive)[3].name == "training/ptb-xl/g2/HR2.hea"
    assert Path(listed(archive)[3].file) == archive / "training" / "ptb-xl" / "g2" / "HR2.hea"


SOURCES = (
    "cpsc_2018",
    "cpsc_2018_extra",
    "st_petersburg_incart",
    "ptb",
    "ptb-xl",
    "georgia",
    "chapman_shaoxing",
    "ningbo",
)
FOLDERS_2021 = (
    "WFDB_CPSC2018",
    "WFDB_CPSC2018_2",
    "WFDB_StPetersburg",
    "WFDB_PTB",
    "WFDB_PTBXL",
    "WFDB_Ga",
    "WFDB_ChapmanShaoxing",
    "WFDB_Ningbo",
)
ARCHIVES_2020 = ("Training_CPSC", "Training_2", "Training_StPetersburg", "Training_PTB", "PTB-XL", "Training_E")
PUBLISHED = [
    *((f"training/{source}/g{number}/X1", source) for source in SOURCES for number in (1, 22)),
    *((f"{folder}/X1", source) for folder, source in zip(FOLDERS_2021, SOURCES, strict=True)),
    *((f"PhysioNetChallenge2020_{name}/X1", source) for name, source in zip(ARCHIVES_2020, SOURCES, strict=False)),
    # as extracted in 2020: three archives then held a folder of the same name
    ("PhysioNetChallenge2020_Training_CPSC/Training_WFDB/X1", "cpsc_2018"),
    ("Training_WFDB/X1", "cpsc_2018"),
    ("Training_2/X1", "cpsc_2018_extra"),
    ("Training_StPetersburg/X1", "st_petersburg_incart"),
    ("Training_PTB/X1", "ptb"),
    ("PhysioNetChallenge2020_Training_PTB-XL/WFDB/X1", "ptb-xl"),
    ("PhysioNetChallenge2020_Training_E/WFDB/X1", "georgia"),
    ("Training_E/X1", "georgia"),
    ("2020/WFDB/HR21837", "ptb-xl"),
    ("2020/WFDB/E10344", "georgia"),
]


@pytest.mark.parametrize(("path", "source"), PUBLISHED)
def test_a_folder_of_either_challenge_names_its_source(path: str, source: str) -> None:
    assert cinc2021.source_of(Path("/data") / f"{path}.hea") == source


@pytest.mark.parametrize(
    ("name", "source"),
    [
        *(("A0001", "cpsc_2018"), ("Q3581", "cpsc_2018_extra"), ("I0075", "st_petersburg_incart"), ("S0549", "ptb")),
        *(("HR00001", "ptb-xl"), ("E10344", "georgia"), ("JS00001", "chapman_shaoxing"), ("JS45551", "ningbo")),
        *(("HR1", "mine"), ("A00001", "mine"), ("GENERATED_JS00001", "mine"), ("00001_hr", "mine")),
    ],
)
def test_where_the_folder_tells_nothing_the_record_does(name: str, source: str) -> None:
    assert cinc2021.source_of(Path(f"/data/mine/{name}.hea")) == source
    assert cinc2021.source_of(Path(f"/data/ptb-xl/g1/{name}.hea")) == (source if "chapman" in source else "ptb-xl")


@pytest.mark.parametrize(
    ("path", "chapman"),
    [
        ("flat/JS00001", True),
        ("flat/JS10646", True),
        ("flat/js10646", True),
        ("flat/JS10647", False),
        ("flat/JS45551", False),
        ("WFDB_ShaoxingUniv/JS09999", True),
        ("WFDB_ShaoxingUniv/JS20000", False),
        ("ecg-arrhythmia/WFDBRecords/01/010/JS00001", True),
        ("ecg-arrhythmia/WFDBRecords/46/460/JS45551", False),
        ("training/ningbo/g1/JS00007", True),
        ("training/chapman_shaoxing/g1/JS20000", True),
        ("my Chapman copy/JS20000", True),
        ("my Chapman copy/MUSE_20180113_171327_27000", True),
        ("chapman_shaoxing_ningbo/JS20000", False),
        ("chapman_shaoxing_ningbo/JS00700", True),
    ],
)
def test_chapman_is_known_by_its_folder_and_by_its_numbers(
    path: str, chapman: bool, tmp_path: Path, write_wfdb: Write
) -> None:
    write_wfdb(tmp_path / f"{path}.hea", np.zeros((10, 12), np.int16))
    for folder in (tmp_path, (tmp_path / path).parent):
        (kept_out,) = listed(folder, include_chapman=False)
        assert kept_out.refusal == (cinc2021.CHAPMAN_REFUSAL if chapman else "")
        assert (kept_out.source == cinc2021.CHAPMAN) == chapman
        (taken,) = listed(folder, include_chapman=True)
        assert (taken.refusal, taken.source) == ("", kept_out.source)


def test_one_source_alone_keeps_its_name(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("training/ptb-xl", "training/ptb-xl/g1"):
        assert {entry.source for entry in listed(archive / folder)} == {"ptb-xl"}
    monkeypatch.chdir(archive / "training" / "georgia" / "g7")
    assert [(entry.name, entry.source) for entry in listed(Path())] == [("HR1.hea", "georgia")]


def test_reading_adds_what_the_listing_knows(archive: Path) -> None:
    recording = open_source(archive, "cinc2021").read(listed(archive)[3])
    assert (recording.record_id, recording.source, recording.patient) == ("HR2", "ptb-xl", "ptb-xl/HR2")
    assert (recording.file, recording.age_years, recording.sex) == ("training/ptb-xl/g2/HR2.hea", 61.0, "female")


def test_links_are_refused_and_not_followed(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.hea").write_text("secret 1 500 1\n")
    georgia = archive / "training" / "georgia"
    (georgia / "g8").symlink_to(outside)
    (georgia / "g9").symlink_to(georgia)
    (georgia / "E2.hea").symlink_to(outside / "secret.hea")
    (georgia / "loop").symlink_to(georgia / "loop")
    refused = {entry.name: entry.refusal for entry in listed(archive) if entry.refusal}
    assert set(refused) == {f"training/georgia/{name}" for name in ("g8", "g9", "E2.hea")}  # a loop is nothing
    assert all("was not followed" in reason for reason in refused.values())


def test_the_memory_for_listing_does_not_grow_with_the_number_of_records(tmp_path: Path) -> None:
    def peak_bytes(files: int) -> int:
        folder = tmp_path / str(files) / "g1"
        folder.mkdir(parents=True)
        for number in range(files):
            (folder / f"A{number:04d}.HEA").touch()
            (folder / f"A{number:04d}.mat").touch()
        tracemalloc.start()
        assert sum(1 for _ in open_source(folder.parent, "cinc2021").entries()) == files
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_bytes(10)  # fills the caches
    few, many = peak_bytes(200), peak_bytes(2000)
    assert many < few + 20_000, "an entry takes about 1,000 bytes"


def test_a_folder_without_records_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no recordings \(files \*\.hea\)"):
        listed(tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        listed(tmp_path / "absent")


def test_every_real_record_is_listed_once_under_its_source(shared: Path) -> None:
    root = shared / "data" / "cinc2021"
    entries = listed(root, include_chapman=False)
    assert sorted(entry.name for entry in entries) == sorted(
        path.relative_to(root).as_posix() for path in root.rglob("*.hea")
    )
    folders = {path.name for path in (root / "training").iterdir() if path.is_dir()}
    assert {entry.source for entry in entries} == folders <= set(cinc2021.FOLDERS)
    assert all(entry.name.split("/")[1] == entry.source for entry in entries)
    # the names of the real records tell the same sources as their folders do
    assert {cinc2021.source_of(Path("/flat") / f"{entry.record_id}.hea") for entry in entries} == folders
    assert {entry.source for entry in entries if entry.refusal} == {cinc2021.CHAPMAN} & folders
