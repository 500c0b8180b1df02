"""The division of recordings into shards: fixed before any signal is read, the same on every machine.

Recordings are dealt in the order of a hash of their ids. Each shard is then a random sample of the archive: sources
that lie apart on disk come mixed, and half-hour recordings do not gather in one shard. The list is kept in a temporary
database on disk, so that an archive of a million recordings needs no more memory than one of a thousand.
"""

import dataclasses
import hashlib
import json
import operator
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ecg_advmask import __version__
from ecg_advmask.data.archives import check_labels, find_layout, open_source
from ecg_advmask.data.dataset import DATASET_FILE, DataSet
from ecg_advmask.data.finish import complete, finish
from ecg_advmask.data.label_table import LabelTable, completed, read_label_table
from ecg_advmask.data.parts import PLAN_FILE, WORK, Job, load_part, make_parts, take_part
from ecg_advmask.ecg.leads import AS_NAMED
from ecg_advmask.ecg.quality import REFUSED
from ecg_advmask.ecg.recording import Sex
from ecg_advmask.ecg.sources import Entry, RecordingSource, SourceOptions
from ecg_advmask.ecg.walking import Ignored
from ecg_advmask.ecg.windows import Windowing
from ecg_advmask.errors import InputError
from ecg_advmask.files import check_writable, read_json, write_json
from ecg_advmask.workers import ProgressBar, processors

RECORDINGS_PER_SHARD: Final = 128
SHARDS_AT_LEAST: Final = 16
"""A small archive is divided into at least this many shards, for several processes to share."""


class Plan:
    """The recordings of an archive, dealt to shards.

    ``recordings`` and ``shards`` are their numbers; ``digest`` is a SHA-256 over all that is known of the recordings
    beforehand but for the path of the archive: equal lists are dealt equally.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        """Take in entries in any order; of several with one id all but the first, by name, are refused."""
        self._database = sqlite3.connect("")  # on disk, without a name, gone with the process
        self._database.execute("CREATE TABLE listed (key, id, name, number, file, entry)")
        self._database.executemany("INSERT INTO listed VALUES (?, ?, ?, ?, ?, ?)", map(_row, map(_in_utf8, entries)))
        self._database.execute("CREATE TABLE dealt (place INTEGER PRIMARY KEY, file, entry)")
        ordered = self._database.execute("SELECT id, name, file, entry FROM listed ORDER BY key, id, name, number")
        digest = hashlib.sha256()
        self.recordings = 0
        last_id = last_name = None
        for record_id, name, file, listed in ordered:
            text = listed
            if record_id != last_id:
                last_id, last_name = record_id, name
            elif not (entry := _entry(listed)).refusal:
                text = _text(dataclasses.replace(entry, refusal=f"repeated id: it is also that of {last_name}"))
            digest.update(text.encode())
            self._database.execute("INSERT INTO dealt VALUES (?, ?, ?)", (self.recordings, file, text))
            self.recordings += 1
        self._database.execute("DROP TABLE listed")
        self.digest = digest.hexdigest()
        self._per_shard = max(1, min(RECORDINGS_PER_SHARD, -(-self.recordings // SHARDS_AT_LEAST)))
        self.shards = -(-self.recordings // self._per_shard)

    def size_of(self, shard: int) -> int:
        """How many entries a shard has."""
        return min(self._per_shard, self.recordings - shard * self._per_shard)

    def of_shard(self, shard: int) -> list[Entry]:
        """The entries of a shard, in order."""
        first = shard * self._per_shard
        rows = self._database.execute(
            "SELECT entry, file FROM dealt WHERE place >= ? AND place < ? ORDER BY place",
            (first, first + self._per_shard),
        )
        return [_entry(text, os.fsdecode(file)) for text, file in rows]


def _in_utf8(entry: Entry) -> Entry:
    """The entry itself; or, where the system gave a file's name in bytes that are no UTF-8, a refused one."""
    names = (entry.record_id, entry.name)
    if all(map(_encodes, names)):
        return entry
    record_id, name = (text.encode("utf-8", "backslashreplace").decode() for text in names)
    refusal = "file name: it is not UTF-8, rename the file"
    return dataclasses.replace(entry, record_id=record_id, name=name, patient=record_id, refusal=refusal)


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _row(entry: Entry) -> tuple[bytes, str, str, int, bytes, str]:
    key = hashlib.sha256(entry.record_id.encode()).digest()
    number = -1 if entry.number is None else entry.number
    return key, entry.record_id, entry.name, number, os.fsencode(entry.file), _text(entry)


_FIELDS: Final = tuple(field.name for field in dataclasses.fields(Entry))
_values: Final = operator.attrgetter(*_FIELDS)
_FILE: Final = _FIELDS.index("file")


def _text(entry: Entry) -> str:
    """All of an entry but the path of its file, which is another where the archive has moved."""
    values = list(_values(entry))
    values[_FILE] = ""
    return json.dumps(values)


