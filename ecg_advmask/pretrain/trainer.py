"""The pretraining loop: a data set and settings in, a run directory out; an interrupted run goes on where it was."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd

from ecg_advmask.config import Config
from ecg_advmask.datasets.splits import split_by_patient
from ecg_advmask.errors import InputError
from ecg_advmask.files import room_errors
from ecg_advmask.pipeline.shards import DataSet
from ecg_advmask.pipeline.stream import input_errors, steps_per_epoch, stream
from ecg_advmask.pretrain import checkpoints
from ecg_advmask.pretrain.advmask import AdvMask
from ecg_advmask.pretrain.callbacks import DrawMasks, Events, Keeper, Pictures, Progress
from ecg_advmask.pretrain.ending import best_epoch, is_over
from ecg_advmask.pretrain.history import History
from ecg_advmask.pretrain.lock import held
from ecg_advmask.pretrain.probe import Probe, Probing
from ecg_advmask.pretrain.resume import continued, restored
from ecg_advmask.pretrain.run import CHECKPOINTS, ENCODER_FILE, Run, is_begun
from ecg_advmask.pretrain.simclr import SimCLR

SPLIT_SEED: Final = 2022
"""The division into pretraining and unseen patients does not move with the seed of a run."""


def pretrain(
    data: DataSet,
    path: str | Path,
    config: Config,
    *,
    resume: bool = False,
    draw_masks: DrawMasks | None = None,
    say: Callable[[str], None] = print,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Run:
    """Pretrain an encoder on a data set, or go on with a run that was interrupted.

    Args:
        data: windows of the rate that the settings state, and of their length or longer.
        path: the run directory; it must not exist, unless ``resume``.
        config: the settings; with ``resume`` they must be those of the run, but for more ``epochs``.
        resume: continue after the last finished epoch, if the run has begun; else begin it.
        draw_masks: called with a few fixed recordings and their masks, every ``pictures_every`` epochs and at the end.
        say: receives lines for the user.
        callbacks: told of every epoch after it is kept.

    Returns:
        The finished run.

    Raises:
        InputError: data set, settings and directory do not go together, another process pretrains in it, a shard was
            altered, or the disk is full; what is finished is kept.
    """
    _check_fit(data, config)
    rows, copies = pretraining_rows(data, config)
    steps = steps_per_epoch(len(rows), config.batch_size * config.accumulation)
    if steps == 0:
        raise InputError(
            f"{data.path}: {len(rows)} windows to pretrain on, fewer than the "
            f"{config.batch_size * config.accumulation} of one step; lower batch_size or accumulation"
        )
    resumes = resume and is_begun(path)
    if resumes:
        continued(path, config, data)  # refuses, if it does, before networks are built
    model = build(config)
    probe = Probe(data, rows, config) if config.probe_tasks else None
    with held(path), room_errors(Path(path), "go on with --resume"):
        run = continued(path, config, data) if resumes else Run.create(path, config, data, rows)
        if resumes:
            run.write_config()
        finished = restored(run, model, say)
        history = History.of(run.path, finished)
        checkpoints.prune(run.path / CHECKPOINTS, config.keep_checkpoints, best_epoch(run.probed()))
        if finished and is_over(config, run.probed(), finished):
            _end_again(run, model, finished, say)
            return run
        if copies:
            say(f"left out {copies} windows of copies: recordings whose signal another one has as well")
        say(f"{len(rows)} windows, {steps} steps per epoch, epochs {finished + 1} to {config.epochs}")
        if config.jit_compile:
            say("the first step waits for XLA to compile")
        batches = stream(
            data,
            config.batch_size * config.accumulation,
            seed=config.seed,
            first_epoch=finished,
            epochs=config.epochs,
            rows=rows,
            samples=config.window_samples,
            patients=pd.factorize(data.records["patient"])[0] if config.positives == "patient" else None,
        )
        probing = Probing(probe, config, run.probed()) if probe else None
        progress = Progress(steps, say)
        pictures = [Pictures(run, data, rows, draw_masks)] if draw_masks and config.method == "advmask" else []
        # Keeper makes an epoch count: what belongs to the epoch is written before it, and whom it told comes after.
        kept = [*([probing] if probing else []), progress, Events(run), *pictures, Keeper(run, history, probing)]
        with input_errors(), contextlib.closing(progress):
            model.fit(
                batches,
                initial_epoch=finished,
                epochs=config.epochs,
                steps_per_epoch=steps,
                verbose=0,
                shuffle=False,  # the stream has done it
                callbacks=[*kept, *callbacks],
            )
    return run


def _end_again(run: Run, model: SimCLR, finished: int, say: Callable[[str], None]) -> None:
    """Say how a run has ended; networks that were lost are taken from the checkpoint of their epoch."""
    best = best_epoch(run.probed())
    if not (run.path / ENCODER_FILE).is_file():
        epoch = best if run.config.patience else finished
        checkpoints.restore(checkpoints.path_of(run.path / CHECKPOINTS, epoch), model.state)
        run.save(model)
        say(f"{run.path}: wrote the networks again from the checkpoint of epoch {epoch}")
    if finished >= run.config.epochs:
        say(f"{run.path}: all {run.config.epochs} epochs are finished already")
    else:
        say(f"{run.path}: stopped after epoch {finished}, the probe was best after epoch {best}")


def build(config: Config) -> SimCLR:
    """The model of these settings, initialised by their seed and compiled, its optimizers' state made."""
    keras.utils.set_random_seed(config.seed)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if config.mixed_precision else "float32")
    try:
        model = (AdvMask if config.method == "advmask" else SimCLR)(config)
    finally:
        keras.config.set_dtype_policy(policy)  # it counts when layers are made
    optimizers = {"optimizer": _adam(config.learning_rate)}
    if config.method == "advmask":
        rate = config.adversary_learning_rate
        steps = config.adversary_decay_steps
        optimizers["adversary_optimizer"] = _adam(
            keras.optimizers.schedules.CosineDecay(rate, steps) if steps else rate
        )
    model.compile(**optimizers, jit_compile=config.jit_compile)
    model.build_optimizers()
    return model


