"""The evaluation protocol: heads find what is there, on the same test set for every draw."""

import numpy as np
import pytest

from ecg_advmask.datasets.targets import Targets
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.linear import Protocol, fit_head, linear_evaluation
from ecg_advmask.evaluate.metrics import macro_auroc
from ecg_advmask.evaluate.partition import split_recordings

QUICK = Protocol(fractions=(0.1, 0.5, 1.0), draws=3, resamples=100)


@pytest.mark.parametrize("fractions", [(0.0,), (-1.0,), (2.5,), (), (float("nan"),)])
def test_fractions_that_mean_nothing_are_refused(fractions):
    with pytest.raises(InputError):
        Protocol(fractions=fractions)


def dataset(n=400, seed=0):
    """Recordings of two classes, two per patient; one embedding tells the class, the other is noise."""
    rng = np.random.default_rng(seed)
    names = np.repeat(rng.choice(["SB", "SR"], size=n // 2), 2).astype(object)
    patients = np.array([f"p{i // 2}" for i in range(n)], object)
    informative = (names == "SR")[:, None] * 1.5 * np.eye(1, 8) + rng.normal(size=(n, 8))
    ids = np.array([f"id{i:04d}" for i in range(n)], object)
    return (
        ids,
        names,
        patients,
        {"trained": informative.astype(np.float32), "random": rng.normal(size=(n, 8)).astype("f4")},
    )


def divided(ids, names, patients):
    return split_recordings(ids, Targets.of_classes("rhythm", names), patients, QUICK.shares, QUICK.split_seed)


def test_informative_embeddings_beat_noise_and_more_labels_help():
    ids, names, patients, embeddings = dataset()
    split = divided(ids, names, patients)
    result = linear_evaluation(embeddings, split, QUICK)
    auroc = {(row["encoder"], row["fraction"]): row["metrics"]["macro_auroc"] for row in result["summary"]}
    # the best possible AUROC of a shift by 1.5 deviations is Phi(1.5 / sqrt(2)) = 0.856
    assert 0.78 < auroc["trained", 1.0]["mean"] < 0.92
    assert 0.38 < auroc["random", 1.0]["mean"] < 0.62
    assert auroc["trained", 0.1]["mean"] < auroc["trained", 1.0]["mean"]
    for row in result["differences"]:
        assert (row["first"], row["second"]) == ("trained", "random")
        assert row["metrics"]["macro_auroc"]["low"] > 0
        first, second = (auroc[name, row["fraction"]]["mean"] for name in ("trained", "random"))
        assert row["metrics"]["macro_auroc"]["mean"] == pytest.approx(first - second)


def test_summary_is_mean_and_spread_of_the_draws():
    ids, names, patients, embeddings = dataset()
    split = divided(ids, names, patients)
    result = linear_evaluation(embeddings, split, QUICK)
    for row in result["summary"]:
        one = [r for r in result["results"] if (r["encoder"], r["fraction"]) == (row["encoder"], row["fraction"])]
        assert len(one) == row["draws"] == (1 if row["fraction"] == 1 else 3)
        assert {r["labels"] for r in one} == {row["labels"]}
        for name, metric in row["metrics"].items():
            values = [r["metrics"][name]["value"] for r in one]
            assert metric["mean"] == pytest.approx(np.mean(values))
            assert (metric["minimum"], metric["maximum"]) == (min(values), max(values))
            if len(values) > 1:
                assert metric["standard_deviation"] == pytest.approx(np.std(values, ddof=1))
            else:
                assert metric["standard_deviation"] is None
            assert metric["low"] <= metric["mean"] <= metric["high"]


def test_same_seeds_same_result_and_other_draws_same_test_set():
    ids, names, patients, embeddings = dataset(200)
    split = divided(ids, names, patients)
    few = Protocol(fractions=(0.2,), draws=2, resamples=50)
    first = linear_evaluation(embeddings, split, few)
    assert first == linear_evaluation(embeddings, split, few)
    shifted = linear_evaluation(embeddings, split, Protocol(fractions=(0.2,), draws=2, resamples=50, seed=1))
    assert shifted["results"] != first["results"]
    # the draw with seed 1 is in both, and gives the same figures, as its test set and resamples are the same
    with_seed_one = [[row for row in one["results"] if row["seed"] == 1] for one in (first, shifted)]
    assert with_seed_one[0] == with_seed_one[1]


def test_a_number_of_labels_is_taken_as_such_and_too_many_are_refused():
    ids, names, patients, embeddings = dataset(200)
    split = divided(ids, names, patients)
    result = linear_evaluation(embeddings, split, Protocol(fractions=(20,), draws=1, resamples=20))
    assert result["summary"][0]["labels"] == 20
    with pytest.raises(InputError, match="5000 labels asked for"):
        linear_evaluation(embeddings, split, Protocol(fractions=(5000,), draws=1, resamples=20))


def test_strength_is_the_one_with_the_best_validation_auroc():
    """With many noise dimensions and few labels a strong penalty validates better than a weak one."""
    rng = np.random.default_rng(0)
    labels = np.tile([0, 1], 200)
    embeddings = rng.normal(size=(400, 60)) + 0.4 * labels[:, None] * (np.arange(60) < 10)
    head = fit_head(embeddings[:60], labels[:60], embeddings[60:], labels[60:], Protocol())
    assert head.model.C < 10
    alone = [
        fit_head(embeddings[:60], labels[:60], embeddings[60:], labels[60:], Protocol(strengths=(strength,)))
        for strength in Protocol().strengths
    ]
    scores = [macro_auroc(labels[60:], one.probabilities(embeddings[60:])) for one in alone]
    assert head.model.C in {
        s for s, score in zip(Protocol().strengths, scores, strict=True) if score > max(scores) - 2e-3
    }
    assert macro_auroc(labels[60:], head.probabilities(embeddings[60:])) == pytest.approx(max(scores), abs=2e-3)


def test_head_is_standardised_by_the_training_recordings_alone():
    rng = np.random.default_rng(1)
    labels = np.tile([0, 1], 50)
    embeddings = rng.normal(size=(100, 3)) * [1, 100, 0.01] + [5, -300, 0]
    head = fit_head(embeddings[:50], labels[:50], embeddings[50:], labels[50:], Protocol())
    assert head.scaler.mean_ == pytest.approx(embeddings[:50].mean(axis=0))
    assert head.scaler.scale_ == pytest.approx(embeddings[:50].std(axis=0))
    assert head.probabilities(embeddings).sum(axis=1) == pytest.approx(np.ones(100))
