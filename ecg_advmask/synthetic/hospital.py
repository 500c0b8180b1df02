"""Generated recordings as files of hospital ECG systems: DICOM, HL7 aECG, GE MUSE, Philips Sierra and SCP-ECG.

In: a folder, how many recordings, a seed. Out: ``<format>/GENERATED_00001.dcm`` and so on, each recording in one of the
five formats in turn, ``subjects.csv`` (who, which rhythm, which file) and ``truth.csv`` (P, QRS and T intervals). The
files name a person who does not exist, so that what must not leave them can be searched for.
"""

import base64
import binascii
import os
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt

from ecg_advmask.ecg.hospital.scp_huffman import encode_huffman
from ecg_advmask.ecg.hospital.waveform import SCP_LEADS
from ecg_advmask.ecg.hospital.xli import encode_xli
from ecg_advmask.ecg.leads import INDEPENDENT_LEADS, STANDARD_LEADS, eight_from_twelve
from ecg_advmask.files import write_csv
from ecg_advmask.synthetic.archive import GeneratedEntry
from ecg_advmask.synthetic.noise import draw_noise
from ecg_advmask.synthetic.recording import GeneratedRecording, draw_recording
from ecg_advmask.synthetic.subject import draw_subject

Format = Literal["dicom", "aecg", "muse", "sierra", "scp"]
FORMATS: Final[tuple[Format, ...]] = ("dicom", "aecg", "muse", "sierra", "scp")

STEP_UV: Final[dict[Format, float]] = {"dicom": 1.25, "aecg": 2.5, "muse": 4.88, "sierra": 5.0, "scp": 2.5}
"""Microvolts that one unit of the files written here stands for, as devices write them."""

SUFFIX: Final[dict[Format, str]] = {"dicom": ".dcm", "aecg": ".xml", "muse": ".xml", "sierra": ".xml", "scp": ".scp"}

SURNAME: Final = "NOBODY"
GIVEN_NAME: Final = "GENERATED"
_RECORDED: Final = (2020, 6, 15)
_BEAT_S: Final = 1.2
_SCP_CODES: Final = {lead: code for code, lead in SCP_LEADS.items()}
_STREAM: Final = 2
"""Number of this layout among those whose random numbers are streams of one seed (cinc2021: 0, chapman: 1)."""

Units = npt.NDArray[np.int64]


class Sheet(NamedTuple):
    """What a file states.

    Attributes:
        patient: id of the patient, ASCII.
        sex: ``male`` or ``female``.
        age_years: whole years.
        signals_mv: (T, 12), millivolts, within the range of 16 bits at the format's step.
        sampling_rate_hz: samples per second.
    """

    patient: str
    sex: str
    age_years: int
    signals_mv: npt.NDArray[np.floating[Any]]
    sampling_rate_hz: int

    def units(self, form: Format) -> Units:
        """Samples as a format holds them, ``(T, 12)``."""
        units: Units = np.rint(self.signals_mv * (1000 / STEP_UV[form])).clip(-32768, 32767).astype(np.int64)
        return units

    @property
    def birth(self) -> tuple[int, int, int]:
        """Year, month and day of birth; the recording is of 15 June 2020."""
        return _RECORDED[0] - self.age_years, 3, 21


