"""The losses against slow loops written from the papers, closed forms, and the published implementation's values."""

import math
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from ecg_advmask.pretrain.losses import (
    area_entropy,
    contrastive_accuracy,
    nt_xent,
    nt_xent_of_patients,
    sparsity_penalty,
)


def value(tensor: object) -> float:
    return float(keras.ops.convert_to_numpy(tensor))


def nt_xent_loop(z1: np.ndarray, z2: np.ndarray, temperature: float, negatives: str) -> float:
    """Anchor by anchor, in float64."""
    z = np.concatenate([z1, z2]).astype(np.float64)
    pairs = len(z1)
    total = 0.0
    for anchor in range(2 * pairs):
        positive = (anchor + pairs) % (2 * pairs)
        denominator = 0.0
        for other in range(2 * pairs):
            same_view = (anchor < pairs) == (other < pairs)
            if other == anchor or (negatives == "other" and same_view):
                continue
            cosine = z[anchor] @ z[other] / np.linalg.norm(z[anchor]) / np.linalg.norm(z[other])
            if other == positive:
                numerator = math.exp(cosine / temperature)
            if other != positive or negatives != "decoupled":
                denominator += math.exp(cosine / temperature)
        total -= math.log(numerator / denominator)
    return total / (2 * pairs)


@pytest.mark.parametrize("negatives", ["both", "other", "decoupled"])
@pytest.mark.parametrize("pairs", [2, 3, 64])
def test_nt_xent_equals_the_loop(pairs: int, negatives: str) -> None:
    rng = np.random.default_rng(pairs)
    z1, z2 = rng.normal(size=(2, pairs, 16)).astype(np.float32)
    assert value(nt_xent(z1, z2, 0.1, negatives)) == pytest.approx(nt_xent_loop(z1, z2, 0.1, negatives), abs=1e-5)


@pytest.mark.parametrize("pairs", [2, 3, 64])
def test_nt_xent_of_identical_embeddings_is_log_of_the_number_of_candidates(pairs: int) -> None:
    z = np.tile(np.arange(1.0, 9.0, dtype=np.float32), (pairs, 1))
    assert value(nt_xent(z, z, 0.1)) == pytest.approx(math.log(2 * pairs - 1), abs=1e-5)
    assert value(nt_xent(z, z, 0.1, "other")) == pytest.approx(math.log(pairs), abs=1e-5)
    assert value(nt_xent(z, z, 1.0, "decoupled")) == pytest.approx(math.log(2 * pairs - 2), abs=1e-5)


def test_a_decoupled_loss_is_not_bounded_by_zero() -> None:
    """Two pairs, all four projections at right angles but for the positives: -1 + log(2 exp(0)) at a temperature of 1.

    NT-Xent has the positive in its denominator: log(1 + 2 / e).
    """
    z = np.eye(2, 8, dtype=np.float32)
    assert value(nt_xent(z, z, 1.0, "decoupled")) == pytest.approx(math.log(2) - 1, abs=1e-6)
    assert value(nt_xent(z, z, 1.0)) == pytest.approx(math.log(1 + 2 / math.e), abs=1e-6)
    with pytest.raises(ValueError, match="decoupled"):
        nt_xent_of_patients(z, z, np.arange(2), 1.0, "decoupled")


def test_entropy_of_areas() -> None:
    """Areas 0.5, 0.25 and 0.25 of three masks; and equal ones, whose entropy is log(3), without gradient."""
    masks = np.zeros((1, 8, 3), np.float32)
    masks[0, :4, 0] = masks[0, 4:6, 1] = masks[0, 6:, 2] = 1
    weights = np.exp([0.5, 0.25, 0.25]) / np.exp([0.5, 0.25, 0.25]).sum()
    assert value(area_entropy(masks)) == pytest.approx(-np.sum(weights * np.log(weights)), abs=1e-6)
    even = tf.constant(np.full((2, 8, 3), 1 / 3, np.float32))
    with tf.GradientTape() as tape:
        tape.watch(even)
        entropy = area_entropy(even)
    assert value(entropy) == pytest.approx(math.log(3), abs=1e-6)
    np.testing.assert_allclose(tape.gradient(entropy, even), 0, atol=1e-7)


def patients_loop(z1: np.ndarray, z2: np.ndarray, patients: list[int], temperature: float, negatives: str) -> float:
    """Anchor by anchor and positive by positive, in float64."""
    z = np.concatenate([z1, z2]).astype(np.float64)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    pairs = len(z1)
    total = 0.0
    for anchor in range(2 * pairs):
        others = [
            other
            for other in range(2 * pairs)
            if other != anchor and not (negatives == "other" and (anchor < pairs) == (other < pairs))
        ]
        denominator = sum(math.exp(z[anchor] @ z[other] / temperature) for other in others)
        positives = [other for other in others if patients[other % pairs] == patients[anchor % pairs]]
        terms = [-math.log(math.exp(z[anchor] @ z[other] / temperature) / denominator) for other in positives]
        total += sum(terms) / len(terms)
    return total / (2 * pairs)


@pytest.mark.parametrize("negatives", ["both", "other"])
@pytest.mark.parametrize("patients", [[0, 0], [4, 4, 7], [1, 2, 1, 3, 1, 2, 9, 9]])
def test_nt_xent_of_patients_equals_the_loop(patients: list[int], negatives: str) -> None:
    z1, z2 = np.random.default_rng(5).normal(size=(2, len(patients), 6)).astype(np.float32)
    loss = nt_xent_of_patients(z1, z2, np.array(patients), 0.2, negatives)
    assert value(loss) == pytest.approx(patients_loop(z1, z2, patients, 0.2, negatives), abs=1e-5)


