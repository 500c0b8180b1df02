"""The evaluation protocol: who is left out, how the rest is divided, and that heads find what is there."""

import numpy as np
import pandas as pd
import pytest

from ecg_advmask.datasets.splits import label_fraction
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.eligibility import label_for, unseen_recordings
from ecg_advmask.evaluate.linear import Protocol, fit_head, linear_evaluation
from ecg_advmask.evaluate.metrics import macro_auroc
from ecg_advmask.evaluate.partition import PARTS, split_recordings

QUICK = Protocol(fractions=(0.1, 0.5, 1.0), draws=3, resamples=100)


def records(ids, patients=None, hashes=None, codes="SR", sex="male"):
    table = pd.DataFrame({"id": ids})
    table["patient"] = patients if patients is not None else [f"p-{name}" for name in ids]
    table["signal_hash"] = hashes if hashes is not None else [f"h-{name}" for name in ids]
    table["codes"], table["sex"], table["source"] = codes, sex, "test"
    return table


def seen(ids=(), patients=(), hashes=()):
    size = max(len(ids), len(patients), len(hashes))
    fill = {"id": ids, "patient": patients, "signal_hash": hashes}
    return pd.DataFrame({key: [*values, *[""] * (size - len(values))] for key, values in fill.items()})


def test_seen_by_id_by_signal_and_by_patient_are_left_out_and_counted():
    table = records(list("abcdef"), patients=["1", "2", "3", "3", "4", "5"])
    unseen = unseen_recordings(table, seen(ids=["a"], hashes=["h-b"], patients=["3"]))
    assert unseen.recordings["key"].tolist() == ["e", "f"]
    assert unseen.windows.tolist() == [4, 5]
    reasons = {"seen_by_id": 1, "seen_by_signal": 1, "seen_by_patient": 2}
    assert unseen.counts == {"windows": 6, "recordings": 6, "seen": 4, "copies": 0} | reasons


def test_a_recording_seen_in_several_ways_counts_once():
    table = records(["a", "b"])
    counts = unseen_recordings(table, seen(ids=["a"], hashes=["h-a"], patients=["p-a"])).counts
    assert (counts["seen"], counts["seen_by_id"], counts["seen_by_signal"], counts["seen_by_patient"]) == (1, 1, 1, 1)


def test_empty_patients_and_hashes_match_nothing():
    table = records(["a", "b"], patients=["", ""], hashes=["", ""])
    unseen = unseen_recordings(table, seen(ids=["c"], patients=[""], hashes=[""]))
    assert unseen.recordings["key"].tolist() == ["a", "b"]
    assert unseen.recordings["person"].nunique() == 2


def test_windows_of_a_recording_go_together():
    table = records(["a", "a", "b", "c", "c"], hashes=["1", "1", "2", "3", "3"])
    unseen = unseen_recordings(table, seen(ids=["b"]))
    assert unseen.windows.tolist() == [0, 1, 3, 4]
    assert unseen.recording_of_window.tolist() == [0, 0, 1, 1]
    assert unseen.counts["recordings"] == 3 and unseen.counts["windows"] == 5


def test_copies_of_a_signal_are_tested_once():
    unseen = unseen_recordings(records(["a", "b", "c"], hashes=["1", "1", "2"]), None)
    assert unseen.recordings["key"].tolist() == ["a", "c"]
    assert unseen.counts["copies"] == 1


def test_an_untrained_encoder_has_seen_nothing():
    assert unseen_recordings(records(["a", "b"]), None).counts["seen"] == 0


@pytest.mark.parametrize(
    ("task", "table", "left", "message"),
    [
        ("tea", records(["a", "b"]), None, "there are: rhythm, sex"),
        ("sex", records(["a", "b"]), seen(ids=["a", "b"]), "pretraining_share=0.7"),
        ("sex", records(["a", "b"], sex=["male", "male"]), None, "at least two classes"),
        ("rhythm", records(["a", "b"], codes="unknown"), None, "finds no class"),
    ],
)
def test_what_cannot_be_evaluated_is_told_in_one_line(task, table, left, message):
    with pytest.raises(InputError, match=message) as error:
        label_for(task, unseen_recordings(table, left), "data")
    assert "\n" not in str(error.value)


def test_a_class_missing_from_a_part_is_named():
    names = np.array(["SR"] * 40 + ["SB"], object)
    with pytest.raises(InputError, match=r"class SB: its 1 unseen recordings leave none for the .* part"):
        split_recordings(names, np.arange(41).astype(object), (0.5, 0.1, 0.4), 0)


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
    return names, patients, {"trained": informative.astype(np.float32), "random": rng.normal(size=(n, 8)).astype("f4")}


def test_parts_share_no_patient_and_depend_on_the_split_seed_alone():
    names, patients, _ = dataset()
    split = split_recordings(names, patients, (0.5, 0.1, 0.4), 0)
    people = [set(patients[split.rows[part]]) for part in PARTS]
    assert not people[0] & people[1] and not people[0] & people[2] and not people[1] & people[2]
    assert sum(len(split.rows[part]) for part in PARTS) == len(names)
    assert len(split.rows["test"]) == pytest.approx(160, abs=4)
    assert sum(split.counts()["train"].values()) == len(split.rows["train"])
    ids = np.array([f"id{i}" for i in range(len(names))], object)
    again = split_recordings(names, patients, (0.5, 0.1, 0.4), 0)
    other = split_recordings(names, patients, (0.5, 0.1, 0.4), 1)
    assert split.digest(ids, "test") == again.digest(ids, "test") != other.digest(ids, "test")


def test_informative_embeddings_beat_noise_and_more_labels_help():
    names, patients, embeddings = dataset()
    split = split_recordings(names, patients, QUICK.shares, QUICK.split_seed)
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
    names, patients, embeddings = dataset()
    split = split_recordings(names, patients, QUICK.shares, QUICK.split_seed)
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
    names, patients, embeddings = dataset(200)
    split = split_recordings(names, patients, QUICK.shares, QUICK.split_seed)
    few = Protocol(fractions=(0.2,), draws=2, resamples=50)
    first = linear_evaluation(embeddings, split, few)
    assert first == linear_evaluation(embeddings, split, few)
    shifted = linear_evaluation(embeddings, split, Protocol(fractions=(0.2,), draws=2, resamples=50, seed=1))
    assert shifted["results"] != first["results"]
    # the draw with seed 1 is in both, and gives the same figures, as its test set and resamples are the same
    with_seed_one = [[row for row in one["results"] if row["seed"] == 1] for one in (first, shifted)]
    assert with_seed_one[0] == with_seed_one[1]


def test_a_number_of_labels_is_taken_as_such_and_too_many_are_refused():
    names, patients, embeddings = dataset(200)
    split = split_recordings(names, patients, QUICK.shares, QUICK.split_seed)
    result = linear_evaluation(embeddings, split, Protocol(fractions=(20,), draws=1, resamples=20))
    assert result["summary"][0]["labels"] == pytest.approx(20, abs=1)
    with pytest.raises(InputError, match="5000 labels asked for"):
        linear_evaluation(embeddings, split, Protocol(fractions=(5000,), draws=1, resamples=20))


def test_draws_of_the_training_part_are_nested():
    names, _, _ = dataset()
    smaller, larger = (set(label_fraction(names, fraction, 4).tolist()) for fraction in (0.05, 0.25))
    assert smaller < larger


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
