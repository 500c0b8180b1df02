"""What an encoder has seen of the recordings that it is to be judged on, and which of them carry a label.

In: the windows of a data set (one row each) and what the run was pretrained on. Out: one row per recording with every
reason to leave it out, so that nothing is dropped silently.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ecg_advmask.datasets.labels import classes_and_reasons
from ecg_advmask.errors import InputError

_MORE = "use another data set, or pretrain on a smaller part (--set pretraining_share=0.7)"
_SEEN = ("seen_by_id", "seen_by_signal", "seen_by_patient")


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


def labelled(
    task: str, recordings: pd.DataFrame, labels: pd.DataFrame, data_path: object
) -> tuple[npt.NDArray[np.object_], pd.Series]:
    """Class of each recording in a task (None where it has none), and why it has none (empty where it has one).

    Raises:
        InputError: there is no such task, nothing unseen is left, or it has fewer than two classes.
    """
    classes, reasons = classes_and_reasons(recordings, labels, task)
    unseen = classes[~recordings["seen"]]
    if unseen.empty:
        raise InputError(
            f"{data_path}: the encoder was pretrained on all {len(recordings)} recordings, so none is left to judge it "
            "on; pretrain on a part (--set pretraining_share=0.7) or evaluate on another data set"
        )
    found = sorted(unseen.dropna().unique())
    if len(found) < 2:
        raise InputError(
            f"{data_path}: task {task} finds {' and '.join(found) or 'no class'} among the {len(unseen)} unseen "
            f"recordings, needs at least two classes; {_MORE}"
        )
    return classes.to_numpy(object), reasons


def account_of(
    recordings: pd.DataFrame, reasons: pd.Series, used: npt.NDArray[np.bool_], windows: int
) -> dict[str, Any]:
    """How many recordings were left out for which reason; each counts once: as seen, copy, unlabelled or not asked for.

    The counts ``seen_by_...`` are of those left out as seen, of which one can be in several.
    """
    left = ~used
    seen, copy = recordings["seen"].to_numpy(bool), recordings["copy"].to_numpy(bool)
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
