"""One view of the progress of a whole study: what is under way, units done of all, time left.

On a terminal one line that is written anew; elsewhere a line for each unit that is finished.
"""

import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TextIO

from ecg_advmask.study.jobs import Began, Ended, Finished, Job, Message, Part, Said, Unit


class Estimate:
    """Time that units take, from the measured time of like ones."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[str, ...], float] = defaultdict(float)
        self._amounts: dict[tuple[str, ...], float] = defaultdict(float)

    def measured(self, work: tuple[str, str], amount: float, seconds: float) -> None:
        """Take note of the time that an amount of work took."""
        for key in (work, work[:1]):
            self._seconds[key] += seconds
            self._amounts[key] += amount

    def seconds(self, work: tuple[str, str], amount: float) -> float | None:
        """Time for an amount of work: as the same work took, else as work of that sort did; None if none was met."""
        for key in (work, work[:1]):
            if self._amounts[key] > 0:
                return amount * self._seconds[key] / self._amounts[key]
        return None


@dataclass
class _UnderWay:
    """A unit that is worked on, and the parts of it that were done when it began and are done now."""

    unit: Unit
    since: float
    first: float
    done: float


class Progress:
    """The view; it is told what the processes tell."""

    def __init__(
        self,
        units: Iterable[Unit],
        finished: Iterable[Unit],
        workers: int,
        known: Mapping[tuple[str, str], tuple[float, float]],
        *,
        begun: Mapping[Unit, float] | None = None,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``known`` holds amounts of work and the seconds that they took in earlier sittings, ``begun`` what
        was done then of units that are not finished."""
        self._left = [*units]
        self._all = len(self._left)
        done = set(finished)
        self._left = [unit for unit in self._left if unit not in done]
        self._workers = workers
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._live = self._stream.isatty()
        self._begun = dict(begun or {})
        self._under_way: dict[tuple[str, int], _UnderWay] = {}
        self._estimate = Estimate()
        for work, (amount, seconds) in known.items():
            self._estimate.measured(work, amount, seconds)

    def listen(self, job: Job, message: Message) -> None:
        """Take a message of the process that does a job."""
        key = (job.method, job.seed)
        match message:
            case Began(unit, done):
                self._under_way[key] = _UnderWay(unit, self._clock(), done, done)
            case Part(done, of):
                here = self._under_way[key]
                here.done = here.unit.amount * done / of
            case Finished(unit):
                self._left = [other for other in self._left if other != unit]
                begun = self._under_way.pop(key, None)
                if begun is not None:
                    seconds = self._clock() - begun.since
                    self._estimate.measured(unit.work, unit.amount - begun.first, seconds)
                    self._say(f"{unit.title} done in {duration(seconds)}")
            case Said(text):
                self._print(f"{job.method}, seed {job.seed}: {text}")
            case Ended(busy=True):
                self._left = [unit for unit in self._left if (unit.method, unit.seed) != key]
                self._print(f"{job.method}, seed {job.seed}: left to another study, which works on it")
        self.tick()

    def tick(self) -> None:
        """Write the live line anew."""
        if self._live:
            under_way = " | ".join(map(_state, self._under_way.values())) or "starting"
            width = shutil.get_terminal_size().columns - 1
            tail = self._tail()
            self._stream.write(f"\r\x1b[K{under_way[: max(0, width - len(tail) - 3)]} · {tail}")
            self._stream.flush()

    def close(self) -> None:
        """Take the live line away."""
        if self._live:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def seconds_left(self) -> tuple[float, bool]:
        """Estimated time left, and whether it is of all units that are left (else of those with a known like)."""
        doing = self._begun | {here.unit: here.done for here in self._under_way.values()}
        times = [self._estimate.seconds(unit.work, unit.amount - doing.get(unit, 0)) for unit in self._left]
        known = [seconds for seconds in times if seconds is not None]
        side_by_side = max(1, min(self._workers, len({(unit.method, unit.seed) for unit in self._left})))
        return sum(known) / side_by_side, len(known) == len(times)

    def _tail(self) -> str:
        seconds, whole = self.seconds_left()
        known = seconds > 0 or whole
        left = f"{'about' if whole else 'at least'} {duration(seconds)} left" if known else "time left not known yet"
        return f"{self._all - len(self._left)}/{self._all} units · {left}"

    def _say(self, text: str) -> None:
        if not self._live:
            self._print(f"{text} · {self._tail()}")

    def _print(self, line: str) -> None:
        self.close()
        self._stream.write(f"{line}\n")
        self._stream.flush()


def duration(seconds: float) -> str:
    """Time in the two largest of its units: 45 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _state(here: _UnderWay) -> str:
    unit = here.unit
    if unit.task:
        return f"{unit.title}, {100 * here.done / unit.amount:.0f} %"
    return f"{unit.title}, epoch {int(here.done) + 1}/{unit.amount}"
