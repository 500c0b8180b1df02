"""Linear evaluation: a linear head on frozen embeddings, trained on few labels.

In: one embedding per recording from each encoder, and the division of the recordings with their targets. Out: metrics
on one fixed test set, for each encoder, number of labels and draw. Every encoder gets the same patients, the same draws
and the same treatment.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from ecg_advmask.data.targets import Targets
from ecg_advmask.evaluate.evaluation import Fit
from ecg_advmask.evaluate.heads import (
    Float64,
    FloatArray,
    Head,
    LinearHead,
    activate,
    fit_cross_validated_head,
    fit_head,
    indicators,
    standardisation,
    validation_score,
)
from ecg_advmask.evaluate.protocol import Protocol
from ecg_advmask.evaluate.split import Split

# ---- The linear head of the Adv Mask paper: a linear layer on frozen embeddings, trained by Adam, stopped early.
#
# In: embeddings and targets of the drawn recordings and of the validation part. Out: a head and the epoch it is of.

Standard = tuple[Float64, Float64]

_DECAY_OF_MEAN: Final = 0.9
_DECAY_OF_SQUARES: Final = 0.999
_EPSILON: Final = 1e-8


def fit_adam_head(
    embeddings: FloatArray,
    targets: Targets,
    validation_embeddings: FloatArray,
    validation_targets: Targets,
    protocol: Protocol,
    seed: int,
) -> tuple[Head, dict[str, Any]]:
    """A linear layer on embeddings standardised by the drawn recordings, trained by Adam (Kingma and Ba 2015).

    Losses, without a penalty: cross-entropy of classes, mean binary cross-entropy of labels, squared error of the
    number, which is standardised, too. Rate, batch size, epochs and patience are those of the published code of Bo et
    al. 2022 (github.com/jessica-bo/advmask_ecg). Unlike there,

    - embeddings are standardised, since with one learning rate for all a head on raw ones would measure how far the
      embeddings of an encoder spread (those of an untrained one next to nothing) rather than their information;
    - the layer begins at zero, the loss being convex;
    - the epoch is chosen by the metric that the evaluation reports first (macro AUROC or mean absolute error on the
      validation part) instead of accuracy, and its layer is kept instead of the last one. After few steps
      probabilities are still close to one another: what the head ranks is then worth more than what it decides.

    Args:
        embeddings: (n, D) of the drawn recordings.
        targets: theirs; none of them unknown.
        validation_embeddings, validation_targets: the same of the validation part.
        protocol: the constants.
        seed: of the order of the recordings in each epoch.

    Returns:
        The head, and ``epoch`` (that it is of, from 1), ``epochs`` (run) and ``validation`` (the metric there).
    """
    inputs, own = embeddings.astype(np.float64), indicators(targets)
    of_inputs = standardisation(inputs)
    of_outputs = standardisation(own) if targets.kind == "number" else (np.zeros(1), np.ones(1))
    features = np.column_stack([(inputs - of_inputs[0]) / of_inputs[1], np.ones(len(inputs))])
    own = (own - of_outputs[0]) / of_outputs[1]
    layer = _Adam(np.zeros((features.shape[1], own.shape[1])), protocol.adam_learning_rate)
    generator = np.random.default_rng(seed)
    head = _head(targets, layer.values, of_inputs, of_outputs)
    best_score, best_epoch, best, epoch = -np.inf, 0, head, 0
    while epoch < protocol.adam_epochs and epoch - best_epoch < protocol.adam_patience:
        order = generator.permutation(len(features))
        for start in range(0, len(order), protocol.adam_batch_size):
            batch = order[start : start + protocol.adam_batch_size]
            layer.step(_gradient(targets, features[batch], own[batch], layer.values))
        epoch += 1
        head = _head(targets, layer.values, of_inputs, of_outputs)
        score = validation_score(validation_targets, head.predict(validation_embeddings))
        if score > best_score:
            best_score, best_epoch, best = score, epoch, head
    about = {"epoch": best_epoch, "epochs": epoch, "validation": abs(best_score)}
    return best, about


def _head(targets: Targets, layer: Float64, of_inputs: Standard, of_outputs: Standard) -> Head:
    """The head with this layer, whose last row are the intercepts; a number is brought back to its unit."""
    centre, scale = of_outputs
    return Head(targets.kind, *of_inputs, layer[:-1] * scale, layer[-1] * scale + centre)


def _gradient(targets: Targets, features: Float64, own: Float64, layer: Float64) -> Float64:
    """Gradient of the mean loss over a batch."""
    outputs = features @ layer
    if targets.kind == "number":
        return 2 * features.T @ (outputs - own) / len(features)
    per_recording = 1 if targets.kind == "classes" else own.shape[1]
    residuals = activate(targets.kind, outputs) - own
    return np.asarray(features.T @ residuals / (len(features) * per_recording))


class _Adam:
    """Kingma and Ba 2015, algorithm 1; ``values`` is replaced at each step, never changed in place."""

    def __init__(self, values: Float64, learning_rate: float) -> None:
        self.values, self.learning_rate, self.steps = values, learning_rate, 0
        self._mean, self._squares = np.zeros_like(values), np.zeros_like(values)

    def step(self, gradient: Float64) -> None:
        self.steps += 1
        self._mean = _DECAY_OF_MEAN * self._mean + (1 - _DECAY_OF_MEAN) * gradient
        self._squares = _DECAY_OF_SQUARES * self._squares + (1 - _DECAY_OF_SQUARES) * gradient**2
        mean = self._mean / (1 - _DECAY_OF_MEAN**self.steps)
        squares = self._squares / (1 - _DECAY_OF_SQUARES**self.steps)
        self.values = self.values - self.learning_rate * mean / (np.sqrt(squares) + _EPSILON)


def linear_fit(embeddings: FloatArray, split: Split, protocol: Protocol) -> Fit:
    """The `Fit` of a linear head on frozen embeddings ``(n, D)`` of the recordings of ``split``, in its order."""
    fitted = _fitting(embeddings, split, protocol)

    def fit(rows: npt.NDArray[np.int64], seed: int) -> tuple[FloatArray, dict[str, Any]]:
        head, about = fitted(rows, seed)
        return head.predict(embeddings[split.rows["test"]]), about

    return fit


def head_to_keep(embeddings: FloatArray, split: Split, protocol: Protocol, encoder_sha256: str) -> LinearHead:
    """The head that the evaluation fitted on the most labels: the whole training part, if the protocol has it.

    Args:
        embeddings, split, protocol: as `linear_fit` takes them; of several draws the first is kept.
        encoder_sha256: of the weights of the encoder that gave the embeddings.
    """
    draws = {fraction: split.draw(fraction, protocol.seed) for fraction in protocol.fractions}
    fraction = max(draws, key=lambda one: len(draws[one]))
    head, about = _fitting(embeddings, split, protocol)(draws[fraction], protocol.seed)
    about = {"fraction": fraction, "labels": len(draws[fraction]), "seed": protocol.seed, **about}
    return LinearHead.of(head, split.targets, encoder_sha256, {"head": protocol.head, **about})


def _fitting(
    embeddings: FloatArray, split: Split, protocol: Protocol
) -> Callable[[npt.NDArray[np.int64], int], tuple[Head, dict[str, Any]]]:
    """A function that fits the head of the protocol on drawn rows, with a seed.

    It works on one thread: problems this small are solved faster so, many times where other work fills the machine,
    and the same bits come out whatever the number of processors.
    """
    validation = split.rows["validation"]
    judged, judged_targets = embeddings[validation], split.targets.take(validation)
    threads = ThreadpoolController()

    def fitted(rows: npt.NDArray[np.int64], seed: int) -> tuple[Head, dict[str, Any]]:
        drawn, targets = embeddings[rows], split.targets.take(rows)
        with threads.limit(limits=1):
            if protocol.head == "adam":
                return fit_adam_head(drawn, targets, judged, judged_targets, protocol, seed)
            if protocol.penalty == "cross-validated":
                return fit_cross_validated_head(drawn, targets, split.patients[rows], protocol, seed)
            return fit_head(drawn, targets, judged, judged_targets, protocol)

    return fitted
