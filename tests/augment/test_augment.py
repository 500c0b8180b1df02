"""Augmentations: what they change, by how much, and that a seed decides."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ecg_advmask.augment import AUGMENTATIONS, compose
from ecg_advmask.errors import InputError

RATE = 100.0


def generator(seed: int = 0) -> keras.random.SeedGenerator:
    return keras.random.SeedGenerator(seed)


def standard_normal(recordings: int, samples: int = 250) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(recordings, samples, 12)).astype(np.float32)


def occluded_blocks(name: str, recordings: int) -> np.ndarray:
    """(recordings, 250, 12) of what the augmentation changed, all of it to the recording's minimum."""
    signals = standard_normal(recordings)
    result = np.asarray(AUGMENTATIONS[name](signals, generator(), RATE))
    changed = result != signals
    lowest = np.broadcast_to(signals.min(axis=(1, 2), keepdims=True), signals.shape)
    np.testing.assert_array_equal(result[changed], lowest[changed])
    return changed


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_shape_dtype_seed_and_xla(name: str) -> None:
    signals = tf.constant(standard_normal(8))
    eager = AUGMENTATIONS[name](signals, generator(5), RATE)
    assert eager.shape == signals.shape
    assert eager.dtype == signals.dtype
    np.testing.assert_array_equal(eager, AUGMENTATIONS[name](signals, generator(5), RATE))
    assert np.abs(eager - AUGMENTATIONS[name](signals, generator(6), RATE)).max() > 0
    compiled = []  # XLA draws other numbers from the same seed, but always the same ones
    for _ in range(2):
        seeds = generator(5)
        step = tf.function(lambda x, seeds=seeds: AUGMENTATIONS[name](x, seeds, RATE), jit_compile=True)
        compiled.append((step(signals), step(signals)))
    np.testing.assert_array_equal(compiled[0], compiled[1])
    assert np.abs(compiled[0][0] - compiled[0][1]).max() > 0, "the second call must draw new numbers"
    assert np.std(compiled[0][0] - signals) == pytest.approx(np.std(eager - signals), rel=0.1)


def test_gaussian_noise_has_the_stated_deviation_and_is_white() -> None:
    signals = standard_normal(200)
    noise = np.asarray(AUGMENTATIONS["gaussian"](signals, generator(), RATE)) - signals
    assert noise.std() == pytest.approx(0.1, rel=0.01)
    assert noise.mean() == pytest.approx(0.0, abs=1e-3)
    assert np.mean(noise[:, 1:] * noise[:, :-1]) == pytest.approx(0.0, abs=1e-4)
    assert np.mean(noise[:, :, 0] * noise[:, :, 1]) == pytest.approx(0.0, abs=2e-4)


@pytest.mark.parametrize("name", ["block_mask", "sync_block_mask"])
def test_a_block_of_a_fifth_is_occluded_in_every_lead_at_a_uniform_place(name: str) -> None:
    occluded = occluded_blocks(name, 2000)
    assert set(np.unique(occluded.sum(axis=1))) <= {49, 50}  # 49: the block covers the minimum itself
    first = occluded[:, :, 0].argmax(axis=1)
    assert first.min() == 0
    assert first.max() == 200
    assert first.mean() == pytest.approx(100, abs=4 * 200 / np.sqrt(12 * 2000))


def test_blocks_are_one_per_lead_or_one_for_all() -> None:
    starts = occluded_blocks("block_mask", 300).argmax(axis=1)
    together = occluded_blocks("sync_block_mask", 300).argmax(axis=1)
    assert np.mean(starts.std(axis=1) > 10) > 0.95
    assert np.mean(together.std(axis=1) == 0) > 0.95  # the minimum may be the first sample of the block


def test_composition_keeps_the_order() -> None:
    signals = standard_normal(50)
    masked_last = np.asarray(compose(["gaussian", "block_mask"])(signals, generator(), RATE))
    masked_first = np.asarray(compose(["block_mask", "gaussian"])(signals, generator(), RATE))
    lowest = lambda x: x.min(axis=(1, 2), keepdims=True)  # noqa: E731
    assert ((masked_last == lowest(masked_last)).sum(axis=(1, 2)) >= 600).all()
    assert ((masked_first == lowest(masked_first)).sum(axis=(1, 2)) == 1).all()
    np.testing.assert_array_equal(compose([])(signals, generator(), RATE), signals)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(InputError, match="'polish' does not exist; there are: gaussian"):
        compose(["gaussian", "polish"])
