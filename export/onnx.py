"""From a Keras encoder to one ONNX file that takes millivolts: conversion, checks, metadata, parity.

The file holds the scaling to [0, 1] and says in its metadata how its input was made, so that it can be used without
this package. Needs TensorFlow, tf2onnx and onnx; `ecg_advmask.export.runtime` reads the file without them.
"""

import os
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import helper

from ecg_advmask import __version__
from ecg_advmask.config import Config
from ecg_advmask.export.conversion import OPSET, to_onnx
from ecg_advmask.export.images import on_images
from ecg_advmask.export.runtime import FORMAT, INPUT, OUTPUT
from ecg_advmask.files import atomic_path
from ecg_advmask.leads import STANDARD_LEADS
from ecg_advmask.models.weights import weights_sha256
from ecg_advmask.scaling import scale_to_unit

PARITY_BATCHES: Final = (1, 7, 32)
"""Batch sizes at which an exported file is compared with Keras."""

EXPECTED_ERROR: Final = 1e-5
LARGEST_ERROR: Final = 1e-4
"""Differences of an embedding from Keras's: above the first it is worth a look, above the second it is refused.

The second counts in units of the largest embedding where that exceeds 1, since float32 rounds in proportion.
"""


class ParityError(Exception):
    """The converted encoder gives other embeddings than Keras."""


class Difference(NamedTuple):
    """Largest absolute difference from Keras's embeddings, and the largest absolute value among these."""

    largest: float
    embedding: float


@dataclass(frozen=True)
class Exported:
    """What was written: its opset, size, weights' hash, and the largest difference from Keras at each batch size."""

    opset: int
    size_bytes: int
    encoder_sha256: str
    parity: dict[int, Difference]


def export_encoder(
    encoder: keras.Model,
    config: Config,
    path: str | os.PathLike[str],
    *,
    signals_mv: npt.NDArray[np.float32] | None = None,
) -> Exported:
    """Write ``encoder`` as ONNX: input ``ecg`` (batch, window, 12) float32 in millivolts, output ``embedding``.

    The file appears only after the format's checker has passed it and its embeddings agree with Keras's.

    Args:
        encoder: takes (B, L, 12) float32 scaled to [0, 1], gives (B, D) float32.
        config: its settings; the rate, the window and the preset go into the metadata.
        path: the file to write.
        signals_mv: windows (N, L, 12) float32 in millivolts on which Keras and onnxruntime are compared; generated if
            there are none.

    Raises:
        ParityError: an embedding differs by more than `LARGEST_ERROR`.
    """
    if signals_mv is None or len(signals_mv) == 0:
        signals_mv = generated_signals(max(PARITY_BATCHES), config.window_samples)
    encoder = _in_float32(encoder)
    sha256 = weights_sha256(encoder)
    model = to_onnx(on_images(encoder), config.window_samples)
    model.producer_name, model.producer_version = "ecg-advmask", __version__
    helper.set_model_props(
        model,
        {
            "format": FORMAT,
            "ecg_advmask_version": __version__,
            "preset": config.preset,
            "sampling_rate_hz": str(config.sampling_rate_hz),
            "window_samples": str(config.window_samples),
            "leads": ",".join(STANDARD_LEADS),
            "unit": "mV",
            "scaling": "inside the graph: each recording to [0, 1] by its minimum and maximum over time and leads",
            "embedding_dim": str(encoder.output_shape[-1]),
            "encoder_sha256": sha256,
        },
    )
    onnx.checker.check_model(model, full_check=True)
    with atomic_path(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))
        differences = parity(encoder, temporary, signals_mv)
        for found in differences.values():
            allowed = LARGEST_ERROR * max(1.0, found.embedding)
            if not found.largest <= allowed:  # "not <=" also catches NaN
                raise ParityError(
                    f"{path}: not written, its embeddings differ from Keras's by up to {found.largest:.2g}, "
                    f"more than {allowed:.2g}"
                )
        size_bytes = temporary.stat().st_size
    return Exported(OPSET, size_bytes, sha256, differences)


def parity(
    encoder: keras.Model, path: str | os.PathLike[str], signals_mv: npt.NDArray[np.float32]
) -> dict[int, Difference]:
    """How far onnxruntime's embeddings are from Keras's, for each batch size in `PARITY_BATCHES`.

    Args:
        encoder: the Keras encoder, of signals scaled to [0, 1].
        path: the exported file.
        signals_mv: windows (N, L, 12) float32 in millivolts; repeated where there are fewer than a batch.
    """
    session = onnxruntime.InferenceSession(os.fspath(path), providers=["CPUExecutionProvider"])
    differences = {}
    for batch_size in PARITY_BATCHES:
        batch = np.resize(signals_mv, (batch_size, *signals_mv.shape[1:])).astype(np.float32)
        expected = keras.ops.convert_to_numpy(
            encoder(scale_to_unit(keras.ops.convert_to_tensor(batch)), training=False)
        )
        (found,) = session.run([OUTPUT], {INPUT: batch})
        differences[batch_size] = Difference(float(np.max(np.abs(found - expected))), float(np.max(np.abs(expected))))
    return differences


def generated_signals(count: int, window_samples: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Random walks of about a millivolt, (count, window_samples, 12) float32, for want of recordings."""
    steps = np.random.default_rng(seed).normal(size=(count, window_samples, len(STANDARD_LEADS)))
    return np.asarray(np.cumsum(steps, axis=1) / np.sqrt(window_samples), np.float32)


def _in_float32(encoder: keras.Model) -> keras.Model:
    """The encoder itself, or a float32 copy of one that was trained in mixed precision."""
    if all(layer.compute_dtype == "float32" for layer in encoder.layers):
        return encoder

    def in_float32(operation: Any) -> Any:
        dtype = {"dtype": "float32"} if isinstance(operation, keras.layers.Layer) else {}
        return operation.__class__.from_config(operation.get_config() | dtype)

    copy = keras.models.clone_model(encoder, clone_function=in_float32)
    copy.set_weights(encoder.get_weights())
    return copy
