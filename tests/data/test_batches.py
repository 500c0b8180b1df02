"""The stream: the windows that the order names, standardised; going on at any batch; crops, labels, damaged shards."""

import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from ecg_advmask.data import batches as stream_module
from ecg_advmask.data import order
from ecg_advmask.data.batches import input_errors, ordered, steps_per_epoch, stream
from ecg_advmask.data.dataset import DataSet
from ecg_advmask.errors import InputError

SHARDS = [10, 10, 10, 10, 10, 10, 10, 4]
WINDOWS, LENGTH = 74, 50
VALID = np.where(np.arange(WINDOWS) % 2, LENGTH, 10 + np.arange(WINDOWS) % 40)  # every second window is padded
WINDOWS_UV = np.random.default_rng(0).integers(-2000, 2000, (WINDOWS, LENGTH, 12)).astype(np.int16)


@pytest.fixture(scope="module")
def data(write_data: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    folder = tmp_path_factory.mktemp("data") / "set"
    return DataSet.open(write_data(folder, WINDOWS_UV, SHARDS, valid_samples=VALID))


def expected(rows: np.ndarray, starts: np.ndarray | None = None, samples: int = LENGTH) -> np.ndarray:
    """Each crop standardised on its own, slowly."""
    starts = np.zeros_like(rows) if starts is None else starts
    crops = [WINDOWS_UV[row, start : start + samples].astype(float) for row, start in zip(rows, starts, strict=True)]
    return np.stack([(crop - crop.mean()) / crop.std() for crop in crops])


def joined(batches: tf.data.Dataset) -> np.ndarray:
    return np.concatenate([batch.numpy() for batch in batches])


def shuffled(seed: int, epoch: int, rows: np.ndarray | None = None) -> np.ndarray:
    return order.shuffled(SHARDS, rows, seed=seed, epoch=epoch)


def test_ordered_gives_each_row_once_with_its_standardised_signal(data: DataSet) -> None:
    batches = list(ordered(data, 16))
    assert [batch.shape[0] for batch, _ in batches] == [16, 16, 16, 16, 10]
    assert np.concatenate([rows for _, rows in batches]).tolist() == list(range(WINDOWS))
    found = np.concatenate([batch for batch, _ in batches])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected(np.arange(WINDOWS)), atol=1e-5)


