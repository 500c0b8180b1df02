"""The diagnoses of the PhysioNet/CinC Challenges 2020 and 2021: names of their codes, and the classes that are scored.

In: SNOMED CT codes as the headers hold them. Out: names to show, and scored classes to count or to learn.

The data is ``diagnoses.csv``: the 133 codes of the Challenge of 2021, from the tables ``dx_mapping_scored.csv`` and
``dx_mapping_unscored.csv`` of github.com/physionetchallenges/evaluation-2021 (the spelling of names is ours). 27 codes
were scored in 2020 (Perez Alday et al. 2020, Physiol. Meas. 41:124003) and 30 in 2021 (Reyna et al. 2021, CinC); where
two of them are scored as the same diagnosis, column ``same_as``, they are one class, which leaves 24 and 26 classes.
Some recordings of Ningbo have codes that neither table names; such a code is shown as it is.

The column ``subgroup`` puts every scored code into one group of diseases, after 3KG, which reports its results by
disease subgroup (Gopal et al. 2021, PMLR 158, arXiv 2106.04452). Which diagnosis belongs to which group is our own
assignment by physiological meaning, made without the paper's table: results by subgroup cannot be set beside its
numbers one by one.
"""

import csv
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Final, Literal, get_args

Year = Literal[2020, 2021]
YEARS: Final[tuple[Year, ...]] = get_args(Year)
"""The two Challenges, by year."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One SNOMED CT code. ``scored_since`` is the first year that scores it, None if neither does; ``same_as`` is the
    code that it is scored together with, and ``subgroup`` its group of diseases; both are empty where there is none."""

    code: str
    abbreviation: str
    name: str
    scored_since: int | None
    same_as: str
    subgroup: str


@dataclass(frozen=True, slots=True)
class ScoredClass:
    """One class of a year. ``name`` joins the abbreviations of its codes as the Challenge does (``CRBBB|RBBB``), and
    ``meaning`` their names."""

    name: str
    meaning: str
    codes: tuple[str, ...]
    subgroup: str


@functools.cache
def diagnoses() -> Mapping[str, Diagnosis]:
    """Every diagnosis of the Challenges by its code: the scored ones, then the others, each by abbreviation."""
    with resources.files(__package__).joinpath("diagnoses.csv").open(encoding="utf-8") as stream:
        return {
            row["code"]: Diagnosis(
                row["code"],
                row["abbreviation"],
                row["name"],
                int(row["scored_since"]) if row["scored_since"] else None,
                row["same_as"],
                row["subgroup"],
            )
            for row in csv.DictReader(stream)
        }


@functools.cache
def scored_classes(year: Year) -> tuple[ScoredClass, ...]:
    """The classes that the Challenge of a year scores: 24 in 2020, 26 in 2021, by abbreviation."""
    members: dict[str, list[Diagnosis]] = {}
    for diagnosis in diagnoses().values():
        if diagnosis.scored_since is not None and diagnosis.scored_since <= year:
            members.setdefault(diagnosis.same_as or diagnosis.code, []).append(diagnosis)
    return tuple(
        ScoredClass(
            name="|".join(diagnosis.abbreviation for diagnosis in same),
            meaning=" or ".join(diagnosis.name for diagnosis in same),
            codes=tuple(diagnosis.code for diagnosis in same),
            subgroup=same[0].subgroup,
        )
        for same in members.values()
    )


def subgroups(year: Year) -> dict[str, tuple[str, ...]]:
    """Names of the classes of a year in each group of diseases; every class is in exactly one."""
    groups: dict[str, tuple[str, ...]] = {}
    for scored in scored_classes(year):
        groups[scored.subgroup] = (*groups.get(scored.subgroup, ()), scored.name)
    return groups


def classes_of(codes: str | Iterable[str], year: Year) -> tuple[str, ...]:
    """Names of the scored classes of one recording, each once, in the order of `scored_classes`.

    ``codes`` are its codes, joined by ``;`` as in ``records.csv`` or one by one; those that are not scored are left
    aside.
    """
    single = {code.strip() for code in (codes.split(";") if isinstance(codes, str) else codes)}
    return tuple(scored.name for scored in scored_classes(year) if single.intersection(scored.codes))


def name_of(code: str) -> str:
    """What a code means, such as ``atrial fibrillation``; a code that the Challenges do not name is given back."""
    diagnosis = diagnoses().get(code)
    return diagnosis.name if diagnosis else code