def _entry(text: str, file: str = "") -> Entry:
    values = dict(zip(_FIELDS, json.loads(text), strict=True))
    labels = tuple((name, value) for name, value in values["labels"])
    return Entry(
        **values
        | {"file": file, "codes": tuple(values["codes"]), "unknown": tuple(values["unknown"]), "labels": labels}
    )


# ---- From an archive of recordings to a data set: dealt to shards, made by several processes, put together at the end.
#
# The bytes written depend on the archive and the settings alone: not on the number of processes or machines, nor on how
# often the work was interrupted. TensorFlow is not needed.


def prepare(
    source: str | Path,
    destination: str | Path,
    layout: str | None = None,
    *,
    sampling_rate_hz: int = 500,
    seconds: float = 10.0,
    min_seconds: float | None = None,
    max_windows: int | None = None,
    refuse: Sequence[str] = REFUSED,
    labels: str | Path | None = None,
    sex_codes: Mapping[str, Sex] | None = None,
    options: SourceOptions = SourceOptions(),  # noqa: B008 (immutable)
    workers: int | None = None,
    shard: tuple[int, int] | None = None,
    progress: Callable[[int], ProgressBar] | None = None,
    log: Callable[[str], object] = lambda _: None,
) -> DataSet | None:
    """Make the data set ``destination`` of the archive ``source``; it appears there only when it is complete.

    Until then it is made in the folder ``<destination>.partial``; after an interruption, the same call continues.

    Args:
        source: folder of the archive.
        destination: folder to make; it may exist if it is empty.
        layout: a name in `ecg_advmask.data.archives.LAYOUTS`; by default what `find_layout` finds, which is logged.
        sampling_rate_hz: rate of the windows.
        seconds: length of a window.
        min_seconds: shorter recordings are refused, those up to a window's length padded; by default half a window.
        max_windows: keep at most this many windows of a recording, evenly spread; by default all.
        refuse: names of the checks in `ecg_advmask.ecg.quality` that refuse a window; the others only report it.
        labels: table of labels, patients and what else is known (`ecg_advmask.data.label_table`).
        sex_codes: sex for each number, or other text, in that table's column of the sex.
        options: what the archive does not say itself.
        workers: processes that read; default: one for each processor that may be used.
        shard: (i, n), 1 <= i <= n: make every n-th shard only, as one of n jobs; `merge` completes the data set.
        progress: makes a progress bar for a number of recordings.
        log: takes what is to be said before the work starts.

    Returns:
        The data set; None for one of several jobs. `ecg_advmask.data.summary.summaries_of` counts its recordings.

    Raises:
        InputError: a setting or path does not serve, no recording can be used, or a reading process died.
    """
    tables = () if labels is None else (Path(labels),)
    windowing = _windowing(sampling_rate_hz, seconds, min_seconds, max_windows, refuse)
    processes = processors() if workers is None else workers
    if processes < 1:
        raise InputError(f"workers {processes}: must be at least 1")
    number, of = shard or (1, 1)
    if not 1 <= number <= of:
        raise InputError(f"shard {number}/{of}: must be from 1/{of} to {of}/{of}")
    target = _free(destination)
    if layout is not None:
        opened = open_source(source, layout, options, tables)
    table = None if labels is None else _table(labels, sex_codes, source, layout)
    ignored = Ignored()
    if layout is None:
        layout = find_layout(source, tables, ignored)
        log(f"{source}: layout {layout}")
        opened = open_source(source, layout, options, tables)
    if table is not None and table.states_rates:
        opened = dataclasses.replace(opened, has_rates=True)
    plan, opened, remarks = _planned(opened, table)
    for line in (opened.ignored if ignored == Ignored() else ignored).lines():
        log(line)
    if plan.recordings == 0:
        raise InputError(f"{source}: holds no recordings in the layout {layout}")
    unmatched = {} if table is None else table.ids.unmatched()
    stated = {
        "made_by": f"ecg-advmask {__version__}",
        "layout": layout,
        "source": str(source),
        "sampling_rate_hz": sampling_rate_hz,
        "window_samples": windowing.window_samples,
        "settings": {
            "seconds": seconds,
            "min_seconds": (windowing.shortest_samples or windowing.window_samples) / sampling_rate_hz,
            "max_windows": max_windows,
            "refuse": list(refuse),
            "labels": None if labels is None else str(labels),
            "include_chapman": options.include_chapman,
            "sampling_rate_hz": options.sampling_rate_hz,
            "unit": options.unit,
            **({"follow_links": True} if options.follow_links else {}),
            **({"sex_codes": dict(sex_codes)} if sex_codes else {}),
            **({"leads": str(options.leads)} if options.leads != AS_NAMED else {}),
        },
        "label_columns": list(dict.fromkeys([*opened.label_columns, *(() if table is None else table.columns)])),
        "labels_without_recording": unmatched.get("rows_without_recording", {}).get("count", 0),
        **({"label_remarks": remarks, "unmatched": unmatched} if table is not None else {}),
        "recordings": plan.recordings,
        "listing_sha256": plan.digest,
        "shards": plan.shards,
    }
    folder = partial_folder(target)
    if _begin(folder, stated):
        job = Job(folder, opened, windowing)
        mine = range(number - 1, plan.shards, of)
        bar = progress(sum(map(plan.size_of, mine))) if progress else None
        for recordings in make_parts(job, ((k, plan.of_shard(k)) for k in mine), processes):
            if bar is not None:
                bar.update(recordings)
        if shard is not None:
            return None
        finish(folder, target, stated)
    else:
        complete(folder, target)
    return DataSet.open(target)


