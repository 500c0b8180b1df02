"""Which recordings an encoder may be judged on: those with a label that it has not seen in pretraining.

In: the windows of a data set (one row each) and what the run was pretrained on. Out: one row per recording, and how
many were left out for which reason, so that nothing is dropped silently.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ecg_advmask.datasets.labels import TASKS
from ecg_advmask.errors import InputError


@dataclass(frozen=True)
class Unseen:
    """Recordings that took no part in pretraining.

    ``recordings`` has one row per recording: the columns of ``records.csv`` (of its first window), and ``key`` and
    ``person``, which are never empty. ``windows`` holds the rows of ``records.csv`` that belong to them and
    ``recording_of_window`` the row of ``recordings`` for each of these. ``counts`` is the account in recordings.
    """

    recordings: pd.DataFrame
    windows: np.ndarray[tuple[int], np.dtype[np.int64]]
    recording_of_window: np.ndarray[tuple[int], np.dtype[np.int64]]
    counts: dict[str, int]


def unseen_recordings(records: pd.DataFrame, seen: pd.DataFrame | None) -> Unseen:
    """Leave out what the encoder knows: by id, by the signal's hash, and every recording of a patient it has met.

    Of several recordings with the same signal the first is kept, so that no copy of a training recording is tested.

    Args:
        records: one row per window, with the columns of ``records.csv``.
        seen: columns id, patient, signal_hash of what the run was pretrained on; None for an untrained encoder.
    """
    table = records.reset_index(drop=True)
    ids, hashes, patients = (_text(table[name]) for name in ("id", "signal_hash", "patient"))
    table = table.assign(key=ids, person=patients.where(patients != "", "recording " + ids), hash=hashes)
    known = {
        name: set() if seen is None else set(_text(seen[name])) - {""} for name in ("id", "signal_hash", "patient")
    }
    reasons = pd.DataFrame(
        {
            "key": ids,
            "seen_by_id": ids.isin(known["id"]),
            "seen_by_signal": hashes.isin(known["signal_hash"]),
            "seen_by_patient": patients.isin(known["patient"]),
        }
    )
    by_recording = reasons.groupby("key", sort=False).any()
    first_windows = table.drop_duplicates("key").set_index("key", drop=False)
    is_seen = by_recording.any(axis=1)
    candidates = first_windows[~is_seen]
    is_copy = candidates.duplicated("hash") & (candidates["hash"] != "")
    recordings = candidates[~is_copy].drop(columns="hash").reset_index(drop=True)

    position = pd.Series(np.arange(len(recordings)), index=recordings["key"])
    recording_of = ids.map(position)
    kept = recording_of.notna().to_numpy()
    counts = {"windows": len(table), "recordings": len(first_windows), "seen": int(is_seen.sum())}
    counts |= {str(name): int(count) for name, count in by_recording.sum().items()}
    counts["copies"] = int(is_copy.sum())
    return Unseen(recordings, np.flatnonzero(kept), recording_of[kept].to_numpy(np.int64), counts)


def label_for(task: str, unseen: Unseen, data_path: object) -> pd.Series:
    """Class name of each unseen recording in a task, None where it has no label.

    Raises:
        InputError: the task does not exist, nothing unseen is left, or there are fewer than two classes.
    """
    if task not in TASKS:
        raise InputError(f"--task {task}: no such task; there are: {', '.join(TASKS)}")
    if unseen.recordings.empty:
        raise InputError(
            f"{data_path}: the encoder was pretrained on all {unseen.counts['recordings']} recordings, so none is left "
            "to judge it on; pretrain on a part (--set pretraining_share=0.7) or evaluate on another data set"
        )
    labels = TASKS[task](unseen.recordings)
    found = sorted(labels.dropna().unique())
    if len(found) < 2:
        raise InputError(
            f"{data_path}: task {task} finds {' and '.join(found) or 'no class'} among the {len(unseen.recordings)} "
            "unseen recordings, needs at least two classes; use another data set, or pretrain on a smaller part "
            "(--set pretraining_share=0.7)"
        )
    return labels


def _text(column: pd.Series) -> pd.Series:
    """Text without surrounding blanks; a missing value is the empty text."""
    return column.astype(object).where(column.notna(), "").astype(str).str.strip()
