"""The loop over numbers of labels and draws, its averages, and finished evaluations in files."""

import itertools
import time
import zipfile

import numpy as np
import pytest

from ecg_advmask.data.targets import Targets
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.evaluation import compare, draws_of, evaluate, load_evaluation, store_evaluation, summarise
from ecg_advmask.evaluate.metrics import bootstrap_interval, confusion, values_of
from ecg_advmask.evaluate.protocol import Protocol
from ecg_advmask.evaluate.split import split_recordings

KINDS = ("classes", "labels", "number")
FEW = Protocol(fractions=(12.0, 0.5, 1.0), draws=3, seed=5, resamples=40)


@pytest.mark.parametrize(
    "settings",
    [
        {"fractions": (0.0,)},
        {"fractions": (-1.0,)},
        {"fractions": (2.5,)},
        {"fractions": ()},
        {"fractions": (float("nan"),)},
        {"fractions": (float("inf"),)},
        {"fractions": (0.5, 10, 0.5)},
        {"draws": 0},
        {"head": "svm"},
        {"strengths": ()},
        {"strengths": (0.0, 1.0)},
    ],
)
def test_a_protocol_that_means_nothing_is_refused(settings):
    with pytest.raises(InputError):
        Protocol(**settings)


def divided(kind, recordings=120, seed=0):
    rng = np.random.default_rng(seed)
    names = {"classes": ("SB", "SR", "ST"), "labels": ("AF", "PVC"), "number": ("years",)}[kind]
    values = {
        "classes": rng.integers(3, size=recordings),
        "labels": (rng.random((recordings, 2)) < 0.4).astype(np.int64),
        "number": rng.uniform(20, 90, recordings),
    }[kind]
    ids = np.array([f"r{i:03d}" for i in range(recordings)], object)
    patients = np.array([f"p{i // 2}" for i in range(recordings)], object)
    known = Targets("made", kind, names, values, np.full(recordings, "", object))
    return split_recordings(ids, known, patients, FEW.shares, FEW.split_seed)


def guesses(split, calls=None, bias=0.0):
    """A `Fit` that guesses by the seed, towards the truth by ``bias``."""
    truth = split.targets.take(split.rows["test"])

    def fit(rows, seed):
        if calls is not None:
            calls.append((rows, seed))
        rng = np.random.default_rng([seed, len(rows)])
        if truth.kind == "number":
            return truth.values + rng.normal(scale=10, size=len(truth.values)) + bias, {"at": seed}
        own = np.eye(3)[truth.values] if truth.kind == "classes" else truth.values
        chances = rng.random(own.shape) + bias * own
        chances = chances / chances.sum(axis=1, keepdims=True) if truth.kind == "classes" else chances / (1 + bias)
        return chances, {"at": seed}

    return fit


@pytest.mark.parametrize("kind", KINDS)
def test_every_draw_is_fitted_once_and_measured_on_the_whole_test_set(kind):
    split, calls, bar = divided(kind), [], itertools.count()
    evaluation = evaluate(guesses(split, calls), split, FEW, lambda: next(bar))
    train, test = len(split.rows["train"]), split.targets.take(split.rows["test"])
    assert [at.fraction for at in evaluation] == [12, 0.5, 1]
    assert [at.labels for at in evaluation] == [12, round(train / 2), train]
    assert [[draw.seed for draw in at.draws] for at in evaluation] == [[5, 6, 7], [5, 6, 7], [5]]
    assert next(bar) == len(calls) == draws_of(split, FEW) == 7
    again = guesses(split)
    draws = [(at.fraction, draw) for at in evaluation for draw in at.draws]
    for (rows, seed), (fraction, draw) in zip(calls, draws, strict=True):
        assert np.array_equal(rows, split.draw(fraction, seed))
        predicted, _ = again(rows, seed)
        assert draw.values == values_of(kind, test.names, test.values, predicted)
        assert draw.about == {"at": seed}
        if kind == "classes":
            assert draw.confusion == confusion(test.values, predicted).tolist()
            assert np.sum(draw.confusion, axis=1).tolist() == np.bincount(test.values).tolist()
        else:
            assert draw.confusion is None


@pytest.mark.parametrize("kind", KINDS)
def test_averages_are_over_draws_and_intervals_of_them_over_resamples(kind):
    split = divided(kind)
    whole = evaluate(guesses(split), split, FEW)
    single = [
        evaluate(guesses(split), split, Protocol(fractions=FEW.fractions, draws=1, seed=seed, resamples=40))
        for seed in (5, 6, 7)
    ]
    for place in (0, 1):
        at, each = whole[place], [one[place] for one in single]
        summary = summarise(at, FEW)
        assert summary["draws"] == 3 and list(summary["metrics"]) == list(at.draws[0].values)
        for name, figures in summary["metrics"].items():
            values = [one.draws[0].values[name] for one in each]
            resampled = np.mean([one.resampled[name] for one in each], axis=0)
            assert at.mean.values[name] == figures["mean"] == pytest.approx(np.mean(values))
            assert figures["standard_deviation"] == pytest.approx(np.std(values, ddof=1))
            assert (figures["minimum"], figures["maximum"]) == (min(values), max(values))
            assert at.resampled[name] == pytest.approx(resampled)
            assert (figures["low"], figures["high"]) == pytest.approx(bootstrap_interval(resampled))
    assert {one["standard_deviation"] for one in summarise(whole[2], FEW)["metrics"].values()} == {None}


