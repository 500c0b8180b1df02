"""Embeddings of a data set by a frozen encoder, computed once for each encoder and data set.

In: windows in millivolts from a data set. Out: float32 embeddings, one per window, averaged to one per recording.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tqdm import tqdm

from ecg_advmask.evaluate.eligibility import windows_of
from ecg_advmask.files import atomic_path
from ecg_advmask.models.weights import weights_sha256
from ecg_advmask.pipeline.shards import DataSet
from ecg_advmask.pipeline.stream import input_errors, ordered
from ecg_advmask.scaling import scale_to_unit

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


def embed_recordings(
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
    float32 values of the right shape; otherwise the embeddings are computed anew and the file is replaced. Without a
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
