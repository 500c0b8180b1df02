"""Several devices as one: what R replicas, with B / R recordings each, exchange to make the step of one with B.

Batch statistics are synchronised (`synchronise`). Projections are `gathered`, so that every replica contrasts
with the negatives of all and computes the loss of the whole batch; its objective is the `share_of` that loss, since
the optimizers sum the gradients of the replicas (the gradient of a gathered tensor is summed over them as well).

On a single device nothing here does anything. With more than one, what is exchanged is exchanged by a replica of
``tf.distribute``, outside of control flow of the graph: TensorFlow exchanges nothing from inside a loop or a branch.
"""

from collections.abc import Callable
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import ops

from ecg_advmask.errors import InputError
from ecg_advmask.pretrain import machines

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
        accumulation: so many times B are a batch.

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
    return value[None] if machines.are_several() else value


def moved_if(due: Any, variables: list[Any], move: Any) -> None:
    """Call ``move``, and take back what it did to ``variables`` unless it is ``due``: a branch without control flow."""
    before = [variable + 0 for variable in variables]
    move()
    for variable, value in zip(variables, before, strict=True):
        variable.assign(ops.where(due, variable, value))
