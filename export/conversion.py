"""tf2onnx's conversion of a function of signals; the same graph for the same function. Needs TensorFlow."""

import hashlib
import logging
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import onnx
import tensorflow as tf

from ecg_advmask.data.scaling import scale_to_unit
from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.export.graphs import OPSET, named_anew


def to_onnx(function: Callable[[Any], Any], window_samples: int, input_name: str, output_name: str) -> onnx.ModelProto:
    """Convert a function of signals to a graph from (batch, window, 12) float32 to whatever it gives.

    Keras's own ``model.export(format="onnx")`` calls the same converter, but leaves the output with the name
    ``Identity:0`` and the opset at 15.

    Args:
        function: takes and gives a batch of any size, float32.
        window_samples: length of the graph's input.
        input_name, output_name: of the graph.
    """
    import tf2onnx

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def converted(signals: tf.Tensor) -> dict[str, tf.Tensor]:
        return {output_name: function(signals)}

    signature = [tf.TensorSpec((None, window_samples, len(STANDARD_LEADS)), tf.float32, name=input_name)]
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, _ = tf2onnx.convert.from_function(converted, signature, opset=OPSET)
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    model.graph.name = "encoder"
    return named_anew(model)


# ---- What an exported file is compared with: Keras in float32, on windows in millivolts.

Float32 = npt.NDArray[np.float32]
_BATCH = 32


def in_float32(encoder: keras.Model) -> keras.Model:
    """The encoder itself, or a float32 copy of one that was trained in mixed precision."""
    if all(layer.compute_dtype == "float32" for layer in encoder.layers):
        return encoder

    def copied(operation: Any) -> Any:
        dtype = {"dtype": "float32"} if isinstance(operation, keras.layers.Layer) else {}
        return operation.__class__.from_config(operation.get_config() | dtype)

    copy = keras.models.clone_model(encoder, clone_function=copied)
    copy.set_weights(encoder.get_weights())
    return copy


def keras_embeddings(encoder: keras.Model, signals_mv: Float32) -> Float32:
    """Embeddings (n, D) float32 of windows (n, L, 12) in millivolts by an encoder of signals scaled to [0, 1]."""
    batches = [
        keras.ops.convert_to_numpy(encoder(scaled(signals_mv[start : start + _BATCH]), training=False))
        for start in range(0, len(signals_mv), _BATCH)
    ]
    return np.concatenate(batches).astype(np.float32)


def scaled(signals_mv: Float32) -> Float32:
    """Windows (n, L, 12) as the network takes them, each scaled to [0, 1]."""
    tensor = keras.ops.convert_to_tensor(np.asarray(signals_mv, np.float32))
    return np.asarray(keras.ops.convert_to_numpy(scale_to_unit(tensor)), np.float32)


def generated_signals(count: int, window_samples: int, seed: int = 0) -> Float32:
    """Random walks of about a millivolt, (count, window_samples, 12) float32, for want of recordings."""
    steps = np.random.default_rng(seed).normal(size=(count, window_samples, len(STANDARD_LEADS)))
    return np.asarray(np.cumsum(steps, axis=1) / np.sqrt(window_samples), np.float32)


def windows_sha256(signals_mv: Float32) -> str:
    """Hexadecimal SHA-256 of windows: their float32 values, little-endian, in C order."""
    return hashlib.sha256(np.ascontiguousarray(signals_mv, "<f4").tobytes()).hexdigest()