def merge(destination: str | Path, parts: Sequence[str | Path] = ()) -> DataSet:
    """Complete a data set whose shards were made by several jobs (``prepare`` with ``shard``).

    Args:
        destination: the data set's folder, the same as in the jobs.
        parts: folders ``*.partial`` of jobs that did not share a disk; their shards are copied.

    Returns:
        The data set.

    Raises:
        InputError: shards are missing, or a part belongs to another archive or has other settings.
    """
    target = _free(destination)
    folder = partial_folder(target)
    stated = read_json((folder if (folder / PLAN_FILE).is_file() or not parts else Path(parts[0])) / PLAN_FILE)
    if not _begin(folder, stated):
        complete(folder, target)
        return DataSet.open(target)
    for part in map(Path, parts):
        _check_same(part, read_json(part / PLAN_FILE), stated)
    missing = []
    for shard in range(int(stated["shards"])):
        if load_part(folder, shard) is None:
            holder = next((part for part in map(Path, parts) if load_part(part, shard) is not None), None)
            if holder is None:
                missing.append(shard)
            else:
                take_part(holder, folder, shard)
    if missing:
        names = ", ".join(str(shard) for shard in missing[:10]) + (", ..." if len(missing) > 10 else "")
        raise InputError(
            f"{folder}: {len(missing)} of {stated['shards']} shards are not finished ({names}); shard k is made by job "
            "(k mod N) + 1 of N: run the jobs again, or prepare without --shard to make what is missing"
        )
    finish(folder, target, stated)
    return DataSet.open(target)


def partial_folder(target: Path) -> Path:
    """Where a data set is made until it is complete."""
    return target.with_name(f"{target.name}.partial")


def _table(
    labels: str | Path, sex_codes: Mapping[str, Sex] | None, source: str | Path, layout: str | None
) -> LabelTable:
    check_labels(labels, source, layout)
    return read_label_table(labels, sex_codes)


def _planned(source: RecordingSource, table: LabelTable | None) -> tuple[Plan, RecordingSource, list[str]]:
    """The plan of a source's recordings, completed by a table; the source as it was listed; and remarks."""
    if table is None:
        return Plan(source.entries()), source, []
    plan, remarks = Plan(completed(entry, table) for entry in source.entries()), list(table.remarks)
    if restored := table.ids.restore_zeros():
        source, remarks = dataclasses.replace(source, ignored=Ignored()), [*remarks, restored]
        plan = Plan(completed(entry, table) for entry in source.entries())
    return plan, source, remarks


def _windowing(
    sampling_rate_hz: int, seconds: float, min_seconds: float | None, max_windows: int | None, refuse: Sequence[str]
) -> Windowing:
    samples = sampling_rate_hz * seconds
    if sampling_rate_hz < 1 or not 1 <= samples < 10_000_000 or abs(samples - round(samples)) > 1e-6:
        raise InputError(f"window of {seconds:g} s at {sampling_rate_hz} Hz: must be a whole number of samples")
    windowing = Windowing(sampling_rate_hz, round(samples), most_windows=max_windows, refuse=tuple(refuse))
    return windowing.with_shortest(seconds / 2 if min_seconds is None else min_seconds)


def _free(destination: str | Path) -> Path:
    target = Path(os.path.normpath(destination))
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise InputError(f"{target}: already exists, choose another folder or remove it")
    check_writable(target)
    return target


def _begin(folder: Path, stated: Mapping[str, Any]) -> bool:
    """Start or continue in a folder; False if all but the last step was done there.

    Raises:
        InputError: other work was started there.
    """
    done = (folder / DATASET_FILE).is_file()
    if done or (folder / PLAN_FILE).is_file():
        _check_same(folder, read_json(folder / (DATASET_FILE if done else PLAN_FILE)), stated)
    elif folder.exists() and any(path.name != WORK for path in folder.iterdir()):
        raise InputError(f"{folder}: is in the way, a data set is made there until it is complete; remove it")
    else:
        write_json(folder / PLAN_FILE, stated)
    return not done


def _check_same(folder: Path, started: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to continue the work of another archive or other settings."""
    before = dict(started)
    if isinstance(started.get("shards"), list):
        before["shards"] = len(started["shards"])
    changed = [
        f"{name} {json.dumps(before_part.get(name))} -> {json.dumps(value)}"
        for part, before_part in ((now, before), (now["settings"], before.get("settings", {})))
        for name, value in part.items()
        if name != "settings" and before_part.get(name) != value
    ]
    if changed:
        what = "the archive has changed" if changed[0].startswith(("recordings", "listing")) else "; ".join(changed)
        raise InputError(f"{folder}: was started with other settings ({what}); remove it to start again")
