"""From an archive of recordings to a data set: read, check, resample and cut in several processes, write in order.

The bytes written depend on the archive and the settings alone, not on the number of processes. TensorFlow is imported
only where shards are written, never in the reading processes.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from ecg_advmask import __version__
from ecg_advmask.datasets import chapman, cinc2021
from ecg_advmask.datasets.listing import Entry
from ecg_advmask.errors import InputError
from ecg_advmask.files import write_csv, write_json
from ecg_advmask.pipeline import shards
from ecg_advmask.pipeline.reading import READERS, Outcome, in_order, process_entries
from ecg_advmask.signals import CHECKS

WINDOWS_PER_SHARD: Final = 256
REFUSED_COLUMNS: Final = ("id", "file", "reason", "window")

_KINDS = {*CHECKS, "length", "leads", "left out", "duplicate", "missing file", "missing row", "sampling rate"}


class Bar(Protocol):
    """A progress bar: told how many recordings are done."""

    def update(self, n: int, /) -> object: ...


@dataclass
class SourceCounts:
    """What became of the recordings of one source; ``reasons`` counts refused recordings by kind of reason."""

    recordings_in: int = 0
    recordings_kept: int = 0
    recordings_refused: int = 0
    windows_kept: int = 0
    windows_refused: int = 0
    trailing_seconds: float = 0.0
    duplicates: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for `dataset.json`."""
        reasons = dict(sorted(self.reasons.items()))
        return vars(self) | {"trailing_seconds": round(self.trailing_seconds, 3), "reasons": reasons}


def prepare(
    source: str | Path,
    destination: str | Path,
    layout: str,
    *,
    sampling_rate_hz: int = 500,
    seconds: float = 10.0,
    workers: int | None = None,
    patients: str | Path | None = None,
    include_chapman: bool = False,
    progress: Callable[[int], Bar] | None = None,
) -> dict[str, SourceCounts]:
    """Make the data set ``destination`` of the archive ``source``; it appears there only when it is complete.

    Args:
        source: folder of the archive.
        destination: folder to make; it may exist if it is empty.
        layout: a name in `READERS`.
        sampling_rate_hz: rate of the windows.
        seconds: length of a window.
        workers: processes that read; default: one for each processor that may be used.
        patients: CSV file with the patient of each record (layout cinc2021).
        include_chapman: take the Chapman-Shaoxing recordings of CinC 2021 in (layout cinc2021).
        progress: makes a progress bar for a number of recordings.

    Returns:
        Counts by source. Every recording found is kept or refused.

    Raises:
        InputError: a setting or path does not serve, no recording can be used, or a reading process died.
    """
    target = Path(destination)
    window_samples = _window_samples(sampling_rate_hz, seconds)
    processes = len(os.sched_getaffinity(0)) if workers is None else workers
    if processes < 1:
        raise InputError(f"workers {processes}: must be at least 1")
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise InputError(f"{target}: already exists, choose another folder or remove it")
    entries = _list_entries(source, layout, patients, include_chapman)
    bar = progress(len(entries)) if progress else None
    work = partial(process_entries, layout=layout, sampling_rate_hz=sampling_rate_hz, window_samples=window_samples)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    temporary.mkdir()
    try:
        writer = _Writer(temporary)
        for outcomes in in_order(work, entries, processes):
            for outcome in outcomes:
                writer.add(outcome)
            if bar is not None:
                bar.update(len(outcomes))
        if not writer.rows:
            reason, count = Counter(str(row["reason"]) for row in writer.refused).most_common(1)[0]
            raise InputError(
                f"{source}: none of the {len(entries)} recordings can be used; the commonest reason ({count}): {reason}"
            )
        writer.finish(
            {
                "format_version": shards.FORMAT_VERSION,
                "made_by": f"ecg-advmask {__version__}",
                "layout": layout,
                "source": str(source),
                "sampling_rate_hz": sampling_rate_hz,
                "window_samples": window_samples,
                "settings": {
                    "seconds": seconds,
                    "patients": None if patients is None else str(patients),
                    "include_chapman": include_chapman,
                },
            }
        )
        temporary.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return writer.counts


