"""Which recordings of a data set an encoder has seen in pretraining, and which of the others have a label.

In: the windows of a data set (one row each) and what the run was pretrained on. Out: one row per recording with every
reason to leave it out, so that nothing is dropped silently.
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from ecg_advmask.data.cells import class_key
from ecg_advmask.data.split import split_by_patient
from ecg_advmask.data.targets import Kind, Targets, targets_of
from ecg_advmask.ecg.recording import is_missing
from ecg_advmask.errors import InputError, some_of
from ecg_advmask.evaluate.split import COLUMNS, PARTS, Names, Split, labels_left_out, split_recordings, without_labels

_MORE = "use another data set, or pretrain on a smaller part (--set pretraining_share=0.7)"
_SEEN = ("seen_by_id", "seen_by_signal", "seen_by_patient")
_NOUNS: Final[dict[Kind, tuple[str, str]]] = {
    "classes": ("class", "classes"),
    "labels": ("label", "combinations of labels"),
    "number": ("number", "different numbers"),
}


def recordings_of(records: pd.DataFrame, seen: pd.DataFrame | None) -> pd.DataFrame:
    """One row per recording, in the order of the ids, whatever the order of the windows.

    Args:
        records: one row per window, with the columns of ``records.csv``.
        seen: columns id, patient, signal_hash of what the run was pretrained on; None for an untrained encoder.

    Returns:
        The columns of ``records.csv`` (of the recording's first row), and ``key`` and ``person``, which name recording
        and patient and are never empty. True or False: ``seen_by_id``, ``seen_by_signal`` and ``seen_by_patient``
        (the encoder has met a recording of the same patient), ``seen`` (any of them), and ``copy`` (not seen, and with
        the signal of an earlier one that is not seen either).
    """
    table = records.reset_index(drop=True)
    ids, hashes, patients = (_text(table[name]) for name in ("id", "signal_hash", "patient"))
    known = {
        name: set() if seen is None else set(_text(seen[name])) - {""} for name in ("id", "signal_hash", "patient")
    }
    table = table.assign(
        key=ids,
        person=patients.where(patients != "", "recording " + ids),
        hash=hashes,
        seen_by_id=ids.isin(known["id"]),
        seen_by_signal=hashes.isin(known["signal_hash"]),
        seen_by_patient=patients.isin(known["patient"]),
    )
    flags = table.groupby("key")[list(_SEEN)].any()  # sorted by the key
    recordings = table.drop_duplicates("key").set_index("key", drop=False).loc[flags.index]
    recordings = recordings.assign(**{name: flags[name] for name in _SEEN}, seen=flags.any(axis=1))
    candidates = recordings[~recordings["seen"]]
    copies = candidates.index[candidates.duplicated("hash") & (candidates["hash"] != "")]
    return recordings.assign(copy=recordings.index.isin(copies)).reset_index(drop=True)


def labelled_targets(task: str, recordings: pd.DataFrame, labels: pd.DataFrame, data_path: object) -> Targets:
    """Targets of each recording in a task.

    Raises:
        InputError: there is no such task, nothing unseen is left, or there is nothing to distinguish: fewer than two
            classes or numbers, or no label that some recordings have and others lack.
    """
    targets = targets_of(recordings, labels, task)
    unseen = targets.take(~recordings["seen"].to_numpy(bool))
    if not len(unseen.values):
        raise InputError(
            f"{data_path}: the encoder was pretrained on all {len(recordings)} recordings, so none is left to judge it "
            "on; pretrain on a part (--set pretraining_share=0.7) or evaluate on another data set"
        )
    found = sorted(set(unseen.texts()[unseen.known]))
    if len(found) < 2:
        one, several = _NOUNS[targets.kind]
        raise InputError(
            f"{data_path}: task {task} finds {''.join(found) or f'no {one}'} among the {len(unseen.values)} unseen "
            f"recordings, needs at least two {several}; {_MORE}"
        )
    return targets


def unseen(recordings: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which of `recordings_of` an encoder can be judged on, (n,): it has not seen them, and none is there twice."""
    return ~(recordings["seen"] | recordings["copy"]).to_numpy(bool)


def new_split(recordings: pd.DataFrame, targets: Targets, shares: Sequence[float], seed: int) -> Split:
    """Divide the unseen recordings that have a target, by patient, into the parts of an evaluation.

    Raises:
        InputError: as `Split.of`.
    """
    return split_recordings(*used_of(recordings, targets, unseen(recordings) & targets.known), shares, seed)


def shared_split(
    recordings: pd.DataFrame, targets: Targets, strata: Sequence[Targets], shares: Sequence[float], seed: int
) -> Split:
    """One division of the unseen recordings, the same for every task, stratified by the classes of several tasks.

    Args:
        recordings: as `recordings_of` gives them.
        targets: of the task; recordings without one are not used, and move no other one to another part.
        strata: the targets of each recording in tasks whose combinations are kept in proportion.
        shares, seed: as `new_split` takes them.

    Raises:
        InputError: as `Split.of`.
    """
    eligible = unseen(recordings)
    people = recordings["person"].to_numpy(object)[eligible]
    combined = [" ".join(map(str, row)) for row in zip(*(one.take(eligible).strata() for one in strata), strict=True)]
    parts = np.full(len(recordings), "", dtype=object)
    parts[eligible] = split_by_patient(people, combined, dict(zip(PARTS, shares, strict=True)), seed)
    used = eligible & targets.known
    return Split.of(*used_of(recordings, targets, used), parts[used])


def used_of(recordings: pd.DataFrame, targets: Targets, used: npt.NDArray[np.bool_]) -> tuple[Names, Targets, Names]:
    """Ids, targets and patients of the recordings that are ``used``."""
    ids, people = (recordings[name].to_numpy(object)[used] for name in ("key", "person"))
    return ids, targets.take(used), people


def account_of(recordings: pd.DataFrame, targets: Targets, split: Split, windows: int) -> dict[str, Any]:
    """How many recordings were left out for which reason; each counts once: as seen, copy, unlabelled or not asked for.

    The counts ``seen_by_...`` are of those left out as seen, of which one can be in several. ``parts`` are the
    recordings per part and class, or per part and label; ``left_out_labels`` the labels, or classes, that are not in
    every part.
    """
    reasons, used = pd.Series(targets.reasons), recordings["key"].isin(split.ids).to_numpy(bool)
    left = ~used
    seen, copy = recordings["seen"].to_numpy(bool), recordings["copy"].to_numpy(bool)
    if targets.kind == "classes":
        rare = np.isin(targets.texts().astype(str), list(split.left_out)) & targets.known
        reasons = reasons.mask(rare, "its class is not in every part")
    without = (reasons != "").to_numpy(bool)
    unlabelled = left & ~seen & ~copy & without
    return {
        "windows": windows,
        "recordings": len(recordings),
        "seen": int((left & seen).sum()),
        **{name: int((left & recordings[name].to_numpy(bool)).sum()) for name in _SEEN},
        "copies": int((left & ~seen & copy).sum()),
        "unlabelled": int(unlabelled.sum()),
        "unlabelled_reasons": {str(reason): int(count) for reason, count in reasons[unlabelled].value_counts().items()},
        "outside_split": int((left & ~seen & ~copy & ~without).sum()),
        "eligible": int(used.sum()),
        "patients": int(recordings["person"][used].nunique()),
        "parts": split.counts(),
        "recordings_of_parts": split.sizes(),
        "left_out_labels": {name: dict(about) for name, about in split.left_out.items()},
    }


def windows_of(
    records: pd.DataFrame, keys: npt.NDArray[np.object_]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows of ``records`` that belong to the recordings in ``keys``, and the place in ``keys`` for each of them."""
    places = _text(records["id"]).map(pd.Series(np.arange(len(keys)), index=keys)).to_numpy(float)
    rows = np.flatnonzero(~np.isnan(places))
    return rows, places[rows].astype(np.int64)


def _text(column: pd.Series) -> pd.Series:
    """Text without surrounding blanks; a missing value is the empty text."""
    return column.astype(object).where(column.notna(), "").astype(str).str.strip()


# ---- A division that an earlier evaluation stored, used again: refused where it does not fit the data set, or leaks.


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
    known = targets.known
    for key, (_, label, part) in rows.items():
        if known[place_of[key]] or not is_missing(label):  # earlier versions took NA for a class
            parts[place_of[key]] = part
    leaked = recordings["key"][recordings["seen"].to_numpy(bool) & (parts == "test")].tolist()
    fix = "pretrain without them, or judge the encoder on another split"
    _refuse(path, "of the test part were seen by the encoder in pretraining", fix, leaked)
    for column, meaning in (("person", "patient"), ("hash", "signal")):
        values = recordings[column].to_numpy(object)
        used = pd.DataFrame({"value": values, "part": parts})[(parts != "") & (values != "")]
        torn = used.groupby("value")["part"].nunique()
        mixed = recordings["key"][recordings[column].isin(torn.index[torn > 1]) & (parts != "")].tolist()
        _refuse(path, f"have the {meaning} of a recording in another part", "make a new split", mixed)
    divided = parts != ""
    used, own = recordings[divided], targets.take(divided)
    left_out = labels_left_out(own, {part: np.flatnonzero(parts[divided] == part) for part in PARTS})
    texts = without_labels(own, left_out).texts()
    found = zip(used["key"], used["person"], texts, strict=True)
    wrong = [
        key for key, person, text in found if (person, _label_key(text)) != (rows[key][0], _label_key(rows[key][1]))
    ]
    _refuse(path, "have another label or patient in the data set", "give the task that it was made for", wrong)
    return Split.of(*used_of(recordings, targets, divided), parts[divided])


def _label_key(text: str | None) -> str:
    """What labels are compared by: earlier versions kept apart what differs in case, blanks or as 1 and 1.0."""
    return "" if text is None else class_key(text)


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


def _refuse(path: str | Path, problem: str, fix: str, ids: Sequence[str]) -> None:
    if ids:
        raise InputError(f"{path}: {len(ids)} recordings {problem} ({some_of(ids)}); {fix}")
