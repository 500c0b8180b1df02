"""Reading an archive in several processes: what becomes of each entry, handed back in order. No TensorFlow here."""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ecg_advmask.datasets import chapman, cinc2021
from ecg_advmask.datasets.listing import Entry
from ecg_advmask.errors import InputError
from ecg_advmask.formats import Recording, UnreadableRecordingError
from ecg_advmask.signals import cut, microvolts, signal_hash

ENTRIES_PER_JOB: Final = 8
"""Recordings that a process reads before it hands them over; few, since a single one may be half an hour long."""

READERS: Final[Mapping[str, Callable[[Entry], Recording]]] = {"cinc2021": cinc2021.read, "chapman": chapman.read}
"""Reader of each layout, by the layout's name."""


@dataclass(frozen=True)
class Outcome:
    """What a process hands back for one entry: its windows with their rows of `records.csv`, and what was refused."""

    entry: Entry
    windows_uv: list[npt.NDArray[np.int16]]
    rows: list[dict[str, Any]]
    refused: list[tuple[int | None, str]]
    trailing_s: float


def process_entries(entries: Sequence[Entry], layout: str, sampling_rate_hz: int, window_samples: int) -> list[Outcome]:
    """Read, resample, cut and check recordings; what cannot be used comes back with its reason."""
    return [_process(entry, READERS[layout], sampling_rate_hz, window_samples) for entry in entries]


def _process(entry: Entry, read: Callable[[Entry], Recording], sampling_rate_hz: int, window_samples: int) -> Outcome:
    if entry.refusal:
        return Outcome(entry, [], [], [(None, entry.refusal)], 0.0)
    try:
        recording = read(entry)
        pieces = cut(recording.signals_mv, recording.sampling_rate_hz, sampling_rate_hz, window_samples)
    except UnreadableRecordingError as error:
        return Outcome(entry, [], [], [(None, error.reason)], 0.0)
    except InputError as error:
        return Outcome(entry, [], [], [(None, str(error))], 0.0)
    if not pieces.windows:
        index, reason = pieces.refused[0]
        others = (
            f" (window {index}; none of the {len(pieces.refused)} windows passes)" if len(pieces.refused) > 1 else ""
        )
        return Outcome(entry, [], [], [(None, reason + others)], 0.0)
    known = {
        "id": entry.record_id,
        "source": recording.source,
        "patient": recording.patient,
        "age_years": "" if recording.age_years is None else f"{recording.age_years:g}",
        "sex": recording.sex,
        "codes": ";".join(recording.codes),
        "signal_hash": signal_hash(recording.signals_mv),
        "file": recording.file,
        "original_rate_hz": f"{recording.sampling_rate_hz:.10g}",
    }
    rows = [
        known | {"window": piece.index, "start_s": f"{piece.start_s:g}", "valid_samples": piece.valid_samples}
        for piece in pieces.windows
    ]
    windows_uv = [microvolts(piece.signals_mv) for piece in pieces.windows]
    return Outcome(entry, windows_uv, rows, list(pieces.refused), pieces.trailing_s)


def in_order(
    work: Callable[[Sequence[Entry]], list[Outcome]], entries: Sequence[Entry], workers: int
) -> Iterator[list[Outcome]]:
    """Outcomes in the order of the entries, a job's at a time; few jobs are under way, so that memory is bounded.

    Raises:
        InputError: one of the processes died.
    """
    jobs = (entries[start : start + ENTRIES_PER_JOB] for start in range(0, len(entries), ENTRIES_PER_JOB))
    if workers == 1:
        yield from map(work, jobs)
        return
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    under_way: deque[Future[list[Outcome]]] = deque()
    try:
        for job in jobs:
            under_way.append(pool.submit(work, job))
            if len(under_way) > 2 * workers:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    except BrokenProcessPool as error:
        raise InputError("a reading process died, perhaps for lack of memory; try again with fewer workers") from error
    finally:
        pool.shutdown(cancel_futures=True)
