"""What a process that works for a study tells the one that began it."""

from dataclasses import dataclass

from ecg_advmask.study.units import Unit


@dataclass(frozen=True)
class Began:
    """The work on a unit begins, of which some parts (epochs, fitted heads) may be done already."""

    unit: Unit
    done: int = 0


@dataclass(frozen=True)
class Part:
    """So many of the parts of the unit are done."""

    done: int
    of: int


@dataclass(frozen=True)
class Finished:
    """The unit is done."""

    unit: Unit


@dataclass(frozen=True)
class Said:
    """A line for the user."""

    text: str


@dataclass(frozen=True)
class Ended:
    """The job is over: done, or left because another study works on it (``busy``)."""

    busy: bool
    fresh: bool
    """Whether the process may take another job: one that has trained a network ends, and its memory with it."""


Message = Began | Part | Finished | Said | Ended
