"""Heads of each kind: what they find, which strength or epoch they choose, and what they do without examples."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ecg_advmask.data.targets import Targets
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate import linear
from ecg_advmask.evaluate.heads import fit_cross_validated_head, fit_head, held_out_folds, validation_score
from ecg_advmask.evaluate.linear import fit_adam_head
from ecg_advmask.evaluate.protocol import Protocol

KINDS = ("classes", "labels", "number")


def targets(kind, values):
    values = np.asarray(values)
    names = (
        ("years",)
        if kind == "number"
        else tuple("abcdefgh"[: values.max() + 1 if kind == "classes" else values.shape[1]])
    )
    return Targets("made", kind, names, values, np.full(len(values), "", object))


def made(kind, recordings=300, noise=0.0, seed=0):
    """Embeddings with offsets and very unlike scales, of which three tell the targets; the halves of the recordings."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(recordings, 6))
    noisy = hidden[:, :3] + noise * rng.normal(size=(recordings, 3))
    values = {"classes": noisy.argmax(axis=1), "labels": (noisy > 0.8).astype(int), "number": 60 + 15 * noisy[:, 0]}
    embeddings = (hidden * [1, 20, 0.1, 1, 1, 5] + [0, -300, 1, 0, 0, 0]).astype(np.float32)
    whole = targets(kind, values[kind])
    half = np.arange(recordings) < recordings // 2
    return embeddings[half], whole.take(half), embeddings[~half], whole.take(~half)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_linear_head_can_tell_is_found(kind):
    head, about = fit_head(*(given := made(kind)), Protocol())
    predicted = head.predict(given[2])
    score = validation_score(given[3], predicted)
    assert score > 0.995 if kind != "number" else -0.2 < score < 0
    assert about["validation"] == pytest.approx(abs(score))
    assert about["converged"] and about["strength"] in Protocol().strengths
    if kind == "classes":
        assert predicted.sum(axis=1) == pytest.approx(np.ones(len(predicted)))


@pytest.mark.parametrize("kind", KINDS)
def test_the_strength_is_the_best_on_the_validation_part_and_of_equal_ones_the_most_regularised(kind):
    given = made(kind, recordings=120, noise=3)
    alone = {c: fit_head(*given, Protocol(strengths=(c,))) for c in Protocol().strengths}
    scores = {c: validation_score(given[3], head.predict(given[2])) for c, (head, _) in alone.items()}
    head, about = fit_head(*given, Protocol())
    score = validation_score(given[3], head.predict(given[2]))
    assert score == pytest.approx(max(scores.values()), rel=2e-3)
    assert scores[about["strength"]] == pytest.approx(max(scores.values()), rel=2e-3)
    assert len({round(one, 6) for one in scores.values()}) > 1


def people(recordings, each=1):
    return np.array([f"p{row // each}" for row in range(recordings)], object)


@pytest.mark.parametrize("kind", KINDS)
def test_folds_part_patients_and_each_has_its_share_of_every_stratum(kind):
    _, known, _, _ = made(kind, recordings=240)
    patients = people(120, each=2)
    folds = held_out_folds(known, patients, 5, seed=3)
    assert set(folds) == set(range(5)) and len({(a, b) for a, b in zip(patients, folds, strict=True)}) == 60
    np.testing.assert_array_equal(np.bincount(folds), [24] * 5)
    if kind == "classes":
        alone = held_out_folds(known, people(120), 5, seed=3)
        sizes = np.array([np.bincount(alone[known.values == one], minlength=5) for one in range(3)])
        assert (np.ptp(sizes, axis=1) <= 1).all()


@pytest.mark.parametrize(
    ("values", "patients", "folds"),
    [
        ([0, 0, 0, 1, 1, 2], "abcdef", 5),  # the only one of class 2 is always fitted
        ([0, 0, 1, 1], "abcd", 4),  # as many folds as patients
        ([0, 0, 1, 1], "aabb", 0),  # one patient of each class
        ([0, 1, 2, 3], "abcd", 0),
        ([0, 0, 0, 0, 1], "abcde", 0),  # what is held out would be of one class
    ],
)
def test_whoever_is_alone_in_a_class_is_never_held_out(values, patients, folds):
    known = targets("classes", values)
    found = held_out_folds(known, np.array(list(patients), object), 5, seed=0)
    assert found.max() + 1 == folds
    alone = [
        row
        for row, value in enumerate(values)
        if len({p for p, v in zip(patients, values, strict=True) if v == value}) == 1
    ]
    assert (found[alone] == -1).all() and (folds == 0 or (np.delete(found, alone) >= 0).all())
    for fold in range(folds):
        assert set(known.values[found != fold]) == set(values), "every class is among those that are fitted"


