"""WFDB records: the quirks of the archives, NumPy alone against the wfdb package, and headers that must be refused."""

import os
import subprocess
import sys
import tempfile
import tracemalloc
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.ecg.recording import UnreadableRecordingError
from ecg_advmask.ecg.wfdb import _read_by_package, read_plain, read_wfdb
from ecg_advmask.ecg.wfdb_header import read_header

Write = Callable[..., Path]


def samples(length: int = 1000, leads: int = 12, seed: int = 0, bound: int = 2000) -> np.ndarray:
    return np.random.default_rng(seed).integers(-bound, bound, (length, leads)).astype(np.int16)


def write_record(
    header: Path, record_line: str, lines: Sequence[str], data: bytes, comments: Sequence[str] = ()
) -> Path:
    """A header of these lines, of which each signal's begins with its file's name, and the bytes of the first file."""
    header.parent.mkdir(parents=True, exist_ok=True)
    header.write_text("\n".join([record_line, *lines, *comments]) + "\n")
    if lines:
        header.with_name(lines[0].split()[0]).write_bytes(data)
    return header


def by_package(header: Path) -> np.ndarray:
    """Signals in millivolts by the wfdb package, whatever the form."""
    return _read_by_package(read_header(header)).signals_mv


# --- what the archives hold


def test_record_is_read_exactly(tmp_path: Path, write_wfdb: Write) -> None:
    values = samples()
    found = read_wfdb(write_wfdb(tmp_path / "A0001.hea", values, 257))
    assert found.signals_mv.dtype == np.float32
    np.testing.assert_array_equal(found.signals_mv, (values / 1000).astype(np.float32))
    assert (found.record_id, found.sampling_rate_hz, found.age_years, found.sex) == ("A0001", 257.0, 61.0, "female")
    assert found.codes == ("426177001", "164934002")


def test_leads_are_taken_by_name(tmp_path: Path, write_wfdb: Write) -> None:
    """In the order of another machine, with a signal that is no ECG and the Frank leads of PTB."""
    names = ["v6", "Resp", "AVR", "Lead I", "ii", "III", "avl", "AVF", "V1", "vx", "v2", "V3", "V4", "v5", "vy", "vz"]
    values = samples(leads=16)
    found = read_wfdb(write_wfdb(tmp_path / "a.hea", values, leads=names))
    keys = [name.lower().removeprefix("lead ") for name in names]
    order = [keys.index(lead.lower()) for lead in STANDARD_LEADS]
    np.testing.assert_array_equal(found.signals_mv, (values[:, order] / 1000).astype(np.float32))


@pytest.mark.parametrize(
    ("gain", "baseline", "units_per_mv"),
    [
        ("1000/mV", 0, 1000),
        ("1000.0(0)/mv", 0, 1000),
        ("1000(-12)/MV", -12, 1000),
        ("200(100)/mV", 100, 200),
        ("1/uV", 0, 1000),
        ("0.5/uV", 0, 500),
        ("4880000/V", 0, 4880),
        ("1/\u00b5V", 0, 1000),
        ("1/\u03bcV", 0, 1000),
        ("1e6/V", 0, 1000),
        ("2.5e+2/mV", 0, 250),
        ("-1000/mV", 0, -1000),
        ("306", 0, 306),  # no unit is the millivolt
        ("0/mV", 0, 200),  # a gain of 0 is WFDB's default
        ("0(7)/mV", 7, 200),
    ],
)
def test_units_gains_and_baselines(
    tmp_path: Path, write_wfdb: Write, gain: str, baseline: int, units_per_mv: float
) -> None:
    values = samples()
    found = read_wfdb(write_wfdb(tmp_path / "a.hea", values, gain=gain))
    expected = (values.astype(np.float64) - baseline) / units_per_mv
    np.testing.assert_allclose(found.signals_mv, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("gain", "baseline"), [("1000/mV", 512), ("1000(3)/mV", 3)])
@pytest.mark.parametrize("resolution", ["16", "12", "0"])
def test_the_adc_zero_is_the_baseline_where_none_is_stated(
    tmp_path: Path, gain: str, baseline: int, resolution: str
) -> None:
    values = samples()
    lines = [f"a.dat 16 {gain} {resolution} 512 0 0 0 {lead}" for lead in STANDARD_LEADS]
    header = write_record(tmp_path / "a.hea", "a 12 500 1000", lines, values.tobytes())
    expected = ((values.astype(np.float64) - baseline) / 1000).astype(np.float32)
    np.testing.assert_array_equal(read_wfdb(header).signals_mv, expected)
    np.testing.assert_array_equal(by_package(header), expected)


def test_the_code_of_a_missing_sample_becomes_nan(tmp_path: Path, write_wfdb: Write) -> None:
    values = samples()
    values[10:15, 8] = -32768
    header = write_wfdb(tmp_path / "a.hea", values)
    for signals in (read_wfdb(header).signals_mv, by_package(header)):
        assert np.argwhere(np.isnan(signals)).tolist() == [[sample, 8] for sample in range(10, 15)]


