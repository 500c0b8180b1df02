"""Resamples against their definition; intervals by simulation: they cover the truth about as often as they say."""

import numpy as np
import pytest
from scipy.special import expit, ndtr

from ecg_advmask.evaluate.metrics import bootstrap_interval, measure, resample_counts, resampled_values_of

SIMULATIONS = 500


def test_resamples_keep_patients_whole_and_strata_in_proportion():
    strata = np.repeat([-1, -1, 7], 30)
    patients = np.array([f"p{i // 3}" for i in range(90)], object)
    counts = resample_counts(strata, patients, 200, seed=0)
    assert (counts[0::3] == counts[1::3]).all() and (counts[0::3] == counts[2::3]).all()
    assert (counts[strata == -1].sum(axis=0) == 60).all() and (counts[strata == 7].sum(axis=0) == 30).all()
    assert counts.mean() == pytest.approx(1.0)
    # of 20 patients drawn 20 times each count is binomial, with variance 19 / 20
    assert counts[:60:3].var() == pytest.approx(19 / 20, rel=0.05)
    assert np.array_equal(counts, resample_counts(strata, patients, 200, seed=0))
    assert not np.array_equal(counts, resample_counts(strata, patients, 200, seed=1))


def test_a_patient_is_drawn_with_the_rarest_of_their_strata():
    """Patients a and b have one recording each of the rare stratum 1: they are drawn among themselves."""
    strata = np.array([0, 1, 0, 1, 0, 0, 0])
    patients = np.array(["a", "a", "b", "b", "c", "d", "e"], object)
    counts = resample_counts(strata, patients, 300, seed=4)
    assert (counts[[0, 2]].sum(axis=0) == 2).all() and (counts[4:].sum(axis=0) == 3).all()
    assert (counts[0] == counts[1]).all() and (counts[2] == counts[3]).all()


def test_interval_is_the_percentiles_of_the_resamples_on_which_the_metric_is_defined():
    assert bootstrap_interval(np.arange(1001.0), 0.9) == pytest.approx((50.0, 950.0))
    assert bootstrap_interval(np.r_[np.nan, np.arange(1001.0), np.nan], 0.9) == pytest.approx((50.0, 950.0))
    assert np.isnan(bootstrap_interval(np.full(5, np.nan))).all()


def of_patients(rng, patients, per_patient, columns):
    """Standard normal numbers ``(columns, n)``; recordings of one patient share two thirds of their variance."""
    of_patient = np.repeat(rng.normal(size=(columns, patients)), per_patient, axis=1)
    return np.sqrt(2 / 3) * of_patient + np.sqrt(1 / 3) * rng.normal(size=of_patient.shape)


def two_classes(scores):
    probabilities = expit(scores)
    return np.stack([1 - probabilities, probabilities], axis=1)


@pytest.mark.slow
def test_intervals_of_classes_and_of_paired_differences_cover_the_truth():
    """Two normal classes, two recordings per patient.

    Of scores z + shift (2 y - 1) with deviation one, AUROC is Phi(sqrt(2) shift) and accuracy Phi(shift). A second
    predictor has the correlation 0.8 with the first and a smaller shift.
    """
    rng = np.random.default_rng(2)
    patients_per_class, per_patient, shifts = 60, 2, np.array([0.6, 0.4])
    truth = np.repeat([0, 1], patients_per_class * per_patient)
    patients = np.array([f"p{i // per_patient}" for i in range(len(truth))], object)
    counts = resample_counts(truth, patients, 300, seed=0)
    expected = {"macro_auroc": ndtr(np.sqrt(2) * shifts), "accuracy": ndtr(shifts)}
    covered = {(name, what): 0 for name in expected for what in ("itself", "difference")}
    for _ in range(SIMULATIONS):
        common, *own = of_patients(rng, 2 * patients_per_class, per_patient, columns=3)
        scores = np.sqrt(0.8) * common + np.sqrt(0.2) * np.stack(own) + shifts[:, None] * (2 * truth - 1)
        first, second = (resampled_values_of("classes", ("N", "A"), truth, two_classes(one), counts) for one in scores)
        for name, (truly, of_second) in expected.items():
            low, high = bootstrap_interval(first[name])
            covered[name, "itself"] += low <= truly <= high
            low, high = bootstrap_interval(first[name] - second[name])
            covered[name, "difference"] += low <= truly - of_second <= high
    shares = {key: hits / SIMULATIONS for key, hits in covered.items()}
    assert all(0.92 <= share <= 0.98 for share in shares.values()), shares


@pytest.mark.slow
def test_intervals_of_the_calibration_error_cover_its_mean_over_test_sets_of_this_size():
    """Of a calibrated predictor: percentiles of the resamples themselves would lie above it nearly one time in five."""
    rng = np.random.default_rng(3)
    said = rng.beta(1, 2, size=(250, 300, 1))
    truth = (rng.random(said.shape) < said).astype(np.int64)
    counts = resample_counts(np.zeros(300, np.int64), np.arange(300).astype(object), 300, seed=0)
    measured = [measure("labels", ("a",), one, p, counts) for one, p in zip(truth, said, strict=True)]
    mean = np.mean([one.values["calibration_error"] for one in measured])
    intervals = [bootstrap_interval(one.resampled["calibration_error"]) for one in measured]
    assert 0.92 <= np.mean([low <= mean <= high for low, high in intervals]) <= 0.99


def mae_coverage(counts, per_patient, slope):
    """How often the interval covers the MAE of the estimate ``slope * truth + 0.5 * noise`` of a standard normal truth.

    Recordings are in the order of their true number.
    """
    rng = np.random.default_rng(6)
    truly = np.hypot(1 - slope, 0.5) * np.sqrt(2 / np.pi)
    covered = 0
    for _ in range(SIMULATIONS):
        truth, noise = of_patients(rng, len(counts) // per_patient, per_patient, columns=2)
        if per_patient == 1:
            truth.sort()
        low, high = bootstrap_interval(
            resampled_values_of("number", ("",), truth, slope * truth + 0.5 * noise, counts)["mae"]
        )
        covered += low <= truly <= high
    return covered / SIMULATIONS


@pytest.mark.parametrize("slope", [0.8, 0.2])
def test_intervals_of_the_mean_absolute_error_cover_the_truth(slope):
    patients = np.array([f"p{i // 2}" for i in range(300)], object)
    counts = resample_counts(np.zeros(300, np.int64), patients, 300, seed=0)
    assert 0.92 <= mae_coverage(counts, 2, slope) <= 0.98


def test_strata_of_a_number_would_make_the_intervals_of_a_weak_estimate_too_narrow():
    """Why a number is resampled in one stratum: here are its quintiles, and an estimate that hardly follows it."""
    patients = np.array([f"p{i:03d}" for i in range(200)], object)
    quintiles, none = (resample_counts(np.arange(200) // size, patients, 300, seed=0) for size in (40, 200))
    assert mae_coverage(none, 1, 0.1) >= 0.92
    assert mae_coverage(quintiles, 1, 0.1) < 0.88
