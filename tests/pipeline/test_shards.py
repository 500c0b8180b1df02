"""Opening data sets: what they hold, and what is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ecg_advmask.errors import InputError
from ecg_advmask.files import sha256_of
from ecg_advmask.pipeline.shards import DataSet, dataset_sha256, write_shard


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


def test_the_hash_covers_shards_and_records(small_data: DataSet) -> None:
    hashes = [sha256_of(path) for path in small_data.shard_paths]
    assert small_data.sha256 == dataset_sha256(hashes, small_data.path / "records.csv")
    assert small_data.shard_windows == [10] * 7 + [4]


def test_shards_are_little_endian_examples(tmp_path: Path) -> None:
    import tensorflow as tf

    windows = np.arange(2 * 3 * 12, dtype=np.int16).reshape(2, 3, 12) - 30
    write_shard(tmp_path / "a.tfrecord", windows, first_row=5)
    records = [
        tf.train.Example.FromString(raw.numpy()) for raw in tf.data.TFRecordDataset(str(tmp_path / "a.tfrecord"))
    ]
    assert [list(record.features.feature["row"].int64_list.value) for record in records] == [[5], [6]]
    raw = [record.features.feature["signals_uv"].bytes_list.value[0] for record in records]
    assert raw == [window.astype("<i2").tobytes() for window in windows]


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
        (lambda folder: (folder / "records.csv").unlink(), "cannot be read"),
        (lambda folder: (folder / "records.csv").write_text("id\nx\n"), "cannot be read"),
        (cut_table, "has 73 rows"),
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


def test_altered_contents_are_found_when_asked_for(small_data: DataSet, tmp_path: Path) -> None:
    for name in ("shard-00002.tfrecord", "records.csv"):
        folder = tmp_path / name
        shutil.copytree(small_data.path, folder)
        content = bytearray((folder / name).read_bytes())
        content[-2] ^= 1
        (folder / name).write_bytes(content)
        DataSet.open(folder)
        with pytest.raises(InputError, match=f"{name}: was altered"):
            DataSet.open(folder, verify=True)