RECORD_LINES = [
    "a 12 257 1000 15-May-2020 15:35:30",  # CinC 2020 and 2021
    "a.mat 12 257 1000 05-May-2020 09:49:17",  # Georgia; the wfdb package refuses this name of a record
    "a 12 257 1000 12:33:59 12/05/2020",
    "a 12 257.0 1000",
    "a 12 257/257 1000",
    "a 12 257/360(10) 1000",
    "  a\t12  257  1000 ",
    "a 12 257 1000 2006",  # not a date of WFDB; the samples do not depend on it
    "a 12 257",  # the number of samples follows from the size of the file
    "a 12 257 0",
]


@pytest.mark.parametrize("record_line", RECORD_LINES)
def test_record_lines(tmp_path: Path, write_wfdb: Write, record_line: str) -> None:
    values = samples()
    header = write_wfdb(tmp_path / "a.hea", values)
    header.write_text("\r\n".join(["# by hand", "", record_line, *header.read_text().splitlines()[1:]]))
    found = read_wfdb(header)
    np.testing.assert_array_equal(found.signals_mv, (values / 1000).astype(np.float32))
    assert (found.sampling_rate_hz, found.age_years) == (257.0, 61.0)


def test_the_original_incart_header(tmp_path: Path) -> None:
    """St Petersburg INCART as published: 257 Hz, no unit, unsigned checksums, all comments on one line."""
    values = samples(bound=30000)
    checksums = values.sum(axis=0, dtype=np.int64) % 65536
    lines = [
        f"I01.dat 16 306 16 0 {values[0, column]} {checksums[column]} 0 {lead.upper()}"
        for column, lead in enumerate(STANDARD_LEADS)
    ]
    comments = ["#<age>: 65 <sex>: F <diagnoses> Coronary artery disease", "# patient 1", "# PVCs, noise"]
    found = read_wfdb(write_record(tmp_path / "I01.hea", "I01 12 257 1000", lines, values.tobytes(), comments))
    np.testing.assert_array_equal(found.signals_mv, (values / 306).astype(np.float32))
    assert (found.sampling_rate_hz, found.age_years, found.sex, found.codes) == (257.0, 65.0, "female", ())


def test_fifteen_leads_of_ptb_in_two_files(tmp_path: Path) -> None:
    """The PTB database as published: twelve leads in ``.dat``, the Frank leads in ``.xyz``, 1000 Hz, 2000 units/mV."""
    values, frank = samples(seed=1), samples(leads=3, seed=2)
    lines = [
        f"s1.dat 16 2000 16 0 {values[0, column]} 0 0 {lead.lower()}" for column, lead in enumerate(STANDARD_LEADS)
    ]
    lines += [f"s1.xyz 16 2000 16 0 {frank[0, column]} 0 0 {lead}" for column, lead in enumerate(("vx", "vy", "vz"))]
    (tmp_path / "s1.xyz").write_bytes(frank.tobytes())
    comments = ["# age: 81", "# sex: female", "# ECG date: 01/10/1990"]
    found = read_wfdb(write_record(tmp_path / "s1.hea", "s1 15 1000 1000", lines, values.tobytes(), comments))
    np.testing.assert_array_equal(found.signals_mv, (values / 2000).astype(np.float32))
    assert (found.sampling_rate_hz, found.age_years, found.sex) == (1000.0, 81.0, "female")


@pytest.mark.parametrize(
    ("comments", "age", "sex", "codes"),
    [
        (["#Age: 85", "#Sex: Male", "#Dx: 1,2"], 85.0, "male", ("1", "2")),
        (["# Age: NaN", "# Sex: Unknown", "# Dx: Unknown"], None, "", ()),
        (["#<age>: 51", "#<sex>: F", "#<diagnoses>:", "#Rhythm: Sinus rhythm."], 51.0, "female", ()),
        (["# Age: 300", "# Sex: M", "# Dx: 1, 2 ,3"], None, "male", ("1", "2", "3")),
        (["#Age:0", "#Sex:FEMALE", "#Dx:1"], 0.0, "female", ("1",)),
        (["#Age: 61.5", "#Sex: m", "#Dx: 1,1,2,"], 61.5, "male", ("1", "2")),
        (["#AGE : >89", "#SEX : f", "#DX : nan"], None, "female", ()),
        (["#Age: -1", "#Sex: NaN", "#Dx:"], None, "", ()),
        (["#Age: 6_1", "#Sex: U", "#Dx: Unknown,5"], None, "", ("5",)),
        (["#Age: 1e1", "#Sex: 1", "# no colon", "#", "# Größe: 170"], None, "", ()),
        (["#Age: inf", "#Sex: other"], None, "", ()),
        ([], None, "", ()),
        (["# Age (years): 61", "# Gender: Woman", "# Dx: 1;2|3"], 61, "female", ("1", "2", "3")),
        (["# age = 61", "# sex = F", "# dx = ['1', '2']"], 61, "female", ("1", "2")),
    ],
)
def test_comments(
    tmp_path: Path, write_wfdb: Write, comments: list[str], age: float | None, sex: str, codes: tuple[str, ...]
) -> None:
    found = read_wfdb(write_wfdb(tmp_path / "a.hea", samples(), comments=comments))
    assert (found.age_years, found.sex, found.codes) == (age, sex, codes)


