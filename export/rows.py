"""Results of recordings as rows of a table, with a summary of kept and refused recordings."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ecg_advmask.ecg.sources import Recording, Refused
from ecg_advmask.errors import InputError, printable
from ecg_advmask.export.encoder import EmbeddedRecording, Embedder, FloatArray, Outline, Windowed, windows_to_embed

# ---- Embedding many recordings: batches are filled across recordings and computed while the next ones are read.
#
# Which windows share a batch follows from the recordings alone, so that embeddings are the same to the last bit however
# many threads compute them.

Result = EmbeddedRecording | Refused
Outputs = tuple[FloatArray, FloatArray | None]


def embed_recordings(
    encoder: Embedder, recordings: Iterable[Recording | Refused], batch_size: int = 32
) -> Iterator[Result]:
    """Embed recordings in bounded memory; results come in their order, as soon as they are complete.

    A recording that is too short, or of which no window passes the quality checks, comes as `Refused`; those that are
    refused already pass through.
    """
    windowing = encoder.windowing
    for result in embed_windowed(
        encoder, (windows_to_embed(recording, windowing) for recording in recordings), batch_size
    ):
        assert result is not None, "only marks come as None"
        yield result


def embed_windowed(
    encoder: Embedder, recordings: Iterable[Windowed | None], batch_size: int = 32, threads: int = 1
) -> Iterator[Result | None]:
    """Embed recordings that are cut already, several batches at a time.

    Args:
        encoder: computes; it is shared by the threads.
        recordings: their windows are taken one by one. None is a mark: it ends a batch, and comes back in its place.
        batch_size: windows that go through the network at once.
        threads: batches that are computed at a time. In memory are these, one that waits and one that is filled.

    Yields:
        Results and marks in the order of the recordings.
    """
    with ThreadPoolExecutor(threads) as pool:
        batches = _Batches(encoder, batch_size, pool, threads)
        waiting: deque[_Open | Refused | None] = deque()
        for recording in recordings:
            if recording is None:
                batches.submit()
                waiting.append(None)
            else:
                waiting.append(batches.add(*recording))
            yield from _complete(waiting)
        batches.finish()
        yield from _complete(waiting)


@dataclass
class _Open:
    """A recording whose ``missing`` windows are not embedded yet."""

    result: EmbeddedRecording
    missing: int


class _Batches:
    """Windows on their way through the network: in a batch that is being filled, or in one of those that run."""

    def __init__(self, encoder: Embedder, size: int, pool: ThreadPoolExecutor, threads: int) -> None:
        self._encoder, self._pool, self._most_running = encoder, pool, threads + 1
        self._size = size
        self._windows: list[FloatArray] = []
        self._owners: list[tuple[_Open, int]] = []  # recording and row of each window in the batch
        self._running: deque[tuple[Future[Outputs], list[tuple[_Open, int]]]] = deque()

    def add(self, outline: Outline | Refused, windows: Iterable[FloatArray]) -> _Open | Refused:
        """Take in a recording's windows."""
        if isinstance(outline, Refused):
            return outline
        count, names = len(outline.windows), self._encoder.names
        embeddings = np.empty((count, self._encoder.embedding_dim), np.float32)
        predictions = None if names is None else np.empty((count, len(names)), np.float32)
        opened = _Open(EmbeddedRecording(**vars(outline), embeddings=embeddings, predictions=predictions), count)
        for row, window in enumerate(windows):
            self._windows.append(window)
            self._owners.append((opened, row))
            if len(self._owners) == self._size:
                self.submit()
        return opened

    def submit(self) -> None:
        """End the batch that is being filled, and wait if more run than should."""
        if self._owners:
            self._running.append((self._pool.submit(self._run, self._windows), self._owners))
            self._windows, self._owners = [], []
        while len(self._running) > self._most_running or (self._running and self._running[0][0].done()):
            self._collect()

    def _run(self, windows: Sequence[FloatArray]) -> Outputs:
        try:
            return self._encoder.run(np.stack(windows))
        except MemoryError as error:
            raise InputError(
                f"--batch-size {self._size}: there is no memory for so large a batch, reduce it"
            ) from error

    def finish(self) -> None:
        """End the last batch, and wait for all that run."""
        self.submit()
        while self._running:
            self._collect()

    def _collect(self) -> None:
        future, owners = self._running.popleft()
        embeddings, predictions = future.result()
        for place, (opened, row) in enumerate(owners):
            opened.result.embeddings[row] = embeddings[place]
            if predictions is not None and opened.result.predictions is not None:
                opened.result.predictions[row] = predictions[place]
            opened.missing -= 1


