"""Dividing recordings into parts by patient, and the order in which labels are drawn: stratified, by a seed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ecg_advmask.errors import InputError

Labels = Sequence[Any] | npt.NDArray[Any]


def split_by_patient(patients: Labels, labels: Labels, shares: Mapping[str, float], seed: int) -> npt.NDArray[np.str_]:
    """Put each recording into a part so that no patient is in two and each class is shared out in proportion.

    A patient counts for the class that most of their recordings have. Within a class, patients are shuffled. Those with
    several recordings come first, the largest number first: each goes to the part that lacks most of such patients, of
    the class and of all classes, so that every part has its share of them. The others bring the recordings of the class
    into proportion: each goes to the part that lacks most of them.

    Args:
        patients: patient of each recording.
        labels: class of each recording; None is a class of its own here.
        shares: wanted share of the recordings, by name of the part; they sum to 1.
        seed: the same seed gives the same parts, in whatever order the recordings come.

    Returns:
        (n,) name of the part of each recording.

    Raises:
        InputError: the shares are not between 0 and 1 with the sum 1, or the lengths differ.
    """
    if len(patients) != len(labels):
        raise InputError(f"{len(patients)} patients for {len(labels)} labels: there must be one of each per recording")
    if not shares or min(shares.values()) < 0 or abs(sum(shares.values()) - 1) > 1e-6:
        raise InputError(f"shares {dict(shares)}: must not be negative and must sum to 1")
    names, inverse, counts = np.unique(
        np.asarray([str(patient) for patient in patients]), return_inverse=True, return_counts=True
    )
    classes_of: list[Counter[str]] = [Counter() for _ in names]
    for patient, label in zip(inverse, labels, strict=True):
        classes_of[patient][_class_name(label)] += 1
    main_class = np.asarray([min(found, key=lambda name: (-found[name], name)) for found in classes_of])
    part_of_patient = np.zeros(len(names), dtype=int)
    fractions = np.asarray(list(shares.values()))
    generator = np.random.default_rng(seed)
    due = np.zeros(len(fractions))  # patients with several recordings that each part lacks, of the classes so far
    for name in np.unique(main_class):
        members = generator.permutation(np.flatnonzero(main_class == name))
        members = members[np.argsort(-counts[members], kind="stable")]
        lacking = fractions * counts[members].sum()
        due_of_class = np.zeros(len(fractions))
        for member in members:
            if counts[member] > 1:
                due += fractions
                due_of_class += fractions
                part = int(np.argmax(due + due_of_class))
                due[part] -= 1
                due_of_class[part] -= 1
            else:
                part = int(np.argmax(lacking))
            part_of_patient[member] = part
            lacking[part] -= counts[member]
    return np.asarray(list(shares))[part_of_patient[inverse]]


def draw_order(
    ids: Labels, strata: npt.NDArray[np.int64], groups: npt.NDArray[np.bool_], seed: int
) -> tuple[npt.NDArray[np.int64], int]:
    """Put recordings into an order of which every beginning is a fair draw, so that a draw contains each smaller one.

    First comes one recording of each group, as few as a greedy choice finds from the rarest group on. Then every
    next one is of the stratum that is behind most, by the divisors of Sainte-Lague: (k + 1/2) / size, for the k-th of
    a stratum. Within a stratum the order is random.

    Args:
        ids: (n,) name of each recording, no two alike; the order does not depend on how the recordings come.
        strata: (n,) what is drawn in proportion.
        groups: (n, G) which groups a recording is of, such as its class.
        seed: the same seed gives the same order.

    Returns:
        (n,) rows in the order in which they are drawn, and how many of the first hold one of every group.
    """
    shuffled = np.argsort(np.asarray([str(one) for one in ids]), kind="stable")
    shuffled = np.random.default_rng(seed).permutation(shuffled)
    members = groups[shuffled]
    sizes = members.sum(axis=0)
    first: list[int] = []
    for group in np.argsort(sizes, kind="stable"):
        if sizes[group] and not members[first, group].any():
            first.append(int(members[:, group].argmax()))
    places = np.concatenate([np.asarray(first, np.int64), np.delete(np.arange(len(shuffled)), first)])
    stratum = pd.Series(strata[shuffled[places]])
    within = stratum.groupby(stratum)
    due = np.asarray((within.cumcount() + 0.5) / within.transform("size"))
    due = np.where(np.arange(len(due)) < len(first), 0, due)
    return shuffled[places[np.argsort(due, kind="stable")]], len(first)


def _class_name(label: Any) -> str:
    """A label as text; empty for a missing one (None, or NaN as pandas writes it)."""
    return "" if label is None or (isinstance(label, float) and np.isnan(label)) else str(label)
