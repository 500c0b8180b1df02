"""Hospital formats: values against independent parses, round trips, what is refused, and that no name leaves a file."""

import base64
import binascii
import builtins
import io
import logging
import re
import struct
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydicom
import pytest
from pydicom.data import get_testdata_file

from ecg_advmask.ecg.formats import suffixes_of
from ecg_advmask.ecg.hospital import read_hospital
from ecg_advmask.ecg.hospital.scp_huffman import decode_huffman, default_tables, encode_huffman, parse_tables
from ecg_advmask.ecg.hospital.waveform import RefusedError, age_between, age_from, patient_id
from ecg_advmask.ecg.hospital.xli import decode_xli, encode_xli
from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.ecg.recording import Recording, UnreadableRecordingError
from ecg_advmask.errors import InputError
from ecg_advmask.synthetic.archive import write_archive
from ecg_advmask.synthetic.hospital import (
    FORMATS,
    GIVEN_NAME,
    STEP_UV,
    SURNAME,
    Format,
    Sheet,
    encode,
    generate_hospital,
    scp_record,
    sheet_of,
    write_hospital,
)

Save = Callable[[bytes], Path]
FLOAT32_MV = 2e-6  # of 20 mV


@pytest.fixture(scope="module")
def sheet() -> Sheet:
    return sheet_of(generate_hospital(3, 1))


@pytest.fixture(scope="module")
def files(sheet: Sheet) -> dict[str, bytes]:
    """One generated recording in each format."""
    return {form: encode(form, sheet) for form in FORMATS} | {"edf": edf(sheet), "cardiosoft": cardiosoft(sheet)}


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def save(content: bytes) -> Path:
        path = tmp_path / "record.bin"
        path.write_bytes(content)
        return path

    return save


def edf(sheet: Sheet, rates: dict[int, int] | None = None, kind: str = "EDF+C", unit: str = "uV") -> bytes:
    """An EDF file of 2 microvolts a unit, field by field as published, with annotations, which are not read."""
    per_record = [(rates or {}).get(lead, sheet.sampling_rate_hz) for lead in range(12)] + [10]
    count, records = 13, len(sheet.signals_mv) // sheet.sampling_rate_hz
    units = np.rint(sheet.signals_mv * 500).astype("<i2")
    columns = [
        (16, [*(f"ECG {lead}" for lead in STANDARD_LEADS), "EDF Annotations"]),
        (80, [""] * count),
        (8, [unit] * 12 + [""]),
        (8, ["-65536"] * 12 + ["-1"]),
        (8, ["65534"] * 12 + ["1"]),
        (8, ["-32768"] * count),
        (8, ["32767"] * count),
        (80, [""] * count),
        (8, [str(size) for size in per_record]),
        (32, [""] * count),
    ]
    person = f"{sheet.patient} {sheet.sex[0].upper()} 21-MAR-{sheet.birth[0]} {SURNAME}_{GIVEN_NAME}"
    header = f"{'0':<8}{person:<80}{'Startdate 15-JUN-2020 X X X':<80}15.06.2010.15.00"
    header += f"{256 * (count + 1):<8}{kind:<44}{records:<8}{1:<8}{count:<4}"
    header += "".join(f"{text:<{width}}" for width, texts in columns for text in texts)
    content = header.encode("ascii")
    for record in range(records):
        start = record * sheet.sampling_rate_hz
        for lead, size in enumerate(per_record[:12]):
            content += units[start : start + size, lead].tobytes()
        content += b"+0\x14\x14\0".ljust(2 * per_record[12], b"\0")
    return content


def cardiosoft(sheet: Sheet) -> bytes:
    units = np.rint(sheet.signals_mv * 200).astype(int)
    leads = "".join(
        f'<WaveformData lead="{lead}">{",".join(map(str, column))}</WaveformData>'
        for lead, column in zip(STANDARD_LEADS, units.T.tolist(), strict=True)
    )
    return f"""<?xml version="1.0" encoding="ISO8859-1"?><CardiologyXML><PatientInfo><PID>{sheet.patient}</PID>
<Name><FamilyName>{SURNAME}</FamilyName></Name><Age units="years">{sheet.age_years}</Age>
<Gender>{sheet.sex.upper()}</Gender></PatientInfo><StripData><NumberOfLeads>12</NumberOfLeads>
<SampleRate units="Hz">{sheet.sampling_rate_hz}</SampleRate>
<ChannelSampleCountTotal>{len(units)}</ChannelSampleCountTotal>
<Resolution units="uVperLsb">5</Resolution>{leads}</StripData></CardiologyXML>""".encode("latin-1")


def reason(path: Path, **options: bool) -> str:
    with pytest.raises(UnreadableRecordingError) as refused:
        read_hospital(path, **options)
    return refused.value.reason


# ---- values against independent parses


def test_dicom_values_are_pydicoms() -> None:
    path = Path(str(get_testdata_file("waveform_ecg.dcm")))
    recording = read_hospital(path)
    dataset = pydicom.dcmread(path)
    assert recording.signals_mv.dtype == np.float32
    np.testing.assert_allclose(recording.signals_mv, dataset.waveform_array(0) / 1000, atol=FLOAT32_MV)
    metadata = (recording.sampling_rate_hz, recording.patient, recording.age_years, recording.sex, recording.rebuilt)
    assert metadata == (1000, "642341", 42, "female", ())


