"""Penalised linear models on standardised features, fitted for a whole path of penalties at once.

In: features ``(n, D)`` and targets of the drawn recordings. Out: weights and intercepts for each strength. A study fits
tens of thousands of such heads, each with few recordings: the features are turned to their principal axes once, which
leaves at most min(n, D) unknowns for each output, and each axis is stretched so that the objective is curved about
equally in all directions, with which L-BFGS takes a fraction of the steps.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, log_expit

Float64 = npt.NDArray[np.float64]

_CURVATURE: Final = 0.02
"""Assumed mean of p (1 - p): that of probabilities near 0.98, as fitted ones with few labels are."""
_GRADIENT_TOLERANCE: Final = 1e-5
_LINE_SEARCHES: Final = 50
_NEGLIGIBLE: Final = 1e-10
"""Axes shorter than this share of the longest hold rounding errors."""


@dataclass(frozen=True)
class Solution:
    """Weights ``(D, K)`` and intercepts ``(K,)`` for one strength, and how many steps they took."""

    strength: float
    weights: Float64
    intercepts: Float64
    iterations: int
    converged: bool


def logistic_path(
    features: Float64, targets: Float64, strengths: Sequence[float], *, exclusive: bool, max_iterations: int
) -> Iterator[Solution]:
    """Logistic regressions with an L2 penalty on the weights, from the strongest penalty to the weakest.

    The objective is C times the sum over recordings of the negative log-likelihood, plus half the squared norm of the
    weights, as in scikit-learn's ``LogisticRegression``; intercepts are free. Each fit starts at the last one's end.

    Args:
        features: (n, D), standardised.
        targets: (n, K), 0 or 1; every column holds both.
        strengths: C, the inverse of the penalty's strength.
        exclusive: the columns are classes of which each recording has one (multinomial), or labels, each fitted on its
            own against the rest.
        max_iterations: steps of L-BFGS at most.
    """
    left, lengths, axes = _principal_axes(features)
    recordings, outputs = targets.shape
    inputs = np.column_stack([left * lengths, np.ones(recordings)])
    solution = np.zeros((inputs.shape[1], outputs))
    for strength in sorted(strengths):
        penalty = np.append(np.full(len(lengths), 1 / strength), 0)
        stretch = 1 / np.sqrt(_CURVATURE * (inputs**2).sum(axis=0) + penalty)
        found: Any = minimize(
            _objective,
            (solution / stretch[:, None]).ravel(),
            (inputs * stretch, targets, (penalty * stretch**2)[:, None], exclusive),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": max_iterations, "gtol": _GRADIENT_TOLERANCE, "ftol": 0, "maxls": _LINE_SEARCHES},
        )
        solution = found.x.reshape(-1, outputs) * stretch[:, None]
        yield Solution(strength, axes @ solution[:-1], solution[-1], int(found.nit), found.nit < max_iterations)


def _objective(
    unknowns: Float64, inputs: Float64, targets: Float64, penalty: Float64, exclusive: bool
) -> tuple[float, Float64]:
    """Penalised loss over C, per recording, and its gradient."""
    weights = unknowns.reshape(-1, targets.shape[1])
    scores = inputs @ weights
    if exclusive:
        scores -= scores.max(axis=1, keepdims=True)
        odds = np.exp(scores)
        totals = odds.sum(axis=1, keepdims=True)
        loss = np.log(totals).sum() - (scores * targets).sum()
        residuals = odds / totals - targets
    else:
        loss = -log_expit(np.where(targets == 1, scores, -scores)).sum()
        residuals = expit(scores) - targets
    value = loss + (penalty * weights**2).sum() / 2
    gradient = inputs.T @ residuals + penalty * weights
    return value / len(targets), gradient.ravel() / len(targets)


def ridge_path(features: Float64, target: Float64, strengths: Sequence[float]) -> Iterator[Solution]:
    """Ridge regressions from the strongest penalty to the weakest, each in closed form.

    The objective is C times the sum of squared errors, plus the squared norm of the weights; the intercept is free.

    Args:
        features: (n, D), standardised, which centres them.
        target: (n,) numbers, standardised so that strengths mean the same in any unit.
        strengths: C, the inverse of the penalty's strength.
    """
    left, lengths, axes = _principal_axes(features)
    intercept = target.mean(keepdims=True)
    along = left.T @ (target - intercept)
    for strength in sorted(strengths):
        weights = axes @ (along * lengths / (lengths**2 + 1 / strength))
        yield Solution(strength, weights[:, None], intercept, 0, True)


def _principal_axes(features: Float64) -> tuple[Float64, Float64, Float64]:
    """``left (n, r)``, ``lengths (r,)`` and ``axes (D, r)`` with features = left * lengths @ axes.T."""
    left, lengths, axes = np.linalg.svd(features, full_matrices=False)
    kept = lengths > _NEGLIGIBLE * lengths[0]
    return left[:, kept], lengths[kept], axes[kept].T
