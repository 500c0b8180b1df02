"""The stream: every window once an epoch, standardised, in an order that seed and epoch alone decide."""

import numpy as np
import pytest
import tensorflow as tf

from ecg_advmask.errors import InputError
from ecg_advmask.pipeline import stream as stream_module
from ecg_advmask.pipeline.shards import DataSet
from ecg_advmask.pipeline.stream import ordered, steps_per_epoch, stream


def standardised(signals: np.ndarray) -> np.ndarray:
    """Each recording on its own, slowly."""
    return np.stack([(one - one.mean(dtype=np.float64)) / one.std(dtype=np.float64) for one in signals])


def rows_of(data: DataSet, batches: tf.data.Dataset) -> list[list[int]]:
    """Which row each window of each batch is, found by its values."""
    known = {values[0, :6].round(4).tobytes(): row for row, values in enumerate(expected(data))}
    return [[known[window[0, :6].round(4).tobytes()] for window in batch.numpy()] for batch in batches]


def joined(batches: list[list[int]]) -> list[int]:
    return [row for batch in batches for row in batch]


def expected(data: DataSet) -> np.ndarray:
    return next(iter(ordered(data, len(data.records))))[0].numpy()


def test_ordered_gives_each_row_once_with_its_standardised_signal(small_data: DataSet) -> None:
    batches = list(ordered(small_data, 16))
    assert [batch.shape[0] for batch, _ in batches] == [16, 16, 16, 16, 10]
    assert np.concatenate([rows for _, rows in batches]).tolist() == list(range(74))
    found = np.concatenate([batch for batch, _ in batches])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, standardised(small_data.signals_mv(range(74))), atol=1e-5)


def test_ordered_gives_chosen_rows_only(small_data: DataSet) -> None:
    rows = [3, 4, 29, 30, 31, 73]
    batches = list(ordered(small_data, 4, rows=rows[::-1]))
    assert [found.numpy().tolist() for _, found in batches] == [rows[:4], rows[4:]]
    np.testing.assert_array_equal(np.concatenate([batch for batch, _ in batches]), expected(small_data)[rows])


def test_an_epoch_holds_every_window_once(small_data: DataSet) -> None:
    epochs = rows_of(small_data, stream(small_data, 16, seed=1, epochs=3, drop_remainder=False))
    assert [len(batch) for batch in epochs] == [16, 16, 16, 16, 10] * 3
    for epoch in range(3):
        of_epoch = joined(epochs[5 * epoch : 5 * epoch + 5])
        assert sorted(of_epoch) == list(range(74))
        assert of_epoch != list(range(74))
    assert epochs[0] != epochs[5] != epochs[10]


def test_full_batches_only(small_data: DataSet) -> None:
    found = rows_of(small_data, stream(small_data, 16, seed=1, epochs=2))
    assert [len(batch) for batch in found] == [16] * 8
    assert all(len(set(joined(found[start : start + 4]))) == 64 for start in (0, 4))


def test_seed_and_epoch_decide_the_order(small_data: DataSet) -> None:
    whole = rows_of(small_data, stream(small_data, 16, seed=1, epochs=4))
    tf.random.set_seed(99)  # must not matter
    assert rows_of(small_data, stream(small_data, 16, seed=1, epochs=4)) == whole
    assert rows_of(small_data, stream(small_data, 16, seed=1, first_epoch=2, epochs=4)) == whole[8:]
    assert rows_of(small_data, stream(small_data, 16, seed=2, epochs=4)) != whole
    again = stream(small_data, 16, seed=1, epochs=1)
    assert rows_of(small_data, again) == rows_of(small_data, again) == whole[:4]


def test_windows_of_one_shard_are_spread_over_the_epoch(small_data: DataSet) -> None:
    order = np.concatenate(rows_of(small_data, stream(small_data, 74, seed=3)))
    places = np.argsort(order)[:10]
    assert places.max() - places.min() > 30
    correlation = np.corrcoef(order, np.arange(74))[0, 1]
    assert abs(correlation) < 0.4


def test_blocks_smaller_than_the_data_lose_nothing(small_data: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "SHUFFLE_WINDOWS", 9)
    found = rows_of(small_data, stream(small_data, 10, seed=1, drop_remainder=False))
    assert sorted(joined(found)) == list(range(74))


def test_chosen_rows_and_no_shuffling(small_data: DataSet) -> None:
    rows = np.arange(1, 74, 3)
    (shuffled,) = rows_of(small_data, stream(small_data, len(rows), seed=1, rows=rows))
    assert shuffled != rows.tolist()
    assert sorted(shuffled) == rows.tolist()
    plain = rows_of(small_data, stream(small_data, 5, seed=1, epochs=2, rows=rows, shuffle=False))
    assert joined(plain) == [*rows.tolist(), *rows.tolist()]
    assert stream(small_data, 5, seed=1, rows=rows).element_spec.shape.as_list() == [5, 50, 12]


def test_fewer_windows_than_a_batch_are_refused(small_data: DataSet) -> None:
    with pytest.raises(InputError, match="has 74 windows to use, fewer than a batch of 75"):
        stream(small_data, 75, seed=0)
    with pytest.raises(InputError, match="has 2 windows"):
        stream(small_data, 3, seed=0, rows=[1, 5])


@pytest.mark.parametrize(("windows", "batch", "dropped", "kept"), [(74, 16, 4, 5), (64, 16, 4, 4), (3, 4, 0, 1)])
def test_steps_per_epoch(windows: int, batch: int, dropped: int, kept: int) -> None:
    assert steps_per_epoch(windows, batch) == dropped
    assert steps_per_epoch(windows, batch, drop_remainder=False) == kept