@pytest.mark.parametrize("name", ["fda_example.xml", "fda_subject1_0.xml", "holter_liryc.xml"])
def test_aecg_values_are_those_of_a_slow_parse(shared: Path, name: str) -> None:
    path = shared / "data/formats/aecg" / name
    text = re.sub(r"<!--.*?-->", "", path.read_text(encoding="utf-8-sig"), flags=re.S)
    text = text[: text.find("<derivation>")] if "<derivation>" in text else text
    recording = read_hospital(path)
    for sequence in re.findall(r"<sequence>(.*?)</sequence>", text, re.S):
        if not (code := re.search(r'"MDC_ECG_LEAD_(\w+)"', sequence)):
            assert (
                float(re.search(r'<increment value="([\d.]+)" unit="s"', sequence)[1]) * recording.sampling_rate_hz == 1
            )
            continue
        column = [lead.upper() for lead in STANDARD_LEADS].index(code[1])
        origin, scale = (
            float(re.search(rf'<{key} value="([\d.]+)" unit="uV"', sequence)[1]) for key in ("origin", "scale")
        )
        digits = re.search(r"<digits>(.*?)</digits>", sequence, re.S)[1].split()
        expected = [(origin + scale * int(digit)) / 1000 for digit in digits]
        np.testing.assert_allclose(recording.signals_mv[:, column], expected, atol=FLOAT32_MV)


@pytest.mark.parametrize(
    ("name", "samples", "age_years", "sex"),
    [
        ("1_03.xml", 5264, 50, "male"),
        ("1_04_01.xml", 5300, 69, ""),
        ("1_04_a.xml", 5300, 60, "male"),  # the age of 50 in this file is the machine's default
        ("1_04_b.xml", 5300, 32, "female"),
    ],
)
def test_sierra_values_are_those_of_a_slow_decoder(
    shared: Path, name: str, samples: int, age_years: float, sex: str
) -> None:
    path = shared / "data/formats/sierra" / name
    content = path.read_bytes()
    text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8")
    recording = read_hospital(path)
    assert recording.signals_mv.shape == (samples, 12)
    assert (recording.sampling_rate_hz, recording.age_years, recording.sex) == (500, age_years, sex)
    channels = slow_xli(base64.b64decode(re.search(r"<parsedwaveforms[^>]*>([^<]*)", text)[1]))[:12]
    for k in range(len(channels[0])):
        lead_i, lead_ii = channels[0][k], channels[1][k]
        channels[2][k] = lead_ii - lead_i - channels[2][k]
        channels[3][k] = -channels[3][k] - (lead_i + lead_ii) // 2
        channels[4][k] = (lead_i - channels[2][k]) // 2 - channels[4][k]
        channels[5][k] = (lead_ii + channels[2][k]) // 2 - channels[5][k]
    expected = np.array(channels).T * 0.005
    np.testing.assert_allclose(recording.signals_mv, expected[:samples], atol=FLOAT32_MV)
    pulse = expected[samples:]
    assert (pulse == pulse[:, :1]).all() and np.ptp(pulse) == 1  # what was cut off is a pulse of 1 mV in all leads
    assert (np.ptp(expected[samples - 1]) > 0).all()


def slow_xli(content: bytes) -> list[list[int]]:
    """Channels of XLI, bit by bit and sample by sample."""
    channels, start = [], 0
    while start < len(content):
        size, first = (
            int.from_bytes(content[start : start + 4], "little"),
            struct.unpack_from("<h", content, start + 6)[0],
        )
        bits = "".join(f"{byte:08b}" for byte in content[start + 8 : start + 8 + size])
        start += 8 + size
        words: dict[int, list[int]] = {byte: [byte] for byte in range(256)}
        unpacked: list[int] = []
        previous: list[int] = []
        for at in range(0, len(bits) - 9, 10):
            code = int(bits[at : at + 10], 2)
            if code == 1023:
                break
            word = words.get(code, [*previous, *previous[:1]])
            if previous and len(words) < 1023:
                words[len(words)] = [*previous, word[0]]
            previous = word
            unpacked += word
        half = len(unpacked) // 2
        numbers = [struct.unpack(">h", bytes([unpacked[k], unpacked[half + k]]))[0] for k in range(half)]
        values, error = numbers[:2], first
        for number in numbers[2:]:
            values.append(2 * values[-1] - values[-2] - error)
            error = number - 64
        channels.append(values)
    return channels


def test_muse_values_are_base64_and_arithmetic(save: Save, files: dict[str, bytes]) -> None:
    text = files["muse"].decode("latin-1")
    rhythm = text[text.index("<WaveformType>Rhythm") :]
    recording = read_hospital(save(files["muse"]))
    leads = {}
    for lead in re.findall(r"<LeadData>.*?</LeadData>", rhythm, re.S):
        content = base64.b64decode(re.search(r"<WaveFormData>(.*?)</WaveFormData>", lead, re.S)[1])
        units = struct.unpack(f"<{len(content) // 2}h", content)
        leads[re.search(r"<LeadID>(.*?)<", lead)[1]] = np.array([unit * 4.88 / 1000 for unit in units])
    i, ii = leads["I"], leads["II"]
    leads |= {"III": ii - i, "aVR": -(i + ii) / 2, "aVL": i - ii / 2, "aVF": ii - i / 2}
    expected = np.stack([leads[lead] for lead in STANDARD_LEADS], axis=1)
    np.testing.assert_allclose(recording.signals_mv, expected, atol=FLOAT32_MV)


def test_edf_values_follow_from_the_limits(save: Save, sheet: Sheet, files: dict[str, bytes]) -> None:
    recording = read_hospital(save(files["edf"]))
    content, rate = files["edf"][256 * 14 :], sheet.sampling_rate_hz
    record_bytes = 2 * (12 * rate + 10)
    for lead, second, sample in [(0, 0, 0), (5, 3, 17), (11, 9, rate - 1)]:
        digit = struct.unpack_from("<h", content, second * record_bytes + 2 * (lead * rate + sample))[0]
        expected_uv = (digit + 32768) * (65534 + 65536) / 65535 - 65536
        assert recording.signals_mv[second * rate + sample, lead] == pytest.approx(expected_uv / 1000, abs=FLOAT32_MV)


# ---- round trips


