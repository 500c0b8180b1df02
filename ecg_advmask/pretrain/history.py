"""The history of a run, one row per finished epoch, kept as text so that rewriting does not change a byte.

``history.csv`` holds what training depends on and decides alone, and is the same however often the run was killed; the
time that epochs took stands apart, in ``seconds.csv``.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pandas as pd

from ecg_advmask.errors import InputError
from ecg_advmask.files import write_csv

HISTORY_FILE: Final = "history.csv"
SECONDS_FILE: Final = "seconds.csv"

Row = dict[str, Any]


def stored(value: Any) -> float:
    """A value with the six digits that the history keeps; decisions are made on these."""
    return float(f"{float(value):.6g}")


@dataclass
class History:
    """The rows of a run, and those of the seconds that its epochs took."""

    folder: Path
    rows: list[Row] = field(default_factory=list)
    seconds: list[Row] = field(default_factory=list)

    @classmethod
    def of(cls, folder: Path, epochs: int) -> "History":
        """The history up to an epoch; rows of later ones, which were not kept, are removed from the files.

        Raises:
            InputError: not every epoch until then has its row.
        """
        rows, seconds = read_rows(folder / HISTORY_FILE), read_rows(folder / SECONDS_FILE)
        took = [row.pop("seconds") for row in rows if "seconds" in row]  # where runs had the time before
        if took:
            seconds = [{"epoch": row["epoch"], "seconds": value} for row, value in zip(rows, took, strict=True)]
        finished = [str(epoch) for epoch in range(1, epochs + 1)]
        history = cls(folder, rows[:epochs], [row for row in seconds if row.get("epoch") in finished])
        if [row.get("epoch") for row in history.rows] != finished:
            raise InputError(
                f"{folder / HISTORY_FILE}: lacks rows of the {epochs} finished epochs; put it back, or start a new run"
            )
        if len(rows) > epochs:
            history.write()
        return history

    def add(self, epoch: int, values: Mapping[str, Any], seconds: float) -> None:
        """Write one more row."""
        self.rows.append({"epoch": epoch, **values})
        self.seconds.append({"epoch": epoch, "seconds": round(seconds, 2)})
        self.write()

    def write(self) -> None:
        """Write both files, each atomically; without a row there are none."""
        for name, rows in ((SECONDS_FILE, self.seconds), (HISTORY_FILE, self.rows)):
            if rows:
                write_csv(self.folder / name, list(rows[-1]), rows)
            else:
                (self.folder / name).unlink(missing_ok=True)


def read_rows(path: Path) -> list[Row]:
    """The rows of a table as text, none if there is no table.

    Raises:
        InputError: it cannot be read.
    """
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error


def timed(history: pd.DataFrame, seconds: pd.DataFrame) -> pd.DataFrame:
    """The history with the ``seconds`` of its epochs, where they are known; that of older runs has them already."""
    if history.empty or seconds.empty or "seconds" in history:
        return history
    return history.merge(seconds, "left", "epoch")


def read_table(path: Path) -> pd.DataFrame:
    """A table by epochs, empty if there is none; `read_rows` gives it as it stands.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return pd.read_csv(path) if path.is_file() else pd.DataFrame({"epoch": []})
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
