"""An encoder with a linear head, trained and asked as one network.

The training step and the predictions are compiled once for each batch shape and serve every fit after it: a fit starts
by assigning its initial weights, not by making another network.
"""

from collections.abc import Sequence
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import ops

from ecg_advmask.config import Config
from ecg_advmask.datasets.targets import Kind, Targets
from ecg_advmask.models.resnet1d import resnet18_1d
from ecg_advmask.pipeline.tfrecord import Microvolts
from ecg_advmask.scaling import scale_to_unit

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
        keras.config.set_dtype_policy("mixed_bfloat16" if config.mixed_precision else "float32")
        try:
            encoder = resnet18_1d(config.encoder_width, config.embedding_dim)
        finally:
            keras.config.set_dtype_policy(policy)  # it counts when layers are made
        return cls(encoder, targets.kind, len(targets.names), jit_compile=config.jit_compile)

    def start(self, encoder_weights: Sequence[npt.NDArray[Any]]) -> None:
        """Begin anew: the encoder with these weights and statistics, a head of zeros, optimizers without a past.

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
