"""What each method and each augmentation costs: recordings per second of its training step, over plain SimCLR's.

    python benchmarks/methods.py [NAME ...] [--size cpu] [--batch-size 128] [--repeats 7]

NAME: a method of the presets (3kg, n4, block-mask, ...; all of them by default), at the encoder of that size; or, for
SimCLR with augmentations, what the setting `augmentations` takes, parameters in parentheses: `vcg(scale=2),gaussian`.
The baseline is SimCLR without any augmentation. Steps are compiled by XLA, on random windows. Each step is timed right
after one of the baseline, in turns with all others, so that a busy spell of the machine meets both sides of a ratio;
printed is the median of the ratios. 1.00: an augmentation costs nothing; the project's limit is 0.95.
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
from ecg_advmask import presets
from ecg_advmask.augment import draws
from ecg_advmask.config import Config
from ecg_advmask.pretrain.trainer import build

BASELINE = "block-mask"
"""The method whose augmentation is taken away."""


def settings(name: str, size: str, batch_size: int) -> Config:
    """Those of a method, or of SimCLR with these augmentations."""
    is_method = name in presets.method_names()
    config = configuration.load(f"{size}-{name if is_method else BASELINE}")
    if not is_method:
        config = configuration.override(config, [f"augmentations={name}"])
    return dataclasses.replace(config, batch_size=batch_size, accumulation=1)


def step_of(config: Config, *, augment: Callable[..., Any] | None = None) -> Callable[[Any], Any]:
    """The compiled training step."""
    model = build(config)
    model.augment = augment or model.augment
    return tf.function(model.train_step, jit_compile=True)


def barely_changed(signals: Any, seed: keras.random.SeedGenerator, _: float) -> Any:
    """The signals, moved by next to nothing: of two equal views XLA would encode only one."""
    return signals + 1e-6 * draws.uniform((), seed)


def seconds(step: Callable[[Any], Any], data: Any) -> float:
    """Wall time of one step, waited for."""
    began = time.perf_counter()
    float(step(data)["loss"])
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=presets.method_names(), metavar="NAME")
    parser.add_argument("--size", default="cpu")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()

    plain_config = settings(BASELINE, given.size, given.batch_size)
    samples = plain_config.window_samples
    windows = np.random.default_rng(0).normal(size=(given.batch_size, samples, 12)).astype(np.float32)
    data = (tf.constant(windows), tf.range(given.batch_size) // 2)
    plain = step_of(plain_config, augment=barely_changed)
    steps = {name: step_of(settings(name, given.size, given.batch_size)) for name in given.names}
    for step in (plain, *steps.values()):
        seconds(step, data)
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for _ in range(given.repeats):
        for name, step in steps.items():
            measured[name].append((seconds(plain, data), seconds(step, data)))
    without = statistics.median(plain for pairs in measured.values() for plain, _ in pairs)
    print(f"size {given.size}, {given.batch_size} x {samples} samples a batch, medians of {given.repeats}")
    print(f"{'SimCLR, no augmentation':30s} {given.batch_size / without:7.1f} recordings/s")
    for name, pairs in measured.items():
        ratio = statistics.median(plain / step for plain, step in pairs)
        print(f"{name:30s} {given.batch_size / without * ratio:7.1f} recordings/s, {ratio:.3f} of the baseline")


if __name__ == "__main__":
    main()
