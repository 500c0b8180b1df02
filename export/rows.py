"""Results of recordings put together to rows of a table, with an account of what became of each recording."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ecg_advmask.errors import printable
from ecg_advmask.export.batching import Result
from ecg_advmask.export.runtime import EmbeddedRecording

COLUMNS: Final = ("ids", "windows", "start_s", "embeddings", "predictions")
"""What a table holds: `start_s` unless its rows are means over windows, `predictions` if a classifier made it."""


@dataclass
class Account:
    """What became of the listed recordings from ``first`` on, ``end`` not included.

    ``rows`` are those in the table, ``refused`` what could not be used (id, file, reason). ``trailing_s`` adds up what
    was left over at the ends of ``trailing`` recordings; ``rebuilt`` counts recordings of which leads were rebuilt.
    """

    first: int = 0
    end: int = 0
    rows: int = 0
    recordings: int = 0
    refused_windows: int = 0
    trailing: int = 0
    trailing_s: float = 0.0
    rebuilt: int = 0
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
            self.refused_windows += len(result.refused_windows)
            self.longest_id = max(self.longest_id, len(result.record_id))
            reasons = [f"window {index}: {reason}" for index, reason in result.refused_windows]
        file = printable(result.file)
        self.refused += [{"id": result.record_id, "file": file, "reason": reason} for reason in reasons]

    def include(self, following: "Account") -> None:
        """Add the account of the recordings that follow; what was refused of them is counted, not listed."""
        self.end = following.end
        self.rows += following.rows
        self.recordings += following.recordings
        self.refused_windows += following.refused_windows
        self.trailing += following.trailing
        self.trailing_s += following.trailing_s
        self.rebuilt += following.rebuilt
        self.longest_id = max(self.longest_id, following.longest_id)


@dataclass(frozen=True)
class Part:
    """Some rows of the table, by the names in `COLUMNS` as far as it has them, and the account of their recordings."""

    columns: Mapping[str, npt.NDArray[Any]]
    account: Account


class Collector:
    """Puts the results of recordings together to a part."""

    def __init__(self, first: int, *, mean: bool) -> None:
        self._mean = mean
        self.account = Account(first, first)
        self._results: list[EmbeddedRecording] = []

    def add(self, result: Result) -> None:
        """Take in the next recording."""
        self.account.add(result)
        if isinstance(result, EmbeddedRecording):
            self._results.append(result)
            self.account.rows += 1 if self._mean else len(result.windows)

    def part(self) -> Part:
        """All that was taken in."""
        results, counts = self._results, [len(result.windows) for result in self._results]
        ids = np.array([result.record_id for result in results], np.str_)
        if not results:
            return Part({}, self.account)
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
        return Part(columns, self.account)
