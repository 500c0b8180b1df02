"""European Data Format: EDF (Kemp et al. 1992, Electroenceph. Clin. Neurophysiol. 82:391-393) and EDF+ (2003).

A header of ASCII text, then data records of little-endian 16-bit numbers, one signal after the other. The value of a
number follows from the physical and digital limits of its signal. The format has no checksum.
"""

import re
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ecg_advmask.ecg.hospital.waveform import (
    Floats,
    RefusedError,
    Waveform,
    age_between,
    millivolts_of,
    number_in,
    one_of,
    patient_id,
    whole_number_in,
)
from ecg_advmask.ecg.leads import standard_lead
from ecg_advmask.ecg.recording import parse_sex

_FIELDS: Final = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
"""Characters of label, transducer, unit, physical minimum and maximum, digital minimum and maximum, filters, samples in
a data record, and a reserved field, each for all signals before the next."""

_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


class _Signal(NamedTuple):
    label: str
    unit: str
    physical: tuple[float, float]
    digital: tuple[float, float]
    samples: int
    start: int


def read_edf(content: bytes) -> Waveform:
    """The standard leads of an EDF or EDF+ file; other signals, such as annotations, are ignored.

    Raises:
        RefusedError: the header is malformed, the file is longer or shorter than it states, the recording has gaps
            (EDF+D), or the leads differ in their sampling rates.
    """
    header = content[:256].decode("latin-1")  # ASCII by the standard, but names and the micro sign break it
    count = whole_number_in(header[252:256], "number of signals")
    names = content[256 : 256 * (count + 1)].decode("latin-1")
    if whole_number_in(header[184:192], "size of its header") != 256 * (count + 1) or len(names) != 256 * count:
        raise RefusedError(f"states another size of its header than that of {count} signals")
    if re.search(r"[\x01-\x1f\x7f]", header + names):
        raise RefusedError("holds control characters in its header, it is damaged")
    kind = header[192:197]
    if kind == "EDF+D":
        raise RefusedError("has gaps (EDF+D), cut it into continuous recordings")
    signals = _signals(names, count)
    records, record_s = header[236:244], number_in(header[244:252], "duration of a data record")
    record_samples = sum(signal.samples for signal in signals)
    stated = 256 * (count + 1) + 2 * whole_number_in(records, "number of data records") * record_samples
    if len(content) != stated or record_samples == 0:
        raise RefusedError(f"has {len(content)} bytes, states {stated}")
    leads = [signal for signal in signals if standard_lead(signal.label) is not None]
    if not leads:
        raise RefusedError("holds none of the 12 standard leads")
    if record_s <= 0:
        raise RefusedError("states a duration of a data record that is not positive")
    samples = int(one_of([signal.samples for signal in leads], "sampling rate"))
    units = np.frombuffer(content, "<i2", offset=256 * (count + 1)).reshape(-1, record_samples)
    columns = [_millivolts(signal, units[:, signal.start : signal.start + samples].ravel()) for signal in leads]
    patient, sex, age_years = _person(header) if kind == "EDF+C" else ("", "", None)
    return Waveform(
        leads=[signal.label for signal in leads],
        signals_mv=np.stack(columns, axis=-1),
        sampling_rate_hz=float(f"{samples / record_s:.9g}"),
        patient=patient_id(patient),
        age_years=age_years,
        sex=parse_sex(sex),
    )


def _signals(names: str, count: int) -> list[_Signal]:
    columns, start = [], 0
    for width in _FIELDS:
        columns.append([names[start + width * signal :][:width].strip() for signal in range(count)])
        start += width * count
    signals, start = [], 0
    for label, _, unit, low, high, digital_low, digital_high, _, samples, _ in zip(*columns, strict=True):
        limits = [number_in(text, "limits of a signal") for text in (low, high, digital_low, digital_high)]
        size = whole_number_in(samples, "number of samples")
        signals.append(_Signal(label, unit, (limits[0], limits[1]), (limits[2], limits[3]), size, start))
        start += size
    return signals


def _millivolts(signal: _Signal, units: npt.NDArray[np.int16]) -> Floats:
    (low, high), (digital_low, digital_high) = signal.physical, signal.digital
    if digital_low >= digital_high or low == high or digital_low < -(2**15) or digital_high >= 2**15:
        raise RefusedError("states limits of a lead from which no value follows")
    if units.min() < digital_low - 1 or units.max() > digital_high + 1:  # -32768 occurs where -32767 is stated
        raise RefusedError("holds samples beyond the digital limits that it states")
    scale = (high - low) / (digital_high - digital_low)
    return ((units - digital_low) * scale + low) * millivolts_of(signal.unit)


def _person(header: str) -> tuple[str, str, float | None]:
    """Id, sex and age from the identification of EDF+: code, sex, birth date, name; X stands for unknown.

    The date of the recording is stated twice; where the two differ, the age is unknown.
    """
    code, sex, birth, *_ = [*header[8:88].split(), "", "", ""]
    recorded = re.match(r"Startdate (\S+)", header[88:168])
    date = _numeric_date(recorded[1]) if recorded else ""
    is_sure = date[2:] == "".join(reversed(header[168:176].split(".")))  # of dd.mm.yy
    return "" if code == "X" else code, sex, age_between(_numeric_date(birth), date) if is_sure else None


def _numeric_date(text: str) -> str:
    """``YYYYMMDD`` from ``DD-MMM-YYYY``; empty if it is not that."""
    match = re.fullmatch(r"(\d\d)-([A-Z]{3})-(\d{4})", text.upper(), re.ASCII)
    return f"{match[3]}{_MONTHS.index(match[2]) + 1:02d}{match[1]}" if match and match[2] in _MONTHS else ""
