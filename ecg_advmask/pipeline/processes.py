"""Shards made by several processes at a time, which end with the one that began them."""

from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from ecg_advmask.datasets.listing import Entry
from ecg_advmask.errors import InputError
from ecg_advmask.pipeline.parts import Job, make_part
from ecg_advmask.processes import spawn

Work = tuple[int, Sequence[Entry]]


def make_parts(job: Job, work: Iterator[Work], workers: int) -> Iterator[int]:
    """Make shards of the entries given for each; yields the number of recordings of each shard as it is done.

    A process gets its next shard when it has done the last, so memory is bounded by the number of processes.

    Raises:
        InputError: one of the processes died.
    """
    if workers == 1:
        for shard, entries in work:
            yield make_part(job, shard, entries)
        return
    processes: dict[Connection, BaseProcess] = {}
    try:
        for task in work:
            if len(processes) < workers:
                connection, process = spawn(_serve, job)
                processes[connection] = process
            else:
                connection = _next_done(processes)
                yield _received(connection)
            connection.send(task)
        while processes:
            connection = _next_done(processes)
            yield _received(connection)
            processes.pop(connection).terminate()
    except (EOFError, OSError) as error:  # at the other end of a connection nobody is left
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise InputError(
            "a reading process died, perhaps for lack of memory; run the same command again with fewer workers"
        ) from error
    finally:
        for process in processes.values():
            process.kill()


def _next_done(processes: dict[Connection, BaseProcess]) -> Connection:
    """The connection of a process that has answered, or died."""
    (first, *_) = wait(list(processes))
    assert isinstance(first, Connection)
    return first


def _received(connection: Connection) -> int:
    """The number of recordings in the shard that was made.

    Raises:
        EOFError: the process is gone.
        Exception: what went wrong in it.
    """
    answer = connection.recv()
    if isinstance(answer, Exception):
        raise answer
    return int(answer)


def _serve(connection: Connection, job: Job) -> None:
    """Make one shard after the other, in a process of its own."""
    while True:
        shard, entries = connection.recv()
        try:
            connection.send(make_part(job, shard, entries))
        except Exception as error:  # told to the one who waits for the shard, where it is raised again
            connection.send(error)
