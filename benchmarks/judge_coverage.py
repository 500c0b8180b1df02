"""How often the intervals and forecasts of ``judge`` hold the truth, on generated embeddings whose truth is known.

Each trial draws recordings (one to three of each patient), their embeddings and targets, divides them as ``judge``
does, and evaluates linear heads. The truth of an interval is the metric of the same heads on `POPULATION` recordings of
other patients. Forecasts are made from at most half of the labels of the training part, for twice as many: their truth
is the metric of the head that has all of them, on the population, and beside it the result on the same test patients.

    python benchmarks/judge_coverage.py --trials 300
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ecg_advmask.data.targets import Kind, Targets
from ecg_advmask.evaluate.evaluation import AtCount, evaluate
from ecg_advmask.evaluate.forecast import forecast
from ecg_advmask.evaluate.heads import LinearHead, activate, fit_head
from ecg_advmask.evaluate.held_out import held_out, linear_outputs
from ecg_advmask.evaluate.linear import linear_fit
from ecg_advmask.evaluate.metrics import PRIMARY, bootstrap_interval, measure
from ecg_advmask.evaluate.protocol import Protocol
from ecg_advmask.evaluate.split import Split, split_recordings

RECORDINGS, POPULATION, DIMENSION = 600, 10000, 24
PROTOCOL = Protocol((0.25, 1.0), draws=2)
CURVE = replace(PROTOCOL, fractions=(0.0625, 0.125, 0.25, 0.5, 1.0))
"""Forecasts are made from all but the last of these shares of the labels, for the last."""
NAMES: dict[Kind, tuple[str, ...]] = {"labels": ("present",), "number": ("years",)}


@dataclass(frozen=True)
class Trial:
    """Two tables of embeddings (N, D) of the same recordings, and their split; ``population`` has the same training and
    validation part, and tests on recordings of other patients."""

    tables: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]
    split: Split
    population: Split


Part = Callable[[Trial], Iterator[tuple[str, bool]]]
"""Names of intervals, and whether each holds its truth."""


def trial(kind: Kind, rng: np.random.Generator) -> Trial:
    """Recordings whose targets follow from a part of their embeddings, with noise of the patient and the recording."""
    sizes = rng.integers(1, 4, size=RECORDINGS + POPULATION)
    patient = np.repeat(np.arange(len(sizes)), sizes)[: RECORDINGS + POPULATION]
    own = patient[:RECORDINGS].max()
    patient[RECORDINGS:] += patient[RECORDINGS] == own  # nobody is in both
    plain = rng.normal(size=(patient.max() + 1, DIMENSION))[patient] + 0.5 * rng.normal(size=(len(patient), DIMENSION))
    signal = plain[:, :3].sum(axis=1) * rng.uniform(0.3, 0.9) + rng.normal(size=len(patient))
    values = 50 + 10 * signal if kind == "number" else (signal > 0.5).astype(np.int64)[:, None]
    targets = Targets("made", kind, NAMES[kind], values, np.full(len(values), "", object))
    ids, patients = np.array([f"r{place}" for place in range(len(values))], object), patient.astype(str).astype(object)
    few = np.arange(RECORDINGS)
    split = split_recordings(ids[few], targets.take(few), patients[few], PROTOCOL.shares, int(rng.integers(1000)))
    rows = {part: split.rows[part] for part in ("train", "validation")}
    whole = Split(targets, ids, patients, rows | {"test": split.rows["test"]}, {})
    population = replace(whole, rows=rows | {"test": np.arange(RECORDINGS, len(values))})
    other = plain + rng.uniform(0.2, 1.0) * rng.normal(size=plain.shape)
    return Trial((plain.astype(np.float32), other.astype(np.float32)), whole, population)


def holds(at: AtCount, truth: AtCount, metric: str) -> bool:
    """Whether the interval of one evaluation holds the value of another."""
    low, high = bootstrap_interval(at.resampled[metric], PROTOCOL.level)
    return bool(low <= truth.mean.values[metric] <= high)


def of_evaluations(made: Trial) -> Iterator[tuple[str, bool]]:
    """Intervals at each number of labels, of the first table and of its difference to the second."""
    metric = PRIMARY[made.split.targets.kind]
    found, true = (_evaluated(made.tables[0], split, PROTOCOL) for split in (made.split, made.population))
    other, truth = (_evaluated(made.tables[1], split, PROTOCOL) for split in (made.split, made.population))
    for share, at in found.items():
        yield f"{100 * share:g} % of the labels", holds(at, true[share], metric)
        difference, true_difference = at.minus(other[share]), true[share].minus(truth[share])
        yield f"difference, {100 * share:g} % of the labels", holds(difference, true_difference, metric)


def of_forecasts(made: Trial) -> Iterator[tuple[str, bool]]:
    """Forecasts from half of the labels."""
    metric = PRIMARY[made.split.targets.kind]
    found, true = (_evaluated(made.tables[0], split, CURVE) for split in (made.split, made.population))
    *half, whole = found.values()
    ahead = forecast(half, metric, CURVE.level)["forecasts"]
    yield "(a forecast is made)", bool(ahead)
    for name, at in (("truth", true[1.0]), ("result on the test patients", whole)) if ahead else ():
        yield f"forecast from half: {name}", bool(ahead[0]["low"] <= at.mean.values[metric] <= ahead[0]["high"])


def _evaluated(table: npt.NDArray[np.float32], split: Split, protocol: Protocol) -> dict[float, AtCount]:
    """Evaluations by the share of the labels; the population needs no resamples."""
    few = protocol if len(split.rows["test"]) < POPULATION else replace(protocol, resamples=1)
    return {at.fraction: at for at in evaluate(linear_fit(table, split, few), split, few)}


def of_cross_validation(made: Trial) -> Iterator[tuple[str, bool]]:
    """The interval of cross-validated predictions: the truth is that of the same heads, each on all others."""
    table, kind = made.tables[0], made.split.targets.kind
    rows = np.arange(RECORDINGS)
    split = replace(made.split, ids=made.split.ids[rows], patients=made.split.patients[rows])
    split = replace(split, targets=made.split.targets.take(rows))
    held = held_out(table[rows], split, PROTOCOL)
    test = made.population.rows["test"]
    outputs = []
    for number, degrees in enumerate(held.temperatures):
        chosen = held.fold == (number + 1) % len(held.temperatures)
        fitted = ~(chosen | (held.fold == number))
        parts = (table[rows][fitted], split.targets.take(fitted), table[rows][chosen], split.targets.take(chosen))
        head = LinearHead.of(fit_head(*parts, PROTOCOL)[0], split.targets, "", {})
        outputs.append(linear_outputs(head, table[test]) / degrees)
    targets = made.population.targets.take(np.tile(test, len(outputs)))
    predicted = activate(kind, np.concatenate(outputs))
    truth = measure(kind, targets.names, targets.values, predicted, np.ones((len(predicted), 1), np.float32))
    found = held.measured(held.after)
    for metric in (PRIMARY[kind], *(["calibration_error"] if kind == "labels" else [])):
        low, high = bootstrap_interval(found.resampled[metric], PROTOCOL.level)
        yield f"cross-validated {metric}", bool(low <= truth.values[metric] <= high)


def coverage(kind: Kind, parts: Sequence[Part], trials: int, seed: int = 0) -> dict[str, float]:
    """Share of the trials in which each interval holds the truth."""
    hits: dict[str, list[bool]] = defaultdict(list)
    for number in range(trials):
        made = trial(kind, np.random.default_rng([seed, number]))
        for part in parts:
            for name, held in part(made):
                hits[name].append(held)
    return {name: float(np.mean(found)) for name, found in hits.items()}


def main() -> None:
    """Print the coverage of each interval."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=300, help="  [default: 300]")
    parser.add_argument("--forecasts", type=int, default=100, help="trials of forecasts  [default: 100]")
    parser.add_argument("--kind", choices=list(NAMES), action="append", help="  [default: all]")
    arguments = parser.parse_args()
    for kind in arguments.kind or NAMES:
        print(f"{kind} ({PRIMARY[kind]})")
        for parts, trials in (
            ((of_evaluations, of_cross_validation), arguments.trials),
            ((of_forecasts,), arguments.forecasts),
        ):
            for name, share in coverage(kind, parts, trials).items():
                print(f"  {name:45} {100 * share:5.1f} % of {trials}", flush=True)


if __name__ == "__main__":
    main()