@pytest.mark.parametrize("form", FORMATS)
def test_generated_recordings_come_back_within_a_step(save: Save, form: Format) -> None:
    for index in range(4):
        sheet = sheet_of(generate_hospital(8, index))
        recording = read_hospital(save(encode(form, sheet)))
        assert np.abs(recording.signals_mv - sheet.signals_mv).max() <= STEP_UV[form] / 1000
        assert (recording.record_id, recording.sampling_rate_hz) == ("record", 500)
        metadata = (recording.patient, recording.age_years, recording.sex, recording.rebuilt, recording.codes)
        assert metadata == (sheet.patient, sheet.age_years, sheet.sex, (), ())


@pytest.mark.parametrize(("form", "step_mv"), [("edf", 0.002), ("cardiosoft", 0.005)])
def test_other_formats_come_back_within_a_step(
    save: Save, sheet: Sheet, files: dict[str, bytes], form: str, step_mv: float
) -> None:
    recording = read_hospital(save(files[form]))
    assert np.abs(recording.signals_mv - sheet.signals_mv).max() <= step_mv / 2 + FLOAT32_MV
    metadata = (recording.patient, recording.age_years, recording.sex)
    assert metadata == (sheet.patient, sheet.age_years, sheet.sex)


def test_an_archive_holds_each_format_and_says_which(tmp_path: Path) -> None:
    write_hospital(tmp_path, records=5, seed=2)
    found = sorted(path for path in tmp_path.rglob("*") if path.suffix in suffixes_of("hospital"))
    assert sorted({path.parent.name for path in found}) == sorted(FORMATS)
    table = (tmp_path / "subjects.csv").read_text()
    for path in found:
        recording = read_hospital(path)
        assert f"{path.stem},{path.relative_to(tmp_path).as_posix()},{recording.patient}" in table
    again = tmp_path / "again"
    write_hospital(again, records=5, seed=2)
    assert all((again / path.relative_to(tmp_path)).read_bytes() == path.read_bytes() for path in found)


def test_xli_and_huffman_codes_come_back() -> None:
    rng = np.random.default_rng(0)
    for scale in (1, 40, 3000):
        values = rng.normal(0, scale, (3, 777)).round().astype(np.int64)
        values[:, 100:400] = values[:, :1]  # runs reach codes that are not yet in the table
        np.testing.assert_array_equal(decode_xli(encode_xli(list(values)), 777), values)
        assert slow_xli(encode_xli(list(values))) == values.tolist()
        for row in values:
            np.testing.assert_array_equal(decode_huffman(encode_huffman(row), 777, default_tables()), row)
    known = np.array([0, 1, -1, 8, -8, 9, -128, 32767, -32768])
    assert encode_huffman(known[:3]) == bytes([0b01001010])
    np.testing.assert_array_equal(decode_huffman(encode_huffman(known), 9, default_tables()), known)


def test_own_huffman_tables_and_switches_are_followed() -> None:
    # Table 1: 0 -> value 5, 10 -> four more bits, 11 -> table 2. Table 2: 0 -> value -7, 1 -> table 1.
    code = struct.Struct("<BBBhI")  # bits of the prefix, of all, keeps the table, value, prefix from its last bit on
    first = [code.pack(1, 1, 1, 5, 0b0), code.pack(2, 6, 1, 100, 0b01), code.pack(2, 2, 0, 2, 0b11)]
    second = [code.pack(1, 1, 1, -7, 0b0), code.pack(1, 1, 0, 1, 0b1)]
    section = struct.pack("<HH", 2, 3) + b"".join(first) + struct.pack("<H", 2) + b"".join(second)
    bits = "0" + "10" + "1111" + "10" + "0011" + "11" + "0" + "0" + "1" + "0"
    content = int(bits.ljust(24, "0"), 2).to_bytes(3, "big")
    decoded = decode_huffman(content, 6, parse_tables(section))
    np.testing.assert_array_equal(decoded, [5, 99, 103, -7, -7, 5])
    for section, expected in [
        (struct.pack("<H", 60_000) + b"\0" * 120_000, "60000 Huffman tables"),
        (struct.pack("<HH", 1, 2) + first[0] + code.pack(2, 2, 1, 1, 0b00), "begins another"),
        (struct.pack("<HH", 1, 1) + code.pack(20, 20, 1, 1, 0), "more than 16 bits"),
    ]:
        with pytest.raises(RefusedError, match=expected):
            parse_tables(section)
    with pytest.raises(RefusedError, match="cut short or no Huffman code"):
        decode_huffman(b"\xff", 8, parse_tables(struct.pack("<HH", 1, 1) + first[0]))


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("huffman", [False, True])
def test_scp_ways_of_storing_samples(save: Save, sheet: Sheet, order: int, huffman: bool) -> None:
    units = np.rint(sheet.signals_mv * 400).astype(np.int64)
    numbers = np.concatenate([units[:order], np.diff(units, order, axis=0)])
    if order == 2:
        numbers[:2] = units[:2]
    leads = [encode_huffman(column) if huffman else column.astype("<i2").tobytes() for column in numbers.T]
    recording = read_hospital(save(scp_record(scp_sections(leads, len(units), order=order, huffman=huffman))))
    np.testing.assert_allclose(recording.signals_mv, units * 0.0025, atol=FLOAT32_MV)


def scp_sections(
    leads: list[bytes],
    samples: int,
    *,
    order: int = 0,
    huffman: bool = False,
    flags: int = 4,
    bimodal: int = 0,
    firsts: dict[int, int] | None = None,
) -> dict[int, bytes]:
    codes = (1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8)
    sections = {
        1: struct.pack("<BH", 2, 3) + b"P1\0" + struct.pack("<BHHB", 4, 3, 18, 2) + b"\xff\0\0",
        3: bytes([12, flags])
        + b"".join(
            struct.pack("<IIB", (firsts or {}).get(code, 1), samples - 1 + (firsts or {}).get(code, 1), code)
            for code in codes
        ),
        6: struct.pack("<HHBB", 2500, 2000, order, bimodal) + struct.pack("<12H", *map(len, leads)) + b"".join(leads),
    }
    return sections | ({2: struct.pack("<H", 19999)} if huffman else {})


