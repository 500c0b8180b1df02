"""The pretraining loop: a data set and settings in, a run directory out; an interrupted run can be continued."""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ecg_advmask.config import Config
from ecg_advmask.data.batches import input_errors, pretraining_batches, pretraining_rows
from ecg_advmask.data.dataset import DataSet
from ecg_advmask.errors import InputError
from ecg_advmask.files import room_errors
from ecg_advmask.models import devices
from ecg_advmask.models.resnet import projector, resnet18_1d
from ecg_advmask.models.unet import spectral_adversary, unet1d
from ecg_advmask.pretrain import checkpoints, distribute
from ecg_advmask.pretrain.advmask import AdvMask
from ecg_advmask.pretrain.callbacks import (
    CheckpointCallback,
    DrawMasks,
    Events,
    FiniteCallback,
    LastUpdate,
    NotFiniteError,
    Pictures,
    Progress,
)
from ecg_advmask.pretrain.checkpoints import continued, restored
from ecg_advmask.pretrain.history import History
from ecg_advmask.pretrain.probe import Probe, Probing, best_epoch, should_stop
from ecg_advmask.pretrain.run import CHECKPOINTS, ENCODER_FILE, Run, is_started, locked_run
from ecg_advmask.pretrain.simclr import SimCLR

# ---- Settings in, a model ready to train out.


def build(config: Config) -> SimCLR:
    """The model of these settings: their networks, initialised by their seed, with their objective, compiled."""
    keras.utils.set_random_seed(config.seed)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(devices.dtype_policy(config.mixed_precision))
    try:  # initial weights depend on the order in which networks are made
        encoder = resnet18_1d(config.encoder_width, config.embedding_dim)
        head = projector(config.embedding_dim, config.projection_hidden, config.projection_dim)
        if config.method == "advmask":
            model: SimCLR = AdvMask(encoder, adversary(config), head, config=config)
        else:
            model = SimCLR(encoder, head, config=config)
    finally:
        keras.config.set_dtype_policy(policy)  # it counts when layers are made
    model.compile()
    return model


def adversary(config: Config) -> keras.Model:
    """The U-Net of these settings, whose masks are in their domain, initialised."""
    width, depth, masks, kind = config.adversary_width, config.adversary_depth, config.masks, config.mask_activation
    if config.mask_domain == "time":
        return unet1d(width, depth, masks, activation=kind)
    hop = config.mask_hop_samples
    unet = unet1d(width, depth, (hop + 1) * masks, activation="linear", name="unet")
    return spectral_adversary(unet, config.view_samples, hop, masks, kind)


