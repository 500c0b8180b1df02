"""What every archive layout tells `prepare` before a signal is read: one entry per recording."""

from dataclasses import dataclass

from ecg_advmask.formats import Sex


@dataclass(frozen=True)
class SourceOptions:
    """What the user says about an archive as a whole.

    ``include_chapman``: take the Chapman-Shaoxing part of CinC 2021 in. ``sampling_rate_hz`` and ``unit`` are those of
    files that do not state their own (CSV and plain NumPy arrays).
    """

    include_chapman: bool = False
    sampling_rate_hz: float | None = None
    unit: str = "mV"


@dataclass(frozen=True, slots=True)
class Entry:
    """A recording of an archive, not yet read.

    ``file`` is where it is and ``name`` the same within the archive; ``number`` is its place in a file that holds
    several. ``refusal`` says why it is left out although it is there; empty if it is to be read. Age, sex and codes are
    those that a table beside the signals gives, and go before those in the signal files. ``labels`` are further columns
    of such a table, name and value.
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
    labels: tuple[tuple[str, str], ...] = ()
    number: int | None = None
