"""NumPy files: read where they lie, checked against their checksum, and damage of every kind refused in one line."""

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecg_advmask.ecg import npz
from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.ecg.npz import NumpyFile, read_numpy
from ecg_advmask.ecg.recording import UnreadableRecordingError


def signals(recordings: int = 5, samples: int = 40, leads: int = 12) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, (recordings, samples, leads)).astype(np.float32)


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def write_zip(path: Path, method: int = zipfile.ZIP_STORED, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f2", ">i2", "u1"])
def test_recordings_are_read_one_by_one_in_any_order(
    tmp_path: Path, save: Callable[..., Any], order: Any, dtype: str
) -> None:
    values = np.asarray(signals() * 50 + 100, dtype=dtype, order=order)
    save(tmp_path / "a.npz", signals=values, sampling_rate_hz=np.int16(250), unit="uV", leads=STANDARD_LEADS[::-1])
    opened = NumpyFile.open(tmp_path / "a.npz")
    assert (len(opened), opened.sampling_rate_hz) == (5, 250.0)
    for number in (3, 0, 4, 3, 1, 2):
        expected = (values[number, :, ::-1].astype(np.float64) / 1000).astype(np.float32)
        found = opened.read(number)
        np.testing.assert_array_equal(found.signals_mv, expected)
        assert found.record_id == f"a-{number:05d}"


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_samples_are_not_read_when_a_file_is_opened(
    tmp_path: Path, save: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "a.npz", signals=signals(), sampling_rate_hz=250)
    calls: list[str] = []
    checked = npz._checked_samples
    monkeypatch.setattr(npz, "_checked_samples", lambda *given: (calls.append("x"), checked(*given))[1])
    opened = NumpyFile.open(tmp_path / "a.npz")
    assert calls == []
    for number in range(5):
        opened.read(number)
    assert calls == ["x"]


def test_the_start_of_the_data_is_that_of_the_local_header(tmp_path: Path) -> None:
    """Names and extra fields may have other lengths in a member's own header than in the archive's directory."""
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("sampling_rate_hz.npy", npy(np.array(250)))
        info = zipfile.ZipInfo("signals.npy")
        info.extra = struct.pack("<HH7s", 0x9999, 7, b"padding")
        archive.writestr(info, npy(signals()))
    with path.open("ab"), zipfile.ZipFile(path, "a") as archive:
        archive.getinfo("signals.npy").extra = b""
        archive._didModify = True  # type: ignore[attr-defined]  (writes the directory again)
    np.testing.assert_array_equal(NumpyFile.open(path).read(4).signals_mv, signals()[4])


def test_ids_of_any_kind_are_text(tmp_path: Path) -> None:
    for ids in (["a", "b "], np.array([b"a", b"b"]), ["a", "b"]):
        np.savez(tmp_path / "a.npz", signals=signals(2), sampling_rate_hz=250, ids=ids)
        assert [one.record_id for one in read_numpy(tmp_path / "a.npz")] == ["a", "b"]
    np.savez(tmp_path / "a.npz", signals=signals(2), sampling_rate_hz=250, ids=[7, 12])
    assert [one.record_id for one in read_numpy(tmp_path / "a.npz")] == ["7", "12"]


def test_values_beyond_float32_become_infinite_without_a_warning(tmp_path: Path) -> None:
    values = signals(1).astype(np.float64)
    values[0, 3, 2] = 1e300
    np.savez(tmp_path / "a.npz", signals=values, sampling_rate_hz=250)
    (found,) = read_numpy(tmp_path / "a.npz")
    assert np.argwhere(np.isinf(found.signals_mv)).tolist() == [[3, 2]]


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        (
            {"signals": signals().transpose(2, 0, 1)},
            r"40 leads in the last axis, expected 12; name them",
        ),
        ({"signals": signals()[:0]}, "holds no samples"),
        ({"signals": signals(5, 0)}, "holds no samples"),
        ({"signals": signals().astype(bool)}, "type bool"),
        ({"signals": np.array([object()])}, "pickled objects are not loaded"),
        ({"signals": np.zeros(5, [("I", "f4")])}, "expected numbers"),
        ({"signals": signals(), "sampling_rate_hz": [250, 500]}, "sampling_rate_hz holds 2 different"),
        ({"signals": signals(), "sampling_rate_hz": np.array([])}, "sampling_rate_hz holds 0"),
        ({"signals": signals(), "sampling_rate_hz": np.nan}, "has the sampling rate nan"),
        ({"signals": signals(), "sampling_rate_hz": np.inf}, "has the sampling rate inf"),
        ({"signals": signals(), "sampling_rate_hz": 1e-9}, "from 10 to 100000 Hz"),
        ({"signals": signals(), "sampling_rate_hz": "fast"}, "has the sampling rate fast"),
        ({"signals": signals(), "sampling_rate_hz": 1j}, "sampling_rate_hz have"),
        ({"signals": signals(), "sampling_rate_hz": True}, "type bool"),
        ({"signals": signals(), "ids": [["a"] * 5] * 2}, "10 ids for 5 recordings"),
        ({"signals": signals(), "ids": ["a", "b", " ", "d", "e"]}, "an empty id in ids"),
        ({"signals": signals(), "ids": np.array([None] * 5)}, "pickled objects are not loaded"),
        ({"signals": signals(), "ids": np.array([b"\xff"] * 5)}, "cannot be read as NumPy arrays"),
        ({"signals": signals(), "leads": ["I"] * 12}, "has lead I twice"),
        ({"signals": signals(), "leads": ["I"] * 200}, "expected at most 100 names"),
        ({"signals": signals(), "unit": ["mV", "uV"]}, "has 2 units for 12 leads"),
        ({"signals": signals(), "unit": "mmHg"}, "has the unit 'mmHg'"),
    ],
)
def test_arrays_of_another_form_are_refused(tmp_path: Path, arrays: dict[str, Any], reason: str) -> None:
    np.savez(tmp_path / "a.npz", **{"sampling_rate_hz": 250} | arrays)
    with pytest.raises(UnreadableRecordingError, match=reason) as raised:
        NumpyFile.open(tmp_path / "a.npz")
    assert "\n" not in str(raised.value)


