"""The layouts of the PhysioNet/CinC Challenges 2020 and 2021: WFDB records in a folder per source.

Reyna et al., "Will Two Do? Varying Dimensions in Electrocardiography", CinC 2021; Perez Alday et al. 2020, Physiol.
Meas. 41:124003. In: PhysioNet's tree of either year (``training/<source>/g<k>/``), the archives that the Challenges
themselves published (``WFDB_CPSC2018``, ``Training_2``, ...), one source alone, or all records in one folder. Out: one
entry per record, its source by the name that PhysioNet uses in 2021, whatever the folder is called.

The headers do not state the patient (the 74 of INCART are of 32 people, the 549 of PTB of 290): each counts as
a patient of its own, unless a label table says otherwise.
"""

import functools
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ecg_advmask.data.chapman import LAST_OF_CHAPMAN
from ecg_advmask.ecg.sources import Entry, RecordingSource
from ecg_advmask.errors import InputError

CHAPMAN: Final = "chapman_shaoxing"
"""The source on which encoders are judged, so that pretraining leaves it out."""

CHAPMAN_REFUSAL: Final = (
    "left out: Chapman-Shaoxing is kept for judging encoders, --include-chapman takes it into the data set"
)

FOLDERS: Final[Mapping[str, tuple[str, ...]]] = {
    "cpsc_2018": ("cpsc2018", "cpsc", "trainingcpsc", "trainingwfdb"),
    "cpsc_2018_extra": ("cpsc2018extra", "cpsc20182", "training2"),
    "st_petersburg_incart": ("stpetersburgincart", "stpetersburg", "trainingstpetersburg"),
    "ptb": ("ptb", "trainingptb"),
    "ptb-xl": ("ptbxl", "trainingptbxl"),
    "georgia": ("georgia", "ga", "traininge"),
    CHAPMAN: ("chapmanshaoxing",),
    "ningbo": ("ningbo",),
}
"""Source -> names of its folder in the publications of both years: small letters and digits alone, without the leading
``PhysioNetChallenge2020_`` or ``WFDB_``."""

_SOURCE_OF_FOLDER: Final = {folder: source for source, folders in FOLDERS.items() for folder in folders}

_SOURCE_OF_RECORD: Final = (
    (re.compile(r"A\d{4}"), "cpsc_2018"),
    (re.compile(r"Q\d{4}"), "cpsc_2018_extra"),
    (re.compile(r"I\d{4}"), "st_petersburg_incart"),
    (re.compile(r"S\d{4}"), "ptb"),
    (re.compile(r"HR\d{5}"), "ptb-xl"),
    (re.compile(r"E\d{5}"), "georgia"),
)
_JS_RECORD = re.compile(r"JS(\d+)", re.IGNORECASE | re.ASCII)

_PASSED_OVER = re.compile(r"g?\d+|WFDB|WFDBRecords", re.IGNORECASE | re.ASCII)
"""Folders that do not name a source: the numbered ones, and those that archives of several sources have alike."""


@dataclass(frozen=True)
class CincSource(RecordingSource):
    """WFDB records below a folder; each is of the source that its folder or its name says."""

    folder: Path = Path()

    def entries(self) -> Iterator[Entry]:
        """Every WFDB header in the folder and below, in the order of the file system.

        Raises:
            InputError: the folder is missing or cannot be listed, or it holds no header.
        """
        top, empty = Path(os.path.realpath(self.folder)), True  # silent on a link that leads back to itself
        for found in self.files(self.folder, (".hea",)):
            empty = False
            source = source_of(top / found.name)
            left_out = source == CHAPMAN and not self.options.include_chapman
            refusal = found.refusal or (CHAPMAN_REFUSAL if left_out else "")
            yield Entry(Path(found.stem).name, found.path, found.name, source, refusal=refusal)
        if empty:
            raise InputError(f"{self.folder}: holds no recordings (files *.hea)")


def source_of(path: Path) -> str:
    """Source of a record, by the folder that it is in and by its own name; else the name of that folder.

    Either of the two is enough to make it one of Chapman-Shaoxing: that source and Ningbo are also published in one
    folder (``WFDB_ShaoxingUniv``, PhysioNet's ``ecg-arrhythmia``) and get copied into one, and a recording on which
    encoders are judged must not slip into pretraining by the name of its folder.
    """
    folder = _naming_folder(path.parent)
    by_folder, by_record = _source_of_folder(folder), _source_of_record(path.stem)
    if CHAPMAN in {by_folder, by_record}:
        return CHAPMAN
    return by_folder or by_record or folder


def _source_of_record(record_id: str) -> str:
    if match := _JS_RECORD.fullmatch(record_id):
        return CHAPMAN if int(match[1]) <= LAST_OF_CHAPMAN else "ningbo"
    return next((source for pattern, source in _SOURCE_OF_RECORD if pattern.fullmatch(record_id)), "")


def _source_of_folder(name: str) -> str:
    bare = re.sub(r"[^a-z0-9]", "", name.lower()).removeprefix("physionetchallenge2020").removeprefix("wfdb")
    if "chapman" in bare and "ningbo" not in bare:  # a folder of both sources leaves it to the names of the records
        return CHAPMAN
    return _SOURCE_OF_FOLDER.get(bare, "")


@functools.lru_cache(maxsize=256)
def _naming_folder(folder: Path) -> str:
    """Name of the nearest of a folder and those above it that may name a source."""
    return next((one.name for one in (folder, *folder.parents) if not _PASSED_OVER.fullmatch(one.name)), "")
