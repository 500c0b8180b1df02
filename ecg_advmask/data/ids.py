"""The ids in a table matched with those of recordings: the one place where that is decided.

Ids are compared as they stand, then as `id_key` has them, then by the last part of a path. Where a spreadsheet has
removed leading zeros, `IdMatcher.restore_zeros` says so and lets them match.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ecg_advmask.data.cells import plain_cell
from ecg_advmask.errors import InputError, some_of

_SUFFIXES: Final = re.compile(
    r"(\.(hea|dat|mat|csv|npz|npy|xml|dcm|ecg|scp|edf|h5|hdf5|json|txt))?(\.gz|\.zip)?$", re.IGNORECASE
)
_LISTED: Final = 100


def id_key(name: str) -> str:
    """What ids are compared by: without a file's suffix, a leading ``./`` and a final ``.0``, one slash."""
    key = plain_cell(name).replace("\\", "/")
    while key.startswith("./"):
        key = key[2:]
    key = _SUFFIXES.sub("", key) or key
    return re.sub(r"(^|/)(\d+)\.0+$", r"\1\2", key)


def _without_zeros(key: str) -> str:
    """The key without the zeros before a number that is its last part; empty if that is no number."""
    return re.sub(r"(^|/)0+(?=\d)", r"\1", key) if re.fullmatch(r"(.*/)?\d+", key, re.ASCII) else ""


@dataclass
class IdMatcher:
    """Finds the id in a table that means a recording, and remembers what was found.

    ``rows`` are the line of each id in the table ``path``, and what it says: rows that say the same may be confused.
    """

    path: str
    rows: Mapping[str, tuple[int, object]]
    without_row: int = 0
    _without_row: list[str] = field(default_factory=list, repr=False)
    _named: dict[str, str] = field(default_factory=dict, repr=False)
    _by_key: dict[str, list[str]] = field(default_factory=dict, repr=False)
    _by_last_part: dict[str, list[str]] = field(default_factory=dict, repr=False)
    _by_number: dict[str, list[str]] = field(default_factory=dict, repr=False)
    _may_be: dict[str, set[str]] = field(default_factory=dict, repr=False)
    """Ids in the table, and recordings without a row that have the same id but for leading zeros."""
    _restored: dict[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for name in self.rows:
            key = id_key(name)
            self._by_key.setdefault(key, []).append(name)
            if "/" in key:
                self._by_last_part.setdefault(key.rpartition("/")[2], []).append(name)
            if number := _without_zeros(key):
                self._by_number.setdefault(number, []).append(name)

    def find(self, record_id: str) -> str | None:
        """The id in the table that means a recording, by its whole id or the last part of it; None if none does.

        Raises:
            InputError: several rows may be meant; or the row has no more than the last part, which is that of another
                recording too.
        """
        name = self._restored.get(record_id) or self._name_of(record_id)
        if name is None:
            self.without_row += 1
            if len(self._without_row) < _LISTED:
                self._without_row.append(record_id)
            for row in self._alike_but_for_zeros(record_id):
                self._may_be.setdefault(row, set()).add(record_id)
            return None
        if self._named.setdefault(name, record_id) != record_id:
            raise InputError(
                f"{self.path}: line {self.rows[name][0]} names {name}, which may be {self._named[name]} or "
                f"{record_id}; write the whole path in the table"
            )
        return name

    def restore_zeros(self) -> str:
        """After all recordings were looked up: lets ids match that differ in leading zeros alone, as of a number in a
        spreadsheet (1 for ``00001``).

        That is done if each such row means one recording and each recording one row. Then all recordings have to be
        looked up again, with what was counted so far forgotten.

        Returns:
            A line to report; empty if there is nothing to restore.
        """
        if not self._may_be or self._zeros_matter():
            return ""
        self._restored = {record_id: row for row, (record_id,) in self._may_be.items()}
        row, (record_id,) = next(iter(self._may_be.items()))
        number = len(self._may_be)
        self._may_be, self._named, self._without_row, self.without_row = {}, {}, [], 0
        return (
            f"ids: leading zeros ignored for {number} rows, such as {row} for {record_id}: each matches one recording"
        )

    def unused(self) -> list[str]:
        """Ids in the table that were no recording's so far, in the order of the table."""
        return [name for name in self.rows if name not in self._named]

    def unmatched(self) -> dict[str, dict[str, Any]]:
        """How many rows named no recording and how many recordings had no row, and the first of each.

        Raises:
            InputError: no row named a recording.
        """
        unused = self.unused()
        if len(unused) == len(self.rows):
            first = f", the recordings {some_of(self._without_row[:1])}" if self._without_row else ""
            zeros = " (without leading zeros they match, but several are then one)" if self._may_be else ""
            raise InputError(
                f"{self.path}: names none of the {self.without_row} recordings, check its ids: the table has "
                f"{unused[0]}{first}{zeros}"
            )
        return {
            "rows_without_recording": {"count": len(unused), "first": unused[:_LISTED]},
            "recordings_without_row": {"count": self.without_row, "first": list(self._without_row)},
        }

    def _name_of(self, record_id: str) -> str | None:
        if record_id in self.rows:
            return record_id
        key = id_key(record_id)
        last_part = key.rpartition("/")[2]
        longer = [name for name in self._by_last_part.get(last_part, ()) if id_key(name).endswith(f"/{key}")]
        names = self._by_key.get(key) or self._by_key.get(last_part) or longer
        if any(self.rows[name][1] != self.rows[names[0]][1] for name in names):
            lines = " and ".join(str(self.rows[name][0]) for name in names[:2])
            raise InputError(f"{self.path}: lines {lines} may both mean {record_id} and differ, remove one of them")
        return names[0] if names else None

    def _alike_but_for_zeros(self, record_id: str) -> list[str]:
        number = _without_zeros(id_key(record_id))
        return self._by_number.get(number) or self._by_number.get(number.rpartition("/")[2]) or []

    def _zeros_matter(self) -> bool:
        """Whether a row may mean several recordings, or a recording several rows, if leading zeros are ignored."""
        records = [record_id for found in self._may_be.values() for record_id in found]
        one_to_one = len(set(records)) == len(records) == len(self._may_be)
        return not one_to_one or not self._named.keys().isdisjoint(self._may_be)