def generate_hospital(seed: int, index: int) -> GeneratedEntry:
    """Recording ``index`` (from 0): 10 s at 500 Hz; it depends on these two numbers and nothing else."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_STREAM, 1, index)))
    subject = draw_subject(np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_STREAM, 0, index))))
    recording = draw_recording(subject, rng, noise=draw_noise(rng, mains_hz=float(rng.choice([50, 60]))))
    return GeneratedEntry(f"GENERATED_{index + 1:05d}", f"GENP{index + 1:05d}", subject, recording)


def sheet_of(entry: GeneratedEntry) -> Sheet:
    """What the file of a generated recording states."""
    subject, recording = entry.subject, entry.recording
    return Sheet(entry.patient, subject.sex, subject.age_years, recording.signals_mv, recording.sampling_rate_hz)


def write_hospital(
    folder: str | os.PathLike[str], records: int, seed: int, *, progress: Callable[[int], object] = lambda _: None
) -> None:
    """Write generated recordings, the formats in turn, with ``subjects.csv`` and ``truth.csv``.

    Args:
        folder: is made if it does not exist.
        records: how many; the first ones of a larger archive are those of a smaller one.
        seed: not negative.
        progress: called with the number of recordings written since its last call.
    """
    subjects, truth = [], []
    for index in range(records):
        entry, form = generate_hospital(seed, index), FORMATS[index % len(FORMATS)]
        file = Path(form) / f"{entry.record}{SUFFIX[form]}"
        (Path(folder) / form).mkdir(parents=True, exist_ok=True)
        (Path(folder) / file).write_bytes(encode(form, sheet_of(entry)))
        subjects.append(_subject_row(entry, file))
        truth += [
            {"record": entry.record, "wave": name, "onset_s": round(onset_s, 4), "end_s": round(end_s, 4)}
            for name, onset_s, end_s in entry.recording.waves
        ]
        progress(1)
    columns = tuple(subjects[0]) if subjects else ("record", "file")
    write_csv(Path(folder) / "subjects.csv", columns, subjects)
    write_csv(Path(folder) / "truth.csv", ("record", "wave", "onset_s", "end_s"), truth)


def _subject_row(entry: GeneratedEntry, file: Path) -> dict[str, Any]:
    recording: GeneratedRecording = entry.recording
    return {
        "record": entry.record,
        "file": file.as_posix(),
        "patient": entry.patient,
        "sex": entry.subject.sex,
        "age_years": entry.subject.age_years,
        "rhythm": entry.subject.rhythm.acronym,
        "group": entry.subject.rhythm.group,
        "heart_rate_bpm": round(recording.heart_rate_bpm, 1),
        "sampling_rate_hz": recording.sampling_rate_hz,
        "duration_s": len(recording.signals_mv) / recording.sampling_rate_hz,
    }


def encode(form: Format, sheet: Sheet) -> bytes:
    """A file of a format.

    Raises:
        ImportError: the format is DICOM, and the package pydicom is missing.
    """
    return _ENCODERS[form](sheet)


def _dicom(sheet: Sheet) -> bytes:
    """12-Lead ECG Waveform Storage (PS3.3 A.34.3), explicit VR little-endian, with a group of one beat as well."""
    import io

    from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.9.1.1"
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[sheet.patient, sheet.signals_mv.tobytes().hex()])
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.Modality = "ECG"
    dataset.PatientName, dataset.PatientID = f"{SURNAME}^{GIVEN_NAME}", sheet.patient
    dataset.PatientSex, dataset.PatientAge = sheet.sex[0].upper(), f"{sheet.age_years:03d}Y"
    dataset.PatientBirthDate = _compact(sheet.birth)
    dataset.StudyDate = dataset.ContentDate = _compact(_RECORDED)
    dataset.AcquisitionDateTime = f"{_compact(_RECORDED)}101500"

    def coded(value: str, scheme: str, meaning: str) -> Dataset:
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
        return code

    def group(units: Units, label: str, originality: str) -> Dataset:
        item = Dataset()
        item.WaveformOriginality, item.MultiplexGroupLabel = originality, label
        item.NumberOfWaveformSamples, item.NumberOfWaveformChannels = units.shape
        item.SamplingFrequency = str(sheet.sampling_rate_hz)
        item.ChannelDefinitionSequence = []
        for lead in STANDARD_LEADS:
            channel = Dataset()
            channel.ChannelSourceSequence = [coded(f"5.6.3-9-{_SCP_CODES[lead]}", "SCPECG", f"Lead {lead}")]
            channel.ChannelSensitivity = str(STEP_UV["dicom"])
            channel.ChannelSensitivityUnitsSequence = [coded("uV", "UCUM", "microvolt")]
            channel.ChannelSensitivityCorrectionFactor = "1"
            channel.ChannelBaseline = channel.ChannelSampleSkew = "0"
            channel.WaveformBitsStored = 16
            item.ChannelDefinitionSequence.append(channel)
        item.WaveformBitsAllocated, item.WaveformSampleInterpretation = 16, "SS"
        item.WaveformData = units.astype("<i2").tobytes()
        return item

    units = sheet.units("dicom")
    dataset.WaveformSequence = [
        group(units, "RHYTHM", "ORIGINAL"),
        group(_beat(sheet, units), "MEDIAN BEAT", "DERIVED"),
    ]
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _aecg(sheet: Sheet) -> bytes:
    units = sheet.units("aecg")
    duration_s = len(units) // sheet.sampling_rate_hz
    start = f"{_compact(_RECORDED)}101500"
    sequences = "".join(
        f"""<component><sequence><code code="MDC_ECG_LEAD_{lead.upper()}" codeSystem="2.16.840.1.113883.6.24"/>
