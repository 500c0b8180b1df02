"""One recording of an archive: read, resampled, cut into windows and checked. No TensorFlow here."""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ecg_advmask.data.dataset import REBUILT_COLUMN, WindowWriter
from ecg_advmask.data.diagnoses import classes_of
from ecg_advmask.data.summary import FILE, TABLE, UNKNOWN_PATIENT, DataSummary, kind
from ecg_advmask.ecg.recording import Recording, one_line
from ecg_advmask.ecg.signals import microvolts, signal_hash
from ecg_advmask.ecg.sources import Entry, RecordingSource, Refused, read_or_refuse
from ecg_advmask.ecg.windows import Cut, Windowing, cut, refusal
from ecg_advmask.errors import InputError
from ecg_advmask.files import atomic_path, read_json, sha256_of, write_text
from ecg_advmask.workers import worker_pool


@dataclass(frozen=True)
class Outcome:
    """What became of one entry: its windows with their rows of `records.csv`, and what was refused (window, reason).

    The window is None where the reason concerns the recording as a whole; then it has no windows.
    """

    windows_uv: list[npt.NDArray[np.int16]]
    rows: list[dict[str, Any]]
    refused: list[tuple[int | None, str]]
    summary: DataSummary


def read_entry(entry: Entry, source: RecordingSource, windowing: Windowing) -> Outcome:
    """Read the recording of an entry and cut it into windows; what cannot be used comes back with its reason."""
    recording = read_or_refuse(source, entry)
    if isinstance(recording, Refused):
        return _refused(recording.reason)
    try:
        pieces = cut(recording.signals_mv, recording.sampling_rate_hz, windowing)
        if not pieces.windows:
            return _refused(_reason(recording, pieces), pieces)
        age = recording.age_years
        known = {
            "id": entry.record_id,
            "source": recording.source,
            "patient": recording.patient,
            "age_years": "" if age is None else f"{age:g}",
            "sex": recording.sex,
            "codes": ";".join(recording.codes),
            "signal_hash": signal_hash(recording.signals_mv),
            "file": entry.name,
            "original_rate_hz": f"{recording.sampling_rate_hz:.10g}",
            REBUILT_COLUMN: ";".join(recording.rebuilt),
        }
    except InputError as error:
        return _refused(str(error))
    except Exception as error:  # one recording must not end the work on a hundred thousand
        return _refused(f"unexpected: {type(error).__name__} ({one_line(error)}), please report it")
    rows = [
        known
        | {"window": piece.index, "start_s": f"{piece.start_s:g}", "valid_samples": piece.valid_samples}
        | {"reported": ";".join(piece.reported)}
        for piece in pieces.windows
    ]
    summary = DataSummary(
        recordings_in=1,
        recordings_kept=1,
        windows_kept=len(rows),
        windows_refused=len(pieces.refused),
        windows_padded=sum(piece.valid_samples < windowing.window_samples for piece in pieces.windows),
        windows_left_out=pieces.beyond_limit,
        trailing_seconds=pieces.trailing_s,
        rebuilt=bool(recording.rebuilt),
        zeros_cut=pieces.zeros_s > 0,
        unit_assumed=bool(recording.assumed_unit),
    )
    of_file = UNKNOWN_PATIENT if recording.patient == entry.own_patient else FILE
    summary.patients_from[TABLE if entry.patient else of_file] += 1
    summary.window_reasons.update(kind(reason) for _, reason in pieces.refused)
    summary.reported.update(name for piece in pieces.windows for name in piece.reported)
    summary.codes.update(set(filter(None, known["codes"].split(";"))))
    summary.classes_2020.update(classes_of(known["codes"], 2020))
    summary.classes_2021.update(classes_of(known["codes"], 2021))
    return Outcome([microvolts(piece.signals_mv) for piece in pieces.windows], rows, list(pieces.refused), summary)


def _refused(reason: str, pieces: Cut | None = None) -> Outcome:
    summary = DataSummary(trailing_seconds=pieces.trailing_s if pieces else 0.0)
    summary.add_refused(reason)
    return Outcome([], [], [(None, reason)], summary)


def _reason(recording: Recording, pieces: Cut) -> str:
    """Why none of the windows could be kept: the reason of the first."""
    index, reason = pieces.refused[0][0], refusal(recording, pieces)
    others = len(pieces.refused) > 1
    return f"{reason} (window {index}; none of the {len(pieces.refused)} windows passes)" if others else reason


# ---- One shard of a data set under way, and the summary beside it: made once, recognised when work continues.
#
# An unfinished data set is a folder with finished shards, and within it a folder `work` that holds `plan.json` and,
# for every finished shard, a JSON file with its rows, what was refused, and its checksum. A shard without that file, or
# altered since, is made again. Every file is written under another name and renamed: a process may be killed at any
# moment, and several machines may work on one folder.

WORK: Final = "work"
PLAN_FILE: Final = f"{WORK}/plan.json"


