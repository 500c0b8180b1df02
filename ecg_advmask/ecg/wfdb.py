"""Reading one WFDB record: its header is checked, then its samples are read by NumPy alone or by the wfdb package."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from ecg_advmask.ecg.leads import AS_NAMED, LeadNames
from ecg_advmask.ecg.recording import (
    Recording,
    UnreadableRecordingError,
    check_samples,
    column_factors,
    is_missing,
    lead_columns,
    means_patient,
    one_line,
    parse_age,
    parse_patient,
    parse_sex,
    positive_rate,
)
from ecg_advmask.ecg.signals import FloatSignals
from ecg_advmask.ecg.wfdb_header import Header, Segments, read_any_header, read_header

# ---- The plain form of WFDB records, read without the wfdb package: one signal file of 16-bit samples, whole numbers.
#
# All eight sources of PhysioNet/CinC 2021 and LUDB have it. It is not another reader of WFDB: a header that departs in
# anything from this form is left to the wfdb package, which takes several times as long.

MISSING: Final = -32768
"""The sample of format 16 that stands for a missing one."""

_PLAIN_FIELDS = (
    re.compile(  # ADC gain, baseline, unit, resolution, zero, first sample, checksum, block size, description
        r"(?P<gain>\d{1,9}(?:\.\d{0,9})?)(?:\((?P<baseline>-?\d{1,9})\))?(?:/(?P<unit>[A-Za-zµμ]+))?"
        r"[ \t]+\d{1,9}[ \t]+(?P<zero>-?\d{1,9})[ \t]+-?\d{1,9}[ \t]+(?P<checksum>-?\d{1,9})[ \t]+\d{1,9}"
        r"[ \t]+(?P<lead>\S.*)",
        re.ASCII,
    )
)


class Samples(NamedTuple):
    """What a signal file gives: (T, 12) float32 in millivolts, NaN where missing.

    ``per_frame`` is their number in a frame, ``rebuilt`` the leads that are not in the file.
    """

    signals_mv: FloatSignals
    rebuilt: tuple[str, ...]
    per_frame: int = 1


def read_plain(header: Header, *, names: LeadNames = AS_NAMED, rebuild_leads: bool = False) -> Samples | None:
    """Samples of the twelve leads; None if the form is another.

    The values are those that the wfdb package gives, to the last bit: sample less baseline, by gain, in float64. A
    baseline that is not stated is the ADC zero, a unit that is not stated the millivolt.

    Raises:
        UnreadableRecordingError: a lead is missing, a unit is no voltage, a checksum does not hold, or the signal file
            cannot be read.
    """
    first, count = header.signals[0], len(header.signals)
    for signal in header.signals:
        layout = (signal.file, signal.signal_format, signal.samples_per_frame, signal.skew)
        if layout != (first.file, "16", 1, 0):
            return None
    found = (_PLAIN_FIELDS.fullmatch(signal.fields) for signal in header.signals)
    matches = [match for match in found if match and float(match["gain"]) > 0]
    if len(matches) < count:
        return None
    leads = lead_columns([match["lead"] for match in matches], header.path, rebuild=rebuild_leads, leads=names)
    columns = list(leads.columns)
    matches = [matches[column] for column in columns]
    factors = column_factors(leads, [match["unit"] or "mV" for match in matches], "mV", header.path)
    try:
        samples = np.fromfile(first.file, "<i2", header.frames * count, offset=first.offset)
        samples = samples.reshape(header.frames, count)[:, columns]
    except (OSError, ValueError) as error:  # the file was replaced since its size was looked at, or may not be read
        raise UnreadableRecordingError(header.path, f"{first.file.name} cannot be read ({error})") from error
    values = samples.astype(np.float64)
    sums = [int(value) for value in np.ones(len(values)) @ values]  # exact below 2**53, and quicker than in integers
    check_sums(header, [match["lead"] for match in matches], sums, [int(match["checksum"]) for match in matches])

    values -= _scalar_if_equal([int(match["baseline"] or match["zero"]) for match in matches])
    values /= _scalar_if_equal([float(match["gain"]) for match in matches])
    values *= factors
    signals_mv = values.astype(np.float32)
    signals_mv[samples == MISSING] = np.nan
    return Samples(leads.to_twelve_leads(signals_mv), leads.rebuilt)


def _scalar_if_equal(values: Sequence[float]) -> float | Sequence[float]:
    """One number for all leads where it is the same for all, since NumPy is several times as quick with it."""
    return values[0] if len(set(values)) == 1 else values


def check_sums(header: Header, leads: Sequence[str], sums: Sequence[int], stated: Sequence[int | None]) -> None:
    """Compare the sum of the samples of each lead with the checksum in the header, which is its lowest 16 bits.

    The checksums of all recordings of CinC 2021 and LUDB that this was tested on hold. Many tools write 0 for lack of a
    sum, so 0 is taken for none. The first sample, also in the header, would add no information.

    Raises:
        UnreadableRecordingError: they differ.
    """
    for lead, found, checksum in zip(leads, sums, stated, strict=True):
        if checksum and (found - checksum) % 65536:
            header.refuse(
                f"the checksum of {lead} does not hold, its signal file is damaged or another's, fetch it again"
            )


_FIELDS = re.compile(  # ADC gain, baseline, unit, resolution, zero, first sample, checksum, block size, description
    r"[+-]?(\d{1,18}\.?\d{0,18}|\.\d{1,18})(e[+-]?\d{1,2})?(\(-?\d*\))?(?:/(?P<unit>\S*))?[ \t]+\d+([ \t]+-?\d+){4}"
    r"[ \t]+(?P<lead>\S.*)",
    re.ASCII,
)
_PATIENT_NUMBER: Final = re.compile(
    r"#[ \t]*(?:patient|subject|participant)[ \t]+(?:(?:no\.?|nr\.?|number|id)[ \t]+)?#?(\w*\d\w*)[ \t]*",
    re.ASCII | re.IGNORECASE,
)


def read_wfdb(
    header_path: str | os.PathLike[str],
    *,
    leads: LeadNames = AS_NAMED,
    rebuild_leads: bool = False,
    follow_links: bool = False,
) -> Recording:
    """Read a WFDB record by its header (``.hea``).

    The twelve leads are taken by name, whatever their order and case; others, such as the Frank leads of PTB, are
    ignored. Segments of a record of several are joined, a gap between them is missing. ``leads`` gives leads to other
    names; with ``rebuild_leads`` a record may lack limb leads that follow from the others; with ``follow_links`` a
    signal file may be a link that leads out of the header's folder. Gains, baselines and missing
    samples are those of WFDB (a gain of 0 or none is 200 units per millivolt); the checksums that the header states
    must hold. A record with several samples a frame is taken at the rate of its samples, which must be one for all of
    these leads.

    Age, sex and codes come from the header's comments (``# Age: 84``, ``#Sex: F``, ``# Dx: 1,2``, ``#<age>: 51 <sex>:
    F``; ``Gender`` is the sex), the patient from a key such as ``<subject_id>`` (MIMIC-IV-ECG) or from ``# patient 1``
    (INCART). What
    `parse_age` and `parse_sex` do not accept is unknown; codes come as found, each once.

    Raises:
        UnreadableRecordingError: the header or a signal file is missing, cut short, damaged or malformed, names
            anything but files beside it, lacks a lead, or states a unit that is no voltage or a sampling rate, number
            of samples or duration that cannot be (`read_header` says which).
    """
    path = Path(header_path).absolute()
    if path.suffix != ".hea":
        raise UnreadableRecordingError(header_path, "is not the path of a WFDB header (*.hea)")
    header = read_any_header(path, follow_links=follow_links)
    samples = (
        _joined(header, leads, rebuild_leads, follow_links)
        if isinstance(header, Segments)
        else _samples(header, leads, rebuild_leads)
    )
    stated = _comments(header.comments)
    codes = re.split(r"[\s,;|'\"\[\]]+", stated.get("dx", ""))
    return Recording(
        record_id=path.stem,
        signals_mv=samples.signals_mv,
        sampling_rate_hz=positive_rate(header.frame_rate_hz * samples.per_frame, header_path),
        patient=_patient(stated, header.comments),
        age_years=parse_age(stated.get("age", "")),
        sex=parse_sex(stated.get("sex", "") or stated.get("gender", "")),
        codes=tuple(dict.fromkeys(code for code in codes if not is_missing(code))),
        file=os.fspath(header_path),
        rebuilt=samples.rebuilt,
    )


def _samples(header: Header, names: LeadNames, rebuild_leads: bool) -> Samples:
    plain = read_plain(header, names=names, rebuild_leads=rebuild_leads)
    return plain or _read_by_package(header, names, rebuild_leads)


def _joined(record: Segments, names: LeadNames, rebuild_leads: bool, follow_links: bool) -> Samples:
    """Samples of all segments, one after the other."""
    check_samples(12 * sum(record.frames), record.path)
    pieces: list[Samples | None] = []
    for path, frames in zip(record.headers, record.frames, strict=True):
        header = None if path is None else read_header(path, follow_links=follow_links)
        if header is not None and (header.frames, header.frame_rate_hz) != (frames, record.frame_rate_hz):
            header.refuse(f"is not the segment that {record.path.name} announces, its length or rate differs")
        pieces.append(None if header is None else _samples(header, names, rebuild_leads))
    forms = {(piece.rebuilt, piece.per_frame) for piece in pieces if piece is not None}
    if len(forms) != 1:
        raise UnreadableRecordingError(record.path, "has segments of different signals, give the segments instead")
    ((rebuilt, per_frame),) = forms
    joined = [
        np.full((frames * per_frame, 12), np.nan, np.float32) if piece is None else piece.signals_mv
        for frames, piece in zip(record.frames, pieces, strict=True)
    ]
    return Samples(np.concatenate(joined), rebuilt, per_frame)


def _patient(stated: Mapping[str, str], comments: Sequence[str]) -> str:
    """Whose recording it is, by the comments; empty where they do not state it."""
    named = [parse_patient(value) for key, value in stated.items() if means_patient(key)]
    numbered = [match[1] for line in comments if (match := _PATIENT_NUMBER.fullmatch(line))]
    return next(filter(None, named + numbered), "")


def _read_by_package(header: Header, names: LeadNames = AS_NAMED, rebuild_leads: bool = False) -> Samples:
    """Samples of the twelve leads by the wfdb package."""
    if "::" in str(header.path):  # a double colon has a meaning of its own to the package
        header.refuse("has a double colon in its path, rename the folder")
    if any(" " in signal.file.name for signal in header.signals):
        header.refuse("has a blank in the name of a signal file, rename it")
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
    # Names and units as the header has them: the package drops letters that are not ASCII, so that -aVR and µV may
    # become aVR and V.
    fields = [_FIELDS.fullmatch(signal.fields) for signal in header.signals]
    described = [match["lead"] if match else name for match, name in zip(fields, record.sig_name, strict=True)]
    leads = lead_columns(described, header.path, rebuild=rebuild_leads, leads=names)
    columns = leads.columns
    found_fields = {column: match for column, match in enumerate(fields) if match}
    for column in range(len(fields)) if leads.rebuilt else columns:  # what is malformed is not to be rebuilt
        if column not in found_fields:  # where a field is missing or malformed, the package takes the next one for it
            header.refuse(f"describes a signal as {header.signals[column].fields[:80]!r}, which is not WFDB's form")
    units = [found_fields[column]["unit"] or "mV" for column in columns]
    (samples_per_frame, *others) = {record.samps_per_frame[column] for column in columns}
    if others:
        header.refuse("has leads of different sampling rates, resample them to one first")
    if stored and not skewed:  # a shifted signal has lost the samples at its beginning
        stated = [record.checksum[column] for column in columns]
        check_sums(
            header, [record.sig_name[column] for column in columns], [sums[column] for column in columns], stated
        )
    factors = column_factors(leads, units, "mV", header.path)
    with np.errstate(over="ignore"):
        values = np.stack([record.e_p_signal[column] for column in columns], axis=-1) * factors
        return Samples(leads.to_twelve_leads(values.astype(np.float32)), leads.rebuilt, samples_per_frame)


def _comments(lines: tuple[str, ...]) -> dict[str, str]:
    """Values in the comments of a header by their keys in lower case, without what is in brackets (``Age (years)``).

    A colon or an equals sign parts the two; tags in angle brackets may share a line.
    """
    stated: dict[str, str] = {}
    for line in lines:
        plain = re.match(r"[#\s]*([^:=]*)[:=]?(.*)", line)
        for key, value in re.findall(r"<([^<>]+)>:?([^<]*)", line) or (plain.groups(),) if plain else ():
            stated[re.sub(r"\(.*?\)", "", key).strip().lower()] = value.strip()
    return stated
