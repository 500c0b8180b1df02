"""Which recordings go into which shard: settled before any signal is read, the same on every machine.

Recordings are dealt in the order of a hash of their ids. Each shard is then a random sample of the archive: sources
that lie apart on disk come mixed, and half-hour recordings do not gather in one shard. The list is kept in a temporary
database on disk, so that an archive of a million recordings needs no more memory than one of a thousand.
"""

import dataclasses
import hashlib
import json
import sqlite3
from collections.abc import Iterable
from typing import Final

from ecg_advmask.datasets.listing import Entry

RECORDINGS_PER_SHARD: Final = 128
SHARDS_AT_LEAST: Final = 16
"""A small archive is divided into so many shards all the same, for several processes to share."""


class Plan:
    """The recordings of an archive, dealt to shards.

    ``recordings`` and ``shards`` are their numbers; ``digest`` is a SHA-256 over all that is known of the recordings
    beforehand but for where the archive lies: equal lists are dealt equally.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        """Take in entries in any order; of several with one id all but the first, by name, are refused."""
        self._database = sqlite3.connect("")  # on disk, without a name, gone with the process
        self._database.execute("CREATE TABLE listed (key, id, name, number, entry)")
        self._database.executemany("INSERT INTO listed VALUES (?, ?, ?, ?, ?)", map(_row, map(_in_utf8, entries)))
        self._database.execute("CREATE TABLE dealt (place INTEGER PRIMARY KEY, entry)")
        ordered = self._database.execute("SELECT entry FROM listed ORDER BY key, id, name, number")
        digest = hashlib.sha256()
        self.recordings = 0
        last: Entry | None = None
        for (text,) in ordered:
            entry = _entry(text)
            if last is not None and last.record_id == entry.record_id:
                if not entry.refusal:
                    entry = dataclasses.replace(entry, refusal=f"repeated id: it is also that of {last.name}")
            else:
                last = entry
            digest.update(_text(dataclasses.replace(entry, file="")).encode())
            self._database.execute("INSERT INTO dealt VALUES (?, ?)", (self.recordings, _text(entry)))
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
            "SELECT entry FROM dealt WHERE place >= ? AND place < ? ORDER BY place", (first, first + self._per_shard)
        )
        return [_entry(text) for (text,) in rows]


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


def _row(entry: Entry) -> tuple[bytes, str, str, int, str]:
    key = hashlib.sha256(entry.record_id.encode()).digest()
    return key, entry.record_id, entry.name, -1 if entry.number is None else entry.number, _text(entry)


def _text(entry: Entry) -> str:
    return json.dumps([getattr(entry, field.name) for field in dataclasses.fields(entry)])


def _entry(text: str) -> Entry:
    values = {field.name: value for field, value in zip(dataclasses.fields(Entry), json.loads(text), strict=True)}
    labels = tuple((name, value) for name, value in values.pop("labels"))
    return Entry(**values | {"codes": tuple(values["codes"]), "labels": labels})
