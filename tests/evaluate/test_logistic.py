"""Penalised linear models against scikit-learn, the normal equations, and the condition of an optimum."""

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression

from ecg_advmask.evaluate.logistic import logistic_path, ridge_path

STRENGTHS = (1e-3, 1e-1, 10.0)


def problem(recordings, dimensions, outputs, seed=0):
    """Standardised features that are correlated, as embeddings are, and classes that depend on some of them."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(recordings, dimensions)) @ rng.normal(size=(dimensions, dimensions))
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    scores = features[:, :outputs] + rng.normal(size=(recordings, outputs))
    return features, np.append(scores.argmax(axis=1)[:-outputs], np.arange(outputs)), scores


@pytest.mark.parametrize(("recordings", "dimensions"), [(60, 8), (25, 64)])
def test_the_gradient_at_the_optimum_is_zero_for_classes(recordings, dimensions):
    features, classes, _ = problem(recordings, dimensions, 3)
    targets = np.eye(3)[classes]
    found = list(logistic_path(features, targets, STRENGTHS, exclusive=True, max_iterations=500))
    assert [one.strength for one in found] == sorted(STRENGTHS)
    for one in found:
        assert one.converged and 0 < one.iterations < 500
        residuals = softmax(features @ one.weights + one.intercepts, axis=1) - targets
        scale = np.abs(features.T @ targets).max()
        assert features.T @ residuals + one.weights / one.strength == pytest.approx(0, abs=2e-3 * scale)
        assert residuals.sum(axis=0) == pytest.approx(0, abs=1e-2)


@pytest.mark.parametrize(("recordings", "dimensions"), [(60, 8), (25, 64)])
def test_classes_get_the_probabilities_of_scikit_learn(recordings, dimensions):
    features, classes, _ = problem(recordings, dimensions, 3)
    for one in logistic_path(features, np.eye(3)[classes], STRENGTHS, exclusive=True, max_iterations=500):
        other = LogisticRegression(C=one.strength, tol=1e-8, max_iter=10_000).fit(features, classes)
        ours = softmax(features @ one.weights + one.intercepts, axis=1)
        assert ours == pytest.approx(other.predict_proba(features), abs=2e-3)


def test_each_label_is_fitted_as_if_it_were_alone():
    features, _, scores = problem(80, 12, 4)
    targets = (scores > 0.5).astype(float)
    for one in logistic_path(features, targets, STRENGTHS, exclusive=False, max_iterations=500):
        for label, expected in enumerate(targets.T):
            other = LogisticRegression(C=one.strength, tol=1e-8, max_iter=10_000).fit(features, expected)
            ours = expit(features @ one.weights[:, label] + one.intercepts[label])
            assert ours == pytest.approx(other.predict_proba(features)[:, 1], abs=2e-3)


def test_steps_that_do_not_suffice_are_reported():
    features, classes, _ = problem(60, 8, 3)
    (one,) = logistic_path(features, np.eye(3)[classes], [10.0], exclusive=True, max_iterations=3)
    assert (one.iterations, one.converged) == (3, False)


@pytest.mark.parametrize(("recordings", "dimensions"), [(60, 8), (25, 64)])
def test_ridge_solves_the_normal_equations(recordings, dimensions):
    features, _, scores = problem(recordings, dimensions, 1)
    target = scores[:, 0] + 7
    for one in ridge_path(features, target, STRENGTHS):
        penalised = features.T @ features + np.eye(dimensions) / one.strength
        expected = np.linalg.solve(penalised, features.T @ (target - target.mean()))
        assert one.weights[:, 0] == pytest.approx(expected, rel=1e-6, abs=1e-9)
        assert one.intercepts == pytest.approx([target.mean()]) and one.converged
