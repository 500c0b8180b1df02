"""When a pretraining ends: after all of its epochs, or when its probe gains no more. Told without TensorFlow."""

from collections.abc import Mapping

from ecg_advmask.config import Config
from ecg_advmask.pretrain import checkpoints
from ecg_advmask.pretrain.run import CHECKPOINTS, ENCODER_FILE, Run


def best_epoch(probed: Mapping[int, float]) -> int:
    """The epoch that the probe likes best, the first of equals; 0 if there is none.

    ``probed`` holds the mean AUROC of each epoch that was probed, as the history has it.
    """
    return min(probed, key=lambda epoch: (-probed[epoch], epoch), default=0)


def is_over(config: Config, probed: Mapping[int, float], epoch: int) -> bool:
    """Whether training ends after an epoch: it is the last, or the probe finds no gain in ``patience`` epochs.

    The probe can end a run only in an epoch in which it is asked.
    """
    if epoch >= config.epochs:
        return True
    known = {number: auroc for number, auroc in probed.items() if number <= epoch}
    return config.patience > 0 and epoch in known and epoch - best_epoch(known) >= config.patience


def is_finished(run: Run) -> bool:
    """Whether a run directory holds a pretraining that has come to its end, by its settings as ``run`` has them.

    An epoch counts from its checkpoint on. The contents of the checkpoints are not read: whether they are whole matters
    to who goes on with a run, and a finished one is over.
    """
    saved = checkpoints.found(run.path / CHECKPOINTS)
    if not saved or not (run.path / ENCODER_FILE).is_file():
        return False
    return is_over(run.config, run.probed(), checkpoints.epoch_of(saved[-1]))
