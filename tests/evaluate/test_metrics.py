"""Metrics against scikit-learn on recordings written out, against loops, and on cases with known answers."""

import warnings

import numpy as np
import pytest
from sklearn import metrics as sk

from ecg_advmask.data.targets import Targets
from ecg_advmask.evaluate.heads import validation_score
from ecg_advmask.evaluate.metrics import (
    DEFINITIONS,
    LOWER_IS_BETTER,
    PRIMARY,
    bootstrap_interval,
    confusion,
    measure,
    resample_counts,
    resampled_values_of,
    values_of,
)

OF_CLASSES = [
    "accuracy",
    "balanced_accuracy",
    "macro_auroc",
    "macro_average_precision",
    "macro_f1",
    "calibration_error",
]


def names_of(columns):
    return [f"c{k}" for k in range(columns)]


def tied_classes(columns, n=60, seed=0):
    """Classes and probabilities of which many are equal, and many exactly on the edge of a bin of fifteenths."""
    rng = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(columns), rng.integers(columns, size=n - columns)])
    weights = rng.integers(1, 4, size=(n, columns)) + 2.0 * (np.arange(columns) == truth[:, None])
    return truth, weights / weights.sum(axis=1, keepdims=True)


def tied_labels(columns, n=60, seed=0):
    rng = np.random.default_rng(seed)
    truth = (rng.random((n, columns)) < rng.uniform(0.1, 0.6, columns)).astype(np.int64)
    truth[:2] = [[0] * columns, [1] * columns]
    return truth, np.round(np.clip(0.3 * truth + rng.uniform(0, 0.9, truth.shape), 0, 1), 1)


def calibration_by_hand(hit, confidence):
    """Expected calibration error by a loop over the bins ((m - 1) / 15, m / 15]."""
    error = 0.0
    for m in range(1, 16):
        inside = [i for i, p in enumerate(confidence) if (m - 1) / 15 < p <= m / 15 or (m == 1 and p == 0)]
        if inside:
            gap = np.mean([hit[i] for i in inside]) - np.mean([confidence[i] for i in inside])
            error += len(inside) / len(confidence) * abs(gap)
    return error


def by_scikit_learn(kind, names, truth, predicted):
    """What `values_of` promises, from one call of scikit-learn per metric and class, NaN where it is not defined."""
    if kind == "number":
        r2 = sk.r2_score(truth, predicted) if len(set(truth)) > 1 else np.nan
        return {"mae": sk.mean_absolute_error(truth, predicted), "r2": r2}
    likeliest = predicted.argmax(axis=1)
    each = {"auroc": [], "average_precision": [], "f1": [], "calibration_error": []}
    for k in range(len(names)):
        true = (truth == k) if kind == "classes" else (truth[:, k] == 1)
        decided = (likeliest == k) if kind == "classes" else (predicted[:, k] >= 0.5)
        score = predicted[:, k]
        each["auroc"].append(sk.roc_auc_score(true, score) if 0 < true.sum() < len(true) else np.nan)
        each["average_precision"].append(sk.average_precision_score(true, score) if true.any() else np.nan)
        each["f1"].append(sk.f1_score(true, decided, zero_division=0.0))
        each["calibration_error"].append(calibration_by_hand(true, score))
    expected = {"calibration_error": np.mean(each.pop("calibration_error"))}
    if kind == "classes":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of a predicted class that does not occur
            balanced = sk.balanced_accuracy_score(truth, likeliest)
        calibration = calibration_by_hand(truth == likeliest, predicted.max(axis=1))
        expected = {
            "accuracy": sk.accuracy_score(truth, likeliest),
            "balanced_accuracy": balanced,
            "calibration_error": calibration,
        }
    for metric, values in each.items():
        expected[f"macro_{metric}"] = np.mean(values)
        expected |= {f"{metric}:{name}": value for name, value in zip(names, values, strict=True)}
    return expected


def cases():
    for columns in (2, 4):
        yield pytest.param("classes", *tied_classes(columns), id=f"{columns} classes")
    for columns in (1, 3):
        yield pytest.param("labels", *tied_labels(columns), id=f"{columns} labels")
    rng = np.random.default_rng(0)
    truth, noise = rng.integers(20, 90, 60).astype(float), rng.normal(size=60)
    yield pytest.param("number", truth, 0.6 * truth + 20 + 8 * noise, id="number")


