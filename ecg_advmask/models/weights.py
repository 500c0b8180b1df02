"""The identity of a trained network."""

import hashlib

import keras
import numpy as np


def weights_sha256(network: keras.Model) -> str:
    """Hexadecimal SHA-256 over weights and moving statistics: shape and float32 bytes of each, in the model's order."""
    digest = hashlib.sha256()
    for weight in network.weights:
        values = np.ascontiguousarray(keras.ops.convert_to_numpy(weight), dtype="<f4")
        digest.update(repr(values.shape).encode())
        digest.update(values.tobytes())
    return digest.hexdigest()
