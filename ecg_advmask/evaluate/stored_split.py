"""A division that an earlier evaluation stored, used again: refused where it does not fit the data set, or leaks."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ecg_advmask.datasets.targets import Targets
from ecg_advmask.errors import InputError, some_of
from ecg_advmask.evaluate.eligibility import used_of
from ecg_advmask.evaluate.partition import COLUMNS, PARTS, Split, labels_left_out, without_labels


def stored_split(path: str | Path, recordings: pd.DataFrame, targets: Targets) -> Split:
    """The division of recordings as it was stored; those that it does not name are left out.

    Args:
        path: CSV file that `Split.write` made.
        recordings: one row per recording, as `ecg_advmask.evaluate.eligibility.recordings_of` gives them.
        targets: the targets of each.

    Raises:
        InputError: the file cannot be read, does not fit these recordings and their targets, has a patient or a signal
            in two parts, or puts a recording in the test part that the encoder has seen; or as `Split.of`.
    """
    rows = _read(Path(path))
    place_of = {key: place for place, key in enumerate(recordings["key"])}
    _refuse(
        path, "are not in the data set", "give the data set that it was made of", [i for i in rows if i not in place_of]
    )
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
    divided = parts != ""
    used, own = recordings[divided], targets.take(divided)
    left_out = labels_left_out(own, {part: np.flatnonzero(parts[divided] == part) for part in PARTS})
    texts = without_labels(own, left_out).texts()
    found = zip(used["key"], used["person"], texts, strict=True)
    wrong = [key for key, person, text in found if (person, text) != rows[key][:2]]
    _refuse(path, "have another label or patient in the data set", "give the task that it was made for", wrong)
    return Split.of(*used_of(recordings, targets, divided), parts[divided])


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
        raise InputError(f"{path}: {len(ids)} recordings {problem} ({some_of(ids)}); {mend}")
