"""The encoder: ResNet-18 (He et al. 2016) with one-dimensional convolutions, as Bo et al. 2022 use it."""

import hashlib
from typing import Any

import keras
import numpy as np
from keras import layers, ops


def resnet18_1d(width: int = 64, embedding_dim: int = 512, leads: int = 12, name: str = "encoder") -> keras.Model:
    """Encoder from ``(B, L, leads)`` float32 signals scaled to [0, 1] to ``(B, embedding_dim)`` float32 embeddings.

    Stem: convolution k7 s2, batch normalisation, ReLU, max-pooling k3 s2. Four stages of two basic blocks with
    ``width`` times 1, 2, 4 and 8 filters, the later three halving the rate. Global average, dense. L is free; paddings
    are symmetric, so that for every L the output is that of the published PyTorch network.
    """
    signals = keras.Input((None, leads), name="signals")
    x = ops.relu(_conv_norm(signals, width, 7, 2, name="stem"))
    x = _max_pool_3_2(x)
    for stage in range(4):
        filters = width * 2**stage
        for block in range(2):
            stride = 2 if stage > 0 and block == 0 else 1
            x = _basic_block(x, filters, stride, name=f"stage{stage + 1}_block{block + 1}")
    x = layers.GlobalAveragePooling1D()(x)
    embedding = layers.Dense(embedding_dim, dtype="float32", name="embedding")(x)
    return keras.Model(signals, embedding, name=name)


def _basic_block(x: Any, filters: int, stride: int, name: str) -> Any:
    """Two k3 convolutions beside a shortcut; a strided block projects its shortcut by a k1 convolution."""
    y = ops.relu(_conv_norm(x, filters, 3, stride, name=f"{name}_1"))
    y = _conv_norm(y, filters, 3, name=f"{name}_2")
    shortcut = x if stride == 1 else _conv_norm(x, filters, 1, stride, name=f"{name}_shortcut")
    return ops.relu(y + shortcut)


def _conv_norm(x: Any, filters: int, kernel: int, stride: int = 1, *, name: str) -> Any:
    """Convolution without bias, padded by ``kernel // 2`` on both sides, and batch normalisation."""
    if stride > 1 and kernel > 1:  # "same" would pad on one side only
        x = layers.ZeroPadding1D(kernel // 2)(x)
    x = layers.Conv1D(
        filters,
        kernel,
        strides=stride,
        padding="valid" if stride > 1 else "same",
        use_bias=False,
        kernel_initializer=keras.initializers.VarianceScaling(2.0, mode="fan_out", distribution="untruncated_normal"),
        name=f"{name}_conv",
    )(x)
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_norm")(x)


def _max_pool_3_2(x: Any) -> Any:
    """Max-pooling k3 s2 p1 of non-negative values, as a maximum of three slices: its gradient is quick under XLA."""
    x = layers.ZeroPadding1D(1)(x)
    return ops.maximum(ops.maximum(x[:, 0:-2:2], x[:, 1:-1:2]), x[:, 2::2])


# ---- The projector: what is between embedding and contrastive loss, in training only.


def projector(embedding_dim: int = 512, hidden: int = 2048, projection_dim: int = 128) -> keras.Model:
    """From ``(B, embedding_dim)`` embeddings to ``(B, projection_dim)`` float32 projections: dense, ReLU, dense.

    Chen et al. 2020 (SimCLR), section 4.2; sizes of Bo et al. 2022.
    """
    embedding = keras.Input((embedding_dim,), name="embedding")
    x = layers.Dense(hidden, activation="relu")(embedding)
    projection = layers.Dense(projection_dim, dtype="float32", name="projection")(x)
    return keras.Model(embedding, projection, name="projector")


# ---- The identity of a trained network.


def weights_sha256(network: keras.Model) -> str:
    """Hexadecimal SHA-256 over weights and moving statistics: shape and float32 bytes of each, in the model's order."""
    digest = hashlib.sha256()
    for weight in network.weights:
        values = np.ascontiguousarray(keras.ops.convert_to_numpy(weight), dtype="<f4")
        digest.update(repr(values.shape).encode())
        digest.update(values.tobytes())
    return digest.hexdigest()
