"""ONNX graphs put together, and a linear head behind an encoder; the same graph for the same parts.

Needs onnx, no TensorFlow.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.heads import LinearHead
from ecg_advmask.export.encoder import OUTPUT, PREDICTION
from ecg_advmask.files import atomic_path

OPSET: Final = 18
"""ONNX operator set of the files; onnxruntime reads it since version 1.14."""


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


OF_HEAD: Final = frozenset({"task", "kind", "names", "thresholds", "judged", "fit"})
"""Metadata of a file that are about its head."""


def write_classifier(encoder: Path, head: LinearHead, path: Path, further: Mapping[str, str]) -> None:
    """Write an encoder's file with a head behind it, atomically; a head that it has already is replaced.

    Args:
        encoder: a file that `ecg-advmask export` wrote.
        head: fitted on its embeddings.
        path: the file to write.
        further: metadata beside those of the encoder and of `metadata`.

    Raises:
        InputError: the encoder has another operator set than the files of this version.
    """
    model = onnx.load(encoder)
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    if opsets != {"": OPSET}:
        raise InputError(f"{encoder}: has the operator sets {opsets}, expected {OPSET}; export the encoder again")
    stated = {entry.key: entry.value for entry in model.metadata_props if entry.key not in OF_HEAD}
    (embedding,) = (value for value in model.graph.output if value.name == OUTPUT)
    graph = helper.make_graph(model.graph.node, "encoder", model.graph.input, [embedding], model.graph.initializer)
    classifier = with_head(named_anew(model_of(graph, model.ir_version)), head)
    classifier.producer_name, classifier.producer_version = model.producer_name, model.producer_version
    helper.set_model_props(classifier, stated | metadata(head) | dict(further))
    onnx.checker.check_model(classifier, full_check=True)
    with atomic_path(path) as temporary:
        temporary.write_bytes(classifier.SerializeToString(deterministic=True))
