"""Every augmentation: shape, type, seeds, XLA, gradients; and their composition by name."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from augment.injection import RATE, generator, recorded, replayed, standard_normal
from ecg_advmask.augment import AUGMENTATIONS, compose
from ecg_advmask.errors import InputError


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_shape_dtype_and_seed(name: str) -> None:
    signals = tf.constant(standard_normal(300, 125))
    eager = AUGMENTATIONS[name](signals, generator(5), RATE)
    assert eager.shape == signals.shape
    assert eager.dtype == signals.dtype
    np.testing.assert_array_equal(eager, AUGMENTATIONS[name](signals, generator(5), RATE))
    assert np.abs(eager - AUGMENTATIONS[name](signals, generator(6), RATE)).max() > 0


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name != "random_mask")) for name in AUGMENTATIONS]
)
def test_xla_draws_new_numbers_in_every_call_and_the_same_from_a_seed(name: str) -> None:
    signals = tf.constant(standard_normal(300, 125))
    eager = AUGMENTATIONS[name](signals, generator(5), RATE)
    seeds, shape = generator(5), tf.TensorSpec((None, 125, 12))
    step = tf.function(lambda x: AUGMENTATIONS[name](x, seeds, RATE), jit_compile=True, input_signature=[shape])
    compiled = []  # XLA draws other numbers from the same seed, but always the same ones
    for _ in range(2):
        seeds.state.assign(generator(5).state)
        compiled.append((step(signals), step(signals)))
    np.testing.assert_array_equal(compiled[0], compiled[1])
    assert np.abs(compiled[0][0] - compiled[0][1]).max() > 0, "the second call must draw new numbers"
    assert np.std(compiled[0][0] - signals) == pytest.approx(np.std(eager - signals), rel=0.1)
    assert np.isfinite(step(signals[:3])).all(), "a batch of another size"


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_compiled_and_eager_agree_on_injected_numbers(name: str) -> None:
    signals = standard_normal(6)
    eager, numbers = recorded(AUGMENTATIONS[name], signals, generator(), RATE)
    assert numbers
    compiled = replayed(numbers, AUGMENTATIONS[name], tf.constant(signals), generator(), RATE, compiled=True)
    np.testing.assert_allclose(compiled, eager, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_half_precision_gives_nearly_the_same(name: str, dtype: str) -> None:
    signals = standard_normal(6)
    expected, numbers = recorded(AUGMENTATIONS[name], signals, generator(), RATE)
    keras.mixed_precision.set_dtype_policy(f"mixed_{dtype}")
    try:
        half = replayed(numbers, AUGMENTATIONS[name], tf.cast(signals, dtype), generator(), RATE)
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    assert half.dtype == dtype
    assert np.mean(np.abs(tf.cast(half, "float32") - expected)) < 0.01


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_recordings_of_a_batch_get_numbers_of_their_own(name: str) -> None:
    signals = np.repeat(standard_normal(1), 20, axis=0)
    assert np.ptp(AUGMENTATIONS[name](signals, generator(), RATE), axis=0).max() > 0


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_no_recording_depends_on_another(name: str) -> None:
    signals = standard_normal(4)
    result, numbers = recorded(AUGMENTATIONS[name], signals, generator(), RATE)
    signals[1:] = 9.0
    alone = replayed(numbers, AUGMENTATIONS[name], signals, generator(), RATE)
    np.testing.assert_allclose(alone[0], result[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_gradients_pass_and_are_finite(name: str) -> None:
    signals = tf.constant(standard_normal(4))
    with tf.GradientTape() as tape:
        tape.watch(signals)
        loss = tf.reduce_sum(tf.square(AUGMENTATIONS[name](signals, generator(), RATE)))
    gradient = tape.gradient(loss, signals)
    assert np.isfinite(gradient).all()
    assert np.mean(np.abs(gradient) > 0) > 0.1


def test_composition_keeps_the_order() -> None:
    signals = standard_normal(50)
    masked_last = np.asarray(compose(["gaussian", "block_mask"])(signals, generator(), RATE))
    masked_first = np.asarray(compose(["block_mask", "gaussian"])(signals, generator(), RATE))
    lowest = lambda x: x.min(axis=(1, 2), keepdims=True)  # noqa: E731
    assert ((masked_last == lowest(masked_last)).sum(axis=(1, 2)) >= 600).all()
    assert ((masked_first == lowest(masked_first)).sum(axis=(1, 2)) == 1).all()
    np.testing.assert_array_equal(compose([])(signals, generator(), RATE), signals)


def test_parameters_reach_the_augmentation() -> None:
    signals = standard_normal(3)
    by_text = compose([" vcg( angle_degrees = 1e1, scale=2.) ", "gaussian()", "powerline(frequency_hz=50)"])
    seeds = generator()
    expected = AUGMENTATIONS["vcg"](signals, seeds, RATE, angle_degrees=10, scale=2)
    expected = AUGMENTATIONS["gaussian"](expected, seeds, RATE)
    expected = AUGMENTATIONS["powerline"](expected, seeds, RATE, frequency_hz=50)
    np.testing.assert_array_equal(by_text(signals, generator(), RATE), expected)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("polish", "'polish' does not exist; there are: gaussian, "),
        ("vcg(scale=2", "is not understood; write NAME or NAME"),
        ("vcg(scale=2)x", "is not understood"),
        ("vcg(scale=max(1,2))", "is not understood"),
        ("", "is not understood"),
        ("vcg(2)", "'2' is not KEY=NUMBER; there are: angle_degrees .0 to 180., scale .1 to 10."),
        ("vcg(scale=2,)", "'' is not KEY=NUMBER"),
        ("vcg(scale=two)", "'scale=two' is not KEY=NUMBER"),
        ("vcg(scale=nan)", "is not KEY=NUMBER"),
        ("vcg(scale=0.5)", "scale = 0.5 is out of range; there are: angle_degrees"),
        ("vcg(scale=1e999)", "scale = 1e999 is out of range"),
        ("vcg(size=2)", "vcg has no parameter 'size'; there are: angle_degrees"),
        ("vcg(seed=2)", "vcg has no parameter 'seed'"),
        ("vcg(scale=2, scale=3)", "scale is given twice"),
    ],
)
def test_what_is_not_understood_is_refused(name: str, complaint: str) -> None:
    with pytest.raises(InputError, match=f"^augmentations: .*{complaint}") as error:
        compose(["gaussian", name])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "rate", "complaint"),
    [
        (
            "powerline(frequency_hz=60)",
            100.0,
            "60 Hz cannot be in signals sampled at 100 Hz; take frequency_hz up to 50",
        ),
        ("powerline", 90.0, "50 Hz cannot be"),
        ("emg(lowest_hz=50)", 100.0, "no frequency between lowest_hz = 50"),
        ("emg(lowest_hz=30, highest_hz=20)", 100.0, "lower lowest_hz or raise highest_hz"),
        ("baseline_wander(lowest_hz=1)", 100.0, "lowest_hz = 1 is above highest_hz = 0.2"),
    ],
)
def test_frequencies_that_do_not_fit_are_refused(name: str, rate: float, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        compose([name])(standard_normal(2), generator(), rate)
