"""Augmentations: batch-wise and in the graph, by name.

Every one takes ``(B, L, 12)`` standardised signals, a seed generator, and the sampling rate in Hz, and returns signals
of the same shape. To add one, write the function and name it in `AUGMENTATIONS`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from ecg_advmask.augment.masks import block_mask, sync_block_mask
from ecg_advmask.augment.noise import gaussian
from ecg_advmask.errors import InputError

Augmentation = Callable[[Any, keras.random.SeedGenerator, float], Any]

AUGMENTATIONS: dict[str, Augmentation] = {
    "gaussian": gaussian,
    "block_mask": block_mask,
    "sync_block_mask": sync_block_mask,
}


def compose(names: Sequence[str]) -> Augmentation:
    """The named augmentations, one after the other in the stated order; no name gives the signals back as they are.

    Raises:
        InputError: a name is not in `AUGMENTATIONS`.
    """
    for name in names:
        if name not in AUGMENTATIONS:
            raise InputError(f"augmentations: {name!r} does not exist; there are: {', '.join(AUGMENTATIONS)}")

    def augment(signals: Any, seed: keras.random.SeedGenerator, sampling_rate_hz: float) -> Any:
        for name in names:
            signals = AUGMENTATIONS[name](signals, seed, sampling_rate_hz)
        return signals

    return augment
