"""The losses: the contrastive loss of both players, and the area penalty of the adversary."""

import math
from typing import Any, Literal

from keras import ops

Negatives = Literal["both", "other", "decoupled"]
"""Candidates of an anchor: all other projections, those of the other view alone, or all others but its positive."""

_POLE_DISTANCE = 1e-3
"""Nearer than this to a pole of 1 / sin, in units of its period, the penalty goes on along its tangent."""
_CROSSED_POLE_DISTANCE = 0.05
"""The same where ratio is above 1: masks begin beyond the second pole, and the slope there is to stay moderate."""


def nt_xent(projections_1: Any, projections_2: Any, temperature: float = 0.1, negatives: Negatives = "both") -> Any:
    """Normalised temperature-scaled cross entropy of B positive pairs; Chen et al. 2020, equation 1.

    For each of the 2B anchors, ``-log(exp(s(anchor, positive) / t) / sum over candidates of exp(s(anchor, .) / t))``
    with cosine similarity s, averaged over the anchors. Identical embeddings give ``log(2B - 1)``. Computed in float32.

    Args:
        projections_1: (B, D); row i is the positive of row i of ``projections_2``.
        projections_2: (B, D).
        temperature: t, above 0.
        negatives: ``both`` takes the other 2B - 1 projections as candidates; ``other`` the B of the other view;
            ``decoupled`` the 2B - 2 of other recordings, so that the positive is left out of the denominator (Yeh et
            al. 2022, equation 6), as the poster of Bo et al. 2022 is reported to have it, with a temperature of 1.

    Returns:
        The loss, a float32 scalar, at least 0; if ``decoupled``, it may be below, and identical embeddings give
        ``log(2B - 2)``.
    """
    z_1, z_2 = _unit_rows(projections_1), _unit_rows(projections_2)
    across = ops.matmul(z_1, ops.transpose(z_2)) / temperature
    positives = ops.diagonal(across)
    if negatives == "decoupled":
        across = _without_diagonal(across)
    candidates_1, candidates_2 = across, ops.transpose(across)
    if negatives != "other":
        candidates_1 = ops.concatenate([candidates_1, _others(z_1, temperature)], axis=1)
        candidates_2 = ops.concatenate([candidates_2, _others(z_2, temperature)], axis=1)
    log_sums = ops.logsumexp(ops.stack([candidates_1, candidates_2]), axis=2)
    return ops.mean(log_sums - positives)


def nt_xent_of_patients(
    projections_1: Any,
    projections_2: Any,
    patients: Any,
    temperature: float = 0.1,
    negatives: Negatives = "both",
) -> Any:
    """NT-Xent in which all views of one patient are positives of one another; Gopal et al. 2021 (3KG).

    For each of the 2B anchors, the mean over its positives of ``-log(exp(s(anchor, positive) / t) / sum over candidates
    of exp(s(anchor, .) / t))``, as in equation 2 of Khosla et al. 2020; candidates are positives and negatives alike.
    With one recording of each patient it is `nt_xent`. Computed in float32.

    Args:
        projections_1: (B, D).
        projections_2: (B, D); row i is another view of row i of ``projections_1``.
        patients: (B,) whole numbers, equal for recordings of one patient.
        temperature: t, above 0.
        negatives: ``both`` takes the other 2B - 1 projections as candidates, ``other`` the B of the other view.

    Returns:
        The loss, a float32 scalar, at least 0.

    Raises:
        ValueError: ``negatives`` is ``decoupled``: recordings of one patient alone would have no candidate.
    """
    if negatives == "decoupled":
        raise ValueError("negatives = 'decoupled': not defined where positives share a patient")
    z = ops.concatenate([_unit_rows(projections_1), _unit_rows(projections_2)])
    patient = ops.concatenate([patients, patients])
    view = ops.repeat(ops.arange(2), ops.shape(patients)[0])
    anchors = ops.arange(ops.shape(z)[0])
    apart = anchors if negatives == "both" else view
    candidates = apart[:, None] != apart[None, :]
    positives = ops.cast(ops.logical_and(candidates, patient[:, None] == patient[None, :]), "float32")
    similarity = ops.where(candidates, ops.matmul(z, ops.transpose(z)) / temperature, -1e30)
    surprise = ops.logsumexp(similarity, axis=1, keepdims=True) - similarity
    per_anchor = ops.sum(positives * surprise, axis=1) / ops.sum(positives, axis=1)
    return ops.mean(per_anchor)


def sparsity_penalty(masks: Any, alpha: float = 0.1, ratio: float = 1.0) -> Any:
    """``alpha * mean over recordings of sum over masks of 1 / sin(pi * ratio * area)``; Shi et al. 2022, equation 5.

    The area is a mask's mean over time; the one that costs least is ``1 / (2 * ratio)``, or 1 if that is more. A mask
    that vanishes, or covers ``1 / ratio``, meets a pole; near it and beyond, the penalty is continued by its tangent,
    so that value and gradient stay finite and still point away.

    Args:
        masks: (B, L, N) in [0, 1].
        alpha: weight, at least 0.
        ratio: in (0, 5]. The published values lie in (0, 1].

    Returns:
        The penalty, a float32 scalar.
    """
    phase = ratio * ops.mean(ops.cast(masks, "float32"), axis=1)
    distance = _POLE_DISTANCE if ratio <= 1 else _CROSSED_POLE_DISTANCE
    inner = ops.clip(phase, distance, 1.0 - distance)
    sine = ops.sin(math.pi * inner)
    slope = -math.pi * ops.cos(math.pi * inner) / ops.square(sine)
    penalty = 1.0 / sine + slope * (phase - inner)
    return alpha * ops.mean(ops.sum(penalty, axis=1))


def area_entropy(masks: Any) -> Any:
    """Mean over recordings of the entropy of a softmax over the areas of their masks, in nats.

    The entropy term of the published code of Shi et al. 2022 (ADIOS), which sums it over the batch instead. It is
    largest, log(N), where all N areas are equal.

    Args:
        masks: (B, L, N) in [0, 1]; an area is the mean over L.

    Returns:
        A float32 scalar.
    """
    areas = ops.mean(ops.cast(masks, "float32"), axis=1)
    return -ops.mean(ops.sum(ops.softmax(areas, axis=1) * ops.log_softmax(areas, axis=1), axis=1))


def contrastive_accuracy(projections_1: Any, projections_2: Any) -> Any:
    """Share of the recordings whose first view finds its own second view nearest among the batch's; (B, D) each."""
    similarity = ops.matmul(_unit_rows(projections_1), ops.transpose(_unit_rows(projections_2)))
    hits = ops.equal(ops.argmax(similarity, axis=1), ops.arange(ops.shape(similarity)[0], dtype="int64"))
    return ops.mean(ops.cast(hits, "float32"))


def _unit_rows(projections: Any) -> Any:
    return ops.normalize(ops.cast(projections, "float32"), axis=1, epsilon=1e-12)


def _others(z: Any, temperature: float) -> Any:
    """Similarities within one view, (B, B), with minus infinity (as far as float32 goes) for an anchor with itself."""
    return _without_diagonal(ops.matmul(z, ops.transpose(z)) / temperature)


def _without_diagonal(similarity: Any) -> Any:
    return ops.where(ops.eye(ops.shape(similarity)[0], dtype="float32") > 0, -1e30, similarity)
