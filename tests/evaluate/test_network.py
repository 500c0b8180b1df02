"""Encoder and head as one network: what an update moves, and by how much."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from ecg_advmask import config
from ecg_advmask.data.targets import Targets
from ecg_advmask.evaluate.finetune import Network

SAMPLES, BATCH = 60, 6


@pytest.fixture
def eager():
    """No compilation: it takes longer than all that is computed here."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def windows_uv(n=BATCH, seed=0):
    return np.random.default_rng(seed).integers(-1000, 1000, (n, SAMPLES, 12)).astype(np.int16)


def small_encoder(seed=0):
    """One convolution with batch normalisation; the network takes any encoder."""
    keras.utils.set_random_seed(seed)
    signals = keras.Input((None, 12))
    x = layers.BatchNormalization(momentum=0.9)(layers.Conv1D(3, 5, strides=2, use_bias=False)(signals))
    return keras.Model(signals, layers.Dense(4)(layers.GlobalAveragePooling1D()(keras.ops.relu(x))))


def started(kind="classes", outputs=3, jit_compile=True):
    network = Network(small_encoder(), kind, outputs, jit_compile=jit_compile)
    network.start(network.encoder.get_weights())
    return network


def encoder_parts(network):
    """Trainable weights, and moving statistics."""
    return tuple(
        [variable.numpy().copy() for variable in variables]
        for variables in (network.encoder.trainable_variables, network.encoder.non_trainable_variables)
    )


def moved(before, after):
    return [float(np.abs(one - two).max()) for one, two in zip(before, after, strict=True)]


@pytest.mark.usefixtures("eager")
def test_a_step_moves_encoder_and_statistics_at_the_rate_of_each():
    """The head begins at zero, so it alone moves in the first step, by its rate: Adam's first step has that size.

    In the second step the encoder has its first gradient g. Adam's moments are 0.1 g and 0.001 g^2, corrected by
    1 - 0.9^2 and 1 - 0.999^2: it moves by (0.1 / 0.19) / sqrt(0.001 / 0.001999) = 0.7442 rates.
    """
    network, truth = started(), np.array([0, 0, 0, 1, 1, 2])
    before, statistics = encoder_parts(network)
    assert float(network.train(windows_uv(), truth, 1e-4, 1e-2)) == pytest.approx(np.log(3), rel=1e-6)
    after, new_statistics = encoder_parts(network)
    assert max(moved(before, after)) == 0 and min(moved(statistics, new_statistics)) > 0
    # the gradient of the biases is mean probability - share of the class = 1/3 - (1/2, 1/3, 1/6)
    bias = network.head.bias.numpy()
    assert bias[[0, 2]] == pytest.approx([1e-2, -1e-2], rel=1e-4) and np.abs(network.head.kernel).max() <= 1.0001e-2
    network.train(windows_uv(), truth, 1e-4, 1e-2)
    after, _ = encoder_parts(network)
    assert max(moved(before, after)) == pytest.approx(0.7442e-4, rel=1e-3)
    assert min(moved(before, after)) > 0


@pytest.mark.usefixtures("eager")
def test_at_rate_zero_the_head_alone_moves():
    network, truth = started(), np.array([0, 0, 0, 1, 1, 2])
    before, statistics = encoder_parts(network)
    predictions = network.predict(windows_uv())
    for _ in range(3):
        network.train(windows_uv(), truth, 0.0, 1e-2)
    after, new_statistics = encoder_parts(network)
    assert max(moved(before, after)) == max(moved(statistics, new_statistics)) == 0
    assert np.abs(network.predict(windows_uv()) - predictions).max() > 1e-3


@pytest.mark.parametrize(
    ("kind", "truth", "loss"),
    [
        ("labels", np.array([[1, 0], [0, 0], [1, 1]]), np.log(2)),
        ("number", np.array([1.0, -2.0, 4.0]), 7.0),  # the mean square
    ],
)
def test_loss_of_a_head_of_zeros(kind, truth, loss):
    network = started(kind, outputs=2 if kind == "labels" else 1, jit_compile=False)
    assert float(network.train(windows_uv(3), truth, 1e-3, 1e-3)) == pytest.approx(loss, rel=1e-6)
    losses = [float(network.train(windows_uv(3), truth, 5e-2, 5e-2)) for _ in range(40)]
    assert losses[-1] < 0.7 * loss


