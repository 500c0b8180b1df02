"""Checkpoints: every variable that the next step depends on, as one NPZ file per epoch, with its SHA-256 beside it.

``epoch-00007.npz`` is there only when it is whole, and from then on the epoch counts as finished. Its checksum, in
``epoch-00007.npz.sha256`` as `sha256sum --check` reads it, is there before; a checkpoint without one is older than
checksums and taken as it is.
"""

import dataclasses
import os
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ecg_advmask.config import Config
from ecg_advmask.errors import InputError
from ecg_advmask.files import atomic_path, sha256_of, write_text
from ecg_advmask.pretrain.run import CHECKPOINTS, Run

if TYPE_CHECKING:
    from ecg_advmask.data.dataset import DataSet
    from ecg_advmask.pretrain.simclr import SimCLR


class DamagedCheckpointError(InputError):
    """A checkpoint is not what was written."""


def save(folder: Path, epoch: int, variables: Sequence[Any]) -> Path:
    """Write the variables after ``epoch`` finished epochs."""
    import keras

    path = path_of(folder, epoch)
    arrays = {name: keras.ops.convert_to_numpy(variable) for name, variable in _named(variables)}
    with atomic_path(path) as temporary:
        with temporary.open("wb") as stream:
            np.savez(stream, **arrays)
            stream.flush()
            os.fsync(stream.fileno())  # a power failure must not leave the new name with nothing in it
        write_text(_checksum_of(path), f"{sha256_of(temporary)}  {path.name}\n")
    return path


def prune(folder: Path, keep: int, best: int = 0) -> None:
    """Remove all checkpoints but the newest ``keep`` and that of the ``best`` epoch, and checksums without theirs."""
    for path in found(folder)[:-keep]:
        if epoch_of(path) != best:
            remove(path)
    for checksum in folder.glob("epoch-*.npz.sha256"):
        if not checksum.with_suffix("").is_file():
            checksum.unlink()


def path_of(folder: Path, epoch: int) -> Path:
    """The checkpoint after this number of finished epochs."""
    return folder / f"epoch-{epoch:05d}.npz"


def epoch_of(path: Path) -> int:
    """The number of finished epochs of a checkpoint."""
    return int(path.stem.removeprefix("epoch-"))


def found(folder: Path) -> list[Path]:
    """Checkpoints in the folder, oldest first."""
    return sorted(folder.glob("epoch-*.npz"))


def remove(path: Path) -> None:
    """Remove a checkpoint, and then its checksum."""
    path.unlink()
    _checksum_of(path).unlink(missing_ok=True)


def restore(path: Path, variables: Sequence[Any]) -> int:
    """Assign the stored values to the variables, all of them or none, and return the number of finished epochs.

    Raises:
        DamagedCheckpointError: the file is not what was written.
        InputError: the file cannot be read, belongs to other networks, or holds values that are not finite.
    """
    try:
        checksum = _checksum_of(path)
        if checksum.is_file() and checksum.read_bytes().split() != [sha256_of(path).encode(), path.name.encode()]:
            raise DamagedCheckpointError(f"{path}: is damaged (its SHA-256 is not that of {checksum.name})")
        with np.load(path) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise DamagedCheckpointError(f"{path}: is damaged ({error})") from error
    named = _named(variables)
    if {name: tuple(variable.shape) for name, variable in named} != {name: a.shape for name, a in arrays.items()}:
        raise InputError(f"{path}: holds other variables than these settings make; start a new run")
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise InputError(f"{path}: holds values that are not finite; start a new run with a lower learning_rate")
    for name, variable in named:
        variable.assign(arrays[name])
    return epoch_of(path)


def _checksum_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _named(variables: Sequence[Any]) -> list[tuple[str, Any]]:
    """Variables by their place in the list: Keras's own names count up within a process and may occur twice."""
    return [(f"variable-{number:05d}", variable) for number, variable in enumerate(variables)]


# ---- Going on with a run that was interrupted: whether its settings allow it, and from where.
#
# After every epoch a run keeps, in this order (`ecg_advmask.pretrain.trainer` lists its callbacks so):
#
# 1. the epoch's events for TensorBoard, and its pictures if it has any;
# 2. ``seconds.csv`` and ``history.csv``, each with all rows;
# 3. ``encoder.keras`` and ``adversary.keras``, if the networks of this epoch are to be kept;
# 4. the checkpoint's checksum, then the checkpoint, which makes the epoch count;
# 5. nothing more, but for the removal of checkpoints that are no longer wanted.
#
# Each file is written whole beside its place and then renamed. So a kill leaves a run at its last checkpoint, and of
# the epoch after that at most files that come out the same when the epoch is repeated: nothing in them is read but the
# rows of epochs that have their checkpoint. Before the first checkpoint a run starts again, and before ``config.json``,
# which comes last of what a run begins with, there is no run.


def continued(path: str | Path, config: Config, data: "DataSet") -> Run:
    """The run to continue with these settings.

    Raises:
        InputError: it is no run, or one of other settings (but for fewer epochs, where nothing depends on their
            number), or on other data.
    """
    run = Run.open(path)
    if run.dataset.get("sha256") != data.sha256:
        raise InputError(f"{run.path}: was started on another data set ({run.dataset.get('path')}) than {data.path}")
    if config.mixed_precision == "auto":  # a run ends in the precision in which it was started
        config = dataclasses.replace(config, mixed_precision=run.config.mixed_precision)
    started, now = run.config.as_dict(), config.as_dict()
    now_longer = config.epochs >= run.config.epochs and config.learning_rate_schedule == "constant"
    changed = [
        f"{key} {started[key]} -> {now[key]}"
        for key in started
        if started[key] != now[key] and not (key == "epochs" and now_longer)
    ]
    if changed:
        raise InputError(f"{run.path}: cannot be resumed with other settings ({', '.join(changed)}); start a new run")
    return dataclasses.replace(run, config=config)


def restored(run: Run, model: "SimCLR", log: Callable[[str], None]) -> int:
    """Bring the model to the newest checkpoint that is whole; the number of epochs that are finished, 0 without any.

    Damaged ones after it are removed, since they will be made again.

    Raises:
        InputError: all are damaged, or belong to other networks.
    """
    folder = run.path / CHECKPOINTS
    damaged: list[DamagedCheckpointError] = []
    saved = found(folder)
    for path in reversed(saved):
        try:
            epoch = restore(path, model.state)
        except DamagedCheckpointError as error:
            damaged.append(error)
            continue
        for other, reason in zip(reversed(saved), damaged, strict=False):
            log(f"warning: {reason}; continuing after epoch {epoch} instead, from {path.name}")
            remove(other)
        return epoch
    if damaged:
        raise InputError(
            f"{damaged[0]}, and so is every other checkpoint in {folder}; put a copy back, or remove that folder to "
            "train from the start with --resume"
        )
    return 0
