"""Recordings in MATLAB files: what SciPy reads is read, and no damage to a header ends the process."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from ecg_advmask.ecg.arrays import Given, opened
from ecg_advmask.ecg.leads import AS_NAMED, STANDARD_LEADS
from ecg_advmask.ecg.mat import open_mat
from ecg_advmask.ecg.mat5 import read_mat5
from ecg_advmask.ecg.recording import UnreadableRecordingError

VALUES = np.random.default_rng(0).integers(-900, 900, (3, 40, 12)).astype(np.int16)
FORMS = pytest.mark.parametrize("form", [{"format": "4"}, {"format": "5"}, {"do_compression": True}])
GIVEN = Given(None, "mV", AS_NAMED, False)


def cells(*texts: str) -> np.ndarray:
    """A cell array, as MATLAB users keep names."""
    return np.array(texts, dtype=object)


@FORMS
def test_one_recording_either_way_round(form: dict[str, object], tmp_path: Path) -> None:
    for name, turned in (("long", VALUES[0]), ("wide", VALUES[0].T)):
        savemat(tmp_path / f"{name}.mat", {"val": turned, "fs": 250.0, "units": "uV"}, **form)
        (found,) = map(opened(str(tmp_path / f"{name}.mat"), 500, "mV").read, range(1))
        assert (found.record_id, found.sampling_rate_hz) == (name, 250.0)
        np.testing.assert_array_equal(found.signals_mv, (VALUES[0] * 0.001).astype(np.float32))


@pytest.mark.parametrize("packed", [False, True])
def test_many_recordings_with_names_units_and_ids(packed: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    order = np.random.default_rng(1).permutation(12)
    arrays = {"signals": VALUES[..., order], "sampling_rate": 400, "unit": cells(*["uV"] * 12), "exam_id": [7, 8, 90]}
    savemat(path, {**arrays, "leads": cells(*(STANDARD_LEADS[lead] for lead in order))}, do_compression=packed)
    file = opened(str(path), None, "mV")
    found = [file.read(number) for number in range(len(file))]
    assert [one.record_id for one in found] == ["7", "8", "90"]
    np.testing.assert_array_equal(np.stack([one.signals_mv for one in found]), (VALUES * 0.001).astype(np.float32))


@pytest.mark.parametrize("packed", [False, True])
def test_fields_of_the_only_structure(packed: bool, tmp_path: Path) -> None:
    """As CPSC 2018 was published; a structure beside signals is not looked into."""
    path = tmp_path / "a.mat"
    inner = {"data": VALUES[0].T / 1000, "sex": "Female", "age": 74.0, "more": {"data": 1.0}}
    savemat(path, {"ECG": inner, "note": "x"}, do_compression=packed)
    found = opened(str(path), 500, "mV").read(0)
    assert (found.sex, found.age_years) == ("female", 74.0)
    np.testing.assert_array_equal(found.signals_mv, (VALUES[0] / 1000).astype(np.float32))
    savemat(path, {"about": inner, "val": VALUES[1]}, do_compression=packed)
    np.testing.assert_array_equal(opened(str(path), 500, "mV").read(0).signals_mv, VALUES[1].astype(np.float32))


@pytest.mark.parametrize(
    ("arrays", "offending"),
    [
        ({"fs": 500}, "no array named signals"),
        ({"val": np.zeros((9, 12), complex)}, "complex128"),
        ({"val": {"a": 1.0}, "other": {"val": 1.0}}, "type object"),
        ({"val": VALUES[0], "data": VALUES[0]}, "several arrays"),
        ({"val": VALUES[0, :12]}, r"\(12, 12\)"),
        ({"val": np.zeros((0, 12))}, "holds no samples"),
        ({"val": VALUES[0], "fs": 500, "sfreq": 400}, "fs 500, sfreq 400"),
        ({"val": VALUES[0], "fs": "fast"}, "sampling rate fast"),
        ({"val": VALUES[0], "fs": 500, "units": "bananas"}, "bananas"),
        ({"val": VALUES[0]}, "sampling rate"),
    ],
)
def test_other_contents_are_refused(arrays: dict[str, object], offending: str, tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", arrays)
    with pytest.raises(UnreadableRecordingError, match=offending):
        opened(str(tmp_path / "a.mat"), None, "mV")


@pytest.mark.parametrize("packed", [False, True])
def test_arrays_are_those_of_scipy(packed: bool) -> None:
    rng = np.random.default_rng(2)
    arrays = {code: rng.integers(0, 100, (2, 3)).astype(code) for code in ("i1", "u1", "i2", "u2", "i4", "u4", "i8")}
    arrays |= {"u8": np.array([2**63 + 1], "u8"), "f4": rng.normal(size=(2, 3, 4)).astype("f4"), "f8": np.eye(3)}
    arrays |= {"c": np.array([1 + 2j, 3]), "empty": np.zeros((0, 3)), "rows": np.array(["ab", "cd"]), "text": "5 µV"}
    stream = io.BytesIO()
    savemat(stream, arrays, do_compression=packed)
    found = read_mat5(stream.getvalue(), 10_000)
    expected = {name: value for name, value in loadmat(stream).items() if not name.startswith("__")}
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert np.asarray(found[name]).dtype.kind == value.dtype.kind
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def element(order: str, kind: int, content: bytes) -> bytes:
    return struct.pack(f"{order}2I", kind, len(content)) + content + bytes(-len(content) % 8)


def array(order: str, array_class: int, shape: tuple[int, ...], content: bytes) -> bytes:
    dims = struct.pack(f"{order}{len(shape)}i", *shape)
    parts = [(6, struct.pack(f"{order}2I", array_class, 0)), (5, dims), (1, b"val")]
    return element(order, 14, b"".join(element(order, *part) for part in parts) + content)


@pytest.mark.parametrize(("order", "mark"), [("<", b"IM"), (">", b"MI")])
def test_either_order_of_bytes_and_numbers_stored_in_fewer_bytes(order: str, mark: bytes) -> None:
    """MATLAB stores an array of class double in bytes where they hold its values."""
    matrix = array(order, 6, (2, 3), element(order, 2, bytes([1, 2, 3, 4, 5, 200])))
    packed = zlib.compress(matrix)
    version = struct.pack(f"{order}H", 0x0100)
    for body in (matrix, struct.pack(f"{order}2I", 15, len(packed)) + packed):
        (value,) = read_mat5(b"MATLAB".ljust(124) + version + mark + body, 1000).values()
        np.testing.assert_array_equal(value, [[1, 3, 5], [2, 4, 200]])


def test_what_unpacks_to_more_than_is_allowed_is_not_unpacked() -> None:
    stream = io.BytesIO()
    savemat(stream, {"val": np.zeros((1000, 100)), "b": np.zeros((1000, 100))}, do_compression=True)
    read_mat5(stream.getvalue(), 1_700_000)
    for most in (1_500_000, 700_000):
        with pytest.raises(ValueError, match="of at most"):
            read_mat5(stream.getvalue(), most)


def test_arrays_that_cannot_be_are_refused() -> None:
    nested = array("<", 6, (1, 1), element("<", 9, bytes(8)))
    for _ in range(1000):
        nested = array("<", 1, (1, 1), nested)
    value = element("<", 9, bytes(8))
    head = b"MATLAB".ljust(124) + b"\0\1IM"
    matrices = [
        nested,
        array("<", 1, (2**31 - 1, 2**31 - 1), b""),
        array("<", 6, (2**31 - 1, 2**31 - 1), value),
        array("<", 6, (-1, -1), value),
        array("<", 6, (1,), value),
        array("<", 4, (1, 4), element("<", 18, b"\xff" * 16)),
        array("<", 99, (1, 1), value),
        array("<", 6, (1, 1), element("<", 77, bytes(8))),
        array("<", 2, (1, 1), element("<", 5, bytes(4)) + element("<", 1, b"")),
        element("<", 9, bytes(8)),
    ]
    assert read_mat5(head + array("<", 6, (1, 1), value), 0)["val"] == [[0]]
    for matrix in matrices:
        with pytest.raises((ValueError, struct.error, OverflowError)):
            read_mat5(head + matrix, 0)


FLIPS = """
import sys
from pathlib import Path
from ecg_advmask.ecg.arrays import Given
from ecg_advmask.ecg.leads import AS_NAMED
from ecg_advmask.ecg.mat import open_mat
from ecg_advmask.ecg.recording import Recording, UnreadableRecordingError
read = refused = 0
for path in map(Path, sys.argv[1:]):
    whole = path.read_bytes()
    with path.open("r+b", buffering=0) as stream:
        for place, byte in enumerate(whole):
            for change in (1, 16, 255, 0):
                stream.seek(place)
                stream.write(bytes([byte ^ change]))
                try:
                    file = open_mat(path, Given(500.0, "mV", AS_NAMED, False))
                    assert isinstance(file.read(0), Recording)
                    read += 1
                except UnreadableRecordingError:
                    refused += 1
                    assert change
print(read, refused)
"""


def test_no_change_of_a_byte_ends_the_process(tmp_path: Path) -> None:
    """In one process for all of them, since SciPy's reader of version 5 does not survive some."""
    small = {"ECG": {"data": np.ones((2, 12), np.int8), "sex": "M", "units": cells("mV")}}
    savemat(tmp_path / "a.mat", small)
    savemat(tmp_path / "b.mat", small, do_compression=True)
    savemat(tmp_path / "c.mat", {"val": np.ones((2, 12), np.int8), "fs": 500.0}, format="4")
    paths = [str(tmp_path / f"{name}.mat") for name in "abc"]
    command = [sys.executable, "-c", FLIPS, *paths]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    read, refused = map(int, done.stdout.split())
    assert read > 100 and refused > 500


@FORMS
def test_a_file_that_is_cut_short_is_refused(form: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    savemat(path, {"val": VALUES[0], "fs": 500.0}, **form)
    whole = path.read_bytes()
    for length in [*range(0, 260, 7), len(whole) - 12]:
        path.write_bytes(whole[:length])
        with pytest.raises(UnreadableRecordingError):
            open_mat(path, GIVEN)
