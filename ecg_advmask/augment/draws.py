"""Random numbers for augmentations, from a Keras seed generator, in float32 or int32 whatever the signals' type.

They are drawn by TensorFlow's stateless Philox generator, by name: the algorithm that `keras.random` leaves XLA to
choose is a hundred times slower on a CPU, where a number for every sample takes longer than the whole training step.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

Shape = Sequence[Any]
"""Lengths of the axes; the first one, the recordings of a batch, may be known only when the step runs."""


def uniform(shape: Shape, seed: keras.random.SeedGenerator, lowest: float = 0.0, highest: float = 1.0) -> Any:
    """Numbers evenly spread over [lowest, highest), float32."""
    return tf.random.stateless_uniform(shape, _next(seed), lowest, highest, alg="philox")


def normal(shape: Shape, seed: keras.random.SeedGenerator) -> Any:
    """Gaussian numbers of mean 0 and deviation 1, float32."""
    return tf.random.stateless_normal(shape, _next(seed), alg="philox")


def whole(shape: Shape, seed: keras.random.SeedGenerator, stop: int) -> Any:
    """Whole numbers 0, 1, ..., stop - 1, all equally likely, int32."""
    return tf.random.stateless_uniform(shape, _next(seed), 0, stop, dtype=tf.int32, alg="philox")


def _next(seed: keras.random.SeedGenerator) -> Any:
    return tf.cast(seed.next(), tf.int32)
