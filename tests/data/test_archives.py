"""A user's own WFDB, CSV and NumPy folders: which recordings are found, under which ids, and what they hold."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pytest

from ecg_advmask.cli.prepare import prepare
from ecg_advmask.data.archives import LAYOUTS, find_layout, open_source
from ecg_advmask.ecg import arrays
from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.ecg.npz import NumpyFile
from ecg_advmask.ecg.recording import UnreadableRecordingError
from ecg_advmask.ecg.sources import Entry, SourceOptions
from ecg_advmask.ecg.walking import Ignored
from ecg_advmask.errors import InputError

Write = Callable[..., Path]
OPTIONS = SourceOptions(sampling_rate_hz=250, unit="uV")


def signals(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(-2000, 2000, (60, 12)).astype(np.int16)


def by_id(entries: Iterator[Entry]) -> dict[str, Entry]:
    listed = list(entries)
    found = {entry.record_id: entry for entry in listed}
    assert len(found) == len(listed)
    return found


def test_a_table_or_notes_beside_recordings_do_not_count_for_the_layout(tmp_path: Path, write_wfdb: Write) -> None:
    write_wfdb(tmp_path / "data/1.hea", signals(0), 300)
    (tmp_path / "about.csv").write_text("ID,Sex,Age\n1,M,50\n")
    (tmp_path / "LICENSE.txt").write_text("as it is\n")
    (tmp_path / "names.csv").write_text("Acronym,Full Name\nAF,Atrial fibrillation\n")
    ignored = Ignored()
    assert find_layout(tmp_path, [tmp_path / "given.csv"], ignored) == "wfdb"
    assert (ignored.tables, ignored.notes) == (["about.csv"], ["LICENSE.txt"])
    (tmp_path / "about.csv").rename(tmp_path / "given.csv")
    ignored = Ignored()
    assert find_layout(tmp_path, [tmp_path / "given.csv"], ignored) == "wfdb" and ignored.tables == []
    (tmp_path / "b.csv").write_text(",".join(STANDARD_LEADS) + "\n")
    with pytest.raises(InputError, match="several layouts"):
        find_layout(tmp_path)


@pytest.mark.parametrize(
    ("files", "layout"),
    [
        (["a.hea", "g1/b.hea", "a.mat"], "wfdb"),
        (["x/a.csv", "labels.csv"], "csv"),  # the table is excluded
        (["a.NPZ", "b.npy"], "npz"),
        (["georgia/g1/E00001.hea", "ptb-xl/g1/HR00001.hea"], "cinc2021"),
        (["georgia/g1/E00001.hea", "chapman_shaoxing/g1/JS00001.hea"], "cinc2021"),
        (["ECGDataDenoised/MUSE_1.csv", "Diagnostics.xlsx"], "chapman"),
        (["records500/00000/00001_hr.hea", "ptbxl_database.csv"], "ptbxl"),
        (["files/p1000/a.hea", "record_list.csv"], "mimic"),
        (["exams_part0.hdf5", "exams.csv"], "code15"),
        (["a.hea", "b.npz"], ""),
        (["georgia/E00001.hea", "mine/b.hea"], ""),
        (["JS00001.hea"], ""),  # of Chapman-Shaoxing, on its own or within CinC 2021
        (["notes.txt"], ""),
        ([], ""),
    ],
    ids=repr,
)
def test_the_layout_is_found_by_the_names_of_the_files(tmp_path: Path, files: list[str], layout: str) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    if layout:
        assert find_layout(folder, [folder / "labels.csv"]) == layout
    else:
        with pytest.raises(InputError, match="recordings"):
            find_layout(folder)


def test_every_layout_can_be_chosen() -> None:
    (layout,) = (option for option in prepare.params if option.name == "layout")
    assert isinstance(layout.type, click.Choice)
    assert set(layout.type.choices) == set(LAYOUTS)


def test_wfdb_records_are_found_by_their_path(tmp_path: Path, write_wfdb: Write) -> None:
    for number, name in enumerate(("a", "g1/a", "g1/2020/b")):
        write_wfdb(tmp_path / "mine" / f"{name}.hea", signals(number), 300)
    entries = by_id(open_source(tmp_path / "mine", "wfdb").entries())
    assert set(entries) == {"a", "g1/a", "g1/2020/b"}
    entry = entries["g1/2020/b"]
    assert (entry.name, entry.source) == ("g1/2020/b.hea", "mine")
    changed = replace(entry, patient="p7", age_years=33.0, sex="male")
    for one, patient, age, sex in ((entry, "mine/g1/2020/b", 61.0, "female"), (changed, "p7", 33.0, "male")):
        found = open_source(tmp_path / "mine", "wfdb").read(one)
        assert (found.record_id, found.source, found.patient) == ("g1/2020/b", "mine", patient)
        assert (found.age_years, found.sex, found.codes) == (age, sex, ("426177001", "164934002"))
        assert (found.sampling_rate_hz, found.file) == (300, "g1/2020/b.hea")
        np.testing.assert_array_equal(found.signals_mv, (signals(2) / 1000).astype(np.float32))


def test_csv_files_take_rate_and_unit_from_the_options(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "a.csv", signals(0), delimiter=",", fmt="%d")
    header = ",".join(["time", *STANDARD_LEADS[::-1]])
    rows = np.column_stack([np.arange(60), signals(1)[:, ::-1]])
    np.savetxt(tmp_path / "b.CSV", rows, delimiter=",", fmt="%d", header=header, comments="")
    entries = by_id(open_source(tmp_path, "csv", OPTIONS).entries())
    assert set(entries) == {"a", "b"}
    for number, name in enumerate("ab"):
        found = open_source(tmp_path, "csv", OPTIONS).read(entries[name])
        assert found.sampling_rate_hz == 250
        np.testing.assert_array_equal(found.signals_mv, (signals(number) / 1000).astype(np.float32))
    with pytest.raises(InputError, match=r"do not state their sampling rate, give it \(--source-rate HZ\)"):
        list(open_source(tmp_path, "csv").entries())
    with pytest.raises(UnreadableRecordingError, match="does not state its sampling rate"):
        open_source(tmp_path, "csv").read(entries["a"])


def test_recordings_of_numpy_files_are_listed_one_by_one(tmp_path: Path) -> None:
    batch = np.stack([signals(number) for number in range(3)])
    np.savez(tmp_path / "stated.npz", signals=batch, sampling_rate_hz=500, unit="mV", ids=["x", "y/1", "z"])
    (tmp_path / "sub").mkdir()
    np.savez_compressed(tmp_path / "sub" / "many.npz", signals=batch)
    np.save(tmp_path / "sub" / "one.npy", batch[1])
    (tmp_path / "bad.npz").write_bytes(b"PK no archive")
    np.savez(tmp_path / "odd.npz", signals=batch[:2], ids=["q", "line\nbreak"])
    entries = by_id(open_source(tmp_path, "npz", OPTIONS).entries())
    many = {f"sub/many-0000{number}": number for number in range(3)}
    places = {name: entry.number for name, entry in entries.items()}
    expected = {"x": 0, "y/1": 1, "z": 2, **many, "sub/one": 0, "bad": None, "q": 0, "line\\nbreak": 1}
    assert places == expected
    refusals = {name: entry.refusal for name, entry in entries.items() if entry.refusal}
    assert set(refusals) == {"bad", "line\\nbreak"}
    assert "cannot be read as NumPy arrays" in refusals["bad"] and "cannot be printed" in refusals["line\\nbreak"]
    rng = np.random.default_rng(0)
    for name in rng.permutation(sorted(set(entries) - set(refusals))):
        entry = entries[name]
        found = open_source(tmp_path, "npz", OPTIONS).read(entry)
        factor, rate = (1, 500) if entry.name == "stated.npz" else (1e-3, 250)
        number = 1 if name == "sub/one" else entry.number
        assert (found.record_id, found.sampling_rate_hz, found.file) == (name, rate, entry.name)
        assert found.patient == f"{tmp_path.name}/{name}"
        np.testing.assert_allclose(found.signals_mv, batch[number] * factor, rtol=1e-6)


def test_a_compressed_archive_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ab":
        np.savez_compressed(tmp_path / f"{name}.npz", signals=np.stack([signals(0)] * 4))
    entries = list(open_source(tmp_path, "npz", OPTIONS).entries())
    arrays._opened.cache_clear()
    opened: list[object] = []
    original = NumpyFile.open.__func__  # type: ignore[attr-defined]

    def counting(cls: type[NumpyFile], path: str, *rest: object) -> NumpyFile:
        opened.append(path)
        found: NumpyFile = original(cls, path, *rest)
        return found

    monkeypatch.setattr(NumpyFile, "open", classmethod(counting))
    for entry in [*entries[::2], *entries[1::2]]:
        open_source(tmp_path, "npz", OPTIONS).read(entry)
    assert len(opened) == 2
    np.savez_compressed(tmp_path / "a.npz", signals=np.stack([signals(5)] * 3))
    first = next(entry for entry in entries if entry.record_id == "a-00000")
    np.testing.assert_allclose(
        open_source(tmp_path, "npz", OPTIONS).read(first).signals_mv, signals(5) / 1000, rtol=1e-6
    )


@pytest.mark.parametrize("layout", ["wfdb", "csv", "npz"])
def test_links_are_refused_and_empty_folders_reported(tmp_path: Path, layout: str) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(InputError, match="in: holds no "):
        list(open_source(tmp_path / "in", layout, OPTIONS).entries())
    for suffix in (".hea", ".csv", ".npy"):
        (tmp_path / f"x{suffix}").touch()
        (tmp_path / "in" / f"x{suffix}").symlink_to(tmp_path / f"x{suffix}")
    (entry,) = open_source(tmp_path / "in", layout, OPTIONS).entries()
    assert entry.record_id == "x" and "leads out of the folder" in entry.refusal
    with pytest.raises(InputError, match="is not a folder"):
        list(open_source(tmp_path / "absent", layout, OPTIONS).entries())


def test_a_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    for name in ("a.hea", "a.csv", "a.npz"):
        entry = Entry("a", str(tmp_path / name), name, "mine", "mine/a")
        with pytest.raises(UnreadableRecordingError):
            open_source(tmp_path, "npz", OPTIONS).read(entry)
