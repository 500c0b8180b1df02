"""DICOM waveforms: PS3.3 section C.10.9, as in 12-Lead ECG, General ECG and Ambulatory ECG Waveform Storage.

A file holds one or more multiplex groups: samples of several channels at one rate. In millivolts, a sample is
``sample * sensitivity * correction factor + baseline``, all of its channel. The format has no checksum.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from logging import getLogger
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ecg_advmask.ecg.hospital.waveform import (
    SCP_LEADS,
    Floats,
    RefusedError,
    Waveform,
    age_between,
    age_from,
    millivolts_of,
    number_in,
    patient_id,
    whole_number_in,
)
from ecg_advmask.ecg.leads import STANDARD_LEADS, standard_lead
from ecg_advmask.ecg.recording import parse_sex
from ecg_advmask.errors import InputError

_SYNTAXES: Final = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")
"""Implicit and explicit VR, little-endian. The deflated one could grow without bound while it is read."""

_SAMPLE_TYPES: Final = {
    ("SB", 8): "i1",
    ("UB", 8): "u1",
    ("SS", 16): "<i2",
    ("US", 16): "<u2",
    ("SL", 32): "<i4",
    ("UL", 32): "<u4",
}
_LEAD_CODE: Final = {"SCPECG": re.compile(r"5\.6\.3-9-(\d{1,3})"), "MDC": re.compile(r"2:(\d{1,5})")}
_LEAD_NAME: Final = re.compile(rf"lead ({'|'.join(STANDARD_LEADS)})\b(?!-)", re.IGNORECASE)
_AGE_UNITS: Final = {"Y": "years", "M": "months", "W": "weeks", "D": "days"}
_DATES: Final = ("AcquisitionDateTime", "AcquisitionDate", "ContentDate", "StudyDate")
_MEDIAN: Final = re.compile("median|average|representative|beat", re.IGNORECASE)


def read_dicom(content: bytes) -> Waveform:
    """The rhythm recording of a DICOM file.

    Raises:
        RefusedError: there is no rhythm waveform, or several; a channel lacks its sensitivity or unit, is shifted in
            time, or has a contradictory code; samples are compressed or cut short.
        InputError: the package pydicom is missing.
    """
    with _silent_pydicom() as pydicom:
        if _transfer_syntax(content, pydicom) not in _SYNTAXES:
            raise RefusedError("is DICOM in another transfer syntax than little-endian without compression")
        dataset = pydicom.dcmread(io.BytesIO(content))
        groups = list(dataset.get("WaveformSequence") or [])
        _check_order(dataset)
        for group in groups:
            _check_group(group)
        rhythms = [group for group in groups if not _MEDIAN.search(_text(group, "MultiplexGroupLabel"))]
        if len(rhythms) > 1:  # averages and filtered copies may be marked as such only
            rhythms = [group for group in rhythms if _text(group, "WaveformOriginality") == "ORIGINAL"]
        if len(rhythms) != 1:
            raise RefusedError(f"holds {len(rhythms) or 'no'} rhythm waveforms among {len(groups)}, expected one")
        leads, signals_mv = _signals(rhythms[0])
        return Waveform(
            leads=leads,
            signals_mv=signals_mv,
            sampling_rate_hz=number_in(_text(rhythms[0], "SamplingFrequency"), "sampling rate"),
            patient=patient_id(_text(dataset, "PatientID")),
            age_years=_age_years(dataset),
            sex=parse_sex(_text(dataset, "PatientSex")),
        )


def _transfer_syntax(content: bytes, pydicom: Any) -> str:
    """How the data set is encoded, from the meta information (group 0002), which is always in explicit VR."""
    elements = pydicom.filereader.data_element_generator(
        io.BytesIO(content[132:]), False, True, stop_when=lambda tag, *_: tag >> 16 != 2
    )
    values = [bytes(element.value) for element in elements if element.tag == 0x00020010]
    return values[0].rstrip(b"\0 ").decode("ascii") if len(values) == 1 else ""


def _check_order(dataset: Any) -> None:
    """Refuse data elements that are not in the order of their tags: reading went astray in a damaged file."""
    tags = list(dataset.keys())
    if tags != sorted(tags):
        raise RefusedError("holds data elements in disorder, it is damaged")


def _check_group(group: Any) -> None:
    """Refuse a multiplex group that is malformed, also where another one is read: samples may be shifted before it."""
    _check_order(group)
    for channel in group.get("ChannelDefinitionSequence") or []:
        _check_order(channel)
    if _text(group, "WaveformOriginality") not in ("ORIGINAL", "DERIVED"):
        raise RefusedError("holds a waveform that lacks its originality, it is damaged")
    samples, channels, dtype = _form(group)
    content = bytes(group.get("WaveformData") or b"")
    size = samples * channels * dtype.itemsize
    if size == 0 or len(content) != size + size % 2:  # values have an even length
        raise RefusedError(f"states {samples} samples of {channels} channels, holds {len(content)} bytes")


def _form(group: Any) -> tuple[int, int, np.dtype[Any]]:
    """Samples, channels and type of the numbers of one multiplex group."""
    samples = whole_number_in(_text(group, "NumberOfWaveformSamples"), "number of samples")
    bits = whole_number_in(_text(group, "WaveformBitsAllocated"), "bits of a sample")
    form = _SAMPLE_TYPES.get((_text(group, "WaveformSampleInterpretation"), bits))
    if form is None:
        raise RefusedError("holds samples that are not whole numbers of 8, 16 or 32 bits")
    channels = len(group.get("ChannelDefinitionSequence") or [])
    if whole_number_in(_text(group, "NumberOfWaveformChannels"), "number of channels") != channels:
        raise RefusedError(f"states another number of channels than the {channels} that it describes")
    return samples, channels, np.dtype(form)


def _signals(group: Any) -> tuple[list[str], Floats]:
    """Names of the leads, and their samples in millivolts, ``(T, leads)``, of one multiplex group."""
    samples, count, dtype = _form(group)
    units = np.frombuffer(bytes(group.WaveformData), dtype, samples * count).reshape(samples, count)
    rate_hz = number_in(_text(group, "SamplingFrequency"), "sampling rate")
    names, factors, offsets = zip(
        *(_channel(channel, rate_hz) for channel in group.ChannelDefinitionSequence), strict=True
    )
    signals_mv = units * np.array(factors) + np.array(offsets)
    padding = bytes(group.get("WaveformPaddingValue") or b"")
    is_missing = units == np.frombuffer(padding[: dtype.itemsize], dtype)[0] if padding else np.zeros(units.shape, bool)
    signals_mv[is_missing] = np.nan
    for channel, column, missing in zip(group.ChannelDefinitionSequence, units.T, is_missing.T, strict=True):
        _check_bits(channel, column[~missing])
    return list(names), signals_mv


def _check_bits(channel: Any, units: npt.NDArray[np.integer]) -> None:
    """Refuse numbers that do not fit into the bits that are stored: the others may not continue the sign."""
    most = 8 * units.itemsize
    bits = whole_number_in(_text(channel, "WaveformBitsStored") or str(most), "bits that are stored")
    least, beyond = (-(1 << bits >> 1), 1 << bits >> 1) if units.dtype.kind == "i" else (0, 1 << bits)
    if not 0 < bits <= most or (len(units) and not least <= units.min() <= units.max() < beyond):
        raise RefusedError(f"holds samples that do not fit into the {bits} bits that it states")


def _channel(channel: Any, rate_hz: float) -> tuple[str, float, float]:
    """Name, millivolts per unit, and millivolts at 0."""
    skew = [_text(channel, "ChannelSampleSkew"), _text(channel, "ChannelTimeSkew")]
    shift = number_in(skew[0] or "0", "skew") + number_in(skew[1] or "0", "skew") * rate_hz
    if abs(shift) >= 1:
        raise RefusedError("holds channels that are shifted in time by a sample or more, align them first")
    name = _lead_name(channel)
    if not name:  # of other channels, nothing is asked
        return "other", 1.0, 0.0
    units = list(channel.get("ChannelSensitivityUnitsSequence") or [])
    if len(units) != 1:
        raise RefusedError("holds a lead without a unit")
    millivolts = millivolts_of(_text(units[0], "CodeValue"))
    sensitivity = number_in(_text(channel, "ChannelSensitivity"), "sensitivity of a lead")
    correction = number_in(_text(channel, "ChannelSensitivityCorrectionFactor") or "1", "sensitivity of a lead")
    baseline = number_in(_text(channel, "ChannelBaseline") or "0", "baseline of a lead")
    if sensitivity * correction <= 0:
        raise RefusedError("states a sensitivity of a lead that is not positive")
    return name, sensitivity * correction * millivolts, baseline * millivolts


def _lead_name(channel: Any) -> str:
    """The standard lead that its code and its name, or the one of both that is known, state."""
    names = set()
    for source in channel.get("ChannelSourceSequence") or []:
        scheme = _LEAD_CODE.get(_text(source, "CodingSchemeDesignator"))
        if scheme and (code := scheme.fullmatch(_text(source, "CodeValue"))):
            names.add(SCP_LEADS.get(int(code[1]), "").lower())
        if meaning := _LEAD_NAME.match(_text(source, "CodeMeaning")):
            names.add(meaning[1].lower())
    if not names:  # of own codes, the plain name
        texts = [_text(source, "CodeMeaning") for source in channel.get("ChannelSourceSequence") or []]
        leads = map(standard_lead, (*texts, _text(channel, "ChannelLabel")))
        names = {STANDARD_LEADS[lead].lower() for lead in leads if lead is not None}
    if len(names) > 1:
        raise RefusedError("holds a channel whose code and name are those of different leads")
    return next(iter(names), "")


def _age_years(dataset: Any) -> float | None:
    """The age that is stated, else the one on the day of the recording."""
    if age := _text(dataset, "PatientAge"):
        return age_from(age[:-1], _AGE_UNITS.get(age[-1], ""))
    dates = [_text(dataset, name) for name in _DATES]
    return age_between(_text(dataset, "PatientBirthDate"), next(filter(None, dates), ""))


def _text(dataset: Any, keyword: str) -> str:
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip()


@contextmanager
def _silent_pydicom() -> Iterator[Any]:
    """The package pydicom, which may not warn or log meanwhile: it quotes the values of a file, such as dates."""
    import warnings

    try:
        import pydicom
    except ImportError:
        raise InputError("reading DICOM needs the package pydicom, run pip install 'ecg-advmask[hospital]'") from None
    logger = getLogger("pydicom")
    was_disabled = logger.disabled
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.disabled = True
        try:
            yield pydicom
        finally:
            logger.disabled = was_disabled
