"""Files of arrays: the signals of one or of many recordings, and beside them their rate, leads, unit and ids.

What the arrays mean is decided here, once for NumPy, MATLAB and HDF5 files, by their names. Each kind of file lists its
arrays and reads the samples of one recording at a time.
"""

import functools
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from ecg_advmask.ecg.leads import LeadColumns, LeadNames, standard_lead
from ecg_advmask.ecg.recording import (
    Recording,
    UnreadableRecordingError,
    assumed_unit,
    column_factors,
    is_number,
    lead_columns,
    means_patient,
    one_line,
    parse_age,
    parse_patient,
    parse_sex,
    positive_rate,
)

if TYPE_CHECKING:
    from ecg_advmask.ecg.hdf5 import Hdf5Groups

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "signals": (
        *("signals", "signal", "ecg", "ecgs", "ecgdata", "ecgsignal", "ecgsignals", "tracings", "tracing", "psignal"),
        *("waveforms", "waveform", "val", "data", "x", "samples", "sig", "arr0"),
    ),
    "rate": (
        *("samplingratehz", "samplingrate", "samplingfrequency", "samplingfrequencyhz", "samplerate", "sampleratehz"),
        *("samplefrequency", "samplingfreq", "samplefreq", "fs", "fshz", "sfreq", "srate"),
    ),
    "leads": (
        *("leads", "lead", "leadnames", "leadname", "leadorder", "signame", "signames", "signalnames", "channels"),
        *("channelnames", "chnames", "columns", "columnnames", "electrodes"),
    ),
    "unit": ("unit", "units"),
    "ids": ("ids", "id", "examid", "examids", "recordid", "recordids", "ecgid", "ecgids"),
    "age": ("age", "ages", "ageyears", "patientage"),
    "sex": ("sex", "sexes", "gender", "patientsex"),
    "scale": (
        *("gain", "gains", "adcgain", "scale", "scalefactor", "scalefactors", "resolution", "lsb", "unitsperbit"),
        *("baseline", "adczero", "offset"),
    ),
}
"""What arrays are called, without case, blanks, dashes and underscores; patients as `means_patient` knows them.

Of several names the first goes; rates of any name must agree. What is known of the scale of samples is not applied:
whole numbers beside it are refused.
"""

MOST_NAMES: Final = 100
"""Leads that are believed."""


@dataclass(frozen=True)
class Given:
    """What the caller says of files that do not state it: rate in Hz, unit, names of columns; and what may lack."""

    sampling_rate_hz: float | None
    unit: str
    leads: LeadNames
    rebuild_leads: bool


def kind_of(name: str) -> str:
    """The kind of an array in `NAMES`, or "patient", by its name; empty if it is none of them."""
    if means_patient(name):
        return "patient"
    bare = _bare(name)
    return next((kind for kind, names in NAMES.items() if bare in names), "")


def _bare(name: str) -> str:
    return re.sub(r"[\s_.\-]+", "", name).lower()


def is_beside(name: str, values: int, is_text: bool) -> bool:
    """Whether an array that is not the signals is of use: by its name, or since it may hold the names of leads."""
    kind = kind_of(name)
    if kind == "leads":  # numbers would be an order of leads, but for how many there are
        return is_text or values > 1
    return kind not in {"", "signals"} or (is_text and values <= MOST_NAMES)


def array_named_signals(shapes: Mapping[str, Sequence[int]], path: str | os.PathLike[str]) -> str:
    """The name of the signals among the arrays of a file, by their names and shapes; the only array needs no name.

    Raises:
        UnreadableRecordingError: there are no signals, or several arrays that may be them.
    """
    for name, shape in shapes.items():
        if len(shapes) == 1 and len(shape) in {2, 3} and not kind_of(name):
            return name
    found = sorted((NAMES["signals"].index(_bare(name)), name) for name in shapes if kind_of(name) == "signals")
    if len(found) > 1:
        found = [one for one in found if len(shapes[one[1]]) in {2, 3} and min(shapes[one[1]][-2:]) > 1] or found
    if not found:
        shown = ", ".join(sorted(shapes))[:100] or "none"
        raise UnreadableRecordingError(path, f"has no array named signals (it has: {shown})")
    if len(found) > 1 and found[0][1] != "signals":
        names = ", ".join(name for _, name in found)
        raise UnreadableRecordingError(
            path, f"has several arrays that may be the signals ({names}), name one of them signals"
        )
    return found[0][1]


