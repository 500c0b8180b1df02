"""Where the P, QRS and T waves of a recording lie: marks in seconds, and what they say of each sample.

Marks come from cardiologists (`ecg_advmask.datasets.ludb`) or from a delineator (`ecg_advmask.evaluate.delineation`).
"""

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

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
class Marks:
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

    def later_by(self, seconds: float) -> "Marks":
        """The same marks on a clock that was started so much earlier."""
        waves = tuple(Wave(wave.name, wave.onset_s + seconds, wave.end_s + seconds) for wave in self.waves)
        unclear_s = tuple(time + seconds for time in self.unclear_s)
        return Marks(waves, self.first_s + seconds, self.last_s + seconds, unclear_s)


def parts_at(marks: Marks, times_s: npt.NDArray[np.floating]) -> npt.NDArray[np.int8]:
    """What each sample is part of: its place in `PARTS`, or `UNKNOWN`; ``(L,)``.

    Where waves overlap, QRS goes before P and P before T.

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
