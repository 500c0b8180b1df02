"""A linear head judged by cross-validation over patients: predictions of every recording by a head without it.

In: embeddings and the recordings of a `Split`, whose parts play no role here. Out: predictions before and after
calibration, their metrics with intervals, by sex and age as well, and the head to keep: fitted on all recordings,
calibrated on what was held out.

Calibration is by temperature (Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks, ICML 2017):
outputs are divided by the one number that makes held-out labels likeliest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp
from sklearn.metrics import roc_curve
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from ecg_advmask.data.split import split_by_patient
from ecg_advmask.data.targets import Targets
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.evaluation import defined
from ecg_advmask.evaluate.heads import Float64, FloatArray, LinearHead, activate, fit_head, indicators
from ecg_advmask.evaluate.metrics import PRIMARY, Measured, bootstrap_interval, measure, resample_counts
from ecg_advmask.evaluate.protocol import Protocol
from ecg_advmask.evaluate.split import Split

FOLDS: Final = 5
AGE_GROUPS: Final = ((0, 40), (40, 65), (65, 121))
"""Years, from the first up to but not including the second."""
_LARGEST_LOG_TEMPERATURE: Final = float(np.log(20))


@dataclass(frozen=True)
class HeldOut:
    """Cross-validated predictions.

    Attributes:
        split: the recordings.
        outputs: (n, K) of the head that did not see the recording or its patient, before softmax or sigmoid.
        fold: (n,) which fold a recording is in.
        temperatures: of each fold, from recordings that neither its head nor its predictions are of; 1 for numbers.
        strengths: of each fold's penalty.
        counts: (n, R) resamples of the recordings by patient.
    """

    split: Split
    outputs: Float64
    fold: npt.NDArray[np.int64]
    temperatures: tuple[float, ...]
    strengths: tuple[float, ...]
    counts: npt.NDArray[np.float32]

    @property
    def before(self) -> Float64:
        """Predictions (n, K), or (n,) of a number, as the heads give them."""
        return activate(self.split.targets.kind, self.outputs)

    @property
    def after(self) -> Float64:
        """The same, calibrated by the temperature of each fold."""
        return activate(self.split.targets.kind, self.outputs / np.array(self.temperatures)[self.fold][:, None])

    def measured(self, predicted: Float64, rows: npt.NDArray[Any] | slice = slice(None)) -> Measured:
        """Metrics of predictions, of some recordings alone if rows are given."""
        targets = self.split.targets
        return measure(targets.kind, targets.names, targets.values[rows], predicted[rows], self.counts[rows])


def held_out(embeddings: FloatArray, split: Split, protocol: Protocol) -> HeldOut:
    """Fit a head for each of `FOLDS` folds of patients, without that fold, and predict the fold.

    Of the other folds, one chooses the penalty and gives the temperature; on the remaining ones the head is fitted.

    Args:
        embeddings: (n, D) of the recordings of ``split``, in its order.
        split: ids, patients and targets.
        protocol: strengths, the seed of the folds (``split_seed``) and the resamples.

    Raises:
        InputError: there are fewer patients than folds.
    """
    targets, kind = split.targets, split.targets.kind
    if len(np.unique(split.patients.astype(str))) < FOLDS:
        raise InputError(f"task {targets.task}: {FOLDS} patients are needed for cross-validation, give more recordings")
    names = [str(number) for number in range(FOLDS)]
    parts = split_by_patient(split.patients, targets.strata(), dict.fromkeys(names, 1 / FOLDS), protocol.split_seed)
    fold = parts.astype(np.int64)
    outputs = np.empty((len(split.ids), len(targets.names)), np.float64)
    temperatures, strengths = [], []
    threads = ThreadpoolController()
    for number in range(FOLDS):
        test, chosen = fold == number, fold == (number + 1) % FOLDS
        fitted = ~(test | chosen)
        with threads.limit(limits=1):
            head, about = fit_head(
                embeddings[fitted], targets.take(fitted), embeddings[chosen], targets.take(chosen), protocol
            )
        plain = LinearHead.of(head, targets, "", {})
        outputs[test] = linear_outputs(plain, embeddings[test])
        temperatures.append(temperature(linear_outputs(plain, embeddings[chosen]), targets.take(chosen)))
        strengths.append(float(about["strength"]))
    strata = np.zeros(len(fold), np.int64) if kind == "number" else targets.strata()
    counts = resample_counts(strata, split.patients, protocol.resamples, protocol.split_seed)
    return HeldOut(split, outputs, fold, tuple(temperatures), tuple(strengths), counts)


def linear_outputs(head: LinearHead, embeddings: FloatArray) -> Float64:
    """Outputs (n, K) of a head before softmax or sigmoid."""
    return np.asarray(embeddings.astype(np.float64) @ head.weights + head.intercepts)


def temperature(outputs: Float64, targets: Targets) -> float:
    """The number, from 1/20 to 20, by which outputs (n, K) are to be divided for the targets to be likeliest.

    1 for numbers, and where no recording says anything. A recording of a class that the head did not learn, whose
    output is minus infinity, is not counted.
    """
    if targets.kind == "number":
        return 1.0
    own = indicators(targets)
    if targets.kind == "classes":
        rows = np.isfinite(outputs[np.arange(len(own)), targets.values])
        outputs, own = outputs[rows], own[rows]
    if not len(own):
        return 1.0

    def surprise(log_temperature: float) -> float:
        scaled = outputs / np.exp(log_temperature)
        if targets.kind == "classes":
            true = scaled[own == 1]
            return float(np.mean(logsumexp(scaled, axis=1) - true))
        return float(np.mean(np.logaddexp(0, np.where(own == 1, -scaled, scaled))))

    bounds = (-_LARGEST_LOG_TEMPERATURE, _LARGEST_LOG_TEMPERATURE)
    return float(np.exp(minimize_scalar(surprise, bounds=bounds, method="bounded").x))


def thresholds(held: HeldOut) -> list[float]:
    """Of each class or label the probability from which sensitivity + specificity is largest on held-out recordings.

    NaN where only recordings with, or only ones without it are there.
    """
    own, after = indicators(held.split.targets), held.after
    found = []
    for truth, scores in zip(own.T, after.T, strict=True):
        if 0 < truth.sum() < len(truth):
            wrong, right, limits = roc_curve(truth, scores, drop_intermediate=False)
            found.append(float(limits[1:][np.argmax((right - wrong)[1:])]))
        else:
            found.append(float("nan"))
    return found


def final_head(embeddings: FloatArray, held: HeldOut, protocol: Protocol, encoder_sha256: str) -> LinearHead:
    """The head to keep: fitted on all recordings, with the penalty that most folds chose, and calibrated.

    The temperature is that of all held-out outputs together; it is in the weights.
    """
    split = held.split
    strength = min(set(held.strengths), key=lambda one: (-held.strengths.count(one), one))
    with ThreadpoolController().limit(limits=1):
        once = replace(protocol, strengths=(strength,))
        head, _ = fit_head(embeddings, split.targets, embeddings, split.targets, once)
    scale = temperature(held.outputs, split.targets)
    about = {"labels": len(split.ids), "strength": strength, "temperature": scale, "folds": FOLDS}
    plain = LinearHead.of(head, split.targets, encoder_sha256, about)
    return replace(plain, weights=plain.weights / scale, intercepts=plain.intercepts / scale)


def held_out_figures(held: HeldOut, recordings: Mapping[str, npt.NDArray[Any]], level: float) -> dict[str, Any]:
    """What a result states of cross-validated predictions, as plain values.

    Args:
        held: the predictions.
        recordings: ``sex`` and ``age_years`` of each recording, (n,).
        level: coverage of the intervals.

    Returns:
        ``before`` and ``after`` calibration, and ``change``, each metric with its interval; ``groups``: the primary
        metric after calibration, by sex and age, and the number of recordings.
    """
    before, after = held.measured(held.before), held.measured(held.after)
    primary = PRIMARY[held.split.targets.kind]
    groups = []
    for name, rows in groups_of(recordings).items():
        part: dict[str, Any] = {"name": name, "recordings": int(rows.sum()), "metric": primary, "estimate": None}
        if rows.sum() > 1:
            values = held.measured(held.after, rows)
            part["estimate"] = _estimates(values, level)[primary]
        groups.append(part)
    return {
        "folds": FOLDS,
        "recordings": len(held.split.ids),
        "temperatures": list(held.temperatures),
        "before": _estimates(before, level),
        "after": _estimates(after, level),
        "change": _estimates(after.minus(before), level),
        "groups": groups,
    }


def groups_of(recordings: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[np.bool_]]:
    """Which recordings (n,) are of each sex and age group."""
    sex, years = recordings["sex"].astype(str), recordings["age_years"].astype(np.float64)
    found = {name: sex == name for name in ("female", "male")}
    found["sex not known"] = ~np.isin(sex, ["female", "male"])
    for low, high in AGE_GROUPS:
        name = f"{low} years and older" if high > 120 else f"{low} to {high - 1} years"
        found[name] = (years >= low) & (years < high)
    found["age not known"] = ~((years >= 0) & (years < AGE_GROUPS[-1][1]))
    return {name: rows for name, rows in found.items() if rows.any()}


def _estimates(measured: Measured, level: float) -> dict[str, dict[str, float | None]]:
    estimates = {}
    for name, value in measured.values.items():
        low, high = bootstrap_interval(measured.resampled[name], level)
        estimates[name] = {"mean": defined(value), "low": defined(low), "high": defined(high)}
    return estimates


def columns_of(records: Any, ids: Sequence[str] | npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
    """``sex`` and ``age_years`` of recordings with these keys, from a table as `recordings_of` gives it."""
    chosen = records.set_index("key").loc[list(ids)]
    return {name: chosen[name].to_numpy() for name in ("sex", "age_years")}
