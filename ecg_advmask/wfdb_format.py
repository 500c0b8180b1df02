"""Reading one WFDB record by the wfdb package, after checking that its header refers to nothing but files beside it."""

import os
import re
from collections import Counter
from pathlib import Path
from typing import Final

import numpy as np

from ecg_advmask.errors import InputError
from ecg_advmask.files import inside
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

BYTES_PER_SAMPLE: Final = {"8": 1, "16": 2, "24": 3, "32": 4, "61": 2, "80": 1, "160": 2, "212": 1.5}
"""By WFDB signal format; formats that are not listed are compressed or rare, and taken to need almost none."""


def read_wfdb(header_path: str | os.PathLike[str]) -> Recording:
    """Read a single-segment WFDB record by its header (``.hea``).

    The twelve leads are taken by name, whatever their order and case; others are left aside. Age, sex and codes come
    from the header's comments (``# Age: 84``, ``#Sex: F``, ``# Dx: 1,2``); an age outside 0..120 is unknown (PTB-XL
    writes 300 for everyone above 89).

    Raises:
        UnreadableRecordingError: the header or its signal file is missing, cut short or malformed, names a file
            outside its folder, lacks a lead, or states a unit that is no voltage.
    """
    header = Path(header_path).absolute()
    _check_header(header)
    try:
        import wfdb

        record = wfdb.rdrecord(str(header.with_suffix("")), physical=True)
        signals = np.asarray(record.p_signal, dtype=np.float64)
    except Exception as error:  # the package raises exceptions of many kinds on damaged files
        raise UnreadableRecordingError(header_path, f"the wfdb package cannot read it ({one_line(error)})") from error
    if signals.ndim != 2 or len(signals) == 0:
        raise UnreadableRecordingError(header_path, "holds no samples")
    columns = lead_columns(record.sig_name, header_path)
    factors = [millivolts_in(record.units[column], header_path) for column in columns]
    told = dict(_comment(line) for line in record.comments)
    return Recording(
        record_id=header.stem,
        signals_mv=(signals[:, columns] * factors).astype(np.float32),
        sampling_rate_hz=positive_rate(record.fs, header_path),
        age_years=parse_age(told.get("age", "")),
        sex=parse_sex(told.get("sex", "")),
        codes=tuple(code for code in told.get("dx", "").replace(",", " ").split() if code.lower() != "unknown"),
        file=os.fspath(header_path),
    )


def _check_header(header: Path) -> None:
    """Refuse, before any file is opened by its name, a header that refers to anything but whole files beside it."""
    if header.suffix != ".hea" or "::" in str(header):  # a double colon has a meaning of its own to the wfdb package
        raise UnreadableRecordingError(header, "is not the path of a WFDB header (*.hea)")
    try:
        text = header.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UnreadableRecordingError(header, f"cannot be read ({error.strerror})") from error
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not all(line.isascii() for line in lines):
        raise UnreadableRecordingError(header, "is not a WFDB header in ASCII (a micro sign is written u)")
    words = [line.split() for line in lines]
    if not words or min(len(line) for line in words) < 2:
        raise UnreadableRecordingError(
            header, "is not a WFDB header (one line for the record, then one for each signal)"
        )
    if "/" in words[0][0]:
        raise UnreadableRecordingError(header, "is a multi-segment record, join its segments first")
    samples = int(words[0][3]) if len(words[0]) > 3 and words[0][3].isdigit() else 0
    bytes_due: Counter[str] = Counter()
    for name, signal_format, *_ in words[1:]:
        (code,) = re.findall(r"^\d*", signal_format)
        bytes_due[name] += int(samples * BYTES_PER_SAMPLE.get(code, 0.001))
    for name, due in bytes_due.items():
        try:
            file = inside(header.parent, name)
        except (InputError, ValueError) as error:
            raise UnreadableRecordingError(header, f"names {name!r}, which is not a file beside it") from error
        if not file.is_file():
            raise UnreadableRecordingError(header, f"names {name}, which does not exist")
        if file.stat().st_size < due:
            raise UnreadableRecordingError(
                header, f"{name} is cut short, it has {file.stat().st_size} bytes of at least {due}, fetch it again"
            )


def _comment(line: str) -> tuple[str, str]:
    key, _, value = line.partition(":")
    return key.strip(" #<>\t").lower(), value.strip()
