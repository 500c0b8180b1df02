"""How each of the eight sources of CinC 2021 looks on disk, for generated recordings to look the same.

In: the place of a recording in a generated archive. Out: its source, its number there, its length, its header's form.
The forms of headers are those of real files; for INCART, of which none was at hand, that of PTB is taken.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

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
