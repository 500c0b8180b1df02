"""Some training steps from fixed weights and recordings, in a process of their own: on one device or several, or with
``TF_CONFIG`` as one of several machines.

All but projections and losses is in double precision, so that the ways to compute it differ by hardly more than the
rounding of a gradient, and it is plain gradient descent, since Adam makes steps of full size of gradients that are
nothing but rounding.
"""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ecg_advmask.config import Config
from ecg_advmask.pretrain import distribute
from ecg_advmask.pretrain.simclr import Pairs, SimCLR, learning_rate_of
from pretrain.small import small

BATCH, SAMPLES, STEPS, PATIENTS = 8, 250, 2, 5
SIZE = Config(
    sampling_rate_hz=100,
    window_seconds=SAMPLES / 100,
    batch_size=BATCH,
    accumulation=1,
    mask_sharpness=4.0,
    jit_compile=False,
)
SETTINGS = {
    "in turn, every other step": dataclasses.replace(SIZE, adversary_every=2, encoder_average=0.9, warmup_steps=3),
    "at once, accumulated, by patient": dataclasses.replace(
        SIZE,
        update="simultaneous",
        accumulation=2,
        positives="patient",
        masks=4,
        augmentations=("gaussian",),
        target_accuracy=0.1,
    ),
}


def batches_of(config: Config, places: npt.NDArray[np.int64] | None) -> tf.data.Dataset:
    """The recordings and patients of all steps, or those at the places of each."""
    rng = np.random.default_rng(0)
    shape = (STEPS, config.accumulation * BATCH)
    windows = rng.normal(size=(*shape, SAMPLES, 12)).astype(np.float32)
    patients = rng.integers(0, PATIENTS, shape)
    chosen = slice(None) if places is None else places
    return tf.data.Dataset.from_tensor_slices((windows[:, chosen], patients[:, chosen]))


def drawn(pairs: Pairs, windows: tf.Tensor, patients: tf.Tensor, masks: int) -> Pairs:
    """The pairs with all that is drawn at random made from the recordings, so that each has its own wherever it is."""
    pairs["view_2"] = pairs["view_1"] + 0.1 * tf.sin(1e3 * pairs["view_1"])
    pairs["chosen"] = tf.one_hot(patients % masks, masks, dtype=windows.dtype)
    pairs["masked"] = tf.cast(windows[:, 0] > 0, windows.dtype)
    return pairs


def model_of(config: Config) -> SimCLR:
    keras.utils.set_random_seed(config.seed)
    model = small(config)
    rate = learning_rate_of(dataclasses.replace(config, learning_rate=0.05))
    optimizers = [keras.optimizers.SGD(rate, momentum=0.9, weight_decay=decay) for decay in (0.1, None)]
    model.compile(*optimizers, run_eagerly=True)
    pairs_of = model.pairs
    model.pairs = lambda batch: drawn(pairs_of(batch), *batch, config.masks)
    return model


def train(out: Path, devices: int, names: Sequence[str] = tuple(SETTINGS)) -> None:
    """Write logs and states of the training with these settings to an NPZ file."""
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    found = {}
    with distribute.strategy_of(devices).scope(), mock.patch.object(keras.config, "set_dtype_policy"):
        for name in names:
            config = SETTINGS[name]
            model = model_of(config)
            batches = distribute.shared_out(lambda places, c=config: batches_of(c, places), BATCH, config.accumulation)
            history = model.fit(batches, steps_per_epoch=STEPS, verbose=0).history
            found |= {f"{name}: log {key}": np.array(values) for key, values in history.items()}
            for number, variable in enumerate(model.state):
                path = re.sub(r"_\d+", "", variable.path)  # names of layers are counted within the process
                found[f"{name}: {number:03d} {path}"] = keras.ops.convert_to_numpy(variable)
    np.savez(out, allow_pickle=False, **found)
