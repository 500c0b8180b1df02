"""Evaluation of models that learn from few labels, on one fixed test set: fit, predict, measure, for every draw.

In: a `Fit`, the division of the recordings and the protocol. Out: for each number of labels every draw with its
metrics, and the metrics averaged over draws on each bootstrap resample of the test set. Whatever is evaluated on the
same division with the same protocol has the same labels drawn and the same resamples, so that differences are paired.
"""

import dataclasses
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.metrics import FloatArray, Measured, bootstrap_interval, confusion, measure, resample_counts
from ecg_advmask.evaluate.protocol import Protocol
from ecg_advmask.evaluate.split import Split
from ecg_advmask.files import atomic_path

Fit = Callable[[npt.NDArray[np.int64], int], tuple[FloatArray, dict[str, Any]]]
"""Rows drawn from the training part and a seed -> predictions on the test part, and metadata of the fit."""


@dataclass(frozen=True)
class Draw:
    """What was learnt from one draw of labels: metrics on the test set, the confusion of classes ``(C, C)``, true
    classes in rows (None for other kinds), and the metadata of its fit."""

    seed: int
    values: dict[str, float]
    confusion: list[list[int]] | None
    about: dict[str, Any]


@dataclass(frozen=True)
class AtCount:
    """All draws of one number of labels; the whole training part is drawn once.

    Attributes:
        fraction: as the protocol has it.
        labels: labelled recordings in each draw.
        draws: in the order of their seeds.
        resampled: each metric on each resample of the test set, averaged over the draws, ``(R,)``.
    """

    fraction: float
    labels: int
    draws: tuple[Draw, ...]
    resampled: dict[str, npt.NDArray[np.float64]]

    @property
    def mean(self) -> Measured:
        """Each metric averaged over the draws, on the whole test set and on its resamples."""
        values = {name: float(np.mean([draw.values[name] for draw in self.draws])) for name in self.resampled}
        return Measured(values, self.resampled)

    def minus(self, other: "AtCount") -> "AtCount":
        """The difference, paired by draw and resample: both must be of the same division and protocol.

        Raises:
            ValueError: they are of different draws.
        """
        if [draw.seed for draw in self.draws] != [draw.seed for draw in other.draws]:
            raise ValueError("differences are of evaluations with the same draws of labels")
        draws = tuple(
            Draw(one.seed, {name: value - two.values[name] for name, value in one.values.items()}, None, {})
            for one, two in zip(self.draws, other.draws, strict=True)
        )
        return dataclasses.replace(self, draws=draws, resampled=self.mean.minus(other.mean).resampled)


def draws_of(split: Split, protocol: Protocol) -> int:
    """How many fits `evaluate` makes."""
    return sum(len(_seeds(split, fraction, protocol)) for fraction in protocol.fractions)


def evaluate(
    fit: Fit, split: Split, protocol: Protocol, progress: Callable[[], object] = lambda: None
) -> list[AtCount]:
    """Fit and test for every number of labels and draw of the protocol.

    Args:
        fit: learns from drawn recordings; may use the validation part as it likes.
        split: the division of the recordings.
        protocol: numbers of labels, draws, seeds, resamples.
        progress: called after every fit.

    Raises:
        InputError: more labels are asked for than the training part has.
    """
    test = split.targets.take(split.rows["test"])
    strata = np.zeros(len(test.values), np.int64) if test.kind == "number" else test.strata()
    counts = resample_counts(strata, split.patients[split.rows["test"]], protocol.resamples, protocol.split_seed)
    evaluation = []
    for fraction in protocol.fractions:
        draws: list[Draw] = []
        totals: dict[str, Any] = {}
        labels = 0
        for seed in _seeds(split, fraction, protocol):
            rows = split.draw(fraction, seed)
            predicted, about = fit(rows, seed)
            measured = measure(test.kind, test.names, test.values, predicted, counts)
            totals = {name: totals.get(name, 0) + values for name, values in measured.resampled.items()}
            mistaken = confusion(test.values, predicted).tolist() if test.kind == "classes" else None
            draws.append(Draw(seed, measured.values, mistaken, about))
            labels = len(rows)
            progress()
        resampled = {name: total / len(draws) for name, total in totals.items()}
        evaluation.append(AtCount(fraction, labels, tuple(draws), resampled))
    return evaluation


def evaluate_all(fits: Mapping[str, Fit], split: Split, protocol: Protocol, title: str) -> dict[str, Any]:
    """Evaluate several things, under a bar with this title; the first is compared with each other, as by `compare`."""
    with tqdm(total=draws_of(split, protocol) * len(fits), desc=title, unit="fit", disable=None) as bar:
        evaluations = {name: evaluate(fit, split, protocol, bar.update) for name, fit in fits.items()}
    return compare(evaluations, protocol)


def summarise(at: AtCount, protocol: Protocol) -> dict[str, Any]:
    """Of each metric the mean over draws, the interval of that mean over resamples of the test set, and apart from it
    the spread over draws; None where it is not defined."""
    metrics = {}
    for name, mean in at.mean.values.items():
        values = np.array([draw.values[name] for draw in at.draws])
        low, high = bootstrap_interval(at.resampled[name], protocol.level)
        spread = values.std(ddof=1) if len(values) > 1 else np.nan
        figures = {"mean": mean, "low": low, "high": high, "standard_deviation": spread}
        figures |= {"minimum": values.min(), "maximum": values.max()}
        metrics[name] = {key: defined(value) for key, value in figures.items()}
    return {"draws": len(at.draws), "metrics": metrics}


