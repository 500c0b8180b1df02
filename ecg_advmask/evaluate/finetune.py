"""Fine-tuning: a whole network, encoder and linear head, trained on few labelled recordings.

In: the weights that a fit starts from, those of a run or random ones (from scratch), and a division of the recordings.
Out: a `Fit`, which trains on the drawn recordings, keeps the weights that are best on the validation part, and predicts
the test part.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import ops

from ecg_advmask.config import Config
from ecg_advmask.data.dataset import Microvolts
from ecg_advmask.data.scaling import scale_to_unit
from ecg_advmask.data.targets import Kind, Targets
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.embeddings import RecordingWindows
from ecg_advmask.evaluate.evaluation import Fit
from ecg_advmask.evaluate.heads import Float64, FloatArray, activate, standardisation, validation_score
from ecg_advmask.evaluate.split import Split
from ecg_advmask.models.devices import dtype_policy
from ecg_advmask.models.resnet import resnet18_1d
from ecg_advmask.pretrain.run import random_encoder

# ---- An encoder with a linear head, trained and asked as one network.
#
# The training step and the predictions are compiled once for each batch shape and serve every fit after it: a fit
# starts by assigning its initial weights, not by making another network.

Weights = list[npt.NDArray[np.floating]]
Outputs = npt.NDArray[np.float32]

_EPSILON: Final = 1e-8


class Network:
    """An encoder and a dense layer on its embeddings.

    It takes ``(B, L, 12)`` int16 windows in microvolts and scales each to [0, 1]. Its ``(B, outputs)`` float32 outputs
    are log odds of the classes or of each label, or the number in the unit in which it is trained.

    Args:
        encoder: (B, L, 12) float32 scaled to [0, 1] -> (B, D) float32. It is trained, not copied.
        kind: what the outputs are, which decides on the loss.
        outputs: how many; 1 for a number.
        jit_compile: compile by XLA.
    """

    def __init__(self, encoder: keras.Model, kind: Kind, outputs: int, *, jit_compile: bool = True) -> None:
        self.encoder = encoder
        self.head = keras.layers.Dense(outputs, kernel_initializer="zeros", dtype="float32", name="head")
        self.head.build(encoder.output_shape)
        self.kind = kind
        # Adam divides by the size of the gradients: scaling those of the encoder would not slow it down, a rate does.
        self._encoder_optimizer = keras.optimizers.Adam(0.0, epsilon=_EPSILON)
        self._head_optimizer = keras.optimizers.Adam(0.0, epsilon=_EPSILON)
        self._encoder_optimizer.build(self.encoder.trainable_variables)
        self._head_optimizer.build(self.head.trainable_variables)
        self._step = tf.function(self._updated, jit_compile=jit_compile)
        self._predict = tf.function(lambda windows: self._outputs(windows, False), jit_compile=jit_compile)

    @classmethod
    def of(cls, config: Config, targets: Targets) -> "Network":
        """A network for these targets, its encoder of these settings, with whatever weights.

        With ``config.mixed_precision`` the convolutions compute in bfloat16, which has the exponents of float32, so
        that no loss needs scaling; weights, moving statistics, embeddings, head and loss are float32.
        """
        policy = keras.config.dtype_policy()
        keras.config.set_dtype_policy(dtype_policy(config.mixed_precision))
        try:
            encoder = resnet18_1d(config.encoder_width, config.embedding_dim)
        finally:
            keras.config.set_dtype_policy(policy)  # it counts when layers are made
        return cls(encoder, targets.kind, len(targets.names), jit_compile=config.jit_compile)

    def start(self, encoder_weights: Sequence[npt.NDArray[Any]]) -> None:
        """Start again: the encoder with these weights and statistics, a head of zeros, optimizers without a past.

        Raises:
            ValueError: the weights are those of another network.
        """
        self.encoder.set_weights(encoder_weights)
        optimizers = (*self._encoder_optimizer.variables, *self._head_optimizer.variables)
        for variable in (*self.head.weights, *optimizers):
            variable.assign(ops.zeros_like(variable))

    def train(
        self, windows_uv: Microvolts, truth: npt.NDArray[Any], encoder_rate: float, head_rate: float
    ) -> "tf.Tensor":
        """One update on a batch; returns its loss before it, a scalar that need not be waited for.

        Args:
            windows_uv: (B, L, 12) int16.
            truth: classes: (B,) int64; labels: (B, outputs) 0 or 1; number: (B,) float.
            encoder_rate: Adam's rate for the encoder; at 0 it is frozen, its moving statistics as well.
            head_rate: Adam's rate for the head.
        """
        self._encoder_optimizer.learning_rate = encoder_rate
        self._head_optimizer.learning_rate = head_rate
        wanted = truth if self.kind == "classes" else truth.astype(np.float32).reshape(len(truth), -1)
        return self._step(tf.constant(windows_uv), tf.constant(wanted), bool(encoder_rate > 0))

    def predict(self, windows_uv: Microvolts) -> Outputs:
        """The outputs ``(B, outputs)`` of each window for itself: by moving statistics."""
        result: Outputs = self._predict(tf.constant(windows_uv)).numpy()
        return result

    @property
    def weights(self) -> Weights:
        """Copies of all weights and moving statistics, encoder first."""
        return [np.array(ops.convert_to_numpy(variable)) for variable in self._variables]

    @weights.setter
    def weights(self, values: Weights) -> None:
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value)

    @property
    def _variables(self) -> list[Any]:
        return [*self.encoder.weights, *self.head.weights]

    def _outputs(self, windows_uv: Any, training: bool) -> Any:
        return self.head(self.encoder(scale_to_unit(ops.cast(windows_uv, "float32")), training=training))

    def _updated(self, windows_uv: Any, truth: Any, encoder_learns: bool) -> Any:
        encoder_variables = self.encoder.trainable_variables if encoder_learns else []
        head_variables = self.head.trainable_variables
        with tf.GradientTape() as tape:
            loss = _loss(self.kind, truth, self._outputs(windows_uv, encoder_learns))
        encoder_gradients, head_gradients = tape.gradient(loss, (encoder_variables, head_variables))
        if encoder_learns:
            self._encoder_optimizer.apply(encoder_gradients, encoder_variables)
        self._head_optimizer.apply(head_gradients, head_variables)
        return loss


def _loss(kind: Kind, truth: Any, outputs: Any) -> Any:
    """Mean over the batch: cross-entropy of the classes, of each label for itself, or the squared error of a number."""
    if kind == "classes":
        return ops.mean(ops.sparse_categorical_crossentropy(truth, outputs, from_logits=True))
    if kind == "labels":
        return ops.mean(ops.binary_crossentropy(truth, outputs, from_logits=True))
    return ops.mean(ops.square(outputs - truth))


Schedule = Literal["cosine", "constant"]
IntArray = npt.NDArray[np.int64]

PREDICTED_AT_ONCE: Final = 128
"""Windows in a batch of predictions, which are compiled for it."""


@dataclass(frozen=True)
class FineTuning:
    """Every constant of fine-tuning; written into its result."""

    updates: int = 250
    """Updates of the weights, unless they would be fewer or more passes through the drawn recordings than these:"""
    fewest_passes: int = 5
    most_passes: int = 100
    batch_size: int = 32
    """Recordings in a batch, or all that were drawn if they are fewer."""
    head_rate: float = 1e-3
    """Adam's learning rate for the head."""
    encoder_rate: float = 1e-4
    """Adam's learning rate for a pretrained encoder; at 0 it is frozen, its moving statistics as well."""
    scratch_rate: float = 1e-3
    """Adam's learning rate for an encoder with random weights."""
    schedule: Schedule = "cosine"
    """Whether the learning rates fall to 0 along half a cosine, or stay."""
    checks: int = 20
    """How often, evenly over the updates, the network is judged on the validation part, by the primary metric."""
    patience: int = 8
    """A fit ends after this many checks in a row without an improvement."""

    def __post_init__(self) -> None:
        counts = (self.updates, self.fewest_passes, self.batch_size, self.checks, self.patience)
        if min(counts) < 1 or self.most_passes < self.fewest_passes:
            raise InputError("fine-tuning: updates, passes, batch size, checks and patience must be at least 1")
        if not (self.head_rate > 0 and self.scratch_rate > 0 and self.encoder_rate >= 0):
            raise InputError("fine-tuning: learning rates must be above 0; that of a pretrained encoder may be 0")
        if self.schedule not in get_args(Schedule):
            raise InputError(f"fine-tuning: schedule {self.schedule!r} is none of {', '.join(get_args(Schedule))}")

    def updates_for(self, recordings: int) -> int:
        """Updates at most for a number of drawn recordings."""
        batch_size = min(self.batch_size, recordings)
        fewest, most = (-(-passes * recordings // batch_size) for passes in (self.fewest_passes, self.most_passes))
        return min(max(self.updates, fewest), most)

    def decay(self, update: int, updates: int) -> float:
        """Factor of the learning rates at an update, counted from 0."""
        return 0.5 * (1 + float(np.cos(np.pi * update / updates))) if self.schedule == "cosine" else 1.0


def random_start(config: Config) -> Callable[[int], Weights]:
    """Initial weights of the encoder of these settings, by the seed of a draw: training from scratch."""
    return lambda seed: list(random_encoder(config, seed).get_weights())


def fine_tuning(
    network: Network,
    windows: RecordingWindows,
    split: Split,
    start: Callable[[int], Weights],
    encoder_rate: float,
    settings: FineTuning,
) -> Fit:
    """The `Fit` that trains a new network on each draw of labelled recordings.

    Args:
        network: a network with outputs for the targets of ``split``; fits may share it, one at a time.
        windows: those of the recordings ``split.ids``.
        split: the division, and the targets.
        start: seed of a draw -> weights of the encoder to start from. The head starts at zero.
        encoder_rate: Adam's rate for the encoder.
        settings: the other constants.

    Returns:
        A function of the drawn recordings and a seed, on which all else depends. A recording is trained on through
        random windows and judged by the mean of the predictions of all of its windows. Of a number the network learns
        the deviation from the mean of the drawn recordings, in their standard deviations.
    """
    targets, validation, test = split.targets, split.rows["validation"], split.rows["test"]

    def predicted(recordings: IntArray, centre: float, scale: float) -> Float64:
        windows_predicted, places = [], []
        for windows_uv, place in windows.batches(recordings, PREDICTED_AT_ONCE):
            outputs = network.predict(windows_uv)[: len(place)].astype(np.float64)
            windows_predicted.append(activate(targets.kind, centre + scale * outputs))
            places.append(place)
        return mean_of_recordings(np.concatenate(windows_predicted), np.concatenate(places))

    def fit(drawn: IntArray, seed: int) -> tuple[FloatArray, dict[str, Any]]:
        truth, centre, scale = _trained_on(targets, drawn)
        updates, batch_size = settings.updates_for(len(drawn)), min(settings.batch_size, len(drawn))
        checks = set(np.ceil(np.linspace(0, updates, settings.checks + 1)[1:]).astype(int).tolist())
        best = _Best()
        network.start(start(seed))
        batches = windows.random_batches(drawn, updates, batch_size, seed)
        for update, (windows_uv, recordings) in enumerate(batches, start=1):
            decay = settings.decay(update - 1, updates)
            network.train(windows_uv, truth[recordings], encoder_rate * decay, settings.head_rate * decay)
            if update in checks:
                score = validation_score(targets.take(validation), predicted(validation, centre, scale))
                best.offer(score, update, network)
                if best.checks_since == settings.patience:
                    break
        if not np.isfinite(best.score):
            raise InputError("fine-tuning: the weights grew beyond all bounds, lower the learning rates")
        network.weights = best.weights
        about = {"updates": update, "passes": round(update * batch_size / len(drawn), 2)}
        about |= {"best_update": best.update, "validation": abs(best.score)}
        return predicted(test, centre, scale), about

    return fit


def mean_of_recordings(predictions: Float64, recording_of_window: IntArray) -> Float64:
    """Mean over the windows of each recording, ``(n, K)`` or ``(n,)``; recordings are numbered 0..n-1, in order."""
    first = np.flatnonzero(np.diff(recording_of_window, prepend=-1))
    total: Float64 = np.add.reduceat(predictions, first, axis=0)
    return (total.T / np.bincount(recording_of_window)).T


class _Best:
    """The weights with the best validation so far, of equal ones the earliest."""

    def __init__(self) -> None:
        self.weights: Weights = []
        self.score, self.update, self.checks_since = -np.inf, 0, 0

    def offer(self, score: float, update: int, network: Network) -> None:
        self.checks_since += 1
        if score > self.score:  # a NaN is not
            self.weights = network.weights
            self.score, self.update, self.checks_since = score, update, 0


def _trained_on(targets: Targets, drawn: IntArray) -> tuple[npt.NDArray[Any], float, float]:
    """What the network is trained to give, and what brings a number back to its unit: centre and scale."""
    if targets.kind != "number":
        return targets.values, 0.0, 1.0
    centre, scale = (float(value) for value in standardisation(targets.values[drawn]))
    return (targets.values - centre) / scale, centre, scale
