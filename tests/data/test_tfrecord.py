"""TFRecord files written without TensorFlow, against TensorFlow's own reader and writer."""

import os
from pathlib import Path

import numpy as np
import pytest

from ecg_advmask.data.dataset import WindowWriter, read_window_into, record_bytes

WINDOWS = np.random.default_rng(0).integers(-32768, 32768, (5, 50, 12)).astype("<i2")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with WindowWriter(tmp_path / "a.tfrecord") as writer:
        for window in WINDOWS:
            writer.write(window)
    assert writer.windows == 5
    return tmp_path / "a.tfrecord"


def test_tensorflow_writes_the_same_bytes_and_reads_the_same_windows(path: Path, tmp_path: Path) -> None:
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(tmp_path / "theirs.tfrecord")) as writer:
        for window in WINDOWS:
            writer.write(window.tobytes())
    assert path.read_bytes() == (tmp_path / "theirs.tfrecord").read_bytes()
    read = [tf.io.decode_raw(raw, tf.int16).numpy().reshape(50, 12) for raw in tf.data.TFRecordDataset(str(path))]
    np.testing.assert_array_equal(read, WINDOWS)


def test_any_part_of_any_window_is_read_by_its_place(path: Path) -> None:
    assert path.stat().st_size == 5 * record_bytes(50)
    with path.open("rb") as file:
        for place, start, samples in ((0, 0, 50), (4, 49, 1), (2, 7, 20), (3, 0, 0)):
            target = np.empty((samples, 12), "<i2")
            assert read_window_into(file.fileno(), place, 50, start, target)
            np.testing.assert_array_equal(target, WINDOWS[place, start : start + samples])


def test_a_file_that_is_cut_short_is_noticed(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 10)
    with path.open("rb") as file:
        assert not read_window_into(file.fileno(), 4, 50, 0, np.empty((50, 12), "<i2"))


def test_windows_of_other_types_and_layouts_are_stored_as_they_should(tmp_path: Path) -> None:
    with WindowWriter(tmp_path / "b.tfrecord") as writer:
        writer.write(np.asfortranarray(WINDOWS[1]).astype(">i2"))
    with (tmp_path / "b.tfrecord").open("rb") as file:
        target = np.empty((50, 12), "<i2")
        assert read_window_into(file.fileno(), 0, 50, 0, target)
    np.testing.assert_array_equal(target, WINDOWS[1])
