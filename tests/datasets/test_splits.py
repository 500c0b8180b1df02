"""Parts by patient and nested label fractions: properties that must hold for any data, by example and by hypothesis."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg_advmask.datasets.splits import label_fraction, split_by_patient
from ecg_advmask.errors import InputError

SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}


def archive(seed: int, recordings: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Recordings of about half as many patients; a patient's recordings mostly share a class; some have none."""
    generator = np.random.default_rng(seed)
    patients = generator.integers(0, recordings // 2, recordings)
    own_class = generator.choice(["AFIB", "GSVT", "SB", "SR"], recordings // 2, p=[0.1, 0.2, 0.3, 0.4])
    labels = own_class[patients].astype(object)
    labels[generator.random(recordings) < 0.05] = None
    return patients, labels


@pytest.mark.parametrize("seed", range(3))
def test_no_patient_is_in_two_parts_and_classes_are_in_proportion(seed: int) -> None:
    patients, labels = archive(seed)
    parts = split_by_patient(patients, labels, SHARES, seed)
    for patient in np.unique(patients):
        assert len(set(parts[patients == patient])) == 1
    for name, share in SHARES.items():
        for label in ("AFIB", "GSVT", "SB", "SR"):
            of_class = labels == label
            assert np.mean(parts[of_class] == name) == pytest.approx(share, abs=0.03)
        assert np.mean(parts == name) == pytest.approx(share, abs=0.01)


def test_the_seed_alone_decides() -> None:
    patients, labels = archive(0)
    parts = split_by_patient(patients, labels, SHARES, 5)
    np.testing.assert_array_equal(parts, split_by_patient(patients.tolist(), list(labels), SHARES, 5))
    assert np.mean(parts != split_by_patient(patients, labels, SHARES, 6)) > 0.3


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 8), st.sampled_from(["a", "b", None])), min_size=1, max_size=40),
    st.integers(0, 1000),
)
def test_small_archives_are_split_by_patient_too(recordings: list[tuple[int, str | None]], seed: int) -> None:
    patients, labels = [patient for patient, _ in recordings], [label for _, label in recordings]
    parts = split_by_patient(patients, labels, SHARES, seed)
    assert set(parts) <= set(SHARES)
    assert len({(patient, part) for patient, part in zip(patients, parts, strict=True)}) == len(set(patients))


def test_impossible_shares_are_refused() -> None:
    for shares in ({}, {"a": 0.5}, {"a": 1.2, "b": -0.2}):
        with pytest.raises(InputError, match="shares"):
            split_by_patient(["p"], ["x"], shares, 0)
    with pytest.raises(InputError, match="2 patients for 1 labels"):
        split_by_patient(["p", "q"], ["x"], SHARES, 0)


def test_label_fractions_are_nested_and_stratified() -> None:
    _, labels = archive(1)
    ids = range(len(labels))
    smaller: set[int] = set()
    for fraction in (0.001, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0):
        chosen = label_fraction(ids, labels, fraction, seed=3)
        assert smaller <= set(chosen.tolist())
        assert np.all(np.diff(chosen) > 0)
        smaller = set(chosen.tolist())
        for label in ("AFIB", "GSVT", "SB", "SR"):
            available = int(np.sum(labels == label))
            assert np.sum(labels[chosen] == label) == max(1, round(fraction * available))
    assert smaller == set(np.flatnonzero(labels != None).tolist())  # noqa: E711


def test_label_fractions_change_with_the_seed_only() -> None:
    _, labels = archive(1)
    first, again, other = (label_fraction(range(len(labels)), labels, 0.1, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert len(np.intersect1d(first, other)) < 0.3 * len(labels) * 0.1


@pytest.mark.parametrize("fraction", [0, -0.1, 1.01, float("nan")])
def test_impossible_fractions_are_refused(fraction: float) -> None:
    with pytest.raises(InputError, match="label fraction"):
        label_fraction([1, 2], ["a", "b"], fraction, 0)


def test_one_class_is_refused() -> None:
    with pytest.raises(InputError, match="at least two"):
        label_fraction(range(4), ["a", None, "a", float("nan")], 0.5, 0)
    with pytest.raises(InputError, match="3 ids for 2 labels"):
        label_fraction(range(3), ["a", "b"], 0.5, 0)


CLASS_SIZES = st.dictionaries(st.text("abcxyz", min_size=1, max_size=3), st.integers(1, 120), min_size=2, max_size=6)


@settings(max_examples=60, deadline=None)
@given(
    CLASS_SIZES,
    st.lists(st.floats(1e-4, 1), min_size=2, max_size=6),
    st.integers(0, 1000),
    st.integers(0, 1000),
)
def test_fractions_of_any_classes_are_nested_exact_and_independent_of_the_order(
    sizes: dict[str, int], fractions: list[float], seed: int, order_seed: int
) -> None:
    labels = np.concatenate([np.full(size, name, dtype=object) for name, size in sizes.items()])
    ids = np.array([f"r{number}" for number in range(len(labels))], dtype=object)
    order = np.random.default_rng(order_seed).permutation(len(labels))
    smaller: set[str] = set()
    for fraction in sorted(fractions):
        chosen = label_fraction(ids, labels, fraction, seed)
        names = set(ids[chosen])
        assert len(names) == len(chosen)
        assert smaller <= names
        smaller = names
        for name, size in sizes.items():
            drawn = int(np.sum(labels[chosen] == name))
            assert drawn >= 1
            assert abs(drawn - fraction * size) <= 0.5 or drawn == 1
        again = label_fraction(ids[order], labels[order], fraction, seed)
        assert set(ids[order][again]) == names


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from("abc")), min_size=1, max_size=80),
    st.integers(0, 1000),
    st.randoms(use_true_random=False),
)
def test_parts_are_the_same_in_whatever_order_the_recordings_come(
    recordings: list[tuple[int, str]], seed: int, order: Random
) -> None:
    def part_of_patient(rows: list[tuple[int, str]]) -> dict[int, str]:
        parts = split_by_patient([patient for patient, _ in rows], [label for _, label in rows], SHARES, seed)
        return {patient: str(part) for (patient, _), part in zip(rows, parts, strict=True)}

    assert part_of_patient(recordings) == part_of_patient(order.sample(recordings, len(recordings)))


@settings(max_examples=40, deadline=None)
@given(CLASS_SIZES, st.integers(0, 1000))
def test_parts_are_within_one_recording_of_the_shares_where_patients_have_one(sizes: dict[str, int], seed: int) -> None:
    labels = np.concatenate([np.full(size, name, dtype=object) for name, size in sizes.items()])
    parts = split_by_patient(range(len(labels)), labels, SHARES, seed)
    for name, size in sizes.items():
        for part, share in SHARES.items():
            assert abs(np.sum(parts[labels == name] == part) - share * size) <= 1
