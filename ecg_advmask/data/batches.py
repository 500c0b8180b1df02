"""Batches of standardised windows from a data set's shards, as `tf.data` datasets.

`ecg_advmask.data.order` decides which windows come when, from the seed and the number of the epoch alone; batches
of them are read while the training step runs. So two numbers, of the epoch and of the batch within it, are all the
state that a stream has. Views and augmentations are made in the training step, not here.
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import tensorflow as tf

from ecg_advmask.config import Config
from ecg_advmask.data import order
from ecg_advmask.data.dataset import LEADS, DataSet, Microvolts
from ecg_advmask.data.scaling import standardise
from ecg_advmask.data.split import split_by_patient
from ecg_advmask.errors import InputError

Rows = Sequence[int] | npt.NDArray[np.integer]
Numbers = npt.NDArray[np.int64]
Draw = Callable[[int], tuple[Numbers, ...]]
"""Number of an epoch -> its rows in order (n,), the first sample to take of each (n,), and what goes with them (n,)."""

READ_AHEAD_BYTES: Final = 64 * 2**20
MOST_READ_AHEAD: Final = 4
"""Batches read at a time, or fewer (at least one) if they would take more memory; one more waits."""


# ---- What the settings of a pretraining make of a data set.

SPLIT_SEED: Final = 2022
"""The division into pretraining and unseen patients does not move with the seed of a run."""


def pretraining_batches(
    data: DataSet, config: Config, *, rows: Rows | None = None, first_epoch: int = 0, places: Rows | None = None
) -> tf.data.Dataset:
    """The batches of a pretraining: those of its epochs one after the other, each epoch in another order.

    Args:
        data: windows of the rate that the settings state, and of their length or longer.
        config: the settings.
        rows: of the windows, where they are not those of `pretraining_rows`.
        first_epoch: number of the first epoch delivered, from 0.
        places: as in `stream`.

    Returns:
        Dataset of (accumulation * batch_size, window_samples, 12) float32, as in `stream`; with ``positives =
        patient`` of pairs of that and of the numbers of the patients. It knows its number of batches: one for each
        update.

    Raises:
        InputError: data set and settings do not go together.
    """
    if rows is None:
        rows, _ = pretraining_rows(data, config)
    steps = config.steps_of(len(rows))
    batches = stream(
        data,
        config.batch_size * config.accumulation,
        seed=config.seed,
        first_epoch=first_epoch,
        epochs=config.epochs_of(len(rows)),
        rows=rows,
        samples=config.window_samples,
        patients=pd.factorize(data.records["patient"])[0] if config.positives == "patient" else None,
        places=places,
    )
    left = max(0, config.updates_of(len(rows)) - first_epoch * steps)
    return batches.take(left).apply(tf.data.experimental.assert_cardinality(left))


def pretraining_rows(data: DataSet, config: Config) -> tuple[Numbers, int]:
    """Rows of the windows that these settings pretrain on: of all patients, or of a seeded share of them.

    A recording that is an exact copy of another one is left out: the two would be contrasted with each other.

    Returns:
        The rows (n,), in order, and the number of windows left out as those of copies.

    Raises:
        InputError: the data set has another sampling rate, or shorter windows.
    """
    if data.sampling_rate_hz != config.sampling_rate_hz:
        raise InputError(
            f"{data.path}: sampling rate is {data.sampling_rate_hz} Hz, the settings say {config.sampling_rate_hz}; "
            "prepare the data set for them, or change sampling_rate_hz"
        )
    if data.window_samples < config.window_samples:
        raise InputError(
            f"{data.path}: windows have {data.window_samples} samples, the settings need {config.window_samples}; "
            "prepare the data set with longer ones, or lower window_seconds"
        )
    chosen = np.full(data.windows, True)
    if config.pretraining_share < 1.0:
        shares = {"pretraining": config.pretraining_share, "unseen": 1.0 - config.pretraining_share}
        patients = data.records["patient"].tolist()
        chosen = split_by_patient(patients, [None] * len(patients), shares, SPLIT_SEED) == "pretraining"
    is_copy = (data.records["duplicate_of"] != "").to_numpy(bool)
    return np.flatnonzero(chosen & ~is_copy), int((chosen & is_copy).sum())


# ---- Batches of windows.


def stream(
    data: DataSet,
    batch_size: int,
    *,
    seed: int,
    first_epoch: int = 0,
    first_batch: int = 0,
    epochs: int = 1,
    rows: Rows | None = None,
    shuffle: bool = True,
    drop_remainder: bool = True,
    samples: int | None = None,
    patients: Rows | None = None,
    places: Rows | None = None,
) -> tf.data.Dataset:
    """Batches for training, one epoch after the other; no batch spans two epochs.

    Args:
        data: where the windows are.
        batch_size: windows in a batch.
        seed: with the epoch's number, the only source of the order and of the crops.
        first_epoch: number of the first epoch delivered; that of a resumed run is above 0.
        first_batch: batches of the first epoch that were delivered before and do not come again.
        epochs: number of the epoch before which the stream ends, as in ``range(first_epoch, epochs)``.
        rows: deliver these rows of ``data.records`` only, each once.
        shuffle: deliver the windows in a new order each epoch (`order.shuffled`), else always in the data set's.
        drop_remainder: leave out a last batch that is not full.
        samples: take a random crop of this length from each window, another in each epoch; by default whole windows.
        patients: number of the patient of every window in the data set; windows of one patient then follow one another
            (`order.together`, in place of ``shuffle``).
        places: deliver only these places of each batch, in this order: the part of one of several machines. All batches
            must be full.

    Returns:
        Dataset of (batch_size, samples, 12) float32, each window with mean 0 and deviation 1 over time and leads; with
        ``patients`` of pairs of that and of their numbers, (batch_size,) int64. A shard that was altered is found when
        it is first read, by an error as `input_errors` explains.

    Raises:
        InputError: the data set, or ``rows``, holds less than one batch, or its windows are shorter than ``samples``.
    """
    wanted = _chosen(data, rows)
    _check_size(data, len(wanted), batch_size, drop_remainder)
    length, valid_samples = _cropped(data, samples)

    patient_of = None if patients is None else np.asarray(patients, np.int64)

    def draw(epoch: int) -> tuple[Numbers, ...]:
        if patient_of is not None:
            drawn = order.together(wanted, patient_of[wanted], seed=seed, epoch=epoch)
        else:
            drawn = order.shuffled(data.shard_windows, wanted, seed=seed, epoch=epoch) if shuffle else wanted
        starts = order.crop_starts(valid_samples(drawn), length, seed=seed, epoch=epoch)
        return (drawn, starts) if patient_of is None else (drawn, starts, patient_of[drawn])

    batches = _batches(draw, first_epoch, epochs, batch_size, drop_remainder).skip(first_batch)
    if places is not None:
        own = tf.constant(np.asarray(places, np.int64))
        batches, batch_size = batches.map(lambda drawn: tf.gather(drawn, own)), len(own)
    if patient_of is None:
        return _read(batches, data, batch_size, length, lambda signals, _: signals)
    return _read(batches, data, batch_size, length, lambda signals, drawn: (signals, drawn[:, 2]))


def ordered(data: DataSet, batch_size: int, rows: Rows | None = None, samples: int | None = None) -> tf.data.Dataset:
    """Every window, or those of ``rows``, exactly once in the order of ``data.records``.

    Args:
        data: where the windows are.
        batch_size: windows in a batch.
        rows: deliver these rows only.
        samples: take the middle of this length from the valid part of each window; by default whole windows.

    Returns:
        Dataset of (signals, row): (B, samples, 12) float32 as in `stream`, and (B,) int64; the last batch may be
        smaller.

    Raises:
        InputError: the windows are shorter than ``samples``.
    """
    wanted = _chosen(data, rows)
    length, valid_samples = _cropped(data, samples)

    def draw(_: int) -> tuple[Numbers, ...]:
        return wanted, order.middle_starts(valid_samples(wanted), length)

    batches = _batches(draw, 0, 1, batch_size, drop_remainder=False)
    return _read(batches, data, batch_size, length, lambda signals, drawn: (signals, drawn[:, 0]))


def steps_per_epoch(windows: int, batch_size: int, drop_remainder: bool = True) -> int:
    """Batches in an epoch over a number of windows."""
    return windows // batch_size if drop_remainder else -(-windows // batch_size)


@contextlib.contextmanager
def input_errors() -> Iterator[None]:
    """To be put around the iteration of a stream: an `InputError` from the shards leaves it as such.

    TensorFlow turns every exception in reading into one of its own, which holds the first one's name and message.
    """
    try:
        yield
    except tf.errors.OpError as error:
        found = re.search(rf"\b{InputError.__name__}: (.+)", error.message)
        if found is None:
            raise
        raise InputError(found[1]) from error


def _chosen(data: DataSet, rows: Rows | None) -> Numbers:
    """The rows to be delivered, each once, in the order of the data set."""
    return np.arange(data.windows) if rows is None else np.unique(np.asarray(rows, np.int64))


def _check_size(data: DataSet, windows: int, batch_size: int, drop_remainder: bool) -> None:
    if steps_per_epoch(windows, batch_size, drop_remainder) == 0:
        raise InputError(f"{data.path}: has {windows} windows to use, fewer than a batch of {batch_size}")


def _cropped(data: DataSet, samples: int | None) -> tuple[int, Callable[[Numbers], Numbers]]:
    """How many samples of each window are delivered, and how many of given rows (n,) are valid, (n,)."""
    if samples is None or samples == data.window_samples:
        return data.window_samples, np.zeros_like  # nothing to choose, so no table is read
    if not 0 < samples < data.window_samples:
        raise InputError(f"{data.path}: has windows of {data.window_samples} samples, {samples} are needed")
    return samples, data.valid_samples.__getitem__


def _batches(draw: Draw, first_epoch: int, epochs: int, batch_size: int, drop_remainder: bool) -> tf.data.Dataset:
    """Batches (B, columns) int64 of what ``draw`` gives; an epoch is drawn when it starts."""

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        drawn = tf.numpy_function(lambda number: np.stack(draw(int(number)), axis=1), [epoch], tf.int64)
        drawn.set_shape((None, None))
        return tf.data.Dataset.from_tensor_slices(drawn).batch(batch_size, drop_remainder)

    return tf.data.Dataset.range(first_epoch, epochs).flat_map(one_epoch)


def _read(
    batches: tf.data.Dataset, data: DataSet, batch_size: int, length: int, deliver: Callable[[Any, Any], Any]
) -> tf.data.Dataset:
    """Batches of what was drawn -> ``deliver``(standardised signals (B, length, 12), what was drawn (B, columns))."""

    def read(drawn: Numbers) -> Microvolts:
        try:
            return data.windows_uv(drawn[:, 0], drawn[:, 1], length)
        except OSError as error:
            raise InputError(f"{error.filename or data.path}: cannot be read ({error.strerror})") from error

    def signals_of(drawn: tf.Tensor) -> Any:
        signals_uv = tf.numpy_function(read, [drawn], tf.int16)
        signals_uv.set_shape((drawn.shape[0], length, LEADS))  # batches of one size have a static one
        return deliver(standardise(tf.cast(signals_uv, tf.float32) * 1e-3), drawn)

    ahead = max(1, min(MOST_READ_AHEAD, READ_AHEAD_BYTES // (batch_size * length * LEADS * tf.float32.size)))
    return batches.map(signals_of, ahead, deterministic=True).prefetch(1)
