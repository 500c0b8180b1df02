"""The layouts of Chapman-Shaoxing: CSV files and a table as on figshare, or WFDB records as on PhysioNet.

Zheng et al. 2020, "A 12-lead electrocardiogram database for arrhythmia research covering more than 10,000 patients"
(Scientific Data 7:48): 12 leads, 10 s, 500 Hz, one recording each of 10,646 patients.

- figshare: ``ECGDataDenoised/*.csv`` (no header row) or ``ECGData/*.csv`` (with one), in microvolts, with
  ``Diagnostics.xlsx`` (or .csv) beside the folder, which holds rhythm, age and sex.
- PhysioNet, https://doi.org/10.13026/wgex-er52 or the source chapman_shaoxing of CinC 2021: ``JS*.hea`` with SNOMED
  codes. The former also holds the recordings of Ningbo First Hospital, from JS10647 on (Zheng et al. 2020, Scientific
  Reports 10:2898).
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Final

from ecg_advmask.ecg.recording import Recording, parse_age, parse_sex, read_csv
from ecg_advmask.ecg.sources import Entry, Found, SourceOptions, walk
from ecg_advmask.ecg.wfdb import read_wfdb
from ecg_advmask.errors import InputError
from ecg_advmask.files import inside

CHAPMAN: Final = "chapman"
NINGBO: Final = "ningbo"
LAST_OF_CHAPMAN: Final = 10646
"""Number of the last recording of Chapman-Shaoxing on PhysioNet; those of Ningbo follow."""

TABLES: Final = ("Diagnostics.xlsx", "Diagnostics.csv")
SIGNAL_FOLDERS: Final = ("ECGDataDenoised", "ECGData")
SAMPLING_RATE_HZ: Final = 500.0

_COLUMNS: Final = {
    "FileName": ("filename",),
    "Rhythm": ("rhythm",),
    "PatientAge": ("patientage", "age"),
    "Gender": ("gender", "sex"),
}
"""Columns of the table that are needed, each with its spellings without case, blanks and underscores."""


def list_entries(folder: Path, options: SourceOptions) -> Iterator[Entry]:  # noqa: ARG001 (all layouts are called alike)
    """Every recording of either layout, which is found by looking.

    On figshare's side a row without its file, and a file without its row, are refused; so is on PhysioNet's a record
    that is not of this database.

    Raises:
        InputError: the folder is missing or holds neither layout, or the table cannot be read or lacks a column.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: is not a folder, give the one that holds the recordings")
    signals = next((folder / name for name in SIGNAL_FOLDERS if (folder / name).is_dir()), None)
    if signals is not None:
        return _list_figshare(signals)
    records = walk(folder, (".hea",))
    first = next(records, None)
    if first is None:
        raise InputError(
            f"{folder}: holds neither a folder {' or '.join(SIGNAL_FOLDERS)} nor WFDB headers (JS*.hea), "
            "give the folder of Chapman-Shaoxing as it is on figshare or PhysioNet"
        )
    return map(_wfdb_entry, chain([first], records))


def read(entry: Entry, options: SourceOptions) -> Recording:  # noqa: ARG001
    """The recording of an entry.

    Raises:
        UnreadableRecordingError: its file is missing or damaged.
    """
    is_wfdb = Path(entry.file).suffix.lower() == ".hea"
    recording = read_wfdb(entry.file) if is_wfdb else read_csv(entry.file, SAMPLING_RATE_HZ, unit="uV")
    return replace(
        recording,
        record_id=entry.record_id,
        source=entry.source,
        patient=entry.patient,
        age_years=recording.age_years if entry.age_years is None else entry.age_years,
        sex=entry.sex or recording.sex,
        codes=entry.codes or recording.codes,
        file=entry.name,
    )


def _wfdb_entry(found: Found) -> Entry:
    record_id = found.stem.rpartition("/")[2]
    number = re.fullmatch(r"JS(\d{5})", record_id)
    source = NINGBO if number and int(number[1]) > LAST_OF_CHAPMAN else CHAPMAN
    refusal = found.refusal
    if not refusal and number is None:
        refusal = "is no record of Chapman-Shaoxing or Ningbo (JS00001 and on), choose another --format"
    return Entry(record_id, found.path, found.name, source, patient=f"{source}/{record_id}", refusal=refusal)


def _list_figshare(signals: Path) -> Iterator[Entry]:
    table = next((signals.parent / name for name in TABLES if (signals.parent / name).is_file()), None)
    if table is None:
        raise InputError(
            f"{signals.parent}: has no {' or '.join(TABLES)}, which tells rhythm, age and sex; fetch it from figshare"
        )
    rows = _read_table(table)
    named = {row[0] for row in rows}
    with_row = (_figshare_entry(number, row, signals, table.name) for number, row in enumerate(rows, 2))
    return chain(with_row, _without_row(signals, named, table.name))


def _figshare_entry(line: int, row: tuple[str, ...], signals: Path, table: str) -> Entry:
    record_id, rhythm, age, sex = row
    name = f"{signals.name}/{record_id}.csv"
    refusal = ""
    try:
        if not record_id or not record_id.isprintable():
            raise ValueError
        if not inside(signals, f"{record_id}.csv").is_file():
            refusal = f"missing file: {table} has a row for it, but there is no {name}"
    except (InputError, ValueError, OSError):
        refusal = f"missing file: {table} names {record_id[:80]!r}, which is not a file inside {signals.name}"
        record_id = ascii(record_id)[1:-1] or f"line {line} of {table}"
    return Entry(
        record_id,
        str(signals / f"{record_id}.csv"),
        name,
        CHAPMAN,
        patient=f"{CHAPMAN}/{record_id}",
        refusal=refusal,
        age_years=parse_age(age),
        sex=parse_sex(sex),
        codes=(rhythm,) if rhythm else (),
    )


def _without_row(signals: Path, named: set[str], table: str) -> Iterator[Entry]:
    """Signal files that the table does not know, and links that are not followed."""
    for found in walk(signals, (".csv",)):
        if found.stem in named:
            continue
        refusal = found.refusal or f"missing row: {table} has none for this file, its rhythm, age and sex are unknown"
        yield Entry(
            found.stem,
            found.path,
            f"{signals.name}/{found.name}",
            CHAPMAN,
            patient=f"{CHAPMAN}/{found.stem}",
            refusal=refusal,
        )


def _read_table(path: Path) -> list[tuple[str, ...]]:
    """The cells of the needed columns, in the order of `_COLUMNS`."""
    import openpyxl  # noqa: F401  (pandas reads .xlsx by it, and is less clear about its absence)
    import pandas as pd

    try:
        if path.suffix == ".xlsx":
            table = pd.read_excel(path, dtype=str, keep_default_na=False)
        else:
            table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", index_col=False)
    except Exception as error:  # damaged workbooks raise errors of many kinds
        raise InputError(f"{path}: cannot be read as a table ({' '.join(str(error).split())[:160]})") from error
    spelt = {re.sub(r"[\s_]", "", str(name)).lower(): place for place, name in enumerate(table.columns)}
    places = {
        column: [spelt[spelling] for spelling in spellings if spelling in spelt]
        for column, spellings in _COLUMNS.items()
    }
    if missing := [column for column, found in places.items() if not found]:
        raise InputError(f"{path}: lacks the columns {', '.join(missing)}")
    return [
        tuple(str(cell).strip() for cell in row)
        for row in table.iloc[:, [found[0] for found in places.values()]].itertuples(index=False)
    ]
