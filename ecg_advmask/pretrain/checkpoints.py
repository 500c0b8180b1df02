"""Checkpoints: every variable that the next step depends on, as one NPZ file per epoch."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ecg_advmask.errors import InputError
from ecg_advmask.files import atomic_path


def save(folder: Path, epoch: int, variables: Sequence[Any], keep: int) -> Path:
    """Write the variables after ``epoch`` finished epochs, then remove all but the newest ``keep`` checkpoints."""
    path = folder / f"epoch-{epoch:05d}.npz"
    arrays = {name: keras.ops.convert_to_numpy(variable) for name, variable in _named(variables)}
    with atomic_path(path) as temporary:
        np.savez(temporary, **arrays)
    for old in found(folder)[:-keep]:
        old.unlink()
    return path


def found(folder: Path) -> list[Path]:
    """Checkpoints in the folder, oldest first."""
    return sorted(folder.glob("epoch-*.npz"))


def restore(path: Path, variables: Sequence[Any]) -> int:
    """Assign the stored values to the variables and return the number of finished epochs.

    Raises:
        InputError: the file is damaged or belongs to other networks.
    """
    try:
        with np.load(path) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: is damaged ({error}); remove it to go on from the checkpoint before") from error
    named = _named(variables)
    if {name: tuple(variable.shape) for name, variable in named} != {name: a.shape for name, a in arrays.items()}:
        raise InputError(f"{path}: holds other variables than these settings make; start a new run")
    for name, variable in named:
        variable.assign(arrays[name])
    return int(path.stem.removeprefix("epoch-"))


def _named(variables: Sequence[Any]) -> list[tuple[str, Any]]:
    """Variables by their place in the list: Keras's own names count up within a process and may occur twice."""
    return [(f"variable-{number:05d}", variable) for number, variable in enumerate(variables)]
