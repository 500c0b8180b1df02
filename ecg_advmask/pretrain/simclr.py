"""SimCLR for ECGs: encoder and projector learn to find a recording's other view among those of the batch."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Self

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from ecg_advmask.augment import compose
from ecg_advmask.config import Config, from_mapping
from ecg_advmask.data.scaling import scale_to_unit, standardise
from ecg_advmask.errors import InputError
from ecg_advmask.models.resnet import projector as default_projector
from ecg_advmask.pretrain import distribute
from ecg_advmask.pretrain.losses import contrastive_accuracy, nt_xent, nt_xent_of_patients

Logs = dict[str, Any]
Pairs = dict[str, Any]
"""What a step contrasts, tensors with the recordings first: the two views, (B, L or L / 2, 12) each and scaled to
[0, 1], the ``patients`` (B,), and whatever a subclass has drawn for them."""


@keras.saving.register_keras_serializable("ecg_advmask")
class SimCLR(keras.Model):  # type: ignore[misc]
    """The learner alone: Chen et al. 2020, with the pairs of SimCLR or of CMSC (Kiyasseh et al. 2021).

    A training step takes ``(accumulation * B, L, 12)`` float32 standardised windows (with ``positives = patient`` also
    the number of the patient of each), contrasts B of them with one another at a time, and updates once with the mean
    gradient. Called, it gives the ``(B, D)`` embeddings of windows in any unit.

        model = SimCLR(resnet18_1d(32), augmentations=("gaussian",), sampling_rate_hz=100)
        model.fit(data.batches(model.config))

    Args:
        encoder: built Keras model from (B, L, 12) float32 views, scaled to [0, 1], to (B, D) embeddings.
        projector: built Keras model from (B, D) embeddings to (B, P) projections, which the loss sees; by default that
            of the settings.
        config: the objective's settings, and those of `compile` and `fit`; by default those of the paper. Sizes of
            networks that are given are not read from it.
        settings: single settings that override ``config``, by their names there.

    Raises:
        InputError: a setting is not allowed, or the networks do not fit one another.
    """

    method: ClassVar = "simclr"
    networks: ClassVar[tuple[str, ...]] = ("encoder", "projector")
    optimizers: ClassVar[tuple[str, ...]] = ("optimizer",)
    tracked: tuple[str, ...] = ("loss", "contrastive_accuracy", "embedding_std", "embedding_rank")

    def __init__(
        self,
        encoder: keras.Model,
        projector: keras.Model | None = None,
        *,
        config: Config | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(name=self.method)
        self.config = dataclasses.replace(config or Config(), **{"method": self.method, **settings})
        dim = encoder.output_shape[-1]
        if projector is None:
            projector = default_projector(dim, self.config.projection_hidden, self.config.projection_dim)
        elif projector.input_shape[-1] != dim:
            raise InputError(f"projector: takes {projector.input_shape[-1]} values, the encoder gives {dim}")
        self.encoder = encoder
        self.projector = projector
        self.averaged_encoder = _copy_of(encoder) if self.config.encoder_average else None
        self.augment = compose(self.config.augmentations)
        self.augment_second = compose(self.config.second_augmentations)
        distribute.synchronise(self.encoder, self.projector)
        self.seed_generator = distribute.Seeds(self.config.seed)
        self.averages = {name: keras.metrics.Mean(name) for name in self.tracked}
        self.built = True

    def call(self, windows: Any, training: bool = False) -> Any:
        """Embeddings of the windows, scaled to [0, 1]; but for training those of the `kept_encoder`."""
        encoder = self.encoder if training else self.kept_encoder
        return encoder(scale_to_unit(windows), training=training)

    def compile(self, optimizer: Any = None, **options: Any) -> None:
        """Take the optimizer, by default Adam at the rate and with the decay of the settings; the options are Keras's.

        An optimizer that decays weights leaves biases and batch normalisation as they are.

        Raises:
            InputError: the rate is to fall to 0 at the end of a run of which the settings do not state the ``updates``.
        """
        if not options.get("run_eagerly"):  # XLA compiles nothing that devices exchange
            options.setdefault("jit_compile", self.config.jit_compile and distribute.count() == 1)
        if optimizer is None:
            optimizer = adam(learning_rate_of(self.config), self.config.weight_decay)
        super().compile(optimizer=optimizer, **options)
        if self.optimizer.weight_decay and not self.optimizer.built:  # Keras does not store which variables are spared
            self.optimizer.exclude_from_weight_decay([one for one in self.learner_variables if one.ndim < 2])
        self.optimizer.build(self.learner_variables)  # so that a checkpoint can hold its state before the first step

    def fit(self, x: Any, y: Any = None, batch_size: int | None = None, **options: Any) -> Any:
        """Train; a model that was not compiled is compiled as the settings say.

        Args:
            x: a ``tf.data.Dataset`` of batches as `SimCLR` takes them, or an array of windows (n, L, 12) in any unit,
                which are standardised, shuffled and put into full batches.
            y: with an array, the number of the patient of each window, (n,); needed with ``positives = patient``.
            batch_size: with an array, windows of one update; by default ``batch_size * accumulation`` of the settings.
            options: as Keras has them: ``epochs``, ``callbacks``, ...

        Returns:
            Keras's history, with the averages of every epoch.

        Raises:
            InputError: the windows have another form, or are fewer than one batch.
        """
        if not self.compiled:
            self.compile()
        if isinstance(x, np.ndarray | tf.Tensor):
            x, y, batch_size = self._batches(np.asarray(x, np.float32), y, batch_size), None, None
        if isinstance(x, tf.data.Dataset):
            options["shuffle"] = False  # it has its order
        return super().fit(x, y, batch_size, **options)

    def _batches(self, windows: Any, patients: Any, batch_size: int | None) -> tf.data.Dataset:
        size = batch_size or self.config.batch_size * self.config.accumulation
        if windows.ndim != 3 or len(windows) < size:
            raise InputError(f"windows {windows.shape}: must be (n, L, 12), with n at least the {size} of one update")
        arrays = (windows,) if patients is None else (windows, np.asarray(patients))
        numbers = tf.data.Dataset.range(len(windows)).shuffle(len(windows), seed=self.config.seed)

        def of_numbers(chosen: Any) -> Any:
            found, *rest = (tf.gather(array, chosen) for array in arrays)
            return (standardise(found), *rest)

        return numbers.batch(size, drop_remainder=True).map(of_numbers).prefetch(1)

    # ---- Saved and loaded by Keras: networks, settings, optimizers and the state of the random numbers.

    def get_config(self) -> dict[str, Any]:
        """The networks and the settings, as Keras stores them."""
        networks = {name: keras.saving.serialize_keras_object(getattr(self, name)) for name in self.networks}
        return networks | {"config": self.config.as_dict()}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """The model of what `get_config` gives."""
        found = {name: keras.saving.deserialize_keras_object(config[name], custom_objects) for name in cls.networks}
        return cls(**found, config=from_mapping(config["config"], "config"))

    def get_compile_config(self) -> dict[str, Any]:
        """The optimizers, as Keras stores them."""
        found = {name: getattr(self, name) for name in self.optimizers if self.compiled}
        return {name: keras.saving.serialize_keras_object(optimizer) for name, optimizer in found.items()}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile with what `get_compile_config` gives."""
        self.compile(**{name: keras.saving.deserialize_keras_object(value) for name, value in config.items()})

    def save_own_variables(self, store: Any) -> None:
        """Keras leaves the state of random numbers out."""
        store["seed"] = self.seed_generator.state.numpy()

    def load_own_variables(self, store: Any) -> None:
        """As `save_own_variables` left it."""
        self.seed_generator.state.assign(store["seed"])

    # ---- The step.

    @property
    def metrics(self) -> list[Any]:
        """The running averages, which Keras resets at every epoch."""
        return list(self.averages.values())

    @property
    def learner_variables(self) -> list[Any]:
        """What the contrastive loss is minimised over."""
        return [*self.encoder.trainable_variables, *self.projector.trainable_variables]

    @property
    def kept_encoder(self) -> keras.Model:
        """The encoder that a training is for, which is probed and saved: the average, or else the trained one.

        The average is exponential, over updates, of weights and moving statistics alike, with the decay
        ``encoder_average``, or (1 + n) / (10 + n) after n updates as long as that is less: so initial weights do not
        linger (as in TensorFlow's `ExponentialMovingAverage`).
        """
        return self.encoder if self.averaged_encoder is None else self.averaged_encoder

    @property
    def state(self) -> list[Any]:
        """Every variable that the next step depends on: weights, moving statistics, optimizers, random numbers."""
        return [*self.variables, *self.optimizer.variables]

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Nothing: all is built. Keras would look at a batch first, and fail at windows with patients of a machine."""

    def train_step(self, data: Any) -> Logs:
        """One update of encoder and projector."""
        gradients, logs = self.accumulated(self.learner_gradients, self.pairs(data))
        self.update_learner(gradients)
        return self.averaged(logs)

    def update_learner(self, gradients: list[Any]) -> None:
        """Update encoder and projector, and the encoder's average where there is one."""
        self.optimizer.apply(gradients, self.learner_variables)
        if self.averaged_encoder is None:
            return
        updates = ops.cast(self.optimizer.iterations, "float32")
        decay = ops.minimum(self.config.encoder_average, (1 + updates) / (10 + updates))
        for average, latest in zip(self.averaged_encoder.variables, self.encoder.variables, strict=True):
            is_number = keras.backend.is_float_dtype(latest.dtype)  # not the state of random numbers
            average.assign(decay * average + (1 - decay) * latest if is_number else latest)

    def pairs(self, data: Any) -> Pairs:
        """The views that a step contrasts, from windows alone or with the numbers of their patients."""
        windows, patients, _ = keras.utils.unpack_x_y_sample_weight(data)
        if patients is None:
            if self.config.positives == "patient":
                raise InputError("positives = 'patient': needs the number of the patient beside every window")
            patients = ops.arange(ops.shape(windows)[0])
        first, second = ops.split(windows, 2, axis=1) if self.config.pairing == "cmsc" else (windows, windows)
        if self.config.augment == "both":
            first = self.augment(first, self.seed_generator, self.config.sampling_rate_hz)
        second = self.augment(second, self.seed_generator, self.config.sampling_rate_hz)
        second = self.augment_second(second, self.seed_generator, self.config.sampling_rate_hz)
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
        if (windows := pairs["view_1"].shape[0]) is not None and windows % count:
            raise InputError(f"a batch of {windows} windows: cannot be divided evenly, accumulation is {count}")
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


