"""One 12-lead recording, and reading it from CSV and NumPy files into millivolts and the standard lead order.

WFDB records are read by `ecg_advmask.wfdb_format`. Every failure is an `UnreadableRecordingError`, which says in one
line what is wrong with the file. No TensorFlow here.
"""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from ecg_advmask.errors import InputError
from ecg_advmask.leads import STANDARD_LEADS, lead_index
from ecg_advmask.signals import FloatSignals

Sex = Literal["male", "female", ""]

MILLIVOLTS_IN: Final = {"mv": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "nv": 1e-6, "v": 1e3}
"""Factor to millivolts of each unit, by its name in lower case."""

_SEX_OF: Final[dict[str, Sex]] = {"male": "male", "m": "male", "female": "female", "f": "female"}
_OLDEST_YEARS = 120


class UnreadableRecordingError(InputError):
    """A file that does not hold a recording as it should; ``reason`` is the message without the file's name."""

    def __init__(self, file: str | os.PathLike[str], reason: str) -> None:
        super().__init__(f"{os.fspath(file)}: {reason}")
        self.file = os.fspath(file)
        self.reason = reason


@dataclass(frozen=True)
class Recording:
    """One 12-lead ECG.

    ``signals_mv`` is (T, 12) float32 in millivolts, leads in the order of `STANDARD_LEADS`, NaN where a sample is
    missing. ``age_years`` is None and ``sex`` empty where they are not known; ``codes`` are the diagnoses as found.
    """

    record_id: str
    signals_mv: FloatSignals
    sampling_rate_hz: float
    source: str = ""
    patient: str = ""
    age_years: float | None = None
    sex: Sex = ""
    codes: tuple[str, ...] = ()
    file: str = ""


def read_csv(
    path: str | os.PathLike[str], sampling_rate_hz: float, unit: str = "mV", leads: Sequence[str] | None = None
) -> Recording:
    """Read comma-separated samples, one row per sample, with or without a header row of lead names.

    Without a header row there must be a column for each of ``leads`` (default: the twelve, in standard order). With
    one, columns that are no lead (such as a time) are left aside. An empty cell is a missing sample.

    Raises:
        UnreadableRecordingError: the file is missing, empty or not such a table, or lacks a lead.
    """
    import pandas as pd

    try:
        with Path(path).open(encoding="utf-8-sig") as stream:
            first_row = [cell.strip().strip('"') for cell in stream.readline().split(",")]
            named = not all(_is_number(cell) for cell in first_row)
            if not named:
                stream.seek(0)
            table = pd.read_csv(stream, header=None, skipinitialspace=True)
    except pd.errors.EmptyDataError as error:
        raise UnreadableRecordingError(path, "holds no samples") from error
    except (OSError, ValueError) as error:
        raise UnreadableRecordingError(path, f"cannot be read as CSV ({one_line(error)})") from error
    names = first_row if named else list(leads or STANDARD_LEADS)
    if table.shape[1] != len(names):
        raise UnreadableRecordingError(path, f"has {table.shape[1]} columns, expected {len(names)}: {', '.join(names)}")
    try:
        values = table.iloc[:, lead_columns(names, path)].to_numpy(np.float64)
    except ValueError as error:
        raise UnreadableRecordingError(path, f"has a cell that is no number ({one_line(error)})") from error
    return Recording(
        record_id=Path(path).stem,
        signals_mv=(values * millivolts_in(unit, path)).astype(np.float32),
        sampling_rate_hz=positive_rate(sampling_rate_hz, path),
        file=os.fspath(path),
    )


