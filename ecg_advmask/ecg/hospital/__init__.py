"""Reading the files of hospital ECG systems: DICOM, HL7 aECG, GE MUSE and CardioSoft, Philips Sierra, SCP-ECG and EDF.

`read_hospital` is the door. The format is recognised by its content, each one is decoded in a module of its own, and
what is not understood is refused: a wrong value without a word would be the worst fault. Of the patient, only the id,
the age and the sex are read; neither a recording nor a message holds a name or a date. No TensorFlow here.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

import numpy as np

from ecg_advmask.ecg.hospital.aecg import read_aecg
from ecg_advmask.ecg.hospital.cardiosoft import read_cardiosoft
from ecg_advmask.ecg.hospital.dicom import read_dicom
from ecg_advmask.ecg.hospital.edf import read_edf
from ecg_advmask.ecg.hospital.muse import read_muse
from ecg_advmask.ecg.hospital.scp import is_scp, read_scp
from ecg_advmask.ecg.hospital.sierra import read_sierra
from ecg_advmask.ecg.hospital.waveform import RefusedError, Waveform
from ecg_advmask.ecg.hospital.xml import parse_xml
from ecg_advmask.ecg.leads import INDEPENDENT_LEADS, STANDARD_LEADS, standard_lead
from ecg_advmask.ecg.recording import Recording, UnreadableRecordingError, check_samples, lead_columns, positive_rate
from ecg_advmask.errors import InputError

__all__ = ["read_hospital"]

_LARGEST_BYTES: Final = 200_000_000
_LARGEST_XML_BYTES: Final = 50_000_000
_XML_READERS: Final[dict[str, Callable[[Element], Waveform]]] = {
    "AnnotatedECG": read_aecg,
    "CardiologyXML": read_cardiosoft,
    "RestingECG": read_muse,
    "restingecgdata": read_sierra,
}
_XML_STARTS: Final = (b"<", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


def read_hospital(path: str | os.PathLike[str], *, rebuild_leads: bool = False) -> Recording:
    """Read the 12-lead rhythm recording of a file from a hospital.

    Of a file that also holds averaged beats, the rhythm is taken. GE MUSE and SCP-ECG define I, II and V1 to V6 as a
    complete recording: III, aVR, aVL and aVF are then computed from them, and not counted as rebuilt.

    Args:
        path: a DICOM waveform, HL7 aECG, GE MUSE or CardioSoft XML, Philips Sierra XML, SCP-ECG or EDF file, whatever
            its name.
        rebuild_leads: take a recording that lacks limb leads, as long as they follow from two others.

    Returns:
        Signals ``(T, 12)`` in millivolts, and of the patient the id as in the file, age and sex where the
        file states them. An age that is not stated is computed where the file holds the dates of birth and of the
        recording.

    Raises:
        UnreadableRecordingError: the file is in none of these formats, damaged or ambiguous, fails a checksum, or lacks
            a lead or a unit. The message quotes only numbers of the file that describe its signal.
        InputError: a package is missing that the extra ``hospital`` brings.
    """
    content = _content(path)
    try:
        waveform = _decode(content)
    except RefusedError as refusal:
        raise UnreadableRecordingError(path, str(refusal)) from None
    except InputError:
        raise
    except Exception:  # what pydicom raises on damaged files is of many kinds, and quotes them
        raise UnreadableRecordingError(path, "is damaged or not in the form that its format defines") from None
    check_samples(waveform.signals_mv.size, path)
    by_definition = waveform.stores_eight and _standard_leads(waveform.leads) == set(INDEPENDENT_LEADS)
    leads = lead_columns(waveform.leads, path, rebuild=rebuild_leads or by_definition)
    with np.errstate(over="ignore"):
        signals_mv = waveform.signals_mv[:, list(leads.columns)].astype(np.float32)
    if np.isinf(signals_mv).any():
        raise UnreadableRecordingError(path, "holds samples beyond any voltage")
    return Recording(
        record_id=Path(path).stem,
        signals_mv=leads.to_twelve_leads(signals_mv),
        sampling_rate_hz=positive_rate(waveform.sampling_rate_hz, path),
        patient=waveform.patient,
        age_years=waveform.age_years,
        sex=waveform.sex,
        file=os.fspath(path),
        rebuilt=() if by_definition else leads.rebuilt,
    )


def _content(path: str | os.PathLike[str]) -> bytes:
    try:
        if not Path(path).is_file():
            raise UnreadableRecordingError(path, "is no file")
        if (size := Path(path).stat().st_size) > _LARGEST_BYTES:
            raise UnreadableRecordingError(path, f"has {size} bytes, of at most {_LARGEST_BYTES}")
        return Path(path).read_bytes()
    except OSError as error:
        raise UnreadableRecordingError(path, f"cannot be read ({error.strerror})") from None


def _decode(content: bytes) -> Waveform:
    """The recording, by the reader of the format that the content is in."""
    if content[128:132] == b"DICM":
        return read_dicom(content)
    if content[:8] == b"0       ":
        return read_edf(content)
    if is_scp(content):
        return read_scp(content)
    if content.lstrip().startswith(_XML_STARTS):
        if len(content) > _LARGEST_XML_BYTES:
            raise RefusedError(f"has {len(content)} bytes, of at most {_LARGEST_XML_BYTES} in XML")
        root = parse_xml(content)
        if root.tag in _XML_READERS:
            return _XML_READERS[root.tag](root)
        raise RefusedError(f"is XML of another kind than {', '.join(_XML_READERS)}")
    raise RefusedError("is none of DICOM, EDF, SCP-ECG and XML")


def _standard_leads(names: Sequence[str]) -> set[str]:
    """The standard leads among names."""
    return {STANDARD_LEADS[lead] for name in names if (lead := standard_lead(name)) is not None}
