"""SimCLR for ECGs: encoder and projector learn to tell a recording's other view among those of the batch."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from ecg_advmask.augment import compose
from ecg_advmask.config import Config
from ecg_advmask.data.scaling import scale_to_unit
from ecg_advmask.models.resnet import projector, resnet18_1d
from ecg_advmask.pretrain import distribute
from ecg_advmask.pretrain.losses import contrastive_accuracy, nt_xent, nt_xent_of_patients

Logs = dict[str, Any]
Pairs = dict[str, Any]
"""What a step contrasts, tensors with the recordings first: the two views, (B, L or L / 2, 12) each and scaled to
[0, 1], the ``patients`` (B,), and whatever a subclass has drawn for them."""


class SimCLR(keras.Model):  # type: ignore[misc]
    """The learner alone: Chen et al. 2020, with the pairs of SimCLR or of CMSC (Kiyasseh et al. 2021).

    A training step takes ``(accumulation * B, L, 12)`` float32 standardised windows (with ``positives = patient`` also
    the number of the patient of each), contrasts B of them with one another at a time, and updates once with the mean
    gradient. Called, it gives the ``(B, embedding_dim)`` embeddings of windows in any unit.
    """

    tracked: tuple[str, ...] = ("loss", "contrastive_accuracy", "embedding_std", "embedding_rank")

    def __init__(self, config: Config) -> None:
        super().__init__(name=config.method)
        self.config = config
        self.encoder = resnet18_1d(config.encoder_width, config.embedding_dim)
        self.projector = projector(config.embedding_dim, config.projection_hidden, config.projection_dim)
        self.augment = compose(config.augmentations)
        distribute.synchronise(self.encoder, self.projector)
        self.seed_generator = distribute.Seeds(config.seed)
        self.averages = {name: keras.metrics.Mean(name) for name in self.tracked}
        self.built = True

    def call(self, windows: Any, training: bool = False) -> Any:
        """Embeddings of the windows, scaled to [0, 1]."""
        return self.encoder(scale_to_unit(windows), training=training)

    @property
    def metrics(self) -> list[Any]:
        """The running averages, which Keras resets at every epoch."""
        return list(self.averages.values())

    @property
    def learner_variables(self) -> list[Any]:
        """What the contrastive loss is minimised over."""
        return [*self.encoder.trainable_variables, *self.projector.trainable_variables]

    def build_optimizers(self) -> None:
        """Make the optimizers' state, so that a checkpoint can hold and restore it before the first step."""
        self.optimizer.build(self.learner_variables)

    @property
    def state(self) -> list[Any]:
        """Every variable that the next step depends on: weights, moving statistics, optimizers, random numbers."""
        return [*self.variables, *self.optimizer.variables]

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Nothing: all is built. Keras would look at a batch first, and fail at windows with patients of a machine."""

    def train_step(self, data: Any) -> Logs:
        """One update of encoder and projector."""
        gradients, logs = self.accumulated(self.learner_gradients, self.pairs(data))
        self.optimizer.apply(gradients, self.learner_variables)
        return self.averaged(logs)

    def pairs(self, data: Any) -> Pairs:
        """The views that a step contrasts, from windows alone or with the numbers of their patients."""
        windows, patients, _ = keras.utils.unpack_x_y_sample_weight(data)
        if patients is None:
            patients = ops.arange(ops.shape(windows)[0])
        first, second = ops.split(windows, 2, axis=1) if self.config.pairing == "cmsc" else (windows, windows)
        if self.config.augment == "both":
            first = self.augment(first, self.seed_generator, self.config.sampling_rate_hz)
        second = self.augment(second, self.seed_generator, self.config.sampling_rate_hz)
        return {"view_1": scale_to_unit(first), "view_2": scale_to_unit(second), "patients": patients}

    def learner_gradients(self, pairs: Pairs) -> tuple[list[Any], Logs]:
        """Gradients of the contrastive loss with respect to `learner_variables`."""
        with tf.GradientTape() as tape:
            loss, logs = self.contrast(pairs, pairs["view_2"])
            share = distribute.share_of(loss)
        return tape.gradient(share, self.learner_variables), logs

    def contrast(self, pairs: Pairs, view_2: Any) -> tuple[Any, Logs]:
        """The contrastive loss of the first views and these second ones, on batch statistics, and what is watched.

        Of the batch of all replicas, where there are several.
        """
        embedding = self.encoder(pairs["view_1"], training=True)
        z_1 = self.projector(embedding, training=True)
        z_2 = self.projector(self.encoder(view_2, training=True), training=True)
        embedding, z_1, z_2, patients = distribute.gathered((embedding, z_1, z_2, pairs["patients"]))
        if self.config.positives == "patient":
            loss = nt_xent_of_patients(z_1, z_2, patients, self.config.temperature, self.config.negatives)
        else:
            loss = nt_xent(z_1, z_2, self.config.temperature, self.config.negatives)
        accuracy = contrastive_accuracy(z_1, z_2)
        return loss, {"loss": loss, "contrastive_accuracy": accuracy, **_spread(embedding)}

    def accumulated(self, gradients_of: Callable[[Pairs], Any], pairs: Pairs) -> Any:
        """The mean of ``gradients_of`` over the accumulated batches, computed one after the other to bound memory.

        Replicas exchange what they have in each of them, which TensorFlow does not let them do in a loop.
        """
        count = self.config.accumulation
        if count == 1:
            return gradients_of(pairs)
        batches = {name: ops.reshape(value, (count, -1, *value.shape[1:])) for name, value in pairs.items()}

        def of_batch(index: Any) -> Any:
            return gradients_of({name: value[index] for name, value in batches.items()})

        if distribute.count() > 1:
            return tf.nest.map_structure(lambda *each: sum(each) / count, *map(of_batch, range(count)))
        (_, total) = tf.while_loop(
            lambda index, _: index < count,
            lambda index, total: (index + 1, tf.nest.map_structure(tf.add, total, of_batch(index))),
            (tf.constant(1), of_batch(0)),
            maximum_iterations=count - 1,
            parallel_iterations=1,
        )
        return tf.nest.map_structure(lambda value: value / count, total)

    def averaged(self, logs: Logs) -> Logs:
        """The epoch's averages so far, the step's values included."""
        for name, value in logs.items():
            self.averages[name].update_state(value)
        return {name: distribute.logged(average.result()) for name, average in self.averages.items()}


def _spread(embedding: Any) -> Logs:
    """How embeddings (B, D), scaled to length 1, spread over their dimensions.

    ``embedding_std``: the mean deviation per dimension times sqrt(D), 1 if they spread evenly, 0 if they collapsed.
    ``embedding_rank``: among how many directions their variance is shared, the squared sum of the covariance's
    eigenvalues over the sum of their squares (participation ratio), from 1 to the smaller of B and D.
    """
    unit = ops.normalize(ops.cast(embedding, "float32"), axis=1)
    centred = unit - ops.mean(unit, axis=0)
    overlap = ops.matmul(centred, ops.transpose(centred))
    rank = ops.square(ops.trace(overlap)) / ops.maximum(ops.sum(ops.square(overlap)), 1e-20)
    std = ops.mean(ops.std(unit, axis=0)) * ops.sqrt(ops.cast(ops.shape(unit)[1], "float32"))
    return {"embedding_std": std, "embedding_rank": rank}
