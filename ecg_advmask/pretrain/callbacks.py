"""Callbacks of a pretraining run: history, progress, warnings, pictures."""

import errno
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tqdm import tqdm

from ecg_advmask.config import Config
from ecg_advmask.data.dataset import DataSet
from ecg_advmask.data.order import middle_starts
from ecg_advmask.data.scaling import scale_to_unit
from ecg_advmask.errors import InputError
from ecg_advmask.files import in_file_name
from ecg_advmask.pretrain import checkpoints
from ecg_advmask.pretrain.history import History, stored
from ecg_advmask.pretrain.probe import Probing
from ecg_advmask.pretrain.run import CHECKPOINTS, MASKS, TENSORBOARD, Run

# ---- What can go wrong with the game, detected from the averages of an epoch.
#
# The thresholds were set before the game was mapped (`benchmarks/game_map.py`), and are not tuned to any run.

LEAST_COVER: Final = 0.02
MOST_COVER: Final = 0.9
"""Masks that occlude a smaller or larger share of all samples than these have stopped being a game."""
LEAST_SPREAD: Final = 0.05
"""Embeddings that spread less than this (1 is isotropic) have collapsed."""
NEAR_CHANCE: Final = 0.95
"""A contrastive loss above this share of its value for identical embeddings: recordings are not distinguished."""

_SLOWER: Final = "lower adversary_learning_rate"


def troubles(logs: Mapping[str, float], config: Config) -> dict[str, str]:
    """What has gone wrong in an epoch with these averages, by name, in words; empty while the game is healthy.

    The names: ``vanished`` and ``covered`` for the masks, ``collapsed`` for embeddings or loss. Without an adversary
    there is but the last.
    """
    found: dict[str, str] = {}
    if logs["embedding_std"] < LEAST_SPREAD:
        found["collapsed"] = f"the embeddings have collapsed (spread below {LEAST_SPREAD})"
    elif logs["loss"] > NEAR_CHANCE * config.chance_loss:
        found["collapsed"] = f"recordings are not distinguished (the loss is near {config.chance_loss:.2f}, chance)"
    if config.method != "advmask":
        return found
    found = {name: f"{text}; {_SLOWER}" for name, text in found.items()}
    if logs["mask_cover"] > MOST_COVER:
        found["covered"] = f"the masks cover nearly everything (more than {MOST_COVER:.0%}); {_SLOWER}"
    if logs["mask_cover"] < LEAST_COVER:
        found["vanished"] = f"the masks have vanished (they cover less than {LEAST_COVER:.0%})"
    return found


DrawMasks = Callable[
    [Path, npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32] | None, int, str, float], None
]
"""(file, signals_mv (L, 12), masks, remaining_mv, sampling_rate_hz, title, threshold): writes a picture.

In time, masks (L, N), which occlude above the threshold, and None; in the spectrum one binarised mask (frames, bins, 1
or 12) and what it leaves of the signals.
"""

PICTURED_RECORDINGS: Final = 3

_NO_ROOM: Final = {tf.errors.ResourceExhaustedError: errno.ENOSPC, tf.errors.OutOfRangeError: errno.EFBIG}
"""What TensorFlow's writers make of these errors of the system."""


class NotFiniteError(InputError):
    """A loss or a weight became infinite or NaN."""


class FiniteCallback(keras.callbacks.Callback):  # type: ignore[misc]
    """Ends a training whose loss or weights are no longer finite, before anything of that epoch is kept."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run, self.epoch = run, 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        self.epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        if not np.isfinite(logs["loss"]).all():
            self._stop("loss is")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        if not all(np.isfinite(keras.ops.convert_to_numpy(variable)).all() for variable in self.model.state):
            self._stop("weights are")

    def _stop(self, what: str) -> NoReturn:
        rates = "learning_rate" if self.run.config.method == "simclr" else "learning_rate or adversary_learning_rate"
        kept = f"epoch {self.epoch - 1} is kept" if self.epoch > 1 else "nothing is kept"
        where = f"{self.run.path}: the {what} not finite in epoch {self.epoch}"
        raise NotFiniteError(f"{where}, {kept}; start a new run with a lower {rates}")


class LastUpdate(keras.callbacks.Callback):  # type: ignore[misc]
    """Ends a training at its last update, which may be within an epoch."""

    def __init__(self, steps: int, updates: int) -> None:
        super().__init__()
        self.steps, self.updates = steps, updates
        self.last = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        self.last = self.updates - epoch * self.steps

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        if batch + 1 >= self.last:
            self.model.stop_training = True


class CheckpointCallback(keras.callbacks.Callback):  # type: ignore[misc]
    """After every epoch: the history, the networks, and last the checkpoint, which makes the epoch count.

    Of a run that a probe may stop, the networks kept are those of the epoch with the best probe; the checkpoint
    of that epoch is kept in any case. `ecg_advmask.pretrain.checkpoints` says what a kill in between leaves.
    """

    def __init__(self, run: Run, history: History, probing: Probing | None = None) -> None:
        super().__init__()
        self.run, self.history, self.probing = run, history, probing
        self.began = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        averages, config = logs or {}, self.run.config
        values: dict[str, Any] = {name: stored(averages[name]) for name in self.model.tracked}
        for name in self.probing.probe.names if self.probing else ():
            values[name] = stored(averages[name]) if name in averages else ""
        self.history.add(epoch + 1, values, time.perf_counter() - self.began)
        best = self.probing.best_epoch if self.probing else 0
        if not config.patience or best == epoch + 1:
            self.run.save(self.model)
        checkpoints.save(self.run.path / CHECKPOINTS, epoch + 1, self.model.state)
        checkpoints.prune(self.run.path / CHECKPOINTS, config.keep_checkpoints, best)


class Events(keras.callbacks.Callback):  # type: ignore[misc]
    """The averages of every epoch for TensorBoard, on disk before the epoch counts."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.folder = run.path / TENSORBOARD / "train"
        self.writer = tf.summary.create_file_writer(str(self.folder))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        try:
            with self.writer.as_default(step=epoch):
                for name, value in (logs or {}).items():
                    tf.summary.scalar(f"epoch_{name}", value)
            self.writer.flush()
        except tuple(_NO_ROOM) as error:
            number = _NO_ROOM[type(error)]
            raise OSError(number, os.strerror(number), str(self.folder)) from error

    def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002
        self.writer.close()