@dataclass
class ArrayFile(ABC):
    """An opened file of arrays; its length is the number of recordings.

    It holds ``signals``, (N, T, leads) or (T, leads), and ``sampling_rate_hz``; it may hold ``leads`` (names of the
    columns; default: the twelve in standard order), ``unit``, one or one for each column, and ``ids``, ``patient_id``,
    ``age`` and ``sex``, one for each recording. `NAMES` has the other names of these arrays; the names of leads are
    found by what they are, whatever the array is called. Where the other axis has as many columns as there are leads,
    the signals lie as (N, leads, T) or (leads, T). What the file states overrides what the caller says.
    """

    path: str
    sampling_rate_hz: float
    _recordings: int
    _factors: float | tuple[float, ...]
    _leads: LeadColumns
    _ids: list[str] | None
    _assumed_unit: str
    _leads_first: bool
    _about: Mapping[str, Sequence[str]]
    """Patients, ages and sexes, one of each for all recordings or one for each."""

    def __len__(self) -> int:
        return self._recordings

    def stated_id(self, number: int) -> str:
        """The id that the file gives to a recording; empty if it gives none."""
        return "" if self._ids is None else self._ids[number]

    def id_of(self, number: int) -> str:
        """The id of a recording: the one stated, or one made of the file's name."""
        stem = Path(self.path).stem
        return self.stated_id(number) or (stem if len(self) == 1 else f"{stem}-{number:05d}")

    def read(self, number: int) -> Recording:
        """One recording, by its place.

        Raises:
            UnreadableRecordingError: the file is damaged or gone, or there is no room to unpack it.
        """
        try:
            values = self._values(number)
            values = (values.T if self._leads_first else values)[:, list(self._leads.columns)]
        except UnreadableRecordingError:
            raise
        except Exception as error:  # damage shows in errors of many kinds
            raise UnreadableRecordingError(self.path, f"cannot be read ({one_line(error)})") from error
        with np.errstate(over="ignore", invalid="ignore"):  # what does not fit becomes infinite and is refused as such
            signals_mv = (values * np.asarray(self._factors, np.float64)).astype(np.float32)
        return Recording(
            self.id_of(number),
            self._leads.to_twelve_leads(signals_mv),
            self.sampling_rate_hz,
            patient=parse_patient(self._of_recording("patient", number)),
            age_years=parse_age(self._of_recording("age", number)),
            sex=parse_sex(self._of_recording("sex", number)),
            file=self.path,
            rebuilt=self._leads.rebuilt,
            assumed_unit=self._assumed_unit,
        )

    def _of_recording(self, kind: str, number: int) -> str:
        values = self._about.get(kind) or [""]
        return values[number if len(values) > 1 else 0]

    @abstractmethod
    def _values(self, number: int) -> npt.NDArray[Any]:
        """The samples of one recording as the file has them, (T, columns) or (columns, T)."""


def described(
    path: str | os.PathLike[str],
    shape: Sequence[int],
    others: Mapping[str, Sequence[str]],
    given: Given,
    *,
    whole_numbers: bool,
) -> dict[str, Any]:
    """The fields of an `ArrayFile` but for its path, from the shape of its signals and the arrays beside them.

    Args:
        path: the file, for complaints.
        shape: of the signals, (N, T, columns), (T, columns), or with the columns before the time.
        others: by name, the values of arrays that are not the signals.
        given: what the caller says.
        whole_numbers: the samples are of a type of whole numbers.

    Raises:
        UnreadableRecordingError: the arrays do not fit together, lack a lead or the rate, or contradict each other.
    """
    recordings = shape[0] if len(shape) == 3 else 1
    names = _names_of_leads(path, others) or list(given.leads.of_nameless())
    turned = len(names) == shape[-2] != shape[-1]
    if len(shape) == 2 and shape[0] == shape[1]:
        raise UnreadableRecordingError(path, f"signals have shape {tuple(shape)}, the axis of time is not clear")
    if len(names) != shape[-1] and not turned:
        raise UnreadableRecordingError(
            path, f"signals have {shape[-1]} leads in the last axis, expected {len(names)}; name them in an array leads"
        )
    about = {kind: _one_or_each(path, kind, others, recordings) for kind in ("ids", "patient", "age", "sex")}
    ids = about.pop("ids")
    if ids and len(ids) != recordings:
        raise UnreadableRecordingError(path, f"has {len(ids)} ids for {recordings} recordings")
    if not all(ids):
        raise UnreadableRecordingError(path, "has an empty id in ids, give every recording one")
    found = lead_columns(names, path, rebuild=given.rebuild_leads, leads=given.leads)
    units = _of("unit", others)
    if len(units) not in {0, 1, len(names)}:
        raise UnreadableRecordingError(path, f"has {len(units)} units for {len(names)} leads")
    if len(units) == len(names):
        units = [units[column] for column in found.columns]
    if whole_numbers and not any(units) and given.unit == "mV":
        _check_no_scale(path, others)
    return {
        "sampling_rate_hz": _rate(path, others, given),
        "_recordings": recordings,
        "_factors": column_factors(found, units, given.unit, path),
        "_leads": found,
        "_ids": ids or None,
        "_assumed_unit": assumed_unit(found, units, given.unit),
        "_leads_first": turned,
        "_about": about,
    }


def _of(kind: str, others: Mapping[str, Sequence[str]]) -> list[str]:
    """The values of the first array of this kind; none if there is none."""
    of_kind = [name for name in others if kind_of(name) == kind]
    order = NAMES.get(kind, ())
    of_kind.sort(key=lambda name: order.index(_bare(name)) if order else 0)
    return list(others[of_kind[0]]) if of_kind else []


