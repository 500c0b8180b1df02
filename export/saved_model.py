"""The same encoder as a TensorFlow SavedModel: a folder that ``tf.saved_model.load`` opens without this package.

Its function ``serve(ecg)`` takes (batch, window, 12) float32 in millivolts and gives a dictionary: ``embedding``, and
``prediction`` where a head goes with it. What the ONNX file says of itself stands in ``assets.extra/metadata.json``.
"""

import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ecg_advmask.data.scaling import scale_to_unit
from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.evaluate.heads import LinearHead
from ecg_advmask.export.encoder import INPUT, OUTPUT, PREDICTION
from ecg_advmask.files import write_json

METADATA: Final = "assets.extra/metadata.json"
_BATCH: Final = 32


@contextmanager
def saved_model(
    encoder: keras.Model, window_samples: int, folder: Path, head: LinearHead | None, metadata: Mapping[str, str]
) -> Iterator[Path]:
    """Write a SavedModel to a temporary folder, which becomes ``folder`` when the block ends well.

    Args:
        encoder: takes (B, L, 12) float32 scaled to [0, 1], gives (B, D) float32.
        window_samples: length of the input.
        folder: where nothing stands yet.
        head: goes behind the encoder; None for embeddings alone.
        metadata: of the ONNX file.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    archive = keras.export.ExportArchive()
    archive.track(encoder)
    signature = [tf.TensorSpec((None, window_samples, len(STANDARD_LEADS)), tf.float32, name=INPUT)]
    archive.add_endpoint("serve", _serve(encoder, head), input_signature=signature)
    tensorflow_log = logging.getLogger("tensorflow")
    level = tensorflow_log.level
    try:
        tensorflow_log.setLevel(logging.ERROR)
        archive.write_out(os.fspath(temporary), verbose=False)
        write_json(temporary / METADATA, metadata)
        yield temporary
        temporary.rename(folder)
    finally:
        tensorflow_log.setLevel(level)
        shutil.rmtree(temporary, ignore_errors=True)


def _serve(encoder: keras.Model, head: LinearHead | None) -> Callable[[Any], dict[str, Any]]:
    """The function that is exported."""

    def embed(ecg: Any) -> dict[str, Any]:
        return {OUTPUT: encoder(scale_to_unit(ecg), training=False)}

    if head is None:
        return embed
    weights, intercepts = (values.astype(np.float32) for values in (head.weights, head.intercepts))
    activate = {"classes": tf.nn.softmax, "labels": tf.nn.sigmoid, "number": tf.identity}[head.kind]

    def classify(ecg: Any) -> dict[str, Any]:
        outputs = embed(ecg)
        return outputs | {PREDICTION: activate(tf.matmul(outputs[OUTPUT], weights) + intercepts)}

    return classify


def outputs_of(folder: str | os.PathLike[str], signals_mv: npt.NDArray[np.float32]) -> dict[str, Any]:
    """What a SavedModel gives for windows (n, L, 12) float32 in millivolts, by TensorFlow alone."""
    loaded = tf.saved_model.load(os.fspath(folder))
    starts = range(0, len(signals_mv), _BATCH)
    batches = [loaded.serve(tf.constant(signals_mv[start : start + _BATCH])) for start in starts]
    return {name: np.concatenate([batch[name].numpy() for batch in batches]) for name in batches[0]}
