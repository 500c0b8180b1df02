"""Batches of standardised windows from a data set's shards, as `tf.data` datasets.

The order of the windows depends on the seed and the number of the epoch alone: an interrupted run that starts again at
an epoch sees what it would have seen. Views and augmentations are made in the training step, not here.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ecg_advmask.errors import InputError
from ecg_advmask.pipeline.shards import LEADS, DataSet
from ecg_advmask.scaling import standardise

Rows = Sequence[int] | npt.NDArray[np.integer]

SHARDS_AT_ONCE: Final = 8
SHUFFLE_WINDOWS: Final = 4096
SHUFFLE_BYTES: Final = 128 * 2**20
"""Windows are shuffled in blocks of `SHUFFLE_WINDOWS`, or fewer if these would take more memory than this."""


def stream(
    data: DataSet,
    batch_size: int,
    *,
    seed: int,
    first_epoch: int = 0,
    epochs: int = 1,
    rows: Rows | None = None,
    shuffle: bool = True,
    drop_remainder: bool = True,
) -> tf.data.Dataset:
    """Batches for training, one epoch after the other; no batch spans two epochs.

    Within an epoch the shards come in a new order, several are read in turns, and their windows are shuffled in blocks.

    Args:
        data: where the windows are.
        batch_size: windows in a batch.
        seed: with the epoch's number, the only source of the order.
        first_epoch: number of the first epoch delivered; that of a resumed run is above 0.
        epochs: number of the epoch before which the stream ends, as in ``range(first_epoch, epochs)``.
        rows: deliver these rows of ``data.records`` only.
        shuffle: deliver the windows in a new order each epoch, else always in the data set's.
        drop_remainder: leave out a last batch that is not full.

    Returns:
        Dataset of (batch_size, L, 12) float32, each window with mean 0 and deviation 1 over time and leads.

    Raises:
        InputError: the data set, or ``rows``, holds less than one batch.
    """
    wanted = _chosen(data, rows)
    if steps_per_epoch(int(wanted.sum()), batch_size, drop_remainder) == 0:
        raise InputError(f"{data.path}: has {int(wanted.sum())} windows to use, fewer than a batch of {batch_size}")

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        if not shuffle:
            windows = _only(tf.data.TFRecordDataset(_paths(data, wanted)), wanted)
            return windows.batch(batch_size, drop_remainder=drop_remainder)
        seeds = tf.random.experimental.stateless_fold_in(tf.constant([seed, 0], tf.int64), epoch)
        paths = tf.random.experimental.stateless_shuffle(tf.constant(_paths(data, wanted)), seeds)
        shards = tf.data.Dataset.from_tensor_slices(paths)
        windows = shards.interleave(
            tf.data.TFRecordDataset,
            cycle_length=SHARDS_AT_ONCE,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        windows = _shuffled(_only(windows, wanted), _block(data), seeds)
        return windows.batch(batch_size, drop_remainder=drop_remainder)

    batches = tf.data.Dataset.range(first_epoch, epochs).flat_map(one_epoch)
    decoded = batches.map(lambda serialized: _decode(serialized, data)[0], tf.data.AUTOTUNE, deterministic=True)
    return decoded.prefetch(tf.data.AUTOTUNE)


def ordered(data: DataSet, batch_size: int, rows: Rows | None = None) -> tf.data.Dataset:
    """Every window, or those of ``rows``, exactly once in the order of ``data.records``.

    Returns:
        Dataset of (signals, row): (B, L, 12) float32 as in `stream`, and (B,) int64; the last batch may be smaller.
    """
    wanted = _chosen(data, rows)
    windows = _only(tf.data.TFRecordDataset(_paths(data, wanted)), wanted).batch(batch_size)
    decoded = windows.map(lambda serialized: _decode(serialized, data), tf.data.AUTOTUNE, deterministic=True)
    return decoded.prefetch(tf.data.AUTOTUNE)


def steps_per_epoch(windows: int, batch_size: int, drop_remainder: bool = True) -> int:
    """Batches in an epoch over a number of windows."""
    return windows // batch_size if drop_remainder else -(-windows // batch_size)


def _chosen(data: DataSet, rows: Rows | None) -> npt.NDArray[np.bool_]:
    """(rows of the data set,) which of them are to be delivered."""
    wanted = np.full(len(data.records), rows is None)
    if rows is not None:
        wanted[np.asarray(rows, dtype=np.int64)] = True
    return wanted


def _paths(data: DataSet, wanted: npt.NDArray[np.bool_]) -> list[str]:
    """Shards that hold any of the wanted rows."""
    ends = np.cumsum(data.shard_windows)
    pieces = np.split(wanted, ends[:-1])
    return [str(path) for path, piece in zip(data.shard_paths, pieces, strict=True) if piece.any()]


def _only(windows: tf.data.Dataset, wanted: npt.NDArray[np.bool_]) -> tf.data.Dataset:
    """Leave out the windows of other rows."""
    if wanted.all():
        return windows
    lookup = tf.constant(wanted)
    row_only = {"row": tf.io.FixedLenFeature((), tf.int64)}
    return windows.filter(lambda serialized: lookup[tf.io.parse_single_example(serialized, row_only)["row"]])


def _shuffled(windows: tf.data.Dataset, block: int, seeds: tf.Tensor) -> tf.data.Dataset:
    """Shuffle in blocks, statelessly: the order that `Dataset.shuffle` gives depends on the global seed as well."""

    def shuffle(number: tf.Tensor, serialized: tf.Tensor) -> tf.Tensor:
        seed = tf.random.experimental.stateless_fold_in(seeds, number)
        return tf.random.experimental.stateless_shuffle(serialized, seed)

    return windows.batch(block).enumerate().map(shuffle).prefetch(1).unbatch()


def _block(data: DataSet) -> int:
    bytes_per_window = data.window_samples * LEADS * 2
    return max(1, min(SHUFFLE_WINDOWS, SHUFFLE_BYTES // bytes_per_window))


def _decode(serialized: tf.Tensor, data: DataSet) -> tuple[Any, tf.Tensor]:
    """A batch of serialized examples -> standardised signals (B, L, 12) and rows (B,)."""
    features = {"signals_uv": tf.io.FixedLenFeature((), tf.string), "row": tf.io.FixedLenFeature((), tf.int64)}
    parsed = tf.io.parse_example(serialized, features)
    values = tf.io.decode_raw(parsed["signals_uv"], tf.int16, little_endian=True)
    batch = -1 if serialized.shape[0] is None else serialized.shape[0]  # known where only full batches are delivered
    signals_mv = tf.cast(tf.reshape(values, (batch, data.window_samples, LEADS)), tf.float32) * 1e-3
    return standardise(signals_mv), parsed["row"]