class Progress(keras.callbacks.Callback):  # type: ignore[misc]
    """A bar over the steps of the whole run, a line per epoch, and a warning when the game is lost."""

    def __init__(self, steps: int, updates: int, log: Callable[[str], None]) -> None:
        super().__init__()
        self.steps, self.updates, self.log = steps, updates, log
        self.bar: Any = None
        self.warned: set[str] = set()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        if self.bar is None:
            done = epoch * self.steps
            self.bar = tqdm(total=self.updates, initial=done, unit="step", desc="pretrain", mininterval=1.0)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        self.bar.update()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        averages = logs or {}
        probed = [name for name in averages if name.startswith("probe_")]
        values = {name: float(averages[name]) for name in [*self.model.tracked, *probed]}
        described = "  ".join(f"{name} {value:.3f}" for name, value in values.items())
        self.bar.clear()
        self.log(f"epoch {epoch + 1}/{self.params['epochs']}  {described}")
        found = troubles(values, self.model.config)
        for name in found.keys() - self.warned:
            self.log(f"warning: {found[name]}")
        self.warned |= found.keys()

    def close(self) -> None:
        """End the bar's line, also where an error ends the training: Keras does not call its callbacks then."""
        if self.bar is not None:
            self.bar.close()


class Pictures(keras.callbacks.Callback):  # type: ignore[misc]
    """Masks of a few fixed recordings, drawn as the training goes."""

    def __init__(self, run: Run, data: DataSet, rows: npt.NDArray[np.int64], draw: DrawMasks) -> None:
        super().__init__()
        self.run, self.draw = run, draw
        chosen = rows[np.linspace(0, len(rows) - 1, PICTURED_RECORDINGS).astype(int)]
        self.ids = data.records.iloc[chosen]["id"].tolist()
        samples = run.config.window_samples
        starts = middle_starts(data.valid_samples[chosen], samples)
        self.signals_mv = data.windows_uv(chosen, starts, samples) * np.float32(1e-3)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        config = self.run.config
        every = config.pictures_every
        if epoch + 1 < self.run.epochs and not (every and (epoch + 1) % every == 0):
            return
        views_mv = self.signals_mv[:, -config.view_samples :]
        masks = self.model.adversary(scale_to_unit(tf.constant(views_mv)), training=False)
        _, threshold = config.binarisation
        for number, drawn, remaining_mv in self._drawn(views_mv, masks):
            for row, name in enumerate(self.ids):
                file = f"epoch-{epoch + 1:04d}-{in_file_name(name)}" + (f"-mask-{number}" if number else "")
                title = f"{name}, epoch {epoch + 1}" + (f", mask {number}" if number else "")
                left_mv = None if remaining_mv is None else remaining_mv[row]
                path = self.run.path / MASKS / f"{file}.png"
                self.draw(path, views_mv[row], drawn[row], left_mv, config.sampling_rate_hz, title, threshold)

    def _drawn(self, views_mv: npt.NDArray[np.float32], masks: Any) -> Iterator[tuple[int, Any, Any]]:
        """What pictures show: all masks in time at once, but each mask of the spectrum with what it leaves.

        The number is that of the mask, if there are several pictures; else 0.
        """
        to_numpy, config = keras.ops.convert_to_numpy, self.run.config
        if config.mask_domain == "time":
            yield 0, to_numpy(masks), None
            return
        each = [masks] if config.masks in (1, 12) else keras.ops.split(masks, config.masks, axis=-1)
        for number, mask in enumerate(each, 1):
            covered, all_leads = self.model.binarised(mask), np.ones((len(views_mv), 12), np.float32)
            remaining = self.model.domain.remaining(tf.constant(views_mv), covered, all_leads)
            yield number if len(each) > 1 else 0, to_numpy(covered), to_numpy(remaining)
