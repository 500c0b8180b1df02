"""What became of the recordings of a source: numbers that add up, from one shard to a whole data set."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from ecg_advmask.quality import CHECKS

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


@dataclass
class Account:
    """Counts of one source. A recording is kept if a window of it is; every recording is kept or refused.

    ``reasons`` counts refused recordings and ``window_reasons`` the refused windows of kept ones, by kind of reason;
    ``reported`` windows that were kept although a check fails, by check. ``codes``, ``classes_2020`` and
    ``classes_2021`` count kept recordings, by diagnosis code and by scored class of the PhysioNet/CinC Challenges.
    ``windows_left_out`` are those beyond the limit for a recording; ``trailing_seconds`` at the ends of recordings did
    not fill a window. ``duplicates`` are kept recordings whose signal an earlier one has.
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
    reasons: Counter[str] = field(default_factory=Counter)
    window_reasons: Counter[str] = field(default_factory=Counter)
    reported: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    classes_2020: Counter[str] = field(default_factory=Counter)
    classes_2021: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Account") -> None:
        """Add the numbers of another account."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, counters sorted by name."""
        plain = {name: dict(sorted(v.items())) if isinstance(v, Counter) else v for name, v in vars(self).items()}
        return plain | {"trailing_seconds": round(self.trailing_seconds, 3)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From plain values."""
        plain: dict[str, Any] = {name: Counter(v) if isinstance(v, dict) else v for name, v in values.items()}
        return cls(**plain)


def total(accounts: Iterable[Account]) -> Account:
    """The sum of accounts."""
    result = Account()
    for account in accounts:
        result.add(account)
    if result.recordings_in != result.recordings_kept + result.recordings_refused:
        raise AssertionError("a recording is neither kept nor refused")
    return result


def kind(reason: str) -> str:
    """Kind of a reason: the words before the colon where they are ours, else that the recording cannot be read."""
    before = reason.partition(":")[0]
    return before if before in _KINDS else "unreadable"
