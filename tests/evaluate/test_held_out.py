"""Cross-validation over patients: no head sees whom it predicts; temperature and thresholds by their definitions."""

from typing import Any

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.metrics import roc_auc_score

from ecg_advmask.data.targets import Kind, Targets
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.held_out import (
    FOLDS,
    HeldOut,
    final_head,
    groups_of,
    held_out,
    held_out_figures,
    linear_outputs,
    temperature,
    thresholds,
)
from ecg_advmask.evaluate.protocol import Protocol
from ecg_advmask.evaluate.split import Split, split_recordings

Array = np.ndarray[Any, Any]
FEW = Protocol(resamples=60)
KINDS: tuple[Kind, ...] = ("classes", "labels", "number")


def targets(kind: Kind, values: Array) -> Targets:
    names = {"classes": ("a", "b", "c"), "labels": ("a", "b"), "number": ("years",)}[kind]
    return Targets("made", kind, names, values, np.full(len(values), "", object))


def divided(kind: Kind, values: Array, patients: Array) -> Split:
    ids = np.array([f"r{place:03d}" for place in range(len(values))], object)
    return split_recordings(ids, targets(kind, values), patients.astype(object), FEW.shares, 0)


def made(kind: Kind, recordings: int = 150) -> tuple[Array, Split]:
    """Embeddings that tell the targets, with noise; two recordings of each patient."""
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(recordings, 5)).astype(np.float32)
    noisy = embeddings[:, :3] + 0.7 * rng.normal(size=(recordings, 3))
    values = {"classes": noisy.argmax(axis=1), "labels": (noisy[:, :2] > 0.3).astype(int), "number": noisy[:, 0]}[kind]
    return embeddings, divided(kind, values, np.array([f"p{place // 2}" for place in range(recordings)]))


@pytest.mark.parametrize("kind", KINDS)
def test_every_recording_is_predicted_by_a_head_that_lacks_its_patient(kind: Kind) -> None:
    embeddings, split = made(kind)
    held = held_out(embeddings, split, FEW)
    assert set(held.fold) == set(range(FOLDS)) and np.isfinite(held.outputs).all()
    assert all(len(set(held.fold[split.patients == one])) == 1 for one in set(split.patients))
    other = embeddings.copy()
    other[held.fold == 2] = 100  # predicts these recordings alone otherwise, and what was learnt from them
    changed = held_out(other, split, FEW)
    np.testing.assert_array_equal(changed.fold, held.fold)
    assert changed.temperatures[2] == held.temperatures[2] and changed.strengths[2] == held.strengths[2]


def test_nothing_is_learnt_of_patients_who_are_predicted() -> None:
    """Embeddings that name the patient, and labels by chance: a head that had met the patient would be right."""
    rng = np.random.default_rng(1)
    patients = np.repeat(np.arange(100), 2)
    values = np.repeat(rng.integers(2, size=100), 2)
    split = divided("classes", values, patients)
    held = held_out(np.eye(100, dtype=np.float32)[patients], split, FEW)
    assert abs(roc_auc_score(values == 1, held.before[:, 1]) - 0.5) < 0.12


@pytest.mark.parametrize("true", [0.3, 1.0, 4.0])
def test_temperature_is_that_by_which_labels_were_drawn(true: float) -> None:
    rng = np.random.default_rng(0)
    outputs = rng.normal(scale=3, size=(6000, 3)) * true
    drawn = np.array([rng.choice(3, p=p) for p in softmax(outputs / true, axis=1)])
    assert temperature(outputs, targets("classes", drawn)) == pytest.approx(true, rel=0.08)
    labels = (rng.random((6000, 2)) < expit(outputs[:, :2] / true)).astype(int)
    assert temperature(outputs[:, :2], targets("labels", labels)) == pytest.approx(true, rel=0.08)


