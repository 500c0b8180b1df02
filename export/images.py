"""A twin of an encoder that computes on images: signals ``(B, L, C)`` become ``(B, 1, L, C)`` inside it.

tf2onnx wraps every one-dimensional convolution in Unsqueeze, Transpose and Squeeze, which also keeps onnxruntime from
fusing what stands between them. From two-dimensional layers it makes channels-first convolutions without such a rest,
with batch normalisation and padding inside them. Time is the images' last axis: along the other one onnxruntime takes
up to half as long again.
"""

from typing import Any, Final

import keras
from keras import layers, ops

_SAME_ON_IMAGES: Final = {"InputLayer", "BatchNormalization", "Dense", "Relu", "Add", "Maximum"}
_OF_TIME: Final = {"Conv1D", "ZeroPadding1D", "GlobalAveragePooling1D", "GetItem"}


def on_images(encoder: keras.Model) -> keras.Model:
    """The same function of the same input, with the same weights, computed on images of height 1.

    Args:
        encoder: takes (B, L, C) float32, gives (B, D) float32.

    Returns:
        A new model; ``encoder`` itself where it holds operations other than those of the 1-D ResNet.
    """
    if not all(_is_known(operation) for operation in getattr(encoder, "operations", [encoder])):
        return encoder
    length, channels = encoder.input_shape[1:]
    images = keras.Input((1, length, channels))
    twin = keras.models.clone_model(encoder, images, clone_function=_on_images, call_function=_call)
    if twin.output_shape != encoder.output_shape:
        return encoder
    twin.set_weights([ops.reshape(old, new.shape) for old, new in zip(encoder.weights, twin.weights, strict=True)])
    signals = keras.Input((length, channels))
    return keras.Model(signals, twin(ops.expand_dims(signals, 1)))


def _is_known(operation: Any) -> bool:
    known = type(operation).__name__ in _SAME_ON_IMAGES | _OF_TIME
    return known and getattr(operation, "padding", None) != "causal"  # two-dimensional layers have no such padding


def _on_images(operation: Any) -> Any:
    """A layer's or operation's counterpart on images."""
    config = operation.get_config()
    if isinstance(operation, layers.Conv1D):
        config |= {name: (1, *config[name]) for name in ("kernel_size", "strides", "dilation_rate")}
        return layers.Conv2D.from_config(config)
    if isinstance(operation, layers.ZeroPadding1D):
        return layers.ZeroPadding2D.from_config(config | {"padding": ((0, 0), config["padding"])})
    if isinstance(operation, layers.GlobalAveragePooling1D):
        return layers.GlobalAveragePooling2D.from_config(config)
    return type(operation).from_config(config)


def _call(operation: Any, *arguments: Any, **options: Any) -> Any:
    """Call a counterpart as its original was called; slices of time move on by one axis."""
    options.pop("mask", None)  # of time steps: pooling of images takes none
    if type(operation).__name__ == "GetItem":
        signals, (batch, *slices) = arguments
        return operation(signals, (batch, slice(None), *slices))
    return operation(*arguments, **options)