<value xsi:type="SLIST_PQ"><origin value="0" unit="uV"/><scale value="{STEP_UV["aecg"]}" unit="uV"/>
<digits>{" ".join(map(str, column))}</digits></value></sequence></component>
"""
        for lead, column in zip(STANDARD_LEADS, units.T.tolist(), strict=True)
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<AnnotatedECG xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" type="Observation">
<id root="2.25.1" extension="{escape(sheet.patient)}"/><code code="93000" codeSystem="2.16.840.1.113883.6.12"/>
<effectiveTime><low value="{start}"/></effectiveTime>
<componentOf><timepointEvent><componentOf><subjectAssignment><subject><trialSubject>
<id root="2.25.2" extension="{escape(sheet.patient)}"/><subjectDemographicPerson>
<name><family>{SURNAME}</family><given>{GIVEN_NAME}</given></name>
<administrativeGenderCode code="{sheet.sex[0].upper()}" codeSystem="2.16.840.1.113883.5.1"/>
<birthTime value="{_compact(sheet.birth)}"/></subjectDemographicPerson></trialSubject></subject></subjectAssignment>
</componentOf></timepointEvent></componentOf>
<component><series><code code="RHYTHM" codeSystem="2.16.840.1.113883.5.4"/>
<effectiveTime><low value="{start}"/><high value="{int(start) + duration_s}"/></effectiveTime>
<component><sequenceSet>
<component><sequence><code code="TIME_ABSOLUTE" codeSystem="2.16.840.1.113883.5.4"/>
<value xsi:type="GLIST_TS"><head value="{start}.000"/><increment value="{1 / sheet.sampling_rate_hz}" unit="s"/></value>
</sequence></component>
{sequences}</sequenceSet></component></series></component></AnnotatedECG>
""".encode()


