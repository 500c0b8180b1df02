"""Simplifies a converted encoder: channels-first images, folded constants, canonical names.

What comes out depends on the graph alone, not on the names and the order that the converter happened to choose, so that
exporting an encoder twice gives the same bytes.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ecg_advmask.export.layout import Array, Images, NotUnderstoodError, attribute


def simplify(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same function of the same input and output, in fewer nodes and with canonical names.

    Args:
        model: a graph of opset 18 with one input (B, T, C) and one output, as tf2onnx writes it.

    Returns:
        A new model. A graph that is not understood keeps its layout and gets the canonical names only.
    """
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    try:
        images = Images(model.graph.input[0].name, dict(constants))
        for node in model.graph.node:
            images.add(_copy(node))
        if model.graph.output[0].name in images.views:
            raise NotUnderstoodError("the output is an image")
    except NotUnderstoodError:
        return _canonical(model, [_copy(node) for node in model.graph.node], constants)
    nodes = _with_folded_scales(images.nodes, images.constants)
    _fold_paddings(nodes, images.constants)
    return _canonical(model, nodes, images.constants)


def _with_folded_scales(nodes: Sequence[onnx.NodeProto], constants: dict[str, Array]) -> list[onnx.NodeProto]:
    """Factors and offsets per channel after a convolution go into its kernel and bias (batch normalisation)."""
    uses = Counter(name for node in nodes for name in node.input)
    convolution_of: dict[str, onnx.NodeProto] = {}
    kept = []
    for node in nodes:
        names = sorted(node.input, key=lambda name: name in constants)
        convolution = convolution_of.get(names[0])
        scale = constants.get(names[1]) if node.op_type in {"Mul", "Add"} else None
        if node.op_type == "Conv":
            convolution_of[node.output[0]] = node
        if convolution is None or scale is None or uses[names[0]] > 1 or scale.shape != (1, scale.size, 1, 1):
            kept.append(node)
            continue
        kernel = constants[convolution.input[1]]
        bias = constants[convolution.input[2]] if len(convolution.input) > 2 else np.zeros(len(kernel), np.float32)
        scale = np.broadcast_to(scale.ravel(), len(kernel))
        if node.op_type == "Mul":
            kernel, bias = kernel * scale[:, None, None, None], bias * scale
        else:
            bias = bias + scale
        folded = [f"{node.output[0]}/kernel", f"{node.output[0]}/bias"]
        constants |= dict(zip(folded, (kernel, bias), strict=True))
        convolution.input[1:] = folded
        convolution.output[0] = node.output[0]
        convolution_of[node.output[0]] = convolution
    return kept


def _fold_paddings(nodes: Sequence[onnx.NodeProto], constants: dict[str, Array]) -> None:
    """A convolution of an array that was padded with zeros in time pads by itself."""
    padding_of = {node.output[0]: node for node in nodes if node.op_type == "Pad"}
    for node in nodes:
        padding = padding_of.get(node.input[0])
        if node.op_type != "Conv" or padding is None or attribute(node, "auto_pad", b"NOTSET") != b"NOTSET":
            continue
        pads = constants[padding.input[1]].reshape(2, 4)
        zeros = len(padding.input) < 3 or (padding.input[2] in constants and not constants[padding.input[2]].any())
        if attribute(padding, "mode", b"constant") == b"constant" and zeros and not pads[:, :2].any():
            own = np.array(attribute(node, "pads", [0, 0, 0, 0]))
            others = [other for other in node.attribute if other.name != "pads"]
            del node.attribute[:]
            node.attribute.extend([*others, helper.make_attribute("pads", (own + pads[:, 2:].ravel()).tolist())])
            node.input[0] = padding.input[0]


def _canonical(model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], constants: dict[str, Array]) -> onnx.ModelProto:
    """The nodes that the output needs, in an order and with names that follow from the graph alone."""
    graph_input, graph_output = model.graph.input[0], model.graph.output[0]
    producer = {name: node for node in nodes for name in node.output}
    names = {"": "", graph_input.name: graph_input.name}
    ordered: list[onnx.NodeProto] = []
    initializers: list[onnx.TensorProto] = []

    def place(node: onnx.NodeProto) -> None:
        for name in node.input:
            if name not in names and name not in constants:
                place(producer[name])
        node.name = f"{node.op_type.lower()}_{len(ordered)}"
        for position, name in enumerate(node.input):
            if name not in names:
                names[name] = f"{node.name}_input{position}"
                initializers.append(numpy_helper.from_array(np.ascontiguousarray(constants[name]), names[name]))
        for position, name in enumerate(node.output):
            names[name] = name if name == graph_output.name else f"{node.name}_output{position}"
        ordered.append(node)

    place(producer[graph_output.name])
    for node in ordered:
        node.input[:] = [names[name] for name in node.input]
        node.output[:] = [names[name] for name in node.output]
        attributes = sorted(node.attribute, key=lambda found: str(found.name))
        del node.attribute[:]
        node.attribute.extend(attributes)
    graph = helper.make_graph(ordered, "encoder", [graph_input], [graph_output], initializers)
    opset = next(entry.version for entry in model.opset_import if entry.domain == "")
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=model.ir_version)


def _copy(node: onnx.NodeProto) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    return copy
