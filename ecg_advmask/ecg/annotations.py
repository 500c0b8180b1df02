"""P, QRS and T waves of a recording: annotations in seconds, and the part of the heart beat of each sample.

Marks come from cardiologists (`ecg_advmask.ecg.annotations`) or from a delineator
(`ecg_advmask.evaluate.masks.delineation`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import wfdb

from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.ecg.recording import UnreadableRecordingError

WaveName = Literal["P", "QRS", "T"]

PARTS: Final = ("P", "QRS", "T", "rest")
"""What a sample of known kind can be in; its place here is its code in `parts_at`."""
REST: Final = PARTS.index("rest")
UNKNOWN: Final = -1

_TOLERANCE_S: Final = 1e-6


class Wave(NamedTuple):
    """One wave; the times are seconds from the beginning of the recording, both within the wave."""

    name: WaveName
    onset_s: float
    end_s: float


@dataclass(frozen=True)
class WaveAnnotations:
    """What is marked in one lead of a recording.

    Attributes:
        waves: those whose onset and end are known, in order of time.
        first_s: where the marks begin; before it nothing is known.
        last_s: where the marks end; after it nothing is known.
        unclear_s: times of marks that delimit no wave. Between the waves before and after such a time nothing is known.
    """

    waves: tuple[Wave, ...]
    first_s: float
    last_s: float
    unclear_s: tuple[float, ...] = ()

    def later_by(self, seconds: float) -> "WaveAnnotations":
        """The same marks on a clock that was started so much earlier."""
        waves = tuple(Wave(wave.name, wave.onset_s + seconds, wave.end_s + seconds) for wave in self.waves)
        unclear_s = tuple(time + seconds for time in self.unclear_s)
        return WaveAnnotations(waves, self.first_s + seconds, self.last_s + seconds, unclear_s)


def parts_at(marks: WaveAnnotations, times_s: npt.NDArray[np.floating]) -> npt.NDArray[np.int8]:
    """What each sample is part of: its place in `PARTS`, or `UNKNOWN`; ``(L,)``.

    Where waves overlap, QRS overrides P, and P overrides T.

    Args:
        marks: the marks of one lead.
        times_s: (L,) times of the samples, in seconds from the beginning of the recording.
    """
    parts = np.full(len(times_s), UNKNOWN, np.int8)
    parts[_within(times_s, marks.first_s, marks.last_s)] = REST
    for time in marks.unclear_s:
        before = max((wave.end_s for wave in marks.waves if wave.end_s < time), default=-np.inf)
        after = min((wave.onset_s for wave in marks.waves if wave.onset_s > time), default=np.inf)
        parts[_within(times_s, before, after)] = UNKNOWN
    for name in ("T", "P", "QRS"):
        for wave in marks.waves:
            if wave.name == name:
                parts[_within(times_s, wave.onset_s, wave.end_s)] = PARTS.index(name)
    return parts


def _within(times_s: npt.NDArray[np.floating], first_s: float, last_s: float) -> npt.NDArray[np.bool_]:
    """Both ends count as within; the tolerance is for times that binary fractions cannot hold."""
    return np.asarray((times_s >= first_s - _TOLERANCE_S) & (times_s <= last_s + _TOLERANCE_S))


# ---- The hand marks of the Lobachevsky database (LUDB): P, QRS and T on each lead, from its WFDB annotation files.
#
# Kalyakulina et al. 2020 (IEEE Access 8:186181-186190). Beside a header ``1.hea`` lie ``1.i``, ``1.ii``, ..., ``1.v6``,
# one file per lead. A wave is three marks: ``(`` at its onset, ``p``, ``N`` or ``t`` at its peak, ``)`` at its end. The
# first and the last beats of a recording are not marked.

_NAME_OF: Final[dict[str, WaveName]] = {"p": "P", "N": "QRS", "t": "T"}

# About one wave in two hundred is not "(", peak, ")". Where a peak is at its own onset, the mark of the onset is
# missing or comes a sample later; a few waves carry several marks of each kind, of which the outermost count.
_WAVE: Final = re.compile(r"\(*(p+|N+|t+)\(?\)+")


def has_marks(header: Path) -> bool:
    """Whether any lead of the recording with this header has an annotation file."""
    return any(_annotation_file(header, lead).is_file() for lead in STANDARD_LEADS)


def read_marks(header: Path) -> tuple[WaveAnnotations, ...]:
    """The marks of the twelve leads, in the order of `STANDARD_LEADS`.

    Raises:
        UnreadableRecordingError: the file of a lead is missing or damaged, or holds no mark.
    """
    return tuple(_read_lead(header, lead) for lead in STANDARD_LEADS)


def marks_of(symbols: Sequence[str], times_s: Sequence[float]) -> WaveAnnotations:
    """Marks of one lead from the symbols of its annotation file and their times, in order of time.

    What is left when all waves are taken out, such as an onset and an end with no peak between them, is unclear.

    Raises:
        ValueError: there is no mark, or another symbol than ``(``, ``)``, ``p``, ``N`` and ``t``.
    """
    text = "".join(symbols)
    if len(text) != len(times_s) or not re.fullmatch(r"[()pNt]+", text):
        raise ValueError("holds no marks of waves, or other annotations than ( ) p N t")
    found = list(_WAVE.finditer(text))
    waves = tuple(Wave(_NAME_OF[one[1][0]], times_s[one.start()], times_s[one.end() - 1]) for one in found)
    taken = {place for one in found for place in range(one.start(), one.end())}
    unclear_s = tuple(time for place, time in enumerate(times_s) if place not in taken)
    return WaveAnnotations(waves, times_s[0], times_s[-1], unclear_s)


def _annotation_file(header: Path, lead: str) -> Path:
    return header.with_suffix(f".{lead.lower()}")


def _read_lead(header: Path, lead: str) -> WaveAnnotations:
    file = _annotation_file(header, lead)
    if not file.is_file():
        raise UnreadableRecordingError(str(header), f"has no marks of lead {lead} ({file.name} is missing)")
    try:
        annotation = wfdb.rdann(str(header.with_suffix("")), lead.lower())
        if not annotation.fs:
            raise ValueError("neither it nor the header states a sampling rate")
        return marks_of(annotation.symbol, (annotation.sample / annotation.fs).tolist())
    except Exception as error:  # the reader lets errors of many kinds through where a file is damaged
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnreadableRecordingError(str(file), f"cannot be read as marks of waves ({reason})") from error
