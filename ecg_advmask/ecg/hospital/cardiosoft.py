"""GE CardioSoft: XML with the root ``CardiologyXML``, as CardioSoft and CASE write it for a resting ECG.

``StripData`` holds the recording: whole numbers between commas for each lead, microvolts per unit, samples per second,
and the number of samples. The format has no checksum, and no public sample of a device was at hand.
"""

from xml.etree.ElementTree import Element

import numpy as np

from ecg_advmask.ecg.hospital.waveform import (
    RefusedError,
    Waveform,
    age_from,
    number_in,
    patient_id,
    stacked,
    whole_number_in,
    whole_numbers_in,
)
from ecg_advmask.ecg.hospital.xml import attribute_at, only, text_at
from ecg_advmask.ecg.recording import parse_sex


def read_cardiosoft(root: Element) -> Waveform:
    """The recording of a ``CardiologyXML``.

    Raises:
        RefusedError: there is no strip or several, rate or resolution are missing or in another unit, or a count is
            wrong.
    """
    strip = only(root.findall("StripData"), "strips")
    leads = strip.findall("WaveformData")
    rate_unit, unit = attribute_at(strip, "SampleRate", "units"), attribute_at(strip, "Resolution", "units")
    if (rate_unit, unit) != ("Hz", "uVperLsb"):
        raise RefusedError("states its sampling rate or resolution in other units than Hz and uVperLsb")
    if (count := text_at(strip, "NumberOfLeads")) and whole_number_in(count, "number of leads") != len(leads):
        raise RefusedError(f"states another number of leads than the {len(leads)} that it holds")
    columns = [whole_numbers_in((lead.text or "").replace(",", " "), "the samples of a lead") for lead in leads]
    samples = whole_number_in(text_at(strip, "ChannelSampleCountTotal"), "number of samples")
    resolution_uv = number_in(text_at(strip, "Resolution"), "resolution")
    if resolution_uv <= 0:
        raise RefusedError("states a resolution that is not positive")
    person = root.find("PatientInfo")
    age_unit = "years" if person is None else attribute_at(person, "Age", "units")
    return Waveform(
        leads=[lead.get("lead", "") for lead in leads],
        signals_mv=stacked(columns, samples).astype(np.float64) * (resolution_uv / 1000),
        sampling_rate_hz=number_in(text_at(strip, "SampleRate"), "sampling rate"),
        patient=patient_id(text_at(person, "PID")),
        age_years=age_from(text_at(person, "Age"), age_unit),
        sex=parse_sex(text_at(person, "Gender")),
    )
