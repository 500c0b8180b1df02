"""Small sound archives of known values, each with one recording named ``victim`` to be damaged.

All recordings are noise of up to 0.9 mV in whole microvolts. The victim is sound until a function of `hostile.damage`
has been at it.
"""

import csv
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from ecg_advmask.ecg.leads import STANDARD_LEADS

Microvolts = npt.NDArray[np.int16]

LAYOUTS: Final[Mapping[str, tuple[str, ...]]] = {
    "wfdb": ("wfdb", "cinc2021"),
    "csv": ("csv",),
    "npz": ("npz",),
    "figshare": ("chapman",),
}
"""Form of an archive -> layouts of `prepare` that take it."""

RATES_HZ: Final = {"wfdb": 100, "csv": 100, "npz": 100, "figshare": 500}
SECONDS: Final = 2
PATIENTS: Final = {"good0": ("SB", "34", "FEMALE"), "good1": ("AFIB", "71", "MALE"), "victim": ("SR", "50", "MALE")}
"""Rhythm, age and sex in the table of figshare."""


def recording_uv(name: str, rate_hz: int = 100) -> Microvolts:
    """The values of a sound recording, (T, 12)."""
    seed = int.from_bytes(name.encode(), "big")
    return np.random.default_rng(seed).integers(-900, 901, (SECONDS * rate_hz, 12)).astype(np.int16)


@dataclass
class SignalLine:
    """The fields of a signal line in a WFDB header, as text."""

    file: str
    form: str = "16+24"
    gain: str = "1000/mV"
    resolution: str = "16"
    zero: str = "0"
    first: str = "0"
    checksum: str = "0"
    block: str = "0"
    lead: str = "I"


@dataclass
class Header:
    """A WFDB header in parts that can be spoilt one by one."""

    name: str
    rate: str
    samples: str
    signals: list[SignalLine]
    count: str = ""
    comments: list[str] = field(default_factory=lambda: ["# Age: 61", "# Sex: Female", "# Dx: 426177001"])

    def text(self) -> str:
        record = f"{self.name} {self.count or len(self.signals)} {self.rate} {self.samples}"
        return "\n".join([record, *(" ".join(dataclasses.astuple(one)) for one in self.signals), *self.comments]) + "\n"


def header_of(name: str, values: Microvolts, leads: Sequence[str] = STANDARD_LEADS, rate: str = "100") -> Header:
    """Header of a record in the form of CinC 2021, with its first samples and checksums."""
    lines = [
        SignalLine(
            f"{name}.mat",
            first=str(column[0]),
            checksum=str((int(column.sum(dtype=np.int64)) + 32768) % 65536 - 32768),
            lead=lead,
        )
        for column, lead in zip(values.T, leads, strict=True)
    ]
    return Header(name, rate, str(len(values)), lines)


def matlab(values: npt.NDArray[np.integer], dtype: str = "<i2") -> bytes:
    """Signals as a MATLAB v4 file, as CinC 2021 has them."""
    return (
        np.array([30, values.shape[1], len(values), 0, 4], "<i4").tobytes() + b"val\0" + values.astype(dtype).tobytes()
    )


