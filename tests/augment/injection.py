"""Random numbers of an augmentation, seen or set by a test."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from ecg_advmask.augment import draws

RATE = 100.0
KINDS = ("uniform", "normal", "whole")


def generator(seed: int = 0) -> keras.random.SeedGenerator:
    return keras.random.SeedGenerator(seed)


def standard_normal(recordings: int, samples: int = 250, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(recordings, samples, 12)).astype(np.float32)


def recorded(function: Callable[..., Any], *arguments: Any, **parameters: Any) -> tuple[np.ndarray, list[np.ndarray]]:
    """What an augmentation gives, and the numbers that it drew on the way, in order."""
    numbers: list[np.ndarray] = []
    with pytest.MonkeyPatch.context() as patch:
        for kind in KINDS:
            patch.setattr(draws, kind, _noted(getattr(draws, kind), numbers))
        return np.asarray(function(*arguments, **parameters)), numbers


def _noted(draw: Callable[..., Any], numbers: list[np.ndarray]) -> Callable[..., Any]:
    def draw_and_note(*arguments: Any, **parameters: Any) -> Any:
        numbers.append(np.asarray(draw(*arguments, **parameters)))
        return tf.constant(numbers[-1])

    return draw_and_note


def replayed(numbers: list[np.ndarray], function: Callable[..., Any], *arguments: Any, compiled: bool = False) -> Any:
    """What an augmentation gives if these are the numbers that it draws, eager or compiled by XLA."""
    left = iter(numbers)
    with pytest.MonkeyPatch.context() as patch:
        for kind in KINDS:
            patch.setattr(draws, kind, lambda *_, **__: tf.constant(next(left)))
        if compiled:
            signals, *rest = arguments
            result = tf.function(lambda signals: function(signals, *rest), jit_compile=True)(signals)
        else:
            result = function(*arguments)
    assert next(left, None) is None, "every number must be used"
    return result
