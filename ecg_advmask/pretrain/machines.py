"""Which devices train: those of this machine, or of several machines, which begin and end together."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from ecg_advmask.errors import InputError

_SAME: Final = "start the same command on every machine, with --resume where the run was begun"


def strategy_of(devices: int) -> tf.distribute.Strategy:
    """The strategy of a process: several devices of this machine, or the machines that ``TF_CONFIG`` lists.

    To be called before TensorFlow has computed anything.

    Args:
        devices: of this machine: GPUs, or where there are none, parts of the CPU. With ``TF_CONFIG`` every machine uses
            all GPUs that it has, and this must be 1.

    Raises:
        InputError: there are fewer GPUs, or both are asked for, or ``TF_CONFIG`` cannot be read.
    """
    if os.environ.get("TF_CONFIG"):
        _check_cluster(os.environ["TF_CONFIG"], devices)
        return tf.distribute.MultiWorkerMirroredStrategy()
    if devices == 1:
        return tf.distribute.get_strategy()
    gpus = tf.config.list_physical_devices("GPU")
    if 0 < len(gpus) < devices:
        raise InputError(f"--devices {devices}: this machine has {len(gpus)} GPUs")
    if not gpus:
        (cpu, *_) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
    return tf.distribute.MirroredStrategy([f"{'GPU' if gpus else 'CPU'}:{number}" for number in range(devices)])


def _check_cluster(text: str, devices: int) -> None:
    try:
        cluster = json.loads(text)
        workers, task = cluster["cluster"]["worker"], cluster["task"]
        fits = len(cluster["cluster"]) == 1 and task["type"] == "worker" and 0 <= task["index"] < len(workers)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"TF_CONFIG: is not a cluster in JSON ({error!r}), give TensorFlow's form or unset it"
        ) from error
    if not fits:
        raise InputError("TF_CONFIG: needs workers alone, and the number of this one among them as its task")
    if devices != 1:
        raise InputError(f"--devices {devices}: goes without TF_CONFIG, with which a machine uses all its GPUs")


def is_chief() -> bool:
    """Whether this process is the one that writes: alone, or the first of the machines."""
    return not are_several() or tf.distribute.get_strategy().cluster_resolver.task_id == 0


def are_several() -> bool:
    """Whether several machines train together."""
    resolver = tf.distribute.get_strategy().cluster_resolver
    return resolver is not None and len(resolver.cluster_spec().as_dict().get("worker", ())) > 1


def begin_together(variables: Sequence[Any], epoch: int, fingerprint: str) -> int:
    """Let every machine have the variables, and the number of the epoch, that the first one has.

    Args:
        variables: those of the model, in the same order everywhere.
        epoch: of this machine.
        fingerprint: what must be the same on all.

    Returns:
        The first machine's epoch.

    Raises:
        InputError: this machine's fingerprint is not the first one's, or a machine was lost.
    """
    if not are_several():
        return epoch
    with lost_machines():
        own = int.from_bytes(hashlib.sha256(fingerprint.encode()).digest()[:7])
        wanted, epoch = map(int, _of_chief([np.int64(own), np.int64(epoch)]))
        if own != wanted:
            raise InputError(f"this machine has other settings or data than the first; {_SAME}")
        values = _of_chief([ops.convert_to_numpy(variable) for variable in variables])
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        return epoch


@contextlib.contextmanager
def lost_machines() -> Iterator[None]:
    """What TensorFlow raises where machines lose each other leaves the block as an `InputError`."""
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError) as error:
        if not are_several():
            raise
        raise InputError(f"another machine of this run has ended or cannot be reached; {_SAME}") from error


class StopTogether(keras.callbacks.Callback):  # type: ignore[misc]
    """Ends the training of every machine when that of the first one ends, as a probe may do."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        self.model.stop_training = bool(_of_chief([np.int64(self.model.stop_training)])[0])


def _of_chief(values: Sequence[Any]) -> list[Any]:
    """The first machine's values of arrays that every machine has."""
    own = [tf.constant(value) for value in values]

    def share() -> list[Any]:
        context = tf.distribute.get_replica_context()
        is_first = context.replica_id_in_sync_group == 0
        parts = [value * ops.cast(is_first, value.dtype) for value in own]
        return [context.all_reduce(tf.distribute.ReduceOp.SUM, part) for part in parts]

    strategy = tf.distribute.get_strategy()
    return [strategy.experimental_local_results(value)[0].numpy() for value in strategy.run(tf.function(share))]
