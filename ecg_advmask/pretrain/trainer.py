"""The pretraining loop: a data set and settings in, a run directory out; an interrupted run goes on where it was."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tqdm import tqdm

from ecg_advmask.config import Config
from ecg_advmask.datasets.splits import split_by_patient
from ecg_advmask.errors import InputError
from ecg_advmask.files import write_csv
from ecg_advmask.pipeline.shards import DataSet
from ecg_advmask.pipeline.stream import steps_per_epoch, stream
from ecg_advmask.pretrain import checkpoints
from ecg_advmask.pretrain.advmask import AdvMask
from ecg_advmask.pretrain.run import HISTORY_FILE, Run
from ecg_advmask.pretrain.simclr import SimCLR
from ecg_advmask.scaling import scale_to_unit

DrawMasks = Callable[[Path, npt.NDArray[np.float32], npt.NDArray[np.float32], int, str], None]
"""(file, signals_mv (L, 12), masks (L, N), sampling_rate_hz, title): writes a picture."""

PICTURED_RECORDINGS: Final = 3
LEAST_AREA: Final = 0.02
"""Masks that cover less than this share of a recording, or all but this share, have stopped being a game."""
LEAST_SPREAD: Final = 0.05
"""Embeddings that spread less than this (1 is isotropic) have collapsed."""


def pretrain(
    data: DataSet,
    path: str | Path,
    config: Config,
    *,
    resume: bool = False,
    draw_masks: DrawMasks | None = None,
    say: Callable[[str], None] = print,
) -> Run:
    """Pretrain an encoder on a data set, or go on with a run that was interrupted.

    Args:
        data: windows of the rate and length that the settings state.
        path: the run directory; it must not exist, unless ``resume``.
        config: the settings; with ``resume`` they must be those of the run, but for more ``epochs``.
        resume: continue after the last finished epoch.
        draw_masks: called with a few fixed recordings and their masks, every ``pictures_every`` epochs and at the end.
        say: receives lines for the user.

    Returns:
        The finished run.

    Raises:
        InputError: data set, settings and directory do not go together.
    """
    _check_fit(data, config)
    rows = pretraining_rows(data, config)
    steps = steps_per_epoch(len(rows), config.batch_size * config.accumulation)
    if steps == 0:
        raise InputError(
            f"{data.path}: {len(rows)} windows to pretrain on, fewer than the "
            f"{config.batch_size * config.accumulation} of one step; lower batch_size or accumulation"
        )
    model = build(config)
    run = _continued(path, config, data) if resume else Run.create(path, config, data, rows)
    finished = _restore_last(run, model)
    if finished >= config.epochs:
        say(f"{run.path}: all {config.epochs} epochs are finished already")
        return run
    say(f"{len(rows)} windows, {steps} steps per epoch, epochs {finished + 1} to {config.epochs}")
    model.fit(
        stream(
            data,
            config.batch_size * config.accumulation,
            seed=config.seed,
            first_epoch=finished,
            epochs=config.epochs,
            rows=rows,
        ),
        initial_epoch=finished,
        epochs=config.epochs,
        steps_per_epoch=steps,
        verbose=0,
        shuffle=False,  # the stream has done it
        callbacks=[
            _Progress(steps, say),
            _Keeper(run),
            keras.callbacks.TensorBoard(run.path / "tensorboard", write_graph=False),
            *([_Pictures(run, data, rows, draw_masks)] if draw_masks and config.method == "advmask" else []),
        ],
    )
    return run


def build(config: Config) -> SimCLR:
    """The model of these settings, initialised by their seed and compiled, its optimizers' state made."""
    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy("mixed_bfloat16" if config.mixed_precision else "float32")
    model: SimCLR
    if config.method == "advmask":
        model = AdvMask(config)
        model.compile(
            optimizer=_adam(config.learning_rate),
            adversary_optimizer=_adam(config.adversary_learning_rate),
            jit_compile=config.jit_compile,
        )
    else:
        model = SimCLR(config)
        model.compile(optimizer=_adam(config.learning_rate), jit_compile=config.jit_compile)
    model.build_optimizers()
    return model


def pretraining_rows(data: DataSet, config: Config) -> npt.NDArray[np.int64]:
    """Rows of the windows that these settings pretrain on: all, or those of a seeded share of the patients."""
    if config.pretraining_share == 1.0:
        return np.arange(len(data.records))
    shares = {"pretraining": config.pretraining_share, "unseen": 1.0 - config.pretraining_share}
    patients = data.records["patient"].tolist()
    parts = split_by_patient(patients, [None] * len(patients), shares, SPLIT_SEED)
    return np.flatnonzero(parts == "pretraining")


SPLIT_SEED: Final = 2022
"""The division into pretraining and unseen patients does not move with the seed of a run."""


def _adam(learning_rate: float) -> keras.optimizers.Optimizer:
    return keras.optimizers.Adam(learning_rate, epsilon=1e-8)


