"""From a Keras encoder to one ONNX file that takes millivolts: conversion, checks, metadata, parity.

The file holds the scaling to [0, 1] and says in its metadata how its input was made, so that it can be used without
this package. Needs TensorFlow, tf2onnx and onnx; `ecg_advmask.export.encoder` reads the file without them.
"""

import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt
import onnx
import tensorflow as tf
from keras import layers, ops
from onnx import helper

from ecg_advmask import __version__
from ecg_advmask.config import Config
from ecg_advmask.data.scaling import scale_to_unit
from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.ecg.shift import Reference
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.heads import LinearHead
from ecg_advmask.export import graphs
from ecg_advmask.export.conversion import (
    Float32,
    generated_signals,
    in_float32,
    keras_embeddings,
    scaled,
    to_onnx,
    windows_sha256,
)
from ecg_advmask.export.encoder import FORMAT, INPUT, OUTPUT, PREDICTION, REFERENCE
from ecg_advmask.export.parity import (
    LARGEST_OVER_SPREAD,
    PARITY_BATCHES,
    SMALLEST_COSINE,
    Agreement,
    Floats,
    agreements,
    check,
    embedder,
    jsonable,
)
from ecg_advmask.export.precision import Precision, to_float16, to_int8, with_float16_weights
from ecg_advmask.export.probe import StoredEvaluation
from ecg_advmask.files import atomic_path, sha256_of, versions, write_json
from ecg_advmask.models.resnet import weights_sha256

# ---- The same encoder as a TensorFlow SavedModel: a folder that ``tf.saved_model.load`` opens without this package.
#
# Its function ``serve(ecg)`` takes (batch, window, 12) float32 in millivolts and gives a dictionary: ``embedding``, and
# ``prediction`` where a head goes with it. What the ONNX file says of itself is in ``assets.extra/metadata.json``.

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
        folder: must not exist yet.
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


# ---- A twin of an encoder that computes on images: signals ``(B, L, C)`` become ``(B, 1, L, C)`` inside it.
#
# tf2onnx wraps every one-dimensional convolution in Unsqueeze, Transpose and Squeeze, which also keeps onnxruntime from
# fusing what is between them. From two-dimensional layers it makes channels-first convolutions without such a rest,
# with batch normalisation and padding inside them. Time is the images' last axis: along the other one onnxruntime takes
# up to half as long again.

_SAME_ON_IMAGES: Final = {"InputLayer", "BatchNormalization", "Dense", "Relu", "Add", "Maximum"}
_OF_TIME: Final = {"Conv1D", "ZeroPadding1D", "GlobalAveragePooling1D", "GetItem"}


def on_images(encoder: keras.Model) -> keras.Model:
    """The same function of the same input, with the same weights, computed on images of height 1.

    Args:
        encoder: takes (B, L, C) float32, gives (B, D) float32.

    Returns:
        A new model; ``encoder`` itself where it holds operations other than those of the 1-D ResNet.
    """
    if not all(_is_known(operation) for operation in getattr(encoder, "operations", [encoder])):
        return encoder
    length, channels = encoder.input_shape[1:]
    images = keras.Input((1, length, channels))
    twin = keras.models.clone_model(encoder, images, clone_function=_on_images, call_function=_call)
    if twin.output_shape != encoder.output_shape:
        return encoder
    twin.set_weights([ops.reshape(old, new.shape) for old, new in zip(encoder.weights, twin.weights, strict=True)])
    signals = keras.Input((length, channels))
    return keras.Model(signals, twin(ops.expand_dims(signals, 1)))


def _is_known(operation: Any) -> bool:
    known = type(operation).__name__ in _SAME_ON_IMAGES | _OF_TIME
    return known and getattr(operation, "padding", None) != "causal"  # two-dimensional layers have no such padding