def test_differences_are_paired_by_draw_and_resample():
    split = divided("classes")
    better, worse = (evaluate(guesses(split, bias=bias), split, FEW) for bias in (0.3, 0.0))
    compared = compare({"better": better, "worse": worse}, FEW)
    assert [(row["first"], row["second"], row["labels"]) for row in compared["differences"]] == [
        ("better", "worse", at.labels) for at in better
    ]
    for row, one, other in zip(compared["differences"], better, worse, strict=True):
        figures, paired = row["metrics"]["macro_auroc"], one.resampled["macro_auroc"] - other.resampled["macro_auroc"]
        assert (figures["low"], figures["high"]) == bootstrap_interval(paired) and figures["low"] > 0
        apart = [a.values["macro_auroc"] - b.values["macro_auroc"] for a, b in zip(one.draws, other.draws, strict=True)]
        assert figures["mean"] == pytest.approx(np.mean(apart))
        assert (figures["minimum"], figures["maximum"]) == (min(apart), max(apart))
    with pytest.raises(ValueError, match="same draws"):
        better[0].minus(better[2])
    assert [(row["encoder"], row["labels"], row["draws"]) for row in compared["confusion"]] == [
        ("better", better[2].labels, 1), ("worse", better[2].labels, 1)
    ]  # fmt: skip
    assert len(compared["results"]) == 14 and len(compared["summary"]) == 6
    assert compared["results"][0]["metrics"] == better[0].draws[0].values and compared["results"][0]["at"] == 5


def test_guessing_has_an_auroc_of_one_half_within_its_interval_and_knowing_has_one():
    split = divided("labels", recordings=600)
    protocol = Protocol(fractions=(20,), draws=4, resamples=200)
    (guessed,), (known,) = (evaluate(guesses(split, bias=bias), split, protocol) for bias in (0.0, 1.5))
    figures = summarise(guessed, protocol)["metrics"]["macro_auroc"]
    assert figures["low"] < 0.5 < figures["high"] and figures["high"] - figures["low"] < 0.15
    assert summarise(known, protocol)["metrics"]["macro_auroc"]["mean"] == 1.0
    assert summarise(known, protocol)["metrics"]["auroc:AF"]["low"] == 1.0


def test_the_largest_number_of_labels_tells_the_confusion_wherever_it_stands():
    split = divided("classes")
    protocol = Protocol(fractions=(30, 12), draws=2, resamples=10)
    evaluation = evaluate(guesses(split), split, protocol)
    (row,) = compare({"one": evaluation}, protocol)["confusion"]
    assert (row["labels"], row["draws"]) == (30, 2)
    assert row["counts"] == np.sum([draw.confusion for draw in evaluation[0].draws], axis=0).tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_stored_comes_back_and_the_same_bytes_come_of_the_same_evaluation(kind, tmp_path, monkeypatch):
    split = divided(kind)
    first, second = (evaluate(guesses(split), split, FEW) for _ in range(2))
    store_evaluation(tmp_path / "first.npz", first, {"method": "guesses", "seed": 3})
    monkeypatch.setattr(time, "time", lambda: 2e9)
    store_evaluation(tmp_path / "second.npz", second, {"seed": 3, "method": "guesses"})
    assert (tmp_path / "first.npz").read_bytes() == (tmp_path / "second.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "first.npz") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    evaluation, about = load_evaluation(tmp_path / "first.npz")
    assert about == {"method": "guesses", "seed": 3}
    assert [(at.fraction, at.labels, at.draws) for at in evaluation] == [
        (at.fraction, at.labels, at.draws) for at in first
    ]
    assert compare({"one": evaluation}, FEW) == compare({"one": first}, FEW)
    for stored, at in zip(evaluation, first, strict=True):
        assert list(stored.resampled) == list(at.resampled)
        assert all(np.array_equal(stored.resampled[name], at.resampled[name], equal_nan=True) for name in at.resampled)


def test_values_that_are_not_defined_are_stored_as_such_and_reported_as_none(tmp_path):
    split = divided("classes")
    (at,) = evaluate(guesses(split), split, Protocol(fractions=(1.0,), resamples=5))
    at.draws[0].values["macro_auroc"] = float("nan")
    at.resampled["macro_auroc"][:] = np.nan
    store_evaluation(tmp_path / "one.npz", [at], {})
    ((stored,), _) = load_evaluation(tmp_path / "one.npz")
    row = summarise(stored, FEW)["metrics"]["macro_auroc"]
    assert set(row.values()) == {None}
    assert summarise(stored, FEW)["metrics"]["accuracy"]["mean"] == at.draws[0].values["accuracy"]


@pytest.mark.parametrize("damage", ["absent", "empty", "cut", "text", "other", "short"])
def test_damaged_files_are_refused_in_one_line(tmp_path, damage):
    split = divided("classes")
    path = tmp_path / "evaluation.npz"
    if damage != "absent":
        store_evaluation(path, evaluate(guesses(split), split, Protocol(fractions=(12, 1.0), draws=1, resamples=5)), {})
    content = path.read_bytes() if path.exists() else b""
    if damage in ("empty", "cut", "text"):
        path.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "text": b"id,auroc\n"}[damage])
    if damage == "other":
        np.savez(path, embeddings=np.zeros(3))
    if damage == "short":
        with np.load(path) as stored:
            np.savez(path, **dict(stored) | {"seeds": stored["seeds"][:1]})
    with pytest.raises(InputError, match=r"evaluation\.npz: is not a stored evaluation") as raised:
        load_evaluation(path)
    assert "\n" not in str(raised.value)


def test_a_stored_evaluation_is_not_unpickled(tmp_path):
    path = tmp_path / "pickled.npz"
    np.savez(path, about=np.array({"draws": []}, object))
    with pytest.raises(InputError, match="is not a stored evaluation"):
        load_evaluation(path)
