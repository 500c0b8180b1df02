"""One 12-lead recording, reading it from a CSV file, and what all readers need to reach millivolts and standard leads.

NumPy files are read by `ecg_advmask.ecg.npz`, WFDB records by `ecg_advmask.ecg.wfdb`. Every failure is an
`UnreadableRecordingError`, which says in one line what is wrong with the file. No TensorFlow here.
"""

import csv
import io
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from ecg_advmask.ecg.leads import STANDARD_LEADS, LeadColumns, find_leads
from ecg_advmask.ecg.signals import FloatSignals
from ecg_advmask.errors import InputError, printable

Sex = Literal["male", "female", ""]

MILLIVOLTS_IN: Final = {"mv": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "nv": 1e-6, "v": 1e3}
"""Factor to millivolts of each unit, by its name in lower case."""

_MISSING: Final = {
    "", "na", "n/a", "n.a.", "#n/a", "<na>", "nan", "nat", "none", "null", "nil", "unknown", "-", "--", ".", "?",
}  # fmt: skip
_PATIENT: Final = {
    *("patient", "patientid", "patientno", "patientnr", "patientnumber", "patientcode", "patientidentifier", "pid"),
    *("ptid", "patid", "subject", "subjectid", "subjectno", "subjectnr", "subjectnumber", "person", "personid"),
    *("participant", "participantid", "mrn", "medicalrecordnumber"),
}
_SEX_OF: Final[dict[str, Sex]] = {
    **dict.fromkeys(("male", "m", "man", "boy", "männlich", "maennlich"), "male"),
    **dict.fromkeys(("female", "f", "w", "woman", "girl", "weiblich"), "female"),
}
_YEARS_IN: Final = {"y": 1.0, "m": 1 / 12, "w": 7 / 365.25, "d": 1 / 365.25}
_OLDEST_YEARS: Final = 120

RATES_HZ: Final = (10.0, 100_000.0)
"""Sampling rates that are believed; resampling from one far below would take memory without bound."""

MOST_SAMPLES: Final = 600_000_000
"""Samples of a recording, all leads together: 48 hours of twelve leads at 280 Hz, which take 5 GB while they are read.

What claims more, such as a file of nothing but size, would use up the memory of most machines.
"""
_LONGEST_REASON = 400
_LARGEST_CSV_BYTES = 1_000_000_000
_LONGEST_CSV_LINE = 10_000
_AGE = re.compile(
    r"(\d{1,6}(?:[.,]\d*)?)\s*(?:(y|m|w|d)|(y)rs?|(y)o|(y)ears?(?: old)?|(m)os?|(m)onths?|(w)ks?|(w)eeks?|(d)ays?)?\.?",
    re.ASCII | re.IGNORECASE,
)


class UnreadableRecordingError(InputError):
    """A file that does not hold a recording as it should.

    ``reason`` is the message without the file's name. It may quote the file: what cannot be printed is escaped, and a
    long text is shortened in its middle.
    """

    def __init__(self, file: str | os.PathLike[str], reason: str) -> None:
        self.file = os.fspath(file)
        self.reason = printable(reason)
        if len(self.reason) > _LONGEST_REASON:
            self.reason = f"{self.reason[: _LONGEST_REASON // 2]} ... {self.reason[-_LONGEST_REASON // 2 :]}"
        super().__init__(f"{self.file}: {self.reason}")


@dataclass(frozen=True)
class Recording:
    """One 12-lead ECG.

    ``signals_mv`` is (T, 12) float32 in millivolts, leads in the order of `STANDARD_LEADS`, NaN where a sample is
    missing. ``age_years`` is None and ``sex`` empty where they are not known; ``codes`` are the diagnoses as found.
    ``rebuilt`` names the limb leads that the file lacks and that were computed from the others.
    """

    record_id: str
    signals_mv: FloatSignals
    sampling_rate_hz: float
    source: str = ""
    patient: str = ""
    age_years: float | None = None
    sex: Sex = ""
    codes: tuple[str, ...] = ()
    file: str = ""
    rebuilt: tuple[str, ...] = ()


