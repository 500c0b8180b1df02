"""Reading one WFDB record: its header is checked, then its samples are read by NumPy alone or by the wfdb package."""

import os
import re
from pathlib import Path
from typing import Final

import numpy as np

from ecg_advmask.formats import (
    Recording,
    UnreadableRecordingError,
    lead_columns,
    millivolts_in,
    one_line,
    parse_age,
    parse_sex,
    positive_rate,
)
from ecg_advmask.wfdb_header import Header, read_header
from ecg_advmask.wfdb_plain import Samples, check_sums, read_plain

_FIELDS = re.compile(  # ADC gain, baseline, unit, resolution, zero, first sample, checksum, block size, description
    r"[+-]?(\d{1,18}\.?\d{0,18}|\.\d{1,18})(e[+-]?\d{1,2})?(\(-?\d*\))?(/\S*)?[ \t]+\d+([ \t]+-?\d+){4}[ \t]+\S.*",
    re.ASCII,
)
_NO_CODE: Final = {"unknown", "nan", "none"}


def read_wfdb(header_path: str | os.PathLike[str], *, rebuild_leads: bool = False) -> Recording:
    """Read a single-segment WFDB record by its header (``.hea``).

    The twelve leads are taken by name, whatever their order and case; others, such as the Frank leads of PTB, are left
    aside. With ``rebuild_leads`` a record may lack limb leads that follow from the others. Gains, baselines and missing
    samples are those of WFDB (a gain of 0 or none is 200 units per millivolt); the checksums that the header states
    must hold. A record with several samples a frame is taken at the rate of its samples, which must be one for all of
    these leads.

    Age, sex and codes come from the header's comments (``# Age: 84``, ``#Sex: F``, ``# Dx: 1,2``, ``#<age>: 51 <sex>:
    F``). What `parse_age` and `parse_sex` do not accept is unknown; codes come as found, each once.

    Raises:
        UnreadableRecordingError: the header or a signal file is missing, cut short, damaged or malformed, names
            anything but files beside it, lacks a lead, or states a unit that is no voltage or a sampling rate, number
            of samples or duration that cannot be (`read_header` says which).
    """
    path = Path(header_path).absolute()
    if path.suffix != ".hea":
        raise UnreadableRecordingError(header_path, "is not the path of a WFDB header (*.hea)")
    header = read_header(path)
    samples = read_plain(header, rebuild_leads=rebuild_leads) or _read_by_package(header, rebuild_leads)
    told = _comments(header.comments)
    codes = re.split(r"[\s,]+", told.get("dx", ""))
    return Recording(
        record_id=path.stem,
        signals_mv=samples.signals_mv,
        sampling_rate_hz=positive_rate(header.frame_rate_hz * samples.per_frame, header_path),
        age_years=parse_age(told.get("age", "")),
        sex=parse_sex(told.get("sex", "")),
        codes=tuple(dict.fromkeys(code for code in codes if code and code.lower() not in _NO_CODE)),
        file=os.fspath(header_path),
        rebuilt=samples.rebuilt,
    )


def _read_by_package(header: Header, rebuild_leads: bool = False) -> Samples:
    """Samples of the twelve leads by the wfdb package."""
    if "::" in str(header.path):  # a double colon has a meaning of its own to the package
        header.refuse("has a double colon in its path, rename the folder")
    skewed = any(signal.skew for signal in header.signals)
    if skewed and any(signal.samples_per_frame > 1 for signal in header.signals):
        header.refuse("is skewed with several samples a frame, which the wfdb package misreads, align it first")
    # The package fails to give the samples of format 61 as they are stored; its checksums are not looked at.
    stored = not any(signal.signal_format == "61" for signal in header.signals)
    try:
        import wfdb

        record = wfdb.rdrecord(str(header.path.with_suffix("")), physical=not stored, smooth_frames=False)
        sums = [int(np.sum(values, dtype=np.int64)) for values in record.e_d_signal or ()]
        if stored:
            record.dac(expanded=True, inplace=True)
        layout = list(zip(record.fmt, record.samps_per_frame, record.skew, record.byte_offset, strict=True))
        scales = np.array([record.adc_gain, record.baseline], dtype=np.float64)
    except Exception as error:  # the package raises exceptions of many kinds on damaged files
        raise UnreadableRecordingError(header.path, f"the wfdb package cannot read it ({one_line(error)})") from error
    expected = [
        (signal.signal_format, signal.samples_per_frame, signal.skew, signal.offset) for signal in header.signals
    ]
    found = [(code, count, skew or 0, offset or 0) for code, count, skew, offset in layout]
    if (record.fs, record.sig_len, found) != (header.frame_rate_hz, header.frames, expected):
        header.refuse("has a header that the wfdb package misreads, write it in the usual form")
    if not np.isfinite(scales).all():
        header.refuse("has a gain or baseline that is no finite number")
    leads = lead_columns(record.sig_name, header.path, rebuild=rebuild_leads)
    columns = leads.columns
    for column in columns:  # where a field is missing or malformed, the package takes the next one for it
        if not _FIELDS.fullmatch(header.signals[column].fields):
            header.refuse(f"describes a signal as {header.signals[column].fields[:80]!r}, which is not WFDB's form")
    (samples_per_frame, *others) = {record.samps_per_frame[column] for column in columns}
    if others:
        header.refuse("has leads of different sampling rates, resample them to one first")
    if stored and not skewed:  # a shifted signal has lost the samples at its beginning
        stated = [record.checksum[column] for column in columns]
        check_sums(
            header, [record.sig_name[column] for column in columns], [sums[column] for column in columns], stated
        )
    factors = [millivolts_in(record.units[column], header.path) for column in columns]
    with np.errstate(over="ignore"):
        values = np.stack([record.e_p_signal[column] for column in columns], axis=-1) * factors
        return Samples(leads.twelve(values.astype(np.float32)), leads.rebuilt, samples_per_frame)


def _comments(lines: tuple[str, ...]) -> dict[str, str]:
    """Values in the comments of a header by their keys in lower case; tags in angle brackets may share a line."""
    told: dict[str, str] = {}
    for line in lines:
        for key, value in re.findall(r"<([^<>]+)>:?([^<]*)", line) or [line.lstrip("# \t").partition(":")[::2]]:
            told[key.strip().lower()] = value.strip()
    return told
