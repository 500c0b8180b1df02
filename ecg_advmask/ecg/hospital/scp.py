"""SCP-ECG: EN 1064:2005 and ISO 11073-91064, versions 1 and 2 of the protocol.

A record is a CRC, its length, and sections; section 0 points to the others. Read are 1 (patient), 2 (Huffman tables),
3 (leads) and 6 (rhythm). All numbers are little-endian. Recordings from which an average beat was subtracted, or that
were thinned out between the beats (both for lossy compression), are refused.
"""

import binascii
import struct
from typing import Final, NamedTuple

import numpy as np

from ecg_advmask.ecg.hospital.scp_huffman import Table, decode_huffman, default_tables, parse_tables
from ecg_advmask.ecg.hospital.waveform import (
    SCP_LEADS,
    Counts,
    RefusedError,
    Waveform,
    age_between,
    age_from,
    patient_id,
    stacked,
)
from ecg_advmask.ecg.recording import Sex

_HEADER_BYTES: Final = 16
_AGE_UNITS: Final = {1: "years", 2: "months", 3: "weeks", 4: "days", 5: "hours"}
_SEXES: Final[dict[int, Sex]] = {1: "male", 2: "female"}
_LATIN: Final = "latin-1"


class _Lead(NamedTuple):
    first: int
    last: int
    code: int


def is_scp(content: bytes) -> bool:
    """Whether this begins as an SCP-ECG record: section 0, whose first pointer is its own."""
    return len(content) >= 32 and struct.unpack_from("<H12xHxxxxI", content, 8) == (0, 0, 7)


def read_scp(content: bytes) -> Waveform:
    """The rhythm recording of an SCP-ECG record.

    Raises:
        RefusedError: a CRC does not hold, the record is cut short, a section is missing or malformed, or the recording
            is compressed with loss.
    """
    sections = _sections(content)
    for number in (1, 3, 6):
        if number not in sections:
            raise RefusedError(f"lacks section {number}")
    try:
        tables = _tables(sections.get(2))
        leads, reference_beat = _leads(sections[3])
        tags = _tags(sections[1])
        if reference_beat:
            raise RefusedError("holds a recording without its average beat (lossy compression), export it without")
        samples = len(range(leads[0].first, leads[0].last + 1))
        if any((lead.first, lead.last) != leads[0][:2] for lead in leads):
            raise RefusedError("holds leads that were not recorded at the same time")
        nanovolts, interval_us, columns = _rhythm(sections[6], tables, len(leads), samples)
    except (struct.error, IndexError):
        raise RefusedError("holds a section that is cut short") from None
    return Waveform(
        leads=[SCP_LEADS.get(lead.code, f"code {lead.code}") for lead in leads],
        signals_mv=stacked(columns, samples) * (nanovolts / 1e6),
        sampling_rate_hz=float(f"{1e6 / interval_us:.9g}"),
        patient=patient_id(tags.get(2, b"").partition(b"\0")[0].decode(_LATIN)),
        age_years=_age_years(tags),
        sex=_SEXES.get(tags.get(8, b"\0")[0], ""),
        stores_eight=True,
    )


