"""3KG's rotation and scaling of the heart vector: against slow loops and scipy's rotations, and its invariants."""

import math

import numpy as np
import pytest
import tensorflow as tf
from scipy.spatial.transform import Rotation

from augment.injection import RATE, generator, recorded, standard_normal
from ecg_advmask.augment.vcg import INVERSE_DOWER, _moved, _rotations, vcg
from ecg_advmask.data.scaling import standardise
from ecg_advmask.ecg.leads import DOWER, eight_from_twelve, leads_from_heart_vector, twelve_from_eight

EDENBRANDT_PAHLM = [  # of I, II, V1 to V6; J Electrocardiol 21 (1988) 361-367
    [0.156, -0.010, -0.172, -0.074, 0.122, 0.231, 0.239, 0.194],
    [-0.227, 0.887, 0.057, -0.019, -0.106, -0.022, 0.041, 0.048],
    [0.022, 0.102, -0.229, -0.310, -0.246, -0.063, 0.055, 0.108],
]


def heart_vectors(recordings: int, samples: int = 250) -> np.ndarray:
    return np.random.default_rng(7).normal(size=(recordings, samples, 3)) * [1.0, 0.7, 0.4]


def recordings_mv(recordings: int, samples: int = 250) -> np.ndarray:
    """Millivolts that obey Einthoven and Goldberger, with an offset of each lead, and more in them than a dipole."""
    random = np.random.default_rng(8)
    eight = 0.2 * random.normal(size=(recordings, samples, 8)) + 0.3 * random.normal(size=(recordings, 1, 8))
    return twelve_from_eight(eight + eight_from_twelve(leads_from_heart_vector(heart_vectors(recordings, samples))))


def heart_vector_of(leads: np.ndarray) -> np.ndarray:
    """By least squares on the independent leads."""
    eight = eight_from_twelve(leads).astype(np.float64)
    return np.linalg.lstsq(DOWER, eight.reshape(-1, 8).T, rcond=None)[0].T.reshape(*leads.shape[:-1], 3)


def euler(angles: np.ndarray) -> np.ndarray:
    return Rotation.from_euler("zyx", angles).as_matrix()


def test_inverse_dower_is_the_published_table() -> None:
    np.testing.assert_allclose(INVERSE_DOWER, EDENBRANDT_PAHLM, rtol=0, atol=1.5e-3)
    np.testing.assert_allclose(INVERSE_DOWER @ DOWER, np.eye(3), atol=1e-12)


def test_it_is_what_a_loop_over_samples_gives() -> None:
    signals = recordings_mv(3).astype(np.float32)
    result, (angles, factors) = recorded(vcg, signals, generator(), RATE, angle_degrees=30, scale=2)
    expected = np.empty(signals.shape)
    for recording in range(3):
        about_z, about_y, about_x = np.deg2rad(30) * angles[recording].astype(np.float64)
        matrix = Rotation.from_rotvec([0, 0, about_z])
        matrix = Rotation.from_rotvec([0, about_y, 0]) * matrix
        matrix = Rotation.from_rotvec([about_x, 0, 0]) * matrix
        for sample in range(250):
            heart_vector = np.linalg.pinv(DOWER) @ eight_from_twelve(signals[recording, sample])
            moved = matrix.apply(heart_vector) * (1 + factors[recording].astype(np.float64))
            i, ii, *chest = DOWER @ moved
            expected[recording, sample] = [i, ii, ii - i, -(i + ii) / 2, i - ii / 2, ii - i / 2, *chest]
    assert np.abs(result - signals).max() > 0.5
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5)


def test_without_angle_and_scale_it_projects_onto_what_a_dipole_spans() -> None:
    signals = recordings_mv(4).astype(np.float32)
    projected = np.asarray(vcg(signals, generator(), RATE, angle_degrees=0, scale=1))
    np.testing.assert_allclose(projected, leads_from_heart_vector(heart_vector_of(signals)), rtol=0, atol=1e-5)
    assert np.abs(projected - signals).max() > 0.1, "the recordings hold more than a dipole"
    again = vcg(projected, generator(), RATE, angle_degrees=0, scale=1)
    np.testing.assert_allclose(again, projected, rtol=0, atol=1e-5)
    residual = eight_from_twelve(signals - projected).reshape(-1, 8)
    np.testing.assert_allclose(residual @ DOWER, 0, atol=1e-4)


def test_a_dipole_is_projected_onto_itself() -> None:
    signals = leads_from_heart_vector(heart_vectors(4)).astype(np.float32)
    projected = vcg(signals, generator(), RATE, angle_degrees=0, scale=1)
    np.testing.assert_allclose(projected, signals, rtol=0, atol=1e-5)


