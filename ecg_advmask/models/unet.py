"""The adversary: a one-dimensional U-Net that reads a view and proposes what to occlude (Bo et al. 2022)."""

from typing import Any, Literal

import keras
from keras import layers, ops

from ecg_advmask.augment.spectral import frame_means

_KERNEL = 5
_STEP = 5
_GATE_REDUCTION = 8


def unet1d(
    width: int = 512,
    depth: int = 1,
    masks: int = 1,
    leads: int = 12,
    activation: Literal["auto", "sigmoid", "softmax", "linear"] = "auto",
    name: str = "adversary",
) -> keras.Model:
    """Adversary from ``(B, L, leads)`` float32 views to ``(B, L, masks)`` float32 masks in [0, 1].

    Four levels, stride 5 between them, with ``width`` times 1, 2, 3 and 4 filters and ``depth`` residual blocks each;
    the third and the deepest level also see the average-pooled input. L must be a multiple of 125.

    Args:
        width: filters at the top level, at least 8.
        depth: residual blocks per level.
        masks: how many; 12 are one per lead.
        leads: channels of the view.
        activation: of the logits; ``auto`` is a sigmoid for 1 and 12 masks, and for others a softmax over the masks;
            ``linear`` leaves the logits as they are.
        name: name of the Keras model.
    """
    view = keras.Input((None, leads), name="view")
    pooled_5 = layers.AveragePooling1D(12, _STEP)(layers.ZeroPadding1D(4)(view))
    pooled_25 = layers.AveragePooling1D(12, _STEP**2)(view)
    level_0 = _down(view, width, depth, stride=1, name="down0")
    level_1 = _down(level_0, 2 * width, depth, stride=_STEP, name="down1")
    level_2 = _down(_beside(level_1, pooled_5), 3 * width, depth, stride=_STEP, name="down2")
    x = _down(_beside(level_2, pooled_25), 4 * width, depth, stride=_STEP, name="down3")
    for level, skip, filters in ((2, level_2, 3 * width), (1, level_1, 2 * width), (0, level_0, width)):
        x = _conv_norm_relu(_beside(layers.UpSampling1D(_STEP)(x), skip), filters, name=f"up{level}")
    logits = layers.Conv1D(masks, _KERNEL, padding="same", dtype="float32", name="logits")(x)
    return keras.Model(view, _mask_activation(activation, masks, leads)(logits), name=name)


def spectral_adversary(
    network: keras.Model,
    samples: int,
    hop: int,
    masks: int = 1,
    activation: Literal["auto", "sigmoid", "softmax"] = "auto",
    name: str = "adversary",
) -> keras.Model:
    """Adversary from ``(B, samples, 12)`` float32 views to masks ``(B, frames, hop + 1, masks)`` of their spectrum.

    The logits that a network gives for every sample are averaged over each frame of the short-time spectrum.

    Args:
        network: from views to logits ``(B, samples, (hop + 1) * masks)``, as `unet1d` with a linear activation.
        samples: length of a view.
        hop: samples from one frame to the next; a frame has twice as many, and ``hop + 1`` bins.
        masks: how many; 12 are one per lead.
        activation: of the averaged logits, as in `unet1d`.
        name: name of the Keras model.
    """
    view = keras.Input((samples, 12), name="view")
    logits = frame_means(network(view), hop)
    logits = ops.reshape(logits, (-1, logits.shape[1], hop + 1, masks))
    return keras.Model(view, _mask_activation(activation, masks)(logits), name=name)


def _mask_activation(kind: str, masks: int, leads: int = 12) -> keras.Layer:
    """The layer from logits to masks, which lie along the last axis; ``kind`` as in `unet1d`."""
    if kind == "auto":
        kind = "sigmoid" if masks in (1, leads) else "softmax"
    return layers.Activation(kind, dtype="float32", name="masks")


def _down(x: Any, filters: int, depth: int, stride: int, name: str) -> Any:
    x = _conv_norm_relu(x, filters, stride, name=name)
    for block in range(1, depth + 1):
        y = _conv_norm_relu(x, filters, name=f"{name}_block{block}_1")
        y = _conv_norm_relu(y, filters, name=f"{name}_block{block}_2")
        x = x + _with_added_gate(y, filters, name=f"{name}_block{block}_gate")
    return x


def _with_added_gate(y: Any, filters: int, name: str) -> Any:
    """Squeeze and excitation whose gate is added to the signal, not multiplied with it, as published."""
    gate = layers.GlobalAveragePooling1D(keepdims=True)(y)
    gate = layers.Dense(filters // _GATE_REDUCTION, activation="relu", name=f"{name}_squeeze")(gate)
    gate = layers.Dense(filters, activation="sigmoid", name=f"{name}_excite")(gate)
    return y + gate


def _beside(x: Any, skip: Any) -> Any:
    return layers.Concatenate()([x, skip])


def _conv_norm_relu(x: Any, filters: int, stride: int = 1, *, name: str) -> Any:
    if stride > 1:  # "same" would not pad by two on both sides
        x = layers.ZeroPadding1D(_KERNEL // 2)(x)
    padding = "valid" if stride > 1 else "same"
    x = layers.Conv1D(filters, _KERNEL, strides=stride, padding=padding, name=f"{name}_conv")(x)
    return ops.relu(layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_norm")(x))
