"""Augmentations: batch-wise and in the graph, by name.

Every one takes ``(B, L, 12)`` standardised signals, a seed generator, the sampling rate in Hz, and its parameters by
keyword, and returns signals of the same shape and type. To add one, write the function and name it in `AUGMENTATIONS`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from ecg_advmask.augment.masks import block_mask, lead_mask, peak_mask, random_mask, sync_block_mask, time_mask
from ecg_advmask.augment.noise import (
    baseline_shift,
    baseline_wander,
    emg,
    gaussian,
    powerline,
    published_emg,
    published_gaussian,
    published_shift,
    published_wander,
)
from ecg_advmask.augment.parameters import parse
from ecg_advmask.augment.spectral import spectral_mask
from ecg_advmask.augment.vcg import vcg

Augmentation = Callable[[Any, keras.random.SeedGenerator, float], Any]

AUGMENTATIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        gaussian,
        baseline_wander,
        baseline_shift,
        powerline,
        emg,
        published_gaussian,
        published_wander,
        published_shift,
        published_emg,
        random_mask,
        block_mask,
        sync_block_mask,
        lead_mask,
        spectral_mask,
        peak_mask,
        time_mask,
        vcg,
    )
}


def compose(names: Sequence[str]) -> Augmentation:
    """The named augmentations, one after the other in the stated order; no name gives the signals back as they are.

    A name may carry parameters, all of them numbers: ``vcg(angle_degrees=30, scale=2)``; others keep their defaults.

    Raises:
        InputError: a name is not in `AUGMENTATIONS`, or a parameter is unknown, no number or out of its range; when
            called, parameters do not fit the sampling rate.
    """
    functions = [parse(name, AUGMENTATIONS) for name in names]

    def augment(signals: Any, seed: keras.random.SeedGenerator, sampling_rate_hz: float) -> Any:
        for function in functions:
            signals = function(signals, seed, sampling_rate_hz)
        return signals

    return augment