class _Writer:
    """Takes outcomes in order, writes a shard whenever one is full, and keeps account."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counts: dict[str, SourceCounts] = {}
        self.rows: list[dict[str, Any]] = []
        self.refused: list[dict[str, Any]] = []
        self._hashes: set[str] = set()
        self._pending: list[npt.NDArray[np.int16]] = []
        self._shards: list[tuple[Path, int]] = []

    def add(self, outcome: Outcome) -> None:
        entry = outcome.entry
        counts = self.counts.setdefault(entry.source, SourceCounts())
        counts.recordings_in += 1
        counts.trailing_seconds += outcome.trailing_s
        for window, reason in outcome.refused:
            number = "" if window is None else window
            self.refused.append({"id": entry.record_id, "file": entry.name, "reason": reason, "window": number})
        if outcome.rows:
            counts.recordings_kept += 1
            counts.windows_kept += len(outcome.rows)
            counts.windows_refused += len(outcome.refused)
            counts.duplicates += outcome.rows[0]["signal_hash"] in self._hashes
            self._hashes.add(outcome.rows[0]["signal_hash"])
        else:
            counts.recordings_refused += 1
            counts.reasons[_kind(outcome.refused[0][1])] += 1
        self.rows += outcome.rows
        self._pending += outcome.windows_uv
        while len(self._pending) >= WINDOWS_PER_SHARD:
            self._write_shard(WINDOWS_PER_SHARD)

    def finish(self, description: Mapping[str, Any]) -> None:
        if self._pending:
            self._write_shard(len(self._pending))
        write_csv(self.folder / shards.RECORDS_FILE, shards.RECORD_COLUMNS, self.rows)
        write_csv(self.folder / shards.REFUSED_FILE, REFUSED_COLUMNS, self.refused)
        entries = list(shards.shard_entries(*zip(*self._shards, strict=True)))
        by_source = {source: counts.as_dict() for source, counts in sorted(self.counts.items())}
        sha256 = shards.dataset_sha256([entry["sha256"] for entry in entries], self.folder / shards.RECORDS_FILE)
        write_json(
            self.folder / shards.DATASET_FILE,
            {
                **description,
                "counts": total(self.counts).as_dict(),
                "sources": by_source,
                "shards": entries,
                "sha256": sha256,
            },
        )

    def _write_shard(self, windows: int) -> None:
        path = self.folder / f"shard-{len(self._shards):05d}.tfrecord"
        shards.write_shard(path, self._pending[:windows], sum(count for _, count in self._shards))
        self._shards.append((path, windows))
        del self._pending[:windows]


def total(counts: Mapping[str, SourceCounts]) -> SourceCounts:
    """Sum over the sources."""
    result = SourceCounts()
    for one in counts.values():
        for name, value in vars(one).items():
            setattr(result, name, getattr(result, name) + value)
    if result.recordings_in != result.recordings_kept + result.recordings_refused:
        raise AssertionError("a recording is neither kept nor refused")
    return result


def _list_entries(source: str | Path, layout: str, patients: str | Path | None, include_chapman: bool) -> list[Entry]:
    if layout == "cinc2021":
        table = None if patients is None else cinc2021.read_patients(patients)
        return cinc2021.list_entries(source, patients=table, include_chapman=include_chapman)
    if layout == "chapman":
        if patients is not None:
            raise InputError(
                f"{patients}: layout chapman takes no table of patients, each recording is a patient's only one"
            )
        return chapman.list_entries(source)
    raise InputError(f"layout {layout!r} is not known, there are: {', '.join(READERS)}")


def _window_samples(sampling_rate_hz: int, seconds: float) -> int:
    samples = sampling_rate_hz * seconds
    if sampling_rate_hz < 1 or not 1 <= samples < 10_000_000 or abs(samples - round(samples)) > 1e-6:
        raise InputError(f"window of {seconds:g} s at {sampling_rate_hz} Hz: must be a whole number of samples")
    return round(samples)


def _kind(reason: str) -> str:
    """Kind of a reason for the summary: the word before the colon where it is one of ours."""
    before = reason.partition(":")[0]
    return before if before in _KINDS else "unreadable"
