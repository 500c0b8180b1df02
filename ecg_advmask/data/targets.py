"""What a head may learn to predict of a recording: rhythm, sex, age, diagnoses, a column of the user's.

In: the ``records`` table of a data set (columns ``codes``, joined by ``;``, ``sex`` and ``age_years``), or the label
table of the user. Out: a value for each recording, and for each that has none the reason why, of which
`ecg_advmask.data.targets` makes tasks.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from ecg_advmask.data.cells import class_key
from ecg_advmask.data.diagnoses import YEARS, ScoredClass, Year, scored_classes, subgroups
from ecg_advmask.ecg.recording import is_missing
from ecg_advmask.errors import InputError

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
"""Rhythm class of each code of a rhythm."""


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


CLASSES_OF_TASK: Final[Mapping[str, Callable[[pd.DataFrame], "pd.Series[str]"]]] = {"rhythm": rhythm, "sex": sex}
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

    Reading a recording already takes numbers beyond these for unknown (`ecg_advmask.ecg.recording.parse_age`): archives
    write -1 for an unknown age, and PTB-XL 300 for every one above 89, which no number can stand for.
    """
    years = records["age_years"].to_numpy(np.float64)
    possible = (years >= 0) & (years <= OLDEST_YEARS)
    reasons = np.select(
        [possible, np.isnan(years)], ["", "age is not known"], f"age is not from 0 to {OLDEST_YEARS:g} years"
    )
    return np.where(possible, years, np.nan), reasons.astype(object)


def diagnosis_labels(records: pd.DataFrame, scored: Sequence[ScoredClass]) -> tuple[npt.NDArray[np.int64], Reasons]:
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
    """Text of each recording in a column of the user's label table, stripped, and why it has none.

    Words for a missing value (`is_missing`) are no text.
    """
    given = labels.drop_duplicates("id").set_index("id")[name].astype(str).str.strip()
    values = records["id"].map(given)
    missing = values.fillna("").map(is_missing).to_numpy(bool)
    words = (f"{name} is " + values.where(values != "", "empty").fillna("")).to_numpy(object)
    reasons = np.where(values.isna(), f"no row with {name}", np.where(missing, words, ""))
    return values.where(~missing, ""), reasons.astype(object)


# ---- The targets of a head: one class of several, any number of labels, or a number.
#
# In: the tables of a data set and the name of a task. Out: the values of the recordings, the reason of each that has
# none, and the strata that splits, draws of labels and resamples of a test set keep in proportion.

Kind = Literal["classes", "labels", "number"]
Rows = npt.NDArray[np.int64] | npt.NDArray[np.bool_] | list[int]

MOST_NUMBERS: Final = 20
"""Different numbers up to which a column is taken for one of classes, such as grades."""

DIAGNOSIS: Final[dict[str, Year]] = {"diagnosis": YEARS[-1], **{f"diagnosis-{year}": year for year in YEARS[:-1]}}
"""Name of a task of diagnoses -> year of the Challenge whose scored classes are its targets."""

TASKS: Final = (*CLASSES_OF_TASK, "age", *DIAGNOSIS)
"""Tasks that every data set may have; a task of diagnoses may be restricted, as in ``diagnosis:conduction``."""

_QUINTILES: Final = (0.2, 0.4, 0.6, 0.8)


@dataclass(frozen=True)
class Targets:
    """The values of n recordings in a task.

    Attributes:
        task: its name.
        kind: ``classes`` (one of several), ``labels`` (any number of them) or ``number``.
        names: the classes, sorted; the labels, in their order; or the unit of the number, "" where it is not known.
        values: (n,) int64 places in ``names``, -1 where there is none; (n, C) int64 of 0 and 1, a row of -1 where there
            is none; or (n,) float64, NaN where there is none.
        reasons: (n,) why a recording has none; "" where it has one.
    """

    task: str
    kind: Kind
    names: tuple[str, ...]
    values: npt.NDArray[Any]
    reasons: npt.NDArray[np.object_]

    @classmethod
    def of_classes(cls, task: str, classes: Any, reasons: npt.NDArray[np.object_] | None = None) -> "Targets":
        """A task of classes, from the name of the class of each recording, None or NaN where there is none."""
        given = np.asarray(classes, dtype=object)
        has_one = np.asarray(pd.notna(given), dtype=bool)
        names, places = np.unique(given[has_one].astype(str), return_inverse=True)
        values = np.full(len(given), -1, np.int64)
        values[has_one] = places
        why = np.where(has_one, "", "no class").astype(object) if reasons is None else reasons
        return cls(task, "classes", tuple(names.tolist()), values, why)

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """(n,) whether a recording has a value."""
        return np.asarray(self.reasons == "", dtype=bool)

    def take(self, rows: Rows) -> "Targets":
        """The targets of some recordings, under the same names."""
        return replace(self, values=self.values[rows], reasons=self.reasons[rows])

    def only(self, labels: npt.NDArray[np.bool_]) -> "Targets":
        """The labels at which the mask ``(C,)`` is true; a recording with none of them stays known."""
        names = tuple(name for name, kept in zip(self.names, labels, strict=True) if kept)
        return replace(self, names=names, values=self.values[:, labels])

    def strata(self) -> npt.NDArray[np.int64]:
        """(n,) what is kept in proportion: the class; the rarest label that a recording has (C for one without any);
        the quintile of the number, 0 to 4; -1 where there is none."""
        if self.kind == "classes":
            return np.asarray(self.values, np.int64)
        if self.kind == "number":
            edges = np.quantile(self.values[self.known], _QUINTILES) if self.known.any() else []
            return np.where(self.known, np.searchsorted(edges, self.values), -1).astype(np.int64)
        strata = np.where(self.known, len(self.names), -1).astype(np.int64)
        for label in np.argsort((self.values == 1).sum(axis=0), kind="stable")[::-1]:
            strata[self.values[:, label] == 1] = label  # the rarest is the last
        return strata

    def groups(self) -> npt.NDArray[np.bool_]:
        """(n, G) what the labelled recordings of a head must hold one of each: the classes; recordings with and without
        each label; the quintiles."""
        if self.kind == "labels":
            return np.hstack([self.values == 1, self.values == 0])
        strata = self.strata()
        return np.equal.outer(strata, np.unique(strata[self.known]))

    def texts(self) -> npt.NDArray[np.object_]:
        """(n,) the class; the labels, joined by ``;``; the number in as many digits as it has; None where none."""
        texts = np.full(len(self.values), None, dtype=object)
        for row in np.flatnonzero(self.known):
            value = self.values[row]
            if self.kind == "classes":
                texts[row] = self.names[value]
            elif self.kind == "labels":
                texts[row] = ";".join(self.names[place] for place in np.flatnonzero(value == 1))
            else:
                texts[row] = repr(float(value)).removesuffix(".0")
        return texts


