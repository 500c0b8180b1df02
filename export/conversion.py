"""tf2onnx's conversion of a function of signals, and graphs put together; the same graph for the same function."""

import hashlib
import json
import logging
import warnings
from collections.abc import Callable
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt
import onnx
import tensorflow as tf
from onnx import TensorProto, compose, helper, numpy_helper

from ecg_advmask.data.scaling import scale_to_unit
from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.evaluate.heads import LinearHead
from ecg_advmask.export.encoder import OUTPUT, PREDICTION

OPSET: Final = 18
"""ONNX operator set of the files; onnxruntime reads it since version 1.14."""


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


def joined(
    first: onnx.ModelProto, second: onnx.ModelProto, *, name: str = "encoder", keep: bool = False
) -> onnx.ModelProto:
    """One graph of two, of which the second takes what the first gives; with ``keep`` that remains an output, too."""
    first = compose.add_prefix(first, "first_", rename_inputs=False, rename_outputs=False)
    second = compose.add_prefix(second, "second_", rename_inputs=False, rename_outputs=False)
    nodes = [*first.graph.node, *second.graph.node]
    constants = [*first.graph.initializer, *second.graph.initializer]
    outputs = [*(first.graph.output if keep else ()), *second.graph.output]
    graph = helper.make_graph(nodes, name, first.graph.input, outputs, constants)
    return named_anew(model_of(graph, first.ir_version))


def model_of(graph: onnx.GraphProto, ir_version: int) -> onnx.ModelProto:
    """The graph as a model of the standard's operators alone."""
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=ir_version)


def named_anew(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph, without what no output needs, in an order and with names that follow from the graph alone.

    tf2onnx counts its names through the life of a process and sorts by them, so that two exports would differ.
    """
    graph = model.graph
    producer = {output: node for node in graph.node for output in node.output}
    constant = {tensor.name: tensor for tensor in graph.initializer}
    names = {"": ""} | {value.name: value.name for value in (*graph.input, *graph.output)}
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []
    taken: set[str] = set()  # outputs of nodes that are in the list

    def take(node: onnx.NodeProto) -> None:
        inputs = list(node.input)
        for source in inputs:
            if source in constant and source not in names:
                names[source] = constant[source].name = f"constant_{len(constants)}"
                constants.append(constant[source])
            elif source in producer and source not in taken:
                take(producer[source])
        node.name = f"{node.op_type.lower()}_{len(nodes)}"
        taken.update(node.output)
        for position, output in enumerate(node.output):
            names.setdefault(output, f"{node.name}_{position}")
        node.input[:] = [names[source] for source in inputs]
        node.output[:] = [names[output] for output in node.output]
        node.attribute.sort(key=lambda attribute: str(attribute.name))
        nodes.append(node)

    for value in graph.output:
        if value.name not in taken:
            take(producer[value.name])
    return model_of(helper.make_graph(nodes, graph.name, graph.input, graph.output, constants), model.ir_version)


# ---- A linear head behind an encoder in one graph: embeddings and predictions from the same run of the network.


def with_head(encoder: onnx.ModelProto, head: LinearHead) -> onnx.ModelProto:
    """The encoder's graph with a second output ``prediction`` (batch, K) float32.

    Probabilities that sum to 1 for classes, one by itself for each label, or the number in its unit (K = 1). The head
    stays float32 whatever the precision of the encoder.
    """
    features, outputs = head.weights.shape
    weights = numpy_helper.from_array(head.weights.astype(np.float32), "weights")
    intercepts = numpy_helper.from_array(head.intercepts.astype(np.float32), "intercepts")
    last = {
        "classes": helper.make_node("Softmax", ["outputs"], [PREDICTION], axis=1),
        "labels": helper.make_node("Sigmoid", ["outputs"], [PREDICTION]),
        "number": helper.make_node("Identity", ["outputs"], [PREDICTION]),
    }[head.kind]
    nodes = [helper.make_node("Gemm", [OUTPUT, "weights", "intercepts"], ["outputs"]), last]
    embedding = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", features])
    prediction = helper.make_tensor_value_info(PREDICTION, TensorProto.FLOAT, ["batch", outputs])
    graph = helper.make_graph(nodes, "head", [embedding], [prediction], [weights, intercepts])
    return joined(encoder, model_of(graph, encoder.ir_version), name="classifier", keep=True)


def metadata(head: LinearHead) -> dict[str, str]:
    """What a classifier's file says of its predictions: task, kind and the names of the outputs, as JSON."""
    return {"task": head.task, "kind": head.kind, "names": json.dumps(list(head.names), ensure_ascii=False)}


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
