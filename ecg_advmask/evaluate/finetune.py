"""Fine-tuning: what a whole network, encoder and linear head, learns from few labelled recordings.

In: the weights that a fit starts from, those of a run or random ones (from scratch), and a division of the recordings.
Out: a `Fit`, which trains on the drawn recordings, keeps the weights that are best on the validation part, and predicts
the test part.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from ecg_advmask.config import Config
from ecg_advmask.datasets.targets import Targets
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.evaluation import Fit
from ecg_advmask.evaluate.heads import Float64, FloatArray, activate, standardisation, validation_score
from ecg_advmask.evaluate.network import Network, Weights
from ecg_advmask.evaluate.partition import Split
from ecg_advmask.evaluate.recording_windows import RecordingWindows
from ecg_advmask.pretrain.run import random_encoder

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
    """A fit ends after so many checks in turn without a better one than the best."""

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
    """The `Fit` that trains a network anew on each draw of labelled recordings.

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