def _complete(waiting: "deque[_Open | Refused | None]") -> Iterator[Result | None]:
    """Those at the front of the queue that need not wait any longer."""
    while waiting and not (isinstance(waiting[0], _Open) and waiting[0].missing):
        first = waiting.popleft()
        yield first.result if isinstance(first, _Open) else first


COLUMNS: Final = ("ids", "windows", "start_s", "embeddings", "predictions")
"""What a table holds: `start_s` unless its rows are means over windows, `predictions` if a classifier made it."""


@dataclass
class EmbeddingSummary:
    """What became of the listed recordings from ``first`` on, ``end`` not included.

    ``rows`` are those in the table, ``refused`` what could not be used (id, file, reason). ``trailing_s`` adds up what
    was left over at the ends of ``trailing`` recordings; ``rebuilt`` counts recordings of which leads were rebuilt,
    ``padded`` windows longer than their recording, ``zeros_cut`` recordings of which zeros at the ends were cut off,
    and ``unit_assumed`` those whose files state no unit.
    """

    first: int = 0
    end: int = 0
    rows: int = 0
    recordings: int = 0
    refused_windows: int = 0
    trailing: int = 0
    trailing_s: float = 0.0
    rebuilt: int = 0
    padded: int = 0
    zeros_cut: int = 0
    unit_assumed: int = 0
    longest_id: int = 0
    refused: list[dict[str, str]] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """Count one more recording."""
        self.end += 1
        reasons = [result.reason] if not isinstance(result, EmbeddedRecording) else []
        if isinstance(result, EmbeddedRecording):
            self.recordings += 1
            self.trailing += result.trailing_s > 0
            self.trailing_s += result.trailing_s
            self.rebuilt += bool(result.rebuilt)
            self.padded += result.padded
            self.zeros_cut += result.zeros_s > 0
            self.unit_assumed += bool(result.assumed_unit)
            self.refused_windows += len(result.refused_windows)
            self.longest_id = max(self.longest_id, len(result.record_id))
            reasons = [f"window {index}: {reason}" for index, reason in result.refused_windows]
        file = printable(result.file)
        self.refused += [{"id": result.record_id, "file": file, "reason": reason} for reason in reasons]

    def include(self, following: "EmbeddingSummary") -> None:
        """Add the account of the recordings that follow; what was refused of them is counted, not listed."""
        self.end = following.end
        self.rows += following.rows
        self.recordings += following.recordings
        self.refused_windows += following.refused_windows
        self.trailing += following.trailing
        self.trailing_s += following.trailing_s
        self.rebuilt += following.rebuilt
        self.padded += following.padded
        self.zeros_cut += following.zeros_cut
        self.unit_assumed += following.unit_assumed
        self.longest_id = max(self.longest_id, following.longest_id)


@dataclass(frozen=True)
class Part:
    """Some rows of the table, by the names in `COLUMNS` as far as it has them, and the account of their recordings."""

    columns: Mapping[str, npt.NDArray[Any]]
    summary: EmbeddingSummary


class Collector:
    """Puts the results of recordings together to a part."""

    def __init__(self, first: int, *, mean: bool) -> None:
        self._mean = mean
        self.summary = EmbeddingSummary(first, first)
        self._results: list[EmbeddedRecording] = []

    def add(self, result: Result) -> None:
        """Take in the next recording."""
        self.summary.add(result)
        if isinstance(result, EmbeddedRecording):
            self._results.append(result)
            self.summary.rows += 1 if self._mean else len(result.windows)

    def part(self) -> Part:
        """All that was taken in."""
        results, counts = self._results, [len(result.windows) for result in self._results]
        ids = np.array([result.record_id for result in results], np.str_)
        if not results:
            return Part({}, self.summary)
        columns: dict[str, npt.NDArray[Any]]
        if self._mean:
            columns = {"ids": ids, "windows": np.array(counts, np.int64)}
            columns["embeddings"] = np.stack([result.mean for result in results])
            predictions = [result.mean_prediction for result in results]
        else:
            columns = {"ids": np.repeat(ids, counts)}
            columns["windows"] = np.concatenate([result.windows for result in results])
            columns["start_s"] = np.concatenate([result.start_s for result in results])
            columns["embeddings"] = np.concatenate([result.embeddings for result in results])
            predictions = [result.predictions for result in results]
        there = [values for values in predictions if values is not None]
        if there:
            columns["predictions"] = np.stack(there) if self._mean else np.concatenate(there)
        return Part(columns, self.summary)
