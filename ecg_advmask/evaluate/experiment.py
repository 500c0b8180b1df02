"""A run and a data set together: the recordings on which the run can be evaluated in a task, and their split.

In: two folders, the name of a task, and a protocol. Out: the recordings that the run has not seen, with their targets,
divided by patient, and everything that a result must state of them.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import pandas as pd

from ecg_advmask.config import Config, load
from ecg_advmask.data.dataset import DataSet
from ecg_advmask.data.summary import describe
from ecg_advmask.data.targets import Targets
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.eligibility import (
    account_of,
    labelled_targets,
    new_split,
    recordings_of,
    stored_split,
    unseen,
)
from ecg_advmask.evaluate.embeddings import Embeddings, RecordingWindows, recording_embeddings
from ecg_advmask.evaluate.evaluation import Fit, evaluate_all
from ecg_advmask.evaluate.finetune import FineTuning, Network, Weights, fine_tuning, random_start
from ecg_advmask.evaluate.heads import LinearHead
from ecg_advmask.evaluate.linear import head_to_keep, linear_fit
from ecg_advmask.evaluate.protocol import Protocol
from ecg_advmask.evaluate.split import PARTS, Split
from ecg_advmask.files import sha256_of, versions
from ecg_advmask.models.resnet import weights_sha256
from ecg_advmask.pretrain.run import ENCODER_FILE, Run, random_encoder

FORMAT_VERSION: Final = 2
UNTRAINED: Final = "untrained:"
"""Before the name of a preset, instead of a run directory."""
_PACKAGES: Final = ("numpy", "scipy", "pandas", "scikit-learn", "keras", "tensorflow")


@dataclass(frozen=True)
class RunOnData:
    """What a run is to be judged on.

    Attributes:
        run_path: as it was given.
        run: None where an untrained encoder of a preset is judged alone.
        config: the settings of the run, or of the preset.
        data: the data set.
        recordings: all of its recordings, as `ecg_advmask.evaluate.eligibility.recordings_of` gives them.
        targets: theirs.
        split: the recordings that are used, divided.
        split_path: where the division was stored before; None if it was computed.
    """

    run_path: str
    run: Run | None
    config: Config
    data: DataSet
    recordings: pd.DataFrame
    targets: Targets
    split: Split
    split_path: str | Path | None

    @classmethod
    def open(
        cls,
        run_path: str,
        data_path: str | Path,
        task: str,
        protocol: Protocol,
        split_path: str | Path | None = None,
    ) -> "RunOnData":
        """Open a run and a data set, find the recordings to judge on, and divide them.

        Args:
            run_path: a run directory, or ``untrained:PRESET`` for an untrained encoder alone.
            data_path: a data set directory with the sampling rate of the run, and windows as long or longer.
            task: a column of the data set's labels, or a name in ``ecg_advmask.data.targets.TASKS``.
            protocol: shares of the parts and the seed of their division.
            split_path: a division that an earlier evaluation stored; by default one is made of the recordings that the
                run has not seen. A stored one may train a head on recordings that the run has seen, but never test it
                on them.

        Raises:
            InputError: a folder is not what it should be, the two or the stored division do not fit, or there are too
                few labels.
        """
        preset = run_path.removeprefix(UNTRAINED) if run_path.startswith(UNTRAINED) else None
        run = Run.open(Path(run_path)) if preset is None else None
        config = load(preset) if run is None else run.config
        data = DataSet.open(Path(data_path))
        check_fit(config, data, run_path)
        recordings = recordings_of(data.records, None if run is None else run.seen())
        targets = labelled_targets(task, recordings, data.labels, data.path)
        if split_path is None:
            split = new_split(recordings, targets, protocol.shares, protocol.split_seed)
        else:
            split = stored_split(split_path, recordings, targets)
        return cls(run_path, run, config, data, recordings, targets, split, split_path)

    def embeddings(self, encoder: keras.Model) -> Embeddings:
        """Embeddings ``(n, D)`` of the recordings of `split`, in its order, by a frozen encoder; kept in the run."""
        keys = self.recordings["key"].to_numpy(object)
        used = np.isin(keys, self.split.ids)
        # The same recordings for every task, where nothing else is asked for, so that they are embedded once.
        embedded = unseen(self.recordings) | used
        folder = None if self.run is None else self.run.path / "embeddings"
        of_all = recording_embeddings(folder, encoder, self.data, keys[embedded], self.config.window_samples)
        return of_all[used[embedded]]

    def stated(self, kind: str, protocol: Protocol) -> dict[str, Any]:
        """What a result of this kind of evaluation states before its figures, and versions."""
        targets, split_path = self.split.targets, self.split_path
        return {
            "format_version": FORMAT_VERSION,
            "kind": kind,
            "task": targets.task,
            "targets": {"kind": targets.kind, "names": list(targets.names)},
            "dataset": describe(self.data),
            "run": {"path": self.run_path, "preset": self.config.preset_name, "method": self.config.method},
            "counts": account_of(self.recordings, self.targets, self.split, len(self.data.records)),
            "split": None if split_path is None else {"path": str(split_path), "sha256": sha256_of(split_path)},
            "sha256_of_ids": {part: self.split.digest(part) for part in PARTS},
            "protocol": dataclasses.asdict(protocol),
            "versions": versions(_PACKAGES),
        }


def check_fit(config: Config, data: DataSet, run_path: str) -> None:
    """See that a run can work with the windows of a data set: of its rate, and as long or longer.

    Raises:
        InputError: it cannot.
    """
    if data.sampling_rate_hz != config.sampling_rate_hz or data.window_samples < config.window_samples:
        raise InputError(
            f"{data.path}: windows of {data.window_samples} samples at {data.sampling_rate_hz} Hz, but {run_path} "
            f"needs {config.window_samples} at {config.sampling_rate_hz} Hz; prepare the recordings again with "
            f"--sampling-rate {config.sampling_rate_hz} --seconds {config.window_seconds:g}"
        )


@dataclass(frozen=True)
class Experiment:
    """One division of the recordings of a data set, and how encoders are judged on it.

    Attributes:
        config: shapes the networks that are trained.
        data, split, protocol: the recordings, their division, and the constants.
        embed: an encoder -> embeddings ``(n, D)`` of the recordings of ``split``, in its order.
        fine_tuning: train whole networks with these constants; None for linear heads on frozen encoders.
    """

    config: Config
    data: DataSet
    split: Split
    protocol: Protocol
    embed: Callable[[keras.Model], Embeddings]
    fine_tuning: FineTuning | None = None

    def fit(
        self, encoder: keras.Model, *, from_scratch: bool = False, start: Callable[[int], Weights] | None = None
    ) -> Fit:
        """What learns from drawn labels: a linear head on the frozen encoder, or the network that begins with it.

        Args:
            encoder: (B, L, 12) float32 scaled to [0, 1] -> (B, D) float32.
            from_scratch: of networks, use the learning rate for random weights.
            start: of networks, the seed of a draw -> weights to start from, instead of those of ``encoder``.
        """
        if self.fine_tuning is None:
            return linear_fit(self.embeddings(encoder), self.split, self.protocol)
        rate = self.fine_tuning.scratch_rate if from_scratch else self.fine_tuning.encoder_rate
        weights = list(encoder.get_weights())
        return fine_tuning(
            self.network, self._windows, self.split, start or (lambda _: weights), rate, self.fine_tuning
        )

    def embeddings(self, encoder: keras.Model) -> Embeddings:
        """Embeddings ``(n, D)`` by a frozen encoder, computed once."""
        sha256 = weights_sha256(encoder)
        if sha256 not in self._embedded:
            self._embedded[sha256] = self.embed(encoder)
        return self._embedded[sha256]

    @cached_property
    def _embedded(self) -> dict[str, Embeddings]:
        return {}

    @cached_property
    def network(self) -> Network:
        """The network that all fits share."""
        return Network.of(self.config, self.split.targets)

    @cached_property
    def _windows(self) -> RecordingWindows:
        return RecordingWindows(self.data, self.split.ids, self.config.window_samples)


# ---- A run judged on a data set, from two folders to one result with everything needed to judge it.
#
# Out: a dictionary of plain values, written as JSON by ``ecg-advmask linear-eval`` and ``finetune`` and read by
# ``ecg_advmask.report``; the division of the recordings and a head to keep are written beside it. The hash of what
# is trained is made of the weights that it starts from and of how it is trained, so that it is not taken for the
# frozen one.

LINEAR_EVALUATION: Final = "linear evaluation"
FINE_TUNED: Final = "fine-tuning"
METHOD_NAMES: Final = {"advmask": "Adv Mask", "simclr": "SimCLR"}


def evaluate_run(
    run_path: str,
    data_path: str | Path,
    task: str,
    protocol: Protocol,
    *,
    with_random: bool = True,
    split_path: str | Path | None = None,
) -> tuple[dict[str, Any], Split, LinearHead]:
    """Judge the frozen encoder of a run on one task, beside an untrained encoder of the same shape.

    Args:
        run_path, data_path, task, split_path: as `RunOnData.open` takes them.
        protocol: the constants of the evaluation.
        with_random: test the untrained encoder beside the trained one.

    Returns:
        The result, the division that it is of, and the head that was fitted on the most labels of the first encoder.

    Raises:
        InputError: a folder is not what it should be, the two or the stored division do not fit, or there are too few
            labels.
    """
    judged = RunOnData.open(run_path, data_path, task, protocol, split_path)
    encoders: dict[str, keras.Model] = {} if judged.run is None else {"trained": judged.run.encoder()}
    if with_random or judged.run is None:
        encoders["random"] = random_encoder(judged.config, protocol.seed)
    experiment = Experiment(judged.config, judged.data, judged.split, protocol, judged.embeddings)
    fits = {name: experiment.fit(encoder) for name, encoder in encoders.items()}
    names = {"trained": METHOD_NAMES.get(judged.config.method, judged.config.method), "random": "untrained"}
    described = {name: {"name": names[name], "sha256": weights_sha256(encoder)} for name, encoder in encoders.items()}
    result = judged.stated(LINEAR_EVALUATION, protocol) | {"encoders": described}
    result |= evaluate_all(fits, judged.split, protocol, "linear heads")
    first = next(iter(encoders.values()))
    head = head_to_keep(experiment.embeddings(first), judged.split, protocol, weights_sha256(first))
    return result, judged.split, head


def finetune_run(
    run_path: str,
    data_path: str | Path,
    task: str,
    protocol: Protocol,
    settings: FineTuning,
    *,
    with_scratch: bool = True,
    split_path: str | Path | None = None,
) -> tuple[dict[str, Any], Split]:
    """Train whole networks on one task, from the encoder of a run and from scratch, on the same draws of labels.

    Args:
        run_path, data_path, task, split_path: as `RunOnData.open` takes them; without a run, training from
            scratch alone.
        protocol: numbers of labels, draws, seeds, parts and resamples; its heads are not used.
        settings: the constants of fine-tuning.
        with_scratch: train from scratch beside the run.

    Returns:
        The result, and the division that it is of.

    Raises:
        InputError: as `RunOnData.open`; the encoder is not that of its settings; training does not converge.
    """
    judged = RunOnData.open(run_path, data_path, task, protocol, split_path)
    config = judged.config
    experiment = Experiment(config, judged.data, judged.split, protocol, judged.embeddings, settings)
    fits: dict[str, Fit] = {}
    encoders: dict[str, dict[str, str]] = {}
    if judged.run is not None:
        pretrained = _pretrained(judged.run, experiment.network)
        name = f"{METHOD_NAMES.get(config.method, config.method)}, fine-tuned"
        encoders["trained"] = {"name": name, "sha256": _identity(pretrained, settings)}
        fits["trained"] = experiment.fit(pretrained)
    if with_scratch or judged.run is None:
        first = random_encoder(config, protocol.seed)
        encoders["scratch"] = {"name": "from scratch", "sha256": _identity(first, settings)}
        fits["scratch"] = experiment.fit(first, from_scratch=True, start=random_start(config))
    result = judged.stated(FINE_TUNED, protocol) | {"fine_tuning": dataclasses.asdict(settings), "encoders": encoders}
    return result | evaluate_all(fits, judged.split, protocol, "training networks"), judged.split


def _pretrained(run: Run, network: Network) -> keras.Model:
    """The encoder of a run, which must have the weights that the network can take."""
    encoder = run.encoder()
    if [weight.shape for weight in encoder.weights] != [weight.shape for weight in network.encoder.weights]:
        raise InputError(
            f"{run.path / ENCODER_FILE}: is not the network that its config.json describes, pretrain again"
        )
    return encoder


def _identity(encoder: keras.Model, settings: FineTuning) -> str:
    stated = json.dumps([FINE_TUNED, weights_sha256(encoder), dataclasses.asdict(settings)])
    return hashlib.sha256(stated.encode()).hexdigest()
