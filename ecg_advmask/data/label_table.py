"""The label table of a user: a CSV file that says of each recording what its signal file does not.

A row names a recording by ``id`` (or ``record``), which is the id or, where the id is a path, its last part alone.
Known columns are ``patient``, ``age`` (or ``age_years``), ``sex`` and ``codes`` (or ``dx``), in upper or lower case;
every other column is a label, by whose name a task can be evaluated.
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NamedTuple

from ecg_advmask.ecg.recording import Sex, parse_age, parse_sex
from ecg_advmask.ecg.sources import Entry
from ecg_advmask.errors import InputError

_MEANING_OF: Final[Mapping[str, str]] = {
    "id": "id",
    "record": "id",
    "patient": "patient",
    "age": "age",
    "age_years": "age",
    "sex": "sex",
    "codes": "codes",
    "dx": "codes",
}
_NAMES_SHOWN: Final = 3


class Row(NamedTuple):
    """What the table says of one recording; empty, or None, where it says nothing."""

    line: int
    patient: str
    age_years: float | None
    sex: Sex
    codes: tuple[str, ...]
    labels: tuple[str, ...]


@dataclass
class LabelTable:
    """An opened table; ``columns`` are the names of the label columns.

    It remembers which rows have named a recording, so that the others can be told at the end.
    """

    path: str
    columns: tuple[str, ...]
    rows: Mapping[str, Row]
    _named: dict[str, str] = field(default_factory=dict, repr=False)

    def row(self, record_id: str) -> Row | None:
        """The row of a recording, by its whole id or the last part of it.

        Raises:
            InputError: the row has no more than the last part, which is that of another recording too.
        """
        key = record_id if record_id in self.rows else record_id.rpartition("/")[2]
        found = self.rows.get(key)
        if found is not None and self._named.setdefault(key, record_id) != record_id:
            raise InputError(
                f"{self.path}: line {found.line} names {key}, which may be {self._named[key]} or {record_id}; "
                "write the whole path in the table"
            )
        return found

    def unused(self) -> list[str]:
        """Names in the table that were no recording's so far, in the order of the table."""
        return [name for name in self.rows if name not in self._named]


def completed(entry: Entry, table: LabelTable) -> Entry:
    """The entry with what the table says of it; what the table leaves open stays as it is.

    Raises:
        InputError: the table does not say which of two recordings it means.
    """
    row = table.row(entry.record_id)
    if row is None:
        return entry
    told = {name: value for name, value in zip(table.columns, row.labels, strict=True) if value}
    return replace(
        entry,
        patient=row.patient or entry.patient,
        age_years=entry.age_years if row.age_years is None else row.age_years,
        sex=row.sex or entry.sex,
        codes=row.codes or entry.codes,
        labels=tuple({**dict(entry.labels), **told}.items()),
    )


def read_label_table(path: str | Path) -> LabelTable:
    """Read a table: UTF-8, commas between the cells, the names of the columns in the first line.

    Several codes in a cell are separated by semicolons, commas or blanks. Ages that are no number from 0 to 120, and
    sexes that are no spelling of male or female, are not known.

    Raises:
        InputError: the file is missing or no such table, lacks the column of ids, tells two things of one recording,
            or no cell of a known column can be understood.
    """
    lines = _lines(Path(path))
    _, names = next(lines, (0, ()))
    meanings = _meanings(names, path)
    columns = tuple(name for name in names if name not in meanings.values())
    places = {meaning: names.index(name) for meaning, name in meanings.items()}
    rows: dict[str, Row] = {}
    said = {"age": "", "sex": ""}
    for line, cells in lines:
        if len(cells) != len(names):
            raise InputError(f"{path}: line {line} has {len(cells)} cells for the {len(names)} columns, mend it")
        known = {meaning: cells[place] for meaning, place in places.items()}
        row = Row(
            line,
            known.get("patient", ""),
            parse_age(known.get("age", "")),
            parse_sex(known.get("sex", "")),
            tuple(code for code in re.split(r"[\s,;]+", known.get("codes", "")) if code and code.lower() != "unknown"),
            tuple(cell for name, cell in zip(names, cells, strict=True) if name in columns),
        )
        said = {meaning: example or known.get(meaning, "") for meaning, example in said.items()}
        if not known["id"]:
            raise InputError(f"{path}: line {line} has no {meanings['id']}, so it is not known what it is about")
        first = rows.setdefault(known["id"], row)
        if first[1:] != row[1:]:
            raise InputError(
                f"{path}: lines {first.line} and {line} say different things of {known['id']}, remove one of them"
            )
    if not rows:
        raise InputError(f"{path}: has no rows, give one to each recording")
    understood = {
        "age": any(row.age_years is not None for row in rows.values()),
        "sex": any(row.sex for row in rows.values()),
    }
    for meaning, example in said.items():
        if example and not understood[meaning]:
            expected = "ages in years" if meaning == "age" else "male and female, or m and f"
            raise InputError(
                f"{path}: column {meanings[meaning]} holds nothing that is understood (such as {example[:40]!r}); "
                f"write {expected}, or give the column another name to have it as a label"
            )
    return LabelTable(str(path), columns, rows)


def _lines(path: Path) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Line number and cells of every line that is not blank."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = csv.reader(stream, strict=True)
            for row in rows:
                cells = tuple(cell.strip() for cell in row)
                if not all(cell.isprintable() for cell in cells):
                    raise InputError(
                        f"{path}: line {rows.line_num} holds tabs, line breaks or other characters that cannot be "
                        "printed; save the table with commas and one line to a row"
                    )
                if any(cells):
                    yield rows.line_num, cells
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}), give a CSV file") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is not a CSV file in UTF-8 ({error}), save it as one") from error


def _meanings(names: Sequence[str], path: str | Path) -> dict[str, str]:
    """Name of the column for each known meaning."""
    if not names:
        raise InputError(f"{path}: is empty, give a CSV file whose first line names the columns")
    if len(names) == 1 and ";" in names[0]:
        raise InputError(f"{path}: is separated by semicolons, save it with commas")
    if "" in names:
        raise InputError(f"{path}: column {names.index('') + 1} has no name, name it or remove it")
    if twice := {name for name in names if names.count(name) > 1}:
        raise InputError(f"{path}: has the column {min(twice)} more than once, name each differently")
    meanings: dict[str, str] = {}
    for name in names:
        meaning = _MEANING_OF.get(name.casefold())
        if meaning in meanings:
            raise InputError(f"{path}: has the columns {meanings[meaning]} and {name}, which mean the same; keep one")
        if meaning is not None:
            meanings[meaning] = name
    if "id" not in meanings:
        shown = ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
        raise InputError(f"{path}: has no column id that names the recordings (it has {shown}), add it")
    return meanings
