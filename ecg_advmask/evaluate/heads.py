"""Linear heads on frozen embeddings: logistic regression for classes and labels, ridge regression for a number.

In: embeddings and targets of the drawn recordings and, where the strength of the penalty (or, in
``ecg_advmask.evaluate.linear``, the epoch) is chosen on them, those of the validation part. Out: a head that predicts,
and metadata of the fit.
"""

import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from scipy.stats import rankdata

from ecg_advmask.data.targets import Kind, Targets
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.logistic import Solution, logistic_path, ridge_path
from ecg_advmask.evaluate.protocol import Protocol
from ecg_advmask.files import atomic_path

FloatArray = npt.NDArray[np.floating]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Head:
    """A linear head with the scaling before it: ``((x - centre) / scale) @ weights + intercepts``.

    Attributes:
        kind: what it predicts, which decides what becomes of its outputs.
        centre, scale: (D,), of the embeddings.
        weights, intercepts: (D, K) and (K,); one output for each class or label, or one for the number in its unit.
    """

    kind: Kind
    centre: Float64
    scale: Float64
    weights: Float64
    intercepts: Float64

    def predict(self, embeddings: FloatArray) -> Float64:
        """``(n, D)`` to probabilities of classes ``(n, K)``, of labels ``(n, K)``, or numbers ``(n,)``."""
        outputs: Float64 = (embeddings - self.centre) / self.scale @ self.weights + self.intercepts
        return activate(self.kind, outputs)


def activate(kind: Kind, outputs: Float64) -> Float64:
    """Outputs ``(n, K)`` of a head as predictions: softmax over classes, sigmoid of each label, the number itself."""
    if kind == "labels":
        return np.asarray(expit(outputs))
    if kind == "number":
        return outputs[:, 0]
    odds = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def indicators(targets: Targets) -> Float64:
    """Targets ``(n, K)``: 1 for the class or each label of a recording and 0 for the others; ``(n, 1)`` numbers."""
    if targets.kind == "classes":
        return np.asarray(targets.values[:, None] == np.arange(len(targets.names)), np.float64)
    return np.asarray(targets.values, np.float64).reshape(len(targets.values), -1)


def validation_score(targets: Targets, predicted: Float64) -> float:
    """The primary metric, turned so that higher is better: macro AUROC of classes or labels, or minus the MAE.

    AUROC is the Mann-Whitney statistic of mean ranks. It leaves out labels that no recording has, or all have; 0 where
    that leaves none.
    """
    if targets.kind == "number":
        return -float(np.mean(np.abs(targets.values - predicted)))
    own = indicators(targets)
    positive = own.sum(axis=0)
    pairs = positive * (len(own) - positive)
    if not pairs.any():
        return 0.0
    ranks = rankdata(predicted, axis=0)
    wins = (ranks * own).sum(axis=0) - positive * (positive + 1) / 2
    return float(np.mean(wins[pairs > 0] / pairs[pairs > 0]))


def standardisation(values: Float64) -> tuple[Float64, Float64]:
    """Mean and standard deviation of each column; 1 instead of the deviation of a constant one."""
    centre, scale = values.mean(axis=0), values.std(axis=0)
    return centre, np.where(scale > 1e-12 * (np.abs(centre) + 1e-300), scale, 1.0)


def fit_head(
    embeddings: FloatArray,
    targets: Targets,
    validation_embeddings: FloatArray,
    validation_targets: Targets,
    protocol: Protocol,
) -> tuple[Head, dict[str, Any]]:
    """A head on embeddings standardised by the drawn recordings, solved to its optimum for each strength.

    Classes: multinomial logistic regression (L-BFGS). Labels: logistic regression of each label by itself, all with one
    strength, since the few recordings with a rare label in the validation part could not choose one for it alone.
    Number: ridge regression (closed form) of the number, standardised by the drawn recordings.

    Of the strengths in the protocol the one with the best macro AUROC, or MAE, on the validation part is taken; of
    equal ones the most regularised. What the drawn recordings do not distinguish is not learnt: a class that none of
    them has gets the probability 0, a label that none or all have the share of recordings (k + 1/2) / (n + 1).

    Args:
        embeddings: (n, D) of the drawn recordings.
        targets: theirs; none of them unknown.
        validation_embeddings, validation_targets: the same of the validation part.
        protocol: strengths, and steps at most.

    Returns:
        The head, and ``strength``, ``validation`` (the primary metric there), ``iterations`` and ``converged``.
    """
    best: tuple[float, Head, Solution] | None = None
    for head, solution in _path(embeddings, targets, protocol):
        score = validation_score(validation_targets, head.predict(validation_embeddings))
        if best is None or score > best[0]:
            best = score, head, solution
    assert best is not None  # a protocol has at least one strength
    score, head, solution = best
    about = {"strength": solution.strength, "validation": abs(score)}
    return head, about | {"iterations": solution.iterations, "converged": solution.converged}