def _on_images(operation: Any) -> Any:
    """A layer's or operation's counterpart on images."""
    config = operation.get_config()
    if isinstance(operation, layers.Conv1D):
        config |= {name: (1, *config[name]) for name in ("kernel_size", "strides", "dilation_rate")}
        return layers.Conv2D.from_config(config)
    if isinstance(operation, layers.ZeroPadding1D):
        return layers.ZeroPadding2D.from_config(config | {"padding": ((0, 0), config["padding"])})
    if isinstance(operation, layers.GlobalAveragePooling1D):
        return layers.GlobalAveragePooling2D.from_config(config)
    return type(operation).from_config(config)


def _call(operation: Any, *arguments: Any, **options: Any) -> Any:
    """Call a counterpart as its original was called; slices of time move on by one axis."""
    options.pop("mask", None)  # of time steps: pooling of images takes none
    if type(operation).__name__ == "GetItem":
        signals, (batch, *slices) = arguments
        return operation(signals, (batch, slice(None), *slices))
    return operation(*arguments, **options)


REPORT_SUFFIX: Final = ".parity.json"
_PACKAGES: Final = ("keras", "numpy", "onnx", "onnxruntime", "tensorflow", "tf2onnx")
_SCALED: Final = "scaled"


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        size_bytes, metadata: of the ONNX file, the latter without the reference.
        parity: the agreement of its embeddings with Keras's, by batch size.
        report: the parity report, as written beside the file.
    """

    size_bytes: int
    metadata: dict[str, str]
    parity: dict[int, Agreement]
    report: dict[str, Any]


def export_encoder(
    encoder: keras.Model,
    config: Config,
    path: str | os.PathLike[str],
    *,
    precision: Precision = "float32",
    calibration_mv: Float32 | None = None,
    signals_mv: Float32 | None = None,
    source: str = "generated signals",
    head: LinearHead | None = None,
    evaluation: StoredEvaluation | None = None,
    saved_model_path: str | os.PathLike[str] | None = None,
    reference: Reference | None = None,
) -> Exported:
    """Write ``encoder`` as ONNX: input ``ecg`` (batch, window, 12) float32 in millivolts, output ``embedding``.

    The file, and its parity report (``.parity.json``) beside it, appear only after the format's checker has passed the
    file and its embeddings agree with Keras's. The same encoder, head and calibration windows give the same bytes.

    Args:
        encoder: takes (B, L, 12) float32 scaled to [0, 1], gives (B, D) float32.
        config: its settings; the rate, the window and the preset go into the metadata.
        path: the file to write.
        precision: of the network; input, scaling, head and outputs are float32 in any case.
        calibration_mv: windows (N, L, 12) float32 in millivolts that give the ranges of int8, which needs them.
        signals_mv: windows (N, L, 12) float32 in millivolts on which Keras and onnxruntime are compared; generated if
            there are none.
        source: what these windows are, for the report.
        head: goes behind the encoder, as a second output ``prediction``; was fitted on this encoder.
        evaluation: a linear evaluation of this encoder; what its metric loses by the export goes into the report.
        saved_model_path: folder to write the same function to, in float32, as a TensorFlow SavedModel.
        reference: features of pretraining windows, with which those who use the file compare their recordings.

    Raises:
        ParityError: the embeddings are further from Keras's than `ecg_advmask.export.parity.check` allows.
        InputError: the head is of another encoder, or float16 cannot hold a weight.
        ValueError: int8 without calibration windows.
    """
    if signals_mv is None or len(signals_mv) == 0:
        signals_mv = generated_signals(max(PARITY_BATCHES), config.window_samples)
    encoder = in_float32(encoder)
    plain_metadata = _metadata(config, encoder) | ({} if head is None else graphs.metadata(head))
    metadata = plain_metadata | _stated(precision, calibration_mv)
    if head is not None and head.encoder_sha256 != metadata["encoder_sha256"]:
        raise InputError(f"{path}: the head for {head.task} was fitted on another encoder, fit one on this encoder")
    model = _graph(encoder, config.window_samples, precision, calibration_mv)
    if head is not None:
        model = graphs.with_head(model, head)
    _sign(model, metadata | ({} if reference is None else {REFERENCE: reference.text()}))
    expected: dict[str, Floats] = {OUTPUT: keras_embeddings(encoder, signals_mv)}
    if head is not None:
        expected[PREDICTION] = head.predict(expected[OUTPUT]).reshape(len(signals_mv), -1)
    with ExitStack() as stack:
        temporary = stack.enter_context(atomic_path(path))
        temporary.write_bytes(model.SerializeToString(deterministic=True))
        found = agreements(temporary, signals_mv, expected)
        for of_outputs in found.values():
            check(of_outputs[OUTPUT], precision, path)
        report: dict[str, Any] = {
            "file": Path(path).name,
            "sha256": sha256_of(temporary),
            **_stated(precision, calibration_mv),
            "encoder_sha256": metadata["encoder_sha256"],
            "compared_with": "Keras in float32",
            "compared_on": {"source": source, "windows": len(signals_mv), "sha256": windows_sha256(signals_mv)},
            "limits": {"smallest_cosine": SMALLEST_COSINE[precision], "error_over_spread": LARGEST_OVER_SPREAD},
            "batch_sizes": jsonable(found),
            "linear_evaluation": None if evaluation is None else evaluation.change(embedder(temporary)),
            "saved_model": None,
            "versions": versions(_PACKAGES),
        }
        if saved_model_path is not None:
            made = saved_model(encoder, config.window_samples, Path(saved_model_path), head, plain_metadata)
            outputs = outputs_of(stack.enter_context(made), signals_mv)
            agreement = {name: Agreement.of(outputs[name], expected[name]) for name in expected}
            check(agreement[OUTPUT], "float32", saved_model_path)
            report["saved_model"] = jsonable(agreement)
        write_json(stack.enter_context(atomic_path(Path(path).with_suffix(REPORT_SUFFIX))), report)
        size_bytes = temporary.stat().st_size
    return Exported(size_bytes, metadata, {batch_size: one[OUTPUT] for batch_size, one in found.items()}, report)


def _graph(
    encoder: keras.Model, window_samples: int, precision: Precision, calibration_mv: Float32 | None
) -> onnx.ModelProto:
    """The graph from millivolts to embeddings, its network in this precision."""
    if precision == "int8" and calibration_mv is None:
        raise ValueError("int8 needs windows to calibrate on")
    twin = on_images(encoder)
    network = to_onnx(lambda signals: twin(signals, training=False), window_samples, _SCALED, OUTPUT)
    if precision == "float16":
        network = to_float16(network)
    if precision == "float16-weights":
        network = with_float16_weights(network)
    if precision == "int8" and calibration_mv is not None:
        network = to_int8(network, scaled(calibration_mv))
    return graphs.joined(to_onnx(scale_to_unit, window_samples, INPUT, _SCALED), network)


def _metadata(config: Config, encoder: keras.Model) -> dict[str, str]:
    """What every file of the encoder says of itself, whatever its precision."""
    return {
        "format": FORMAT,
        "ecg_advmask_version": __version__,
        "preset": config.preset_name,
        "sampling_rate_hz": str(config.sampling_rate_hz),
        "window_samples": str(config.window_samples),
        "leads": ",".join(STANDARD_LEADS),
        "unit": "mV",
        "scaling": "inside the graph: each recording to [0, 1] by its minimum and maximum over time and leads",
        "embedding_dim": str(encoder.output_shape[-1]),
        "encoder_sha256": weights_sha256(encoder),
    }


def _stated(precision: Precision, calibration_mv: Float32 | None) -> dict[str, str]:
    """What a file says of its precision, and of the windows that the ranges of int8 were taken from."""
    if precision != "int8" or calibration_mv is None:
        return {"precision": precision}
    calibration = {"calibration_windows": str(len(calibration_mv))}
    return {"precision": precision, **calibration, "calibration_sha256": windows_sha256(calibration_mv)}


def _sign(model: onnx.ModelProto, metadata: dict[str, str]) -> None:
    """Give the model its metadata and see that it is valid ONNX."""
    model.producer_name, model.producer_version = "ecg-advmask", __version__
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
