"""Linear evaluation: what frozen embeddings are worth to a linear head that is given few labels.

In: one embedding per recording from each encoder, class names, patients. Out: metrics on one fixed test set, for each
encoder, label fraction and draw of labels. Every encoder gets the same patients, the same draws and the same treatment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from tqdm import tqdm

from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.bootstrap import bootstrap_interval, resample_counts
from ecg_advmask.evaluate.metrics import (
    FloatArray,
    IntArray,
    Measured,
    macro_auroc,
    measure,
)
from ecg_advmask.evaluate.partition import PARTS, Split


@dataclass(frozen=True)
class Protocol:
    """Every constant of the evaluation; written into its result."""

    fractions: tuple[float, ...] = (0.01, 0.05, 0.1, 0.25, 1.0)
    """Shares of the training part whose labels are used; a value above 1 is a number of labelled recordings."""
    draws: int = 5
    """Draws of labels per fraction; the whole training part is drawn once."""
    seed: int = 0
    """Seed of the first draw; the following ones count up from it."""
    split_seed: int = 0
    """Seed of the split by patient."""
    shares: tuple[float, float, float] = (0.5, 0.1, 0.4)
    """Shares of the patients in the training, validation and test part."""
    strengths: tuple[float, ...] = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
    """Inverse strengths C of the head's L2 penalty to choose from, on the validation part, by macro AUROC."""
    max_iterations: int = 500
    """Steps of L-BFGS at most."""
    resamples: int = 1000
    """Bootstrap resamples of the test set."""
    level: float = 0.95
    """Coverage of the intervals."""

    def __post_init__(self) -> None:
        if not self.fractions or self.draws < 1:
            raise InputError("linear evaluation: needs at least one fraction and one draw")
        for fraction in self.fractions:
            if not fraction > 0 or (fraction > 1 and fraction != int(fraction)):
                raise InputError(
                    f"--fractions: {fraction:g} is neither a share between 0 and 1 nor a whole number of labels"
                )


@dataclass(frozen=True)
class Head:
    """A linear head with the scaling that goes before it."""

    scaler: StandardScaler
    model: LogisticRegression

    def probabilities(self, embeddings: FloatArray) -> FloatArray:
        """``(n, D) -> (n, C)``."""
        result: FloatArray = self.model.predict_proba(self.scaler.transform(embeddings))
        return result


def fit_head(
    embeddings: FloatArray,
    labels: IntArray,
    validation_embeddings: FloatArray,
    validation_labels: IntArray,
    protocol: Protocol,
) -> Head:
    """Multinomial logistic regression (L-BFGS, L2) on embeddings standardised by the drawn training recordings.

    Of the strengths in the protocol the one with the best macro AUROC on the validation part is taken, of equal ones
    the most regularised. Each fit starts where the last, more regularised one ended.
    """
    scaler = StandardScaler().fit(embeddings)
    scaled = scaler.transform(embeddings)
    best: tuple[float, Head] | None = None
    start: tuple[Any, Any] | None = None
    for strength in sorted(protocol.strengths):
        model = LogisticRegression(C=strength, max_iter=protocol.max_iterations, warm_start=True)
        if start is not None:
            model.coef_, model.intercept_ = start
        model.fit(scaled, labels)
        start = model.coef_, model.intercept_
        head = Head(scaler, model)
        score = macro_auroc(validation_labels, head.probabilities(validation_embeddings))
        if best is None or score > best[0]:
            best = score, head
    if best is None:
        raise InputError("linear evaluation: needs at least one strength of the penalty")
    return best[1]


def linear_evaluation(embeddings: Mapping[str, FloatArray], split: Split, protocol: Protocol) -> dict[str, Any]:
    """Fit and test a head for every fraction, draw and encoder.

    Args:
        embeddings: ``(n, D)`` for the recordings of ``split``, by name of the encoder; the first is compared with each
            of the others.
        split: the division of the recordings.
        protocol: the constants.

    Returns:
        ``results``: metrics with bootstrap intervals of each encoder, fraction and draw. ``summary``: per encoder and
        fraction, mean and spread over the draws, and the interval of that mean under resampling of the test set.
        ``differences``: the same for the first encoder minus each other one, paired by resample and draw.
    """
    train, validation, test = (split.rows[part] for part in PARTS)
    if split.targets.kind != "classes":
        raise InputError(
            f"--task {split.targets.task}: linear-eval tells classes apart, this is a task of {split.targets.kind}"
        )
    values = split.targets.values
    truth = values[test]
    counts = resample_counts(truth, split.patients[test], protocol.resamples, protocol.split_seed)
    seeds_of = {
        fraction: range(1 if fraction in (1, len(train)) else protocol.draws) for fraction in protocol.fractions
    }
    results, summary, differences = [], [], []
    heads = sum(map(len, seeds_of.values())) * len(embeddings)
    # problems this small are solved faster by one thread, many times so where other work fills the machine
    with threadpool_limits(1), tqdm(total=heads, desc="linear heads", disable=None) as bar:
        for fraction, draws in seeds_of.items():
            measured: dict[str, list[Measured]] = {name: [] for name in embeddings}
            for seed in (protocol.seed + draw for draw in draws):
                drawn = split.draw(fraction, seed)
                setting = {"fraction": fraction, "labels": len(drawn)}
                for name, encoded in embeddings.items():
                    head = fit_head(encoded[drawn], values[drawn], encoded[validation], values[validation], protocol)
                    probabilities = head.probabilities(encoded[test])
                    measured[name].append(measure("classes", split.targets.names, truth, probabilities, counts))
                    results.append(
                        {"encoder": name, **setting, "seed": seed, **_of_one(measured[name][-1], head, protocol)}
                    )
                    bar.update()
            first, *others = embeddings
            for name in embeddings:
                summary.append({"encoder": name, **setting, **_over_draws(measured[name], protocol)})
            for name in others:
                pairs = [one.minus(other) for one, other in zip(measured[first], measured[name], strict=True)]
                differences.append({"first": first, "second": name, **setting, **_over_draws(pairs, protocol)})
    return {"results": results, "summary": summary, "differences": differences}


def _of_one(measured: Measured, head: Head, protocol: Protocol) -> dict[str, Any]:
    """One fitted head: its strength, whether it converged, its metrics with their bootstrap intervals."""
    metrics = {}
    for name, value in measured.values.items():
        low, high = bootstrap_interval(measured.resampled[name], protocol.level)
        metrics[name] = {"value": value, "low": low, "high": high}
    iterations = int(np.max(head.model.n_iter_))
    converged = iterations < protocol.max_iterations
    return {"strength": head.model.C, "iterations": iterations, "converged": converged, "metrics": metrics}


def _over_draws(measured: Sequence[Measured], protocol: Protocol) -> dict[str, Any]:
    """Mean and spread over the draws, and apart from it the interval of the mean under resampling of the test set."""
    metrics = {}
    for name in measured[0].values:
        values = np.array([one.values[name] for one in measured])
        low, high = bootstrap_interval(np.mean([one.resampled[name] for one in measured], axis=0), protocol.level)
        metrics[name] = {
            "mean": float(values.mean()),
            "low": low,
            "high": high,
            "standard_deviation": float(values.std(ddof=1)) if len(values) > 1 else None,
            "minimum": float(values.min()),
            "maximum": float(values.max()),
        }
    return {"draws": len(measured), "metrics": metrics}
