"""A stand-in for the networks of a run: as many parts, but small enough to train eagerly in no time."""

from typing import Any

import keras
import tensorflow as tf
from keras import layers

from ecg_advmask.config import Config

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