def check(found, expected):
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=2e-6, nan_ok=True), name


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("kind", "truth", "predicted"), list(cases()))
def test_values_are_those_of_scikit_learn(kind, truth, predicted):
    names = names_of(predicted.shape[1]) if predicted.ndim == 2 else ("years",)
    found = values_of(kind, names, truth, predicted)
    check(found, by_scikit_learn(kind, names, truth, predicted))
    sign = -1 if PRIMARY[kind] in LOWER_IS_BETTER else 1
    targets = Targets("task", kind, names, truth, np.full(len(truth), "", object))
    assert found[PRIMARY[kind]] == pytest.approx(sign * validation_score(targets, predicted), rel=1e-12, nan_ok=True)
    overall = {"classes": OF_CLASSES, "labels": OF_CLASSES[2:], "number": ["mae", "r2"]}[kind]
    assert [name for name in found if ":" not in name] == overall
    assert set(overall) <= set(DEFINITIONS)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("kind", "truth", "predicted"), list(cases()))
def test_resampled_values_are_those_of_the_recordings_written_out(kind, truth, predicted):
    """Also on resamples that lack a class or hold one only, on which some metrics are not defined."""
    names = names_of(predicted.shape[1]) if predicted.ndim == 2 else ("years",)
    n = len(truth)
    patients = np.array([f"p{i // 2}" for i in range(n)], object)
    drawn = resample_counts(np.zeros(n, np.int64), patients, 12, seed=3)
    rare = np.random.default_rng(1).multinomial(5, np.full(n, 1 / n), size=12).T.astype(np.float32)
    alone = np.zeros((n, 2), np.float32)
    alone[0, 0], alone[1, 1] = 1, 3
    same = (truth == truth[-1]) if kind == "number" else (truth.reshape(n, -1) == truth.reshape(n, -1)[-1]).all(axis=1)
    counts = np.hstack([drawn, rare, alone, 2 * same[:, None].astype(np.float32)])
    found = resampled_values_of(kind, names, truth, predicted, counts)
    assert list(found) == list(values_of(kind, names, truth, predicted))
    undefined = 0
    for resample in range(counts.shape[1]):
        rows = np.repeat(np.arange(n), counts[:, resample].astype(int))
        expected = by_scikit_learn(kind, names, truth[rows], predicted[rows])
        check({name: values[resample] for name, values in found.items()}, expected)
        undefined += np.isnan(expected["r2" if kind == "number" else "macro_auroc"])
    assert 3 <= undefined <= 16


@pytest.mark.filterwarnings("error")
def test_not_defined_is_nan_and_every_other_value_stands():
    probabilities = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1]])
    values = values_of("classes", ("a", "b", "c"), np.array([0, 1, 1]), probabilities)
    assert np.isnan([values["auroc:c"], values["average_precision:c"], values["macro_auroc"]]).all()
    assert values["auroc:b"] == values["auroc:a"] == 1.0 and values["f1:c"] == 0.0
    assert values["balanced_accuracy"] == 0.75 and values["accuracy"] == pytest.approx(2 / 3)
    everybody = values_of("labels", ("a",), np.ones((3, 1), np.int64), probabilities[:, :1])
    assert np.isnan(everybody["auroc:a"]) and everybody["average_precision:a"] == 1.0
    assert np.isnan(values_of("number", ("",), np.full(3, 40.0), np.array([40.0, 41.0, 42.0]))["r2"])


def test_r2_of_a_single_number_is_not_defined_whatever_the_rounding():
    """Each of 50 resamples holds one recording, seven times, and each of 50 more holds two."""
    truth = np.random.default_rng(0).uniform(20, 90, 50)
    alone, pairs = 7 * np.eye(50), np.eye(50) + np.roll(np.eye(50), 1, axis=0)
    found = resampled_values_of("number", ("years",), truth, truth + 1, np.hstack([alone, pairs]).astype(np.float32))
    assert np.isnan(found["r2"][:50]).all() and np.isfinite(found["r2"][50:]).all()
    assert found["mae"] == pytest.approx(1)