@pytest.mark.parametrize("kind", KINDS)
def test_the_strength_is_the_best_on_what_cross_validation_holds_out(kind):
    """By a plain loop over strengths and folds, each head fitted by itself."""
    drawn, known, _, _ = made(kind, recordings=100, noise=2)
    patients = people(50)
    folds = held_out_folds(known, patients, 5, seed=1)
    scores = []
    for strength in sorted(Protocol().strengths):
        predicted = [None] * 50
        for fold in range(5):
            fitted = folds != fold
            head, _ = fit_head(drawn[fitted], known.take(fitted), drawn, known, Protocol(strengths=(strength,)))
            for row in np.flatnonzero(~fitted):
                predicted[row] = head.predict(drawn)[row]
        scores.append(validation_score(known, np.array(predicted)))
    head, about = fit_cross_validated_head(drawn, known, patients, Protocol(), seed=1)
    assert about["folds"] == 5
    assert scores[sorted(Protocol().strengths).index(about["strength"])] == pytest.approx(max(scores), rel=2e-3)
    whole, _ = fit_head(drawn, known, drawn, known, Protocol(strengths=(about["strength"],)))
    assert head.predict(drawn) == pytest.approx(whole.predict(drawn), rel=1e-2, abs=1e-3)


def test_labels_too_few_to_be_divided_get_the_fixed_strength():
    drawn, known, _, _ = made("classes")
    rows = [int(np.flatnonzero(known.values == one)[0]) for one in range(3)]
    head, about = fit_cross_validated_head(drawn[rows], known.take(rows), people(3), Protocol(), seed=0)
    assert (about["strength"], about["folds"]) == (Protocol().few_labels_strength, 0)
    assert head.predict(drawn[rows]).argmax(axis=1).tolist() == [0, 1, 2]


def test_a_penalty_cannot_be_cross_validated_for_a_head_without_one():
    with pytest.raises(InputError, match="--head adam has no penalty"):
        Protocol(head="adam", penalty="cross-validated")


def test_classes_that_a_line_parts_are_distinguished_with_the_strongest_penalty():
    """Every strength reaches an AUROC of 1, and of equally good ones the most regularised is taken."""
    rng = np.random.default_rng(0)
    classes = targets("classes", np.tile([0, 1], 40))
    embeddings = rng.normal(size=(80, 4)) + 20 * classes.values[:, None] * np.eye(1, 4)
    _, about = fit_head(
        embeddings[:40], classes.take(slice(40)), embeddings[40:], classes.take(slice(40, 80)), Protocol()
    )
    assert (about["strength"], about["validation"]) == (min(Protocol().strengths), 1.0)


