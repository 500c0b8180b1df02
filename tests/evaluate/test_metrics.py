"""Metrics against loops written from their definitions; intervals against their definition and by simulation."""

import numpy as np
import pytest

from ecg_advmask.evaluate import metrics
from ecg_advmask.evaluate.metrics import METRICS, Measured, bootstrap_interval, resample_counts, resampled_metrics


def auroc_over_pairs(positive, scores):
    """Share of (positive, negative) pairs whose scores are in the right order; a tie counts half."""
    wins = [(p > n) + 0.5 * (p == n) for p in scores[positive] for n in scores[~positive]]
    return sum(wins) / len(wins)


def f1_by_hand(labels, predicted, k):
    both = sum(1 for y, p in zip(labels, predicted, strict=True) if y == k and p == k)
    wrong = sum(1 for y, p in zip(labels, predicted, strict=True) if (y == k) != (p == k))
    return 2 * both / (2 * both + wrong) if both + wrong else 0.0


def by_hand(labels, probabilities):
    predicted = probabilities.argmax(axis=1)
    classes = range(probabilities.shape[1])
    return {
        "accuracy": sum(labels == predicted) / len(labels),
        "macro_auroc": np.mean([auroc_over_pairs(labels == k, probabilities[:, k]) for k in classes]),
        "macro_f1": np.mean([f1_by_hand(labels, predicted, k) for k in classes]),
    }


def tied_probabilities(classes, n=60, seed=0):
    """Labels of every class, and probabilities of which many are equal."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.integers(classes, size=n - classes)])
    weights = rng.integers(1, 4, size=(n, classes)) + 2.0 * (np.arange(classes) == labels[:, None])
    return labels, weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 4])
def test_metrics_equal_the_loops_also_with_ties(classes):
    labels, probabilities = tied_probabilities(classes)
    expected = by_hand(labels, probabilities)
    for name, metric in METRICS.items():
        assert metric(labels, probabilities) == pytest.approx(expected[name], abs=1e-12)


def test_perfect_reversed_and_constant_probabilities():
    labels = np.array([0, 1, 2, 0, 1, 2])
    perfect = np.eye(3)[labels]
    assert {name: metric(labels, perfect) for name, metric in METRICS.items()} == dict.fromkeys(METRICS, 1.0)
    constant = np.full((6, 3), 1 / 3)
    assert metrics.macro_auroc(labels, constant) == 0.5
    assert metrics.macro_auroc(labels, (1 - perfect) / 2) == 0.0


def test_a_class_never_met_and_never_predicted_has_f1_zero():
    labels = np.array([0, 1, 0, 1])
    probabilities = np.eye(3)[labels]
    assert metrics.macro_f1(labels, probabilities) == pytest.approx(2 / 3)


@pytest.mark.parametrize("classes", [2, 4])
def test_resampled_metrics_equal_the_metrics_of_the_recordings_written_out(classes):
    labels, probabilities = tied_probabilities(classes, seed=1)
    patients = np.array([f"p{i // 2}" for i in range(len(labels))], object)
    counts = resample_counts(labels, patients, 120, seed=3)
    fast = resampled_metrics(labels, probabilities, counts)
    for resample in range(0, 120, 17):
        rows = np.repeat(np.arange(len(labels)), counts[:, resample].astype(int))
        slow = by_hand(labels[rows], probabilities[rows])
        for name, value in slow.items():
            assert fast[name][resample] == pytest.approx(value, abs=1e-6)


def test_a_resample_without_a_class_has_no_auroc_and_does_not_spoil_the_interval():
    labels = np.array([0, 0, 1])
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
    counts = np.array([[1, 1], [1, 2], [1, 0]], np.float32)
    auroc = resampled_metrics(labels, probabilities, counts)["macro_auroc"]
    assert auroc[0] == 1.0 and np.isnan(auroc[1])
    assert bootstrap_interval(auroc) == (1.0, 1.0)


def test_resamples_keep_patients_whole_and_classes_in_proportion():
    labels = np.repeat([0, 0, 1], 30)
    patients = np.array([f"p{i // 3}" for i in range(90)], object)
    counts = resample_counts(labels, patients, 200, seed=0)
    assert (counts[0::3] == counts[1::3]).all() and (counts[0::3] == counts[2::3]).all()
    assert (counts[labels == 0].sum(axis=0) == 60).all() and (counts[labels == 1].sum(axis=0) == 30).all()
    assert counts.mean() == pytest.approx(1.0) and counts.std() > 0.8
    assert np.array_equal(counts, resample_counts(labels, patients, 200, seed=0))
    assert not np.array_equal(counts, resample_counts(labels, patients, 200, seed=1))


def test_interval_is_the_percentiles():
    assert bootstrap_interval(np.arange(1001.0), 0.9) == pytest.approx((50.0, 950.0))


def test_paired_difference_is_narrower_than_the_difference_of_unpaired_resamples():
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=400)
    patients = np.arange(400).astype(object)
    score = labels + rng.normal(size=400)
    first, second = (1 / (1 + np.exp(-(score + 0.1 * rng.normal(size=400)))) for _ in range(2))
    measured = [
        Measured.on(labels, np.stack([1 - p, p], axis=1), resample_counts(labels, patients, 500, seed))
        for p, seed in ((first, 0), (second, 0), (second, 1))
    ]
    paired, unpaired = measured[0].minus(measured[1]), measured[0].minus(measured[2])
    assert paired.values["macro_auroc"] == pytest.approx(
        measured[0].values["macro_auroc"] - measured[1].values["macro_auroc"]
    )
    assert np.std(paired.resampled["macro_auroc"]) < np.std(unpaired.resampled["macro_auroc"]) / 3
    nothing = measured[0].minus(measured[0])
    assert bootstrap_interval(nothing.resampled["macro_f1"]) == (0.0, 0.0)


@pytest.mark.parametrize("per_patient", [1, 3])
def test_interval_covers_the_true_auroc_about_as_often_as_it_says(per_patient):
    """Two Gaussian classes one deviation apart: the true AUROC is Phi(1 / sqrt(2)) = 0.7602."""
    true_auroc = 0.76025
    simulations, patients_per_class = 200, 60
    rng = np.random.default_rng(5)
    labels = np.repeat([0, 1], patients_per_class * per_patient)
    patients = np.array([f"p{i // per_patient}" for i in range(len(labels))], object)
    counts = resample_counts(labels, patients, 400, seed=0)
    covered = 0
    for _ in range(simulations):
        # recordings of one patient are nearly copies, so that treating them as independent would cover far too rarely
        of_patient = np.repeat(rng.normal(size=2 * patients_per_class), per_patient)
        scores = labels + np.sqrt(0.95) * of_patient + np.sqrt(0.05) * rng.normal(size=len(labels))
        probabilities = 1 / (1 + np.exp(-np.stack([-scores, scores], axis=1)))
        low, high = bootstrap_interval(resampled_metrics(labels, probabilities, counts)["macro_auroc"])
        covered += low <= true_auroc <= high
    assert 0.90 <= covered / simulations <= 0.99
