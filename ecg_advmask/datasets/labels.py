"""The classes of a task, from what is known of each recording; a recording that has no clear class has none.

Input is the ``records`` table of a data set (columns ``codes``, joined by ``;``, and ``sex``).
"""

from collections.abc import Callable, Mapping
from typing import Final

import pandas as pd

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


def without_label(records: pd.DataFrame, task: str) -> dict[str, int]:
    """How many recordings have no class in a task, by reason; the commonest first."""
    if task == "rhythm":
        reasons = records["codes"].map(lambda codes: rhythm_of(codes)[1])
    else:
        reasons = TASKS[task](records).map(lambda value: "" if isinstance(value, str) else f"{task} is not known")
    counts = reasons[reasons != ""].value_counts()
    return {str(reason): int(count) for reason, count in counts.items()}