def test_embeddings_are_standardised_by_the_drawn_recordings_alone():
    given = made("classes")
    head, _ = fit_head(*given, Protocol())
    assert head.centre == pytest.approx(given[0].mean(axis=0), rel=1e-4)
    assert head.scale == pytest.approx(given[0].std(axis=0), rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_embeddings_in_another_unit_make_the_same_head(kind):
    drawn, known, others, judged = made(kind, noise=1)
    head, about = fit_head(drawn, known, others, judged, Protocol())
    factors = np.array([10, 0.1, 3, 1, 7, 1e-3])
    changed, again = fit_head(drawn * factors, known, others * factors, judged, Protocol())
    assert again["strength"] == about["strength"]
    assert changed.predict(others * factors) == pytest.approx(head.predict(others), rel=1e-2, abs=1e-3)


def test_ridge_predicts_in_the_unit_of_the_number():
    drawn, known, others, judged = made("number", noise=1)
    days = [targets("number", one.values * 365.25 + 1000) for one in (known, judged)]
    years, about = fit_head(drawn, known, others, judged, Protocol())
    head, again = fit_head(drawn, days[0], others, days[1], Protocol())
    assert again["strength"] == about["strength"]
    assert head.predict(others) == pytest.approx(years.predict(others) * 365.25 + 1000)


def test_a_constant_embedding_is_harmless():
    drawn, known, others, judged = made("classes")
    constant = [np.column_stack([one, np.full(len(one), 1e-3, np.float32)]) for one in (drawn, others)]
    head, _ = fit_head(constant[0], known, constant[1], judged, Protocol())
    plain, _ = fit_head(drawn, known, others, judged, Protocol())
    assert head.weights[-1] == pytest.approx(0, abs=1e-9)
    assert head.predict(constant[1]) == pytest.approx(plain.predict(others), abs=1e-3)


def test_a_class_that_was_not_drawn_is_never_predicted_and_a_label_gets_its_share():
    drawn, known, others, judged = made("classes")
    some = known.values != 1
    head, _ = fit_head(drawn[some], known.take(some), others, judged, Protocol())
    assert np.all(head.predict(others)[:, 1] == 0)
    assert head.predict(others).sum(axis=1) == pytest.approx(np.ones(len(others)))
    drawn, known, others, judged = made("labels")
    rows = np.flatnonzero((known.values[:, 2] == 0) & (np.arange(len(drawn)) < 60))
    head, _ = fit_head(drawn[rows], known.take(rows), others, judged, Protocol())
    assert head.predict(others)[:, 2] == pytest.approx(np.full(len(others), 0.5 / (len(rows) + 1)))
    assert np.ptp(head.predict(others)[:, 0]) > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_recording_predicts_itself(kind):
    drawn, known, others, judged = made(kind)
    head, _ = fit_head(drawn[:1], known.take([0]), others, judged, Protocol())
    predicted = head.predict(others)
    assert np.all(np.isfinite(predicted)) and np.all(predicted == predicted[0])
    if kind == "number":
        assert predicted[0] == pytest.approx(known.values[0])
    if kind == "classes":
        assert predicted[0].argmax() == known.values[0] and predicted[0].max() == 1


def test_validation_score_is_scikit_learns_macro_auroc_or_minus_the_mean_absolute_error():
    rng = np.random.default_rng(0)
    rounded = rng.random((50, 3)).round(1)  # with ties
    classes, labels = targets("classes", rng.integers(3, size=50)), targets("labels", rng.integers(2, size=(50, 3)))
    for one, own in ((classes, np.eye(3)[classes.values]), (labels, labels.values)):
        expected = np.mean([roc_auc_score(own[:, k], rounded[:, k]) for k in range(3)])
        assert validation_score(one, rounded) == pytest.approx(expected)
    labels.values[:, 1] = 0
    defined = [roc_auc_score(labels.values[:, k], rounded[:, k]) for k in (0, 2)]
    assert validation_score(labels, rounded) == pytest.approx(np.mean(defined))
    assert validation_score(labels.take(labels.values.max(axis=1) == 0), rounded[labels.values.max(axis=1) == 0]) == 0
    assert validation_score(targets("number", [1.0, 5.0]), np.array([2.0, 2.0])) == -2


def test_adam_moves_as_the_paper_of_it_says():
    """The first steps of Kingma and Ba 2015, algorithm 1, by hand: gradients 2 and then 1, rate 0.1."""
    layer = linear._Adam(np.array([[3.0]]), 0.1)
    layer.step(np.array([[2.0]]))
    assert layer.values[0, 0] == pytest.approx(2.9, abs=1e-6)
    layer.step(np.array([[1.0]]))
    mean = (0.9 * 0.2 + 0.1 * 1) / (1 - 0.9**2)
    squares = (0.999 * 0.004 + 0.001 * 1) / (1 - 0.999**2)
    assert layer.values[0, 0] == pytest.approx(2.9 - 0.1 * mean / np.sqrt(squares), abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_adam_descends_the_gradient_of_its_loss(kind):
    drawn, known, _, _ = made(kind, recordings=24)
    rng = np.random.default_rng(0)
    own = linear.indicators(known)
    layer = rng.normal(size=(6, own.shape[1])) / 100

    def loss(layer):
        outputs = drawn.astype(float) @ layer
        if kind == "number":
            return np.mean((outputs - own) ** 2)
        likelihood = linear.activate(kind, outputs)
        if kind == "classes":
            return -np.mean(np.log((likelihood * own).sum(axis=1)))
        return -np.mean(np.log(np.where(own == 1, likelihood, 1 - likelihood)))

    gradient = linear._gradient(known, drawn.astype(float), own, layer)
    direction = rng.normal(size=layer.shape)
    slope = (loss(layer + 1e-6 * direction) - loss(layer - 1e-6 * direction)) / 2e-6
    assert (gradient * direction).sum() == pytest.approx(slope, rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_adam_learns_what_there_is(kind):
    drawn, known, others, judged = made(kind)
    protocol = Protocol(head="adam", adam_learning_rate=0.02, adam_batch_size=50)
    head, about = fit_adam_head(drawn, known, others, judged, protocol, seed=0)
    score = validation_score(judged, head.predict(others))
    assert score > 0.99 if kind != "number" else -1 < score < 0
    assert about["validation"] == pytest.approx(abs(score))
    again, _ = fit_adam_head(drawn, known, others, judged, protocol, seed=0)
    other, _ = fit_adam_head(drawn, known, others, judged, protocol, seed=1)
    assert np.array_equal(head.predict(others), again.predict(others))
    assert not np.array_equal(head.predict(others), other.predict(others))


def test_adam_does_not_mind_how_far_embeddings_spread():
    drawn, known, others, judged = made("classes", noise=1)
    head, about = fit_adam_head(drawn, known, others, judged, Protocol(), seed=0)
    small, again = fit_adam_head(drawn * 1e-3 + 5, known, others * 1e-3 + 5, judged, Protocol(), seed=0)
    assert about["epoch"] == again["epoch"]
    assert small.predict(others * 1e-3 + 5) == pytest.approx(head.predict(others), abs=1e-3)


def test_adam_keeps_the_best_epoch_and_stops_when_none_is_better():
    """Validation targets that contradict the drawn ones: the first epoch is the best, and patience ends the fit."""
    rng = np.random.default_rng(0)
    drawn, others = rng.normal(size=(2, 100, 1))
    known, contrary = targets("number", drawn[:, 0]), targets("number", -others[:, 0])
    protocol = Protocol(head="adam", adam_patience=7, adam_epochs=100)
    head, about = fit_adam_head(drawn, known, others, contrary, protocol, seed=0)
    assert (about["epoch"], about["epochs"]) == (1, 8)
    first, _ = fit_adam_head(drawn, known, others, contrary, Protocol(head="adam", adam_epochs=1), seed=0)
    assert np.array_equal(head.predict(others), first.predict(others))
