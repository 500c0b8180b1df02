"""The file formats of the eight sources of CinC 2021, which generated recordings imitate.

In: the place of a recording in a generated archive. Out: its source, its number there, its length, its header's form.
The forms of headers are those of real files; for INCART, of which none was at hand, that of PTB is taken.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.synthetic.recording import GeneratedRecording
from ecg_advmask.synthetic.subject import Subject, electrical_axis_deg, qrs_duration_s

OLD_DATE: Final = "12-May-2020 12:00:00"
"""The first line of older headers ends in the time of conversion, in a form that the WFDB standard does not know."""


@dataclass(frozen=True)
class Source:
    """One source of the Challenge.

    ``record`` is the form of its record names, ``first`` the number of its first one, ``share`` how many of a hundred
    generated recordings it has. A recording takes ``shortest_s``, and longer by chance, by
    ``mean_excess_s`` in the mean, but at most ``longest_s``. ``old_header`` is the form of 2020: a date, ``#Dx:``
    without a space, no baseline. Age is ``NaN`` in every ``no_age_every``-th header, 300 above ``oldest_years``, and
    the line for symptoms and surgery (Sx) is absent where ``has_sx`` is false.
    """

    name: str
    record: str
    share: int
    first: int = 1
    sampling_rate_hz: int = 500
    shortest_s: float = 10.0
    mean_excess_s: float = 0.0
    longest_s: float = 10.0
    old_header: bool = True
    unit: str = "mV"
    no_age_every: int = 0
    oldest_years: int = 120
    has_sx: bool = True

    def record_name(self, rank: int) -> str:
        """Name of recording ``rank`` (from 0) of this source; it says that it was generated."""
        return "GENERATED_" + self.record.format(self.first + rank)

    def draw_duration_s(self, rng: np.random.Generator) -> float:
        """Length of a recording, in seconds."""
        return float(np.round(min(self.longest_s, self.shortest_s + rng.exponential(self.mean_excess_s)), 1))

    def age_text(self, age_years: int, rank: int) -> str:
        """Age as the header of recording ``rank`` gives it."""
        if self.no_age_every and rank % self.no_age_every == self.no_age_every - 1:
            return "NaN"
        return "300" if age_years > self.oldest_years else str(age_years)


SOURCES: Final = (
    Source("ptb-xl", "HR{:05d}", 28, old_header=False, oldest_years=89),
    Source("ningbo", "JS{:05d}", 36, first=10647, old_header=False),
    Source("georgia", "E{:05d}", 12, shortest_s=5.0, mean_excess_s=60.0, no_age_every=10, has_sx=False),
    Source("cpsc_2018", "A{:04d}", 8, shortest_s=6.0, mean_excess_s=9.0, longest_s=60.0),
    Source("cpsc_2018_extra", "Q{:04d}", 6, shortest_s=8.0, mean_excess_s=8.0, longest_s=60.0),
    Source("chapman_shaoxing", "JS{:05d}", 8),
    # Half an hour in reality; here long enough to be cut into windows and short enough to be written at once.
    Source(
        *("st_petersburg_incart", "I{:04d}", 1),
        sampling_rate_hz=257,
        shortest_s=75.0,
        longest_s=75.0,
        unit="mv",
        has_sx=False,
    ),
    Source(
        *("ptb", "S{:04d}", 1),
        sampling_rate_hz=1000,
        shortest_s=15.0,
        mean_excess_s=30.0,
        longest_s=120.0,
        unit="mv",
        has_sx=False,
    ),
)
"""The eight sources; the two with long recordings are rare, as they are in the Challenge."""

_CYCLE: Final = sorted(
    ((source, rank) for source in SOURCES for rank in range(source.share)),
    key=lambda place: (place[1] / place[0].share, SOURCES.index(place[0])),
)
"""Source and number within it of each recording of a cycle: first one of each source, then each as evenly as it can."""

_POSITION: Final = {(source.name, rank): position for position, (source, rank) in enumerate(_CYCLE)}


def place_of(index: int) -> tuple[Source, int]:
    """Source of recording ``index`` (from 0) of an archive, and which one of that source it is (from 0)."""
    cycles, position = divmod(index, len(_CYCLE))
    source, rank = _CYCLE[position]
    return source, cycles * source.share + rank


def index_of(source: Source, rank: int) -> int:
    """The inverse of `place_of`."""
    cycles, rank_in_cycle = divmod(rank, source.share)
    return cycles * len(_CYCLE) + _POSITION[source.name, rank_in_cycle]


# ---- One generated recording as files of the two archives that are imitated.
#
# In: a `GeneratedRecording` and its `Subject`. Out: a WFDB header with a MATLAB v4 matrix (PhysioNet/CinC Challenge
# 2021), or a CSV file and a row of the label table (Chapman-Shaoxing).

DIAGNOSTICS_COLUMNS: Final = (
    "FileName", "Rhythm", "Beat", "PatientAge", "DateofBirth", "Gender", "VentricularRate", "AtrialRate",
    "QRSDuration", "QTInterval", "QTCorrected", "RAxis", "TAxis", "QRSCount", "QOnset", "QOffset", "TOffset",
)  # fmt: skip
"""Columns of the label table of Chapman-Shaoxing, in their order."""

_MEDIAN_BEAT_ONSET: Final = 219
"""Where QRS begins in the median beat, in samples of 2 ms; the label table gives its other marks in the same count."""


class _Tenths(dict[int, str]):
    """The text of a number of tenths, formatted once: formatting took most of the time of a CSV file."""

    def __missing__(self, tenths: int) -> str:
        text = self[tenths] = f"{tenths / 10:g}"
        return text


_TENTHS: Final = _Tenths()


def write_cinc2021(
    folder: Path, record: str, subject: Subject, recording: GeneratedRecording, seed: int, *, source: Source, rank: int
) -> None:
    """``<record>.hea`` and ``<record>.mat``: int16 microvolts, 1000 units per millivolt, as in the Challenge.

    The matrix ``val`` (12, T) of a MATLAB v4 file is stored column by column after a header of 24 bytes, which makes it
    a WFDB signal file of format 16 with that offset. The header has the form that its source writes.
    """
    units = np.rint(recording.signals_mv * 1000).clip(-32767, 32767).astype("<i2")
    samples, leads = units.shape
    # Type 30 is little-endian int16; then rows, columns, no imaginary part, the length of the name with its zero byte.
    header = struct.pack("<5i4s", 30, leads, samples, 0, 4, b"val\0")
    (folder / f"{record}.mat").write_bytes(header + units.tobytes())

    checksums = units.sum(axis=0, dtype=np.int64).astype(np.int16)  # WFDB keeps the low 16 bits, with sign
    form = f"16+24 1000/{source.unit}" if source.old_header else f"16x1+24 1000.0(0)/{source.unit}"
    mark = "#" if source.old_header else "# "
    lines = [f"{record} {leads} {recording.sampling_rate_hz} {samples}{f' {OLD_DATE}' if source.old_header else ''}"]
    lines += [
        f"{record}.mat {form} 16 0 {first} {checksum} 0 {lead}"
        for lead, first, checksum in zip(STANDARD_LEADS, units[0], checksums, strict=True)
    ]
    lines += [
        f"{mark}Age: {source.age_text(subject.age_years, rank)}",
        f"{mark}Sex: {subject.sex.capitalize()}",
        f"{mark}Dx: {subject.rhythm.snomed}",
        *(f"{mark}{key}: Unknown" for key in (("Rx", "Hx", "Sx") if source.has_sx else ("Rx", "Hx"))),
        f"{mark}Generated by ecg-advmask synth, seed {seed}",
    ]
    (folder / f"{record}.hea").write_text("\n".join(lines) + "\n", encoding="ascii")


def write_chapman(folder: Path, record: str, recording: GeneratedRecording) -> None:
    """``<record>.csv``: microvolts to a tenth, no header row, one line per sample."""
    tenths = np.rint(recording.signals_mv.astype(np.float64) * 10_000).astype(np.int64)
    numbers = map(_TENTHS.__getitem__, tenths.ravel().tolist())
    lines = map(",".join, zip(*[numbers] * tenths.shape[1], strict=True))
    (folder / f"{record}.csv").write_text("\n".join(lines) + "\n", encoding="ascii")


def diagnostics_row(record: str, subject: Subject, recording: GeneratedRecording) -> dict[str, Any]:
    """The row of ``Diagnostics.xlsx``: rates per minute, durations in milliseconds, axes in degrees, marks in 2 ms."""
    qrs_ms, qt_ms = 1000 * qrs_duration_s(subject), 1000 * recording.qt_s
    bazett_ms = qt_ms / np.sqrt(60 / recording.heart_rate_bpm)
    values = (
        record,
        subject.rhythm.acronym,
        "NONE",
        subject.age_years,
        f"01-01-{2018 - subject.age_years}",
        subject.sex.upper(),
        round(recording.heart_rate_bpm),
        round(recording.atrial_rate_bpm),
        2 * round(qrs_ms / 2),
        2 * round(qt_ms / 2),
        round(bazett_ms),
        round(electrical_axis_deg(subject, "QRS")),
        round(electrical_axis_deg(subject, "T")),
        recording.r_peaks_s.size,
        _MEDIAN_BEAT_ONSET,
        _MEDIAN_BEAT_ONSET + round(qrs_ms / 2),
        _MEDIAN_BEAT_ONSET + round(qt_ms / 2),
    )
    return dict(zip(DIAGNOSTICS_COLUMNS, values, strict=True))


def write_diagnostics(path: Path, rows: Sequence[Mapping[str, Any]], seed: int) -> None:
    """``Diagnostics.xlsx``: the label table as first sheet; a second one, ``Generated``, says where it comes from."""
    from openpyxl import Workbook  # part of the extra [train]

    workbook = Workbook(write_only=True)
    sheet = workbook.create_sheet("Sheet1")
    sheet.append(DIAGNOSTICS_COLUMNS)
    for row in rows:
        sheet.append([row[column] for column in DIAGNOSTICS_COLUMNS])
    workbook.create_sheet("Generated").append([f"Generated by ecg-advmask synth, seed {seed}: no person was recorded"])
    workbook.save(path)
