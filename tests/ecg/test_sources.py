"""Readers of CSV and NumPy files, folders of recordings, ages and sexes; WFDB has a module of its own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ecg_advmask.ecg import recording
from ecg_advmask.ecg.leads import STANDARD_LEADS, LeadNames
from ecg_advmask.ecg.sources import (
    FileSource,
    Recording,
    Refused,
    UnreadableRecordingError,
    read_csv,
    read_numpy,
    read_recordings,
)
from ecg_advmask.errors import InputError

Write = Callable[..., Path]


def samples(length: int = 1000, leads: int = 12, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-2000, 2000, (length, leads)).astype(np.int16)


def test_csv_with_and_without_a_header_row(tmp_path: Path) -> None:
    values = np.round(np.random.default_rng(0).normal(0, 300, (50, 12)), 3)
    plain, named = tmp_path / "plain.csv", tmp_path / "named.csv"
    np.savetxt(plain, values, delimiter=",", fmt="%.3f")
    order = np.random.default_rng(1).permutation(12)
    rows = np.column_stack([np.arange(50), values[:, order]])
    header = ",".join(["time", *(STANDARD_LEADS[lead].upper() for lead in order)])
    np.savetxt(named, rows, delimiter=",", fmt="%.3f", header=header, comments="")
    for path in (plain, named):
        found = read_csv(path, 500, unit="uV")
        assert (found.record_id, found.sampling_rate_hz) == (path.stem, 500.0)
        np.testing.assert_array_equal(found.signals_mv, (values / 1000).astype(np.float32))
    in_mv = read_csv(plain, 500)
    np.testing.assert_allclose(in_mv.signals_mv, values, rtol=1e-6)
    renamed = read_csv(plain, 500, leads=LeadNames(STANDARD_LEADS[::-1]))
    np.testing.assert_allclose(renamed.signals_mv, values[:, ::-1], rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "holds no samples"),
        ("1,2,3\n4,5,6\n", "has 3 columns without names, expected 12"),
        ("I,II,III\n1,2,3\n", "leads: has 3 of the 12 standard leads, lacks aVR"),
        (",".join(STANDARD_LEADS) + "\n" + ",".join(["x"] * 12) + "\n", "has a cell that is no number"),
        (",".join(STANDARD_LEADS) + "\n", "holds no samples"),
        (",".join("1" * 12) + "\n" + ",".join("1" * 14) + "\n", "cannot be read as CSV"),
    ],
)
def test_csv_of_another_form_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(UnreadableRecordingError, match=reason):
        read_csv(path, 500)
    with pytest.raises(UnreadableRecordingError, match="cannot be read"):
        read_csv(tmp_path / "absent.csv", 500)


def test_an_empty_csv_cell_is_a_missing_sample(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(",".join("1" * 12) + "\n" + ",".join(["2", "", *"2" * 10]) + "\n")
    assert np.argwhere(np.isnan(read_csv(path, 500).signals_mv)).tolist() == [[1, 1]]


def test_numpy_files(tmp_path: Path) -> None:
    signals = np.random.default_rng(0).normal(0, 1, (3, 40, 12)).astype(np.float32)
    np.savez(tmp_path / "a.npz", signals=signals, sampling_rate_hz=250)
    found = list(read_numpy(tmp_path / "a.npz"))
    assert [recording.record_id for recording in found] == ["a-00000", "a-00001", "a-00002"]
    np.testing.assert_array_equal(np.stack([recording.signals_mv for recording in found]), signals)
    in_uv = {"signals": 1000 * signals[..., ::-1].astype(np.float64), "unit": "uV", "leads": STANDARD_LEADS[::-1]}
    np.savez(tmp_path / "b.npz", sampling_rate_hz=250.5, ids=["x", "y", "z"], **in_uv)
    found = list(read_numpy(tmp_path / "b.npz", 100, "V"))
    assert [(recording.record_id, recording.sampling_rate_hz) for recording in found] == [
        ("x", 250.5),
        ("y", 250.5),
        ("z", 250.5),
    ]
    np.testing.assert_allclose(np.stack([recording.signals_mv for recording in found]), signals, rtol=1e-6)
    np.save(tmp_path / "c.npy", signals[0])
    (alone,) = read_numpy(tmp_path / "c.npy", 500)
    assert alone.record_id == "c"
    np.testing.assert_array_equal(alone.signals_mv, signals[0])


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"signals": np.zeros((2, 9, 12))}, "does not state its sampling rate"),
        ({"signals": np.zeros((2, 9, 11)), "sampling_rate_hz": 500}, "11 leads in the last axis, expected 12"),
        ({"signals": np.zeros(12), "sampling_rate_hz": 500}, r"signals have shape \(12,\)"),
        ({"signals": np.zeros((9, 12), complex), "sampling_rate_hz": 500}, "type complex128"),
        ({"beats": np.zeros((9, 12)), "sampling_rate_hz": 500}, "no array named signals"),
        ({"signals": np.zeros((2, 9, 12)), "sampling_rate_hz": 500, "ids": ["a"]}, "1 ids for 2 recordings"),
        ({"signals": np.zeros((9, 12)), "sampling_rate_hz": -1}, "has the sampling rate -1"),
        ({"signals": np.zeros((9, 12)), "sampling_rate_hz": 500, "unit": "bananas"}, "has the unit 'bananas'"),
        ({"signals": np.array([object()]), "sampling_rate_hz": 500}, "pickled objects"),
    ],
)
def test_numpy_files_of_another_form_are_refused(tmp_path: Path, arrays: dict[str, object], reason: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(UnreadableRecordingError, match=reason):
        list(read_numpy(tmp_path / "a.npz"))


def test_a_damaged_numpy_file_is_refused(tmp_path: Path) -> None:
    for name in ("a.npz", "a.npy"):
        (tmp_path / name).write_bytes(b"no array at all")
        with pytest.raises(UnreadableRecordingError, match="cannot be read as NumPy arrays"):
            list(read_numpy(tmp_path / name, 500))


def test_a_folder_is_read_in_order_with_reasons(tmp_path: Path, write_wfdb: Write) -> None:
    outside = write_wfdb(tmp_path / "outside" / "x.hea", samples())
    folder = tmp_path / "in"
    write_wfdb(folder / "g2" / "b.hea", samples(seed=1))
    write_wfdb(folder / "g1" / "a.hea", samples(seed=2))
    write_wfdb(folder / "g1" / "b.hea", samples(seed=3))
    (folder / "g1" / "table.csv").write_text(",".join("1" * 12) + "\n")
    np.savez(folder / "z.npz", signals=np.zeros((2, 30, 12)), sampling_rate_hz=100)
    (folder / "g3").symlink_to(outside.parent)
    (folder / "link.hea").symlink_to(outside)
    (folder / "readme.txt").write_text("not a recording")
    found = list(read_recordings(folder))
    kept = [one.record_id for one in found if isinstance(one, Recording)]
    refused = {one.record_id: one.reason for one in found if isinstance(one, Refused)}
    assert kept == ["a", "g1/b", "g2/b", "z-00000", "z-00001"]
    assert set(refused) == {"table", "g3", "link"}
    assert "sampling rate" in refused["table"]
    assert "link to a folder" in refused["g3"]
    assert "leads out of the folder" in refused["link"]
    with_rate = [one.record_id for one in read_recordings(folder, sampling_rate_hz=500)]
    assert with_rate == ["a", "g1/b", "table", "g2/b", "g3", "link", "z-00000", "z-00001"]


def test_segments_belong_to_the_record_that_joins_them(tmp_path: Path, write_wfdb: Write) -> None:
    """Else they would be patients of their own; segments of a record that cannot be read are recordings."""
    for name in ("seg0", "seg1", "alone"):
        write_wfdb(tmp_path / f"{name}.hea", samples(300))
    write_wfdb(tmp_path / "other" / "seg0.hea", samples(300))  # a namesake elsewhere
    master = tmp_path / "multi.hea"
    master.write_text("# joined\nmulti/3 12 500 650\nseg0 300\n~ 50\nseg1 300\n# Age: 40\n")

    def found() -> dict[str, type]:
        return {one.record_id: type(one) for one in read_recordings(tmp_path)}

    assert found() == dict.fromkeys(["alone", "multi", "seg0"], Recording)
    parts = dict.fromkeys(["alone", "seg1", "seg0", "other/seg0"], Recording)
    for damage in (("multi/3", "multi/4"), ("seg0 300", "seg0 0"), ("seg1 300", "absent 300")):
        master.write_text(master.read_text().replace(*damage))
        assert found() == {**parts, "multi": Refused}, damage
        master.write_text(master.read_text().replace(*damage[::-1]))
    (tmp_path / "circle.hea").write_text("circle/2 12 500 950\nseg0 300\nmulti 650\n")
    assert found().keys() == {"alone", "multi", "circle", "seg0"}
    master.write_text("multi/1 12 500 950\ncircle 950\n")
    assert found() == {**parts, "multi": Refused, "circle": Refused}


def test_samples_under_another_name_than_their_header_are_no_recording(tmp_path: Path, write_wfdb: Write) -> None:
    for name in "abc":
        write_wfdb(tmp_path / f"JS{name}.hea", samples(300)).rename(tmp_path / f"{name}.hea")
    (tmp_path / "other.mat").write_bytes((tmp_path / "JSa.mat").read_bytes())
    (tmp_path / "c.hea").write_text((tmp_path / "c.hea").read_text().replace("JSc.mat", "b.hea"))
    found = {one.record_id: type(one) for one in read_recordings(tmp_path, sampling_rate_hz=500)}
    assert found == {"a": Recording, "b": Recording, "c": Refused, "JSc": Recording, "other": Recording}


def test_one_file_or_record_name_is_enough(tmp_path: Path, write_wfdb: Write) -> None:
    header = write_wfdb(tmp_path / "a.hea", samples())
    for source in (header, header.with_suffix("")):
        assert [one.record_id for one in read_recordings(source)] == ["a"]


def test_nothing_to_read_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        list(read_recordings(tmp_path / "absent"))
    with pytest.raises(InputError, match="holds no recordings"):
        list(read_recordings(tmp_path))


@pytest.mark.parametrize(
    ("text", "age"),
    [("61", 61.0), (" 61.5 ", 61.5), ("0", 0.0), ("120", 120.0)]
    + [
        (text, None)
        for text in ("-1", "nan", "", "300", "x", ">89", "90+", "1e1", "6_1", "inf", "121", "\u0666", "1.5.2")
    ],
)
def test_ages(text: str, age: float | None) -> None:
    assert recording.parse_age(text) == age


@pytest.mark.parametrize(
    ("texts", "sex"),
    [
        (("Male", "MALE", "male", "M", " m "), "male"),
        (("Female", "FEMALE", "female", "F", "f"), "female"),
        (("", "Unknown", "U", "NaN", "other", "0", "1", "none"), ""),
    ],
)
def test_sexes(texts: tuple[str, ...], sex: str) -> None:
    assert {recording.parse_sex(text) for text in texts} == {sex}


@pytest.mark.parametrize("form", ["wfdb", "by package", "csv", "npz"])
def test_limb_leads_are_rebuilt_where_that_is_asked(form: str, tmp_path: Path, write_wfdb: Write) -> None:
    """From I and III here: II = I + III, aVR = -I - III/2, aVL = (I - III)/2, aVF = I/2 + III."""
    names = ("V6", "III", "V1", "V2", "V3", "V4", "V5", "I")
    values = np.random.default_rng(8).integers(-900, 900, (40, 8)).astype(np.int16)
    one, three = values[:, 7] / 1000, values[:, 1] / 1000
    limb = [one, one + three, three, -one - three / 2, (one - three) / 2, one / 2 + three]
    expected = np.column_stack([*limb, values[:, 2:7] / 1000, values[:, 0] / 1000])
    if form == "csv":
        (tmp_path / "a.csv").write_text(
            ",".join(names) + "\n" + "".join(",".join(f"{value / 1000}" for value in row) + "\n" for row in values)
        )
    elif form == "npz":
        np.savez(tmp_path / "a.npz", signals=values / 1000, sampling_rate_hz=100, leads=names)
    else:  # a gain in exponent form is left to the wfdb package
        write_wfdb(tmp_path / "a.hea", values, 100, leads=names, gain="1e3/mV" if form == "by package" else "1000/mV")
    (refused,) = read_recordings(tmp_path, sampling_rate_hz=100)
    assert isinstance(refused, Refused) and "lacks II, aVR, aVL, aVF" in refused.reason
    (found,) = read_recordings(tmp_path, sampling_rate_hz=100, rebuild_leads=True)
    assert isinstance(found, Recording)
    assert found.rebuilt == ("II", "aVR", "aVL", "aVF")
    np.testing.assert_allclose(found.signals_mv, expected, atol=1e-6)


def test_ids_of_several_sources_stay_apart(tmp_path: Path, write_wfdb: Write) -> None:
    first, second = (write_wfdb(tmp_path / name / "r.hea", samples(seed=1)) for name in "ab")
    np.savez(tmp_path / "z.npz", signals=np.zeros((3, 30, 12)), sampling_rate_hz=100, ids=["x", "r", "b\ab"])
    listed = list(FileSource(paths=(first, second, second, tmp_path / "z.npz")).entries())
    listing = [(one.record_id, one.number, one.refusal[:24]) for one in listed]
    here, there = f"{tmp_path.as_posix()}/r", f"{second.parent.as_posix()}/r"
    assert listing[:4] == [("r", None, ""), (there, None, ""), (there, None, "a recording with this id"), ("x", 0, "")]
    assert listing[4] == (here, 1, "")
    assert "cannot be printed" in listed[5].refusal and listed[5].record_id.isprintable()


def test_each_recording_of_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    """By its own id; and the archive is read to its end but once."""
    path = tmp_path / "z.npz"
    np.savez(path, signals=np.ones((4, 30, 12)), sampling_rate_hz=100)
    whole = bytearray(path.read_bytes())
    whole[whole.index(np.ones(2).tobytes()) + 3] ^= 1
    path.write_bytes(whole)
    found = list(read_recordings(path))
    assert [one.record_id for one in found] == [f"z-0000{number}" for number in range(4)]
    assert all(isinstance(one, Refused) and "CRC" in one.reason for one in found)