def adam(learning_rate: Any, weight_decay: float = 0.0) -> keras.optimizers.Optimizer:
    """Adam as all players have it by default; its weight decay is decoupled (Loshchilov and Hutter 2019, AdamW)."""
    return keras.optimizers.Adam(learning_rate, epsilon=1e-8, weight_decay=weight_decay or None)


def learning_rate_of(config: Config) -> Any:
    """The rate of encoder and projector: a number, or a schedule over the updates.

    Of w updates of warm-up, update n (from 0) has the rate r/w + (r - r/w) n/w, so that the first one counts; a cosine
    then falls from r to 0 at the end of the last update.

    Raises:
        InputError: the rate is to fall to 0 at the end of a run of which the settings do not state the ``updates``.
    """
    rate, warmup, is_cosine = config.learning_rate, config.warmup_steps, config.learning_rate_schedule == "cosine"
    if not warmup and not is_cosine:
        return rate
    if is_cosine and not config.updates:
        raise InputError("learning_rate_schedule = 'cosine': needs the number of updates, set updates as well")
    return keras.optimizers.schedules.CosineDecay(
        rate / max(1, warmup),
        decay_steps=config.updates - warmup if is_cosine else 1,
        alpha=0.0 if is_cosine else 1.0,  # the least rate, as a share
        warmup_target=rate if warmup else None,
        warmup_steps=warmup,
    )


def _copy_of(network: keras.Model) -> keras.Model:
    """Another network with the same weights, of layers of its own."""
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    return copy


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