def _sections(content: bytes) -> dict[int, bytes]:
    """Bodies of the sections of a record by their number, after the checks of both kinds of CRC."""
    checksum, length = struct.unpack_from("<HI", content)
    if not 6 + _HEADER_BYTES <= length <= len(content):
        raise RefusedError(f"states a length of {length} bytes, has {len(content)}")
    if content[length:].strip(b"\0"):
        raise RefusedError(f"continues after the {length} bytes of its record")
    if binascii.crc_hqx(content[2:length], 0xFFFF) != checksum:
        raise RefusedError("holds a record whose CRC does not hold, export it again")
    pointers = _section(content[:length], 0, 7, struct.unpack_from("<I", content, 10)[0])
    sections = {}
    for number, size, index in struct.iter_unpack("<HII", pointers[: len(pointers) // 10 * 10]):
        if size == 0 or number == 0:  # a section that is not there, or this one
            continue
        if number in sections:
            raise RefusedError(f"points to section {number} twice")
        sections[number] = _section(content[:length], number, index, size)
    return sections


def _section(record: bytes, number: int, index: int, size: int) -> bytes:
    """Body of a section that begins at byte ``index``, counted from 1."""
    section = record[index - 1 : index - 1 + size]
    if index < 7 or len(section) != size or size < _HEADER_BYTES:
        raise RefusedError(f"points to a section {number} outside of the record")
    checksum, own_number, own_size = struct.unpack_from("<HHI", section)
    if (own_number, own_size) != (number, size):
        raise RefusedError(f"points to a section {number} that is another")
    if binascii.crc_hqx(section[2:], 0xFFFF) != checksum:
        raise RefusedError(f"holds a section {number} whose CRC does not hold, export it again")
    return section[_HEADER_BYTES:]


def _tables(section: bytes | None) -> list[Table] | None:
    """Huffman tables; None where samples are stored as they are."""
    if section is None:
        return None
    count = struct.unpack_from("<H", section)[0]
    return default_tables() if count == 19999 else parse_tables(section)


def _leads(section: bytes) -> tuple[list[_Lead], bool]:
    """The leads of section 3, and whether an average beat was subtracted from them."""
    count, flags = section[0], section[1]
    leads = [_Lead(*struct.unpack_from("<IIB", section, 2 + 9 * lead)) for lead in range(count)]
    if not leads or any(lead.last < lead.first or lead.first < 1 for lead in leads):
        raise RefusedError("holds no leads, or leads without samples")
    return leads, bool(flags & 1)


def _rhythm(section: bytes, tables: list[Table] | None, leads: int, samples: int) -> tuple[int, int, list[Counts]]:
    """Nanovolts per unit, microseconds per sample, and the units of each lead in section 6."""
    nanovolts, interval_us, differences, bimodal = struct.unpack_from("<HHBB", section)
    sizes = struct.unpack_from(f"<{leads}H", section, 6)
    if bimodal:
        raise RefusedError("holds a recording thinned out between the beats (lossy compression), export it without")
    if nanovolts == 0 or interval_us == 0 or differences > 2:
        raise RefusedError("does not state its resolution, sampling interval or way of storing")
    columns, start = [], 6 + 2 * leads
    for size in sizes:
        content = section[start : start + size]
        if len(content) != size:
            raise RefusedError("holds a lead that is cut short")
        if tables is not None:
            numbers = decode_huffman(content, samples, tables)
        elif size == 2 * samples:
            numbers = np.frombuffer(content, "<i2").astype(np.int64)
        else:
            raise RefusedError(f"states {samples} samples per lead, holds one of {size} bytes")
        columns.append(_undo_differences(numbers, differences))
        start += size
    return nanovolts, interval_us, columns


def _undo_differences(numbers: Counts, order: int) -> Counts:
    """Samples of 16 bits, as are their differences of an order; the first ``order`` of these are samples."""
    values = numbers.copy()
    if order == 1:
        values = np.cumsum(values)
    elif order == 2 and len(values) > 1:
        values[1] -= values[0]
        values[1:] = values[0] + np.cumsum(np.cumsum(values[1:]))
    return values.astype(np.int16).astype(np.int64)


def _tags(section: bytes) -> dict[int, bytes]:
    """Values of section 1 by their tags; the first of each."""
    tags: dict[int, bytes] = {}
    start = 0
    while start < len(section) and section[start] != 255:
        tag, size = struct.unpack_from("<BH", section, start)
        value = section[start + 3 : start + 3 + size]
        if len(value) != size:
            raise RefusedError("holds a description of the patient that is cut short")
        if value:
            tags.setdefault(tag, value)
        start += 3 + size
    return tags


def _age_years(tags: dict[int, bytes]) -> float | None:
    """The age that is stated (tag 4), else the one on the day of the recording (tags 5 and 25)."""
    if len(tags.get(4, b"")) == 3:
        age, unit = struct.unpack("<HB", tags[4])
        if unit in _AGE_UNITS:
            return age_from(str(age), _AGE_UNITS[unit])
    dates = ["{:04d}{:02d}{:02d}".format(*struct.unpack("<HBB", tags[tag])) if len(tags.get(tag, b"")) == 4 else ""
             for tag in (5, 25)]  # fmt: skip
    return age_between(*dates)
