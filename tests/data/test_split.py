"""Parts by patient and nested draws of labels: properties that must hold for any data, by example and by hypothesis."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg_advmask.data.split import draw_order, split_by_patient
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


@pytest.mark.parametrize("shares", [SHARES, {"train": 0.5, "validation": 0.1, "test": 0.4}, {"a": 0.7, "b": 0.3}])
@pytest.mark.parametrize("classes", [1, 4, 60])
@pytest.mark.parametrize("several", [0.03, 0.3, 1.0])
def test_patients_of_several_recordings_go_to_every_part_in_its_share(
    shares: dict[str, float], classes: int, several: float
) -> None:
    """The statistical unit is the patient: a part without repeated patients is no sample of the archive."""
    generator = np.random.default_rng(classes)
    times = np.where(generator.random(900) < several, generator.integers(2, 6, 900), 1)
    of_patient = generator.integers(0, classes, 900)
    patients, labels = np.repeat(np.arange(900), times), np.repeat(of_patient, times)
    for seed in range(2):
        parts = split_by_patient(patients, labels, shares, seed)
        repeated = np.flatnonzero(times > 1)
        part_of = np.asarray([parts[np.argmax(patients == patient)] for patient in repeated])
        for name, share in shares.items():
            assert abs(np.sum(part_of == name) - share * len(repeated)) <= 2
            assert np.mean(parts == name) == pytest.approx(share, abs=0.02)


def test_a_patient_of_most_recordings_does_not_keep_the_others_out_of_a_part() -> None:
    patients = np.concatenate([np.zeros(400, int), np.repeat(np.arange(1, 101), 2)])
    parts = split_by_patient(patients, ["x"] * len(patients), SHARES, 0)
    others = [np.sum(parts[400:] == name) / 2 for name in SHARES]
    np.testing.assert_allclose(others, [60, 20, 20], atol=1.5)


def test_parts_of_single_recordings_are_those_of_earlier_versions() -> None:
    """Runs and splits that are not stored are found again: worked out by the first version."""
    labels = np.asarray(["a", "b"])[np.arange(12) % 2]
    parts = split_by_patient([f"p{number:02d}" for number in range(12)], labels, SHARES, 3)
    assert "".join(part[1] for part in parts) == "rraeraerrrrr"


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


CLASS_SIZES = st.dictionaries(st.text("abcxyz", min_size=1, max_size=3), st.integers(1, 120), min_size=2, max_size=6)


def shuffled_strata(sizes: dict[str, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    strata = np.repeat(np.arange(len(sizes)), list(sizes.values()))
    ids = np.array([f"r{number}" for number in range(len(strata))], dtype=object)
    order = np.random.default_rng(seed).permutation(len(ids))
    return ids[order], strata[order]


def one_hot(strata: np.ndarray) -> np.ndarray:
    return np.asarray(np.equal.outer(strata, np.unique(strata)), dtype=bool)


@settings(max_examples=60, deadline=None)
@given(CLASS_SIZES, st.integers(0, 1000), st.integers(0, 1000))
def test_every_beginning_of_the_order_is_in_proportion_and_independent_of_how_recordings_come(
    sizes: dict[str, int], seed: int, order_seed: int
) -> None:
    ids, strata = shuffled_strata(sizes, 0)
    order, fewest = draw_order(ids, strata, one_hot(strata), seed)
    assert sorted(order) == list(range(len(ids))) and fewest == len(sizes)
    again, other = shuffled_strata(sizes, order_seed)
    assert ids[order].tolist() == again[draw_order(again, other, one_hot(other), seed)[0]].tolist()
    number = np.array(list(sizes.values()))
    taken = np.bincount(strata[order[:fewest]], minlength=len(sizes))
    np.testing.assert_array_equal(taken, 1)
    for row in order[fewest:]:  # the rule of Sainte-Lague, one seat after the other, each party having one
        claims = np.where(taken < number, number / (taken + 0.5), 0)
        assert claims[strata[row]] == pytest.approx(claims.max(), rel=1e-12)
        taken[strata[row]] += 1


@pytest.mark.parametrize("count", [100, 137, 400, 1000])
def test_draws_are_as_proportional_as_whole_numbers_allow(count: int) -> None:
    strata = np.repeat([0, 1, 2, 3], [200, 400, 600, 800])
    order, _ = draw_order(range(2000), strata, one_hot(strata), 3)
    drawn = np.bincount(strata[order[:count]], minlength=4)
    assert np.abs(drawn - count * np.array([0.1, 0.2, 0.3, 0.4])).max() < 1


def test_draws_of_another_seed_are_others_and_every_recording_is_as_likely() -> None:
    strata = np.repeat([0, 1], [30, 90])
    drawn = np.zeros(120)
    for seed in range(600):
        drawn[draw_order(range(120), strata, one_hot(strata), seed)[0][:20]] += 1
    # 5 of 30 and 15 of 90: each is drawn with probability 1/6, which 600 seeds show with a deviation of 0.0152
    assert np.abs(drawn / 600 - 1 / 6).max() < 4.5 * 0.0152
    assert drawn[:30].sum() == 600 * 5


def test_groups_that_overlap_are_all_met_by_the_first_recordings() -> None:
    generator = np.random.default_rng(0)
    has = generator.random((500, 12)) < np.geomspace(0.006, 0.9, 12)
    has[:2, 0] = True
    groups = np.hstack([has, ~has])
    for seed in range(10):
        order, fewest = draw_order(range(500), np.zeros(500, int), groups, seed)
        assert groups[order[:fewest]].any(axis=0).all()
        assert fewest <= 24 and len(set(order.tolist())) == 500


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