def _check_fit(data: DataSet, config: Config) -> None:
    for name, held, wanted in (
        ("sampling rate (Hz)", data.sampling_rate_hz, config.sampling_rate_hz),
        ("window (samples)", data.window_samples, config.window_samples),
    ):
        if held != wanted:
            raise InputError(
                f"{data.path}: {name} is {held}, the settings say {wanted}; prepare the data set for them, or change "
                "sampling_rate_hz and window_seconds"
            )


def _continued(path: str | Path, config: Config, data: DataSet) -> Run:
    """The run to go on with, if it is one of these settings on this data."""
    run = Run.open(path)
    if run.dataset.get("sha256") != data.sha256:
        raise InputError(f"{run.path}: was begun on another data set ({run.dataset.get('path')}) than {data.path}")
    begun, now = run.config.as_dict(), config.as_dict()
    changed = [f"{key} {begun[key]} -> {now[key]}" for key in begun if begun[key] != now[key] and key != "epochs"]
    if changed:
        raise InputError(f"{run.path}: cannot be resumed with other settings ({', '.join(changed)}); start a new run")
    continued = dataclasses.replace(run, config=config)
    continued.write_config()
    return continued


def _restore_last(run: Run, model: SimCLR) -> int:
    """Bring the model to the newest checkpoint, if there is one; the number of epochs that are finished."""
    saved = checkpoints.found(run.path / "checkpoints")
    return checkpoints.restore(saved[-1], model.state) if saved else 0


class _Keeper(keras.callbacks.Callback):  # type: ignore[misc]
    """After every epoch: the history, the networks, and last the checkpoint, which makes the epoch count."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run
        self.rows = cast("list[dict[str, Any]]", run.history().to_dict("records"))
        self.began = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        self.began = time.perf_counter()
        self.rows = [row for row in self.rows if row["epoch"] <= epoch]  # a killed run may have written one more

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        averages = logs or {}
        values = {name: float(f"{float(averages[name]):.6g}") for name in self.model.tracked}
        self.rows.append({"epoch": epoch + 1, **values, "seconds": round(time.perf_counter() - self.began, 2)})
        write_csv(self.run.path / HISTORY_FILE, list(self.rows[-1]), self.rows)
        self.run.save(self.model)
        keep = self.run.config.keep_checkpoints
        checkpoints.save(self.run.path / "checkpoints", epoch + 1, self.model.state, keep)


class _Progress(keras.callbacks.Callback):  # type: ignore[misc]
    """A bar over the steps of the whole run, a line per epoch, and a warning when the game is lost."""

    def __init__(self, steps: int, say: Callable[[str], None]) -> None:
        super().__init__()
        self.steps, self.say = steps, say
        self.bar: Any = None
        self.warned: set[str] = set()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        if self.bar is None:
            total = self.params["epochs"] * self.steps
            self.bar = tqdm(total=total, initial=epoch * self.steps, unit="step", desc="pretrain", mininterval=1.0)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        self.bar.update()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        averages = logs or {}
        values = {name: float(averages[name]) for name in self.model.tracked}
        described = "  ".join(f"{name} {value:.3f}" for name, value in values.items())
        self.bar.clear()
        self.say(f"epoch {epoch + 1}/{self.params['epochs']}  {described}")
        for warning in troubles(values) - self.warned:
            self.say(f"warning: {warning}")
            self.warned.add(warning)

    def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002
        self.bar.close()


def troubles(logs: dict[str, float]) -> set[str]:
    """What has gone wrong with the game in an epoch with these averages; empty while it is healthy."""
    area = logs.get("mask_area", 0.5)
    found = {
        f"the masks have vanished (mean area below {LEAST_AREA}); raise alpha": area < LEAST_AREA,
        f"the masks cover everything (mean area above {1 - LEAST_AREA}); raise alpha": area > 1 - LEAST_AREA,
        f"the embeddings have collapsed (spread below {LEAST_SPREAD}); lower adversary_learning_rate": (
            logs["embedding_std"] < LEAST_SPREAD
        ),
    }
    return {text for text, present in found.items() if present}


class _Pictures(keras.callbacks.Callback):  # type: ignore[misc]
    """Masks of a few fixed recordings, drawn as the training goes."""

    def __init__(self, run: Run, data: DataSet, rows: npt.NDArray[np.int64], draw: DrawMasks) -> None:
        super().__init__()
        self.run, self.draw = run, draw
        chosen = rows[np.linspace(0, len(rows) - 1, PICTURED_RECORDINGS).astype(int)]
        self.ids = data.records.iloc[chosen]["id"].tolist()
        self.signals_mv = data.signals_mv(chosen)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        config = self.run.config
        every = config.pictures_every
        if epoch + 1 < config.epochs and not (every and (epoch + 1) % every == 0):
            return
        views = scale_to_unit(tf.constant(self.signals_mv[:, -config.view_samples :]))
        masks = keras.ops.convert_to_numpy(self.model.adversary(views, training=False))
        for name, signals_mv, mask in zip(self.ids, self.signals_mv, masks, strict=True):
            file = self.run.path / "masks" / f"epoch-{epoch + 1:04d}-{_as_file_name(name)}.png"
            title = f"{name}, epoch {epoch + 1}"
            self.draw(file, signals_mv[-config.view_samples :], mask, config.sampling_rate_hz, title)


def _as_file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)
