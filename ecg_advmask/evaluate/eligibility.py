"""What an encoder has seen of the recordings that it is to be judged on, and which of them carry a label.

In: the windows of a data set (one row each) and what the run was pretrained on. Out: one row per recording with every
reason to leave it out, so that nothing is dropped silently.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from ecg_advmask.datasets.targets import Kind, Targets, targets_of
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.partition import Names, Split, split_recordings

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


def labelled(task: str, recordings: pd.DataFrame, labels: pd.DataFrame, data_path: object) -> Targets:
    """Targets of each recording in a task.

    Raises:
        InputError: there is no such task, nothing unseen is left, or there is nothing to tell apart: fewer than two
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


def used_of(recordings: pd.DataFrame, targets: Targets, used: npt.NDArray[np.bool_]) -> tuple[Names, Targets, Names]:
    """Ids, targets and patients of the recordings that are ``used``."""
    ids, people = (recordings[name].to_numpy(object)[used] for name in ("key", "person"))
    return ids, targets.take(used), people


def account_of(recordings: pd.DataFrame, targets: Targets, split: Split, windows: int) -> dict[str, Any]:
    """How many recordings were left out for which reason; each counts once: as seen, copy, unlabelled or not asked for.

    The counts ``seen_by_...`` are of those left out as seen, of which one can be in several. ``parts`` are the
    recordings per part and class, or per part and label; ``left_out_labels`` the labels that are not in every part.
    """
    reasons, used = pd.Series(targets.reasons), recordings["key"].isin(split.ids).to_numpy(bool)
    left = ~used
    seen, copy = recordings["seen"].to_numpy(bool), recordings["copy"].to_numpy(bool)
    without = ~targets.known
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