def _claim(shape: tuple[int, ...]) -> bytes:
    """An array of 480 numbers whose header claims another shape."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return stream.getvalue() + signals(1).tobytes()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK",
        b"\x93NUMPY",
        b"\x93NUMPY\x03\x00" + npy(signals())[8:],
        b"\x93NUMPY\x09\x00" + npy(signals())[8:],
        npy(signals())[:-1],
        npy(signals()) + b"x",
        npy(signals()) * 2,
        _claim((1, 41, 12)),
        _claim((10**9, 40, 12)),
        _claim((-1, 40, 12)),
        _claim((10**30, 40, 12)),
        npy(signals()).replace(b"'shape'", b"'shope'"),
        npy(signals()).replace(b"<f4", b"<q9"),
        npy(signals()).replace(b"False", b"1/0.0"),
    ],
)
def test_damaged_arrays_are_refused_in_one_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.npy").write_bytes(data)
    write_zip(tmp_path / "b.npz", signals=data)
    write_zip(tmp_path / "c.npz", zipfile.ZIP_DEFLATED, signals=data)
    for name in ("a.npy", "b.npz", "c.npz"):
        with pytest.raises(UnreadableRecordingError) as raised:
            NumpyFile.open(tmp_path / name, 250)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_flipped_bit_among_the_samples_is_found(tmp_path: Path, save: Callable[..., Any]) -> None:
    path = tmp_path / "a.npz"
    save(path, signals=signals(), sampling_rate_hz=250)
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 4
    path.write_bytes(data)
    with pytest.raises(UnreadableRecordingError, match="cannot be read"):
        list(read_numpy(path))


def test_archives_that_numpy_does_not_write_are_refused(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.npz", zipfile.ZIP_LZMA, signals=npy(signals()))
    with pytest.raises(UnreadableRecordingError, match=r"packed by another method, save it with numpy\.savez"):
        NumpyFile.open(tmp_path / "a.npz", 250)
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("signals.npy", npy(signals()))
        archive.writestr("signals.npy", npy(signals()))
    with pytest.raises(UnreadableRecordingError, match="has an array twice"):
        NumpyFile.open(tmp_path / "b.npz", 250)
    header = npy(np.zeros((10**6, 12), np.float32))[:128]
    path = write_zip(tmp_path / "c.npz", zipfile.ZIP_DEFLATED, signals=header)
    text = bytearray(path.read_bytes())
    entry = text.rindex(b"PK\x01\x02")
    text[entry + 24 : entry + 28] = struct.pack("<I", 128 + 48 * 10**6)
    path.write_bytes(text)
    with pytest.raises(UnreadableRecordingError, match="claim more bytes than the archive holds"):
        NumpyFile.open(path, 250)


def test_too_little_room_to_unpack_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "a.npz", signals=signals(), sampling_rate_hz=250)
    usage = type("Usage", (), {"free": 100})
    monkeypatch.setattr(npz.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UnreadableRecordingError, match=r"needs \d+ bytes in .* to unpack; save it with numpy\.savez"):
        list(read_numpy(tmp_path / "a.npz"))


def test_a_file_that_is_gone_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UnreadableRecordingError, match="cannot be read"):
        NumpyFile.open(tmp_path / "absent.npz")
    np.savez(tmp_path / "a.npz", signals=signals(), sampling_rate_hz=250)
    opened = NumpyFile.open(tmp_path / "a.npz")
    (tmp_path / "a.npz").unlink()
    with pytest.raises(UnreadableRecordingError, match="cannot be read"):
        opened.read(0)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["npy", "npz", "packed"]), st.data())
def test_no_change_of_bytes_gives_a_wrong_number_or_another_error(
    tmp_path: Path, kind: str, data: st.DataObject
) -> None:
    """Archives carry checksums, so what is read is what was written; an ``.npy`` has none, and only must not fail."""
    path, values = tmp_path / ("a.npy" if kind == "npy" else "a.npz"), signals(2, 30)
    if kind == "npy":
        np.save(path, values)
    else:
        save = np.savez if kind == "npz" else np.savez_compressed
        save(path, signals=values, sampling_rate_hz=250, ids=["a", "b"])
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.one_of(st.integers(0, len(raw) - 1), st.integers(0, 200), st.integers(-300, -1)))
        raw[place] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del raw[data.draw(st.integers(0, len(raw))) :]
    path.write_bytes(raw)
    try:
        found = list(read_numpy(path, 250))
    except UnreadableRecordingError as error:
        assert "\n" not in str(error)
        return
    if kind != "npy":
        known = {values[number].tobytes() for number in range(2)}
        assert all(one.signals_mv.tobytes() in known for one in found)
