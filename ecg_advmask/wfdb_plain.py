"""The plain form of WFDB records, read without the wfdb package: one signal file of 16-bit samples, whole numbers.

All eight sources of PhysioNet/CinC 2021 and LUDB have it. It is not another reader of WFDB: a header that departs in
anything from this form is left to the wfdb package, which takes several times as long.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from ecg_advmask.formats import UnreadableRecordingError, lead_columns, millivolts_in
from ecg_advmask.signals import FloatSignals
from ecg_advmask.wfdb_header import Header

MISSING: Final = -32768
"""The sample of format 16 that stands for a missing one."""

_FIELDS = re.compile(  # ADC gain, baseline, unit, resolution, zero, first sample, checksum, block size, description
    r"(?P<gain>\d{1,9}(?:\.\d{0,9})?)(?:\((?P<baseline>-?\d{1,9})\))?(?:/(?P<unit>[A-Za-z]+))?"
    r"[ \t]+\d{1,9}[ \t]+(?P<zero>-?\d{1,9})[ \t]+-?\d{1,9}[ \t]+(?P<checksum>-?\d{1,9})[ \t]+\d{1,9}"
    r"[ \t]+(?P<lead>\w[\w ]*)",
    re.ASCII,
)


class Samples(NamedTuple):
    """What a signal file gives: (T, 12) float32 in millivolts, NaN where missing.

    ``per_frame`` is their number in a frame, ``rebuilt`` the leads that are not in the file.
    """

    signals_mv: FloatSignals
    rebuilt: tuple[str, ...]
    per_frame: int = 1


def read_plain(header: Header, *, rebuild_leads: bool = False) -> Samples | None:
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
    matches = [_FIELDS.fullmatch(signal.fields) for signal in header.signals]
    told = [match for match in matches if match and float(match["gain"]) > 0]
    if len(told) < count:
        return None
    leads = lead_columns([match["lead"] for match in told], header.path, rebuild=rebuild_leads)
    columns = list(leads.columns)
    told = [told[column] for column in columns]
    factors = [millivolts_in(match["unit"] or "mV", header.path) for match in told]
    try:
        samples = np.fromfile(first.file, "<i2", header.frames * count, offset=first.offset)
        samples = samples.reshape(header.frames, count)[:, columns]
    except (OSError, ValueError) as error:  # the file was replaced since its size was looked at, or may not be read
        raise UnreadableRecordingError(header.path, f"{first.file.name} cannot be read ({error})") from error
    values = samples.astype(np.float64)
    sums = [int(value) for value in np.ones(len(values)) @ values]  # exact below 2**53, and quicker than in integers
    check_sums(header, [match["lead"] for match in told], sums, [int(match["checksum"]) for match in told])

    values -= _scalar_if_equal([int(match["baseline"] or match["zero"]) for match in told])
    values /= _scalar_if_equal([float(match["gain"]) for match in told])
    values *= _scalar_if_equal(factors)
    signals_mv = values.astype(np.float32)
    signals_mv[samples == MISSING] = np.nan
    return Samples(leads.twelve(signals_mv), leads.rebuilt)


def _scalar_if_equal(values: Sequence[float]) -> float | Sequence[float]:
    """One number for all leads where it is the same for all, since NumPy is several times as quick with it."""
    return values[0] if len(set(values)) == 1 else values


def check_sums(header: Header, leads: Sequence[str], sums: Sequence[int], stated: Sequence[int | None]) -> None:
    """Compare the sum of the samples of each lead with the checksum in the header, which is its lowest 16 bits.

    The checksums of all recordings of CinC 2021 and LUDB that this was tested on hold. Many tools write 0 for lack of a
    sum, so 0 is taken for none. The first sample, also in the header, would tell nothing more.

    Raises:
        UnreadableRecordingError: they differ.
    """
    for lead, found, checksum in zip(leads, sums, stated, strict=True):
        if checksum and (found - checksum) % 65536:
            header.refuse(
                f"the checksum of {lead} does not hold, its signal file is damaged or another's, fetch it again"
            )
