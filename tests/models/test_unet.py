"""The U-Net's way up against the plain layers that it stands for."""

import keras
import numpy as np
import pytest
from keras import layers

from ecg_advmask.models.unet import UpConv1D, unet1d


@pytest.mark.parametrize("coarse_samples", [1, 2, 7])
def test_up_convolution_is_one_of_repeated_samples_beside_the_skip(coarse_samples: int) -> None:
    rng = np.random.default_rng(coarse_samples)
    coarse, fine = rng.normal(size=(2, coarse_samples, 6)), rng.normal(size=(2, 5 * coarse_samples, 4))
    plain = layers.Conv1D(3, 5, padding="same")
    up = UpConv1D(3)
    up.build([coarse.shape, fine.shape])
    beside = np.concatenate([np.repeat(coarse, 5, axis=1), fine], axis=2).astype(np.float32)
    plain.build(beside.shape)
    up.set_weights([rng.normal(size=weight.shape) for weight in plain.weights])
    plain.set_weights(up.get_weights())
    inputs = [coarse.astype(np.float32), fine.astype(np.float32)]
    np.testing.assert_allclose(up(inputs), plain(beside), atol=2e-5)
    assert up.compute_output_shape([coarse.shape, fine.shape]) == (2, 5 * coarse_samples, 3)


def test_weights_of_the_way_up_have_the_names_and_shapes_of_plain_convolutions() -> None:
    """Files that versions with plain convolutions wrote hold these."""
    network = unet1d(8)
    layer = network.get_layer("up0_conv")
    assert [weight.path for weight in layer.weights] == ["up0_conv/kernel", "up0_conv/bias"]
    assert [tuple(weight.shape) for weight in layer.weights] == [(5, 3 * 8, 8), (8,)]


def test_a_saved_unet_gives_the_same_masks(tmp_path: object) -> None:
    network = unet1d(8)
    network.save(f"{tmp_path}/adversary.keras")
    view = np.random.default_rng(0).normal(size=(1, 125, 12)).astype(np.float32)
    again = keras.saving.load_model(f"{tmp_path}/adversary.keras")
    np.testing.assert_array_equal(network(view), again(view))
