"""The hand marks of the Lobachevsky database (LUDB): P, QRS and T on each lead, from its WFDB annotation files.

Kalyakulina et al. 2020 (IEEE Access 8:186181-186190). Beside a header ``1.hea`` lie ``1.i``, ``1.ii``, ..., ``1.v6``,
one file per lead. A wave is three marks: ``(`` at its onset, ``p``, ``N`` or ``t`` at its peak, ``)`` at its end. The
first and the last beats of a recording are not marked.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import wfdb

from ecg_advmask.formats import UnreadableRecordingError
from ecg_advmask.leads import STANDARD_LEADS
from ecg_advmask.waves import Marks, Wave, WaveName

_NAME_OF: Final[dict[str, WaveName]] = {"p": "P", "N": "QRS", "t": "T"}

# About one wave in two hundred is not "(", peak, ")". Where a peak lies on its own onset, the mark of the onset is
# missing or comes a sample later; a few waves carry several marks of each kind, of which the outermost count.
_WAVE: Final = re.compile(r"\(*(p+|N+|t+)\(?\)+")


def has_marks(header: Path) -> bool:
    """Whether any lead of the recording with this header has an annotation file."""
    return any(_annotation_file(header, lead).is_file() for lead in STANDARD_LEADS)


def read_marks(header: Path) -> tuple[Marks, ...]:
    """The marks of the twelve leads, in the order of `STANDARD_LEADS`.

    Raises:
        UnreadableRecordingError: the file of a lead is missing or damaged, or holds no mark.
    """
    return tuple(_read_lead(header, lead) for lead in STANDARD_LEADS)


def marks_of(symbols: Sequence[str], times_s: Sequence[float]) -> Marks:
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
    return Marks(waves, times_s[0], times_s[-1], unclear_s)


def _annotation_file(header: Path, lead: str) -> Path:
    return header.with_suffix(f".{lead.lower()}")


def _read_lead(header: Path, lead: str) -> Marks:
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
