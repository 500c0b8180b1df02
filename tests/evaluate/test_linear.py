"""The evaluation protocol: heads find what is there, on the same test set for every draw."""

import numpy as np
import pytest

from ecg_advmask.data.targets import Targets
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.evaluation import evaluate_all
from ecg_advmask.evaluate.linear import head_to_keep, linear_fit
from ecg_advmask.evaluate.metrics import values_of
from ecg_advmask.evaluate.protocol import HEADS, Protocol
from ecg_advmask.evaluate.split import split_recordings

QUICK = Protocol(fractions=(0.1, 0.5, 1.0), draws=3, resamples=100)


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


def linear_evaluation(embeddings, split, protocol):
    fits = {name: linear_fit(embedded, split, protocol) for name, embedded in embeddings.items()}
    return evaluate_all(fits, split, protocol, "heads")


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
            values = [r["metrics"][name] for r in one]
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


@pytest.mark.parametrize("head", HEADS)
def test_the_test_set_is_the_same_for_every_number_of_labels_draw_and_head(head):
    """The confusion of every single draw is of the same true classes, those of the whole test set."""
    ids, names, patients, embeddings = dataset(200)
    split = divided(ids, names, patients)
    truth = split.targets.values[split.rows["test"]]
    for seed, fractions in ((0, (10, 0.5)), (3, (1.0,))):
        protocol = Protocol(fractions=fractions, draws=2, seed=seed, head=head, resamples=5)
        for row in linear_evaluation(embeddings, split, protocol)["confusion"]:
            assert np.sum(row["counts"], axis=1).tolist() == (np.bincount(truth) * row["draws"]).tolist()


def test_a_fit_predicts_the_test_part_from_the_drawn_rows_and_the_validation_part_alone():
    ids, names, patients, embeddings = dataset(200)
    split, protocol = divided(ids, names, patients), Protocol()
    drawn = split.draw(30, 0)
    predicted, about = linear_fit(embeddings["trained"], split, protocol)(drawn, 0)
    values = values_of("classes", split.targets.names, split.targets.values[split.rows["test"]], predicted)
    assert values["macro_auroc"] > 0.75 and about["strength"] in protocol.strengths
    used = np.concatenate([drawn, split.rows["validation"], split.rows["test"]])
    other = np.full_like(embeddings["trained"], 1e6)
    other[used] = embeddings["trained"][used]
    again, _ = linear_fit(other, split, protocol)(drawn, 0)
    assert np.array_equal(predicted, again)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("fractions", [(1.0, 0.2), (30, 0.5, 10)])
def test_the_head_that_is_kept_is_the_first_of_those_with_the_most_labels(head, fractions):
    ids, names, patients, embeddings = dataset(200)
    split = divided(ids, names, patients)
    protocol = Protocol(fractions=fractions, seed=3, head=head, adam_epochs=20)
    kept = head_to_keep(embeddings["trained"], split, protocol, "sha")
    most = {(1.0, 0.2): 1.0, (30, 0.5, 10): 0.5}[fractions]
    drawn = split.draw(most, 3)
    predicted, about = linear_fit(embeddings["trained"], split, protocol)(drawn, 3)
    assert kept.about == {"head": head, "fraction": most, "labels": len(drawn), "seed": 3, **about}
    assert (kept.task, kept.names, kept.encoder_sha256) == ("rhythm", ("SB", "SR"), "sha")
    np.testing.assert_allclose(kept.predict(embeddings["trained"][split.rows["test"]]), predicted, atol=1e-9)


def test_adam_heads_tell_their_epochs_and_find_what_is_there():
    ids, names, patients, embeddings = dataset(seed=1)
    protocol = Protocol(fractions=(1.0,), head="adam", adam_learning_rate=0.01, resamples=20)
    result = linear_evaluation(embeddings, divided(ids, names, patients), protocol)
    assert {row["epochs"] - row["epoch"] for row in result["results"]} <= {*range(16)}
    auroc = {row["encoder"]: row["metrics"]["macro_auroc"]["mean"] for row in result["summary"]}
    assert 0.78 < auroc["trained"] < 0.92 and 0.38 < auroc["random"] < 0.62
