"""Linear evaluation of a run on a data set, from two folders to one result with everything needed to judge it.

Out: a dictionary of plain values, written as JSON by ``ecg-advmask linear-eval`` and read by ``ecg_advmask.report``,
and the division of the recordings, written beside it.
"""

import dataclasses
from pathlib import Path
from typing import Any, Final

import keras

from ecg_advmask.config import Config, load
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.account import describe
from ecg_advmask.evaluate.eligibility import account_of, labelled, recordings_of, windows_of
from ecg_advmask.evaluate.embeddings import average_over_windows, cached_embeddings
from ecg_advmask.evaluate.linear import Protocol, linear_evaluation
from ecg_advmask.evaluate.partition import PARTS, Split, split_recordings
from ecg_advmask.evaluate.stored_split import stored_parts
from ecg_advmask.files import sha256_of
from ecg_advmask.models.weights import weights_sha256
from ecg_advmask.pipeline.shards import DataSet
from ecg_advmask.pretrain.run import Run, random_encoder
from ecg_advmask.versions import versions

FORMAT_VERSION: Final = 1
METHOD_NAMES: Final = {"advmask": "Adv Mask", "simclr": "SimCLR"}
_PACKAGES = ("numpy", "pandas", "scikit-learn", "keras", "tensorflow")


def evaluate_run(
    run_path: str,
    data_path: str | Path,
    task: str,
    protocol: Protocol,
    *,
    preset: str | None = None,
    with_random: bool = True,
    split_path: str | Path | None = None,
) -> tuple[dict[str, Any], Split]:
    """Judge the frozen encoder of a run on one task, beside an untrained encoder of the same shape.

    Args:
        run_path: a run directory, or ``random`` for an untrained encoder of ``preset`` alone.
        data_path: a data set directory with the sampling rate of the run, and windows as long or longer.
        task: a column of the data set's labels, or a name in ``ecg_advmask.datasets.targets.TASKS``.
        protocol: the constants of the evaluation.
        preset: the preset of the untrained encoder; only with ``random``.
        with_random: test the untrained encoder beside the trained one.
        split_path: a division that an earlier evaluation stored; by default one is made of the recordings that the
            encoder has not seen. A stored one may train the head on recordings that the encoder has seen, but never
            test it on them.

    Returns:
        The result, and the division that it is of.

    Raises:
        InputError: a folder is not what it should be, the two or the stored division do not fit, or there are too few
            labels.
    """
    run = None if run_path == "random" else Run.open(Path(run_path))
    if (run is None) != (preset is not None):
        raise InputError(f"{run_path}: --preset goes with RUN = random, and RUN = random needs it")
    config = load(preset) if run is None else run.config
    data = DataSet.open(Path(data_path))
    check_fit(config, data, run_path)

    recordings = recordings_of(data.records, None if run is None else run.seen())
    targets = labelled(task, recordings, data.labels, data.path)
    if split_path is None:
        used = (~recordings["seen"] & ~recordings["copy"]).to_numpy(bool) & targets.known
    else:
        parts = stored_parts(split_path, recordings, targets)
        used = parts != ""
    ids, people = (recordings[name].to_numpy(object)[used] for name in ("key", "person"))
    if split_path is None:
        split = split_recordings(ids, targets.take(used), people, protocol.shares, protocol.split_seed)
    else:
        split = Split.of(ids, targets.take(used), people, parts[used])
    # The same recordings for every task, where nothing else is asked for, so that their embeddings are computed once.
    embedded = (~recordings["seen"] & ~recordings["copy"]).to_numpy(bool) | used
    windows, recording_of_window = windows_of(data.records, recordings["key"].to_numpy(object)[embedded])

    encoders: dict[str, keras.Model] = {} if run is None else {"trained": run.encoder()}
    if with_random or run is None:
        encoders["random"] = random_encoder(config, protocol.seed)
    folder = None if run is None else run.path / "embeddings"
    embeddings = {
        name: average_over_windows(
            cached_embeddings(folder, encoder, data, windows, samples=config.window_samples), recording_of_window
        )[used[embedded]]
        for name, encoder in encoders.items()
    }
    names = {"trained": METHOD_NAMES.get(config.method, config.method), "random": "untrained"}
    result = {
        "format_version": FORMAT_VERSION,
        "kind": "linear evaluation",
        "task": task,
        "classes": list(split.targets.names),
        "dataset": describe(data),
        "run": {"path": run_path, "preset": config.preset, "method": config.method},
        "encoders": {
            name: {"name": names[name], "sha256": weights_sha256(encoder)} for name, encoder in encoders.items()
        },
        "counts": account_of(recordings, targets, split, len(data.records)),
        "split": None if split_path is None else {"path": str(split_path), "sha256": sha256_of(split_path)},
        "sha256_of_ids": {part: split.digest(part) for part in PARTS},
        "protocol": dataclasses.asdict(protocol),
        **linear_evaluation(embeddings, split, protocol),
        "versions": versions(_PACKAGES),
    }
    return result, split


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