def _muse(sheet: Sheet) -> bytes:
    units = eight_from_twelve(sheet.signals_mv) * (1000 / STEP_UV["muse"])
    units = np.rint(units).clip(-32768, 32767).astype(np.int64)
    rate = f"<SampleBase>{sheet.sampling_rate_hz}</SampleBase><SampleExponent>0</SampleExponent>"

    def waveform(kind: str, units: Units) -> str:
        leads = []
        for lead, column in zip(INDEPENDENT_LEADS, units.T, strict=True):
            content = column.astype("<i2").tobytes()
            leads.append(
                f"""<LeadData><LeadByteCountTotal>{len(content)}</LeadByteCountTotal><LeadTimeOffset>0</LeadTimeOffset>
<LeadSampleCountTotal>{len(column)}</LeadSampleCountTotal>
<LeadAmplitudeUnitsPerBit>{STEP_UV["muse"]}</LeadAmplitudeUnitsPerBit>
<LeadAmplitudeUnits>MICROVOLTS</LeadAmplitudeUnits><LeadID>{lead}</LeadID>
<LeadOffsetFirstSample>0</LeadOffsetFirstSample><FirstSampleBaseline>0</FirstSampleBaseline>
<LeadSampleSize>2</LeadSampleSize><LeadDataCRC32>{zlib.crc32(content)}</LeadDataCRC32>
<WaveFormData>
{base64.encodebytes(content).decode("ascii")}</WaveFormData></LeadData>
"""
            )
        return f"""<Waveform><WaveformType>{kind}</WaveformType><NumberofLeads>{len(leads)}</NumberofLeads>
<SampleType>CONTINUOUS_SAMPLES</SampleType>{rate}
{"".join(leads)}</Waveform>
"""

    year, month, day = sheet.birth
    ecg_rate = rate.replace("Sample", "ECGSample")
    return f"""<?xml version="1.0" encoding="ISO-8859-1"?>
<!DOCTYPE RestingECG SYSTEM "restecg.dtd">
<RestingECG>
<PatientDemographics><PatientID>{escape(sheet.patient)}</PatientID><PatientAge>{sheet.age_years}</PatientAge>
<AgeUnits>YEARS</AgeUnits><DateofBirth>{month:02d}-{day:02d}-{year}</DateofBirth>
<Gender>{sheet.sex.upper()}</Gender><PatientLastName>{SURNAME}</PatientLastName>
<PatientFirstName>{GIVEN_NAME}</PatientFirstName></PatientDemographics>
<TestDemographics><AcquisitionDate>06-15-2020</AcquisitionDate></TestDemographics>
<RestingECGMeasurements>{ecg_rate}</RestingECGMeasurements>
{waveform("Median", _beat(sheet, units))}{waveform("Rhythm", units)}</RestingECG>
""".encode("latin-1")