# --- other forms, by the wfdb package

BITS = {"16": 16, "212": 12, "24": 24, "32": 32, "80": 8, "516": 16, "508": 8, "524": 24}
IN_TWO_FILES = {"508", "516", "524"}
"""FLAC holds at most eight signals a file."""


@pytest.mark.parametrize("code", BITS)
@pytest.mark.parametrize("length", [500, 501])
def test_signal_formats(tmp_path: Path, code: str, length: int) -> None:
    rng, top = np.random.default_rng(int(code)), 2 ** (BITS[code] - 1)
    values = rng.integers(-top + 1, top, (length, 12))
    values[3, 5] = -top  # the code of a missing sample
    files = ["a_1.sig" if code in IN_TWO_FILES and column > 5 else "a.sig" for column in range(12)]
    record = wfdb.Record(
        record_name="a", n_sig=12, fs=500, sig_len=length, file_name=files, fmt=[code] * 12, byte_offset=[None] * 12,
        adc_gain=[250.0] * 12, baseline=[1] * 12, units=["mV"] * 12, adc_res=[BITS[code]] * 12, adc_zero=[0] * 12,
        block_size=[0] * 12, sig_name=list(STANDARD_LEADS), d_signal=values, init_value=values[0].tolist(),
        checksum=(values.sum(axis=0) % 65536).tolist(),
    )  # fmt: skip
    record.wrsamp(write_dir=str(tmp_path))
    expected = ((values - 1) / 250).astype(np.float32)
    expected[3, 5] = np.nan
    found = read_wfdb(tmp_path / "a.hea")
    np.testing.assert_array_equal(found.signals_mv, expected)
    assert found.sampling_rate_hz == 500


def test_big_endian_samples(tmp_path: Path) -> None:
    values = samples()
    lines = [f"a.dat 61 1000/mV 16 0 0 0 0 {lead}" for lead in STANDARD_LEADS]
    header = write_record(tmp_path / "a.hea", "a 12 500 1000", lines, values.astype(">i2").tobytes())
    np.testing.assert_array_equal(read_wfdb(header).signals_mv, (values / 1000).astype(np.float32))


@pytest.mark.parametrize("code", ["310", "311"])
def test_three_samples_in_four_bytes(tmp_path: Path, code: str) -> None:
    """Ten bits each, packed as in signal(5): 310 in two words of 16 bits, 311 from the lowest bit of 32 upwards."""
    values = samples(999, bound=511)
    first, second, third = (values.ravel()[place::3].astype(np.uint32) & 0x3FF for place in range(3))
    if code == "311":
        words = first | second << 10 | third << 20
    else:
        words = (first << 1 | (third & 0x1F) << 11) | (second << 1 | (third >> 5) << 11) << 16
    lines = [f"a.dat {code} 100/mV 10 0 0 0 0 {lead}" for lead in STANDARD_LEADS]
    header = write_record(tmp_path / "a.hea", "a 12 500 999", lines, words.astype("<u4").tobytes())
    np.testing.assert_array_equal(read_wfdb(header).signals_mv, (values / 100).astype(np.float32))


def test_several_samples_a_frame(tmp_path: Path) -> None:
    """Twice the frame rate on all twelve leads; a thirteenth signal at the frame rate is ignored."""
    values, slow = samples(1000), samples(500, 1, seed=1)
    frames = np.concatenate([values.reshape(500, 2, 12).transpose(0, 2, 1).reshape(500, 24), slow], axis=1)
    lines = [f"a.dat 16x2 1000/mV 16 0 0 0 0 {lead}" for lead in STANDARD_LEADS]
    lines += ["a.dat 16 1000/mV 16 0 0 0 0 Resp"]
    found = read_wfdb(write_record(tmp_path / "a.hea", "a 13 250 500", lines, frames.tobytes()))
    np.testing.assert_array_equal(found.signals_mv, (values / 1000).astype(np.float32))
    assert found.sampling_rate_hz == 500
    lines[3] = lines[3].replace("16x2", "16x3")
    header = write_record(tmp_path / "b.hea", "b 13 250 400", lines, frames.tobytes())
    with pytest.raises(UnreadableRecordingError, match="leads of different sampling rates"):
        read_wfdb(header)


