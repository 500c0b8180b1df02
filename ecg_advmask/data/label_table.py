"""The label table of a user: a CSV file or workbook with metadata of recordings that their signal files lack.

A row names a recording by ``id`` (or ``record``): its id or, where that is a path, the last part of it. Columns with a
meaning of their own are patient, age, sex, codes and sampling rate, under their usual names (``patient_id``, ``Subject
ID``, ``pid``; ``age_years``; ``gender``; ``dx``, ``scp_codes``; ``sampling_rate_hz``). Every other column is a label,
by whose name a task can be evaluated.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NamedTuple

from ecg_advmask.data.cells import class_key, names_of, rows_of
from ecg_advmask.data.ids import IdMatcher
from ecg_advmask.ecg.recording import (
    RATES_HZ,
    Sex,
    is_missing,
    means_patient,
    parse_age,
    parse_patient,
    parse_sex,
    recording_column,
)
from ecg_advmask.ecg.sources import Entry
from ecg_advmask.errors import InputError, some_of

_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "id": ("id", "record"),
    "age": ("age", "ageyears", "ageinyears", "patientage"),
    "sex": ("sex", "gender", "patientsex", "patientgender"),
    "codes": ("codes", "dx", "dxcodes", "scpcodes", "snomedcodes", "snomedctcodes"),
    "rate": (
        *("samplingratehz", "samplingrate", "samplingfrequencyhz", "samplingfrequency", "samplefrequency"),
        *("samplerate", "sampleratehz", "fshz", "fs", "sfreq", "srate", "frequencyhz"),
    ),
}
"""Columns with a meaning: their names without case, blanks, dashes, underscores and brackets."""

_EXPECTED: Final = {"age": "ages in years (or with a unit, such as 18M)", "sex": "male and female, or m and f"}
_NAMES_SHOWN: Final = 3


class Row(NamedTuple):
    """What the table says of one recording; empty, or None, where it says nothing.

    ``not_understood`` are the meanings whose cell holds something that is not understood: then the value is unknown,
    whatever the file of the recording says.
    """

    line: int
    patient: str
    age_years: float | None
    sex: Sex
    codes: tuple[str, ...]
    sampling_rate_hz: float | None
    labels: tuple[str, ...]
    not_understood: tuple[str, ...]


@dataclass
class LabelTable:
    """An opened table; ``columns`` are the names of the label columns, ``remarks`` lines on how cells were taken.

    ``ids`` finds the row of a recording, and reports at the end which rows and recordings had no counterpart.
    """

    path: str
    columns: tuple[str, ...]
    rows: Mapping[str, Row]
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.ids = IdMatcher(self.path, {name: (row.line, row[1:]) for name, row in self.rows.items()})

    @property
    def states_rates(self) -> bool:
        """Whether it gives the sampling rate of any recording."""
        return any(row.sampling_rate_hz is not None for row in self.rows.values())


def completed(entry: Entry, table: LabelTable) -> Entry:
    """The entry with what the table says of it; what the table leaves open stays as it is.

    Raises:
        InputError: the table does not say which of two recordings it means.
    """
    name = table.ids.find(entry.record_id)
    if name is None:
        return entry
    row = table.rows[name]
    labels = {name: cell for name, cell in zip(table.columns, row.labels, strict=True) if not is_missing(cell)}
    no_rate = "sampling rate: that in the table of labels is no number of Hz" if "rate" in row.not_understood else ""
    return replace(
        entry,
        patient=row.patient or entry.patient,
        age_years=row.age_years if row.age_years is not None or "age" in row.not_understood else entry.age_years,
        sex=row.sex if row.sex or "sex" in row.not_understood else entry.sex,
        unknown=tuple(meaning for meaning in row.not_understood if meaning != "rate"),
        codes=row.codes or entry.codes,
        sampling_rate_hz=row.sampling_rate_hz or entry.sampling_rate_hz,
        labels=tuple({**dict(entry.labels), **labels}.items()),
        refusal=entry.refusal or no_rate,
    )


def read_label_table(path: str | Path, sex_codes: Mapping[str, Sex] | None = None) -> LabelTable:
    """Read a table, as `rows_of` does, with the names of the columns in the first line.

    A first column without a name, as pandas writes its index, is ignored.

    Words such as NA, nan, None or ? are missing values, whatever the column. Several codes in a cell are separated by
    semicolons, commas, bars or blanks, or are a list or a dict as Python writes them (``scp_codes`` of PTB-XL); of a
    dict the keys count. Cells of age, sex and rate that are not understood make the value unknown, and are counted in
    ``remarks``.

    Args:
        path: the table.
        sex_codes: sex that a cell stands for, such as ``{"0": "male", "1": "female"}``, besides the usual words.

    Raises:
        InputError: the file is missing or no such table, lacks the column of ids, has two of one meaning, says two
            things of one recording, has a number for a sex that ``sex_codes`` does not explain, a number whose digits a
            spreadsheet has lost, or no cell of a known column that can be understood.
    """
    lines = rows_of(Path(path))
    _, names = next(lines, (0, ()))
    meanings = _meanings(names, path)
    columns = tuple(name for name in names if name and name not in meanings.values())
    reader = _Reader(str(path), meanings, {class_key(code): sex for code, sex in (sex_codes or {}).items()})
    rows: dict[str, Row] = {}
    for line, cells in lines:
        if len(cells) != len(names):
            raise InputError(f"{path}: line {line} has {len(cells)} cells for the {len(names)} columns, correct it")
        if nameless := [place for place, name in enumerate(names) if not name and place > 0 and cells[place]]:
            raise InputError(f"{path}: column {nameless[0] + 1} has no name, name it or remove it")
        by_name = dict(zip(names, cells, strict=True))
        record_id, row = reader.row(line, by_name, tuple(by_name[name] for name in columns))
        first = rows.setdefault(record_id, row)
        if first[1:] != row[1:]:
            raise InputError(
                f"{path}: lines {first.line} and {line} say different things of {record_id}, remove one of them"
            )
    if not rows:
        raise InputError(f"{path}: has no rows, give one to each recording")
    labels = {name: [row.labels[place] for row in rows.values()] for place, name in enumerate(columns)}
    remarks = [
        *(["the first column, which has no name, is ignored"] if names[0] == "" else []),
        *reader.remarks(rows.values()),
        *(f"{name}: taken for a label; if it names patients, call it patient" for name in columns if _may_be_id(name)),
        *(line for name, cells in labels.items() for line in remarks_on(name, cells)),
    ]
    return LabelTable(str(path), columns, rows, tuple(remarks))


def remarks_on(column: str, cells: Iterable[str]) -> list[str]:
    """Lines on a column of labels: which words were taken for missing values, which spellings for one class."""
    words = Counter(cell for cell in cells if cell and is_missing(cell))
    lines = [f"{column}: {number} cells {word} are missing values, no class" for word, number in words.most_common()]
    spellings: dict[str, set[str]] = {}
    for cell in cells:
        if not is_missing(cell):
            spellings.setdefault(class_key(cell), set()).add(cell)
    several = [sorted(found) for found in spellings.values() if len(found) > 1]
    lines += [f"{column}: {', '.join(map(repr, found))} are one value" for found in several[:_NAMES_SHOWN]]
    more = len(several) - _NAMES_SHOWN
    return [*lines, *([f"{column}: {more} more values are spelt in several ways"] if more > 0 else [])]


@dataclass
class _Reader:
    """Reads the cells with a meaning, row by row, and remembers those that were not understood."""

    path: str
    meanings: Mapping[str, str]
    sex_codes: Mapping[str, Sex]
    _strange: dict[str, Counter[str]] = field(default_factory=dict)
    _sexes: set[str] = field(default_factory=set)

    def row(self, line: int, cells: Mapping[str, str], labels: tuple[str, ...]) -> tuple[str, Row]:
        """Id and row of a line."""
        known = {meaning: cells[column] for meaning, column in self.meanings.items()}
        for meaning in ("id", "patient", "codes"):
            if re.fullmatch(r"\d[.,]\d+[eE]\+?\d+", known.get(meaning, "")):
                raise InputError(
                    f"{self.path}: line {line}, column {self.meanings[meaning]}: {known[meaning]} has lost digits in a "
                    "spreadsheet, save the column as text"
                )
        if is_missing(known["id"]):
            raise InputError(
                f"{self.path}: line {line} has no {self.meanings['id']}, so it is not known what it is about"
            )
        age, sex = parse_age(known.get("age", "")), self._sex(line, known.get("sex", ""))
        rate = _rate(known.get("rate", ""))
        understood = {"age": age is not None, "sex": bool(sex), "rate": rate is not None}
        strange = tuple(name for name, is_it in understood.items() if not (is_it or is_missing(known.get(name, ""))))
        for meaning in strange:
            self._strange.setdefault(meaning, Counter())[known[meaning]] += 1
        codes = names_of(known.get("codes", ""))
        if codes is None:
            raise InputError(
                f"{self.path}: line {line}, column {self.meanings['codes']}: {known['codes'][:60]!r} is no list of "
                "codes, write them with semicolons between them"
            )
        patient = parse_patient(known.get("patient", ""))
        return known["id"], Row(line, patient, age, sex, codes, rate, labels, strange)

    def _sex(self, line: int, cell: str) -> Sex:
        self._sexes.add(cell.casefold())
        if (given := self.sex_codes.get(class_key(cell))) is not None:
            return given
        column = self.meanings.get("sex", "")
        if _is_number(cell):
            raise InputError(
                f"{self.path}: line {line}, column {column}: {cell} may be either sex, say which "
                "(--sex-codes 0=male,1=female)"
            )
        if {"m", "h"} <= self._sexes and not {"m", "h"} <= set(self.sex_codes):
            raise InputError(
                f"{self.path}: column {column} has H and M, of which M may be either sex, say which "
                "(--sex-codes H=male,M=female)"
            )
        return parse_sex(cell)

    def remarks(self, rows: Iterable[Row]) -> list[str]:
        """Lines on the cells that were not understood.

        Raises:
            InputError: no cell of a column was.
        """
        rows = list(rows)
        understood = {"age": any(row.age_years is not None for row in rows), "sex": any(row.sex for row in rows)}
        lines = []
        for meaning, found in self._strange.items():
            column, examples = self.meanings[meaning], [cell for cell, _ in found.most_common()]
            if meaning in understood and not understood[meaning]:
                raise InputError(
                    f"{self.path}: column {column} holds nothing that is understood (such as {examples[0][:40]!r}); "
                    f"write {_EXPECTED[meaning]}, or give the column another name to have it as a label"
                )
            lines.append(
                f"{column}: {found.total()} cells are not understood, so the value is unknown "
                f"({some_of([repr(cell[:40]) for cell in examples])})"
            )
        return lines


def _may_be_id(name: str) -> bool:
    """Whether a column looks like one of ids or numbers, which are seldom a task."""
    return re.search(r"(?:^|[\W_])(?i:id|uid|nr|no|number)$|(?<=[a-z])(?:I[dD]|N[or]|Number)$|#$", name) is not None


def _rate(cell: str) -> float | None:
    number = re.sub(r"\s*hz$", "", cell, flags=re.IGNORECASE)
    rate = float(number) if _is_number(number) else math.nan
    return rate if RATES_HZ[0] <= rate <= RATES_HZ[1] else None


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"\d{1,12}(\.\d*)?", cell, re.ASCII) is not None


def _meanings(names: Sequence[str], path: str | Path) -> dict[str, str]:
    """Name of the column for each known meaning."""
    if not names:
        raise InputError(f"{path}: is empty, give a CSV file whose first line names the columns")
    if twice := {name for name, number in Counter(names).items() if name and number > 1}:
        raise InputError(f"{path}: has the column {min(twice)} more than once, name each differently")
    bare = {name: re.sub(r"[\s_.\-()\[\]]+", "", name).casefold() for name in names}
    meanings: dict[str, str] = {}
    for name in names:
        meaning = next((meaning for meaning, spelt in _NAMES.items() if bare[name] in spelt), None)
        meaning = "patient" if means_patient(name) else meaning
        if meaning in meanings:
            raise InputError(f"{path}: has the columns {meanings[meaning]} and {name}, which mean the same; keep one")
        if meaning is not None:
            meanings[meaning] = name
    if "id" not in meanings:
        other = recording_column(names)
        if other is None:
            shown = ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
            raise InputError(f"{path}: has no column id that names the recordings (it has {shown}), add it")
        meanings["id"] = other
    return meanings
