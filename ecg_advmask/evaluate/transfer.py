"""Linear evaluation of a run on a data set, from two folders to one result with everything needed to judge it.

Out: a dictionary of plain values, written as JSON by ``ecg-advmask linear-eval`` and read by ``ecg_advmask.report``,
and the division of the recordings and a head to keep, written beside it.
"""

from pathlib import Path
from typing import Any, Final

import keras

from ecg_advmask.evaluate.head_file import LinearHead
from ecg_advmask.evaluate.linear import head_to_keep, linear_evaluation
from ecg_advmask.evaluate.partition import Split
from ecg_advmask.evaluate.protocol import Protocol
from ecg_advmask.evaluate.run_data import RunOnData
from ecg_advmask.models.weights import weights_sha256
from ecg_advmask.pretrain.run import random_encoder

KIND: Final = "linear evaluation"
METHOD_NAMES: Final = {"advmask": "Adv Mask", "simclr": "SimCLR"}


def evaluate_run(
    run_path: str,
    data_path: str | Path,
    task: str,
    protocol: Protocol,
    *,
    preset: str | None = None,
    with_random: bool = True,
    split_path: str | Path | None = None,
) -> tuple[dict[str, Any], Split, LinearHead]:
    """Judge the frozen encoder of a run on one task, beside an untrained encoder of the same shape.

    Args:
        run_path, data_path, task, preset, split_path: as `RunOnData.open` takes them.
        protocol: the constants of the evaluation.
        with_random: test the untrained encoder beside the trained one.

    Returns:
        The result, the division that it is of, and the head that was fitted on the most labels of the first encoder.

    Raises:
        InputError: a folder is not what it should be, the two or the stored division do not fit, or there are too few
            labels.
    """
    judged = RunOnData.open(run_path, data_path, task, protocol, preset, split_path)
    encoders: dict[str, keras.Model] = {} if judged.run is None else {"trained": judged.run.encoder()}
    if with_random or judged.run is None:
        encoders["random"] = random_encoder(judged.config, protocol.seed)
    embeddings = {name: judged.embeddings(encoder) for name, encoder in encoders.items()}
    names = {"trained": METHOD_NAMES.get(judged.config.method, judged.config.method), "random": "untrained"}
    described = {name: {"name": names[name], "sha256": weights_sha256(encoder)} for name, encoder in encoders.items()}
    figures = linear_evaluation(embeddings, judged.split, protocol)
    first = next(iter(encoders))
    head = head_to_keep(embeddings[first], judged.split, protocol, described[first]["sha256"])
    return judged.stated(KIND, protocol) | {"encoders": described} | figures, judged.split, head