def test_a_skewed_lead_is_shifted_and_ends_with_missing_samples(tmp_path: Path) -> None:
    values = samples()
    lines = [f"a.dat 16{':3' if lead == 'V2' else ''} 1000/mV 16 0 0 1 0 {lead}" for lead in STANDARD_LEADS]
    found = read_wfdb(write_record(tmp_path / "a.hea", "a 12 500 1000", lines, values.tobytes()))
    expected = values / 1000
    expected[:-3, 7], expected[-3:, 7] = expected[3:, 7].copy(), np.nan
    np.testing.assert_array_equal(found.signals_mv, expected.astype(np.float32))
    lines = [line.replace("16 1000", "16x2 1000").replace("16:3", "16x2:3") for line in lines]
    header = write_record(tmp_path / "b.hea", "b 12 500 500", lines, values.tobytes())
    with pytest.raises(UnreadableRecordingError, match="skewed with several samples a frame"):
        read_wfdb(header)


def test_folders_with_odd_names(tmp_path: Path, write_wfdb: Write) -> None:
    values = samples()
    for folder in ("a b", "[x]*?", "100%", "~"):
        header = write_wfdb(tmp_path / folder / "a.hea", values)
        for signals in (read_wfdb(header).signals_mv, by_package(header)):
            np.testing.assert_array_equal(signals, (values / 1000).astype(np.float32))


def test_names_beyond_ascii_and_with_blanks(tmp_path: Path, write_wfdb: Write) -> None:
    """Of records, files and leads; WFDB itself allows neither, programs write both."""
    values = samples()
    expected = (values / 1000).astype(np.float32)
    for name in ("\u5fc3\u7535", "M\u00fcller", "mit leer", "rec 12"):
        header = write_wfdb(tmp_path / f"{name}.hea", values)
        np.testing.assert_array_equal(read_wfdb(header).signals_mv, expected)
        assert read_wfdb(header).record_id == name
    header = write_wfdb(tmp_path / "a.hea", values)
    for encoding in ("utf-8", "cp1252"):
        header.write_bytes(header.read_text().replace(" V6", " V6 (\u00b5V)").replace("/mV", "/uV").encode(encoding))
        np.testing.assert_allclose(read_wfdb(header).signals_mv, values / 1e6, rtol=1e-6)
        header = write_wfdb(tmp_path / "a.hea", values)


@pytest.mark.parametrize("form", ["16", "16:0x1", "80"])
def test_letters_beyond_ascii_keep_their_meaning_both_ways(tmp_path: Path, form: str) -> None:
    """The wfdb package drops them, so that microvolts would become volts, and a reversed lead the lead itself."""
    values = samples(bound=100)
    data = values.tobytes() if form.startswith("16") else (values + 128).astype(np.uint8).tobytes()
    form = "16" if form == "16:0x1" else form
    lines = [f"a.dat {form} 1e0/\u00b5V 16 0 0 0 0 {lead}" for lead in STANDARD_LEADS]
    header = write_record(tmp_path / "a.hea", "a 12 500 1000", lines, data)
    np.testing.assert_allclose(read_wfdb(header).signals_mv, values / 1000, rtol=1e-6)
    header.write_text(header.read_text().replace(" aVR", " \u2212aVR"))
    with pytest.raises(UnreadableRecordingError, match="is the reverse of aVR"):
        read_wfdb(header)


def segmented(folder: Path, lengths: Sequence[int | None], write_wfdb: Write, rate: float = 500) -> Path:
    """A record of segments of these lengths, or of gaps of 50 samples."""
    lines = []
    for number, length in enumerate(lengths):
        lines.append("~ 50" if length is None else f"seg{number} {length}")
        if length is not None:
            write_wfdb(folder / f"seg{number}.hea", samples(length, seed=number), rate)
    total = sum(length or 50 for length in lengths)
    (folder / "multi.hea").write_text(
        "\n".join([f"multi/{len(lengths)} 12 {rate} {total}", *lines, "# Age: 40"]) + "\n"
    )
    return folder / "multi.hea"


@pytest.mark.parametrize("lengths", [(200,), (200, 300, 1), (200, None, 300), (None, 200)])
def test_segments_are_joined_as_the_wfdb_package_joins_them(
    tmp_path: Path, write_wfdb: Write, lengths: tuple[int | None, ...]
) -> None:
    found = read_wfdb(segmented(tmp_path, lengths, write_wfdb))
    pieces = [
        np.full((50, 12), np.nan) if length is None else samples(length, seed=number) / 1000
        for number, length in enumerate(lengths)
    ]
    np.testing.assert_allclose(found.signals_mv, np.concatenate(pieces), rtol=1e-6)
    assert (found.sampling_rate_hz, found.age_years) == (500, 40)
    if None not in lengths:
        reference = wfdb.rdrecord(str(tmp_path / "multi"))
        np.testing.assert_allclose(found.signals_mv, reference.p_signal, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("multi/2", "multi/3", "states 3 segments and names 2"),
        ("multi/2", "multi/x", "which must not be a path"),
        ("seg0 200", "seg0 0", "have signals of their own, give the segments instead"),
        ("seg0 200", "seg0 199", "states 500 samples, its segments have 499"),
        ("seg0 200\nseg1 300", "seg0 201\nseg1 299", "is not the segment that multi.hea announces"),
        ("seg0 200", "seg0", "describes a segment as 'seg0'"),
        ("seg0 200", "../seg0 200", "is not a file beside it"),
        ("seg0 200", "other 200", "names other.hea, which does not exist"),
        ("seg1 300", "multi 300", "names multi.hea, which is no signal file"),
        ("12 500 500", "12 250 500", "its length or rate differs"),
        ("12 500 500", "12 500 99999999999", "its segments have 500"),
    ],
)
def test_segments_that_do_not_fit_are_refused(
    tmp_path: Path, write_wfdb: Write, old: str, new: str, reason: str
) -> None:
    header = segmented(tmp_path, (200, 300), write_wfdb)
    text = header.read_text()
    assert old in text
    header.write_text(text.replace(old, new))
    with pytest.raises(UnreadableRecordingError) as raised:
        read_wfdb(header)
    assert reason in raised.value.reason and "\n" not in str(raised.value)


