"""How fast the training steps and the encoder run, as ratios against this machine's matrix multiplication.

    python benchmarks/training.py [--preset cpu-advmask] [--batch-size 128] [--repeats 7]

Prints recordings per second for the encoder alone (forward, forward and backward) and for whole training steps (SimCLR,
and Adv Mask with `alternating` and `simultaneous` updates), all compiled by XLA, on random windows; each figure is the
median of several repeats, which alternate with the others so that a busy spell of the machine meets all of them. The
share of the peak is the encoder's floating-point operations per second over those of a float32 matrix product of
2048 x 2048 matrices, timed between the other measurements.
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
from ecg_advmask.config import Config
from ecg_advmask.data.scaling import scale_to_unit
from ecg_advmask.pretrain.trainer import build

MATRIX = 2048


def convolution_flops(encoder: keras.Model, samples: int) -> int:
    """Floating-point operations (multiplications and additions) of the convolutions for one recording, forward."""
    of_length = keras.Model(encoder.inputs, [layer.output for layer in convolutions(encoder)])
    outputs = of_length.compute_output_shape((1, samples, 12))
    return sum(
        2 * int(np.prod(layer.kernel.shape)) * shape[1]
        for layer, shape in zip(convolutions(encoder), outputs, strict=True)
    )


def convolutions(encoder: keras.Model) -> list[Any]:
    """The encoder's convolutions."""
    return [layer for layer in encoder.layers if isinstance(layer, keras.layers.Conv1D)]


def medians(functions: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median seconds of each function, after a first call of each that is not counted."""
    for function in functions.values():
        function()
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            began = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def training_step(config: Config, windows: Any) -> Callable[[], Any]:
    """One compiled step of the model of these settings, waited for."""
    model = build(config)
    step = tf.function(model.train_step, jit_compile=True)
    return lambda: float(step(windows)["loss"])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="cpu-advmask")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()

    base = dataclasses.replace(
        configuration.load(arguments.preset), batch_size=arguments.batch_size, accumulation=1, mixed_precision=False
    )
    shape = (base.batch_size, base.window_samples, 12)
    windows = tf.constant(np.random.default_rng(0).normal(size=shape).astype(np.float32))
    model = build(base)
    encoder = model.encoder
    views = scale_to_unit(windows)

    @tf.function(jit_compile=True)
    def forward() -> Any:
        return encoder(views, training=False)

    @tf.function(jit_compile=True)
    def forward_backward() -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(encoder(views, training=True)))
        gradients = tape.gradient(loss, encoder.trainable_variables)
        return [loss, *gradients]  # all of them are returned, so that none is optimised away

    matrix = tf.random.normal((MATRIX, MATRIX))
    product = tf.function(lambda: tf.matmul(matrix, matrix))
    seconds = medians(
        {
            "matrix product": lambda: product().numpy(),
            "encoder forward": lambda: forward().numpy(),
            "encoder forward+backward": lambda: float(forward_backward()[0]),
            "step simclr": training_step(
                dataclasses.replace(base, method="simclr", augmentations=("block_mask",)), windows
            ),
            "step alternating": training_step(
                dataclasses.replace(base, method="advmask", update="alternating"), windows
            ),
            "step simultaneous": training_step(
                dataclasses.replace(base, method="advmask", update="simultaneous"), windows
            ),
        },
        arguments.repeats,
    )
    peak = 2 * MATRIX**3 / seconds.pop("matrix product")
    flops = convolution_flops(encoder, base.view_samples) * base.batch_size
    shares = {"encoder forward": flops, "encoder forward+backward": 3 * flops}
    print(f"preset {arguments.preset}, {shape[0]} x {shape[1]} samples a batch, median of {arguments.repeats}")
    print(f"matrix product {MATRIX} x {MATRIX}, float32: {peak / 1e9:.0f} GFLOP/s")
    for name, value in seconds.items():
        share = f", {100 * shares[name] / value / peak:.0f} % of the matrix product's rate" if name in shares else ""
        print(f"{name}: {base.batch_size / value:.3g} recordings/s ({1000 * value:.0f} ms){share}")
    print(
        f"simultaneous / alternating: {seconds['step alternating'] / seconds['step simultaneous']:.2f} times the rate"
    )


if __name__ == "__main__":
    main()
