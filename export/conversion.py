"""tf2onnx's conversion of an encoder, with the scaling to [0, 1] before it; the same graph for the same encoder."""

import logging
import warnings
from typing import Final

import keras
import onnx
import tensorflow as tf
from onnx import helper

from ecg_advmask.export.runtime import INPUT, OUTPUT
from ecg_advmask.leads import STANDARD_LEADS
from ecg_advmask.scaling import scale_to_unit

OPSET: Final = 18
"""ONNX operator set of the files; onnxruntime reads it since version 1.14."""


def to_onnx(encoder: keras.Model, window_samples: int) -> onnx.ModelProto:
    """Convert ``encoder`` to a graph from ``ecg`` (batch, window, 12) in millivolts to ``embedding`` (batch, D).

    Keras's own ``model.export(format="onnx")`` calls the same converter, but leaves the output with the name
    ``Identity:0`` and the opset at 15.

    Args:
        encoder: takes (B, L, 12) float32 scaled to [0, 1], gives (B, D) float32.
        window_samples: length of the graph's input.
    """
    import tf2onnx

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def embed(ecg: tf.Tensor) -> dict[str, tf.Tensor]:
        return {OUTPUT: encoder(scale_to_unit(ecg), training=False)}

    signature = [tf.TensorSpec((None, window_samples, len(STANDARD_LEADS)), tf.float32, name=INPUT)]
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, _ = tf2onnx.convert.from_function(embed, signature, opset=OPSET)
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    return _named_anew(model)


def _named_anew(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph in an order and with names that follow from the graph alone.

    tf2onnx counts its names through the life of a process and sorts by them, so that two exports would differ.
    """
    graph = model.graph
    producer = {name: node for node in graph.node for name in node.output}
    constant = {tensor.name: tensor for tensor in graph.initializer}
    names = {"": "", INPUT: INPUT, OUTPUT: OUTPUT}
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def take(node: onnx.NodeProto) -> None:
        for name in node.input:
            if name in constant and name not in names:
                names[name] = constant[name].name = f"constant_{len(constants)}"
                constants.append(constant[name])
            elif name not in names:
                take(producer[name])
        node.name = f"{node.op_type.lower()}_{len(nodes)}"
        for position, name in enumerate(node.output):
            names.setdefault(name, f"{node.name}_{position}")
        node.input[:] = [names[name] for name in node.input]
        node.output[:] = [names[name] for name in node.output]
        node.attribute.sort(key=lambda attribute: str(attribute.name))
        nodes.append(node)

    take(producer[OUTPUT])
    named = helper.make_graph(nodes, "encoder", graph.input, graph.output, constants)
    return helper.make_model(named, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=model.ir_version)