def fit_cross_validated_head(
    embeddings: FloatArray, targets: Targets, patients: npt.NDArray[np.object_], protocol: Protocol, seed: int
) -> tuple[Head, dict[str, Any]]:
    """The head of `fit_head` with the strength chosen within the drawn recordings, by cross-validation.

    For each fold of `held_out_folds`, heads of all strengths are fitted on the other recordings, with their
    standardisation, and predict what is held out. Of the strengths the one whose predictions of all held-out recordings
    together have the best macro AUROC, or MAE, is taken; of equal ones the most regularised. (Within a fold AUROC is
    coarse or not defined. The log loss would choose strong penalties for weak encoders, whose probabilities it then
    finds least wrong although they rank worse.) Where there are no folds the strength is the protocol's
    ``few_labels_strength``.

    Args:
        embeddings: (n, D) of the drawn recordings.
        targets: theirs; none of them unknown.
        patients: (n,) theirs.
        protocol: strengths, folds at most, steps at most.
        seed: of the folds.

    Returns:
        The head, and ``strength``, ``folds`` (0 for the fixed strength), ``iterations`` and ``converged``.
    """
    folds = held_out_folds(targets, patients, protocol.folds, seed)
    strengths, held_out = sorted(protocol.strengths), folds >= 0
    strength = protocol.few_labels_strength
    if held_out.any():
        outputs = () if targets.kind == "number" else (len(targets.names),)
        predicted = np.zeros((len(strengths), len(folds), *outputs))
        for fold in range(folds.max() + 1):
            fitted, judged = folds != fold, folds == fold
            for place, (head, _) in enumerate(_path(embeddings[fitted], targets.take(fitted), protocol)):
                predicted[place, judged] = head.predict(embeddings[judged])
        scores = [validation_score(targets.take(held_out), one[held_out]) for one in predicted]
        strength = strengths[int(np.argmax(scores))]
    ((head, solution),) = _path(embeddings, targets, replace(protocol, strengths=(strength,)))
    about = {"strength": strength, "folds": int(folds.max() + 1)}
    return head, about | {"iterations": solution.iterations, "converged": solution.converged}


def held_out_folds(targets: Targets, patients: npt.NDArray[np.object_], most: int, seed: int) -> npt.NDArray[np.int64]:
    """In which fold each recording is held out, ``(n,)``; -1 for one that always stays with those that are fitted.

    Patients are dealt to the folds stratum by stratum (the class, the rarest label, the fifth of the number), so that
    each fold has its share of each, and no patient is in two. A patient who is the only one of a stratum is never held
    out: what remained would know nothing of it. There are as many folds as patients to deal, and ``most`` at most; none
    unless two strata can be dealt.
    """
    names, patient_of = np.unique(patients.astype(str), return_inverse=True)
    stratum_of = np.zeros(len(names), np.int64)
    stratum_of[patient_of[::-1]] = targets.strata()[::-1]  # that of the first recording
    generator = np.random.default_rng(seed)
    strata = [generator.permutation(np.flatnonzero(stratum_of == one)) for one in np.unique(stratum_of)]
    dealt = [members for members in strata if len(members) > 1]
    fold_of = np.full(len(names), -1)
    if len(dealt) > 1:
        order = np.concatenate(dealt)
        fold_of[order] = np.arange(len(order)) % min(most, len(order))
    return fold_of[patient_of]


def _path(embeddings: FloatArray, targets: Targets, protocol: Protocol) -> Iterator[tuple[Head, Solution]]:
    """A head on standardised embeddings for each strength, the strongest penalty first."""
    features = embeddings.astype(np.float64)
    centre, scale = standardisation(features)
    for solution in _solutions((features - centre) / scale, targets, protocol):
        yield Head(targets.kind, centre, scale, solution.weights, solution.intercepts), solution