def read_numpy(
    path: str | os.PathLike[str], sampling_rate_hz: float | None = None, unit: str = "mV"
) -> Iterator[Recording]:
    """Read recordings from ``.npz`` or ``.npy``; pickled objects are never loaded.

    An ``.npz`` holds ``signals``, (N, T, 12) or (T, 12), and ``sampling_rate_hz``; it may hold ``leads`` (names of the
    last axis), ``ids`` (N,) and ``unit``. An ``.npy`` holds the signals alone. What the file states wins over the
    arguments.

    Raises:
        UnreadableRecordingError: the file is missing, damaged, or does not hold these arrays in these shapes.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
        arrays: dict[str, Any] = {"signals": loaded} if isinstance(loaded, np.ndarray) else dict(loaded.items())
    except Exception as error:  # zip, header and memory errors alike mean that it cannot be read
        raise UnreadableRecordingError(path, f"cannot be read as NumPy arrays ({one_line(error)})") from error
    if "signals" not in arrays:
        raise UnreadableRecordingError(
            path, f"has no array named signals (it has: {', '.join(sorted(arrays)) or 'none'})"
        )
    signals = arrays["signals"]
    if signals.ndim not in {2, 3} or signals.dtype.kind not in "fiu":
        raise UnreadableRecordingError(
            path, f"signals have shape {signals.shape} and type {signals.dtype}, expected numbers (N, T, 12) or (T, 12)"
        )
    stem = Path(path).stem
    batch = signals if signals.ndim == 3 else signals[None]
    default_ids = [stem] if len(batch) == 1 else [f"{stem}-{number:05d}" for number in range(len(batch))]
    ids = [str(name) for name in np.ravel(arrays.get("ids", default_ids))]
    names = [str(name) for name in np.ravel(arrays.get("leads", STANDARD_LEADS))]
    rate = positive_rate(_scalar(arrays.get("sampling_rate_hz", sampling_rate_hz)), path)
    factor = millivolts_in(str(_scalar(arrays.get("unit", unit))), path)
    if len(names) != signals.shape[-1]:
        raise UnreadableRecordingError(
            path, f"signals have {signals.shape[-1]} leads in the last axis, expected {len(names)}"
        )
    if len(ids) != len(batch):
        raise UnreadableRecordingError(path, f"has {len(ids)} ids for {len(batch)} recordings")
    columns = lead_columns(names, path)
    for record_id, values in zip(ids, batch, strict=True):
        in_mv = (values[:, columns] * np.float64(factor)).astype(np.float32)
        yield Recording(record_id, in_mv, rate, file=os.fspath(path))


def parse_age(text: str) -> float | None:
    """Age in years; None for anything but a number from 0 to 120."""
    age = float(text) if _is_number(text) else math.nan
    return age if 0 <= age <= _OLDEST_YEARS else None


def parse_sex(text: str) -> Sex:
    """``male`` or ``female``, from any of the usual spellings; empty for anything else."""
    return _SEX_OF.get(text.strip().lower(), "")


def lead_columns(names: Sequence[str], path: str | os.PathLike[str]) -> list[int]:
    """Columns of the twelve standard leads among ``names``, in the standard order.

    Raises:
        UnreadableRecordingError: a lead is missing or there twice.
    """
    columns: dict[int, int] = {}
    for column, name in enumerate(names):
        try:
            lead = lead_index(str(name))
        except KeyError:
            continue
        if lead in columns:
            raise UnreadableRecordingError(path, f"leads: has lead {STANDARD_LEADS[lead]} twice")
        columns[lead] = column
    missing = [name for lead, name in enumerate(STANDARD_LEADS) if lead not in columns]
    if missing:
        raise UnreadableRecordingError(
            path, f"leads: has {len(columns)} of the 12 standard leads, lacks {', '.join(missing)}"
        )
    return [columns[lead] for lead in range(len(STANDARD_LEADS))]


def millivolts_in(unit: str, path: str | os.PathLike[str]) -> float:
    """Millivolts in one of a unit.

    Raises:
        UnreadableRecordingError: the unit is no voltage.
    """
    try:
        return MILLIVOLTS_IN[str(unit).strip().lower()]
    except KeyError:
        raise UnreadableRecordingError(path, f"has the unit {unit!r}, expected mV, uV or V") from None


def positive_rate(value: Any, path: str | os.PathLike[str]) -> float:
    """A sampling rate in Hz, as a number.

    Raises:
        UnreadableRecordingError: it is absent or not a positive number.
    """
    if value is None:
        raise UnreadableRecordingError(path, "does not state its sampling rate, give it")
    rate = float(value) if _is_number(str(value)) else math.nan
    if not (math.isfinite(rate) and rate > 0):
        raise UnreadableRecordingError(path, f"has the sampling rate {value}, expected a positive number of Hz")
    return rate


def _scalar(value: Any) -> Any:
    return np.ravel(value)[0] if isinstance(value, np.ndarray) and value.size == 1 else value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def one_line(error: BaseException) -> str:
    """Text of an exception on one line of bounded length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else f"{text[:157]}..."
