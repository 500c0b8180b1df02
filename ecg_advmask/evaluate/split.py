"""The recordings of an evaluation, divided once by patient into a training, a validation and a test part.

The division is stored beside every result as CSV (id, patient, label, part) and can be used again for another encoder.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from ecg_advmask.data.split import draw_order, split_by_patient
from ecg_advmask.data.targets import Targets
from ecg_advmask.errors import InputError
from ecg_advmask.files import write_csv

Names = npt.NDArray[np.object_]
PARTS: Final = ("train", "validation", "test")
COLUMNS: Final = ("id", "patient", "label", "part")
_MORE: Final = "evaluate on more recordings of them"


@dataclass(frozen=True)
class Split:
    """Recordings divided once by patient into `PARTS`.

    Attributes:
        targets: the targets of the recordings, all known; of labels only those that can be learnt and judged.
        ids, patients: (n,) text.
        rows: the rows of the recordings of each part, ascending.
        left_out: labels that lack a recording with or without them in some part, or classes that some part lacks; in
            how many recordings they are, and what is lacking.
    """

    targets: Targets
    ids: Names
    patients: Names
    rows: Mapping[str, npt.NDArray[np.int64]]
    left_out: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, ids: Names, targets: Targets, patients: Names, parts: npt.NDArray[Any]) -> "Split":
        """The split in which each recording is in the part that is named for it.

        A class that is not in every part is left out with its recordings, a label without them.

        Raises:
            InputError: a part is empty; fewer than two classes, or no label, is left.
        """
        left_out = labels_left_out(targets, {part: np.flatnonzero(parts == part) for part in PARTS})
        if targets.kind == "classes":
            kept = ~np.isin(targets.texts().astype(str), list(left_out))
            ids, patients, parts, targets = ids[kept], patients[kept], parts[kept], targets.take(np.flatnonzero(kept))
            found = Targets.of_classes(targets.task, targets.texts())  # without classes of other recordings
            if len(found.names) < 2 and left_out:
                each = "; ".join(f"{name}: {one['recordings']}, {one['reason']}" for name, one in left_out.items())
                raise InputError(f"task {targets.task}: fewer than two classes are in every part ({each}); {_MORE}")
        else:
            found = without_labels(targets, left_out)
        rows = {part: np.flatnonzero(parts == part) for part in PARTS}
        if not found.names:
            raise InputError(f"task {targets.task}: no label is in every part, and lacking in every part; {_MORE}")
        split = cls(found, ids, patients, rows, left_out)
        for part, counts in split.counts().items():
            for name, count in counts.items():
                if count == 0:
                    whose = f"task {targets.task}: the" if targets.kind == "number" else f"class {name}: its"
                    number = sum(of_part[name] for of_part in split.counts().values())
                    raise InputError(f"{whose} {number} recordings leave none for the {part} part; {_MORE}")
        return split

    def draw(self, fraction: float, seed: int) -> npt.NDArray[np.int64]:
        """Draw labelled recordings from the training part, the strata of the targets in proportion.

        Args:
            fraction: a share, up to 1, which is rounded to recordings and draws at least one of each class (with and
                without each label, in each quintile); above 1 the number of recordings.
            seed: with one seed, a smaller draw is part of each larger one, in whatever order the recordings come.

        Returns:
            Rows of the split, ascending.

        Raises:
            InputError: it is neither, or there are fewer recordings, or more classes, than are to be drawn.
        """
        train = self.rows["train"]
        if not fraction > 0 or (fraction > 1 and not float(fraction).is_integer()):
            raise InputError(f"--labels: {fraction:g} is neither a share up to 1 nor a whole number of labels")
        if fraction > len(train):
            raise InputError(f"--labels: {fraction:g} labels asked for, the training part has {len(train)}")
        targets = self.targets.take(train)
        order, fewest = draw_order(self.ids[train], targets.strata(), targets.groups(), seed)
        if 1 < fraction < fewest:
            raise InputError(
                f"--labels: {fraction:g} labelled recordings cannot hold one of each class, or with and without "
                f"each label, of {targets.task}; ask for {fewest} or more"
            )
        count = int(fraction) if fraction > 1 else max(fewest, round(fraction * len(train)))
        return np.sort(train[order[:count]])

    def sizes(self) -> dict[str, int]:
        """Recordings per part."""
        return {part: len(rows) for part, rows in self.rows.items()}

    def counts(self) -> dict[str, dict[str, int]]:
        """Recordings per part and class, or label; of a number per part alone, under ``recordings``."""
        values, names = self.targets.values, self.targets.names
        if self.targets.kind == "number":
            return {part: {"recordings": size} for part, size in self.sizes().items()}
        has = values == 1 if self.targets.kind == "labels" else values[:, None] == np.arange(len(names))
        return {part: dict(zip(names, has[rows].sum(axis=0).tolist(), strict=True)) for part, rows in self.rows.items()}

    def digest(self, part: str) -> str:
        """SHA-256 over the sorted ids of a part, one per line: equal if and only if the part is the same."""
        return hashlib.sha256("\n".join(sorted(self.ids[self.rows[part]])).encode()).hexdigest()

    def write(self, path: str | Path) -> None:
        """Write the division as CSV, atomically, in the order of the recordings."""
        part_of = np.empty(len(self.ids), dtype=object)
        for part, rows in self.rows.items():
            part_of[rows] = part
        rows_of = zip(self.ids, self.patients, self.targets.texts(), part_of, strict=True)
        write_csv(path, COLUMNS, (dict(zip(COLUMNS, row, strict=True)) for row in rows_of))


def split_recordings(ids: Names, targets: Targets, patients: Names, shares: Sequence[float], seed: int) -> Split:
    """Divide recordings ``(n,)`` by patient into training, validation and test part, stratified by their targets.

    Labels that cannot be in every part, because fewer than three patients have or lack them, have no stratum.

    Raises:
        InputError: as `Split.of`.
    """
    stratified = targets
    if targets.kind == "labels":
        people = pd.DataFrame(targets.values).groupby(patients.astype(str))
        having, lacking = (people.max() == 1).sum(), (people.min() == 0).sum()
        stratified = targets.only(((having >= len(PARTS)) & (lacking >= len(PARTS))).to_numpy(bool))
    parts = split_by_patient(patients, stratified.strata(), dict(zip(PARTS, shares, strict=True)), seed)
    return Split.of(ids, targets, patients, parts)


def labels_left_out(targets: Targets, rows: Mapping[str, npt.NDArray[np.int64]]) -> dict[str, dict[str, Any]]:
    """The labels, or classes, that cannot be learnt and judged: in how many recordings they are, and what is lacking.

    ``rows`` are the rows of each part. A label is left out unless every part has recordings with and without it, a
    class unless every part has recordings of it; a class of no recording is none.
    """
    if targets.kind == "number":
        return {}
    if targets.kind == "labels":
        indicators, needed = targets.values, [("with", 1), ("without", 0)]
    else:
        indicators = (targets.values[:, None] == np.arange(len(targets.names))).astype(np.int64)
        needed = [("with", 1)]
    left_out: dict[str, dict[str, Any]] = {}
    for name, values in zip(targets.names, indicators.T, strict=True):
        recordings = int((values == 1).sum())
        if targets.kind == "classes" and recordings == 0:
            continue
        for having, value in needed:
            lacking = [part for part, found in rows.items() if not (values[found] == value).any()]
            if lacking:
                where = "" if len(lacking) == len(rows) else f" in the {' or the '.join(lacking)} part"
                what = f"no recording {having} it" if targets.kind == "labels" else "no recording of it"
                left_out[name] = {"recordings": recordings, "reason": f"{what}{where}"}
                break
    return left_out


def without_labels(targets: Targets, names: Iterable[str]) -> Targets:
    """The targets without some of their labels; those of another kind as they are."""
    if targets.kind != "labels":
        return targets
    return targets.only(~np.isin(targets.names, list(names)))
