"""Philips Sierra XML 1.03 and 1.04 (root ``restingecgdata``): PageWriter, TraceMasterVue, IntelliSpace ECG.

``parsedwaveforms`` holds 16-bit samples as Base64, compressed by XLI or not. With XLI, III, aVR, aVL and aVF are
remainders, from which the leads follow by I and II. Most recordings end in a calibration pulse of 1 mV on all leads. It
is cut, and it is a check as well: damage to compressed samples reaches the end of its lead, where the pulse is then
another than in the other leads. The formats are described by Philips's schemas and sierra-ecg-tools (C. A. Watford).
"""

from typing import Final
from xml.etree.ElementTree import Element

import numpy as np

from ecg_advmask.ecg.hospital.waveform import (
    Counts,
    RefusedError,
    Waveform,
    age_between,
    age_from,
    base64_in,
    number_in,
    one_of,
    patient_id,
    whole_number_in,
)
from ecg_advmask.ecg.hospital.xli import decode_xli
from ecg_advmask.ecg.hospital.xml import attribute_at, only, text_at
from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.ecg.recording import parse_sex

_VERSIONS: Final = ("1.03", "1.04", "1.04.01", "1.04.02")
_PULSE_UV: Final = 1000
_SHORTEST_PULSE: Final = 20
_MOST_BY_CHANCE: Final = 5
"""Samples; pulses of Philips's machines take a second."""
_EINTHOVEN_UNITS: Final = 4
"""How far III may be from II - I in samples that are not compressed; each lead is rounded on its own."""


def read_sierra(root: Element) -> Waveform:
    """The recording of a ``restingecgdata``, without the calibration pulse at its end.

    Raises:
        RefusedError: the version is unknown, samples are damaged or cut short, values that are stated twice differ, or
            the samples are stored in a way of which no example is known.
    """
    if text_at(root, "documentinfo/documentversion") not in _VERSIONS:
        raise RefusedError(f"is Sierra XML of another version than {', '.join(_VERSIONS)}")
    samples = only(root.findall("waveforms/parsedwaveforms"), "recordings")
    signal = only(root.findall("dataacquisition/signalcharacteristics"), "descriptions of the signal")
    _check_form(signal, samples)
    rates = [text_at(signal, "samplingrate"), samples.get("samplespersecond", "")]
    rate_hz = one_of([number_in(text, "sampling rate") for text in rates if text], "sampling rate")
    steps = [text_at(signal, "resolution"), text_at(signal, "signalresolution"), samples.get("resolution", "")]
    step_uv = one_of([number_in(text, "resolution") for text in steps if text], "resolution")
    if step_uv <= 0:
        raise RefusedError("states a resolution that is not positive")
    duration_ms = number_in(samples.get("durationperchannel", ""), "duration")
    leads = _lead_names(signal, samples)
    units = _without_pulse(_units(samples, leads, round(duration_ms * rate_hz / 1000)), step_uv)
    person = root.find("patient/generalpatientdata")
    return Waveform(
        leads=leads,
        signals_mv=units * (step_uv / 1000),
        sampling_rate_hz=rate_hz,
        patient=patient_id(text_at(person, "patientid")),
        age_years=_age_years(person, attribute_at(root, "dataacquisition", "date")),
        sex=parse_sex(text_at(person, "sex")),
    )


def _check_form(signal: Element, samples: Element) -> None:
    """Refuse samples that are not signed 16-bit numbers around 0 in Base64."""
    expected = {"bitspersample": "16", "signalsigned": "True", "signaloffset": "0"}
    for name, value in expected.items():
        stated = [text_at(signal, name), samples.get(name, ""), samples.get(f"n{name}", "")]
        if any(text not in ("", value) for text in stated):
            raise RefusedError(f"states a {name} that is not {value}, of which no example is known")
    if samples.get("dataencoding") != "Base64":
        raise RefusedError("holds samples that are not in Base64")


