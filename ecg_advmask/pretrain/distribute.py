"""The devices that train: those of this machine, or of several machines, which start and end together."""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import ops

from ecg_advmask.errors import InputError

_SAME: Final = "start the same command on every machine, with --resume where the run was started"


def strategy_of(devices: int) -> tf.distribute.Strategy:
    """The strategy of a process: several devices of this machine, or the machines that ``TF_CONFIG`` lists.

    To be called before the first computation of TensorFlow.

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
        raise InputError(f"--devices {devices}: excludes TF_CONFIG, with which a machine uses all its GPUs")


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


# ---- Several devices as one: what R replicas, with B / R recordings each, exchange to make the step of one with B.
#
# Batch statistics are synchronised (`synchronise`). Projections are `gathered`, so that every replica contrasts
# with the negatives of all and computes the loss of the whole batch; its objective is the `share_of` that loss, since
# the optimizers sum the gradients of the replicas (the gradient of a gathered tensor is summed over them as well).
#
# On a single device nothing here does anything. With more than one, what is exchanged is exchanged by a replica of
# ``tf.distribute``, outside of control flow of the graph: TensorFlow exchanges nothing from inside a loop or a branch.

_SEEDS_APART: Final = 2**24
"""Between the seeds of two replicas: more than a run draws, little enough for the 32 bits that are used."""


def count() -> int:
    """How many replicas the current strategy has."""
    replicas: int = tf.distribute.get_strategy().num_replicas_in_sync
    return replicas


def check_divisible(batch_size: int) -> int:
    """How many of the recordings of a batch each replica has.

    Raises:
        InputError: they cannot be divided evenly.
    """
    of_replica, rest = divmod(batch_size, count())
    if rest:
        raise InputError(f"batch_size = {batch_size}: cannot be divided evenly among {count()} devices, change one")
    return of_replica


def shared_out(
    batches_at: Callable[[npt.NDArray[np.int64] | None], tf.data.Dataset], batch_size: int, accumulation: int
) -> Any:
    """Batches for the replicas, such that those of a step make up the batch that one device would have.

    Args:
        batches_at: gives the dataset of batches, or of these places of each of them.
        batch_size: recordings B that are contrasted with one another.
        accumulation: a batch is ``accumulation`` times B recordings.

    Raises:
        InputError: B cannot be divided evenly among the replicas.
    """
    if count() == 1:
        return batches_at(None)
    of_replica = check_divisible(batch_size)
    whole = np.arange(accumulation * batch_size).reshape(accumulation, count(), of_replica)

    def of_machine(context: tf.distribute.InputContext) -> tf.data.Dataset:
        replicas = count() // context.num_input_pipelines
        first = replicas * context.input_pipeline_id
        places = whole[:, first : first + replicas].swapaxes(0, 1).reshape(-1)
        return batches_at(places).rebatch(accumulation * of_replica, drop_remainder=True)

    return tf.distribute.get_strategy().distribute_datasets_from_function(of_machine)


def synchronise(*networks: keras.Model) -> None:
    """Let the batch normalisation of networks take its statistics over the batch of all replicas."""
    for network in networks:
        for layer in network.layers:
            if isinstance(layer, keras.Model):
                synchronise(layer)
            elif isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = count() > 1


def gathered(values: Any) -> Any:
    """A structure of tensors ``(B / R, ...)``: those of all replicas, ``(B, ...)``, in the order of the replicas."""
    if count() == 1:
        return values
    gather = tf.distribute.get_replica_context().all_gather
    return tf.nest.map_structure(lambda value: gather(tf.identity(value), axis=0), values)  # identity: on a device


def share_of(objective: Any) -> Any:
    """An objective of the whole batch, or the mean over a replica's part of it, so that replicas sum up to one."""
    return objective / count() if count() > 1 else objective


class Seeds(keras.random.SeedGenerator):  # type: ignore[misc]
    """Seeds that differ from replica to replica; those of the first, and of a single device, are as Keras has them."""

    def next(self, ordered: bool = True) -> Any:
        """A seed, (2,) whole numbers; the state moves on alike everywhere."""
        seed = super().next(ordered)
        if count() == 1:
            return seed
        replica = ops.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, seed.dtype)
        return seed + ops.stack([ops.zeros_like(replica), replica * _SEEDS_APART])


def logged(value: Any) -> Any:
    """A scalar of a step's logs, in the form in which Keras takes the mean of the machines': with several, (1,)."""
    return value[None] if are_several() else value


def moved_if(due: Any, variables: list[Any], move: Any) -> None:
    """Call ``move``, and take back what it did to ``variables`` unless it is ``due``: a branch without control flow."""
    before = [variable + 0 for variable in variables]
    move()
    for variable, value in zip(variables, before, strict=True):
        variable.assign(ops.where(due, variable, value))