# ---- what is refused


def test_scp_checksums_and_lossy_compression(save: Save) -> None:
    leads = [np.zeros(500, "<i2").tobytes()] * 12
    plain = scp_record(scp_sections(leads, 500))
    recording = read_hospital(save(plain))
    assert (recording.patient, recording.age_years, recording.sex) == ("P1", 1.5, "")
    assert "CRC does not hold" in reason(save(plain[:-1] + b"\1"))
    forged = bytearray(plain)
    forged[-1] = 1  # the CRC of the record is made to hold again, not that of the section
    forged[:2] = struct.pack("<H", binascii.crc_hqx(bytes(forged[2:]), 0xFFFF))
    assert "section 6 whose CRC" in reason(save(bytes(forged)))
    assert "states a length" in reason(save(plain[:-2]))
    assert "after the" in reason(save(plain + b"x"))
    read_hospital(save(plain + b"\0\0"))
    assert "average beat" in reason(save(scp_record(scp_sections(leads, 500, flags=5))))
    assert "thinned out" in reason(save(scp_record(scp_sections(leads, 500, bimodal=1))))
    assert "at the same time" in reason(save(scp_record(scp_sections(leads, 500, firsts={8: 2}))))
    assert "holds one of 1000 bytes" in reason(save(scp_record(scp_sections(leads, 400))))
    assert "lacks section 6" in reason(save(scp_record({1: b"\xff\0\0", 3: b"\0\0"})))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("<LeadDataCRC32>", "<LeadDataCRC32>1", "checksum"),
        ("<LeadAmplitudeUnitsPerBit>4.88", "<LeadAmplitudeUnitsPerBit>4.89", "different values of its units per bit"),
        ("<LeadAmplitudeUnits>MICROVOLTS", "<LeadAmplitudeUnits>", "unit that is not MICROVOLTS"),
        ("<SampleBase>500", "<SampleBase>600", "measurements contradict"),
        ("<SampleBase>500", "<SampleBase>", "does not state its sampling rate"),
        ("<LeadOffsetFirstSample>0", "<LeadOffsetFirstSample>12", "not documented"),
        ("<LeadSampleCountTotal>5000", "<LeadSampleCountTotal>4999", "LeadSampleCountTotal"),
        ("<LeadByteCountTotal>10000", "<LeadByteCountTotal>9999", "LeadByteCountTotal"),
        ("<LeadSampleSize>2", "<LeadSampleSize>4", "not of 2 bytes"),
        ("<LeadID>V1", "<LeadID>V2", "lead V2 twice"),
        ("<LeadID>V1", "<LeadID>V9", "aVF, V1"),
        ("<NumberofLeads>8", "<NumberofLeads>9", "another number of leads"),
        ("<WaveformType>Rhythm", "<WaveformType>Median", "no rhythm waveforms"),
        ("<WaveformType>Median", "<WaveformType>Rhythm", "2 rhythm waveforms"),
        ("CONTINUOUS_SAMPLES", "OTHER", "not continuous"),
    ],
)
def test_muse_contradictions(save: Save, files: dict[str, bytes], old: str, new: str, expected: str) -> None:
    text = files["muse"].decode("latin-1")
    at = text.index(old, 0 if "Median" in old else text.index("<WaveformType>Rhythm"))
    content = text[:at] + new + text[at + len(old) :]
    assert expected in reason(save(content.encode("latin-1")))


def test_muse_without_any_checksum_is_taken_and_with_some_not(save: Save, files: dict[str, bytes]) -> None:
    text = files["muse"].decode("latin-1")
    without = re.sub(r"<LeadDataCRC32>\d+</LeadDataCRC32>", "", text)
    assert read_hospital(save(without.encode("latin-1"))).patient
    one = re.sub(r"<LeadDataCRC32>\d+</LeadDataCRC32>(?s:(.*$))", r"\1", text, count=1)
    at = text.rindex("<LeadDataCRC32>")
    some = text[:at] + re.sub(r"<LeadDataCRC32>\d+</LeadDataCRC32>", "", text[at:])
    assert read_hospital(save(one.encode("latin-1"))).patient  # this one was of the median beat
    assert "some leads only" in reason(save(some.encode("latin-1")))


def test_muse_rhythm_at_half_the_rate_of_the_beat(save: Save, files: dict[str, bytes]) -> None:
    head, rhythm = files["muse"].split(b"<WaveformType>Rhythm")
    halved = head + b"<WaveformType>Rhythm" + rhythm.replace(b"<SampleBase>500", b"<SampleBase>250")
    assert read_hospital(save(halved)).sampling_rate_hz == 250