def test_perfect_constant_and_reversed_predictions():
    truth = np.array([0, 1, 2, 0, 1, 2])
    perfect = np.eye(3)[truth]
    for kind, values in (("classes", truth), ("labels", perfect.astype(int))):
        for name, value in values_of(kind, names_of(3), values, perfect).items():
            assert value == (0.0 if name in LOWER_IS_BETTER else 1.0)
    constant = values_of("classes", names_of(3), truth, np.full((6, 3), 1 / 3))
    assert constant["macro_auroc"] == 0.5
    assert constant["macro_average_precision"] == pytest.approx(1 / 3)  # the prevalence
    assert constant["accuracy"] == constant["balanced_accuracy"] == pytest.approx(1 / 3)
    assert constant["macro_f1"] == pytest.approx(0.5 / 3)  # all are taken for the first class: F1 1/2, 0, 0
    assert constant["calibration_error"] == pytest.approx(0)  # right as often as it says
    assert values_of("classes", names_of(3), truth, (1 - perfect) / 2)["macro_auroc"] == 0.0
    age = np.array([20.0, 40.0, 60.0, 80.0])
    assert values_of("number", ("years",), age, age) == {"mae": 0.0, "r2": 1.0}
    assert values_of("number", ("years",), age, np.full(4, 50.0)) == {"mae": 20.0, "r2": 0.0}


def test_average_precision_by_hand():
    """Ranks of the positives 1 and 3, of 4: (1/1 + 2/3) / 2; with both middle ones tied (1/1 + 2/3) / 2 as well, and
    with all tied the prevalence."""
    truth = np.array([[1], [0], [1], [0]])
    for scores, expected in (
        ([0.9, 0.8, 0.7, 0.1], 5 / 6),
        ([0.9, 0.7, 0.7, 0.1], 5 / 6),
        ([0.9, 0.6, 0.7, 0.1], 1.0),
        ([0.4, 0.4, 0.4, 0.4], 0.5),
    ):
        resampled = resampled_values_of("labels", ("a",), truth, np.array(scores)[:, None], np.ones((4, 1), "f4"))
        assert resampled["macro_average_precision"][0] == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["classes", "labels"])
def test_calibration_error_of_calibrated_and_of_overconfident_predictions(kind):
    """A predictor that says q + 0.15 where it is right with probability q is wrong by 0.15; one that says q by none."""
    rng = np.random.default_rng(2)
    n = 50_000
    q = rng.uniform(0.5, 0.8, n)
    right = rng.random(n) < q
    for excess in (0.0, 0.15):
        said = np.stack([q + excess, 1 - q - excess], axis=1)
        truth = np.where(right, 0, 1) if kind == "classes" else np.stack([right, ~right], axis=1).astype(int)
        error = values_of(kind, ("a", "b"), truth, said)["calibration_error"]
        assert error == pytest.approx(excess, abs=0.012)


def test_confusion_counts_true_classes_in_rows():
    probabilities = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.4, 0.4, 0.2]])
    assert confusion(np.array([0, 1, 1, 1]), probabilities).tolist() == [[1, 0, 0], [2, 1, 0], [0, 0, 0]]


def test_a_resample_without_a_class_does_not_spoil_the_interval():
    truth = np.array([0, 0, 1])
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
    counts = np.array([[1, 1], [1, 2], [1, 0]], np.float32)
    auroc = measure("classes", ("a", "b"), truth, probabilities, counts).resampled["macro_auroc"]
    assert auroc[0] == 1.0 and np.isnan(auroc[1])
    assert bootstrap_interval(auroc) == (1.0, 1.0)


@pytest.mark.parametrize("kind", ["classes", "number"])
def test_paired_difference_is_narrower_than_that_of_unpaired_resamples_and_nothing_for_equal_predictions(kind):
    rng = np.random.default_rng(0)
    truth = rng.integers(2, size=400)
    patients = np.arange(400).astype(object)
    score = truth + rng.normal(size=400)
    predicted = [score + 0.1 * rng.normal(size=400) for _ in range(2)]
    if kind == "classes":
        predicted = [np.stack([1 - p, p], axis=1) for p in (1 / (1 + np.exp(-one)) for one in predicted)]
    first, second, other = (
        measure(kind, ("a", "b"), truth, predicted[which], resample_counts(truth, patients, 500, seed))
        for which, seed in ((0, 0), (1, 0), (1, 1))
    )
    paired, unpaired, nothing = first.minus(second), first.minus(other), first.minus(first)
    for name in first.values:
        assert paired.values[name] == first.values[name] - second.values[name]
        assert bootstrap_interval(nothing.resampled[name]) == (0.0, 0.0)
    for name in ("mae",) if kind == "number" else ("macro_auroc", "accuracy", "macro_average_precision"):
        widths = [np.subtract(*bootstrap_interval(one.resampled[name])) for one in (unpaired, paired)]
        assert widths[0] / widths[1] > 2