def targets_of(records: pd.DataFrame, labels: pd.DataFrame, task: str) -> Targets:
    """Value of each recording in a task.

    Args:
        records: one row per recording, with the columns id, age_years, sex and codes.
        labels: one row per recording, column ``id`` and the user's own, all text; an empty cell is no label.
        task: a column of ``labels``, which overrides one of `TASKS` with the same name. A column with more than
            `MOST_NUMBERS` different numbers, which at least half of its cells hold, holds a number to be estimated,
            any other one classes, of which those that differ in case or blanks alone, or are equal as numbers (1, 1.0
            and 01), are one. After ``diagnosis:`` or ``diagnosis-2020:`` stands a group of diseases of
            `ecg_advmask.data.diagnoses.subgroups`, if only its classes are targets.

    Raises:
        InputError: there is no such task.
    """
    columns = [str(name) for name in labels.columns if name != "id"]
    if task in columns:
        return _of_column(records, labels, task)
    if task in CLASSES_OF_TASK:
        classes = CLASSES_OF_TASK[task](records)
        return Targets.of_classes(task, classes.to_numpy(object), reasons_without(task, records))
    if task == "age":
        return Targets(task, "number", ("years",), *age(records))
    name, restricted, group = task.partition(":")
    if name not in DIAGNOSIS:
        raise InputError(
            f"--task {task}: no such task; there are: {', '.join(TASKS)}, and the columns of the data set's labels "
            f"({', '.join(columns) or 'none'}), which ecg-advmask prepare --labels FILE brings in"
        )
    year = DIAGNOSIS[name]
    if restricted and group not in subgroups(year):
        raise InputError(f"--task {task}: no such group of diseases; there are: {', '.join(subgroups(year))}")
    scored = [one for one in scored_classes(year) if not restricted or one.subgroup == group]
    return Targets(task, "labels", tuple(one.name for one in scored), *diagnosis_labels(records, scored))


def _of_column(records: pd.DataFrame, labels: pd.DataFrame, task: str) -> Targets:
    texts, reasons = column(records, labels, task)
    known = texts[reasons == ""]
    numbers = numbers_of(texts)
    finite = np.isfinite(numbers)
    if len(np.unique(numbers[finite])) <= MOST_NUMBERS or 2 * finite.sum() < (reasons == "").sum():
        spelt = spellings(known)
        return Targets.of_classes(task, texts.map(lambda text: spelt.get(class_key(text))).to_numpy(object), reasons)
    reasons = np.where((reasons == "") & ~finite, f"{task} is not a number", reasons)
    return Targets(task, "number", ("",), np.where(finite, numbers, np.nan), reasons)


def numbers_of(texts: "pd.Series[str]") -> npt.NDArray[np.float64]:
    """The number in each text, (n,), NaN where there is none.

    A comma is taken for a decimal one, unless a point is in a number of the column or a comma may be there to group
    thousands everywhere (three digits follow each).
    """
    commas = texts[texts.str.fullmatch(r"[+-]?\d+,\d+")]
    has_points = texts.str.fullmatch(r"[+-]?\d*\.\d+").any()
    if len(commas) and not has_points and not commas.str.fullmatch(r"[+-]?\d{1,3},\d{3}").all():
        texts = texts.where(~texts.index.isin(commas.index), texts.str.replace(",", ".", regex=False))
    return pd.to_numeric(texts, errors="coerce").to_numpy(np.float64)


def spellings(texts: Iterable[str]) -> dict[str, str]:
    """The spelling of each class by its key (`class_key`): the commonest, of equals the first by alphabet."""
    counts: dict[str, Counter[str]] = {}
    for text in texts:
        counts.setdefault(class_key(text), Counter())[text] += 1
    return {key: min(found, key=lambda text: (-found[text], text)) for key, found in counts.items()}
