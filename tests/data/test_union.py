"""Several data sets as one: windows, ids, copies, labels, and what does not go together."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecg_advmask.data.dataset import DataSet
from ecg_advmask.data.union import DataSetUnion
from ecg_advmask.errors import InputError

Array = np.ndarray[Any, Any]
WINDOWS_UV = np.random.default_rng(0).integers(-900, 900, (7, 50, 12)).astype(np.int16)


@pytest.fixture
def members(write_data: Callable[..., Path], tmp_path: Path) -> list[DataSet]:
    """Four windows and four: the ids R000 to R003 in both, the last window of the first is one of the second."""
    one = write_data(tmp_path / "one", WINDOWS_UV[:4], [3, 1], source=["a"] * 4)
    two = write_data(
        tmp_path / "two",
        WINDOWS_UV[3:],
        [2, 2],
        source=["b"] * 4,
        duplicate_of=["", "", "", "R001"],
        patient=list("QRST"),
    )
    return [DataSet.open(one), DataSet.open(two)]


def test_windows_come_one_data_set_after_the_other(members: list[DataSet]) -> None:
    union = DataSetUnion.of(members)
    assert (union.windows, union.sampling_rate_hz, union.window_samples) == (8, 100, 50)
    expected = WINDOWS_UV[[0, 1, 2, 3, 3, 4, 5, 6]]
    np.testing.assert_array_equal(union.windows_uv(range(8)), expected)
    np.testing.assert_array_equal(union.windows_uv([7, 0, 4], [5, 0, 1], 20), [
        expected[7, 5:25], expected[0, :20], expected[4, 1:21],
    ])  # fmt: skip
    np.testing.assert_array_equal(union.valid_samples, np.concatenate([one.valid_samples for one in members]))


def test_each_recording_has_an_id_and_each_signal_counts_once(members: list[DataSet]) -> None:
    records = DataSetUnion.of(members).records
    assert records["id"].tolist() == ["R000", "R001", "R002", "R003", *(f"two/R00{number}" for number in range(4))]
    assert records["source"].tolist() == ["a"] * 4 + ["b"] * 4
    assert records["patient"].tolist() == ["P0", "P1", "P2", "P3", "Q", "R", "S", "T"]
    assert records["duplicate_of"].tolist() == [""] * 4 + ["R003", "", "", "two/R001"]
    assert members[1].records["id"].tolist()[0] == "R000"  # its own table is as it was


def test_the_order_matters_and_is_in_the_hash(members: list[DataSet]) -> None:
    one, other = DataSetUnion.of(members), DataSetUnion.of(members[::-1])
    assert one.sha256 != other.sha256
    assert other.records["duplicate_of"].tolist() == ["", "", "", "R001", "", "", "", "R000"]


def test_what_does_not_go_together_is_refused(
    members: list[DataSet], write_data: Callable[..., Path], tmp_path: Path
) -> None:
    rate = DataSet.open(write_data(tmp_path / "rate", WINDOWS_UV[:2], [2], sampling_rate_hz=200))
    length = DataSet.open(write_data(tmp_path / "length", WINDOWS_UV[:2, :40], [2]))
    named = DataSet.open(write_data(tmp_path / "deep" / "one", WINDOWS_UV[:2], [2]))
    for other, name in ((rate, "200 Hz"), (length, "40 samples"), (named, "deep/one"), (members[0], "same data set")):
        with pytest.raises(InputError, match=name) as caught:
            DataSetUnion.of([members[0], other])
        assert "\n" not in str(caught.value)


def test_an_altered_shard_is_named(members: list[DataSet]) -> None:
    path = members[1].shard_paths[1]
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    union = DataSetUnion.of(members)
    union.windows_uv(range(6))
    with pytest.raises(InputError, match="two/shard-00001"):
        union.windows_uv([6])


def test_the_account_adds_up(members: list[DataSet]) -> None:
    """The second has R000 to R003 as well (other recordings), a copy of one of the first's and one of its own."""
    union = DataSetUnion.of(members)
    first, second, together = union.account()
    assert first.startswith("one: 4 recordings, 4 windows") and second.startswith("two: 4 recordings, 4 windows")
    assert "2 copies" in second and "copies" not in first
    assert together.startswith("together: 8 recordings, 8 windows") and together.endswith("2 copies")
    assert together.count(f"{union.records['patient'].nunique()} patients") == 1


def test_patients_of_one_name_are_one_and_counted(write_data: Callable[..., Path], tmp_path: Path) -> None:
    one = write_data(tmp_path / "one", WINDOWS_UV[:3], [3], patient=["100", "100", "7"])
    two = write_data(tmp_path / "two", WINDOWS_UV[3:6], [3], patient=["100", "b/7", "c"])
    union = DataSetUnion.of([DataSet.open(one), DataSet.open(two)])
    first, second, together = union.account()
    assert "2 patients" in first and "3 patients (1 by name in a data set before)" in second
    assert "4 patients" in together