def pretraining_rows(data: DataSet, config: Config) -> tuple[npt.NDArray[np.int64], int]:
    """Rows of the windows that these settings pretrain on: of all patients, or of a seeded share of them.

    A recording that is an exact copy of another one is left out: the two would be contrasted with each other.

    Returns:
        The rows (n,), in order, and the number of windows left out as those of copies.
    """
    chosen = np.full(data.windows, True)
    if config.pretraining_share < 1.0:
        shares = {"pretraining": config.pretraining_share, "unseen": 1.0 - config.pretraining_share}
        patients = data.records["patient"].tolist()
        chosen = split_by_patient(patients, [None] * len(patients), shares, SPLIT_SEED) == "pretraining"
    is_copy = (data.records["duplicate_of"] != "").to_numpy(bool)
    return np.flatnonzero(chosen & ~is_copy), int((chosen & is_copy).sum())


def _adam(learning_rate: Any) -> keras.optimizers.Optimizer:
    return keras.optimizers.Adam(learning_rate, epsilon=1e-8)


def _check_fit(data: DataSet, config: Config) -> None:
    if data.sampling_rate_hz != config.sampling_rate_hz:
        raise InputError(
            f"{data.path}: sampling rate is {data.sampling_rate_hz} Hz, the settings say {config.sampling_rate_hz}; "
            "prepare the data set for them, or change sampling_rate_hz"
        )
    if data.window_samples < config.window_samples:
        raise InputError(
            f"{data.path}: windows have {data.window_samples} samples, the settings want {config.window_samples}; "
            "prepare the data set with longer ones, or lower window_seconds"
        )