@pytest.mark.usefixtures("eager")
def test_a_new_start_forgets_what_was_learnt():
    network, truth = started(), np.array([0, 0, 0, 1, 1, 2])

    def trained():
        network.start(small_encoder(5).get_weights())
        for _ in range(2):
            network.train(windows_uv(), truth, 1e-3, 1e-3)
        return network.predict(windows_uv(seed=1))

    first = trained()
    network.train(windows_uv(), truth, 1.0, 1.0)
    np.testing.assert_array_equal(trained(), first)


@pytest.mark.usefixtures("eager")
def test_predictions_are_of_each_window_alone_and_by_its_shape():
    network = started()
    for _ in range(3):
        network.train(windows_uv(), np.array([0, 0, 0, 1, 1, 2]), 1e-2, 1e-2)
    windows = windows_uv(seed=1)
    together = network.predict(windows)
    others = windows_uv(seed=2)
    others[2] = windows[3]
    np.testing.assert_allclose(network.predict(others)[2], together[3], rtol=1e-5, atol=1e-6)
    assert np.abs(together - together[0]).max() > 1e-3
    # scaled to [0, 1], a window at half the gain and another baseline is the same one (in even microvolts, exactly)
    even = windows - windows % 2
    np.testing.assert_allclose(network.predict(even // 2 + 100), network.predict(even), rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("eager")
def test_weights_are_copies_that_can_be_put_back():
    network = started()
    kept, predictions = network.weights, network.predict(windows_uv())
    network.train(windows_uv(), np.array([0, 0, 0, 1, 1, 2]), 1e-2, 1e-2)
    assert np.abs(network.predict(windows_uv()) - predictions).max() > 0
    network.weights = kept
    np.testing.assert_array_equal(network.predict(windows_uv()), predictions)


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_mixed_precision_keeps_weights_outputs_and_loss_in_float32():
    settings = config.load("demo", overrides=["encoder_width=2", "embedding_dim=4", "mixed_precision=true"])
    none = np.full(3, "", object)
    network = Network.of(settings, Targets("t", "classes", ("a", "b", "c"), np.arange(3), none))
    network.start(network.encoder.get_weights())
    losses = [network.train(windows_uv(), np.array([0, 0, 0, 1, 1, 2]), 1e-3, 1e-2) for _ in range(2)]
    assert float(losses[0]) == pytest.approx(np.log(3), rel=1e-6) and float(losses[1]) < float(losses[0])
    assert {str(value.dtype) for value in [*network.weights, losses[0].numpy()]} == {"float32"}
    assert network.encoder.get_layer("stem_conv").compute_dtype == "bfloat16"
    assert np.isfinite(network.predict(windows_uv())).all() and network.predict(windows_uv()).dtype == np.float32


@pytest.mark.slow
def test_compiled_once_for_all_fits_with_the_results_of_eager_steps():
    network, truth = started(), np.array([0, 0, 0, 1, 1, 2])

    def trained():
        network.start(small_encoder().get_weights())
        losses = [float(network.train(windows_uv(seed=i), truth, 1e-3, 1e-2)) for i in range(3)]
        return losses, network.predict(windows_uv())

    first_losses, first = trained()
    again_losses, again = trained()
    assert again_losses == first_losses
    np.testing.assert_array_equal(again, first)
    assert network._step.experimental_get_tracing_count() == network._predict.experimental_get_tracing_count() == 1
    tf.config.run_functions_eagerly(True)
    try:
        eager_losses, eager = trained()
    finally:
        tf.config.run_functions_eagerly(False)
    np.testing.assert_allclose(eager_losses, first_losses, rtol=1e-4)
    # a gradient of nearly zero may have either sign, and Adam makes a whole step of it
    np.testing.assert_allclose(eager, first, atol=1e-3)
