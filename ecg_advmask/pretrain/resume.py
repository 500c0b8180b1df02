"""Going on with a run that was interrupted: whether its settings allow it, and from where.

After every epoch a run keeps, in this order (`ecg_advmask.pretrain.trainer` lists its callbacks so):

1. the epoch's events for TensorBoard, and its pictures if it has any;
2. ``seconds.csv`` and ``history.csv``, each with all rows;
3. ``encoder.keras`` and ``adversary.keras``, if the networks of this epoch are to be kept;
4. the checkpoint's checksum, then the checkpoint, which makes the epoch count;
5. nothing more, but for the removal of checkpoints that are no longer wanted.

Each file is written whole beside its place and then renamed. So a kill leaves a run at its last checkpoint, and of the
epoch after that at most files that come out the same when the epoch is repeated: nothing in them is read but the rows
of epochs that have their checkpoint. Before the first checkpoint a run begins anew, and before ``config.json``, which
comes last of what a run begins with, there is no run.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ecg_advmask.config import Config
from ecg_advmask.errors import InputError
from ecg_advmask.pretrain import checkpoints
from ecg_advmask.pretrain.checkpoints import DamagedCheckpointError
from ecg_advmask.pretrain.run import CHECKPOINTS, Run

if TYPE_CHECKING:
    from ecg_advmask.pipeline.shards import DataSet
    from ecg_advmask.pretrain.simclr import SimCLR


def continued(path: str | Path, config: Config, data: "DataSet") -> Run:
    """The run to go on with, as these settings have it.

    Raises:
        InputError: it is no run, or one of other settings (but for fewer epochs), or on other data.
    """
    run = Run.open(path)
    if run.dataset.get("sha256") != data.sha256:
        raise InputError(f"{run.path}: was begun on another data set ({run.dataset.get('path')}) than {data.path}")
    begun, now = run.config.as_dict(), config.as_dict()
    now_longer = config.epochs >= run.config.epochs
    changed = [
        f"{key} {begun[key]} -> {now[key]}"
        for key in begun
        if begun[key] != now[key] and not (key == "epochs" and now_longer)
    ]
    if changed:
        raise InputError(f"{run.path}: cannot be resumed with other settings ({', '.join(changed)}); start a new run")
    return dataclasses.replace(run, config=config)


def restored(run: Run, model: "SimCLR", say: Callable[[str], None]) -> int:
    """Bring the model to the newest checkpoint that is whole; the number of epochs that are finished, 0 without any.

    Damaged ones after it are removed, since they will be made again.

    Raises:
        InputError: all are damaged, or belong to other networks.
    """
    folder = run.path / CHECKPOINTS
    damaged: list[DamagedCheckpointError] = []
    saved = checkpoints.found(folder)
    for path in reversed(saved):
        try:
            epoch = checkpoints.restore(path, model.state)
        except DamagedCheckpointError as error:
            damaged.append(error)
            continue
        for other, reason in zip(reversed(saved), damaged, strict=False):
            say(f"warning: {reason}; going on after epoch {epoch} instead, from {path.name}")
            checkpoints.remove(other)
        return epoch
    if damaged:
        raise InputError(
            f"{damaged[0]}, and so is every other checkpoint in {folder}; put a copy back, or remove that folder to "
            "train from the start with --resume"
        )
    return 0
