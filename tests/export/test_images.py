"""The twin that computes on images gives the embeddings of the encoder itself."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from ecg_advmask.export.onnx import on_images
from ecg_advmask.models.resnet import resnet18_1d


def with_random_weights(model: keras.Model) -> keras.Model:
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.2, 1.0, weight.shape) * rng.choice([-1, 1]) for weight in model.get_weights()])
    for weight in model.weights:
        if weight.path.endswith("moving_variance"):
            weight.assign(rng.uniform(0.5, 2.0, weight.shape))
    return model


def difference(first: keras.Model, second: keras.Model, samples: int) -> float:
    """Largest difference of embeddings, relative to the largest embedding."""
    signals = np.random.default_rng(1).uniform(size=(3, samples, 12)).astype(np.float32)
    one, other = (ops.convert_to_numpy(model(signals)) for model in (first, second))
    assert one.shape == other.shape
    return float(np.abs(one - other).max() / np.abs(one).max())


@pytest.mark.parametrize("samples", [250, 501])
def test_resnet_and_its_twin_agree(samples: int) -> None:
    encoder = with_random_weights(resnet18_1d(4, 8))
    twin = on_images(encoder)
    assert twin is not encoder
    assert not any(isinstance(layer, layers.Conv1D) for layer in twin._flatten_layers())
    assert difference(encoder, twin, samples) < 1e-5


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_kernels_strides_dilations_paddings_and_slices_move_to_the_time_axis(padding: str) -> None:
    signals = keras.Input((None, 12))
    x = layers.ZeroPadding1D((2, 5))(signals)
    x = layers.Conv1D(6, 4, strides=3, padding=padding)(x)
    y = layers.Conv1D(6, 3, dilation_rate=2, padding="same")(layers.BatchNormalization()(x))
    z = ops.maximum(x, y)[:, 3:-1:2]
    encoder = with_random_weights(keras.Model(signals, layers.GlobalAveragePooling1D()(z)))
    twin = on_images(encoder)
    assert twin is not encoder
    assert difference(encoder, twin, 100) < 1e-5


def flattened(x: Any) -> Any:
    return layers.Flatten()(x)


def last_sample(x: Any) -> Any:
    return x[:, -1]


def causal(x: Any) -> Any:
    return layers.GlobalAveragePooling1D()(layers.Conv1D(3, 5, padding="causal")(x))


@pytest.mark.parametrize("function", [flattened, last_sample, causal])
def test_what_has_no_form_as_images_is_left_as_it_is(function: Any) -> None:
    signals = keras.Input((50, 12))
    encoder = keras.Model(signals, layers.Dense(2)(function(signals)))
    assert on_images(encoder) is encoder


def test_sequential_model_is_left_as_it_is() -> None:
    encoder = keras.Sequential([keras.Input((50, 12)), layers.Conv1D(3, 5), layers.GlobalAveragePooling1D()])
    assert on_images(encoder) is encoder
