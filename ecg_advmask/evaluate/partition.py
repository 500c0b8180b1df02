"""The recordings of an evaluation, divided once by patient into a training, a validation and a test part.

The division is stored beside every result as CSV (id, patient, label, part) and can be used again for another encoder.
"""

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from ecg_advmask.datasets.splits import split_by_patient
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.metrics import IntArray
from ecg_advmask.files import write_csv

Names = npt.NDArray[np.object_]
PARTS: Final = ("train", "validation", "test")
COLUMNS: Final = ("id", "patient", "label", "part")
_NAMES_SHOWN: Final = 5


@dataclass(frozen=True)
class Split:
    """Patients divided once: ids, patients and class numbers of all recordings, and the recordings of each part."""

    classes: tuple[str, ...]
    ids: Names
    labels: IntArray
    patients: Names
    rows: Mapping[str, npt.NDArray[np.int64]]

    @classmethod
    def of(cls, ids: Names, class_names: Names, patients: Names, parts: npt.NDArray[Any]) -> "Split":
        """The split in which each recording is in the part that is named for it.

        Raises:
            InputError: a class has no recording in one of the parts.
        """
        classes, labels = np.unique(class_names.astype(str), return_inverse=True)
        rows = {part: np.flatnonzero(parts == part) for part in PARTS}
        split = cls(tuple(classes.tolist()), ids, labels, patients, rows)
        for part, counts in split.counts().items():
            for name, count in counts.items():
                if count == 0:
                    raise InputError(
                        f"class {name}: its {int((class_names == name).sum())} recordings leave none for the {part} "
                        "part; evaluate on more recordings, or pretrain on a smaller part (--set pretraining_share=0.7)"
                    )
        return split

    def counts(self) -> dict[str, dict[str, int]]:
        """Recordings per part and class."""
        return {
            part: {name: int((self.labels[rows] == k).sum()) for k, name in enumerate(self.classes)}
            for part, rows in self.rows.items()
        }

    def digest(self, part: str) -> str:
        """SHA-256 over the sorted ids of a part, one per line: equal if and only if the part is the same."""
        return hashlib.sha256("\n".join(sorted(self.ids[self.rows[part]])).encode()).hexdigest()

    def write(self, path: str | Path) -> None:
        """Write the division as CSV, atomically, in the order of the recordings."""
        part_of = np.empty(len(self.ids), dtype=object)
        for part, rows in self.rows.items():
            part_of[rows] = part
        named = (self.classes[label] for label in self.labels)
        rows_of = zip(self.ids, self.patients, named, part_of, strict=True)
        write_csv(path, COLUMNS, (dict(zip(COLUMNS, row, strict=True)) for row in rows_of))


def split_recordings(ids: Names, class_names: Names, patients: Names, shares: Sequence[float], seed: int) -> Split:
    """Divide recordings ``(n,)`` by patient into training, validation and test part, stratified by class.

    Raises:
        InputError: a class has no recording in one of the parts.
    """
    return Split.of(
        ids, class_names, patients, split_by_patient(patients, class_names, dict(zip(PARTS, shares, strict=True)), seed)
    )


def stored_parts(path: str | Path, recordings: pd.DataFrame, class_names: Names) -> Names:
    """Part of each recording in a stored division; empty for those that it leaves out.

    Args:
        path: CSV file that `Split.write` made.
        recordings: one row per recording, as `ecg_advmask.evaluate.eligibility.recordings_of` gives them.
        class_names: (n,) class of each, None where it has none.

    Raises:
        InputError: the file cannot be read, does not fit these recordings and their labels, has a patient or a signal
            in two parts, or puts a recording in the test part that the encoder has seen.
    """
    rows = _read(Path(path))
    place_of = {key: place for place, key in enumerate(recordings["key"])}
    _refuse(
        path, "are not in the data set", "give the data set that it was made of", [i for i in rows if i not in place_of]
    )
    keys, people = list(rows), recordings["person"].to_numpy(object)
    wrong = [i for i in keys if class_names[place_of[i]] != rows[i][1] or people[place_of[i]] != rows[i][0]]
    _refuse(path, "have another label or patient in the data set", "give the task that it was made for", wrong)
    parts = np.full(len(recordings), "", dtype=object)
    for key, (_, _, part) in rows.items():
        parts[place_of[key]] = part
    leaked = recordings["key"][recordings["seen"].to_numpy(bool) & (parts == "test")].tolist()
    mend = "pretrain without them, or judge the encoder on another split"
    _refuse(path, "of the test part were seen by the encoder in pretraining", mend, leaked)
    for column, meaning in (("person", "patient"), ("hash", "signal")):
        values = recordings[column].to_numpy(object)
        used = pd.DataFrame({"value": values, "part": parts})[(parts != "") & (values != "")]
        torn = used.groupby("value")["part"].nunique()
        mixed = recordings["key"][recordings[column].isin(torn.index[torn > 1]) & (parts != "")].tolist()
        _refuse(path, f"have the {meaning} of a recording in another part", "make the split anew", mixed)
    return parts


def _read(path: Path) -> dict[str, tuple[str, str, str]]:
    """Patient, label and part by id."""
    rows: dict[str, tuple[str, str, str]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            table = csv.DictReader(stream, strict=True)
            if not set(COLUMNS) <= set(table.fieldnames or ()):
                raise InputError(
                    f"{path}: lacks some of the columns {', '.join(COLUMNS)}, give one that linear-eval wrote"
                )
            for row in table:
                key, patient, label, part = (row[name] or "" for name in COLUMNS)
                if part not in PARTS or not key:
                    raise InputError(
                        f"{path}: line {table.line_num} has no id, or a part other than {', '.join(PARTS)}"
                    )
                if key in rows:
                    raise InputError(f"{path}: line {table.line_num} names {key} a second time, remove one of them")
                rows[key] = patient, label, part
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}), give a split that linear-eval wrote") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is not a CSV file in UTF-8 ({error})") from error
    if not rows:
        raise InputError(f"{path}: has no rows, give a split that linear-eval wrote")
    return rows


def _refuse(path: str | Path, problem: str, mend: str, ids: Sequence[str]) -> None:
    if ids:
        named = ", ".join(ids[:_NAMES_SHOWN]) + (", ..." if len(ids) > _NAMES_SHOWN else "")
        raise InputError(f"{path}: {len(ids)} recordings {problem} ({named}); {mend}")
