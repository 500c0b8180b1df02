"""Opening data sets: what they hold, and what is refused."""

import hashlib
import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ecg_advmask.data.dataset import DataSet, dataset_sha256
from ecg_advmask.errors import InputError
from ecg_advmask.files import sha256_of


def test_rows_can_be_read_in_any_order(small_data: DataSet) -> None:
    everything = small_data.signals_mv(range(74))
    assert everything.shape == (74, 50, 12)
    assert everything.dtype == np.float32
    for row, record in enumerate(small_data.records.itertuples()):
        codes = np.random.default_rng(int(str(record.id)[1:])).integers(-1000, 1000, (100, 12))
        start = 50 * int(record.window)
        np.testing.assert_allclose(everything[row], codes[start : start + 50] / 1000, atol=1e-6)
    rows = [73, 0, 9, 10, 9, 55]
    np.testing.assert_array_equal(small_data.signals_mv(rows), everything[rows])
    assert small_data.signals_mv([]).shape == (0, 50, 12)
    for row in (-1, 74):
        with pytest.raises(IndexError):
            small_data.signals_mv([row])


def test_parts_of_windows_can_be_read(small_data: DataSet) -> None:
    whole = small_data.windows_uv(range(74))
    rows, starts = [5, 70, 5, 33], [0, 37, 12, 1]
    expected = np.stack([whole[row, start : start + 13] for row, start in zip(rows, starts, strict=True)])
    np.testing.assert_array_equal(small_data.windows_uv(rows, starts, 13), expected)
    for start, samples in ((-1, 13), (38, 13), (0, 51)):
        with pytest.raises(IndexError):
            small_data.windows_uv([0], [start], samples)


def test_several_threads_may_read(small_data: DataSet) -> None:
    data = DataSet.open(small_data.path)
    whole = small_data.windows_uv(range(74))
    orders = [np.random.default_rng(seed).permutation(74) for seed in range(16)]
    with ThreadPoolExecutor(8) as pool:
        for order, found in zip(orders, pool.map(data.windows_uv, orders), strict=True):
            np.testing.assert_array_equal(found, whole[order])


def test_the_hash_covers_shards_and_tables(small_data: DataSet) -> None:
    hashes = [sha256_of(path) for path in small_data.shard_paths]
    hashes += [sha256_of(small_data.path / name) for name in ("records.csv", "refused.csv")]
    assert small_data.sha256 == dataset_sha256(hashes) == hashlib.sha256("\n".join(hashes).encode()).hexdigest()
    assert small_data.shard_windows == [10] * 7 + [4]


def test_recordings_are_dealt_in_the_order_of_a_hash(small_data: DataSet) -> None:
    ids = small_data.records["id"].drop_duplicates().tolist()
    assert ids == sorted(ids, key=lambda name: hashlib.sha256(name.encode()).digest())


def edited(change: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        stated = json.loads((folder / "dataset.json").read_text())
        change(stated)
        (folder / "dataset.json").write_text(json.dumps(stated))

    return edit


def cut_table(folder: Path) -> None:
    lines = (folder / "records.csv").read_text().splitlines(keepends=True)
    (folder / "records.csv").write_text("".join(lines[:-1]))


def move_shard_out(folder: Path) -> None:
    (folder / "shard-00000.tfrecord").rename(folder.parent / "shard.tfrecord")
    edited(lambda stated: stated["shards"][0].update(name="../shard.tfrecord"))(folder)  # type: ignore[index]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: (folder / "dataset.json").unlink(), "is not a data set"),
        (lambda folder: (folder / "dataset.json").write_text("{"), "not a JSON file"),
        (edited(lambda stated: stated.update(format_version=99)), "format version 99"),
        (edited(lambda stated: stated.pop("shards")), "is damaged"),
        (edited(lambda stated: stated.update(sampling_rate_hz="fast")), "is damaged"),
        (move_shard_out, "not a file inside that folder"),
        (lambda folder: (folder / "shard-00003.tfrecord").unlink(), "is missing"),
        (lambda folder: (folder / "shard-00003.tfrecord").write_bytes(b"short"), "has 5 bytes instead of"),
        (lambda folder: (folder / "records.csv").unlink(), "is missing"),
        (cut_table, r"records\.csv: has \d+ bytes instead of"),
        (edited(lambda stated: stated.update(window_samples=49)), "is not a shard of 10 windows of 49 samples"),
        (edited(lambda stated: stated["shards"][1].update(sha256="0")), r"dataset\.json: was altered"),  # type: ignore[index]
    ],
)
def test_damaged_data_sets_are_refused(
    small_data: DataSet, tmp_path: Path, damage: Callable[[Path], object], reason: str
) -> None:
    folder = tmp_path / "set"
    shutil.copytree(small_data.path, folder)
    damage(folder)
    with pytest.raises(InputError, match=reason) as raised:
        DataSet.open(folder)
    assert "\n" not in str(raised.value)


def altered(data: DataSet, name: str, folder: Path) -> Path:
    """A copy of a data set in which one bit of a file is turned over."""
    shutil.copytree(data.path, folder)
    content = bytearray((folder / name).read_bytes())
    content[-2] ^= 1
    (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("name", ["shard-00002.tfrecord", "records.csv", "refused.csv"])
def test_altered_contents_are_found_when_all_is_verified(small_data: DataSet, tmp_path: Path, name: str) -> None:
    folder = altered(small_data, name, tmp_path / "set")
    DataSet.open(folder)
    with pytest.raises(InputError, match=f"{name}: was altered"):
        DataSet.open(folder, verify=True)


def test_a_shard_is_verified_when_it_is_first_opened(small_data: DataSet, tmp_path: Path) -> None:
    data = DataSet.open(altered(small_data, "shard-00002.tfrecord", tmp_path / "set"))
    assert data.signals_mv([0, 19, 30]).shape == (3, 50, 12)
    with pytest.raises(InputError, match=r"shard-00002\.tfrecord: was altered since it was made"):
        data.signals_mv([0, 29])


def test_an_altered_table_is_found_when_it_is_read(small_data: DataSet, tmp_path: Path) -> None:
    data = DataSet.open(altered(small_data, "records.csv", tmp_path / "set"))
    with pytest.raises(InputError, match=r"records\.csv: was altered"):
        len(data.records)
