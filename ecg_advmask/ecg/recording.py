"""One 12-lead recording, and what all readers need to reach millivolts, hertz and the standard leads.

`ecg_advmask.ecg.sources` finds the reader of a file. Every failure is an `UnreadableRecordingError`, which says in one
line what is wrong with the file. No TensorFlow here.
"""

import functools
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from ecg_advmask.ecg.leads import AS_NAMED, LeadColumns, LeadNames, find_leads, standard_lead
from ecg_advmask.ecg.signals import FloatSignals
from ecg_advmask.ecg.units import millivolts
from ecg_advmask.errors import InputError, printable

Sex = Literal["male", "female", ""]

_MISSING: Final = {
    *("", "na", "n/a", "n.a.", "na.", "#n/a", "<na>", "nan", "-nan", "nat", "none", "null", "nil", "\\n", "undefined"),
    *(
        "(null)",
        "<null>",
        "[null]",
        "(blank)",
        "blank",
        "1.#qnan",
        "1.#ind",
        "-1.#ind",
        "-",
        "--",
        "---",
        ".",
        "?",
        "*",
    ),
    *("#value!", "#ref!", "#name?", "#div/0!", "#null!", "#num!", "unknown", "unk", "missing", "not available"),
    *("not known", "not recorded", "not reported", "not stated", "not specified", "unspecified", "n/d", "n.d."),
    *("unbekannt", "keine angabe", "k.a.", "k. a.", "inconnu", "desconocido", "sconosciuto", "onbekend"),
}
_PATIENT: Final = {
    *("patient", "patientid", "patientno", "patientnr", "patid", "ptid", "pid", "ptno", "patno", "subject"),
    *("subjectid", "subjid", "usubjid", "person", "personid", "participant", "participantid"),
    *("mrn", "medicalrecordnumber", "empi", "mpi", "masterpatientindex", "nhsnumber", "nhsno", "pseudonym", "anonid"),
}
_PERSON: Final = {
    *("patient", "patients", "patienten", "patientin", "paciente", "subject", "subjects", "subj", "participant"),
    *("person", "pat", "pt"),
}
_NUMBERED: Final = {
    *("id", "no", "nr", "num", "number", "nummer", "numero", "code", "identifier", "key", "index", "idx", "uid"),
    *("uuid", "#"),
}
_BESIDE_PERSON: Final = {
    *("study", "anon", "anonymous", "anonymized", "anonymised", "deid", "deidentified", "pseudo", "hashed", "hash"),
    *("unique", "new", "original", "orig", "hospital", "research", "global", "internal"),
}
_RECORDING: Final = (
    *("id", "record", "recordid", "recording", "recordingid", "recordname", "recordingname", "ecgid", "examid"),
    *("studyid", "filename", "file", "filepath", "path", "filenamehr", "filenamelr", "waveformpath"),
)
_SEX_OF: Final[dict[str, Sex]] = {
    **dict.fromkeys(("male", "m", "man", "boy", "masc", "männlich", "maennlich", "mann", "homme", "hombre"), "male"),
    **dict.fromkeys(("masculin", "masculino", "maschio"), "male"),
    **dict.fromkeys(("female", "f", "w", "woman", "girl", "fem", "weiblich", "frau", "femme", "mujer"), "female"),
    **dict.fromkeys(("féminin", "feminin", "femenino", "femmina"), "female"),
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
    ``rebuilt`` names the limb leads that the file lacks and that were computed from the others; ``assumed_unit`` is the
    unit that the samples were taken in because the file states none.
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
    assumed_unit: str = ""


def is_missing(text: str) -> bool:
    """Whether a cell, or a value in a header, says that nothing is known: empty, or a word such as NA, nan, None, ?."""
    return text.strip().casefold() in _MISSING


@functools.lru_cache(maxsize=256)
def means_patient(name: str) -> bool:
    """Whether a column of a table, or a key in a header, names the patient: ``patient_id``, ``ID Subject``, ``pid``.

    So does each name of a word for a person and one for a number, in any order; ``patient age`` does not.
    """
    if re.sub(r"[\s_.\-]+", "", name).casefold() in _PATIENT:
        return True
    words = {word.casefold() for word in re.findall(r"[^\W\d_]?[^\W\d_A-Z]+|[A-Z]+(?![a-z])|#", name)}
    person, number = words & _PERSON, words & _NUMBERED
    return bool(person and number) and words <= _PERSON | _NUMBERED | _BESIDE_PERSON


def recording_column(names: Sequence[str]) -> str | None:
    """The column of a table that names recordings, such as ``id``, ``Record`` or ``file_name``; None if none does."""
    bare = {re.sub(r"[\s_.\-()\[\]]+", "", name).casefold(): name for name in reversed(names)}
    return next((bare[one] for one in _RECORDING if one in bare), None)


_NOBODY: Final = re.compile(r"anon(ym(ous|i[sz]ed)?)?|de-?identified|removed|redacted|x{3,}", re.IGNORECASE)
"""What programs write in place of an id that they remove: of many patients the same."""


def parse_patient(text: str) -> str:
    """Name of a patient: 100, 100.0 and " 100 " are one; empty where it is missing or was replaced by a word."""
    if is_missing(text) or _NOBODY.fullmatch(text.strip()):
        return ""
    return re.sub(r"(?<=\d)\.0+$", "", text.strip())


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
    """``male`` or ``female``, from words (also man, woman, W, Frau, homme) or first letters in any case; else empty.

    So are 0 and 1, whose meaning differs between archives.
    """
    return _SEX_OF.get(text.strip().casefold().removesuffix("."), "")


def lead_columns(
    names: Sequence[str], path: str | os.PathLike[str], *, rebuild: bool = False, leads: LeadNames = AS_NAMED
) -> LeadColumns:
    """The standard leads among the named columns of a file, as `find_leads`, after ``leads`` renamed some.

    Raises:
        UnreadableRecordingError: a lead is there twice or in reverse, or is missing and is not to be or cannot be
            rebuilt.
    """
    try:
        return find_leads(leads.apply(names), rebuild=rebuild)
    except InputError as error:
        few = sum(standard_lead(str(name)) is not None for name in names) < 2 <= len(names)
        advice = "; --leads NAME=I,NAME=II,... says which leads they are" if few and not leads.renamed else ""
        raise UnreadableRecordingError(path, f"{error}{advice}") from None


def millivolts_in(unit: str, path: str | os.PathLike[str]) -> float:
    """Millivolts in one of a unit, which may be a scale (``4.88uV``).

    Raises:
        UnreadableRecordingError: the unit is no voltage.
    """
    factor = millivolts(str(unit))
    if factor is None:
        raise UnreadableRecordingError(path, f"has the unit {unit!r}, expected mV, uV or V, or one scaled (1e-4V)")
    return factor


def column_factors(
    found: LeadColumns, stated: Sequence[str], default: str, path: str | os.PathLike[str]
) -> float | tuple[float, ...]:
    """Millivolts in one of the unit of each lead that a file has; one number where it is the same for all.

    Args:
        found: the leads, with the units in the names of their columns.
        stated: the units that the file states elsewhere, one for each lead in the order of ``found.columns``, one for
            all, or none; an empty one states nothing.
        default: the unit of columns for which the file states none.
        path: the file, for complaints.

    Raises:
        UnreadableRecordingError: a unit is no voltage, or a name contradicts what is stated elsewhere.
    """
    count = len(found.columns)
    named = found.units or ("",) * count
    everywhere = list(stated) * count if len(stated) == 1 else list(stated) or [""] * count
    factors = []
    for in_name, in_file in zip(named, everywhere, strict=True):
        factor = millivolts_in(in_name or in_file or default, path)
        if in_name and in_file and not math.isclose(millivolts_in(in_file, path), factor):
            raise UnreadableRecordingError(path, f"has the unit {in_name} in the name of a lead, and {in_file} as well")
        factors.append(factor)
    return factors[0] if len(set(factors)) == 1 else tuple(factors)


def assumed_unit(found: LeadColumns, stated: Sequence[str], default: str) -> str:
    """The unit of all leads where neither their names nor the file state one, else empty; arguments as above."""
    return "" if any(found.units) or any(stated) else default


def positive_rate(value: Any, path: str | os.PathLike[str]) -> float:
    """A sampling rate in Hz, as a number.

    Raises:
        UnreadableRecordingError: it is absent, not a positive number, or outside `RATES_HZ`.
    """
    if value is None:
        raise UnreadableRecordingError(path, "does not state its sampling rate, give it (--source-rate HZ)")
    rate = float(value) if is_number(str(value)) else math.nan
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


def is_number(text: str) -> bool:
    """Whether a text is a decimal number, as most programs write one."""
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
