"""Networks of three layers, for tests of what is done with networks; and a stand-in for the model of a run."""

import os
import signal
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from ecg_advmask.config import Config
from ecg_advmask.data.dataset import DataSet
from ecg_advmask.files import write_text
from ecg_advmask.models.unet import spectral_adversary
from ecg_advmask.pretrain import trainer
from ecg_advmask.pretrain.advmask import AdvMask
from ecg_advmask.pretrain.simclr import SimCLR
from processes import command


def encoder(dim: int = 8) -> keras.Model:
    """A strided convolution, batch normalisation and a dense layer, all of whose parameters matter."""
    norm = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
    body = [layers.Conv1D(6, 10, 5, use_bias=False), norm, layers.LeakyReLU(), layers.GlobalAveragePooling1D()]
    return keras.Sequential([keras.Input((None, 12)), *body, layers.Dense(dim, dtype="float32")], name="encoder")


def projector(dim: int = 8) -> keras.Model:
    """A dense layer."""
    return keras.Sequential([keras.Input((dim,)), layers.Dense(6, dtype="float32")], name="projector")


def adversary(config: Config) -> keras.Model:
    """A convolution and batch normalisation, and masks in the domain of the settings."""
    bins = 1 if config.mask_domain == "time" else config.mask_hop_samples + 1
    soft = config.mask_activation == "softmax" or (config.mask_activation == "auto" and config.masks in (2, 3, 4))
    kind = "linear" if bins > 1 else "softmax" if soft else "sigmoid"
    norm = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
    body = [layers.Conv1D(8, 5, padding="same", use_bias=False), norm, layers.LeakyReLU()]
    last = layers.Conv1D(config.masks * bins, 5, padding="same", activation=kind, dtype="float32")
    network = keras.Sequential([keras.Input((None, 12)), *body, last], name="adversary")
    if bins == 1:
        return network
    return spectral_adversary(network, config.view_samples, bins - 1, config.masks, config.mask_activation)


def small(config: Config) -> Any:
    """The model of these settings on such networks, with fresh weights."""
    if config.method == "simclr":
        return SimCLR(encoder(), projector(), config=config)
    return AdvMask(encoder(), adversary(config), projector(), config=config)


def eager(config: Config) -> Any:
    """In place of `trainer.build`: the same on small networks, whose steps are not compiled."""
    keras.utils.set_random_seed(config.seed)
    model = small(config)
    model.compile(run_eagerly=True)
    return model


SMALL = Config(
    sampling_rate_hz=100,
    window_seconds=2.5,
    encoder_width=4,
    embedding_dim=8,
    adversary_width=8,
    batch_size=100,
    accumulation=1,
    epochs=3,
    jit_compile=False,
    pictures_every=2,
)


class Small(keras.Model):  # type: ignore[misc]
    """Two players with an optimizer each, batch normalisation, and noise whose generator has a state."""

    tracked = ("loss", "embedding_std", "mask_cover")

    def __init__(self, config: Config) -> None:
        super().__init__()
        keras.utils.set_random_seed(config.seed)
        self.config = config
        embed = [layers.BatchNormalization(), layers.Dense(8, "relu", False), layers.GlobalMaxPooling1D()]
        mask = [layers.Dense(1, "sigmoid", False)]
        self.encoder = keras.Sequential([keras.Input((250, 12)), *embed], name="encoder")
        self.adversary = keras.Sequential([keras.Input((250, 12)), *mask], name="adversary")
        self.projector = layers.Dense(2000, use_bias=False)
        self.projector.build((None, 8))
        self.seed_generator = keras.random.SeedGenerator(config.seed)
        self.averages = {name: keras.metrics.Mean(name) for name in self.tracked}
        self.built = True
        self.adversary_optimizer = keras.optimizers.SGD(1e-2, 0.9)
        self.compile(optimizer=keras.optimizers.SGD(1e-2, 0.9), run_eagerly=True)
        self.learner_variables = [*self.encoder.trainable_variables, *self.projector.trainable_variables]
        self.optimizer.build(self.learner_variables)
        self.adversary_optimizer.build(self.adversary.trainable_variables)

    @property
    def kept_encoder(self) -> keras.Model:
        return self.encoder

    @property
    def metrics(self) -> list[Any]:
        return list(self.averages.values())

    @property
    def state(self) -> list[Any]:
        return [*self.variables, *self.optimizer.variables, *self.adversary_optimizer.variables]

    def train_step(self, windows: Any) -> dict[str, Any]:
        noise = keras.random.normal(keras.ops.shape(windows), seed=self.seed_generator)
        with tf.GradientTape(persistent=True) as tape:
            mask = self.adversary(windows, training=True)
            embedding = self.encoder(windows * mask + noise, training=True)
            loss, cover = keras.ops.mean(keras.ops.square(self.projector(embedding) - 1)), keras.ops.mean(mask)
            penalty = cover - loss
        for optimizer, value, variables in (
            (self.optimizer, loss, self.learner_variables),
            (self.adversary_optimizer, penalty, self.adversary.trainable_variables),
        ):
            optimizer.apply(tape.gradient(value, variables), variables)
        for average, value in zip(self.metrics, (loss, keras.ops.std(embedding), cover), strict=True):
            average.update_state(value)
        return {name: average.result() for name, average in self.averages.items()}


def draw(path: Path, *_: Any) -> None:
    """A stand-in for the picture of a mask."""
    write_text(path, path.stem)


class Kill(keras.callbacks.Callback):  # type: ignore[misc]
    """Kills the process after the first step of an epoch."""

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.epoch = epoch
        self.current = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        self.current = epoch + 1

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        if self.current == self.epoch:
            os.kill(os.getpid(), signal.SIGKILL)


def train_until_killed(data: Path, path: Path, epoch: int) -> None:
    """Start a run of `SMALL` in this process, which does not live to the end of the epoch."""
    trainer.build = Small
    trainer.pretrain(DataSet.open(data), path, SMALL, draw_masks=draw, callbacks=[Kill(epoch)])


def command_on_small_networks(*words: str) -> None:
    """Run ``ecg-advmask`` in this process, which trains nothing else from then on."""
    trainer.build = eager
    command(*words)
