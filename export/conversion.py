"""tf2onnx's conversion of a function of signals, and graphs put together; the same graph for the same function."""

import logging
import warnings
from collections.abc import Callable
from typing import Any, Final

import onnx
import tensorflow as tf
from onnx import compose, helper

from ecg_advmask.leads import STANDARD_LEADS

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
