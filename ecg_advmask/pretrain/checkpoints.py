"""Checkpoints: every variable that the next step depends on, as one NPZ file per epoch, with its SHA-256 beside it.

``epoch-00007.npz`` is there only when it is whole, and from then on the epoch counts as finished. Its checksum, in
``epoch-00007.npz.sha256`` as `sha256sum --check` reads it, is there before; a checkpoint without one is older than
checksums and taken as it is.
"""

import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ecg_advmask.errors import InputError
from ecg_advmask.files import atomic_path, sha256_of, write_text


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
    """The checkpoint after so many finished epochs."""
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
        InputError: the file cannot be read, or belongs to other networks.
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
    for name, variable in named:
        variable.assign(arrays[name])
    return epoch_of(path)


def _checksum_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _named(variables: Sequence[Any]) -> list[tuple[str, Any]]:
    """Variables by their place in the list: Keras's own names count up within a process and may occur twice."""
    return [(f"variable-{number:05d}", variable) for number, variable in enumerate(variables)]
