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
        x = _norm_relu(UpConv1D(filters, name=f"up{level}_conv")([x, skip]), name=f"up{level}")
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
    return _norm_relu(layers.Conv1D(filters, _KERNEL, strides=stride, padding=padding, name=f"{name}_conv")(x), name)


def _norm_relu(x: Any, name: str) -> Any:
    return ops.relu(layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_norm")(x))


@keras.saving.register_keras_serializable(package="ecg_advmask")
class UpConv1D(layers.Layer):  # type: ignore[misc]
    """Convolution (k5, padded by 2) of a coarse signal, each sample repeated five times, beside a fine one.

    From ``(B, L / 5, C)`` and ``(B, L, S)`` to ``(B, L, filters)``: what ``Conv1D(filters, 5, padding="same")`` gives
    of ``Concatenate()([UpSampling1D(5)(coarse), fine])``, with the same ``kernel`` (5, C + S, filters) and ``bias``.
    Five taps on repeated samples meet at most two different ones, so the coarse part is computed at the low rate: of
    the five outputs above a coarse sample, the outer two on each side add a neighbour to what the sample itself gives.
    That takes 9 products instead of 25.
    """

    def __init__(self, filters: int, **options: Any) -> None:
        super().__init__(**options)
        self.filters = filters

    def build(self, input_shape: Any) -> None:
        (*_, coarse), (*_, fine) = input_shape
        self.kernel = self.add_weight(shape=(_KERNEL, coarse + fine, self.filters), name="kernel")
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")

    def call(self, inputs: Any) -> Any:
        coarse, fine = inputs
        kernel = ops.cast(self.kernel, self.compute_dtype)
        channels = coarse.shape[-1]
        tap = [kernel[number, :channels] for number in range(_KERNEL)]
        before = ops.concatenate([tap[0] + tap[1], tap[0]], axis=1)
        own = [tap[2] + tap[3] + tap[4], tap[1] + tap[2] + tap[3] + tap[4], sum(tap), sum(tap[:4]), sum(tap[:3])]
        after = ops.concatenate([tap[4], tap[3] + tap[4]], axis=1)
        left = ops.pad(ops.matmul(coarse[:, :-1], before), ((0, 0), (1, 0), (0, 3 * self.filters)))
        right = ops.pad(ops.matmul(coarse[:, 1:], after), ((0, 0), (0, 1), (3 * self.filters, 0)))
        raised = ops.matmul(coarse, ops.concatenate(own, axis=1)) + left + right
        raised = ops.reshape(raised, (-1, fine.shape[1] or ops.shape(fine)[1], self.filters))
        return raised + ops.conv(fine, kernel[:, channels:], padding="same") + ops.cast(self.bias, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[1][:-1], self.filters)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters}