@dataclass(frozen=True)
class Job:
    """How to make any shard: where it goes, and how its recordings are read and cut."""

    folder: Path
    source: RecordingSource
    windowing: Windowing


@dataclass(frozen=True)
class FinishedShard:
    """A finished shard: what `dataset.json` says of it, the rows of its windows, and what was refused.

    ``labels`` has a row for every recording kept. ``summaries`` are by source.
    """

    shard: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    labels: Sequence[Mapping[str, str]]
    refused: Sequence[Mapping[str, Any]]
    summaries: Mapping[str, DataSummary]


def make_part(job: Job, shard: int, entries: Sequence[Entry]) -> int:
    """Read recordings and write their shard and account, unless they are there; returns how many recordings it has."""
    if load_part(job.folder, shard) is not None:
        return len(entries)
    rows: list[Mapping[str, Any]] = []
    labels: list[Mapping[str, str]] = []
    refused: list[Mapping[str, Any]] = []
    summaries: dict[str, DataSummary] = {}
    path = _shard_path(job.folder, shard)
    with atomic_path(path) as temporary, WindowWriter(temporary) as writer:
        for entry in entries:
            if entry.refusal:  # known from the listing: a table may name ten thousand recordings that are not there
                refused.append(_row_of_refused(entry, entry.refusal))
                summaries.setdefault(entry.source, DataSummary()).add_refused(entry.refusal)
                continue
            outcome = read_entry(entry, job.source, job.windowing)
            for window_uv in outcome.windows_uv:
                writer.write(window_uv)
            rows += outcome.rows
            labels += [{"id": entry.record_id} | dict(entry.labels)] if outcome.rows else []
            refused += [_row_of_refused(entry, reason, window) for window, reason in outcome.refused]
            summaries.setdefault(entry.source, DataSummary()).add(outcome.summary)
    stated = {
        "shard": {"name": path.name, "windows": len(rows), "bytes": path.stat().st_size, "sha256": sha256_of(path)},
        "rows": rows,
        "labels": labels,
        "refused": refused,
        "accounts": {source: summary.as_dict() for source, summary in summaries.items()},
    }
    write_text(_account_path(job.folder, shard), json.dumps(stated))
    return len(entries)


def _row_of_refused(entry: Entry, reason: str, window: int | None = None) -> dict[str, Any]:
    return {
        "id": entry.record_id,
        "file": entry.name,
        "reason": reason,
        "window": "" if window is None else window,
    }


def load_part(folder: Path, shard: int, *, verify: bool = True) -> FinishedShard | None:
    """A finished shard; None if it is missing, unfinished or, as far as ``verify`` looks, altered."""
    path = _shard_path(folder, shard)
    try:
        stated = read_json(_account_path(folder, shard))
        summaries = {str(source): DataSummary.from_dict(values) for source, values in stated["accounts"].items()}
        part = FinishedShard(stated["shard"], stated["rows"], stated["labels"], stated["refused"], summaries)
        whole = path.stat().st_size == part.shard["bytes"] and part.shard["name"] == path.name
        return part if whole and (not verify or sha256_of(path) == part.shard["sha256"]) else None
    except (InputError, OSError, KeyError, TypeError, AttributeError):
        return None


def load_parts(folder: Path, shards: int) -> Iterator[FinishedShard]:
    """All parts in order, one at a time.

    Raises:
        InputError: one was damaged since it was found finished.
    """
    for shard in range(shards):
        part = load_part(folder, shard, verify=False)
        if part is None:
            raise InputError(f"{_shard_path(folder, shard)}: is missing or damaged, run the same command again")
        yield part


def take_part(source: Path, folder: Path, shard: int) -> None:
    """Move a finished part from another folder into this one, the account last."""
    for path in (_shard_path, _account_path):
        with atomic_path(path(folder, shard)) as temporary:
            temporary.write_bytes(path(source, shard).read_bytes())


def _shard_path(folder: Path, shard: int) -> Path:
    return folder / f"shard-{shard:05d}.tfrecord"


def _account_path(folder: Path, shard: int) -> Path:
    return folder / WORK / f"shard-{shard:05d}.json"


# ---- Shards made by several processes at a time.

Work = tuple[int, Sequence[Entry]]


def make_parts(job: Job, work: Iterator[Work], workers: int) -> Iterator[int]:
    """Make shards of the entries given for each; yields the number of recordings of each shard as it is done.

    The next shard is handed out when one is done, so memory is bounded by the number of processes.

    Raises:
        InputError: one of the processes died.
    """
    if workers == 1:
        for shard, entries in work:
            yield make_part(job, shard, entries)
        return
    with worker_pool(workers) as pool:
        running: set[Future[int]] = set()
        for shard, entries in work:
            if all(entry.refusal for entry in entries):  # no recording to read
                yield make_part(job, shard, entries)
                continue
            running.add(pool.submit(make_part, job, shard, entries))
            if len(running) > workers:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (one.result() for one in done)
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (one.result() for one in done)
