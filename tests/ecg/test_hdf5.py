"""Recordings in HDF5 files, and in MATLAB's of version 7.3, written here as MATLAB writes them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecg_advmask.ecg.arrays import opened
from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.ecg.recording import UnreadableRecordingError

h5py = pytest.importorskip("h5py")

VALUES = np.random.default_rng(0).integers(-900, 900, (3, 40, 12)).astype(np.int16)
IN_MV = (VALUES * 0.001).astype(np.float32)
ORDER = np.random.default_rng(1).permutation(12)
NAMES = [STANDARD_LEADS[lead] for lead in ORDER]


def write(path: Path, arrays: dict[str, Any], **attributes: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, value in arrays.items():
            file.create_dataset(name, data=value)
        file.attrs.update(attributes)
    return path


def write_mat(path: Path, arrays: dict[str, Any]) -> Path:
    """A MAT-file of version 7.3: axes in reverse, text as codes, cells as references; all behind a block of 512."""

    def add(place: Any, name: str, value: Any) -> Any:
        kind = "double"
        if isinstance(value, list):
            kind, cells = "cell", [add(file["#refs#"], f"{name}{number}", one) for number, one in enumerate(value)]
            data = np.array([[cell.ref for cell in cells]], dtype=h5py.ref_dtype)
        elif isinstance(value, str):
            kind, data = "char", np.array([[ord(letter)] for letter in value], np.uint16)
        else:
            data = np.atleast_2d(value).T
        written = place.create_dataset(name, data=data)
        written.attrs["MATLAB_class"] = np.bytes_(kind)
        return written

    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_group("#refs#")
        for name, value in arrays.items():
            add(file, name, value)
    with path.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    return path


def test_many_recordings(tmp_path: Path) -> None:
    arrays = {"tracings": VALUES[..., ORDER], "exam_id": [7, 8, 90], "fs": 400.0, "lead_names": NAMES, "units": "uV"}
    file = opened(str(write(tmp_path / "a.h5", arrays)), 500, "V")
    found = [file.read(number) for number in range(len(file))]
    assert [(one.record_id, one.sampling_rate_hz) for one in found] == [("7", 400), ("8", 400), ("90", 400)]
    np.testing.assert_array_equal(np.stack([one.signals_mv for one in found]), IN_MV)


def test_attributes_say_what_arrays_do_not(tmp_path: Path) -> None:
    path = write(tmp_path / "a.hdf5", {"ecg": VALUES[0].T}, sfreq=250, unit="uV")
    (found,) = [opened(str(path), None, "mV").read(0)]
    assert (found.record_id, found.sampling_rate_hz) == ("a", 250)
    np.testing.assert_array_equal(found.signals_mv, IN_MV[0])
    with h5py.File(path, "a") as file:
        file["ecg"].attrs["leads"] = NAMES
    np.testing.assert_array_equal(opened(str(path), None, "mV").read(0).signals_mv[:, ORDER], IN_MV[0])
    with h5py.File(path, "a") as file:
        file["ecg"].attrs["unit"] = "mV"
    with pytest.raises(UnreadableRecordingError, match="unit twice"):
        opened(str(path), None, "mV")


def test_matlab_files_of_version_7_3(tmp_path: Path) -> None:
    arrays = {"signals": VALUES[..., ORDER], "leads": NAMES, "fs": 250.0, "unit": "uV", "ids": ["x", "y", "z"]}
    file = opened(str(write_mat(tmp_path / "a.mat", arrays)), 500, "V")
    found = [file.read(number) for number in range(len(file))]
    assert [(one.record_id, one.sampling_rate_hz) for one in found] == [("x", 250), ("y", 250), ("z", 250)]
    np.testing.assert_array_equal(np.stack([one.signals_mv for one in found]), IN_MV)


@pytest.mark.parametrize("turned", [False, True])
def test_one_recording_of_version_7_3_either_way_round(turned: bool, tmp_path: Path) -> None:
    path = write_mat(tmp_path / "a.mat", {"val": VALUES[0].T if turned else VALUES[0]})
    np.testing.assert_array_equal(opened(str(path), 500, "uV").read(0).signals_mv, IN_MV[0])


@pytest.mark.parametrize("name", ["fs", "sfreq", "sampling_rate", "Sampling_Rate_Hz", "sample_rate", "FS"])
def test_names_of_the_rate(name: str, tmp_path: Path) -> None:
    arrays = {"signals": VALUES, name: 257.5}
    np.savez(tmp_path / "a.npz", **arrays)
    for path in (write(tmp_path / "a.h5", arrays), write_mat(tmp_path / "a.mat", arrays), tmp_path / "a.npz"):
        assert opened(str(path), 500, "mV").sampling_rate_hz == 257.5


def test_rates_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    agreeing = {"signals": VALUES, "fs": 500, "sampling_rate": 500.0}
    contradicting = {**agreeing, "sfreq": 400}
    for arrays in (agreeing, contradicting):
        np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
        for path in (write(tmp_path / "a.h5", arrays), write_mat(tmp_path / "a.mat", arrays), tmp_path / "a.npz"):
            if arrays is agreeing:
                assert opened(str(path), None, "mV").sampling_rate_hz == 500
                continue
            with pytest.raises(UnreadableRecordingError, match=r"fs 500.*sfreq 400"):
                opened(str(path), None, "mV")


def test_a_recording_in_each_group(tmp_path: Path) -> None:
    """Rate and leads stand above, once; in a group what is its own. A group that is none is refused when it is read."""
    arrays = {f"{name}/ecg": VALUES[place, :, ORDER].T for place, name in enumerate(("r1", "b/c", "a7"))}
    arrays["a8/notes"], arrays["both/ecg"] = "none", VALUES
    path = write(tmp_path / "a.h5", {**arrays, "lead_names": NAMES, "exam_id": [4, 5]}, fs=400.0)
    with h5py.File(path, "r+") as file:
        file.move("b/c", "r2")
        del file["b"]
        file["r1"].attrs.update({"age": 40, "sex": "F", "units": "uV"})
        file["linked"] = h5py.ExternalLink("other.h5", "/r1")
        for name in ("r2", "a7"):
            file[name]["ecg"].attrs["units"] = "mV"
    container = opened(str(path), None, "mV")
    ids = [container.stated_id(number) for number in range(len(container))]
    assert ids == ["a7", "a8", "both", "r1", "r2"]
    found = {name: container.read(ids.index(name)) for name in ("r1", "r2", "a7")}
    assert {name: (one.record_id, one.sampling_rate_hz) for name, one in found.items()} == {
        name: (name, 400) for name in found
    }
    assert (found["r1"].age_years, found["r1"].sex, found["r2"].age_years) == (40, "female", None)
    np.testing.assert_array_equal(found["r1"].signals_mv, IN_MV[0])
    np.testing.assert_array_equal(found["r2"].signals_mv, VALUES[1].astype(np.float32))
    np.testing.assert_array_equal(found["a7"].signals_mv, VALUES[2].astype(np.float32))
    for name, message in (("a8", "no array named signals"), ("both", "both holds 3 recordings")):
        with pytest.raises(UnreadableRecordingError, match=message):
            container.read(ids.index(name))
    with h5py.File(path, "r+") as file:
        file["r1"].attrs["fs"] = 250.0
    with pytest.raises(UnreadableRecordingError, match="states fs twice"):
        opened(str(path), None, "mV").read(ids.index("r1"))


def test_the_only_group_has_the_name_of_the_file(tmp_path: Path) -> None:
    container = opened(str(write(tmp_path / "a17.h5", {"ecg/data": VALUES[0], "ecg/fs": 500})), None, "uV")
    assert (len(container), container.stated_id(0), container.read(0).record_id) == (1, "", "a17")


def test_arrays_that_lie_deeper_are_named(tmp_path: Path) -> None:
    arrays = {"p1/visit/ecg": VALUES[0], "p1/visit/fs": 500, "p2/visit/ecg": VALUES[1]}
    with pytest.raises(UnreadableRecordingError, match=r"p1/visit/ecg, p1/visit/fs.*/ID/signals"):
        opened(str(write(tmp_path / "a.h5", arrays)), 500, "mV")


def test_data_in_other_files_are_not_read(tmp_path: Path) -> None:
    write(tmp_path / "other.h5", {"signals": VALUES})
    layout = h5py.VirtualLayout(VALUES.shape, "i2")
    layout[...] = h5py.VirtualSource(tmp_path / "other.h5", "signals", VALUES.shape)
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        file.create_virtual_dataset("signals", layout)
    with h5py.File(tmp_path / "external.h5", "w") as file:
        file.create_dataset("signals", VALUES.shape, "i2", external=str(tmp_path / "other.h5"))
    with h5py.File(tmp_path / "linked.h5", "w") as file:
        file["signals"] = h5py.ExternalLink("other.h5", "signals")
    for name in ("virtual", "external", "linked"):
        with pytest.raises(UnreadableRecordingError, match=r"other files|no array named signals"):
            opened(str(tmp_path / f"{name}.h5"), 500, "mV")


@pytest.mark.parametrize(
    ("arrays", "offending"),
    [
        ({"fs": 500}, "no array named signals"),
        ({"signals": ["a", "b"]}, "type object"),
        ({"signals": np.zeros((0, 12))}, "holds no samples"),
        ({"ecg": VALUES, "data": VALUES}, "several arrays"),
        ({"signals": VALUES, "ids": ["x"]}, "1 ids for 3 recordings"),
        ({"signals": VALUES, "leads": np.zeros((200, 12))}, r"leads have shape \(200, 12\)"),
        ({"signals": VALUES, "unit": "bananas"}, "bananas"),
    ],
)
def test_other_contents_are_refused(arrays: dict[str, Any], offending: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableRecordingError, match=offending):
        opened(str(write(tmp_path / "a.h5", arrays)), 500, "mV")


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", {"signals": VALUES, "fs": 500})
    whole = path.read_bytes()
    for damaged in (b"", b"no HDF5", whole[:300], whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(UnreadableRecordingError, match="cannot be read as HDF5"):
            opened(str(path), None, "mV")