def test_muse_that_lacks_a_chest_or_limb_lead(save: Save, files: dict[str, bytes]) -> None:
    text = files["muse"].decode("latin-1").replace("<NumberofLeads>8</NumberofLeads>", "")
    for lead in ("V3", "II"):
        content = re.sub(rf"<LeadData>(?:(?!</LeadData>).)*<LeadID>{lead}<.*?</LeadData>", "", text, flags=re.S)
        assert f", {lead}," in reason(save(content.encode("latin-1"))).replace("lacks", ",").replace(";", ",") + ","


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('<scale value="2.5" unit="uV"/>', '<scale value="2.5"/>', "unit that is not mV"),
        ('<scale value="2.5" unit="uV"/>', '<scale value="0" unit="uV"/>', "not positive"),
        ('<scale value="2.5" unit="uV"/>', "", "does not state its scale"),
        ('<increment value="0.002"', '<increment value="0.004"', "states a duration of 10 s, holds 20 s"),
        ('unit="s"/></value>', 'unit="min"/></value>', "unit that is not s, ms or us"),
        ("<digits>", "<digits>1 ", "different lengths"),
        ("<digits>", "<digits>1.5 ", "something else than whole numbers"),
        ("<digits>", "<digits>9999999999 ", "32 bits"),
        ('code="RHYTHM"', 'code="OTHER"', "no rhythm recordings"),
        ("MDC_ECG_LEAD_V3", "MDC_ECG_LEAD_V2", "twice"),
        ("MDC_ECG_LEAD_V3", "MDC_ECG_LEAD_V9", "lacks V3"),
    ],
)
def test_aecg_contradictions(save: Save, files: dict[str, bytes], old: str, new: str, expected: str) -> None:
    text = files["aecg"].decode()
    assert old in text
    assert expected in reason(save(text.replace(old, new, 1).encode()))


def test_aecg_units_and_origins(save: Save, sheet: Sheet, files: dict[str, bytes]) -> None:
    text = files["aecg"].decode().replace('<scale value="2.5" unit="uV"/>', '<scale value="2500" unit="nV"/>')
    text = text.replace('<origin value="0" unit="uV"/>', '<origin value="0.5" unit="mV"/>')
    recording = read_hospital(save(text.encode()))
    assert np.abs(recording.signals_mv - 0.5 - sheet.signals_mv).max() <= 0.0025


def test_limb_leads_that_an_aecg_lacks_are_rebuilt_on_demand_only(
    save: Save, sheet: Sheet, files: dict[str, bytes]
) -> None:
    path = save(files["aecg"].replace(b"MDC_ECG_LEAD_AVL", b"MDC_ECG_LEAD_V7"))
    assert "lacks aVL" in reason(path)
    recording = read_hospital(path, rebuild_leads=True)
    assert recording.rebuilt == ("aVL",)
    assert np.abs(recording.signals_mv - sheet.signals_mv).max() <= 0.005


def changed_dicom(content: bytes, change: Callable[[Any], object]) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(content))
    change(dataset)
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("keyword", "value", "expected"),
    [
        ("ChannelSensitivityUnitsSequence", [], "lead without a unit"),
        ("ChannelSensitivity", None, "does not state its sensitivity"),
        ("ChannelTimeSkew", "0.01", "shifted in time"),
        ("CodeMeaning", "Lead V5", "different leads"),
        ("CodeValue", "2:99999", None),
        ("NumberOfWaveformSamples", 4999, "holds 120000 bytes"),
        ("WaveformSampleInterpretation", "MB", "not whole numbers"),
        ("MultiplexGroupLabel", "MEDIAN BEAT", "no rhythm waveforms"),
    ],
)
def test_dicom_contradictions(
    save: Save, files: dict[str, bytes], keyword: str, value: Any, expected: str | None
) -> None:
    def change(dataset: Any) -> None:
        group = dataset.WaveformSequence[0]
        channel = group.ChannelDefinitionSequence[0]
        source = channel.ChannelSourceSequence[0]
        part = channel if keyword.startswith("Channel") else source if keyword.startswith("Code") else group
        setattr(part, keyword, value)

    path = save(changed_dicom(files["dicom"], change))
    if expected:
        assert expected in reason(path)
    else:
        read_hospital(path)


def test_dicom_scales_baselines_and_padding(save: Save, sheet: Sheet, files: dict[str, bytes]) -> None:
    def change(dataset: Any) -> None:
        group = dataset.WaveformSequence[0]
        for channel in group.ChannelDefinitionSequence:
            channel.ChannelSensitivity, channel.ChannelSensitivityCorrectionFactor = "0.000625", "2"
            channel.ChannelSensitivityUnitsSequence[0].CodeValue = "mV"
            channel.ChannelBaseline = "0.25"
        content = bytearray(group.WaveformData)
        content[:2] = struct.pack("<h", -32768)  # the first sample of I
        group.WaveformData = bytes(content)
        group.add_new("WaveformPaddingValue", "OW", struct.pack("<h", -32768))

    recording = read_hospital(save(changed_dicom(files["dicom"], change)))
    assert np.argwhere(np.isnan(recording.signals_mv)).tolist() == [[0, 0]]
    assert np.nanmax(np.abs(recording.signals_mv - 0.25 - sheet.signals_mv)) <= 0.00125


@pytest.mark.parametrize(
    ("dtype", "interpretation", "stored", "expected"),
    [
        ("<i2", "SS", 12, None),  # the sign is continued
        ("<i2", "SS", 11, "11 bits"),
        ("<i2", "SS", 17, "17 bits"),
        ("<i2", "SS", 0, "0 bits"),
        ("<u2", "SS", 12, "12 bits"),  # it is not: -1 is 4095
        ("<u2", "US", 12, None),
        ("<u2", "US", 11, "11 bits"),
        ("<i4", "SL", 12, None),
    ],
)
def test_dicom_bits_that_are_stored(
    save: Save,
    sheet: Sheet,
    files: dict[str, bytes],
    dtype: str,
    interpretation: str,
    stored: int,
    expected: str | None,
) -> None:
    units = np.rint(sheet.signals_mv * 1000).astype(int).clip(-2048, 2047)
    offset = 2048 if interpretation == "US" else 0

    def change(dataset: Any) -> None:
        del dataset.WaveformSequence[1]
        group = dataset.WaveformSequence[0]
        numbers = units & 0xFFF if (dtype, interpretation) == ("<u2", "SS") else units + offset
        group.WaveformData = numbers.astype(dtype).tobytes()
        group.WaveformSampleInterpretation, group.WaveformBitsAllocated = interpretation, 8 * np.dtype(dtype).itemsize
        for channel in group.ChannelDefinitionSequence:
            channel.ChannelSensitivity, channel.ChannelBaseline = "1", str(-offset)
            channel.WaveformBitsStored = stored

    assert np.abs(units).max() > 1024 and units.min() < 0
    path = save(changed_dicom(files["dicom"], change))
    if expected:
        assert f"do not fit into the {expected}" in reason(path)
    else:
        np.testing.assert_allclose(read_hospital(path).signals_mv, units * 0.001, atol=FLOAT32_MV)


