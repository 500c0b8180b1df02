"""The classes of a task, from what is known of each recording; a recording that has no clear class has none.

A task is a column of the user's label table, or else one of `TASKS`, made from the ``records`` table of a data set
(columns ``codes``, joined by ``;``, and ``sex``).
"""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import pandas as pd

from ecg_advmask.errors import InputError

MOST_NUMBERS: Final = 20
"""Different values up to which a column of numbers is taken for one of classes, such as grades."""

RHYTHM_OF: Final[Mapping[str, str]] = {
    # acronyms of Chapman-Shaoxing and its merging into four classes (Zheng et al. 2020, Scientific Data 7:48)
    "AFIB": "AFIB",  # atrial fibrillation
    "AF": "AFIB",  # atrial flutter
    "SVT": "GSVT",  # supraventricular tachycardia
    "AT": "GSVT",  # atrial tachycardia
    "SAAWR": "GSVT",  # sinus atrium to atrial wandering rhythm
    "ST": "GSVT",  # sinus tachycardia
    "AVNRT": "GSVT",  # atrioventricular nodal re-entrant tachycardia
    "AVRT": "GSVT",  # atrioventricular re-entrant tachycardia
    "SB": "SB",  # sinus bradycardia
    "SR": "SR",  # sinus rhythm
    "SA": "SR",  # sinus irregularity
    # SNOMED CT numbers of the same, as CinC 2021 uses them
    "164889003": "AFIB",
    "164890007": "AFIB",
    "426761007": "GSVT",
    "713422000": "GSVT",
    "17366009": "GSVT",  # sinus atrium to atrial wandering rhythm
    "195101003": "GSVT",  # wandering atrial pacemaker
    "427084000": "GSVT",
    "233896004": "GSVT",
    "251166008": "GSVT",  # atrioventricular nodal re-entrant tachycardia, as the Chapman-Shaoxing source codes it
    "233897008": "GSVT",
    "426177001": "SB",
    "426783006": "SR",
    "427393009": "SR",
}
"""Rhythm class of each code that tells a rhythm."""


def rhythm_of(codes: str) -> tuple[str | None, str]:
    """Rhythm class of a recording's codes, joined by ``;``; else None and the reason why it has none."""
    classes = sorted({RHYTHM_OF[code] for code in codes.split(";") if code in RHYTHM_OF})
    if len(classes) == 1:
        return classes[0], ""
    return None, f"codes of several rhythms: {', '.join(classes)}" if classes else "no code of a rhythm"


def rhythm(records: pd.DataFrame) -> "pd.Series[str]":
    """AFIB, GSVT, SB or SR of each recording, or None."""
    return pd.Series([rhythm_of(codes)[0] for codes in records["codes"]], records.index, dtype=object)


def sex(records: pd.DataFrame) -> "pd.Series[str]":
    """Male or female, or None where it is not known."""
    return pd.Series([value or None for value in records["sex"]], records.index, dtype=object)


TASKS: Final[Mapping[str, Callable[[pd.DataFrame], "pd.Series[str]"]]] = {"rhythm": rhythm, "sex": sex}
"""Name of a task -> function from the records table to the class of each row (None: no class)."""


def classes_and_reasons(records: pd.DataFrame, labels: pd.DataFrame, task: str) -> tuple[pd.Series, pd.Series]:
    """Class of each recording in a task, None where it has none, and why it has none (empty where it has one).

    Args:
        records: one row per recording, with the columns id, codes and sex.
        labels: one row per recording, column ``id`` and the user's own, all text; an empty cell is no label.
        task: a column of ``labels``, which goes before a name in `TASKS`.

    Raises:
        InputError: there is no such task, or the column holds numbers to be estimated rather than classes.
    """
    columns = [str(name) for name in labels.columns if name != "id"]
    if task in columns:
        return _of_column(records, labels, task)
    if task not in TASKS:
        own = ", ".join(columns) or "none"
        raise InputError(
            f"--task {task}: no such task; there are: {', '.join(TASKS)}, and the columns of the data set's labels "
            f"({own}), which ecg-advmask prepare --labels FILE brings in"
        )
    classes = TASKS[task](records)
    if task == "rhythm":
        return classes, records["codes"].map(lambda codes: rhythm_of(codes)[1])
    return classes, classes.map(lambda value: "" if isinstance(value, str) else f"{task} is not known")


def _of_column(records: pd.DataFrame, labels: pd.DataFrame, task: str) -> tuple[pd.Series, pd.Series]:
    given = labels.drop_duplicates("id").set_index("id")[task].astype(str).str.strip()
    values = records["id"].map(given)
    different = pd.Series(values.dropna().unique())
    different = different[different != ""]
    if len(different) > MOST_NUMBERS and pd.to_numeric(different, errors="coerce").notna().all():
        raise InputError(
            f"--task {task}: the column holds {len(different)} different numbers, but linear-eval tells classes apart; "
            "add a column with a few classes of them, such as low, normal and high, and prepare the data set again"
        )
    reasons = np.select([values.isna(), values == ""], [f"no row with {task}", f"{task} is empty"], "")
    classes = [None if reason else value for value, reason in zip(values, reasons, strict=True)]
    return pd.Series(classes, records.index, dtype=object), pd.Series(reasons, records.index, dtype=object)
