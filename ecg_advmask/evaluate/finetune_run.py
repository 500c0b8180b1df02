"""Fine-tuning of a run on a data set, beside training from scratch, from two folders to one result.

Out: a dictionary of plain values in the form of that of a linear evaluation, written as JSON by ``ecg-advmask
finetune``, and the division of the recordings, written beside it. The hash of an encoder that learns is made of the
weights that it starts from and of how it is trained, so that it is not taken for the frozen one.
"""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any, Final

import keras
from tqdm import tqdm

from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.evaluation import Fit, compare, draws_of, evaluate
from ecg_advmask.evaluate.finetune import FineTuning, fine_tuning, random_start
from ecg_advmask.evaluate.network import Network
from ecg_advmask.evaluate.partition import Split
from ecg_advmask.evaluate.protocol import Protocol
from ecg_advmask.evaluate.recording_windows import RecordingWindows
from ecg_advmask.evaluate.run_data import RunOnData
from ecg_advmask.evaluate.transfer import METHOD_NAMES
from ecg_advmask.models.weights import weights_sha256
from ecg_advmask.pretrain.run import ENCODER_FILE, Run, random_encoder

KIND: Final = "fine-tuning"


def finetune_run(
    run_path: str,
    data_path: str | Path,
    task: str,
    protocol: Protocol,
    settings: FineTuning,
    *,
    preset: str | None = None,
    with_scratch: bool = True,
    split_path: str | Path | None = None,
) -> tuple[dict[str, Any], Split]:
    """Train whole networks on one task, from the encoder of a run and from scratch, on the same draws of labels.

    Args:
        run_path: a run directory, or ``random`` for training from scratch alone, with the encoder of ``preset``.
        data_path, task, preset, split_path: as for `RunOnData.open`.
        protocol: numbers of labels, draws, seeds, parts and resamples; its heads are not used.
        settings: the constants of fine-tuning.
        with_scratch: train from scratch beside the run.

    Returns:
        The result, and the division that it is of.

    Raises:
        InputError: as `RunOnData.open`; the encoder is not that of its settings; training does not converge.
    """
    judged = RunOnData.open(run_path, data_path, task, protocol, preset, split_path)
    config, split = judged.config, judged.split
    network = Network.of(config, split.targets)
    windows = RecordingWindows(judged.data, split.ids, config.window_samples)
    fits: dict[str, Fit] = {}
    encoders: dict[str, dict[str, str]] = {}
    if judged.run is not None:
        pretrained = _pretrained(judged.run, network)
        name = f"{METHOD_NAMES.get(config.method, config.method)}, fine-tuned"
        encoders["trained"] = {"name": name, "sha256": _identity(pretrained, settings)}
        weights = list(pretrained.get_weights())
        fits["trained"] = fine_tuning(network, windows, split, lambda _: weights, settings.encoder_rate, settings)
    if with_scratch or judged.run is None:
        first = random_encoder(config, protocol.seed)
        encoders["scratch"] = {"name": "from scratch", "sha256": _identity(first, settings)}
        fits["scratch"] = fine_tuning(network, windows, split, random_start(config), settings.scratch_rate, settings)
    with tqdm(total=draws_of(split, protocol) * len(fits), desc="training networks", unit="fit", disable=None) as bar:
        evaluations = {name: evaluate(fit, split, protocol, bar.update) for name, fit in fits.items()}
    stated = judged.stated(KIND, protocol)
    told = {"fine_tuning": dataclasses.asdict(settings), "encoders": encoders}
    return stated | told | compare(evaluations, protocol), split


def _pretrained(run: Run, network: Network) -> keras.Model:
    """The encoder of a run, which must have the weights that the network can take."""
    encoder = run.encoder()
    if [weight.shape for weight in encoder.weights] != [weight.shape for weight in network.encoder.weights]:
        raise InputError(
            f"{run.path / ENCODER_FILE}: is not the network that its config.json describes, pretrain again"
        )
    return encoder


def _identity(encoder: keras.Model, settings: FineTuning) -> str:
    stated = json.dumps([KIND, weights_sha256(encoder), dataclasses.asdict(settings)])
    return hashlib.sha256(stated.encode()).hexdigest()
