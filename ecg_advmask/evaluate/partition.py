"""The recordings of an evaluation, divided once by patient into a training, a validation and a test part."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ecg_advmask.datasets.splits import split_by_patient
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.metrics import IntArray

Names = npt.NDArray[np.object_]
PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Patients divided once: class numbers of all recordings, and the recordings of each part."""

    classes: tuple[str, ...]
    labels: IntArray
    patients: Names
    rows: Mapping[str, npt.NDArray[np.int64]]

    def counts(self) -> dict[str, dict[str, int]]:
        """Recordings per part and class."""
        return {
            part: {name: int((self.labels[rows] == k).sum()) for k, name in enumerate(self.classes)}
            for part, rows in self.rows.items()
        }

    def digest(self, ids: Names, part: str) -> str:
        """SHA-256 over the sorted ids of a part, one per line: equal if and only if the part is the same."""
        return hashlib.sha256("\n".join(sorted(ids[self.rows[part]])).encode()).hexdigest()


def split_recordings(class_names: Names, patients: Names, shares: Sequence[float], seed: int) -> Split:
    """Divide recordings ``(n,)`` by patient into training, validation and test part, stratified by class.

    Raises:
        InputError: a class has no recording in one of the parts.
    """
    classes, labels = np.unique(class_names.astype(str), return_inverse=True)
    part_of = np.asarray(split_by_patient(patients, class_names, dict(zip(PARTS, shares, strict=True)), seed))
    split = Split(tuple(classes.tolist()), labels, patients, {part: np.flatnonzero(part_of == part) for part in PARTS})
    for part, counts in split.counts().items():
        for name, count in counts.items():
            if count == 0:
                raise InputError(
                    f"class {name}: its {int((class_names == name).sum())} unseen recordings leave none for the {part} "
                    "part; evaluate on more recordings, or pretrain on a smaller part (--set pretraining_share=0.7)"
                )
    return split
