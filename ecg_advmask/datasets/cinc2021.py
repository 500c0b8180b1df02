"""The layout of the PhysioNet/CinC Challenges 2020 and 2021: WFDB records in ``training/<source>/g<k>/``.

Reyna et al., "Will Two Do? Varying Dimensions in Electrocardiography", CinC 2021; Perez Alday et al. 2020. A source is
the folder above the numbered ones (``g1``, ``g2``, ...), so that one source alone can be given as well as the whole.
"""

import csv
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from ecg_advmask.datasets.listing import Entry, sorted_unique
from ecg_advmask.errors import InputError
from ecg_advmask.formats import Recording, UnreadableRecordingError
from ecg_advmask.records import check_link, find_recordings
from ecg_advmask.wfdb_format import read_wfdb

CHAPMAN: Final = "chapman"
"""A source with this in its name holds the recordings of Chapman-Shaoxing, on which encoders are judged."""

CHAPMAN_REFUSAL: Final = (
    "left out: Chapman-Shaoxing is kept for judging encoders, --include-chapman takes it into the data set"
)

_NUMBERED_FOLDER = re.compile(r"g\d+")


def list_entries(
    source: str | Path, *, patients: Mapping[str, str] | None = None, include_chapman: bool = False
) -> list[Entry]:
    """Every WFDB header in a folder and below, in the order of the record names.

    Args:
        source: the folder.
        patients: patient of each record, where known (`read_patients`); any other record is a patient of its own.
        include_chapman: take the Chapman-Shaoxing source in, too; it is refused otherwise.

    Raises:
        InputError: the folder is missing or holds no header, or the patients table names none of the records.
    """
    folder = Path(source)
    if not folder.is_dir():
        raise InputError(f"{folder}: is not a folder, give the one that holds the records")
    patients = patients or {}
    entries = []
    for path in find_recordings(folder, (".hea",)):
        name = source_of(path)
        refusal = CHAPMAN_REFUSAL if CHAPMAN in name.lower() and not include_chapman else ""
        try:
            check_link(path, folder)
        except UnreadableRecordingError as error:
            refusal = error.reason
        patient = patients.get(path.stem, f"{name}/{path.stem}")
        entries.append(
            Entry(path.stem, str(path), path.relative_to(folder).as_posix(), name, patient=patient, refusal=refusal)
        )
    if patients and not any(entry.record_id in patients for entry in entries):
        raise InputError(f"{folder}: the table of patients names none of its {len(entries)} records, check the names")
    return sorted_unique(entries)


def read(entry: Entry) -> Recording:
    """The recording of an entry.

    Raises:
        UnreadableRecordingError: its files are missing or damaged.
    """
    return replace(read_wfdb(entry.file), source=entry.source, patient=entry.patient, file=entry.name)


def source_of(path: Path) -> str:
    """Name of the nearest folder above a record that is not a numbered one, such as ``ptb-xl``."""
    return next((folder.name for folder in path.resolve().parents if not _NUMBERED_FOLDER.fullmatch(folder.name)), "")


def read_patients(path: str | Path) -> dict[str, str]:
    """Patient of each record, from a CSV file with the columns ``record`` and ``patient``.

    Raises:
        InputError: the file cannot be read, lacks a column or a value, or gives a record two patients.
    """
    patients: dict[str, str] = {}
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as stream:
            rows = csv.DictReader(stream)
            if not {"record", "patient"} <= set(rows.fieldnames or ()):
                raise InputError(f"{path}: has the columns {rows.fieldnames}, expected record and patient")
            for row in rows:
                record, patient = (row["record"] or "").strip(), (row["patient"] or "").strip()
                if not record or not patient:
                    raise InputError(f"{path}: line {rows.line_num} lacks a record or a patient")
                if patients.setdefault(record, patient) != patient:
                    raise InputError(f"{path}: line {rows.line_num} gives record {record} a second patient")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is not a CSV file ({error})") from error
    return patients
