"""From finished shards to a data set: its tables, its summary, and its name, in constant memory."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from ecg_advmask.data.dataset import (
    DATASET_FILE,
    FORMAT_VERSION,
    LABELS_FILE,
    REBUILT_COLUMN,
    RECORD_COLUMNS,
    RECORDS_FILE,
    REFUSED_FILE,
    dataset_sha256,
    stated_file,
)
from ecg_advmask.data.parts import WORK, FinishedShard, load_parts
from ecg_advmask.data.summary import DataSummary, total
from ecg_advmask.ecg.quality import CHECKS
from ecg_advmask.errors import InputError
from ecg_advmask.files import write_csv, write_json

REFUSED_COLUMNS: Final = ("id", "file", "reason", "window")
_CHECK_FIELDS: Final = ("name", "threshold", "unit", "fails_below", "meaning")


def finish(folder: Path, target: Path, plan: Mapping[str, Any]) -> None:
    """Write the tables of a data set whose shards are all there, and give it its name.

    Raises:
        InputError: no recording could be used; then nothing is left of the data set.
    """
    shards = int(plan["shards"])

    def parts() -> Iterator[FinishedShard]:
        return load_parts(folder, shards)

    summaries: dict[str, DataSummary] = {}
    for part in parts():
        for source, summary in part.summaries.items():
            summaries.setdefault(source, DataSummary()).add(summary)
    if total(summaries.values()).recordings_kept == 0:
        message = _none_usable(parts, plan)
        shutil.rmtree(folder)
        raise InputError(message)
    label_columns = list(plan["label_columns"])
    columns_of_records = list(RECORD_COLUMNS)
    if total(summaries.values()).rebuilt:
        columns_of_records.append(REBUILT_COLUMN)
    rows = ({name: row[name] for name in columns_of_records} for row in _rows(parts, summaries))
    write_csv(folder / RECORDS_FILE, columns_of_records, rows)
    write_csv(folder / REFUSED_FILE, REFUSED_COLUMNS, (row for part in parts() for row in part.refused))
    tables = [RECORDS_FILE, REFUSED_FILE]
    if label_columns:
        columns = ["id", *label_columns]
        empty = dict.fromkeys(columns, "")
        write_csv(folder / LABELS_FILE, columns, (empty | dict(row) for part in parts() for row in part.labels))
        tables.append(LABELS_FILE)
    files = [*(dict(part.shard) for part in parts()), *(stated_file(folder / name) for name in tables)]
    write_json(
        folder / DATASET_FILE,
        {
            "format_version": FORMAT_VERSION,
            **{name: value for name, value in plan.items() if name != "shards"},
            "checks": [{name: getattr(check, name) for name in _CHECK_FIELDS} for check in CHECKS.values()],
            "counts": total(summaries.values()).as_dict(),
            "patients": _patients(parts),
            "sources": {source: summaries[source].as_dict() for source in sorted(summaries)},
            "shards": files[:shards],
            "tables": files[shards:],
            "sha256": dataset_sha256(str(file["sha256"]) for file in files),
        },
    )
    complete(folder, target)


def complete(folder: Path, target: Path) -> None:
    """The last step: what only the work needed goes, and the folder gets the data set's name."""
    for leftover in folder.glob(".*.tmp*"):  # of a process that was killed while it wrote
        leftover.unlink()
    shutil.rmtree(folder / WORK, ignore_errors=True)
    os.replace(folder, target)  # noqa: PTH105 (replaces an empty folder, as Path.replace does, but reads as it is meant)


def _rows(
    parts: Callable[[], Iterator[FinishedShard]], summaries: Mapping[str, DataSummary]
) -> Iterator[dict[str, Any]]:
    """Rows of `records.csv`; recordings whose signal an earlier one has are marked, and counted in ``summaries``."""
    hashes = (int(row["signal_hash"][:16], 16) for part in parts() for row in _first_windows(part.rows))
    _, index, inverse = np.unique(np.fromiter(hashes, np.uint64), return_index=True, return_inverse=True)
    first = index[inverse]  # of each recording, the earliest one whose hash begins alike
    needed = set(first[first != np.arange(len(first))].tolist())
    originals: dict[int, tuple[str, str]] = {}
    number, duplicate_of = -1, ""
    for part in parts():
        last_id = None
        for row in part.rows:
            if row["id"] != last_id:
                last_id = row["id"]
                number += 1
                original_id, original_hash = originals.get(int(first[number]), ("", ""))
                duplicate_of = original_id if original_hash == row["signal_hash"] else ""
                summaries[row["source"]].duplicates += bool(duplicate_of)
                if number in needed:
                    originals[number] = (row["id"], row["signal_hash"])
            yield {**row, "duplicate_of": duplicate_of}


def _patients(parts: Callable[[], Iterator[FinishedShard]]) -> dict[str, int]:
    """How many patients the recordings kept are of, how many of them have several, and the most of one."""
    hashes = (
        int.from_bytes(hashlib.blake2b(row["patient"].encode(), digest_size=8).digest())
        for part in parts()
        for row in _first_windows(part.rows)
    )
    _, times = np.unique(np.fromiter(hashes, np.uint64), return_counts=True)
    return {
        "number": len(times),
        "with_several_recordings": int((times > 1).sum()),
        "most_recordings": int(times.max()),
    }


def _first_windows(rows: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    last_id = None
    for row in rows:
        if row["id"] != last_id:
            last_id = row["id"]
            yield row


def _none_usable(parts: Callable[[], Iterator[FinishedShard]], plan: Mapping[str, Any]) -> str:
    counts: dict[str, int] = {}
    for part in parts():
        for row in part.refused:
            counts[row["reason"]] = counts.get(row["reason"], 0) + 1
    reason, count = max(counts.items(), key=lambda item: item[1])
    return (
        f"{plan['source']}: none of the {plan['recordings']} recordings can be used; "
        f"the commonest reason ({count}): {reason}"
    )