def read_csv(
    path: str | os.PathLike[str],
    sampling_rate_hz: float,
    unit: str = "mV",
    leads: Sequence[str] | None = None,
    *,
    rebuild_leads: bool = False,
) -> Recording:
    """Read comma-separated samples, one row per sample, with or without a header row of lead names.

    Without a header row there must be a column for each of ``leads`` (default: the twelve, in standard order); the
    numbers 0, 1, 2, ... that pandas writes above nameless columns count as none. With one, columns that are no lead
    (such as a time) are left aside. An empty cell is a missing sample, an empty line between others a missing row.

    Raises:
        UnreadableRecordingError: the file is missing, empty or not such a table, or lacks a lead (with
            ``rebuild_leads`` one that does not follow from the others).
    """
    import pandas as pd

    rate = positive_rate(sampling_rate_hz, path)
    try:
        if (size := Path(path).stat().st_size) > _LARGEST_CSV_BYTES:
            raise UnreadableRecordingError(
                path, f"has {size} bytes, of at most {_LARGEST_CSV_BYTES} in CSV, save it as .npy or cut it first"
            )
        text = Path(path).read_text(encoding="utf-8-sig").strip("\r\n")
        _check_csv_lines(text, path)
        first_row = [cell.strip() for cell in next(csv.reader([text.partition("\n")[0]], strict=True), [])]
    except (OSError, ValueError, csv.Error) as error:
        raise UnreadableRecordingError(path, f"cannot be read as CSV ({one_line(error)})") from error
    _check_csv_text(text, first_row, path)
    named = not all(_is_number(cell) for cell in first_row if cell)
    numbered = first_row == [str(number) for number in range(len(first_row))]
    names = first_row if named else list(leads or STANDARD_LEADS)
    if len(first_row) != len(names):
        raise UnreadableRecordingError(path, f"has {len(first_row)} columns, expected {len(names)}: {', '.join(names)}")
    found = lead_columns(names, path, rebuild=rebuild_leads)
    columns = list(found.columns)
    try:
        table = pd.read_csv(
            io.StringIO(text),
            header=None,
            skiprows=int(named or numbered),
            skipinitialspace=True,
            skip_blank_lines=False,
            low_memory=False,
        )
    except pd.errors.EmptyDataError as error:
        raise UnreadableRecordingError(path, "holds no samples") from error
    except (ValueError, OverflowError) as error:
        raise UnreadableRecordingError(path, f"cannot be read as CSV ({one_line(error)})") from error
    if table.shape[1] != len(names):
        raise UnreadableRecordingError(path, f"has {table.shape[1]} columns below {len(names)} names of columns")
    for column in columns:  # by their types, since pandas would turn the words True and False into numbers
        if table[column].dtype.kind not in "fiu":
            cell = next((cell for cell in map(str, table[column]) if not _is_number(cell)), "")
            raise UnreadableRecordingError(path, f"has a cell that is no number ({cell[:40]!r})")
    with np.errstate(over="ignore"):  # what does not fit becomes infinite and is refused as such
        signals_mv = (table[columns].to_numpy(np.float64) * millivolts_in(unit, path)).astype(np.float32)
    return Recording(
        record_id=Path(path).stem,
        signals_mv=found.twelve(signals_mv),
        sampling_rate_hz=rate,
        file=os.fspath(path),
        rebuilt=found.rebuilt,
    )


def _check_csv_lines(text: str, path: str | os.PathLike[str]) -> None:
    """Refuse a file with a very long line: pandas takes minutes and gigabytes for one of a million cells."""
    start = 0
    while len(text) - start > _LONGEST_CSV_LINE:
        end = text.rfind("\n", start, start + _LONGEST_CSV_LINE + 1)
        if end < 0:
            raise UnreadableRecordingError(
                path, f"has a line of more than {_LONGEST_CSV_LINE} characters, expected a row for each sample"
            )
        start = end + 1


def _check_csv_text(text: str, first_row: list[str], path: str | os.PathLike[str]) -> None:
    if not text.strip():
        raise UnreadableRecordingError(path, "holds no samples")
    if "\0" in text:
        raise UnreadableRecordingError(path, "cannot be read as CSV (it holds zero bytes, so it is no text)")
    for separator, meaning in ((";", "semicolons"), ("\t", "tabs")):
        if len(first_row) == 1 and separator in first_row[0]:
            raise UnreadableRecordingError(path, f"is separated by {meaning}, save it with commas")


