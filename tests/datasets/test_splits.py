"""Parts by patient and nested label fractions: properties that must hold for any data, by example and by hypothesis."""

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
    smaller: set[int] = set()
    for fraction in (0.001, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0):
        chosen = label_fraction(labels, fraction, seed=3)
        assert smaller <= set(chosen.tolist())
        assert np.all(np.diff(chosen) > 0)
        smaller = set(chosen.tolist())
        for label in ("AFIB", "GSVT", "SB", "SR"):
            available = int(np.sum(labels == label))
            assert np.sum(labels[chosen] == label) == max(1, round(fraction * available))
    assert smaller == set(np.flatnonzero(labels != None).tolist())  # noqa: E711


def test_label_fractions_change_with_the_seed_only() -> None:
    _, labels = archive(1)
    np.testing.assert_array_equal(label_fraction(labels, 0.1, 3), label_fraction(labels, 0.1, 3))
    assert len(np.intersect1d(label_fraction(labels, 0.1, 3), label_fraction(labels, 0.1, 4))) < 0.3 * len(labels) * 0.1


@pytest.mark.parametrize("fraction", [0, -0.1, 1.01, float("nan")])
def test_impossible_fractions_are_refused(fraction: float) -> None:
    with pytest.raises(InputError, match="label fraction"):
        label_fraction(["a", "b"], fraction, 0)


def test_one_class_is_refused() -> None:
    with pytest.raises(InputError, match="at least two"):
        label_fraction(["a", None, "a", float("nan")], 0.5, 0)
