"""Embeddings of a data set by a frozen encoder, computed once for each encoder and data set.

In: windows in millivolts from a data set. Out: float32 embeddings, one per window, averaged to one per recording.
"""

import zipfile
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tqdm import tqdm

from ecg_advmask.files import atomic_path
from ecg_advmask.models.weights import weights_sha256
from ecg_advmask.pipeline.shards import DataSet
from ecg_advmask.pipeline.stream import ordered
from ecg_advmask.scaling import scale_to_unit

Rows = npt.NDArray[np.int64]
Embeddings = npt.NDArray[np.float32]


def embed_dataset(encoder: keras.Model, data: DataSet, rows: Rows, batch_size: int = 256) -> Embeddings:
    """Embeddings ``(n, D)`` of the windows ``rows``, in their order, each window scaled to [0, 1] by itself.

    The encoder runs in inference mode, compiled by XLA for one batch shape: the last batch is filled up with zeros.
    """
    if len(rows) == 0:
        return np.zeros((0, encoder.output_shape[-1]), np.float32)
    batch_size = min(batch_size, len(rows))

    embed = tf.function(lambda signals: encoder(scale_to_unit(signals), training=False), jit_compile=True)
    of_row: dict[int, npt.NDArray[np.float32]] = {}
    with tqdm(total=len(rows), desc=f"embedding with {encoder.name}", unit="window", disable=None) as bar:
        for signals, batch_rows in ordered(data, batch_size, rows=rows):
            filled = tf.pad(signals, [[0, batch_size - len(signals)], [0, 0], [0, 0]])
            of_row.update(zip(batch_rows.numpy().tolist(), embed(filled).numpy(), strict=False))
            bar.update(len(signals))
    return np.stack([of_row[row] for row in rows.tolist()]).astype(np.float32, copy=False)


def average_over_windows(embeddings: Embeddings, recording_of_window: Rows) -> Embeddings:
    """One embedding per recording, ``(n, D)``: the mean over its windows; recordings are numbered 0..n-1."""
    total = np.zeros((int(recording_of_window.max()) + 1, embeddings.shape[1]), np.float64)
    np.add.at(total, recording_of_window, embeddings)
    return (total / np.bincount(recording_of_window)[:, None]).astype(np.float32)


def cached_embeddings(
    folder: Path | None, encoder: keras.Model, data: DataSet, rows: Rows, batch_size: int = 256
) -> Embeddings:
    """`embed_dataset`, kept in ``folder`` under a name made of the encoder's and the data's hashes.

    A stored file is used only if it says that it belongs to this encoder, data set and rows, and holds finite float32
    values of the right shape; otherwise the embeddings are computed anew and the file is replaced. Without a folder
    nothing is kept.
    """
    if folder is None:
        return embed_dataset(encoder, data, rows, batch_size)
    encoder_hash = weights_sha256(encoder)
    path = folder / f"{encoder_hash[:16]}-{data.sha256[:16]}.npz"
    shape = (len(rows), encoder.output_shape[-1])
    stored = _load(path, encoder_hash, data.sha256, rows, shape)
    if stored is not None:
        return stored
    embeddings = embed_dataset(encoder, data, rows, batch_size)
    with atomic_path(path) as temporary:
        np.savez(temporary, embeddings=embeddings, rows=rows, encoder_sha256=encoder_hash, dataset_sha256=data.sha256)
    return embeddings


def _load(path: Path, encoder_hash: str, data_hash: str, rows: Rows, shape: tuple[int, int]) -> Embeddings | None:
    """The stored embeddings, or None where the file is absent, damaged, or belongs to something else."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            embeddings: Embeddings = stored["embeddings"]
            belongs = (
                str(stored["encoder_sha256"]) == encoder_hash
                and str(stored["dataset_sha256"]) == data_hash
                and np.array_equal(stored["rows"], rows)
            )
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return None
    fits = embeddings.shape == shape and embeddings.dtype == np.float32 and bool(np.isfinite(embeddings).all())
    return embeddings if belongs and fits else None