@pytest.mark.parametrize("of_label", [False, True])
def test_dicom_leads_of_own_codes_are_those_that_they_are_called(
    save: Save, files: dict[str, bytes], of_label: bool
) -> None:
    def change(dataset: Any) -> None:
        for channel, lead in zip(dataset.WaveformSequence[0].ChannelDefinitionSequence, STANDARD_LEADS, strict=True):
            source = channel.ChannelSourceSequence[0]
            source.CodeValue, source.CodingSchemeDesignator = f"{lead}-1", "99OWN"
            source.CodeMeaning, channel.ChannelLabel = ("", lead) if of_label else (lead, "")

    expected = read_hospital(save(files["dicom"])).signals_mv
    np.testing.assert_array_equal(read_hospital(save(changed_dicom(files["dicom"], change))).signals_mv, expected)

    def contradict(dataset: Any) -> None:
        change(dataset)
        channel = dataset.WaveformSequence[0].ChannelDefinitionSequence[7]
        channel.ChannelLabel, channel.ChannelSourceSequence[0].CodeMeaning = "V1", "V2"

    assert "different leads" in reason(save(changed_dicom(files["dicom"], contradict)))


def test_dicom_that_could_grow_and_of_two_rhythms(save: Save, files: dict[str, bytes]) -> None:
    deflated = files["dicom"].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99"[:20])
    assert "transfer syntax" in reason(save(deflated))

    def second(dataset: Any) -> None:
        dataset.WaveformSequence[1].MultiplexGroupLabel = "RHYTHM"
        dataset.WaveformSequence[1].WaveformOriginality = "ORIGINAL"

    assert "2 rhythm waveforms" in reason(save(changed_dicom(files["dicom"], second)))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("<resolution>5<", "<resolution>6<", "different values of its resolution"),
        ("<samplingrate>500<", "<samplingrate>250<", "different values of its sampling rate"),
        ('resolution="5"', 'resolution=""', None),
        ('durationperchannel="11000"', 'durationperchannel="10000"', "another number of compressed samples"),
        ('compression="XLI"', 'compression="ZIP"', "not XLI"),
        ('leadlabels="I II', 'leadlabels="II I', "does not begin with the leads"),
        ("<documentversion>1.04<", "<documentversion>2.0<", "another version"),
        ("<signaloffset>0<", "<signaloffset>2048<", "signaloffset that is not 0"),
        ("<numberchannelsvalid>12<", "<numberchannelsvalid>8<", "another number of leads"),
    ],
)
def test_sierra_contradictions(save: Save, files: dict[str, bytes], old: str, new: str, expected: str | None) -> None:
    text = files["sierra"].decode("utf-16")
    assert old in text
    path = save(text.replace(old, new).encode("utf-16"))
    if expected:
        assert expected in reason(path)
    else:
        read_hospital(path)


def sierra_with(text: str, units: np.ndarray) -> bytes:
    """The file with other samples, without compression."""
    content = base64.b64encode(units.T.astype("<i2").tobytes()).decode()
    text = re.sub(r"(<parsedwaveforms[^>]*>)[^<]*", rf"\g<1>{content}", text).replace('compression="XLI"', "")
    return re.sub(r'durationperchannel="\d+"', f'durationperchannel="{2 * len(units)}"', text).encode("utf-16")


def test_sierra_calibration_pulse_is_cut_or_tells_of_damage(save: Save, sheet: Sheet, files: dict[str, bytes]) -> None:
    text, units = files["sierra"].decode("utf-16"), sheet.units("sierra")
    assert read_hospital(save(sierra_with(text, units))).signals_mv.shape == (5000, 12)
    pulse = np.repeat(np.repeat([0, 200, 0], [40, 100, 60])[:, None], 12, axis=1)
    with_pulse = np.concatenate([units, pulse])
    recording = read_hospital(save(sierra_with(text, with_pulse)))
    np.testing.assert_allclose(recording.signals_mv, units * 0.005, atol=FLOAT32_MV)
    flat_end = np.concatenate([units, np.zeros((200, 12), int)])  # a lead that was off is no pulse
    assert read_hospital(save(sierra_with(text, flat_end))).signals_mv.shape == (5200, 12)
    calm = units.copy()  # most leads may be the same at the end of a recording by chance, too
    calm[-6:, :8] = 3
    recording = read_hospital(save(sierra_with(text, calm)))
    np.testing.assert_allclose(recording.signals_mv, calm * 0.005, atol=FLOAT32_MV)
    calm[-6:-1, :8] = units[-6:-1, :8]
    recording = read_hospital(save(sierra_with(text, np.concatenate([calm, pulse]))))
    np.testing.assert_allclose(recording.signals_mv, calm * 0.005, atol=FLOAT32_MV)
    unequal = with_pulse.copy()
    unequal[5040:5140, 7] += 3
    assert "differs between the leads" in reason(save(sierra_with(text, unequal)))
    assert "not 1 mV" in reason(save(sierra_with(text, np.concatenate([units, pulse * 2]))))
    assert "nothing but" in reason(save(sierra_with(text, pulse)))
    remainders = units.copy()
    remainders[:, 2] = 0
    assert "III is not II - I" in reason(save(sierra_with(text, remainders)))