def pretrain(
    data: DataSet,
    path: str | Path,
    config: Config,
    *,
    resume: bool = False,
    draw_masks: DrawMasks | None = None,
    log: Callable[[str], None] = print,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Run:
    """Pretrain an encoder on a data set, or continue a run that was interrupted.

    In the scope of a strategy of ``tf.distribute`` it trains on all the devices of that. If they are those of several
    machines, the first one calls this, and the others `follow`.

    Args:
        data: windows of the rate that the settings state, and of their length or longer.
        path: the run directory; it must not exist, unless ``resume``.
        config: the settings; with ``resume`` they must be those of the run, but for more ``epochs``.
        resume: continue after the last finished epoch, if the run was started; else start it.
        draw_masks: called with a few fixed recordings and their masks, every ``pictures_every`` epochs and at the end.
        say: receives lines for the user.
        callbacks: called at the end of every epoch, after its checkpoint is written.

    Returns:
        The finished run.

    Raises:
        InputError: data set, settings and directory do not go together, another process pretrains in it, a shard was
            altered, the loss is no longer finite, the disk is full, or another machine was lost; what is finished is
            kept.
    """
    rows, copies = pretraining_rows(data, config)
    resumes = resume and is_started(path)
    if resumes:  # refuses, if it does, before networks are built
        run = continued(path, config, data)
        config, rows = run.config, seen_rows(data, run)
    else:
        config = _settled(config)
    steps = _steps(data, rows, config)
    data.verify_shards()  # a damaged one is found before the run directory is made
    model = _model(config, rows)
    probe = Probe(data, rows, config) if config.probe_tasks else None
    with locked_run(path), room_errors(Path(path), "continue with --resume"):
        run = continued(path, config, data) if resumes else Run.create(path, config, data, rows)
        if resumes:
            run.write_config()
        finished = restored(run, model, log)
        history = History.of(run.path, finished)
        checkpoints.prune(run.path / CHECKPOINTS, config.keep_checkpoints, best_epoch(run.probed()))
        over = finished > 0 and should_stop(run, run.probed(), finished)
        distribute.begin_together(model.state, run.epochs if over else finished, _fingerprint(data, rows, config))
        if over:
            _end_again(run, model, finished, log)
            return run
        if copies:
            log(f"left out {copies} windows of copies: recordings whose signal another one has as well")
        if config.positives == "patient" and not repeats_patients(data, rows):
            log("positives=patient: no patient has several recordings, so this is the same as positives=recording")
        log(f"{len(rows)} windows, {steps} steps per epoch, epochs {finished + 1} to {run.epochs}")
        log(_how(config))
        probing = Probing(probe, run) if probe else None
        progress = Progress(steps, config.updates_of(len(rows)), log)
        pictures = [Pictures(run, data, rows, draw_masks)] if draw_masks and config.method == "advmask" else []
        # The checkpoint makes an epoch count: what belongs to the epoch is written before it, other callbacks follow.
        checkpoint = CheckpointCallback(run, history, probing)
        kept = [*([probing] if probing else []), progress, Events(run), *pictures, checkpoint]
        try:
            with contextlib.closing(progress):
                _fit(model, data, rows, finished, [FiniteCallback(run), *kept, *callbacks])
        except NotFiniteError:
            if not checkpoints.found(run.path / CHECKPOINTS):
                run.discard()
            raise
    return run


def follow(data: DataSet, config: Config) -> None:
    """What every machine but the first does in a run on several: the same steps, and nothing is written.

    Args:
        data: the same data set as the first machine's.
        config: the same settings.

    Raises:
        InputError: data set and settings do not go together, or are not those of the first machine, or that was lost.
    """
    config = _settled(config)
    rows, _ = pretraining_rows(data, config)
    _steps(data, rows, config)
    model = _model(config, rows)
    finished = distribute.begin_together(model.state, 0, _fingerprint(data, rows, config))
    if finished < config.epochs_of(len(rows)):
        _fit(model, data, rows, finished, [])


def _settled(config: Config) -> Config:
    """The settings with a yes or no for the precision, which a run keeps wherever it is resumed."""
    return dataclasses.replace(config, mixed_precision=devices.precision_of(config.mixed_precision))


def _how(config: Config) -> str:
    """The line that says on what a run computes, in which precision, and whether XLA compiles it."""
    count = distribute.count()
    parts = [f"computes on {devices.description(count)}", "in bfloat16" if config.mixed_precision else "in float32"]
    if count > 1:
        parts.append(f"{config.batch_size // count} recordings of every batch on each of {count} devices, not compiled")
    else:
        parts.append("compiled by XLA, for which the first step waits" if config.jit_compile else "not compiled")
    return ", ".join(parts)


def _model(config: Config, rows: npt.NDArray[np.int64]) -> SimCLR:
    """The model of these settings, which knows the number of its updates on these rows."""
    return build(dataclasses.replace(config, updates=config.updates_of(len(rows))))


def _fit(
    model: SimCLR,
    data: DataSet,
    rows: npt.NDArray[np.int64],
    finished: int,
    callbacks: Sequence[keras.callbacks.Callback],
) -> None:
    """Train from the epoch after the ``finished`` ones to the last, or until the first machine ends it."""
    config, steps = model.config, _steps(data, rows, model.config)
    ending: list[keras.callbacks.Callback] = [LastUpdate(steps, config.updates_of(len(rows)))]
    if distribute.are_several():
        ending.append(distribute.StopTogether())

    def batches_at(places: npt.NDArray[np.int64] | None) -> tf.data.Dataset:
        return pretraining_batches(data, config, rows=rows, first_epoch=finished, places=places)

    with input_errors(), distribute.lost_machines():
        model.fit(
            distribute.shared_out(batches_at, config.batch_size, config.accumulation),
            initial_epoch=finished,
            epochs=config.epochs_of(len(rows)),
            steps_per_epoch=steps,
            verbose=0,
            shuffle=False,  # the stream has done it
            callbacks=[*callbacks, *ending],
        )


def _steps(data: DataSet, rows: npt.NDArray[np.int64], config: Config) -> int:
    """Training steps of an epoch, at least one."""
    distribute.check_divisible(config.batch_size)
    steps = config.steps_of(len(rows))
    if steps == 0:
        raise InputError(
            f"{data.path}: {len(rows)} windows to pretrain on, fewer than the "
            f"{config.batch_size * config.accumulation} of one step; lower batch_size or accumulation"
        )
    return steps


def _fingerprint(data: DataSet, rows: npt.NDArray[np.int64], config: Config) -> str:
    """What is the same on all the machines of a run."""
    return json.dumps([data.sha256, sha256(rows.tobytes()).hexdigest(), config.as_dict()], sort_keys=True)


def _end_again(run: Run, model: SimCLR, finished: int, log: Callable[[str], None]) -> None:
    """Say how a run has ended; networks that were lost are taken from the checkpoint of their epoch."""
    best = best_epoch(run.probed())
    if not (run.path / ENCODER_FILE).is_file():
        epoch = best if run.config.patience else finished
        checkpoints.restore(checkpoints.path_of(run.path / CHECKPOINTS, epoch), model.state)
        run.save(model)
        log(f"{run.path}: wrote the networks again from the checkpoint of epoch {epoch}")
    if finished >= run.epochs:
        log(f"{run.path}: all {run.epochs} epochs are finished already")
    else:
        log(f"{run.path}: stopped after epoch {finished}, the probe was best after epoch {best}")


def seen_rows(data: DataSet, run: Run) -> npt.NDArray[np.int64]:
    """Rows of the windows that a run was started on, (n,), as it lists them: `pretraining_rows` of the version that
    started it may have divided patients otherwise."""
    return np.flatnonzero(data.records["id"].isin(run.seen()["id"]))


def repeats_patients(data: DataSet, rows: npt.NDArray[np.int64]) -> bool:
    """Whether any patient has several recordings among these rows."""
    pairs = data.records.iloc[rows][["patient", "id"]].drop_duplicates()
    return bool(pairs["patient"].duplicated().any())
