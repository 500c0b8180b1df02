"""A linear head behind an encoder in one graph: embeddings and predictions from the same run of the network."""

import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ecg_advmask.evaluate.head_file import LinearHead
from ecg_advmask.export.conversion import joined, model_of
from ecg_advmask.export.runtime import OUTPUT, PREDICTION


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
