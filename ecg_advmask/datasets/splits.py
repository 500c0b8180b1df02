"""Dividing recordings into parts and label fractions: by patient, classes in proportion, repeatable by a seed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ecg_advmask.errors import InputError

Labels = Sequence[Any] | npt.NDArray[Any]


def split_by_patient(patients: Labels, labels: Labels, shares: Mapping[str, float], seed: int) -> npt.NDArray[np.str_]:
    """Put each recording into a part so that no patient is in two and each class is shared out in proportion.

    A patient counts for the class that most of their recordings have. Within a class, patients are shuffled and taken
    from the one with the most recordings on; each goes to the part that lacks most recordings of the class.

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
    for name in np.unique(main_class):
        members = generator.permutation(np.flatnonzero(main_class == name))
        members = members[np.argsort(-counts[members], kind="stable")]
        lacking = fractions * counts[members].sum()
        for member in members:
            part = int(np.argmax(lacking))
            part_of_patient[member] = part
            lacking[part] -= counts[member]
    return np.asarray(list(shares))[part_of_patient[inverse]]


def label_fraction(ids: Labels, labels: Labels, fraction: float, seed: int) -> npt.NDArray[np.int64]:
    """Choose a fraction of the labelled recordings, the same fraction of every class and at least one of each.

    For one seed a smaller fraction is contained in every larger one, and the same recordings are chosen in whatever
    order they come.

    Args:
        ids: name of each recording, no two alike.
        labels: class of each recording; those without (None) are never chosen.
        fraction: above 0, up to 1.
        seed: the same seed gives the same choice.

    Returns:
        Positions in ``labels``, ascending.

    Raises:
        InputError: the fraction is out of range, the lengths differ, or there are fewer than two classes.
    """
    if len(ids) != len(labels):
        raise InputError(f"{len(ids)} ids for {len(labels)} labels: there must be one of each per recording")
    if not 0 < fraction <= 1:
        raise InputError(f"label fraction {fraction}: must be above 0 and at most 1")
    names = np.asarray([_class_name(label) for label in labels])
    classes = [name for name in np.unique(names) if name]
    if len(classes) < 2:
        raise InputError(f"labels have {len(classes)} classes: at least two are needed to choose a fraction of each")
    generator = np.random.default_rng(seed)
    by_id = np.argsort(np.asarray([str(one) for one in ids]), kind="stable")
    chosen = []
    for name in classes:
        shuffled = generator.permutation(by_id[names[by_id] == name])
        chosen.append(shuffled[: max(1, round(fraction * len(shuffled)))])
    return np.sort(np.concatenate(chosen))


def _class_name(label: Any) -> str:
    """A label as text; empty for a missing one (None, or NaN as pandas writes it)."""
    return "" if label is None or (isinstance(label, float) and np.isnan(label)) else str(label)
