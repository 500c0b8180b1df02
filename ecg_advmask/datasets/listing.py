"""What every archive layout tells `prepare` before a signal is read: one entry per recording."""

import dataclasses
import os
from collections.abc import Iterable
from dataclasses import dataclass

from ecg_advmask.formats import Sex


@dataclass(frozen=True)
class Entry:
    """A recording of an archive, not yet read.

    ``file`` is where it is and ``name`` the same within the archive. ``refusal`` says why it is left out although it is
    there; empty if it is to be read. Age, sex and codes are those that a table beside the signals gives, where the
    signal files hold none.
    """

    record_id: str
    file: str
    name: str
    source: str
    patient: str
    refusal: str = ""
    age_years: float | None = None
    sex: Sex = ""
    codes: tuple[str, ...] = ()


def sorted_unique(entries: Iterable[Entry]) -> list[Entry]:
    """Entries in the order of their ids, then files; all but the first of several with one id are refused."""
    result: list[Entry] = []
    for entry in sorted(entries, key=lambda entry: (entry.record_id, entry.name)):
        if result and result[-1].record_id == entry.record_id and not entry.refusal:
            reason = f"duplicate: its id is also that of {os.path.normpath(result[-1].name)}"
            entry = dataclasses.replace(entry, refusal=reason)  # noqa: PLW2901
        result.append(entry)
    return result