def test_xli_that_would_grow_is_refused() -> None:
    with pytest.raises(RefusedError, match="states 100000000 samples"):
        decode_xli(encode_xli([np.zeros(10, int)]), 100_000_000)
    with pytest.raises(RefusedError, match="more than 32 channels"):
        decode_xli(encode_xli([np.zeros(10, int)] * 33), 10)


@pytest.mark.parametrize("at", [0, 1, 4, 6, 50, 5000])
def test_damaged_xli_is_refused(at: int) -> None:
    values = np.random.default_rng(1).normal(0, 30, 4000).round().astype(int)
    content = bytearray(encode_xli([values]))
    with pytest.raises(RefusedError):
        decode_xli(bytes(content[:-3]), 4000)
    with pytest.raises(RefusedError):
        decode_xli(bytes(content), 4001)
    content[at] ^= 0xFF
    try:
        found = decode_xli(bytes(content), 4000)[0]
    except RefusedError:
        return
    assert found[-1] != values[-1]  # what is not refused here reaches the end of the lead, where the pulse is


def test_edf_contradictions(save: Save, sheet: Sheet, files: dict[str, bytes]) -> None:
    assert "sampling rate" in reason(save(edf(sheet, rates={3: 250})))
    assert "has gaps" in reason(save(edf(sheet, kind="EDF+D")))
    assert "unit" in reason(save(edf(sheet, unit="mmHg")))
    assert "bytes, states" in reason(save(files["edf"][:-1]))
    assert "bytes, states" in reason(save(files["edf"] + b"\0"))
    assert "control characters" in reason(save(files["edf"][:20] + b"\x02" + files["edf"][21:]))
    for date, age_years in (("15.06.20", sheet.age_years), ("15.06.21", None), ("01.01.85", None)):
        recording = read_hospital(save(files["edf"][:168] + date.encode() + files["edf"][176:]))
        assert (recording.patient, recording.age_years) == (sheet.patient, age_years)
    at = 256 + 13 * (16 + 80 + 8 + 8 + 8)  # the least digital value of I, before those of the others and the greatest
    for low, high, expected in (
        ("-99999", "32767", "limits of a lead"),
        ("-32768", "99999", "limits of a lead"),
        ("-100", "100", "beyond the digital limits"),
    ):
        content = bytearray(files["edf"])
        content[at : at + 8], content[at + 104 : at + 112] = low.ljust(8).encode(), high.ljust(8).encode()
        assert expected in reason(save(bytes(content)))
    recording = read_hospital(save(edf(sheet, kind="")))  # of plain EDF, what is said of the patient is free text
    assert (recording.patient, recording.age_years, recording.sex) == ("", None, "")


def test_cardiosoft_contradictions(save: Save, files: dict[str, bytes]) -> None:
    text = files["cardiosoft"].decode("latin-1")
    for old, new, expected in [
        ('units="uVperLsb"', 'units="nVperLsb"', "other units"),
        ("<ChannelSampleCountTotal>5000", "<ChannelSampleCountTotal>5001", "states 5001 samples"),
        ("<NumberOfLeads>12", "<NumberOfLeads>8", "another number of leads"),
        ('lead="V1"', 'lead="V2"', "twice"),
        ("StripData", "Other", "no strips"),
    ]:
        assert expected in reason(save(text.replace(old, new).encode("latin-1")))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no ECG at all",
        b"<html></html>",
        b"<AnnotatedECG",
        b"<AnnotatedECG/>",
        b"<RestingECG/>",
        b"<restingecgdata/>",
        b"<CardiologyXML/>",
        b'<?xml version="1.0" encoding="nonsense"?><RestingECG/>',
        b"\xff\xfe<\0",
        b"0       ",
        b"\0" * 128 + b"DICM",
        b"\0" * 128 + b"DICM" + b"\xff" * 100,
        b"<RestingECG>" + b"<a>" * 50_000 + b"</a>" * 50_000 + b"</RestingECG>",
        b"<RestingECG>" + b"<a/>" * 400_000 + b"</RestingECG>",
    ],
)
def test_what_is_no_recording_is_refused_in_one_line(save: Save, content: bytes) -> None:
    assert "\n" not in reason(save(content))


def test_folders_missing_and_huge_files_are_refused(tmp_path: Path) -> None:
    assert reason(tmp_path) == "is no file"
    assert reason(tmp_path / "absent.xml") == "is no file"
    with (tmp_path / "huge.xml").open("wb") as file:
        file.truncate(300_000_000)
    assert "of at most" in reason(tmp_path / "huge.xml")


def test_entities_and_external_files_are_not_followed(save: Save, tmp_path: Path, files: dict[str, bytes]) -> None:
    (tmp_path / "secret.txt").write_text("SECRET")
    body = files["muse"].decode("latin-1").partition("<RestingECG>")[2]
    bomb = "".join(f'<!ENTITY a{k} "{f"&a{k - 1};" * 10 if k else "boom"}">' for k in range(12))
    declarations = {
        "bomb": f"<!DOCTYPE RestingECG [{bomb}]>",
        "external": f'<!DOCTYPE RestingECG [<!ENTITY a11 SYSTEM "file://{tmp_path}/secret.txt">]>',
        "parameter": f'<!DOCTYPE RestingECG [<!ENTITY % a SYSTEM "file://{tmp_path}/secret.txt"> %a;]>',
    }
    started = time.monotonic()
    for declaration in declarations.values():
        path = save(f"{declaration}<RestingECG>{body}".replace(">GENP", ">&a11;GENP", 1).encode())
        assert "entities" in reason(path)
    assert time.monotonic() - started < 2