def test_a_record_of_segments_within_another_is_refused(tmp_path: Path, write_wfdb: Write) -> None:
    header = segmented(tmp_path, (200, 300), write_wfdb)
    header.with_name("outer.hea").write_text("outer/1 12 500 500\nmulti 500\n")
    with pytest.raises(UnreadableRecordingError, match="is a multi-segment record within another"):
        read_wfdb(header.with_name("outer.hea"))


# --- NumPy alone and the wfdb package give the same bits

counts = st.integers(-(2**15), 2**15 - 1)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "x1"]),
            st.decimals("0.001", "9999999", places=3).map(lambda value: f"{value:f}")
            | st.integers(1, 10**8).map(str)
            | st.sampled_from(["1000.", "4880", "1000.0"]),
            st.none() | st.integers(-40000, 40000),
            st.sampled_from(["", "/mV", "/mv", "/uV", "/V", "/nV"]),
            st.integers(-40000, 40000),
        ),
        min_size=12,
        max_size=15,
    ),
    st.permutations(STANDARD_LEADS),
    st.integers(0, 40),
    st.integers(1, 20),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
def test_plain_headers_give_the_same_bits_both_ways(
    signals: list[tuple[str, str, int | None, str, int]],
    order: list[str],
    offset: int,
    length: int,
    seed: int,
    stated: bool,
) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(-(2**15), 2**15, (length, len(signals))).astype("<i2")
    values[rng.random(values.shape) < 0.05] = -32768
    sums = values.sum(axis=0, dtype=np.int64).astype(np.int16) if stated else np.zeros(len(signals), np.int16)
    names = [*order, "vx", "vy", "vz"][: len(signals)]
    lines = [
        f"a.dat 16{frame}+{offset} {gain}{'' if baseline is None else f'({baseline})'}{unit} 16 {zero} "
        f"{values[0, column]} {sums[column]} 0 {names[column]}"
        for column, (frame, gain, baseline, unit, zero) in enumerate(signals)
    ]
    with tempfile.TemporaryDirectory() as folder:
        record_line = f"a {len(signals)} 500 {length}"
        header = write_record(Path(folder, "a.hea"), record_line, lines, b"\x01" * offset + values.tobytes())
        plain = read_plain(read_header(header))
        assert plain is not None
        assert plain.signals_mv.tobytes() == by_package(header).tobytes()


def real_headers(shared: Path) -> list[Path]:
    return sorted((shared / "data" / "cinc2021").rglob("*.hea")) + sorted((shared / "data" / "ludb").rglob("*.hea"))


def check_real(header: Path) -> None:
    checked = read_header(header)
    plain, reference = read_plain(checked), wfdb.rdrecord(str(header.with_suffix("")))
    assert plain is not None, f"{header} is not of the plain form"
    columns = [[name.lower() for name in reference.sig_name].index(lead.lower()) for lead in STANDARD_LEADS]
    np.testing.assert_allclose(plain.signals_mv, reference.p_signal[:, columns], rtol=0, atol=1e-3)
    assert plain.signals_mv.tobytes() == by_package(header).tobytes()
    assert read_wfdb(header).sampling_rate_hz == reference.fs


