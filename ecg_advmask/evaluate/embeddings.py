"""Embeddings of a data set by a frozen encoder, computed once for each encoder and data set.

In: windows in millivolts from a data set. Out: float32 embeddings, one per window, averaged to one per recording.
"""

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tqdm import tqdm

from ecg_advmask.data import order
from ecg_advmask.data.batches import input_errors, ordered
from ecg_advmask.data.dataset import LEADS, DataSet, Microvolts
from ecg_advmask.data.scaling import scale_to_unit
from ecg_advmask.evaluate.eligibility import windows_of
from ecg_advmask.files import atomic_path
from ecg_advmask.models.resnet import weights_sha256

Rows = npt.NDArray[np.int64]
Embeddings = npt.NDArray[np.float32]


def embed_dataset(
    encoder: keras.Model, data: DataSet, rows: Rows, batch_size: int = 256, samples: int | None = None
) -> Embeddings:
    """Embeddings ``(n, D)`` of the windows ``rows``, in their order, each window scaled to [0, 1] by itself.

    Where ``samples`` is less than the data set's windows have, the middle of each is embedded.
    The encoder runs in inference mode, compiled by XLA for one batch shape: the last batch is filled up with zeros.
    """
    if len(rows) == 0:
        return np.zeros((0, encoder.output_shape[-1]), np.float32)
    batch_size = min(batch_size, len(rows))

    embed = tf.function(lambda signals: encoder(scale_to_unit(signals), training=False), jit_compile=True)
    of_row: dict[int, npt.NDArray[np.float32]] = {}
    progress = tqdm(total=len(rows), desc=f"embedding with {encoder.name}", unit="window", disable=None)
    with progress as bar, input_errors():
        for signals, batch_rows in ordered(data, batch_size, rows, samples):
            filled = tf.pad(signals, [[0, batch_size - len(signals)], [0, 0], [0, 0]])
            of_row.update(zip(batch_rows.numpy().tolist(), embed(filled).numpy(), strict=False))
            bar.update(len(signals))
    return np.stack([of_row[row] for row in rows.tolist()]).astype(np.float32, copy=False)


def recording_embeddings(
    folder: Path | None, encoder: keras.Model, data: DataSet, keys: npt.NDArray[np.object_], samples: int
) -> Embeddings:
    """Embeddings ``(n, D)`` of the recordings with these ids, in their order: the mean over the windows of each.

    Those of the windows are kept in ``folder``, as by `cached_embeddings`.
    """
    rows, recording_of_window = windows_of(data.records, keys)
    return average_over_windows(cached_embeddings(folder, encoder, data, rows, samples=samples), recording_of_window)


def average_over_windows(embeddings: Embeddings, recording_of_window: Rows) -> Embeddings:
    """One embedding per recording, ``(n, D)``: the mean over its windows; recordings are numbered 0..n-1."""
    total = np.zeros((int(recording_of_window.max()) + 1, embeddings.shape[1]), np.float64)
    np.add.at(total, recording_of_window, embeddings)
    return (total / np.bincount(recording_of_window)[:, None]).astype(np.float32)


def cached_embeddings(
    folder: Path | None,
    encoder: keras.Model,
    data: DataSet,
    rows: Rows,
    batch_size: int = 256,
    samples: int | None = None,
) -> Embeddings:
    """`embed_dataset`, kept in ``folder`` under a name made of the encoder's and the data's hashes.

    A stored file is used only if it says that it belongs to this encoder, data set, rows and length, and holds finite
    float32 values of the right shape; otherwise the embeddings are recomputed and the file is replaced. Without a
    folder nothing is kept.
    """
    if folder is None:
        return embed_dataset(encoder, data, rows, batch_size, samples)
    origin: dict[str, Any] = {
        "encoder_sha256": weights_sha256(encoder),
        "dataset_sha256": data.sha256,
        "rows": rows,
        "samples": samples or data.window_samples,
    }
    path = folder / f"{origin['encoder_sha256'][:16]}-{data.sha256[:16]}.npz"
    stored = _load(path, origin, (len(rows), encoder.output_shape[-1]))
    if stored is not None:
        return stored
    embeddings = embed_dataset(encoder, data, rows, batch_size, samples)
    with atomic_path(path) as temporary:
        np.savez(temporary, embeddings=embeddings, **origin)
    return embeddings