def is_missing(text: str) -> bool:
    """Whether a cell, or a value in a header, says that nothing is known: empty, or a word such as NA, nan, None, ?."""
    return text.strip().casefold() in _MISSING


def means_patient(name: str) -> bool:
    """Whether a column of a table, or a key in a header, names the patient: ``patient_id``, ``Subject ID``, ``pid``."""
    return re.sub(r"[\s_.\-]+", "", name).casefold() in _PATIENT


def parse_patient(text: str) -> str:
    """Name of a patient: 100, 100.0 and " 100 " are one; empty where it is missing."""
    return "" if is_missing(text) else re.sub(r"(?<=\d)\.0+$", "", text.strip())


def parse_age(text: str) -> float | None:
    """Age in years; None for anything but a decimal number from 0 to 120 years.

    A unit may follow the number, as in DICOM (``062Y``, ``18M``, ``03W``, ``010D``: years, months, weeks, days) or as a
    word (``62 years``); without one it is years. So -1 and 300, which archives write for unknown and for above 89, are
    unknown, as are ``>89`` and ``90+``, and 0 is an infant.
    """
    match = _AGE.fullmatch(text.strip())
    if match is None:
        return None
    number, *units = match.groups()
    age = float(number.replace(",", ".")) * _YEARS_IN[next(filter(None, units), "y").lower()]
    return age if age <= _OLDEST_YEARS else None


def parse_sex(text: str) -> Sex:
    """``male`` or ``female``, from the words (also man, woman, W) or their first letters in any case; else empty.

    So are 0 and 1, whose meaning differs between archives.
    """
    return _SEX_OF.get(text.strip().casefold(), "")


def lead_columns(names: Sequence[str], path: str | os.PathLike[str], *, rebuild: bool = False) -> LeadColumns:
    """The standard leads among the columns of a file, as `find_leads`.

    Raises:
        UnreadableRecordingError: a lead is there twice, or is missing and is not to be or cannot be rebuilt.
    """
    try:
        return find_leads(names, rebuild=rebuild)
    except InputError as error:
        raise UnreadableRecordingError(path, str(error)) from None


def millivolts_in(unit: str, path: str | os.PathLike[str]) -> float:
    """Millivolts in one of a unit.

    Raises:
        UnreadableRecordingError: the unit is no voltage.
    """
    try:
        return MILLIVOLTS_IN[str(unit).strip().lower()]
    except KeyError:
        raise UnreadableRecordingError(path, f"has the unit {unit!r}, expected mV, uV or V") from None


def positive_rate(value: Any, path: str | os.PathLike[str]) -> float:
    """A sampling rate in Hz, as a number.

    Raises:
        UnreadableRecordingError: it is absent, not a positive number, or outside `RATES_HZ`.
    """
    if value is None:
        raise UnreadableRecordingError(path, "does not state its sampling rate, give it")
    rate = float(value) if _is_number(str(value)) else math.nan
    if not (math.isfinite(rate) and rate > 0):
        raise UnreadableRecordingError(path, f"has the sampling rate {value}, expected a positive number of Hz")
    if not RATES_HZ[0] <= rate <= RATES_HZ[1]:
        raise UnreadableRecordingError(path, f"has the sampling rate {value} Hz, expected one from 10 to 100000 Hz")
    return rate


def check_samples(samples: int, path: str | os.PathLike[str]) -> None:
    """Refuse a recording of more than `MOST_SAMPLES`.

    Raises:
        UnreadableRecordingError: it has more.
    """
    if samples > MOST_SAMPLES:
        raise UnreadableRecordingError(path, f"has {samples} samples, of at most {MOST_SAMPLES}, cut it first")


def _is_number(text: str) -> bool:
    if not text.isascii() or "_" in text:  # Python takes 1_000 and digits of all scripts, other programs do not
        return False
    try:
        float(text)
    except ValueError:
        return False
    return True


def one_line(error: BaseException) -> str:
    """Text of an exception on one line of bounded length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else f"{text[:157]}..."