def _one_or_each(
    path: str | os.PathLike[str], kind: str, others: Mapping[str, Sequence[str]], recordings: int
) -> list[str]:
    """One value for all recordings or one for each; none if there is no such array."""
    if kind == "patient" and len(several := [name for name in others if kind_of(name) == kind]) > 1:
        raise UnreadableRecordingError(path, f"has several arrays of patients ({', '.join(several)}), leave one")
    values = [re.sub(r"^(\d+)\.0+$", r"\1", value) for value in _of(kind, others)]
    if values and len(values) not in {1, recordings}:
        raise UnreadableRecordingError(path, f"has {len(values)} {kind} for {recordings} recordings")
    return values


def _names_of_leads(path: str | os.PathLike[str], others: Mapping[str, Sequence[str]]) -> list[str]:
    """The names of the columns: those in an array of that name, else in the one whose words are names of leads.

    Raises:
        UnreadableRecordingError: two arrays name them, and not alike.
    """
    split = {name: _words(values) for name, values in others.items()}
    named = [words for name, words in split.items() if kind_of(name) == "leads" and words]
    named += [words for name, words in split.items() if kind_of(name) == "" and _are_leads(words)]
    if any(words != named[0] for words in named):
        raise UnreadableRecordingError(path, "names its leads in several arrays, and not alike, leave one")
    return named[0] if named else []


def _words(values: Sequence[str]) -> list[str]:
    return [word.strip() for word in values[0].split(",")] if len(values) == 1 else list(values)


def _are_leads(words: Sequence[str]) -> bool:
    leads = sum(standard_lead(word) is not None for word in words)
    return leads >= _FEWEST_LEADS and 2 * leads > len(words)


_FEWEST_LEADS: Final = 8


def _check_no_scale(path: str | os.PathLike[str], others: Mapping[str, Sequence[str]]) -> None:
    for name, values in others.items():
        is_zero = _bare(name) in {"baseline", "adczero", "offset"}
        if kind_of(name) == "scale" and any(not is_number(one) or float(one) != 1 - is_zero for one in values):
            raise UnreadableRecordingError(
                path,
                f"holds whole numbers and {name[:40]}, which is not applied; save millivolts, or state the unit of one "
                "step (--source-unit, such as 4.88uV)",
            )


def _rate(path: str | os.PathLike[str], others: Mapping[str, Sequence[str]], given: Given) -> float:
    rates = {}
    for name, values in others.items():
        if kind_of(name) == "rate":
            if len(set(values)) != 1:
                raise UnreadableRecordingError(
                    path, f"{name} holds {len(set(values))} different values, save recordings of each rate apart"
                )
            rates[name] = positive_rate(re.sub(r"\s*[hH][zZ]$", "", values[0]), path)
    if len(set(rates.values())) > 1:
        stated = ", ".join(f"{name} {rate:g}" for name, rate in sorted(rates.items()))
        raise UnreadableRecordingError(path, f"states several sampling rates ({stated}), leave the right one")
    return next(iter(rates.values())) if rates else positive_rate(given.sampling_rate_hz, path)


def opened(
    path: str, sampling_rate_hz: float | None, unit: str, rebuild_leads: bool = False, leads: LeadNames | None = None
) -> "ArrayFile | Hdf5Groups":
    """A file that recordings are read from one by one: it is opened again only when it has changed, or after others.

    Raises:
        UnreadableRecordingError: the file is missing, damaged, or does not hold the arrays of an `ArrayFile`.
    """
    try:
        stamp = os.stat(path)  # noqa: PTH116 (a string, as the cache takes it)
    except OSError as error:
        raise UnreadableRecordingError(path, f"cannot be read ({error.strerror})") from error
    given = Given(sampling_rate_hz, unit, leads or LeadNames(), rebuild_leads)
    return _opened(path, given, stamp.st_mtime_ns, stamp.st_size)


OPEN_FILES: Final = 64
"""Files that `opened` holds open at once in a process; their samples stay on disk."""

SUFFIXES: Final = (".npz", ".npy", ".mat", ".h5", ".hdf5")
"""Endings of the files that `opened` is for, in lower case."""


@functools.lru_cache(maxsize=OPEN_FILES)
def _opened(path: str, given: Given, *_stamp: int) -> "ArrayFile | Hdf5Groups":
    suffix = Path(path).suffix.lower()
    if suffix == ".mat":
        from ecg_advmask.ecg.mat import open_mat

        return open_mat(path, given)
    if suffix in {".h5", ".hdf5"}:
        from ecg_advmask.ecg.hdf5 import open_hdf5

        return open_hdf5(path, given)
    from ecg_advmask.ecg.npz import NumpyFile

    return NumpyFile.open(path, given.sampling_rate_hz, given.unit, given.rebuild_leads, given.leads)
