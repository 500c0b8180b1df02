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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ecg_advmask.ecg.formats import read_file
from ecg_advmask.ecg.recording import Recording, parse_age, parse_sex
from ecg_advmask.ecg.sources import Entry, RecordingSource
from ecg_advmask.ecg.walking import Found
from ecg_advmask.errors import InputError

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


@dataclass(frozen=True)
class ChapmanSource(RecordingSource):
    """Either layout, which is found by looking."""

    folder: Path = Path()

    def entries(self) -> Iterator[Entry]:
        """Every recording.

        Of figshare's layout a row without its file, and a file without its row, are refused; so is of PhysioNet's a
        record that is not of this database.

        Raises:
            InputError: the folder is missing or holds neither layout, or the table cannot be read or lacks a column.
        """
        folder = self.folder
        if not folder.is_dir():
            raise InputError(f"{folder}: is not a folder, give the one that holds the recordings")
        signals = next((folder / name for name in SIGNAL_FOLDERS if (folder / name).is_dir()), None)
        if signals is not None:
            yield from _list_figshare(signals, self)
            return
        empty = True
        for found in self.files(folder, (".hea",)):
            empty = False
            yield _wfdb_entry(found)
        if empty:
            raise InputError(
                f"{folder}: holds neither a folder {' or '.join(SIGNAL_FOLDERS)} nor WFDB headers (JS*.hea), "
                "give the folder of Chapman-Shaoxing as it is on figshare or PhysioNet"
            )

    def read(self, entry: Entry) -> Recording:
        """The recording of an entry; the CSV files of figshare are in microvolts at 500 Hz, whatever the options.

        Raises:
            UnreadableRecordingError: its file is missing or damaged.
        """
        options = replace(self.options, sampling_rate_hz=SAMPLING_RATE_HZ, unit="uV")
        return entry.complete(read_file(entry.file, options))


def _wfdb_entry(found: Found) -> Entry:
    record_id = found.stem.rpartition("/")[2]
    number = re.fullmatch(r"JS(\d{5})", record_id)
    source = NINGBO if number and int(number[1]) > LAST_OF_CHAPMAN else CHAPMAN
    refusal = found.refusal
    if not refusal and number is None:
        refusal = "is no record of Chapman-Shaoxing or Ningbo (JS00001 and on), choose another --format"
    return Entry(record_id, found.path, found.name, source, refusal=refusal)


def _list_figshare(signals: Path, source: RecordingSource) -> Iterator[Entry]:
    table = next((signals.parent / name for name in TABLES if (signals.parent / name).is_file()), None)
    if table is None:
        raise InputError(
            f"{signals.parent}: has no {' or '.join(TABLES)}, which states rhythm, age and sex; fetch it from figshare"
        )
    rows = _read_table(table)
    listed = sorted(source.files(signals, (".csv", ".csv.gz")), key=lambda found: found.name, reverse=True)
    files = {found.stem: found for found in listed}  # of a.csv and a.csv.gz the former
    for line, row in enumerate(rows, 2):
        yield _figshare_entry(line, row, signals, files.get(row[0]), table.name)
    named = {row[0] for row in rows}
    yield from (_without_row(found, signals, table.name) for stem, found in files.items() if stem not in named)


def _figshare_entry(line: int, row: tuple[str, ...], signals: Path, found: Found | None, table: str) -> Entry:
    record_id, rhythm, age, sex = row
    name = f"{signals.name}/{record_id}.csv" if found is None else f"{signals.name}/{found.name}"
    if found is not None:
        refusal = found.refusal
    elif _PLAIN_NAME.fullmatch(record_id) and record_id.isprintable():
        refusal = f"missing file: {table} has a row for it, but there is no {name}"
    else:
        refusal = f"missing file: {table} names {record_id[:80]!r}, which is not a file inside {signals.name}"
        record_id = ascii(record_id)[1:-1] or f"line {line} of {table}"
    return Entry(
        record_id,
        "" if found is None else found.path,
        name,
        CHAPMAN,
        refusal=refusal,
        age_years=parse_age(age),
        sex=parse_sex(sex),
        codes=(rhythm,) if rhythm else (),
    )


def _without_row(found: Found, signals: Path, table: str) -> Entry:
    """A signal file that the table does not know, or a link that is not followed."""
    refusal = found.refusal or f"missing row: {table} has none for this file, its rhythm, age and sex are unknown"
    return Entry(found.stem, found.path, f"{signals.name}/{found.name}", CHAPMAN, refusal=refusal)


_PLAIN_NAME = re.compile(r"[^/\\:\0]+")
"""Names that lead nowhere else; which files there are is known before, so that the disk is not asked for each row."""


def _read_table(path: Path) -> list[tuple[str, ...]]:
    """The cells of the needed columns, in the order of `_COLUMNS`."""
    import pandas as pd
    import python_calamine  # noqa: F401  (pandas reads .xlsx by it, and is less clear about its absence)

    try:
        if path.suffix == ".xlsx":
            table = pd.read_excel(path, dtype=str, keep_default_na=False, engine="calamine")
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