def test_damaged_copies_are_refused_or_hold_what_was_there(save: Save, files: dict[str, bytes]) -> None:
    """Damage to the formats with a checksum, and to Sierra's compressed samples before a pulse."""
    rng = np.random.default_rng(5)
    for form in ("muse", "sierra", "scp"):
        whole = read_hospital(save(files[form]))
        for trial in range(25):
            copy = bytearray(files[form])
            at, size = int(rng.integers(len(copy))), int(rng.integers(1, 40))
            if trial % 4 == 0:
                copy[at] ^= 1 << int(rng.integers(8))
            elif trial % 4 == 1:
                copy[at] = int(rng.integers(256))
            elif trial % 4 == 2:
                del copy[at : at + size]
            else:
                del copy[at:]
            try:
                found = read_hospital(save(bytes(copy)))
            except UnreadableRecordingError:
                continue
            np.testing.assert_array_equal(found.signals_mv, whole.signals_mv)
            assert found.sampling_rate_hz == whole.sampling_rate_hz


# ---- what may leave a file


PLANTED = (SURNAME, GIVEN_NAME, "2020", "0615", "06-15", "15.06", "JUN", "MAR", "0321", "03-21")


@pytest.mark.parametrize("word", ["UNKNOWN", "NA", "-", "Anonymous", "ANONYMIZED", "DE-IDENTIFIED", "XXXXXXXX"])
@pytest.mark.parametrize("form", ["aecg", "muse", "sierra", "edf", "cardiosoft"])
def test_words_in_place_of_an_id_are_no_patient(
    save: Save, sheet: Sheet, files: dict[str, bytes], form: str, word: str
) -> None:
    """They are those of many, and all of them would be one patient."""
    if form == "edf":
        content = edf(sheet._replace(patient=word))
    else:
        encoding = "utf-16" if form == "sierra" else "latin-1"
        content = files[form].decode(encoding).replace(sheet.patient, word).encode(encoding)
    recording = read_hospital(save(content))
    assert (recording.patient, recording.sex) == ("", sheet.sex)


@pytest.mark.parametrize("form", [*FORMATS, "edf", "cardiosoft"])
def test_no_name_and_no_date_leaves_a_file(
    tmp_path: Path, files: dict[str, bytes], form: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "record.bin"
    rng = np.random.default_rng(7)
    texts: list[str] = []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for trial in range(30):
            copy = bytearray(files[form])
            if trial:  # the first is whole
                at = int(rng.integers(min(len(copy), 3000)))  # most of what names the patient stands there
                copy[at : at + 3] = rng.bytes(int(rng.integers(5)))
            path.write_bytes(bytes(copy))
            try:
                found = read_hospital(path)
            except UnreadableRecordingError as error:
                assert error.__cause__ is None and error.__suppress_context__
                texts.append(error.reason)
                continue
            texts += [found.record_id, str(found.age_years), found.sex, found.source, *found.codes]
            texts.append(found.patient if trial == 0 else "")  # damage may make another id of it
    texts += [str(one.message) for one in warned] + [record.getMessage() for record in caplog.records]
    for word in PLANTED:
        assert not any(word in text for text in texts), word


def test_pydicom_warnings_and_logs_are_silent(save: Save, files: dict[str, bytes], caplog: Any) -> None:
    content = files["dicom"].replace(b"20200615", b"NOBODY15")  # no date, at which pydicom complains and quotes it
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_hospital(save(content))
    assert not caplog.records
    assert not logging.getLogger("pydicom").disabled


def test_ids_and_ages() -> None:
    assert (patient_id("  A 17 "), patient_id("x" * 65), patient_id("a\0b")) == ("A 17", "", "")
    assert age_from("18", "MONTHS") == pytest.approx(1.5)
    for number, unit in [("30", "fortnights"), ("-1", "years"), ("130", "years"), ("", "years")]:
        assert age_from(number, unit) is None
    assert age_between("19500616", "2020-06-15") == 69
    assert age_between("1950-06-15", "20200615101500") == 70
    for birth, recorded in [("", "20200101"), ("20200231", "20200301"), ("20210101", "20200101")]:
        assert age_between(birth, recorded) is None


def test_a_missing_package_is_named(save: Save, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] in ("pydicom", "defusedxml"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    for form in ("dicom", "muse"):
        with pytest.raises(InputError, match=re.escape("pip install 'ecg-advmask[hospital]'")) as missing:
            read_hospital(save(files[form]))
        assert not isinstance(missing.value, UnreadableRecordingError)
    assert isinstance(read_hospital(save(files["scp"])), Recording)


def test_a_folder_from_a_hospital_is_prepared_and_embedded(tmp_path: Path, lead_means_onnx: Path) -> None:
    """All five formats through the doors of both commands; no name and no date reaches a file that they write."""
    from ecg_advmask.data.dataset import DataSet
    from ecg_advmask.data.prepare import prepare
    from ecg_advmask.export.embed import embed_files

    write_archive(tmp_path / "generated", ["hospital"], 10, 2)
    folder = tmp_path / "generated" / "hospital"
    prepare(folder, tmp_path / "data", "hospital", sampling_rate_hz=100, seconds=2.0, workers=1)
    embed_files(lead_means_onnx, [folder], tmp_path / "embeddings.csv")
    subjects = pd.read_csv(folder / "subjects.csv")
    rows = DataSet.open(tmp_path / "data").records.groupby("id").first()
    assert len(rows) == len(subjects) == 10 and set(subjects.file.str.partition("/")[0]) == set(FORMATS)
    for subject in subjects.itertuples():
        row = rows.loc[subject.file.rpartition(".")[0]]
        assert (row.patient, row.sex, float(row.age_years)) == (subject.patient, subject.sex, subject.age_years)
        assert float(row.original_rate_hz) == subject.sampling_rate_hz
    written = [path for path in tmp_path.rglob("*") if path.is_file() and folder not in path.parents]
    text = b"".join(path.read_bytes() for path in written if path.suffix in (".csv", ".json"))
    assert SURNAME.encode() not in text
    assert set(pd.read_csv(tmp_path / "embeddings.csv").id) == set(subjects.record)
