"""What networks compute on, and in which precision."""

import os
from typing import Any

import tensorflow as tf

_BFLOAT16_SINCE = (8, 0)
"""NVIDIA's compute capability from which on GPUs have bfloat16: Ampere, 2020."""


def has_bfloat16() -> bool:
    """Whether TensorFlow sees GPUs, and all of them compute in bfloat16.

    Processors that have it are not counted: whether it pays there was not measured for these networks.
    """
    gpus = tf.config.list_physical_devices("GPU")
    return bool(gpus) and all(_details(gpu).get("compute_capability", (0, 0)) >= _BFLOAT16_SINCE for gpu in gpus)


def precision_of(mixed_precision: bool | str) -> bool:
    """The setting ``mixed_precision`` as yes or no: ``auto`` is what `has_bfloat16` says."""
    return has_bfloat16() if mixed_precision == "auto" else bool(mixed_precision)


def dtype_policy(mixed_precision: bool | str) -> str:
    """Keras's name of the policy for the setting ``mixed_precision``: variables are float32 in both."""
    return "mixed_bfloat16" if precision_of(mixed_precision) else "float32"


def description(devices: int) -> str:
    """The first GPUs by their names, or the CPU with the number of cores that this process may use."""
    names = [_details(gpu).get("device_name", "GPU") for gpu in tf.config.list_physical_devices("GPU")[:devices]]
    if not names:
        return f"the CPU, {len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} cores"
    return ", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names))


def _details(gpu: Any) -> dict[str, Any]:
    found: dict[str, Any] = tf.config.experimental.get_device_details(gpu)
    return found
