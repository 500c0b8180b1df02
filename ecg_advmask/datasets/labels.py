"""What is known of each recording that a head may learn to tell: rhythm, sex, age, diagnoses, a column of the user's.

In: the ``records`` table of a data set (columns ``codes``, joined by ``;``, ``sex`` and ``age_years``), or the label
table of the user. Out: a value for each recording, and for each that has none the reason why, of which
`ecg_advmask.datasets.targets` makes tasks.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from ecg_advmask.datasets.classes import ScoredClass

Reasons = npt.NDArray[np.object_]
OLDEST_YEARS: Final = 120.0

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
"""Name of a task of classes -> function from the records table to the class of each row (None: no class)."""


def reasons_without(task: str, records: pd.DataFrame) -> Reasons:
    """Why a recording has no class in one of `TASKS`, ``(n,)``; empty where it has one."""
    if task == "rhythm":
        found = [rhythm_of(codes)[1] for codes in records["codes"]]
    else:
        found = ["" if value else f"{task} is not known" for value in records[task]]
    return np.array(found, dtype=object)


def age(records: pd.DataFrame) -> tuple[npt.NDArray[np.float64], Reasons]:
    """Age of each recording in years, ``(n,)`` from 0 to `OLDEST_YEARS` or NaN, and why there is none.

    Reading a recording already takes numbers beyond these for unknown (`ecg_advmask.formats.parse_age`): archives write
    -1 for an unknown age, and PTB-XL 300 for every one above 89, which no number can stand for.
    """
    years = records["age_years"].to_numpy(np.float64)
    possible = (years >= 0) & (years <= OLDEST_YEARS)
    reasons = np.select(
        [possible, np.isnan(years)], ["", "age is not known"], f"age is not from 0 to {OLDEST_YEARS:g} years"
    )
    return np.where(possible, years, np.nan), reasons.astype(object)


def diagnoses(records: pd.DataFrame, scored: Sequence[ScoredClass]) -> tuple[npt.NDArray[np.int64], Reasons]:
    """Which of some scored classes each recording has, ``(n, C)`` of 0 and 1, and why nothing is known of it.

    A recording with SNOMED CT codes of which none is scored has none of the classes, all zeros. Nothing is known of one
    without codes, and of one that is coded otherwise, such as by the acronyms of Chapman-Shaoxing: both are all -1.
    """
    of_code = {code: place for place, one in enumerate(scored) for code in one.codes}
    values = np.zeros((len(records), len(scored)), np.int64)
    reasons = np.full(len(records), "", dtype=object)
    for row, text in enumerate(records["codes"]):
        codes = [code.strip() for code in text.split(";") if code.strip()]
        values[row, [of_code[code] for code in codes if code in of_code]] = 1
        if not any(code.isdigit() for code in codes):
            values[row], reasons[row] = -1, "no code of SNOMED CT" if codes else "no code"
    return values, reasons


def column(records: pd.DataFrame, labels: pd.DataFrame, name: str) -> tuple["pd.Series[str]", Reasons]:
    """Text of each recording in a column of the user's label table, stripped, and why it has none."""
    given = labels.drop_duplicates("id").set_index("id")[name].astype(str).str.strip()
    values = records["id"].map(given)
    reasons = np.select([values.isna(), values == ""], [f"no row with {name}", f"{name} is empty"], "")
    return values.fillna(""), reasons.astype(object)
