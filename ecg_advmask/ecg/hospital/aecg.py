"""HL7 annotated ECG (aECG): ANSI HL7 V3 ECG R1-2004, Implementation Guide of 21 March 2005.

A ``series`` with the code RHYTHM holds a ``sequenceSet``: one sequence gives the time (head and increment), the others
one lead each, as whole numbers with an origin and a scale: value = origin + scale * digit. Beats that a device averaged
are a ``derivedSeries`` and not looked at. The format has no checksum.
"""

import datetime
import re
from typing import Final
from xml.etree.ElementTree import Element

import numpy as np

from ecg_advmask.ecg.hospital.waveform import (
    RefusedError,
    Waveform,
    age_between,
    age_from,
    millivolts_of,
    number_in,
    one_of,
    patient_id,
    stacked,
    whole_numbers_in,
)
from ecg_advmask.ecg.hospital.xml import attribute_at, only, text_at
from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.ecg.recording import parse_sex

_LEAD_PREFIX: Final = "MDC_ECG_LEAD_"
_SECONDS_IN: Final = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_AGE_CODES: Final = ("21612-7", "30525-0")
"""LOINC: reported age, age."""
_UCUM_TIMES: Final = {"a": "years", "mo": "months", "wk": "weeks", "d": "days", "h": "hours"}


def read_aecg(root: Element) -> Waveform:
    """The rhythm recording of an ``AnnotatedECG``.

    Raises:
        RefusedError: there is no rhythm or several, a lead has no unit, or lengths and times contradict each other.
    """
    rhythms = [one for one in root.findall("component/series") if attribute_at(one, "code", "code") == "RHYTHM"]
    sets = [(one, sequences) for one in rhythms for sequences in one.findall("component/sequenceSet")]
    sets = [pair for pair in sets if _lead_names(pair[1])]
    complete = [pair for pair in sets if set(STANDARD_LEADS) <= {_standard(name) for name in _lead_names(pair[1])}]
    candidates = complete or sets
    if len(candidates) != 1:
        what = " with a part of the leads" if sets and not complete else ""
        raise RefusedError(f"holds {len(candidates) or 'no'} rhythm recordings{what}, expected one")
    series, sequences = candidates[0]
    leads = [sequence for sequence in sequences.findall("component/sequence") if _lead_name(sequence)]
    columns = [whole_numbers_in(text_at(lead, "value/digits"), "the samples of a lead") for lead in leads]
    scales = np.array([_scale_mv(lead) for lead in leads])
    signals_mv = stacked(columns) * scales[:, 0] + scales[:, 1]
    interval_s = _interval_s(sequences)
    _check_duration(series, len(signals_mv) * interval_s)
    subjects = root.findall("componentOf/timepointEvent/componentOf/subjectAssignment/subject/trialSubject")
    subject = only(subjects, "subjects") if subjects else Element("trialSubject")
    person = subject.find("subjectDemographicPerson")
    return Waveform(
        leads=_lead_names(sequences),
        signals_mv=signals_mv,
        sampling_rate_hz=float(f"{1 / interval_s:.9g}"),  # 1 / 0.002 is 500, not 499.99999999999994
        patient=patient_id(
            attribute_at(subject, "id", "extension") or text_at(person, "PatientID")  # the latter is Mindray's
        ),
        age_years=_age_years(root, series, person),
        sex=parse_sex("" if person is None else attribute_at(person, "administrativeGenderCode", "code")),
    )


def _lead_name(sequence: Element) -> str:
    code = attribute_at(sequence, "code", "code")
    return code.removeprefix(_LEAD_PREFIX) if code.startswith(_LEAD_PREFIX) else ""


def _lead_names(sequences: Element) -> list[str]:
    return [name for sequence in sequences.findall("component/sequence") if (name := _lead_name(sequence))]


def _standard(name: str) -> str:
    return next((lead for lead in STANDARD_LEADS if lead.lower() == name.lower()), "")


def _scale_mv(sequence: Element) -> tuple[float, float]:
    """Millivolts per digit and at digit 0."""
    millivolts = [
        number_in(attribute_at(sequence, f"value/{name}", "value"), f"{name} of a lead")
        * millivolts_of(attribute_at(sequence, f"value/{name}", "unit"))
        for name in ("scale", "origin")
    ]
    if millivolts[0] <= 0:
        raise RefusedError("states a scale of a lead that is not positive")
    return millivolts[0], millivolts[1]


def _interval_s(sequences: Element) -> float:
    """Time between two samples."""
    times = [
        sequence
        for sequence in sequences.findall("component/sequence")
        if attribute_at(sequence, "code", "code") in ("TIME_ABSOLUTE", "TIME_RELATIVE")
    ]
    intervals = []
    for sequence in times:
        seconds = _SECONDS_IN.get(attribute_at(sequence, "value/increment", "unit"))
        if seconds is None:
            raise RefusedError("states its sampling interval in a unit that is not s, ms or us")
        intervals.append(number_in(attribute_at(sequence, "value/increment", "value"), "sampling interval") * seconds)
    interval_s = one_of(intervals, "sampling interval")
    if interval_s <= 0:
        raise RefusedError("states a sampling interval that is not positive")
    return interval_s


def _check_duration(series: Element, duration_s: float) -> None:
    """Compare the samples with the time that the series states, which many writers round to a second."""
    low, high = (_time(attribute_at(series, f"effectiveTime/{end}", "value")) for end in ("low", "high"))
    if low is None or high is None:
        return
    stated_s = (high - low).total_seconds()
    if abs(stated_s - duration_s) > 1:
        raise RefusedError(f"states a duration of {stated_s:g} s, holds {duration_s:g} s of samples")


def _time(text: str) -> datetime.datetime | None:
    """A time stamp of HL7, ``YYYYMMDDHHMMSS.SSS``; None unless it is given to the second."""
    match = re.match(r"(\d{14})(\.\d{1,6})?", text, re.ASCII)
    try:
        return datetime.datetime.strptime(f"{match[1]}{match[2] or '.0'}", "%Y%m%d%H%M%S.%f") if match else None
    except ValueError:
        return None


def _age_years(root: Element, series: Element, person: Element | None) -> float | None:
    """The age that is stated, else the one on the day of the recording."""
    for observation in root.findall("controlVariable/relatedObservation"):
        if attribute_at(observation, "code", "code") in _AGE_CODES:
            unit = _UCUM_TIMES.get(attribute_at(observation, "value", "unit"), "")
            return age_from(attribute_at(observation, "value", "value"), unit)
    if person is None:
        return None
    recorded = attribute_at(series, "effectiveTime/low", "value") or attribute_at(root, "effectiveTime/center", "value")
    return age_between(attribute_at(person, "birthTime", "value"), recorded)
