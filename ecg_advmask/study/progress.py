"""One bar for a whole study: what is in progress, parts and units done of all, time left."""

import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TextIO

from tqdm import tqdm

from ecg_advmask.study.jobs import JobEnded, JobLine, Message, StudyJob, Unit, UnitFinished, UnitProgress, UnitStarted


@dataclass(frozen=True)
class _InProgress:
    unit: Unit
    since: float


class StudyProgress:
    """A bar over the epochs and the numbers of labels of all units; without a terminal a line for each finished unit.

    Args:
        units: all that there is to do, and was done.
        done: how much of each was done before; units that are not in it have yet to be started.
        stream: where to write; stderr by default.
    """

    def __init__(self, units: Iterable[Unit], done: Mapping[Unit, float], stream: TextIO | None = None) -> None:
        self._done = {unit: min(float(done.get(unit, 0)), unit.amount) for unit in units}
        self._stream = stream or sys.stderr
        self._in_progress: dict[tuple[str, int], _InProgress] = {}
        self._bar = tqdm(
            total=float(sum(unit.amount for unit in self._done)),
            initial=sum(self._done.values()),
            file=self._stream,
            disable=None,
            bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}",
            dynamic_ncols=True,
        )
        self._show()

    def listen(self, job: StudyJob, message: Message) -> None:
        """Take a message of the process that does a job."""
        key = (job.method, job.seed)
        match message:
            case UnitStarted(unit, done):
                self._in_progress[key] = _InProgress(unit, time.monotonic())
                self._set(unit, done)
            case UnitProgress(done, of):
                unit = self._in_progress[key].unit
                self._set(unit, unit.amount * done / of)
            case UnitFinished(unit):
                started = self._in_progress.pop(key, None)
                self._set(unit, unit.amount)
                if started is not None:
                    seconds = tqdm.format_interval(time.monotonic() - started.since)
                    self._write(f"{unit.title} done in {seconds}, {self._units_done()}")
            case JobLine(text):
                self._write(f"{job.method}, seed {job.seed}: {text}")
            case JobEnded(busy=True):
                for unit in [unit for unit in self._done if (unit.method, unit.seed) == key]:
                    self._bar.total -= unit.amount
                    self._bar.n -= self._done.pop(unit)
                self._write(f"{job.method}, seed {job.seed}: left to another study, which works on it")
        self._show()

    def tick(self) -> None:
        """Show the time that has passed."""
        self._bar.refresh()

    def close(self) -> None:
        """End the bar."""
        self._bar.close()

    def _set(self, unit: Unit, done: float) -> None:
        self._bar.update(done - self._done[unit])
        self._done[unit] = done

    def _units_done(self) -> str:
        return f"{sum(done >= unit.amount for unit, done in self._done.items())}/{len(self._done)} units"

    def _show(self) -> None:
        described = " | ".join(_state(one.unit, self._done[one.unit]) for one in self._in_progress.values())
        self._bar.set_description_str(described or "starting", refresh=False)
        self._bar.set_postfix_str(self._units_done())

    def _write(self, line: str) -> None:
        self._bar.write(line, file=self._stream)
        self._stream.flush()


def _state(unit: Unit, done: float) -> str:
    if unit.task:
        return f"{unit.title}, {100 * done / unit.amount:.0f} %"
    return f"{unit.title}, epoch {min(int(done) + 1, unit.amount)}/{unit.amount}"
