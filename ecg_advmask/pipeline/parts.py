"""One shard of a data set under way, and the account that lies beside it: made once, recognised when work goes on.

A data set in the making is a folder with finished shards, and within it a folder `work` that holds `plan.json` and, for
every finished shard, a JSON file with its rows, what was refused, and its checksum. A shard without that file, or
altered since, is made again. Every file is written under another name and renamed: a process may be killed at any
moment, and several machines may work on one folder.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ecg_advmask.datasets.listing import Entry, SourceOptions
from ecg_advmask.errors import InputError
from ecg_advmask.files import atomic_path, read_json, sha256_of, write_text
from ecg_advmask.pipeline.account import Account
from ecg_advmask.pipeline.reading import read_entry
from ecg_advmask.pipeline.tfrecord import WindowWriter
from ecg_advmask.windows import Windowing

WORK: Final = "work"
PLAN_FILE: Final = f"{WORK}/plan.json"


@dataclass(frozen=True)
class Job:
    """How to make any shard: where it goes, and how its recordings are read and cut."""

    folder: Path
    layout: str
    options: SourceOptions
    windowing: Windowing


@dataclass(frozen=True)
class Part:
    """A finished shard: what `dataset.json` says of it, the rows of its windows, and what was refused.

    ``labels`` has a row for every recording kept. ``accounts`` are by source.
    """

    shard: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    labels: Sequence[Mapping[str, str]]
    refused: Sequence[Mapping[str, Any]]
    accounts: Mapping[str, Account]


def make_part(job: Job, shard: int, entries: Sequence[Entry]) -> int:
    """Read recordings and write their shard and account, unless they are there; returns how many recordings it has."""
    if load_part(job.folder, shard) is not None:
        return len(entries)
    rows: list[Mapping[str, Any]] = []
    labels: list[Mapping[str, str]] = []
    refused: list[Mapping[str, Any]] = []
    accounts: dict[str, Account] = {}
    path = _shard_path(job.folder, shard)
    with atomic_path(path) as temporary, WindowWriter(temporary) as writer:
        for entry in entries:
            outcome = read_entry(entry, job.layout, job.options, job.windowing)
            for window_uv in outcome.windows_uv:
                writer.write(window_uv)
            rows += outcome.rows
            labels += [{"id": entry.record_id} | dict(entry.labels)] if outcome.rows else []
            refused += [
                {
                    "id": entry.record_id,
                    "file": entry.name,
                    "reason": reason,
                    "window": "" if window is None else window,
                }
                for window, reason in outcome.refused
            ]
            accounts.setdefault(entry.source, Account()).add(outcome.account)
    stated = {
        "shard": {"name": path.name, "windows": len(rows), "bytes": path.stat().st_size, "sha256": sha256_of(path)},
        "rows": rows,
        "labels": labels,
        "refused": refused,
        "accounts": {source: account.as_dict() for source, account in accounts.items()},
    }
    write_text(_account_path(job.folder, shard), json.dumps(stated))
    return len(entries)


def load_part(folder: Path, shard: int, *, verify: bool = True) -> Part | None:
    """A finished shard; None if it is missing, unfinished or, as far as ``verify`` looks, altered."""
    path = _shard_path(folder, shard)
    try:
        stated = read_json(_account_path(folder, shard))
        accounts = {str(source): Account.from_dict(values) for source, values in stated["accounts"].items()}
        part = Part(stated["shard"], stated["rows"], stated["labels"], stated["refused"], accounts)
        whole = path.stat().st_size == part.shard["bytes"] and part.shard["name"] == path.name
        return part if whole and (not verify or sha256_of(path) == part.shard["sha256"]) else None
    except (InputError, OSError, KeyError, TypeError, AttributeError):
        return None


def load_parts(folder: Path, shards: int) -> Iterator[Part]:
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
