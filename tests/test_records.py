"""Readers against the wfdb package, arrays written by hand, and damaged files of every kind."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import wfdb

from ecg_advmask import formats
from ecg_advmask.errors import InputError
from ecg_advmask.leads import STANDARD_LEADS
from ecg_advmask.records import (
    Recording,
    Refused,
    UnreadableRecordingError,
    find_recordings,
    read_csv,
    read_numpy,
    read_recordings,
    read_wfdb,
)

Write = Callable[..., Path]


def samples(length: int = 1000, leads: int = 12, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-2000, 2000, (length, leads)).astype(np.int16)


def test_wfdb_record_is_read_exactly(tmp_path: Path, write_wfdb: Write) -> None:
    values = samples()
    found = read_wfdb(write_wfdb(tmp_path / "A0001.hea", values, 257))
    assert found.signals_mv.dtype == np.float32
    np.testing.assert_array_equal(found.signals_mv, (values / 1000).astype(np.float32))
    assert (found.record_id, found.sampling_rate_hz, found.age_years, found.sex) == ("A0001", 257.0, 61.0, "female")
    assert found.codes == ("426177001", "164934002")


def test_leads_are_taken_by_name(tmp_path: Path, write_wfdb: Write) -> None:
    names = ["v6", "Resp", "AVR", "i", "ii", "III", "avl", "AVF", "V1", "v2", "V3", "V4", "v5"]
    values = samples(leads=13)
    found = read_wfdb(write_wfdb(tmp_path / "a.hea", values, leads=names))
    for column, lead in enumerate(STANDARD_LEADS):
        source = [name.lower() for name in names].index(lead.lower())
        np.testing.assert_allclose(found.signals_mv[:, column], values[:, source] / 1000, atol=1e-6)


@pytest.mark.parametrize(
    ("gain", "factor"),
    [
        ("1000/mV", 1e-3),
        ("1000.0(0)/mv", 1e-3),
        ("1/uV", 1e-3),
        ("200(100)/mV", 5e-3),
        ("0.5/uV", 2e-3),
        ("1e6/V", 1e-3),
    ],
)
def test_units_and_gains_become_millivolts(tmp_path: Path, write_wfdb: Write, gain: str, factor: float) -> None:
    values = samples()
    found = read_wfdb(write_wfdb(tmp_path / "a.hea", values, gain=gain))
    baseline = 100 if "(100)" in gain else 0
    np.testing.assert_allclose(found.signals_mv, (values - baseline) * factor, rtol=1e-5, atol=1e-6)


def test_the_code_of_a_missing_sample_becomes_nan(tmp_path: Path, write_wfdb: Write) -> None:
    values = samples()
    values[10:15, 8] = -32768
    found = read_wfdb(write_wfdb(tmp_path / "a.hea", values))
    assert np.argwhere(np.isnan(found.signals_mv)).tolist() == [[sample, 8] for sample in range(10, 15)]


@pytest.mark.parametrize(
    ("comments", "age", "sex", "codes"),
    [
        (["#Age: 85", "#Sex: Male", "#Dx: 1,2"], 85.0, "male", ("1", "2")),
        (["# Age: NaN", "# Sex: Unknown", "# Dx: Unknown"], None, "", ()),
        (["#<age>: 51", "#<sex>: F"], 51.0, "female", ()),
        (["# Age: 300", "# Sex: M", "# Dx: 1, 2 ,3"], None, "male", ("1", "2", "3")),
        ([], None, "", ()),
    ],
)
def test_header_comments(
    tmp_path: Path, write_wfdb: Write, comments: list[str], age: float | None, sex: str, codes: tuple[str, ...]
) -> None:
    found = read_wfdb(write_wfdb(tmp_path / "a.hea", samples(), comments=comments))
    assert (found.age_years, found.sex, found.codes) == (age, sex, codes)


def test_real_headers_agree_with_the_wfdb_package(shared: Path) -> None:
    headers = find_recordings(shared / "data" / "cinc2021", (".hea",))
    headers += find_recordings(shared / "data" / "ludb", (".hea",))[:3]
    for header in headers[:: max(1, len(headers) // 12)]:
        found, reference = read_wfdb(header), wfdb.rdrecord(str(header.with_suffix("")))
        assert found.sampling_rate_hz == reference.fs
        columns = [[name.lower() for name in reference.sig_name].index(lead.lower()) for lead in STANDARD_LEADS]
        np.testing.assert_allclose(found.signals_mv, reference.p_signal[:, columns], atol=1e-4)


def _cut_short(header: Path) -> None:
    signal_file = header.with_suffix(".mat")
    signal_file.write_bytes(signal_file.read_bytes()[:5000])


def _replace(old: str, new: str) -> Callable[[Path], object]:
    return lambda header: header.write_text(header.read_text().replace(old, new))


def _parent_folder(header: Path) -> None:
    header.with_suffix(".mat").rename(header.parent.parent / "bad.mat")
    _replace("bad.mat", "../bad.mat")(header)


def _link_out(header: Path) -> None:
    header.with_suffix(".mat").rename(header.parent.parent / "elsewhere.mat")
    header.with_suffix(".mat").symlink_to(header.parent.parent / "elsewhere.mat")


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut short": (_cut_short, "bad.mat is cut short, it has 5000 bytes of at least 24000"),
    "empty signal file": (
        lambda header: header.with_suffix(".mat").write_bytes(b""),
        "bad.mat is cut short",
    ),
    "missing signal file": (lambda header: header.with_suffix(".mat").unlink(), "names bad.mat, which does not exist"),
    "no header": (lambda header: header.unlink(), "cannot be read"),
    "empty header": (lambda header: header.write_text(""), "is not a WFDB header"),
    "garbage": (lambda header: header.write_bytes(np.random.default_rng(0).bytes(2000)), "is not a WFDB header"),
    "words": (
        lambda header: header.write_text("this is no header\nbad.mat at all\n"),
        "the wfdb package cannot read it",
    ),
    "parent folder": (_parent_folder, "names '../bad.mat', which is not a file beside it"),
    "absolute": (lambda header: _replace("bad.mat", str(header.with_suffix(".mat")))(header), "not a file beside it"),
    "address": (
        _replace("bad.mat", "https://example.org/bad.mat"),
        "names 'https://example.org/bad.mat', which is not",
    ),
    "bucket": (_replace("bad.mat", "s3://example/bad.mat"), "names 's3://example/bad.mat', which is not a file beside"),
    "link out": (_link_out, "names 'bad.mat', which is not a file beside it"),
    "segments": (lambda header: header.write_text("bad/2 12 500 2000\nbad_1 1000\nbad_2 1000\n"), "is a multi-segment"),
    "pressure": (_replace("1000/mV", "1000/mmHg"), "has the unit 'mmHg', expected mV, uV or V"),
    "micro sign": (_replace("1000/mV", "1/\u00b5V"), "in ASCII"),
    "huge": (_replace("500 1000", "500 9999999999999999"), "bad.mat is cut short"),
    "no rate": (_replace("12 500 1000", "12 0 1000"), "has the sampling rate 0"),
    "no signals": (lambda header: header.write_text("bad 0 500 1000\n"), "holds no samples"),
}


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_record_is_refused_in_one_line(tmp_path: Path, write_wfdb: Write, how: str) -> None:
    damage, reason = DAMAGES[how]
    header = write_wfdb(tmp_path / "records" / "bad.hea", samples())
    damage(header)
    with pytest.raises(UnreadableRecordingError) as raised:
        read_wfdb(header)
    assert reason in raised.value.reason
    assert "\n" not in str(raised.value)
    assert str(raised.value) == f"{header}: {raised.value.reason}"


@pytest.mark.parametrize(
    ("leads", "reason"),
    [
        (STANDARD_LEADS[:11], "leads: has 11 of the 12 standard leads, lacks V6"),
        ((*STANDARD_LEADS, "v6"), "leads: has lead V6 twice"),
    ],
)
def test_other_leads_are_refused(tmp_path: Path, write_wfdb: Write, leads: tuple[str, ...], reason: str) -> None:
    header = write_wfdb(tmp_path / "a.hea", samples(leads=len(leads)), leads=leads)
    with pytest.raises(UnreadableRecordingError, match=reason):
        read_wfdb(header)


@pytest.mark.parametrize("how", ["parent folder", "absolute", "address", "bucket", "link out", "segments"])
def test_no_file_is_opened_before_its_name_is_checked(
    tmp_path: Path, write_wfdb: Write, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    header = write_wfdb(tmp_path / "records" / "bad.hea", samples())
    DAMAGES[how][0](header)
    calls: list[object] = []
    monkeypatch.setattr(wfdb, "rdrecord", lambda *arguments, **_: calls.append(arguments))
    with pytest.raises(UnreadableRecordingError):
        read_wfdb(header)
    assert calls == []


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
    renamed = read_csv(plain, 500, leads=STANDARD_LEADS[::-1])
    np.testing.assert_allclose(renamed.signals_mv, values[:, ::-1], rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "holds no samples"),
        ("1,2,3\n4,5,6\n", "has 3 columns, expected 12"),
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
        ({"ecg": np.zeros((9, 12)), "sampling_rate_hz": 500}, "no array named signals"),
        ({"signals": np.zeros((2, 9, 12)), "sampling_rate_hz": 500, "ids": ["a"]}, "1 ids for 2 recordings"),
        ({"signals": np.zeros((9, 12)), "sampling_rate_hz": -1}, "has the sampling rate -1"),
        ({"signals": np.zeros((9, 12)), "sampling_rate_hz": 500, "unit": "bananas"}, "has the unit 'bananas'"),
        ({"signals": np.array([object()]), "sampling_rate_hz": 500}, "cannot be read as NumPy arrays"),
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


def test_one_file_or_record_name_is_enough(tmp_path: Path, write_wfdb: Write) -> None:
    header = write_wfdb(tmp_path / "a.hea", samples())
    for source in (header, header.with_suffix("")):
        assert [one.record_id for one in read_recordings(source)] == ["a"]


def test_nothing_to_read_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        find_recordings(tmp_path / "absent")
    with pytest.raises(InputError, match="holds no recordings"):
        find_recordings(tmp_path)


@pytest.mark.parametrize(
    ("text", "age"), [("61", 61.0), ("0", 0.0), ("-1", None), ("nan", None), ("", None), ("300", None), ("x", None)]
)
def test_ages(text: str, age: float | None) -> None:
    assert formats.parse_age(text) == age