@pytest.mark.parametrize("negatives", ["both", "other"])
def test_nt_xent_of_patients_with_one_recording_each_is_nt_xent(negatives: str) -> None:
    z1, z2 = np.random.default_rng(6).normal(size=(2, 32, 8)).astype(np.float32)
    loss = nt_xent_of_patients(z1, z2, np.arange(32)[::-1].copy(), 0.1, negatives)
    assert value(loss) == pytest.approx(value(nt_xent(z1, z2, 0.1, negatives)), abs=1e-5)


def test_nt_xent_of_patients_has_a_finite_gradient_where_all_are_of_one_patient() -> None:
    z = tf.Variable(np.random.default_rng(7).normal(size=(4, 8)).astype(np.float32))
    with tf.GradientTape() as tape:
        loss = nt_xent_of_patients(z, z, tf.zeros(4, tf.int64))
    assert np.isfinite(value(loss))
    assert np.isfinite(tape.gradient(loss, z).numpy()).all()


def test_nt_xent_does_not_see_the_length_of_a_projection() -> None:
    z1, z2 = np.random.default_rng(0).normal(size=(2, 8, 4)).astype(np.float32)
    assert value(nt_xent(3 * z1, 0.2 * z2)) == pytest.approx(value(nt_xent(z1, z2)), abs=1e-5)


def test_nt_xent_is_computed_in_float32_from_float16_projections() -> None:
    z1, z2 = np.random.default_rng(1).normal(size=(2, 16, 32)).astype(np.float16)
    loss = nt_xent(z1, z2)
    assert keras.backend.standardize_dtype(loss.dtype) == "float32"
    assert value(loss) == pytest.approx(nt_xent_loop(z1, z2, 0.1, "both"), abs=1e-4)


def test_nt_xent_of_zero_projections_is_finite_with_finite_gradient() -> None:
    z = tf.Variable(tf.zeros((4, 8)))
    with tf.GradientTape() as tape:
        loss = nt_xent(z, z)
    assert np.isfinite(value(loss))
    assert np.isfinite(tape.gradient(loss, z).numpy()).all()


def test_published_losses(shared: Path) -> None:
    with np.load(shared / "reference" / "nt_xent.npz") as cases:
        for i in range(sum(key.startswith("loss_") for key in cases.files)):
            loss = nt_xent(cases[f"z1_{i}"], cases[f"z2_{i}"], float(cases[f"temperature_{i}"]))
            assert value(loss) == pytest.approx(float(cases[f"loss_{i}"]), abs=1e-5)
    with np.load(shared / "reference" / "sparsity.npz") as cases:
        for i in range(sum(key.startswith("loss_") for key in cases.files)):
            masks = cases[f"masks_{i}"].transpose(0, 2, 1)
            loss = sparsity_penalty(masks, float(cases[f"alpha_{i}"]), float(cases[f"ratio_{i}"]))
            assert value(loss) == pytest.approx(float(cases[f"loss_{i}"]), abs=1e-5)


def test_sparsity_equals_the_sum_written_out() -> None:
    masks = np.random.default_rng(2).uniform(0.05, 0.9, size=(5, 40, 3)).astype(np.float32)
    total = 0.0
    for recording in range(5):
        for mask in range(3):
            total += 1 / math.sin(math.pi * 0.8 * masks[recording, :, mask].mean(dtype=np.float64))
    assert value(sparsity_penalty(masks, 0.5, 0.8)) == pytest.approx(0.5 * total / 5, rel=1e-5)


@pytest.mark.parametrize(("area", "direction"), [(0.0, -1), (1e-6, -1), (0.0009, -1), (0.9995, 1), (1.0, 1)])
def test_sparsity_at_its_poles_is_finite_and_pushes_back(area: float, direction: int) -> None:
    """The adversary descends on the penalty: a vanished mask must be made to grow, a full one to shrink."""
    masks = tf.Variable(tf.fill((2, 50, 1), area))
    with tf.GradientTape() as tape:
        loss = sparsity_penalty(masks, 0.1)
    gradient = tape.gradient(loss, masks).numpy()
    assert 10 < value(loss) < 1e3
    assert np.isfinite(gradient).all()
    assert (np.sign(gradient) == direction).all()


def test_sparsity_is_continuous_with_its_slope_where_the_tangent_takes_over() -> None:
    below, at, above = (
        value(sparsity_penalty(np.full((1, 10, 1), area, np.float32), 1.0)) for area in (9e-4, 1e-3, 1.1e-3)
    )
    assert at == pytest.approx(1 / math.sin(math.pi * 1e-3), rel=1e-4)
    assert below - at == pytest.approx(at - above, rel=0.15)


def test_sparsity_with_a_ratio_above_one_wants_a_smaller_area() -> None:
    """At ratio 2.5 an area of 0.2 costs least; from anywhere else the penalty leads there, with a modest slope."""
    for area in np.arange(0.0, 1.01, 0.05):
        masks = tf.Variable(tf.fill((1, 50, 1), float(area)))
        with tf.GradientTape() as tape:
            loss = sparsity_penalty(masks, 1.0, 2.5)
        slope = float(tf.reduce_sum(tape.gradient(loss, masks)))
        assert 1 - 1e-6 <= value(loss) < 210
        assert abs(slope) < 320
        assert (abs(slope) < 1e-4) if abs(area - 0.2) < 1e-6 else (slope > 0) == (area > 0.2)


def test_contrastive_accuracy_counts_the_first_view_finding_its_second() -> None:
    z = np.eye(4, dtype=np.float32)
    assert value(contrastive_accuracy(z, z)) == 1.0
    assert value(contrastive_accuracy(z, z[[1, 0, 2, 3]])) == 0.5