def _lead_names(signal: Element, samples: Element) -> list[str]:
    """Names in the order of the channels. Version 1.03 does not state them, but the set of electrodes."""
    stated = text_at(signal, "numberchannelsvalid")
    if "leadlabels" in samples.attrib:
        leads = samples.get("leadlabels", "").split()
        counts = [samples.get("numberofleads", ""), stated]
    else:
        if text_at(signal, "acquisitiontype") not in ("STD-12", "10-WIRE"):
            raise RefusedError("does not name its leads and was not recorded with the standard electrodes")
        leads, counts = list(STANDARD_LEADS), [stated]
    if any(whole_number_in(count, "number of leads") != len(leads) for count in counts if count):
        raise RefusedError(f"states another number of leads than the {len(leads)} that it names")
    if leads[:6] != list(STANDARD_LEADS[:6]):
        raise RefusedError("does not begin with the leads I, II, III, aVR, aVL and aVF")
    return leads


def _units(parsed: Element, leads: list[str], samples: int) -> Counts:
    """Samples in units of the converter, ``(samples, leads)``."""
    content = base64_in(parsed.text or "", "its samples")
    method = parsed.get("compression") or parsed.get("compressmethod") or "Uncompressed"
    if parsed.get("compressflag") == "False":
        method = "Uncompressed"
    if method == "XLI":
        channels = decode_xli(content, samples)
        if len(channels) < len(leads):
            raise RefusedError(f"holds {len(channels)} channels for {len(leads)} leads")
        units = np.stack(channels[: len(leads)], axis=-1)
        # What is stored of III, aVR, aVL and aVF is how much they lack to what follows from the others, rounded down.
        units[:, 2] = units[:, 1] - units[:, 0] - units[:, 2]
        units[:, 3] = -((units[:, 0] + units[:, 1]) // 2) - units[:, 3]
        units[:, 4] = (units[:, 0] - units[:, 2]) // 2 - units[:, 4]
        units[:, 5] = (units[:, 1] + units[:, 2]) // 2 - units[:, 5]
        return units
    if method != "Uncompressed":
        raise RefusedError("holds samples in a compression that is not XLI")
    if samples == 0 or len(content) != 2 * samples * len(leads):
        raise RefusedError(f"states {samples} samples for each of {len(leads)} leads, holds {len(content)} bytes")
    units = np.frombuffer(content, "<i2").reshape(len(leads), samples).T.astype(np.int64)
    outside = _pulse_start(units)
    if np.abs(units[:outside, 1] - units[:outside, 0] - units[:outside, 2]).max(initial=0) > _EINTHOVEN_UNITS:
        raise RefusedError("holds samples without compression in which III is not II - I, of which no example is known")
    return units


def _pulse_start(units: Counts) -> int:
    """Where most leads begin to be the same up to the end; the number of samples if they never are.

    Between two beats, most leads of a calm recording are the same by chance for a sample or two, also before a pulse.
    """
    usual = np.median(units, axis=1, keepdims=True)
    alike = (units == usual).sum(axis=1) > units.shape[1] // 2
    start = len(units) - int(np.argmin(alike[::-1])) if not alike.all() else 0
    if len(units) - start < _SHORTEST_PULSE or not usual[start:].any():
        return len(units)
    return start + int((units == usual)[start : start + _MOST_BY_CHANCE + 1].all(axis=1).argmax())


def _without_pulse(units: Counts, step_uv: float) -> Counts:
    """The samples before the calibration pulse.

    Of a heart, all leads can be the same only where they are 0, since aVR = -(I + II) / 2.
    """
    start = _pulse_start(units)
    pulse = units[start:]
    if not len(pulse):
        return units
    if (pulse != pulse[:, :1]).any():
        raise RefusedError("ends in a calibration pulse that differs between the leads, it is damaged")
    if abs(int(np.ptp(pulse)) * step_uv - _PULSE_UV) > step_uv:
        raise RefusedError("ends in a calibration pulse that is not 1 mV by its resolution")
    if start == 0:
        raise RefusedError("holds nothing but a calibration pulse")
    return units[:start]


def _age_years(person: Element | None, recorded: str) -> float | None:
    """The age that is stated, else the one on the day of the recording; ``defaultage`` is the machine's, not one's."""
    age = None if person is None else person.find("age")
    for unit in ("years", "months", "weeks", "days"):
        if text := text_at(age, unit):
            return age_from(text, unit)
    return age_between(text_at(age, "dateofbirth"), recorded)