def _solutions(features: Float64, targets: Targets, protocol: Protocol) -> Iterable[Solution]:
    """A solution for each strength, the strongest penalty first, of all outputs in their units."""
    own = indicators(targets)
    if targets.kind == "number":
        centre, scale = standardisation(own)
        for solution in ridge_path(features, ((own - centre) / scale)[:, 0], protocol.strengths):
            yield replace(solution, weights=solution.weights * scale, intercepts=solution.intercepts * scale + centre)
        return
    exclusive = targets.kind == "classes"
    share = own.mean(axis=0)
    learnt = (share > 0) & (share < 1)
    constant = np.where(share > 0, 0.0, -np.inf) if exclusive else logit((own.sum(axis=0) + 0.5) / (len(own) + 1))
    if not learnt.any():
        for strength in sorted(protocol.strengths):
            yield Solution(strength, np.zeros((features.shape[1], len(share))), constant, 0, True)
        return
    path = logistic_path(
        features, own[:, learnt], protocol.strengths, exclusive=exclusive, max_iterations=protocol.max_iterations
    )
    for solution in path:
        weights, intercepts = np.zeros((features.shape[1], len(share))), constant.copy()
        weights[:, learnt], intercepts[learnt] = solution.weights, solution.intercepts
        yield replace(solution, weights=weights, intercepts=intercepts)


# ---- A fitted linear head in a file of its own, to be used on embeddings outside of the evaluation that it comes from.

FORMAT: Final = "ecg-advmask linear head 1"
HEAD_SUFFIX: Final = ".head.npz"
"""Instead of the suffix of the result that the head stands beside."""


@dataclass(frozen=True)
class LinearHead:
    """A linear head on plain embeddings ``(n, D)``: ``embeddings @ weights + intercepts``, then softmax or sigmoid.

    Attributes:
        task: what it predicts.
        kind: ``classes``, ``labels`` or ``number``.
        names: the K classes or labels, or the unit of the number.
        weights, intercepts: (D, K) and (K,); an intercept of minus infinity for a class that no recording had.
        encoder_sha256: of the weights of the encoder that it was fitted on.
        about: how it was fitted; values that JSON takes.
    """

    task: str
    kind: Kind
    names: tuple[str, ...]
    weights: Float64
    intercepts: Float64
    encoder_sha256: str
    about: Mapping[str, Any]

    @classmethod
    def of(cls, head: Head, targets: Targets, encoder_sha256: str, about: Mapping[str, Any]) -> "LinearHead":
        """A head on standardised embeddings, with the standardisation in its weights."""
        weights = head.weights / head.scale[:, None]
        intercepts = head.intercepts - head.centre @ weights
        return cls(targets.task, targets.kind, targets.names, weights, intercepts, encoder_sha256, about)

    def predict(self, embeddings: FloatArray) -> Float64:
        """``(n, D)`` to probabilities of classes ``(n, K)``, of labels ``(n, K)``, or numbers ``(n,)``."""
        return activate(self.kind, embeddings.astype(np.float64) @ self.weights + self.intercepts)

    def write(self, path: str | Path) -> None:
        """Write the head, atomically, as a NumPy archive without pickled objects (suffix ``.npz``)."""
        document: dict[str, Any] = {"format": FORMAT, "task": self.task, "kind": self.kind, "names": list(self.names)}
        document |= {"encoder_sha256": self.encoder_sha256, "fit": dict(self.about)}
        with atomic_path(path) as temporary:
            np.savez(temporary, weights=self.weights, intercepts=self.intercepts, about=np.array(json.dumps(document)))

    @classmethod
    def read(cls, path: str | Path) -> "LinearHead":
        """The head that `write` wrote.

        Raises:
            InputError: the file is missing, damaged, or something else.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                weights, intercepts = (stored[name].astype(np.float64) for name in ("weights", "intercepts"))
                document = json.loads(str(stored["about"]))
            head = cls(
                str(document["task"]),
                document["kind"],
                tuple(str(name) for name in document["names"]),
                weights,
                intercepts,
                str(document["encoder_sha256"]),
                dict(document["fit"]),
            )
            fits = weights.ndim == 2 and intercepts.shape == weights.shape[1:] == (len(head.names),)
            sound = bool(np.isfinite(weights).all()) and not bool(np.isnan(intercepts).any())
            if document["format"] != FORMAT or head.kind not in get_args(Kind) or not fits or not sound:
                raise ValueError("its parts do not fit together")
        except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"{path}: is not a linear head ({reason}), run ecg-advmask linear-eval again") from error
        return head