def _load(path: Path, origin: Mapping[str, Any], shape: tuple[int, int]) -> Embeddings | None:
    """The stored embeddings, or None where the file is absent, damaged, or belongs to something else."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            embeddings: Embeddings = stored["embeddings"]
            belongs = all(np.array_equal(stored[name], value) for name, value in origin.items())
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return None
    fits = embeddings.shape == shape and embeddings.dtype == np.float32 and bool(np.isfinite(embeddings).all())
    return embeddings if belongs and fits else None


# ---- The windows of chosen recordings, to train a network on at random and to judge it on completely.
#
# They are kept in memory as int16 where they fit, else the wanted samples are read from the shards for each batch.

Numbers = npt.NDArray[np.int64]

MOST_BYTES: Final = 2**30
"""Windows are kept in memory if they take no more: 8,900 of 10 s at 500 Hz, 44,000 at 100 Hz."""


class RecordingWindows:
    """Windows of recordings that are numbered by their place in ``keys``, as long as a network wants them.

    Args:
        data: the data set.
        keys: (n,) ids of the recordings, each of at least one window.
        samples: length of what is delivered; of longer windows a crop of their valid part.
        most_bytes: keep the windows in memory if they take at most this many bytes.
    """

    def __init__(
        self, data: DataSet, keys: npt.NDArray[np.object_], samples: int, most_bytes: int = MOST_BYTES
    ) -> None:
        rows, recording_of = windows_of(data.records, keys)
        by_recording = np.argsort(recording_of, kind="stable")
        self._rows, self._recording_of = rows[by_recording], recording_of[by_recording]
        self._valid_samples = data.valid_samples[self._rows]
        self._counts = np.bincount(self._recording_of, minlength=len(keys))
        self._first = np.cumsum(self._counts) - self._counts
        self._data, self.samples = data, samples
        held = len(rows) * data.window_samples * LEADS * np.dtype(np.int16).itemsize <= most_bytes
        self._held = data.windows_uv(self._rows) if held else None

    def random_batches(
        self, recordings: Numbers, batches: int, batch_size: int, seed: int
    ) -> Iterator[tuple[Microvolts, Numbers]]:
        """Batches for training: recordings in one random order after another, a random crop of a random window of each.

        A batch may span two orders, so all are full and every recording comes equally often, up to one. More batches
        begin like fewer.

        Args:
            recordings: (n,) numbers of recordings.
            batches: how many batches.
            batch_size: windows in a batch.
            seed: the only source of order, windows and crops.

        Yields:
            (batch_size, samples, 12) int16 microvolts, and (batch_size,) number of the recording of each.
        """
        rng = np.random.default_rng(seed)
        wanted = batches * batch_size
        passes = []
        for number in range(-(-wanted // len(recordings))):
            drawn = rng.permutation(recordings)
            places = self._first[drawn] + rng.integers(self._counts[drawn])
            starts = order.crop_starts(self._valid_samples[places], self.samples, seed=seed, epoch=number)
            passes.append(np.stack([drawn, places, starts]))
        for batch in np.split(np.concatenate(passes, axis=1)[:, :wanted], batches, axis=1):
            drawn, places, starts = batch
            yield self._read(places, starts), drawn

    def batches(self, recordings: Numbers, batch_size: int) -> Iterator[tuple[Microvolts, Numbers]]:
        """Every window of recordings once, the middle of each; all batches are full, the last one with zeros.

        Yields:
            (batch_size, samples, 12) int16 microvolts, and the place in ``recordings``, (at most batch_size,), of each.
        """
        counts = self._counts[recordings]
        of_window = np.repeat(np.arange(len(recordings)), counts)
        within = np.arange(len(of_window)) - np.repeat(np.cumsum(counts) - counts, counts)
        places = self._first[recordings][of_window] + within
        starts = order.middle_starts(self._valid_samples[places], self.samples)
        for first in range(0, len(places), batch_size):
            batch = slice(first, first + batch_size)
            windows_uv = self._read(places[batch], starts[batch])
            missing = batch_size - len(windows_uv)
            yield np.pad(windows_uv, [(0, missing), (0, 0), (0, 0)]), of_window[batch]

    def _read(self, places: Numbers, starts: Numbers) -> Microvolts:
        if self._held is None:
            return self._data.windows_uv(self._rows[places], starts, self.samples)
        return np.stack(
            [self._held[place, start : start + self.samples] for place, start in zip(places, starts, strict=True)]
        )