def test_ordered_gives_chosen_rows_and_the_middle_of_their_valid_part(data: DataSet) -> None:
    rows = np.array([3, 4, 29, 30, 31, 73])
    batches = list(ordered(data, 4, rows=rows[::-1], samples=20))
    assert [found.numpy().tolist() for _, found in batches] == [rows[:4].tolist(), rows[4:].tolist()]
    starts = [15, 0, 15, (40 - 20) // 2, 15, 15]  # 4 has 14 valid samples, fewer than 20
    found = np.concatenate([batch for batch, _ in batches])
    np.testing.assert_allclose(found, expected(rows, np.array(starts), 20), atol=1e-5)


def test_epochs_follow_one_another_in_the_order_of_seed_and_epoch(data: DataSet) -> None:
    batches = list(stream(data, 16, seed=1, first_epoch=1, epochs=3, drop_remainder=False))
    assert [len(batch) for batch in batches] == [16, 16, 16, 16, 10] * 2
    rows = np.concatenate([shuffled(1, 1), shuffled(1, 2)])
    np.testing.assert_allclose(joined(batches), expected(rows), atol=1e-5)


def test_full_batches_only(data: DataSet) -> None:
    batches = stream(data, 16, seed=1, epochs=2)
    assert batches.element_spec.shape.as_list() == [16, LENGTH, 12]
    rows = np.concatenate([shuffled(1, 0)[:64], shuffled(1, 1)[:64]])
    np.testing.assert_allclose(joined(batches), expected(rows), atol=1e-5)


def test_a_stream_that_goes_on_equals_the_tail_of_the_whole(data: DataSet) -> None:
    """Bitwise, at every epoch and batch, whatever TensorFlow's global seed is; crops included."""
    settings = {"seed": 7, "epochs": 3, "samples": 20}
    whole = [batch.numpy() for batch in stream(data, 16, **settings)]  # 4 batches in each epoch
    for done in range(12):
        tf.random.set_seed(done)
        tail = stream(data, 16, first_epoch=done // 4, first_batch=done % 4, **settings)
        np.testing.assert_array_equal(joined(tail), np.concatenate(whole[done:]))


def test_crops_are_those_of_the_order_whatever_the_batch_size(data: DataSet) -> None:
    rows = shuffled(2, 0)
    starts = order.crop_starts(VALID[rows], 20, seed=2, epoch=0)
    assert len(set(starts)) > 15
    for batch_size in (5, 74):
        batches = stream(data, batch_size, seed=2, samples=20, drop_remainder=False)
        np.testing.assert_allclose(joined(batches), expected(rows, starts, 20), atol=1e-5)


def test_chosen_rows_and_no_shuffling(data: DataSet) -> None:
    rows = np.arange(1, WINDOWS, 3)
    found = joined(stream(data, len(rows), seed=1, rows=rows))
    np.testing.assert_allclose(found, expected(shuffled(1, 0, rows)), atol=1e-5)
    plain = joined(stream(data, 5, seed=1, epochs=2, rows=rows[::-1], shuffle=False))
    np.testing.assert_allclose(plain, expected(np.concatenate([rows, rows])), atol=1e-5)


@pytest.mark.parametrize("samples", [None, 20])
def test_the_table_of_records_is_not_kept_in_memory(data: DataSet, samples: int | None) -> None:
    """100,000 rows of text would be there for nothing."""
    fresh = DataSet.open(data.path)
    joined(stream(fresh, 16, seed=0, samples=samples))
    assert "records" not in vars(fresh)
    assert fresh.valid_samples.tolist() == fresh.records["valid_samples"].tolist() == VALID.tolist()


@pytest.mark.parametrize("wrong", ["", "20.5", "-1", "x"])
def test_valid_samples_that_are_no_numbers_are_refused(
    write_data: Callable[..., Path], tmp_path: Path, wrong: str
) -> None:
    folder = write_data(tmp_path / "set", WINDOWS_UV[:3], [3], valid_samples=[50, wrong, 50])
    with pytest.raises(InputError, match=r"records\.csv: valid_samples is not a number for every window"):
        stream(DataSet.open(folder), 1, seed=0, samples=20)


def test_fewer_windows_than_a_batch_and_too_short_ones_are_refused(data: DataSet) -> None:
    with pytest.raises(InputError, match="has 74 windows to use, fewer than a batch of 75"):
        stream(data, 75, seed=0)
    with pytest.raises(InputError, match="has 2 windows"):
        stream(data, 3, seed=0, rows=[1, 5])
    for samples in (LENGTH + 1, 0):
        with pytest.raises(InputError, match=f"has windows of 50 samples, {samples} are needed"):
            ordered(data, 10, samples=samples)


@pytest.mark.parametrize("damage", ["altered", "removed"])
def test_a_damaged_shard_ends_in_one_line_that_names_it(data: DataSet, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "set"
    shutil.copytree(data.path, folder)
    opened, shard = DataSet.open(folder), folder / "shard-00005.tfrecord"
    if damage == "altered":
        content = bytearray(shard.read_bytes())
        content[1000] ^= 1
        shard.write_bytes(content)
    else:
        opened.windows_uv(range(WINDOWS))  # past the checksums
        shard.unlink()
    for batches in (stream(opened, 16, seed=0), ordered(opened, 16)):
        with pytest.raises(InputError) as raised, input_errors():
            list(batches)
        message = str(raised.value)
        assert message.startswith(f"{shard}: {'was altered' if damage == 'altered' else 'cannot be read'}")
        assert "\n" not in message
    undamaged = np.arange(50)
    with input_errors():
        found = joined(stream(opened, 50, seed=0, rows=undamaged, shuffle=False))
    np.testing.assert_allclose(found, expected(undamaged), atol=1e-5)


def test_other_errors_stay_what_they_are(data: DataSet) -> None:
    with pytest.raises(tf.errors.OpError, match="IndexError"), input_errors():
        list(stream(data, 1, seed=0, rows=[WINDOWS]))


@pytest.mark.parametrize(("budget_batches", "at_once"), [(1000, 4), (2, 2), (0, 1)])
def test_few_batches_are_read_ahead(
    data: DataSet, monkeypatch: pytest.MonkeyPatch, budget_batches: int, at_once: int
) -> None:
    """While a step takes its time over the first batch, those under way are read, one that waits, and no more."""
    read: list[int] = []
    windows_uv = DataSet.windows_uv

    def counting(self: DataSet, rows: np.ndarray, *others: Any) -> np.ndarray:
        read.append(len(rows))
        return windows_uv(self, rows, *others)

    monkeypatch.setattr(DataSet, "windows_uv", counting)
    monkeypatch.setattr(stream_module, "READ_AHEAD_BYTES", budget_batches * 4 * LENGTH * 12 * 4)
    batches = iter(stream(data, 4, seed=0, epochs=10))
    next(batches)
    time.sleep(0.3)
    assert read == [4] * len(read)
    assert 2 <= len(read) <= 1 + 1 + at_once


@pytest.mark.parametrize(("windows", "batch", "dropped", "kept"), [(74, 16, 4, 5), (64, 16, 4, 4), (3, 4, 0, 1)])
def test_steps_per_epoch(windows: int, batch: int, dropped: int, kept: int) -> None:
    assert steps_per_epoch(windows, batch) == dropped
    assert steps_per_epoch(windows, batch, drop_remainder=False) == kept


@pytest.mark.parametrize("patients", [None, np.arange(WINDOWS) // 3])
def test_places_are_the_parts_of_batches(data: DataSet, patients: np.ndarray | None) -> None:
    """The parts of two machines, in the order asked for, with what goes with them; the crops stay theirs."""
    options = {"seed": 3, "epochs": 2, "samples": 8, "patients": patients}
    whole = list(stream(data, 12, **options))
    for places in ([0, 1, 2, 6, 7, 8], [11, 3]):
        parts = list(stream(data, 12, places=places, **options))
        assert len(parts) == len(whole) == 12
        for part, batch in zip(map(tf.nest.flatten, parts), map(tf.nest.flatten, whole), strict=True):
            for own, all_ in zip(part, batch, strict=True):
                np.testing.assert_array_equal(own, all_.numpy()[places])


def test_with_patients_batches_hold_several_of_one_and_their_numbers(small_data: DataSet) -> None:
    numbers = pd.factorize(small_data.records["id"])[0]  # two windows of each
    signals, patients = zip(*stream(small_data, 10, seed=4, patients=numbers, drop_remainder=False), strict=True)
    found = np.concatenate([part.numpy() for part in patients])
    assert Counter(found.tolist()) == Counter(numbers.tolist())
    assert (found[::2] == found[1::2]).all()
    whole, rows = next(iter(ordered(small_data, 74)))
    of_patient = {int(numbers[row]): whole.numpy()[numbers == numbers[row]] for row in rows.numpy()}
    for window, patient in zip(np.concatenate([part.numpy() for part in signals]), found.tolist(), strict=True):
        assert min(np.abs(window - other).max() for other in of_patient[patient]) == 0