def test_some_real_recordings_of_every_source(shared: Path) -> None:
    """At most twenty of each, evenly spread over its folders."""
    of_source = defaultdict[str, list[Path]](list)
    for header in real_headers(shared):
        folders = header.relative_to(shared / "data").parts
        of_source[folders[2] if folders[0] == "cinc2021" else folders[0]].append(header)
    assert len(of_source) >= 8
    for headers in of_source.values():
        for header in headers[:: -(-len(headers) // 20)]:
            check_real(header)


@pytest.mark.exhaustive
def test_all_real_recordings(shared: Path) -> None:
    for header in real_headers(shared):
        check_real(header)


def test_the_plain_form_needs_no_wfdb_package(tmp_path: Path, write_wfdb: Write) -> None:
    header = write_wfdb(tmp_path / "a.hea", samples())
    code = "import sys; from ecg_advmask.ecg.wfdb import read_wfdb; read_wfdb(sys.argv[1])"
    code += "; sys.exit('wfdb' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code, header], check=False).returncode == 0


# --- what must be refused


@pytest.mark.parametrize("read", [read_wfdb, by_package])
def test_a_changed_sample_breaks_the_checksum(tmp_path: Path, read: Callable[[Path], object]) -> None:
    values = samples()
    checksums = values.sum(axis=0, dtype=np.int64).astype(np.int16)
    lines = [f"a.dat 16 1000/mV 16 0 0 {checksums[column]} 0 {lead}" for column, lead in enumerate(STANDARD_LEADS)]
    header = write_record(tmp_path / "a.hea", "a 12 500 1000", lines, values.tobytes())
    read(header)
    values[500, 6] ^= 1 << 12
    header.with_name("a.dat").write_bytes(values.tobytes())
    with pytest.raises(UnreadableRecordingError, match="the checksum of V1 does not hold"):
        read(header)


def _cut_short(header: Path) -> None:
    signal_file = header.with_suffix(".mat")
    signal_file.write_bytes(signal_file.read_bytes()[:-1])


def _replace(old: str, new: str) -> Callable[[Path], object]:
    return lambda header: header.write_text(header.read_text().replace(old, new))


def _record_line(line: str) -> Callable[[Path], object]:
    return lambda header: header.write_text("\n".join([line, *header.read_text().splitlines()[1:]]))


def _signal_file(make: Callable[[Path], object]) -> Callable[[Path], object]:
    def damage(header: Path) -> None:
        header.with_suffix(".mat").unlink()
        make(header.with_suffix(".mat"))

    return damage


def _in_turn(*damages: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda header: [damage(header) for damage in damages]


def _parent_folder(header: Path) -> None:
    header.with_suffix(".mat").rename(header.parent.parent / "bad.mat")
    _replace("bad.mat", "../bad.mat")(header)


def _link_out(header: Path) -> None:
    header.with_suffix(".mat").rename(header.parent.parent / "elsewhere.mat")
    header.with_suffix(".mat").symlink_to(header.parent.parent / "elsewhere.mat")


def _subfolder(header: Path) -> None:
    header.with_name("sub").mkdir()
    header.with_suffix(".mat").rename(header.with_name("sub") / "bad.mat")
    _replace("bad.mat", "sub/bad.mat")(header)


def _interleaved_files(header: Path) -> None:
    header.with_name("other.mat").write_bytes(header.with_suffix(".mat").read_bytes())
    lines = header.read_text().splitlines()
    lines[3] = lines[3].replace("bad.mat", "other.mat")
    header.write_text("\n".join(lines))


def _million_signals(header: Path) -> None:
    header.write_text("bad 1000000 500 1\n" + "bad.mat 16 1000/mV 16 0 0 0 0 I\n" * 1_000_000)


def _drop_names(header: Path) -> None:
    lines = header.read_text().splitlines()
    header.write_text("\n".join([lines[0], *(line.rpartition(" ")[0] for line in lines[1:13])]))


NOT_BESIDE = "which is not a file beside it"
NO_RATE = "expected a positive number of Hz"

UNOPENED: dict[str, tuple[Callable[[Path], object], str]] = {
    "parent folder": (_parent_folder, f"names '../bad.mat', {NOT_BESIDE}"),
    "subfolder": (_subfolder, f"names 'sub/bad.mat', {NOT_BESIDE}"),
    "absolute": (lambda header: _replace("bad.mat", str(header.with_suffix(".mat")))(header), NOT_BESIDE),
    "system file": (_replace("bad.mat", "/etc/passwd"), f"names '/etc/passwd', {NOT_BESIDE}"),
    "address": (
        _replace("bad.mat", "https://example.org/bad.mat"),
        f"names 'https://example.org/bad.mat', {NOT_BESIDE}",
    ),
    "bucket": (_replace("bad.mat", "s3://example/bad.mat"), f"names 's3://example/bad.mat', {NOT_BESIDE}"),
    "google": (_replace("bad.mat", "gs://example/bad.mat"), NOT_BESIDE),
    "chained address": (_replace("bad.mat", "simplecache::bad.mat"), f"names 'simplecache::bad.mat', {NOT_BESIDE}"),
    "drive": (_replace("bad.mat", "C:bad.mat"), NOT_BESIDE),
    "zero byte": (_replace("bad.mat", "bad\0.mat"), NOT_BESIDE),
    "null signal": (_replace("bad.mat", "~"), "names ~, which does not exist"),
    "standard input": (_replace("bad.mat", "-"), "names -, which does not exist"),
    "link out": (_link_out, "names 'bad.mat', which is not a file beside it but a link out of its folder"),
    "link to a device": (_signal_file(lambda path: path.symlink_to("/dev/zero")), NOT_BESIDE),
    "link to itself": (_signal_file(lambda path: path.symlink_to(path.name)), NOT_BESIDE),
    "fifo": (_signal_file(os.mkfifo), "names bad.mat, which is no signal file"),
    "folder": (_signal_file(Path.mkdir), "names bad.mat, which is no signal file"),
    "this folder": (_replace("bad.mat", "."), NOT_BESIDE),
    "folder above": (_replace("bad.mat", ".."), NOT_BESIDE),
    "itself": (_replace("bad.mat", "bad.hea"), "names bad.hea, which is no signal file"),
    "segments": (
        lambda header: header.write_text("bad/2 12 500 2000\nbad_1 1000\nbad_2 1000\n"),
        "names bad_1.hea, which does not exist",
    ),
    "record in a folder": (
        _record_line("../bad 12 500 1000"),
        "has the record name '../bad', which must not be a path",
    ),
    "record at an address": (_record_line("s3://a/bad 12 500 1000"), "which must not be a path"),
    "huge number": (_record_line("bad 12 500 1000000000000"), "bad.mat is cut short"),
    "huger number": (_record_line(f"bad 12 500 {'9' * 5000}"), "expected a whole number"),
    "huge claim of signals": (_record_line("bad 1000000 500 1000"), "states 1000000 signals and describes 12"),
    "huge header": (_million_signals, "is no file of at most 1000000 bytes"),
    "huge offset": (_replace("16+24", "16+99999999999"), "bad.mat is cut short"),
    "huge frame": (_replace("16+24", "16x999999+24"), "bad.mat is cut short"),
    "huge FLAC": (_record_line("bad 12 500 1000000000000"), "bad.mat is cut short"),
    "long FLAC": (
        _in_turn(_record_line("bad 12 500 1000000000000"), _replace("16+24", "516")),
        "lasts 555556 hours, of at most 48",
    ),
}

DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = UNOPENED | {
    "cut short": (_cut_short, "bad.mat is cut short, it has 24023 bytes of at least 24024"),
    "empty signal file": (lambda header: header.with_suffix(".mat").write_bytes(b""), "bad.mat is cut short"),
    "empty signal file, no length": (
        _in_turn(_record_line("bad 12 500"), lambda header: header.with_suffix(".mat").write_bytes(b"")),
        "is cut short",
    ),
    "only a matrix header": (
        _in_turn(_record_line("bad 12 500"), lambda header: header.with_suffix(".mat").write_bytes(b"0" * 24)),
        "holds no samples",
    ),
    "missing signal file": (lambda header: header.with_suffix(".mat").unlink(), "names bad.mat, which does not exist"),
    "no header": (Path.unlink, "cannot be read"),
    "header is a folder": (_in_turn(Path.unlink, Path.mkdir), "is no file of at most"),
    "header is a fifo": (_in_turn(Path.unlink, os.mkfifo), "is no file of at most"),
    "empty header": (lambda header: header.write_text(""), "is not a WFDB header"),
    "comments alone": (lambda header: header.write_text("# Age: 61\n"), "is not a WFDB header"),
    "garbage": (lambda header: header.write_bytes(np.random.default_rng(0).bytes(2000)), "is not a WFDB header"),
    "words": (lambda header: header.write_text("this is no header\nbad.mat at all\n"), "is not a WFDB header"),
    "one word": (lambda header: header.write_text("header\n"), "is not a WFDB header"),
    "pressure": (_replace("1000/mV", "1000/mmHg"), "has the unit 'mmHg', expected mV, uV or V"),
    "other letters": (_replace("1000/mV", "1000/m\u0432"), "has the unit 'm\u0432'"),
    "no rate": (_record_line("bad 12"), "does not state its sampling rate"),
    "rate 0": (_record_line("bad 12 0 1000"), f"has the sampling rate 0, {NO_RATE}"),
    "negative rate": (_record_line("bad 12 -500 1000"), f"has the sampling rate -500, {NO_RATE}"),
    "rate NaN": (_record_line("bad 12 nan 1000"), f"has the sampling rate nan, {NO_RATE}"),
    "rate with an exponent": (_record_line("bad 12 5e2 1000"), f"has the sampling rate 5e2, {NO_RATE}"),
    "absurd rate": (_record_line("bad 12 1000000 1000"), "has the sampling rate 1000000"),
    "tiny rate": (_record_line("bad 12 0.5 1000"), "has the sampling rate 0.5"),
    "days": (_record_line("bad 12 0.005 1000"), "lasts 55.5556 hours, of at most 48"),
    "negative length": (_record_line("bad 12 500 -1000"), "has -1000 samples, expected a whole number"),
    "fractional length": (_record_line("bad 12 500 999.5"), "has 999.5 samples, expected a whole number"),
    "no signals": (lambda header: header.write_text("bad 0 500 1000\n"), "states 0 signals and describes 0"),
    "negative signals": (_record_line("bad -12 500 1000"), "does not state how many signals"),
    "a line too few": (
        lambda header: header.write_text("\n".join(header.read_text().splitlines()[:12])),
        "states 12 signals and describes 11",
    ),
    "a line too many": (_record_line("bad 11 500 1000"), "states 11 signals and describes 12"),
    "no format": (lambda header: header.write_text("bad 1 500 1000\nbad.mat\n"), "has the signal format ''"),
    "other format": (_replace("16+24", "17+24"), "has the signal format '17+24', expected one of 8, 16"),
    "words for a format": (_replace("16+24", "int16"), "has the signal format 'int16'"),
    "no samples a frame": (_replace("16+24", "16x0+24"), "has the signal format '16x0+24'"),
    "formats that differ": (
        lambda header: header.write_text(header.read_text().replace("16+24", "61+24", 1)),
        "bad.mat: its signals differ in format",
    ),
    "files that alternate": (_interleaved_files, "bad.mat: its signals differ in format or are not listed together"),
    "infinite gain": (_replace("1000/mV", "1e999/mV"), "has a gain or baseline that is no finite number"),
    "gain of words": (_replace("1000/mV", "thousand"), "as 'thousand 16 0"),
    "comma in the gain": (_replace("1000/mV", "1,000/mV"), "lacks I"),
    "upper-case exponent": (_replace("1000/mV", "1E3/mV"), "which is not WFDB's form"),
    "a field missing": (_replace("1000/mV 16 ", "1000/mV "), "which is not WFDB's form"),
    "no lead names": (_drop_names, "lacks I"),
    "reversed lead": (_replace(" aVR", " -aVR"), "has -aVR, which is the reverse of aVR"),
    "reversed lead, another minus": (
        _replace(" aVR", " \u2212aVR"),
        "has \u2212aVR, which is the reverse of aVR",
    ),
    "units that contradict": (_replace(" V1", " V1 (uV)"), "has the unit uV in the name of a lead, and mV as well"),
    "modified lead": (_replace(" II\n", " MLII\n"), "leads: has 11 of the 12 standard leads, lacks II"),
    "a lead twice": (_replace(" V5", " v6"), "has lead V6 twice"),
    "no FLAC": (_replace("16+24", "516"), "the wfdb package cannot read it"),
}


def damaged(folder: Path, write_wfdb: Write, how: str) -> tuple[Path, str]:
    damage, reason = DAMAGES[how]
    header = write_wfdb(folder / "records" / "bad.hea", samples())
    damage(header)
    return header, reason


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_record_is_refused_in_one_line(tmp_path: Path, write_wfdb: Write, how: str) -> None:
    header, reason = damaged(tmp_path, write_wfdb, how)
    with pytest.raises(UnreadableRecordingError) as raised:
        read_wfdb(header)
    assert reason in raised.value.reason
    assert "\n" not in str(raised.value)
    assert str(raised.value) == f"{header}: {raised.value.reason}"


@pytest.mark.parametrize("how", UNOPENED)
def test_nothing_is_opened_or_allocated_before_the_header_is_checked(
    tmp_path: Path, write_wfdb: Write, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    header, _ = damaged(tmp_path, write_wfdb, how)
    opened: list[object] = []
    monkeypatch.setattr(wfdb, "rdrecord", lambda *arguments, **_: opened.append(arguments))
    monkeypatch.setattr(np, "fromfile", lambda *arguments, **_: opened.append(arguments))
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableRecordingError):
            read_wfdb(header)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
    assert opened == []


def test_a_file_that_may_not_be_read_is_refused(
    tmp_path: Path, write_wfdb: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    header = write_wfdb(tmp_path / "a.hea", samples())
    monkeypatch.setattr(np, "fromfile", refuse)
    with pytest.raises(UnreadableRecordingError, match=r"a\.mat cannot be read .*Permission denied"):
        read_wfdb(header)


@pytest.mark.parametrize("name", ["a.txt", "a", "a.hea.gz"])
def test_only_headers_are_taken(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnreadableRecordingError, match="is not the path of a WFDB header"):
        read_wfdb(tmp_path / name)


@pytest.mark.parametrize(
    ("comment", "patient"),
    [
        ("# patient 1", "1"),
        ("# Subject 5", "5"),
        ("# Patient No. P7", "P7"),
        ("# patient-id = 7", "7"),
        ("# Patient Number: 12", "12"),
        ("# subject refused", ""),
        ("# patient: unknown", ""),
        ("# patient age: 12", ""),
    ],
)
def test_patients_in_comments(tmp_path: Path, write_wfdb: Write, comment: str, patient: str) -> None:
    assert read_wfdb(write_wfdb(tmp_path / "a.hea", samples(), comments=[comment])).patient == patient


def test_a_link_to_samples_elsewhere_is_refused_with_the_option_that_follows_it(
    tmp_path: Path, write_wfdb: Write
) -> None:
    header = write_wfdb(tmp_path / "in/a.hea", samples())
    (tmp_path / "in/a.mat").rename(tmp_path / "key.mat")
    (tmp_path / "in/a.mat").symlink_to(tmp_path / "key.mat")
    with pytest.raises(UnreadableRecordingError, match=r"a\.mat.*--follow-links"):
        read_wfdb(header)
    assert read_wfdb(header, follow_links=True).signals_mv.shape == (len(samples()), 12)
