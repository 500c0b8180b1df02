"""A run directory belongs to one process at a time; those that only read it are not kept out."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ecg_advmask.errors import InputError
from ecg_advmask.files import clear_temporaries
from ecg_advmask.locks import locked
from ecg_advmask.pretrain.run import CHECKPOINTS, MASKS, OWN_FILES, check_place

LOCK_FILE: Final = ".lock"
"""It stays when the process ends; the lock on it does not."""


@contextlib.contextmanager
def held(path: str | Path) -> Iterator[None]:
    """Hold the lock of a run directory while the block runs; what killed processes left half-written in it is removed.

    The folder is made if it is absent.

    Raises:
        InputError: another process holds it, or the place is taken by something that is no run.
    """
    folder = Path(path)
    check_place(folder)
    with locked(folder / LOCK_FILE) as mine:
        if not mine:
            raise InputError(f"{folder}: another process is pretraining in it; wait for its end or name another folder")
        clear_temporaries(folder, *OWN_FILES)
        clear_temporaries(folder / CHECKPOINTS, "*.npz", "*.sha256")
        clear_temporaries(folder / MASKS, "*.png")
        yield