def test_rotation_and_its_inverse_cancel_for_a_dipole() -> None:
    signals = leads_from_heart_vector(heart_vectors(20)).astype(np.float32)
    rotations = euler(np.random.default_rng(1).uniform(-np.pi, np.pi, (20, 3))).astype(np.float32)
    one = np.ones((20, 3), np.float32)
    there = np.asarray(_moved(tf.constant(signals), tf.constant(rotations), one))
    back = _moved(tf.constant(there), tf.constant(rotations.transpose(0, 2, 1).copy()), one)
    assert np.abs(there - signals).max() > 1
    np.testing.assert_allclose(back, signals, rtol=0, atol=1e-5)


def test_rotations_are_those_of_scipy() -> None:
    angles = np.random.default_rng(0).uniform(-np.pi, np.pi, (50, 3))
    np.testing.assert_allclose(_rotations(tf.constant(angles, tf.float32)), euler(angles), atol=1e-6)


def test_heart_vectors_keep_their_length_when_rotated_and_grow_as_asked() -> None:
    signals = leads_from_heart_vector(heart_vectors(50)).astype(np.float32)
    before = heart_vector_of(signals)
    rotated = heart_vector_of(np.asarray(vcg(signals, generator(), RATE, scale=1)))
    assert np.abs(rotated - before).max() > 0.5
    np.testing.assert_allclose(np.linalg.norm(rotated, axis=2), np.linalg.norm(before, axis=2), rtol=0, atol=1e-5)
    stretched, (_, parts) = recorded(vcg, signals, generator(), RATE, angle_degrees=0, scale=3)
    np.testing.assert_allclose(
        np.linalg.norm(heart_vector_of(stretched), axis=1),
        (1 + 2 * parts) * np.linalg.norm(before, axis=1),
        rtol=1e-4,
        err_msg="each axis by its own factor",
    )


@pytest.mark.parametrize("obeying", [True, False])
def test_einthoven_and_goldberger_hold_after_any_draw(obeying: bool) -> None:
    signals = np.asarray(standardise(recordings_mv(2000, 50).astype(np.float32))) if obeying else standard_normal(2000)
    leads = np.asarray(vcg(signals, generator(), RATE, angle_degrees=180, scale=2))
    assert np.isfinite(leads).all()
    np.testing.assert_allclose(twelve_from_eight(eight_from_twelve(leads)), leads, rtol=0, atol=1e-5)


def test_a_standardised_recording_becomes_what_its_millivolts_become() -> None:
    signals_mv = recordings_mv(10)
    deviation = signals_mv.std(axis=(1, 2), keepdims=True)
    assert np.abs(signals_mv.mean(axis=(1, 2)) / deviation[:, 0, 0]).max() > 0.05, "standardisation removes an offset"
    standardised = np.asarray(standardise(signals_mv.astype(np.float32)))
    from_standardised = np.asarray(vcg(standardised, generator(), RATE)) * deviation
    np.testing.assert_allclose(
        from_standardised, vcg(signals_mv.astype(np.float32), generator(), RATE), rtol=0, atol=1e-5
    )


def test_angles_and_factors_are_uniform() -> None:
    signals = standard_normal(2000, 125)
    _, (angles, parts) = recorded(vcg, signals, generator(), RATE)
    for numbers, low, high in ((angles, -1, 1), (parts, 0, 1)):
        width = high - low
        assert numbers.shape == (2000, 3)
        assert low <= numbers.min() < low + 0.01 * width
        assert high - 0.01 * width < numbers.max() <= high
        np.testing.assert_allclose(numbers.mean(axis=0), (low + high) / 2, atol=4 * width / math.sqrt(12 * 2000))
        np.testing.assert_allclose(numbers.var(axis=0), width**2 / 12, rtol=0.1)
    axes = np.repeat(leads_from_heart_vector(np.eye(3))[None], 2000, axis=0).astype(np.float32)
    moved = heart_vector_of(np.asarray(vcg(axes, generator(), RATE, angle_degrees=0)))
    grown = np.diagonal(moved, axis1=1, axis2=2)
    assert grown.min() >= 1 - 1e-5
    assert grown.max() <= 1.5 + 1e-5
    np.testing.assert_allclose(grown.mean(axis=0), 1.25, atol=4 * 0.5 / math.sqrt(12 * 2000))
    turned = vcg(axes, generator(), RATE, scale=1, angle_degrees=20)
    found = Rotation.from_matrix(heart_vector_of(np.asarray(turned)).transpose(0, 2, 1)).as_euler("zyx", degrees=True)
    assert np.abs(found).max() == pytest.approx(20, abs=0.1)
    np.testing.assert_allclose(found.std(axis=0), 20 / math.sqrt(3), rtol=0.05)
