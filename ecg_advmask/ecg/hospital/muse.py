"""GE MUSE: XML of the MUSE cardiology information system (root ``RestingECG``, as in its restecg.dtd).

A ``Waveform`` of the type Rhythm holds eight leads, I, II and V1 to V6, each as Base64 of little-endian 16-bit numbers
with a CRC-32 of its bytes; III, aVR, aVL and aVF follow by Einthoven and Goldberger. The checksum covers the samples
only, so that rate, scale, unit and counts must agree wherever they are stated twice.
"""

import zlib
from typing import Final
from xml.etree.ElementTree import Element

import numpy as np

from ecg_advmask.ecg.hospital.waveform import (
    Counts,
    RefusedError,
    Waveform,
    age_from,
    base64_in,
    number_in,
    one_of,
    patient_id,
    stacked,
    whole_number_in,
)
from ecg_advmask.ecg.hospital.xml import only, text_at
from ecg_advmask.ecg.recording import parse_sex

_MILLIVOLTS_IN: Final = {"MICROVOLTS": 1e-3, "MILLIVOLTS": 1.0, "NANOVOLTS": 1e-6, "VOLTS": 1e3}
_NOT_APPLIED: Final = ("LeadTimeOffset", "LeadOffsetFirstSample", "FirstSampleBaseline")
"""0 in files that are known; what another value would mean is not documented."""


def read_muse(root: Element) -> Waveform:
    """The rhythm recording of a ``RestingECG``.

    Raises:
        RefusedError: there is no rhythm or several, a checksum does not hold or is missing where others are there, a
            count is wrong, or rate, scale and unit are missing or contradict each other.
    """
    waveforms = root.findall("Waveform")
    rhythm = only([one for one in waveforms if text_at(one, "WaveformType") == "Rhythm"], "rhythm waveforms")
    leads = rhythm.findall("LeadData")
    if text_at(rhythm, "SampleType") not in ("", "CONTINUOUS_SAMPLES"):
        raise RefusedError("holds samples that are not continuous")
    if (count := text_at(rhythm, "NumberofLeads")) and whole_number_in(count, "number of leads") != len(leads):
        raise RefusedError(f"states another number of leads than the {len(leads)} that it holds")
    stated = [bool(text_at(lead, "LeadDataCRC32")) for lead in leads]
    if any(stated) and not all(stated):
        raise RefusedError("states checksums of some leads only")
    signals = stacked([_samples(lead) for lead in leads])
    person = root.find("PatientDemographics")
    return Waveform(
        leads=[text_at(lead, "LeadID") for lead in leads],
        signals_mv=signals * one_of([_scale_mv(lead) for lead in leads], "units per bit"),
        sampling_rate_hz=_rate_hz(root, rhythm),
        patient=patient_id(text_at(person, "PatientID")),
        age_years=age_from(text_at(person, "PatientAge"), text_at(person, "AgeUnits")),
        sex=parse_sex(text_at(person, "Gender")),
        stores_eight=True,
    )


def _samples(lead: Element) -> Counts:
    if text_at(lead, "LeadSampleSize") not in ("", "2"):
        raise RefusedError("holds samples that are not of 2 bytes")
    for name in _NOT_APPLIED:
        if (text := text_at(lead, name)) and number_in(text, name) != 0:
            raise RefusedError(f"states a {name} that is not 0, whose meaning is not documented")
    content = base64_in(text_at(lead, "WaveFormData"), "the samples of a lead")
    if (checksum := text_at(lead, "LeadDataCRC32")) and whole_number_in(checksum, "checksum") != zlib.crc32(content):
        raise RefusedError("holds a lead whose checksum (CRC-32) does not hold, export it again")
    for name, size in (("LeadByteCountTotal", 1), ("LeadSampleCountTotal", 2)):
        if (text := text_at(lead, name)) and whole_number_in(text, name) * size != len(content):
            raise RefusedError(f"holds a lead of {len(content)} bytes, which contradicts its {name}")
    if len(content) % 2:
        raise RefusedError(f"holds a lead of {len(content)} bytes, which are no samples of 2 bytes")
    return np.frombuffer(content, "<i2").astype(np.int64)


def _scale_mv(lead: Element) -> float:
    """Millivolts per unit."""
    millivolts = _MILLIVOLTS_IN.get(text_at(lead, "LeadAmplitudeUnits").upper())
    if millivolts is None:
        raise RefusedError("states its samples in a unit that is not MICROVOLTS, MILLIVOLTS, NANOVOLTS or VOLTS")
    scale = number_in(text_at(lead, "LeadAmplitudeUnitsPerBit"), "units per bit")
    if scale <= 0:
        raise RefusedError("states units per bit that are not positive")
    return scale * millivolts


def _rate_hz(root: Element, rhythm: Element) -> float:
    """Samples per second: SampleBase * 10 ** SampleExponent.

    The measurements state a rate as well, that of the averaged beat: the same, twice or four times as much.
    """
    rates = [_stated_rate_hz(rhythm, "")]
    for measurements in root.findall("RestingECGMeasurements"):
        if text_at(measurements, "ECGSampleBase"):
            rates.append(_stated_rate_hz(measurements, "ECG"))
    if any(rate not in (rates[0], 2 * rates[0], 4 * rates[0]) for rate in rates):
        raise RefusedError("states a sampling rate that its measurements contradict")
    return rates[0]


def _stated_rate_hz(element: Element, prefix: str) -> float:
    exponent = number_in(text_at(element, f"{prefix}SampleExponent") or "0", "sampling rate")
    if exponent not in range(-6, 7):
        raise RefusedError("states an exponent of its sampling rate beyond 6")
    return float(number_in(text_at(element, f"{prefix}SampleBase"), "sampling rate") * 10**exponent)