@dataclass
class Place:
    """An archive and what lies around it.

    ``outside`` is a folder beside the archive with sound recordings (``bait``), which nothing in the archive may reach.
    ``labels`` is the table of labels, where there is one.
    """

    root: Path
    form: str
    labels: Path | None = None

    @property
    def folder(self) -> Path:
        return self.root / "in"

    @property
    def outside(self) -> Path:
        return self.root / "outside"

    @property
    def rate_hz(self) -> int:
        return RATES_HZ[self.form]

    @property
    def victim(self) -> Path:
        """The file by which the victim is found."""
        suffix = {"wfdb": "hea", "csv": "csv", "npz": "npz", "figshare": "csv"}[self.form]
        return (self.folder / "ECGData" if self.form == "figshare" else self.folder) / f"victim.{suffix}"

    @property
    def signal_file(self) -> Path:
        """The victim's samples, where they are in a WFDB record."""
        return self.victim.with_suffix(".mat")

    @property
    def values_uv(self) -> Microvolts:
        """What the victim held."""
        return recording_uv("victim", self.rate_hz)

    def header(self) -> Header:
        """The header that the victim had."""
        return header_of("victim", self.values_uv)

    def good_uv(self, layout: str) -> dict[str, Microvolts]:
        """Ids of the sound recordings, and their values."""
        names = {
            "wfdb": {"good0": "good0", "sub/good1": "good1"},
            "cinc2021": {"good0": "good0", "good1": "good1"},
            "csv": {"good0": "good0", "sub/good1": "good1"},
            "npz": {"good0": "good0", "sub/good1-00000": "good1", "sub/good1-00001": "good2"},
            "chapman": {"good0": "good0", "good1": "good1"},
        }[layout]
        return {record_id: recording_uv(name, self.rate_hz) for record_id, name in names.items()}


def build(root: Path, form: str) -> Place:
    """Write an archive whose recordings are all sound, the victim among them."""
    place = Place(root, form)
    (place.folder / ("ECGData" if form == "figshare" else "sub")).mkdir(parents=True)
    place.outside.mkdir()
    write = {"wfdb": _write_wfdb, "csv": _write_csv, "npz": _write_npz, "figshare": _write_figshare}[form]
    write(place)
    return place


def write_labels(place: Place) -> Path:
    """Write a table of labels beside the archive."""
    place.labels = place.root / "labels.csv"
    place.labels.write_text("id,patient,age,sex,task\ngood0,p0,34,F,yes\ngood1,p1,71,M,no\nvictim,p2,50,M,yes\n")
    return place.labels


def write_record(header: Path, stated: Header, values: Microvolts) -> None:
    """Write a WFDB record."""
    header.write_text(stated.text())
    header.with_suffix(".mat").write_bytes(matlab(values))


def csv_text(values: npt.NDArray[np.floating | np.integer], names: Sequence[str] = STANDARD_LEADS) -> str:
    """A table of samples; without names it has no header row."""
    rows = [",".join(f"{value:g}" for value in row) for row in values]
    return "\n".join([",".join(names), *rows] if names else rows) + "\n"


def _write_wfdb(place: Place) -> None:
    files = {"good0": place.folder / "good0.hea", "good1": place.folder / "sub" / "good1.hea", "victim": place.victim}
    for name, file in (files | {"bait": place.outside / "bait.hea"}).items():
        values = recording_uv(name)
        write_record(file, header_of(name, values), values)


def _write_csv(place: Place) -> None:
    (place.folder / "good0.csv").write_text(csv_text(recording_uv("good0") / 1000, names=()))
    (place.folder / "sub" / "good1.csv").write_text(csv_text(recording_uv("good1") / 1000))
    place.victim.write_text(csv_text(place.values_uv / 1000))
    (place.outside / "bait.csv").write_text(csv_text(recording_uv("bait") / 1000))


def _write_npz(place: Place) -> None:
    np.savez(place.folder / "good0.npz", signals=recording_uv("good0"), sampling_rate_hz=100, unit="uV")
    pair = np.stack([recording_uv("good1"), recording_uv("good2")])
    np.savez(place.folder / "sub" / "good1.npz", signals=pair, sampling_rate_hz=100, unit="uV")
    np.savez(place.victim, signals=place.values_uv, sampling_rate_hz=100, unit="uV")
    np.savez(place.outside / "bait.npz", signals=recording_uv("bait"), sampling_rate_hz=100, unit="uV")


def _write_figshare(place: Place) -> None:
    rows = [["FileName", "Rhythm", "PatientAge", "Gender"], *([name, *said] for name, said in PATIENTS.items())]
    with (place.folder / "Diagnostics.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    for name in PATIENTS:
        (place.victim.parent / f"{name}.csv").write_text(csv_text(recording_uv(name, 500)))
    (place.outside / "bait.csv").write_text(csv_text(recording_uv("bait", 500)))
