"""The result of the readers of hospital formats, their errors, and the numbers, ages and ids that they share.

A reader of a format knows bytes, not paths: it returns a `Waveform` or raises `RefusedError`, and `read_hospital` makes
a `Recording` or an `UnreadableRecordingError` of it. The text of a refusal quotes only numbers of the file that
describe its signal: hospital files hold names and dates, and a message may end in a log.
"""

import base64
import binascii
import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ecg_advmask.ecg.recording import Sex, parse_age, parse_patient
from ecg_advmask.ecg.units import millivolts

Floats = npt.NDArray[np.floating[Any]]
Counts = npt.NDArray[np.int64]

SCP_LEADS: Final = dict(enumerate(("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"), start=1)) | dict(
    enumerate(("III", "aVR", "aVL", "aVF"), start=61)
)
"""Standard leads by their codes in SCP-ECG (EN 1064, section 3), which MDC (ISO 11073-10102) and DICOM share."""

_LONGEST_ID = 64
_DAYS_PER_YEAR = 365.2425
_YEARS_IN: Final = {
    "year": 1.0,
    "month": 1 / 12,
    "week": 7 / _DAYS_PER_YEAR,
    "day": 1 / _DAYS_PER_YEAR,
    "hour": 1 / 24 / _DAYS_PER_YEAR,
}
_NUMBER = re.compile(r"[+-]?(\d{1,18}\.?\d{0,18}|\.\d{1,18})(e[+-]?\d{1,2})?", re.ASCII | re.IGNORECASE)
_WHOLE_NUMBERS = re.compile(r"[\s\d+-]*", re.ASCII)
_LARGEST_COUNT = 2**31


class RefusedError(Exception):
    """A file cannot be read; the text says why and quotes nothing that could identify a patient."""


@dataclass(frozen=True)
class Waveform:
    """The rhythm recording of one file.

    Attributes:
        leads: name of each column; other leads than the standard twelve may be among them.
        signals_mv: (T, leads), millivolts, NaN where a sample is missing.
        sampling_rate_hz: samples per second.
        patient: the id of the patient as the file states it; empty if it states none.
        age_years: None if unknown.
        sex: empty if unknown.
        stores_eight: whether the format defines I, II and V1 to V6 as a complete recording.
    """

    leads: Sequence[str]
    signals_mv: Floats
    sampling_rate_hz: float
    patient: str = ""
    age_years: float | None = None
    sex: Sex = ""
    stores_eight: bool = False


def number_in(text: str, what: str) -> float:
    """A decimal number.

    Raises:
        RefusedError: the text is no such number; the message names ``what``.
    """
    if not _NUMBER.fullmatch(text.strip()):
        raise RefusedError(f"states no number as its {what}" if text.strip() else f"does not state its {what}")
    return float(text)


def whole_number_in(text: str, what: str) -> int:
    """A whole number that is not negative.

    Raises:
        RefusedError: the text is no such number; the message names ``what``.
    """
    number = number_in(text, what)
    if number < 0 or not number.is_integer():
        raise RefusedError(f"states no whole number as its {what}")
    return int(number)


def whole_numbers_in(text: str, what: str) -> Counts:
    """Whole numbers between white space, ``(n,)``.

    Raises:
        RefusedError: there is anything else in the text, or a number that does not fit into 32 bits.
    """
    try:
        if not _WHOLE_NUMBERS.fullmatch(text):
            raise ValueError
        numbers = np.array([int(word) for word in text.split()], np.int64)
    except (ValueError, OverflowError):
        raise RefusedError(f"holds something else than whole numbers in {what}") from None
    if numbers.size and np.abs(numbers).max() >= _LARGEST_COUNT:
        raise RefusedError(f"holds numbers beyond 32 bits in {what}")
    return numbers


def base64_in(text: str, what: str) -> bytes:
    """Bytes from Base64 with white space (RFC 4648).

    Raises:
        RefusedError: the text is not that.
    """
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise RefusedError(f"holds damaged Base64 in {what}") from None


def millivolts_of(unit: str) -> float:
    """Millivolts in one of a unit.

    Raises:
        RefusedError: the unit is no voltage.
    """
    factor = millivolts(unit)
    if factor is None:
        raise RefusedError("states its samples in a unit that is not mV, uV, nV or V")
    return factor


def one_of(values: Sequence[float], what: str) -> float:
    """The value that all of ``values`` are.

    Raises:
        RefusedError: there is none, or they differ.
    """
    if not values:
        raise RefusedError(f"does not state its {what}")
    if any(value != values[0] for value in values):
        raise RefusedError(f"states different values of its {what}")
    return values[0]


def stacked(columns: Sequence[npt.NDArray[np.integer]], samples: int | None = None) -> Counts:
    """Leads side by side, ``(T, leads)``.

    Raises:
        RefusedError: there is no sample, or the leads differ in length from each other or from ``samples``.
    """
    lengths = sorted({len(column) for column in columns})
    if not lengths or lengths[0] == 0:
        raise RefusedError("holds no samples")
    if samples is not None and lengths != [samples]:
        raise RefusedError(f"states {samples} samples per lead, holds {' to '.join(map(str, lengths))}")
    if len(lengths) > 1:
        raise RefusedError(f"has leads of different lengths, {lengths[0]} to {lengths[-1]} samples")
    return np.stack([column.astype(np.int64) for column in columns], axis=-1)


def age_from(number: str, unit: str) -> float | None:
    """Age in years from a number and its unit in English (``months``, in any case); None if either makes no sense."""
    factor = _YEARS_IN.get(unit.strip().lower().removesuffix("s"))
    if factor is None or not _NUMBER.fullmatch(number.strip()):
        return None
    return parse_age(f"{float(number) * factor:.6g}")


def age_between(birth: str, recorded: str) -> float | None:
    """Age in whole years from two dates that begin ``YYYYMMDD`` or ``YYYY-MM-DD``; None if one is missing or wrong."""
    born, then = _date(birth), _date(recorded)
    if born is None or then is None or born > then:
        return None
    years = then.year - born.year - ((then.month, then.day) < (born.month, born.day))
    return parse_age(str(years))


def _date(text: str) -> datetime.date | None:
    match = re.match(r"(\d{4})(-?)(\d\d)\2(\d\d)", text.strip(), re.ASCII)
    try:
        return datetime.date(int(match[1]), int(match[3]), int(match[4])) if match else None
    except ValueError:
        return None


def patient_id(text: str) -> str:
    """An id as a file states it; empty if it is none, is longer than any id or cannot be printed."""
    text = " ".join(text.split())
    return parse_patient(text) if len(text) <= _LONGEST_ID and text.isprintable() else ""