def _sierra(sheet: Sheet) -> bytes:
    """Version 1.04 with XLI in UTF-16, eleven seconds for ten, of which the last one holds the calibration pulse."""
    units = sheet.units("sierra")
    pulse = np.zeros(sheet.sampling_rate_hz, np.int64)
    pulse[len(pulse) // 5 : len(pulse) * 4 // 5] = round(1000 / STEP_UV["sierra"])
    units = np.concatenate([units, np.repeat(pulse[:, None], units.shape[1], axis=1)])
    lead_i, lead_ii, lead_iii, avr, avl, avf = units[:, :6].T
    remainders = [
        lead_ii - lead_i - lead_iii,
        -((lead_i + lead_ii) // 2) - avr,
        (lead_i - lead_iii) // 2 - avl,
        (lead_ii + lead_iii) // 2 - avf,
    ]
    spare = np.concatenate([np.zeros(len(units) - len(pulse), np.int64), pulse])
    content = encode_xli([lead_i, lead_ii, *remainders, *units[:, 6:].T, *[spare] * 4])
    dates = ["{:04d}-{:02d}-{:02d}".format(*date) for date in (_RECORDED, sheet.birth)]
    form = 'signaloffset="0" signalsigned="True" bitspersample="16"'
    return f"""<?xml version="1.0" encoding="utf-16"?>
<restingecgdata xmlns="http://www3.medical.philips.com">
<documentinfo><documenttype>PhilipsECG</documenttype><documentversion>1.04</documentversion></documentinfo>
<dataacquisition date="{dates[0]}" time="10:15:00"><signalcharacteristics>
<samplingrate>{sheet.sampling_rate_hz}</samplingrate><resolution>{STEP_UV["sierra"]:g}</resolution>
<acquisitiontype>10-WIRE</acquisitiontype><bitspersample>16</bitspersample><signaloffset>0</signaloffset>
<signalsigned>True</signalsigned><numberchannelsvalid>12</numberchannelsvalid>
</signalcharacteristics></dataacquisition>
<patient><generalpatientdata><patientid>{escape(sheet.patient)}</patientid>
<name><lastname>{SURNAME}</lastname><firstname>{GIVEN_NAME}</firstname></name>
<age defaultage="50"><dateofbirth>{dates[1]}</dateofbirth></age><sex>{sheet.sex.capitalize()}</sex>
</generalpatientdata></patient>
<waveforms><parsedwaveforms dataencoding="Base64" compression="XLI" numberofleads="12"
leadlabels="{" ".join(STANDARD_LEADS)}" durationperchannel="{len(units) * 1000 // sheet.sampling_rate_hz}"
samplespersecond="{sheet.sampling_rate_hz}" resolution="{STEP_UV["sierra"]:g}" {form}>
{base64.encodebytes(content).decode("ascii")}</parsedwaveforms></waveforms></restingecgdata>
""".encode("utf-16")


def _scp(sheet: Sheet) -> bytes:
    """Eight leads as second differences in the default Huffman codes."""
    units = np.rint(eight_from_twelve(sheet.signals_mv) * (1000 / STEP_UV["scp"])).clip(-32768, 32767).astype(np.int64)
    second = np.concatenate([units[:2], np.diff(units, 2, axis=0)])
    second = second.astype(np.int16).astype(np.int64)  # as is done with 16 bits, which the reader undoes
    leads = [encode_huffman(column) for column in second.T]
    tags = {
        0: f"{SURNAME}\0".encode("ascii"),
        1: f"{GIVEN_NAME}\0".encode("ascii"),
        2: f"{sheet.patient}\0".encode("ascii"),
        4: struct.pack("<HB", sheet.age_years, 1),
        5: struct.pack("<HBB", *sheet.birth),
        8: bytes([1 if sheet.sex == "male" else 2]),
        25: struct.pack("<HBB", *_RECORDED),
        26: bytes([10, 15, 0]),
        255: b"",
    }
    sections = {
        1: b"".join(struct.pack("<BH", tag, len(value)) + value for tag, value in tags.items()),
        2: struct.pack("<H", 19999),
        3: bytes([len(leads), 4 | len(leads) << 3])
        + b"".join(struct.pack("<IIB", 1, len(units), _SCP_CODES[lead]) for lead in INDEPENDENT_LEADS),
        6: struct.pack("<HHBB", round(STEP_UV["scp"] * 1000), 1_000_000 // sheet.sampling_rate_hz, 2, 0)
        + struct.pack(f"<{len(leads)}H", *map(len, leads))
        + b"".join(leads),
    }
    return scp_record(sections)


def scp_record(sections: dict[int, bytes]) -> bytes:
    """An SCP-ECG record (EN 1064) of the bodies of its sections, with section 0 and all CRCs."""
    whole = {number: _scp_section(number, body) for number, body in sections.items()}
    numbers = [*range(12), *(number for number in sorted(whole) if number > 11)]
    index, pointers = 7 + 16 + 10 * len(numbers), []
    for number in numbers:
        size = 16 + 10 * len(numbers) if number == 0 else len(whole.get(number, b""))
        start = 7 if number == 0 else index if size else 0
        pointers.append(struct.pack("<HII", number, size, start))
        index += 0 if number == 0 else size
    body = _scp_section(0, b"".join(pointers)) + b"".join(whole[number] for number in sorted(whole))
    record = struct.pack("<I", len(body) + 6) + body
    return struct.pack("<H", binascii.crc_hqx(record, 0xFFFF)) + record


def _scp_section(number: int, body: bytes) -> bytes:
    body += b"\0" * (len(body) % 2)
    reserved = b"SCPECG" if number == 0 else b"\0" * 6
    section = struct.pack("<HIBB6s", number, 16 + len(body), 20, 20, reserved) + body
    return struct.pack("<H", binascii.crc_hqx(section, 0xFFFF)) + section


def _beat(sheet: Sheet, units: Units) -> Units:
    """The first second or so, in the place of an averaged beat."""
    return units[: round(_BEAT_S * sheet.sampling_rate_hz)]


def _compact(date: Sequence[int]) -> str:
    return "{:04d}{:02d}{:02d}".format(*date)


_ENCODERS: Final[dict[Format, Callable[[Sheet], bytes]]] = {
    "dicom": _dicom,
    "aecg": _aecg,
    "muse": _muse,
    "sierra": _sierra,
    "scp": _scp,
}
