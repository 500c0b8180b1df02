"""What each augmentation costs: recordings per second of the SimCLR training step with it, over those without any.

    python benchmarks/augmentations.py [NAME ...] [--preset cpu-block-mask] [--batch-size 128] [--repeats 7]

NAME: as in the setting `augmentations`, parameters included, one or several with commas between them; all of them by
default. Steps are compiled by XLA, on random windows. Each step with an augmentation is timed right after one without,
in turns with all others, so that a busy spell of the machine meets both sides of a ratio; printed is the median of the
ratios. 1.00: the augmentation costs nothing; the project's limit is 0.95.
"""

import argparse
import dataclasses
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

from ecg_advmask import config as configuration
from ecg_advmask.augment import AUGMENTATIONS, draws
from ecg_advmask.config import Config
from ecg_advmask.pretrain.trainer import build


def step_of(config: Config, augmentations: str = "") -> Callable[[Any], Any]:
    """The compiled training step with these augmentations, all else being equal."""
    model = build(configuration.override(config, [f"augmentations={augmentations}"]))
    if not augmentations:
        model.augment = _barely_changed
    return tf.function(model.train_step, jit_compile=True)


def _barely_changed(signals: Any, seed: keras.random.SeedGenerator, _: float) -> Any:
    """The signals, moved by next to nothing: of two equal views XLA would encode only one."""
    return signals + 1e-6 * draws.uniform((), seed)


def seconds(step: Callable[[Any], Any], windows: Any) -> float:
    """Wall time of one step, waited for."""
    began = time.perf_counter()
    float(step(windows)["loss"])
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", default=list(AUGMENTATIONS))
    parser.add_argument("--preset", default="cpu-block-mask")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()

    config = dataclasses.replace(
        configuration.load(arguments.preset), method="simclr", batch_size=arguments.batch_size, accumulation=1
    )
    shape = (config.batch_size, config.window_samples, 12)
    windows = tf.constant(np.random.default_rng(0).normal(size=shape).astype(np.float32))
    plain = step_of(config)
    steps = {name: step_of(config, name) for name in arguments.names}
    for step in (plain, *steps.values()):
        seconds(step, windows)
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for _ in range(arguments.repeats):
        for name, step in steps.items():
            measured[name].append((seconds(plain, windows), seconds(step, windows)))
    without = statistics.median(plain for pairs in measured.values() for plain, _ in pairs)
    print(f"preset {arguments.preset}, {shape[0]} x {shape[1]} samples a batch, medians of {arguments.repeats}")
    print(f"{'none':40s} {shape[0] / without:7.1f} recordings/s")
    for name, pairs in measured.items():
        ratio = statistics.median(plain / augmented for plain, augmented in pairs)
        print(f"{name:40s} {shape[0] / without * ratio:7.1f} recordings/s, {ratio:.3f} of none")


if __name__ == "__main__":
    main()
