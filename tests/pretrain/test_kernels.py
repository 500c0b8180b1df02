"""The training step has no operation that a GPU cannot do: TensorFlow for Linux lists the kernels of GPUs, too."""

from collections.abc import Iterator
from typing import Any

import keras
import pytest
import tensorflow as tf
from tensorflow.python.framework import kernels

from ecg_advmask.config import Config
from ecg_advmask.pretrain.trainer import build

SIZE = {
    "sampling_rate_hz": 100,
    "window_seconds": 2.5,
    "encoder_width": 2,
    "embedding_dim": 4,
    "projection_hidden": 4,
    "projection_dim": 4,
    "adversary_width": 8,
    "adversary_depth": 0,
    "batch_size": 4,
    "accumulation": 1,
    "jit_compile": False,
}
RECIPE = {
    "updates": 9,
    "warmup_steps": 2,
    "learning_rate_schedule": "cosine",
    "weight_decay": 0.1,
    "encoder_average": 0.9,
    "target_accuracy": 0.5,
}


def nodes_of(step: Any) -> Iterator[Any]:
    """All nodes of a concrete function, those of the functions that it calls included."""
    graph = step.graph.as_graph_def()
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def


def runs_on_gpu(node: Any) -> bool:
    """Whether a kernel for GPUs is registered for a node and the types that it has."""
    registered = kernels.get_registered_kernels_for_op(node.op).kernel
    return any(
        kernel.device_type in ("GPU", "DEFAULT")
        and all(node.attr[one.name].type in one.allowed_values.list.type for one in kernel.constraint)
        for kernel in registered
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("advmask-spectrum", {"update": "simultaneous"}),
        pytest.param("cmsc-vcg-advmask", RECIPE, marks=pytest.mark.exhaustive),
        pytest.param("3kg", {"mixed_precision": True, "accumulation": 2}, marks=pytest.mark.exhaustive),
    ],
)
def test_every_operation_of_a_step_has_a_kernel_for_gpus(method: str, settings: dict[str, Any]) -> None:
    if not any(kernel.device_type == "GPU" for kernel in kernels.get_registered_kernels_for_op("Conv2D").kernel):
        pytest.skip("this TensorFlow was built without GPUs")
    config = Config.preset(f"cpu-{method}", **(SIZE | settings))
    model = build(config)
    rows = config.accumulation * config.batch_size
    batch = [tf.TensorSpec((rows, config.window_samples, 12)), tf.TensorSpec((rows,), tf.int64)]
    step = tf.function(lambda windows, patients: model.train_step((windows, patients)), autograph=False)
    found = list(nodes_of(step.get_concrete_function(*batch)))
    keras.backend.clear_session()
    assert {"Conv2D", "MatMul"} <= {node.op for node in found}
    assert not runs_on_gpu(tf.compat.v1.NodeDef(op="StringJoin"))  # one that needs a CPU
    without = {node.op: dict(node.attr) for node in found if not runs_on_gpu(node)}
    assert not without, sorted(without)