def test_a_class_that_was_not_learnt_does_not_set_the_temperature() -> None:
    rng = np.random.default_rng(0)
    outputs = rng.normal(size=(500, 3))
    values = outputs.argmax(axis=1)
    known = temperature(outputs[values < 2], targets("classes", values[values < 2]))
    outputs[:, 2] = -np.inf
    two = temperature(outputs[values < 2], targets("classes", values[values < 2]))
    assert temperature(outputs, targets("classes", values)) == two and np.isfinite(known)
    assert temperature(outputs[values == 2], targets("classes", values[values == 2])) == 1
    assert temperature(rng.normal(size=(9, 1)), targets("number", rng.normal(size=9))) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_figures_are_those_of_the_predictions(kind: Kind) -> None:
    embeddings, split = made(kind)
    held = held_out(embeddings, split, FEW)
    rng = np.random.default_rng(0)
    sex = np.where(rng.random(len(split.ids)) < 0.5, "male", "female").astype(object)
    years = rng.uniform(20, 90, len(split.ids))
    figures = held_out_figures(held, {"sex": sex, "age_years": years}, 0.95)
    values = split.targets.values
    if kind == "number":
        expected = np.abs(values - held.before).mean()
        assert figures["before"]["mae"]["mean"] == figures["after"]["mae"]["mean"] == pytest.approx(expected)
        assert held.temperatures == (1.0,) * FOLDS
    else:
        own = values == 1 if kind == "labels" else values[:, None] == np.arange(3)
        expected = np.mean([roc_auc_score(*pair) for pair in zip(own.T, held.after.T, strict=True)])
        assert figures["after"]["macro_auroc"]["mean"] == pytest.approx(expected)
        women = [
            roc_auc_score(*pair) for pair in zip(own[sex == "female"].T, held.after[sex == "female"].T, strict=True)
        ]
        (of_women,) = [one for one in figures["groups"] if one["name"] == "female"]
        assert of_women["estimate"]["mean"] == pytest.approx(np.mean(women))
        assert of_women["estimate"]["low"] < np.mean(women) < of_women["estimate"]["high"]
    assert sum(one["recordings"] for one in figures["groups"]) == 2 * len(split.ids)


def test_groups_hold_each_recording_once_for_sex_and_once_for_age() -> None:
    sex = np.array(["male", "", "female", "male"], object)
    years = np.array([39.9, np.nan, 65.0, 40.0])
    found = {name: rows.tolist() for name, rows in groups_of({"sex": sex, "age_years": years}).items()}
    assert found == {
        "female": [False, False, True, False],
        "male": [True, False, False, True],
        "sex not known": [False, True, False, False],
        "0 to 39 years": [True, False, False, False],
        "40 to 64 years": [False, False, False, True],
        "65 years and older": [False, False, True, False],
        "age not known": [False, True, False, False],
    }


def test_thresholds_are_where_sensitivity_and_specificity_are_largest() -> None:
    embeddings, split = made("labels")
    held = held_out(embeddings, split, FEW)
    for label, limit in enumerate(thresholds(held)):
        truth, scores = split.targets.values[:, label] == 1, held.after[:, label]
        sums = {one: (scores[truth] >= one).mean() + (scores[~truth] < one).mean() for one in scores}
        assert sums[limit] == pytest.approx(max(sums.values()))


@pytest.mark.parametrize("kind", KINDS)
def test_the_head_to_keep_is_calibrated(kind: Kind) -> None:
    embeddings, split = made(kind)
    held = held_out(embeddings, split, FEW)
    head = final_head(embeddings, held, FEW, "0" * 64)
    scale = head.about["temperature"]
    assert scale == temperature(held.outputs, split.targets) and head.about["strength"] in held.strengths
    assert (head.kind, head.names) == (kind, split.targets.names)
    if kind != "number":
        again = temperature(linear_outputs(head, embeddings) * scale, split.targets)
        assert scale > 0.9 * again  # held-out outputs are to be trusted less than those of the fitted recordings


def test_too_few_patients_are_refused() -> None:
    embeddings, split = made("number")
    few = Split(split.targets, split.ids, np.array(["p0", "p1", "p2"] * 50, object), split.rows, {})
    with pytest.raises(InputError, match="5 patients"):
        held_out(embeddings, few, FEW)


def test_predictions_before_and_after_differ_by_the_temperature() -> None:
    embeddings, split = made("classes")
    held = held_out(embeddings, split, FEW)
    hot = HeldOut(split, held.outputs, held.fold, (2.0,) * FOLDS, held.strengths, held.counts)
    np.testing.assert_allclose(hot.before, softmax(held.outputs, axis=1))
    np.testing.assert_allclose(hot.after, softmax(held.outputs / 2, axis=1))
