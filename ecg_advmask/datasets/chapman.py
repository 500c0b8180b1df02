"""The layout of Chapman-Shaoxing as published: ``ECGDataDenoised/*.csv`` and the table ``Diagnostics.xlsx``.

Zheng et al. 2020, "A 12-lead electrocardiogram database for arrhythmia research covering more than 10,000 patients"
(Scientific Data 7:48). Signals: no header row, 12 columns in standard order, microvolts, 500 Hz; one recording each of
10,646 patients.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ecg_advmask.datasets.listing import Entry, sorted_unique
from ecg_advmask.errors import InputError
from ecg_advmask.files import inside
from ecg_advmask.formats import Recording, UnreadableRecordingError, parse_age, parse_sex, read_csv
from ecg_advmask.records import check_link, find_recordings

SOURCE: Final = "chapman"
TABLE: Final = "Diagnostics.xlsx"
SIGNAL_FOLDER: Final = "ECGDataDenoised"
SAMPLING_RATE_HZ: Final = 500.0

_COLUMNS = ("FileName", "Rhythm", "PatientAge", "Gender")


def list_entries(source: str | Path) -> list[Entry]:
    """Every row of the table and every signal file; a row without its file, and a file without its row, are refused.

    Raises:
        InputError: the folder, the table or the folder of signals is missing, or the table lacks a column.
    """
    folder = Path(source)
    signals = folder / SIGNAL_FOLDER
    if not signals.is_dir():
        raise InputError(f"{folder}: has no folder {SIGNAL_FOLDER}, give the folder that holds it and {TABLE}")
    rows = _read_table(folder / TABLE)
    named = {f"{row['FileName']}.csv" for row in rows}
    return sorted_unique([*(_entry(row, signals) for row in rows), *_without_row(signals, named)])


def read(entry: Entry) -> Recording:
    """The recording of an entry; age, sex and rhythm come from the table.

    Raises:
        UnreadableRecordingError: its file is missing or damaged.
    """
    recording = read_csv(entry.file, SAMPLING_RATE_HZ, unit="uV")
    return replace(
        recording,
        source=entry.source,
        patient=entry.patient,
        age_years=entry.age_years,
        sex=entry.sex,
        codes=entry.codes,
        file=entry.name,
    )


def _entry(row: dict[str, Any], signals: Path) -> Entry:
    record_id = str(row["FileName"])
    name = f"{SIGNAL_FOLDER}/{record_id}.csv"
    refusal = ""
    try:
        if not inside(signals, f"{record_id}.csv").is_file():
            refusal = f"missing file: {TABLE} has a row for it, but there is no {name}"
    except (InputError, ValueError):
        refusal = f"missing file: {TABLE} names {record_id!r}, which is not a file inside {SIGNAL_FOLDER}"
    return Entry(
        record_id,
        str(signals / f"{record_id}.csv"),
        name,
        SOURCE,
        patient=f"{SOURCE}/{record_id}",
        refusal=refusal,
        age_years=parse_age(str(row["PatientAge"])),
        sex=parse_sex(str(row["Gender"])),
        codes=(str(row["Rhythm"]).strip(),) if str(row["Rhythm"]).strip() else (),
    )


def _without_row(signals: Path, named: set[str]) -> Iterator[Entry]:
    """Signal files that the table does not know, and links that are not followed."""
    try:
        paths = find_recordings(signals, (".csv",))
    except InputError:
        return  # an empty folder: every row of the table is refused by its own name
    for path in paths:
        name = f"{SIGNAL_FOLDER}/{path.relative_to(signals).as_posix()}"
        if path.relative_to(signals).as_posix() in named:
            continue
        refusal = f"missing row: {TABLE} has none for this file, its rhythm, age and sex are unknown"
        try:
            check_link(path, signals)
        except UnreadableRecordingError as error:
            refusal = error.reason
        yield Entry(path.stem, str(path), name, SOURCE, patient=f"{SOURCE}/{path.stem}", refusal=refusal)


def _read_table(path: Path) -> list[dict[str, Any]]:
    import openpyxl  # noqa: F401  (pandas reads .xlsx by it, and is less clear about its absence)
    import pandas as pd

    if not path.is_file():
        raise InputError(f"{path}: does not exist, it comes with the signals and holds rhythm, age and sex")
    try:
        table = pd.read_excel(path, dtype=str, keep_default_na=False)
    except Exception as error:  # damaged workbooks raise errors of many kinds
        raise InputError(f"{path}: cannot be read as an Excel table ({' '.join(str(error).split())})") from error
    missing = [column for column in _COLUMNS if column not in table.columns]
    if missing:
        raise InputError(f"{path}: lacks the columns {', '.join(missing)}")
    return [dict(zip(_COLUMNS, row, strict=True)) for row in table[list(_COLUMNS)].itertuples(index=False)]
