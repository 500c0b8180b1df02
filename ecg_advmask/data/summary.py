"""Counts of kept and refused recordings of a source, which can be added up to those of a data set."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

import pandas as pd

from ecg_advmask.data.dataset import DATASET_FILE, DataSet
from ecg_advmask.ecg.quality import CHECKS
from ecg_advmask.files import read_json

_KINDS = {
    *CHECKS,
    "length",
    "leads",
    "left out",
    "repeated id",
    "missing file",
    "missing row",
    "sampling rate",
    "file name",
    "link",
}


TABLE: Final = "a table"
FILE: Final = "the files of the recordings"
UNKNOWN_PATIENT: Final = "unknown"
"""Where the patient of a recording comes from."""


@dataclass
class DataSummary:
    """Counts of one source. A recording is kept if a window of it is; every recording is kept or refused.

    ``reasons`` counts refused recordings and ``window_reasons`` the refused windows of kept ones, by kind of reason;
    ``reported`` windows that were kept although a check fails, by check. ``codes``, ``classes_2020`` and
    ``classes_2021`` count kept recordings, by diagnosis code and by scored class of the PhysioNet/CinC Challenges.
    ``windows_left_out`` are those beyond the limit for a recording; ``trailing_seconds`` at the ends of recordings did
    not fill a window. ``duplicates`` are kept recordings whose signal an earlier one has,
    ``rebuilt`` those of which limb leads were computed from others, ``zeros_cut`` those of which zeros at the ends were
    cut off, ``unit_assumed`` those whose files state no unit, so that it is the one of ``--source-unit``.
    ``patients_from`` counts kept recordings by where their patient comes from: `TABLE`, `FILE` or `UNKNOWN_PATIENT`,
    each a patient of its own.
    """

    recordings_in: int = 0
    recordings_kept: int = 0
    recordings_refused: int = 0
    windows_kept: int = 0
    windows_refused: int = 0
    windows_padded: int = 0
    windows_left_out: int = 0
    trailing_seconds: float = 0.0
    duplicates: int = 0
    rebuilt: int = 0
    zeros_cut: int = 0
    unit_assumed: int = 0
    patients_from: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    window_reasons: Counter[str] = field(default_factory=Counter)
    reported: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    classes_2020: Counter[str] = field(default_factory=Counter)
    classes_2021: Counter[str] = field(default_factory=Counter)

    def add(self, other: "DataSummary") -> None:
        """Add the numbers of another summary."""
        own = vars(self)
        for name, value in vars(other).items():
            if not value:
                continue
            if isinstance(value, Counter):
                own[name].update(value)
            else:
                own[name] += value

    def add_refused(self, reason: str) -> None:
        """Count a recording that is refused as a whole."""
        self.recordings_in += 1
        self.recordings_refused += 1
        self.reasons[kind(reason)] += 1

    def as_dict(self) -> dict[str, Any]:
        """Plain values, counters sorted by name; what older versions did not count is absent if it is 0."""
        plain = {name: dict(sorted(v.items())) if isinstance(v, Counter) else v for name, v in vars(self).items()}
        for name in ("rebuilt", "zeros_cut", "unit_assumed"):
            if not plain[name]:
                del plain[name]
        return plain | {"trailing_seconds": round(self.trailing_seconds, 3)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From plain values."""
        plain: dict[str, Any] = {name: Counter(v) if isinstance(v, dict) else v for name, v in values.items()}
        return cls(**plain)


def summaries_of(data: DataSet) -> dict[str, DataSummary]:
    """Counts by source, in which every recording is kept or refused."""
    sources = read_json(data.path / DATASET_FILE)["sources"]
    return {source: DataSummary.from_dict(values) for source, values in sources.items()}


def total(summaries: Iterable[DataSummary]) -> DataSummary:
    """The sum of summaries."""
    result = DataSummary()
    for summary in summaries:
        result.add(summary)
    if result.recordings_in != result.recordings_kept + result.recordings_refused:
        raise AssertionError("a recording is neither kept nor refused")
    return result


def kind(reason: str) -> str:
    """Kind of a reason: the words before the colon where they are ours, else that the recording cannot be read."""
    before = reason.partition(":")[0]
    return before if before in _KINDS else "unreadable"


# ---- What a data set is and what became of the recordings that went into it, as results and reports state it.


def describe(data: DataSet) -> dict[str, Any]:
    """Name, hash, rate, window, layout and counts by source of a data set, and whether any recording is generated."""
    header = read_json(data.path / DATASET_FILE)
    return {
        "path": str(data.path),
        "name": data.path.resolve().name,
        "sha256": data.sha256,
        "sampling_rate_hz": data.sampling_rate_hz,
        "window_samples": data.window_samples,
        "layout": str(header.get("layout", "")),
        "sources": header.get("sources", {}),
        "generated": mentions_generated(data.records),
    }


def mentions_generated(table: pd.DataFrame) -> bool:
    """Whether any id, source or patient in a table of recordings says that it was generated, as those of synth do."""
    columns = [table[name].astype(str) for name in ("id", "source", "patient") if name in table]
    return any(bool(column.str.contains("generated", case=False).any()) for column in columns)