def compare(evaluations: Mapping[str, Sequence[AtCount]], protocol: Protocol) -> dict[str, Any]:
    """Evaluations of the same division and protocol side by side, as plain values.

    Args:
        evaluations: by the name of what was evaluated; the first is compared with each of the others.
        protocol: theirs.

    Returns:
        ``results``: every draw. ``summary``: `summarise` of each number of labels. ``differences``: the same of the
        first minus each other one, paired by draw and resample. ``confusion``: of classes, at the largest number of
        labels, summed over draws.
    """
    results, summary, differences, mistaken = [], [], [], []
    first, *others = evaluations
    for place, at_first in enumerate(evaluations[first]):
        setting = {"fraction": at_first.fraction, "labels": at_first.labels}
        for name, evaluation in evaluations.items():
            at = evaluation[place]
            summary.append({"encoder": name, **setting, **summarise(at, protocol)})
            for draw in at.draws:
                metrics = {metric: defined(value) for metric, value in draw.values.items()}
                results.append({"encoder": name, **setting, "seed": draw.seed, **draw.about, "metrics": metrics})
        for name in others:
            difference = summarise(at_first.minus(evaluations[name][place]), protocol)
            differences.append({"first": first, "second": name, **setting, **difference})
    for name, evaluation in evaluations.items():
        most = max(evaluation, key=lambda at: at.labels)
        matrices = [draw.confusion for draw in most.draws if draw.confusion is not None]
        if matrices:
            counts = np.sum(matrices, axis=0).tolist()
            mistaken.append({"encoder": name, "labels": most.labels, "draws": len(matrices), "counts": counts})
    return {"results": results, "summary": summary, "differences": differences, "confusion": mistaken}


def defined(value: float) -> float | None:
    """The value as JSON takes it; None for one that is not defined (NaN)."""
    return None if np.isnan(value) else float(value)


def _seeds(split: Split, fraction: float, protocol: Protocol) -> range:
    """Seeds of the draws; a single one where the whole training part is drawn."""
    whole = len(split.draw(fraction, protocol.seed)) == len(split.rows["train"])
    return range(protocol.seed, protocol.seed + (1 if whole else protocol.draws))


# ---- Finished evaluations in a file, from which everything that is reported of them can be made again.
#
# In and out: the numbers of labels with their draws, and a description in plain values. The file is a NumPy archive
# without pickled objects, the same bytes for the same evaluation.


def store_evaluation(path: str | Path, evaluation: Sequence[AtCount], about: Mapping[str, Any]) -> None:
    """Write an evaluation, atomically.

    Arrays: ``metrics (M,)`` names; per number of labels ``fractions``, ``labels``, ``draws`` ``(A,)`` and ``resampled``
    (A, M, R), averaged over draws; per draw ``seeds (N,)``, ``values (N, M)`` and ``confusion (N, C, C)`` (of classes);
    ``about``, JSON of the description and of the metadata of each fit.

    Args:
        path: the file, with the suffix ``.npz``.
        evaluation: at least one number of labels, all with the same metrics and resamples.
        about: what it is of; values that JSON takes.
    """
    draws = [draw for at in evaluation for draw in at.draws]
    metrics = list(evaluation[0].resampled)
    document = {"about": dict(about), "draws": [draw.about for draw in draws]}
    arrays: dict[str, Any] = {
        "metrics": np.array(metrics),
        "fractions": np.array([at.fraction for at in evaluation], np.float64),
        "labels": np.array([at.labels for at in evaluation], np.int64),
        "draws": np.array([len(at.draws) for at in evaluation], np.int64),
        "resampled": np.array([[at.resampled[name] for name in metrics] for at in evaluation], np.float64),
        "seeds": np.array([draw.seed for draw in draws], np.int64),
        "values": np.array([[draw.values[name] for name in metrics] for draw in draws], np.float64),
        "about": np.array(json.dumps(document, sort_keys=True)),
    }
    if draws[0].confusion is not None:
        arrays["confusion"] = np.array([draw.confusion for draw in draws], np.int64)
    with atomic_path(path) as temporary:
        np.savez(temporary, **arrays)


def load_evaluation(path: str | Path) -> tuple[list[AtCount], dict[str, Any]]:
    """The evaluation and the description that `store_evaluation` wrote.

    Raises:
        InputError: the file is missing, damaged, or something else.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = dict(stored)
        document = json.loads(str(arrays["about"]))
        metrics = [str(name) for name in arrays["metrics"]]
        draws = [
            Draw(
                int(seed),
                dict(zip(metrics, values.tolist(), strict=True)),
                arrays["confusion"][number].tolist() if "confusion" in arrays else None,
                dict(document["draws"][number]),
            )
            for number, (seed, values) in enumerate(zip(arrays["seeds"], arrays["values"], strict=True))
        ]
        ends = np.cumsum(arrays["draws"]).tolist()
        evaluation = [
            AtCount(float(fraction), int(labels), tuple(draws[end - size : end]), dict(zip(metrics, rows, strict=True)))
            for fraction, labels, size, end, rows in zip(
                arrays["fractions"], arrays["labels"], arrays["draws"].tolist(), ends, arrays["resampled"], strict=True
            )
        ]
        about = dict(document["about"])
    except (OSError, EOFError, KeyError, IndexError, TypeError, ValueError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: is not a stored evaluation ({reason}); remove it and evaluate again") from error
    return evaluation, about
