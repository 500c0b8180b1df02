"""The result of a study, computed from its finished evaluations: ``results.json`` and ``results.csv``.

Nothing in it depends on time, place or how often the work was interrupted: the same study gives the same bytes.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np

from ecg_advmask import presets
from ecg_advmask.data.dataset import DataSet
from ecg_advmask.data.summary import describe
from ecg_advmask.data.union import DataSetUnion
from ecg_advmask.evaluate.evaluation import AtCount, defined, load_evaluation
from ecg_advmask.evaluate.metrics import PRIMARY, bootstrap_interval
from ecg_advmask.files import versions, write_csv, write_json
from ecg_advmask.pretrain.run import Run
from ecg_advmask.study.design import Method, Study
from ecg_advmask.study.jobs import RESULTS_FILE
from ecg_advmask.study.work import State

# ---- What the evaluations of a study say together: means, intervals and spreads of each method, and paired
# differences.
#
# In: the evaluations of one task at one number of labels, by pretraining seed. The interval shows how far another test
# set might move a mean, with the encoders as they are: on each resample of the test set, metrics are averaged over
# draws and seeds. The spread over draws of labels and the spread over seeds of pretraining are given apart.

BySeed = Mapping[int, AtCount]


def summary_of(evaluations: BySeed, level: float) -> dict[str, Any]:
    """Each metric of a method: ``mean`` over seeds and draws, ``low`` and ``high`` of the interval of that mean,
    ``sd_over_draws`` (within seeds, pooled; None of single draws), ``sd_over_seeds`` (of the means of seeds; None of a
    single seed), and ``by_seed`` the mean over draws."""
    metrics = {}
    for name in _names(evaluations):
        means = _means(evaluations, name)
        values = [[draw.values[name] for draw in at.draws] for at in evaluations.values()]
        variances = [np.var(of_seed, ddof=1) for of_seed in values if len(of_seed) > 1]
        metrics[name] = _estimate(means, _resampled(evaluations, name), level) | {
            "sd_over_draws": defined(float(np.sqrt(np.mean(variances)))) if variances else None,
            "sd_over_seeds": defined(float(np.std(list(means.values()), ddof=1))) if len(means) > 1 else None,
            "by_seed": {str(seed): defined(mean) for seed, mean in means.items()},
        }
    return metrics


def difference_of(first: BySeed, second: BySeed, level: float) -> dict[str, Any]:
    """Each metric of one method minus that of another one, paired by resample of the test set: ``mean``, ``low``,
    ``high``, and ``by_seed`` of the seeds that both have."""
    metrics = {}
    for name in _names(first):
        ours, theirs = _means(first, name), _means(second, name)
        by_seed = {seed: mean - theirs[seed] for seed, mean in ours.items() if seed in theirs}
        mean = float(np.mean(list(ours.values())) - np.mean(list(theirs.values())))
        resampled = _resampled(first, name) - _resampled(second, name)
        metrics[name] = _estimate({0: mean}, resampled, level) | {
            "by_seed": {str(seed): defined(value) for seed, value in by_seed.items()}
        }
    return metrics


def confusion_of(evaluations: BySeed) -> list[list[int]] | None:
    """True classes in rows, likeliest ones in columns, summed over seeds and draws; None for other kinds of task."""
    matrices = [draw.confusion for at in evaluations.values() for draw in at.draws if draw.confusion is not None]
    total: list[list[int]] | None = np.sum(matrices, axis=0).tolist() if matrices else None
    return total


def _estimate(means: Mapping[int, float], resampled: Any, level: float) -> dict[str, Any]:
    low, high = bootstrap_interval(resampled, level)
    return {"mean": defined(float(np.mean(list(means.values())))), "low": defined(low), "high": defined(high)}


def _names(evaluations: BySeed) -> list[str]:
    return list(next(iter(evaluations.values())).resampled)


def _means(evaluations: BySeed, name: str) -> dict[int, float]:
    return {seed: at.mean.values[name] for seed, at in evaluations.items()}


def _resampled(evaluations: BySeed, name: str) -> Any:
    return np.mean([at.resampled[name] for at in evaluations.values()], axis=0)


FORMAT_VERSION: Final = 1
TABLE_FILE: Final = "results.csv"
COLUMNS: Final = ("task", "method", "seed", "labels", "fraction", "draw", "metric", "value")
_PACKAGES: Final = ("numpy", "pandas", "scikit-learn", "keras", "tensorflow")

Evaluations = dict[tuple[str, str, float], dict[int, AtCount]]
"""By task, method and number of labels as the study states it: the evaluations of each seed."""


def collate(state: State) -> list[dict[str, Any]]:
    """Write ``results.json`` and ``results.csv`` of what is finished.

    Returns:
        What is missing: method, seed and task of each.

    Raises:
        InputError: a file of the study is damaged.
    """
    study, folder = state.study, state.folder
    evaluations: Evaluations = {}
    encoders: dict[tuple[str, int], str] = {}
    missing = []
    for task in study.tasks:
        for method in study.methods:
            for seed in method.seeds:
                if state.missing_labels(method, seed, task):
                    missing.append({"method": method.name, "seed": seed, "task": task})
                    continue
                for labels in study.labels:
                    (at,), about = load_evaluation(folder.evaluation(method, seed, task, labels))
                    evaluations.setdefault((task, method.name, labels), {})[seed] = at
                    encoders[method.name, seed] = about["encoder_sha256"]
    result = {
        "format_version": FORMAT_VERSION,
        "kind": "study",
        "name": study.name,
        "question": study.question,
        "baseline": study.baseline,
        "compare": [list(pair) for pair in study.compare],
        "study": dict(study.content),
        "protocol": _protocol(state),
        "data": {
            "pretraining": None if state.data.pretraining is None else _described(state.data.pretraining),
            "evaluation": _described(state.data.evaluation),
        },
        "methods": [_method(state, method) for method in study.methods],
        "tasks": [_task(state, task) for task in study.tasks],
        **_numbers(state, evaluations),
        "training": [_training(run, method, seed, encoders) for method, seed, run in _runs(state)],
        "missing": missing,
        "versions": versions(_PACKAGES),
    }
    write_csv(folder.path / TABLE_FILE, COLUMNS, _rows(evaluations))
    write_json(folder.path / RESULTS_FILE, result)
    return missing


def _protocol(state: State) -> dict[str, Any]:
    study = state.study
    general = dataclasses.asdict(study.protocol(study.methods[0])) | {"draws": study.draws}
    own = {"pretraining_share": study.pretraining_share, "seeds": list(study.seeds)}
    whole_networks = any(method.kind in ("scratch", "finetune") for method in study.methods)
    return general | own | {"fine_tuning": dataclasses.asdict(state.fine_tuning) if whole_networks else None}


def _described(data: DataSet) -> dict[str, Any]:
    """What a data set is; of a union, what it is as a whole and each of its ``members``."""
    if not isinstance(data, DataSetUnion):
        return {key: value for key, value in describe(data).items() if key != "path"}
    members = [_described(member) for member in data.members]
    return {
        "name": " + ".join(member["name"] for member in members),
        "sha256": data.sha256,
        "sampling_rate_hz": data.sampling_rate_hz,
        "window_samples": data.window_samples,
        "generated": any(member["generated"] for member in members),
        "members": members,
    }


def _method(state: State, method: Method) -> dict[str, Any]:
    preset = dict(presets.settings(method.preset))
    return {
        "name": method.name,
        "kind": method.kind,
        "preset": method.preset,
        "about": str(preset.pop("about", "")),
        "preset_settings": preset,
        "settings": dict(state.study.settings) | dict(method.settings),
        "seeds": list(method.seeds),
        "draws": method.draws,
        "of": method.of or None,
    }


def _task(state: State, task: str) -> dict[str, Any]:
    account = state.data.account(state.data.split(task))
    return account | {"primary": PRIMARY[account["kind"]]}


def _numbers(state: State, evaluations: Evaluations) -> dict[str, Any]:
    """Summary, paired differences, and confusion at the largest number of labels."""
    study, level = state.study, state.study.protocol(state.study.methods[0]).level
    summary, confusion = [], []
    for (task, method, fraction), by_seed in evaluations.items():
        labels = _labels(by_seed)
        setting = {"fraction": fraction, "labels": labels}
        summary.append(
            {
                "task": task,
                "method": method,
                **setting,
                "draws": max(len(at.draws) for at in by_seed.values()),
                "seeds": list(by_seed),
                "metrics": summary_of(by_seed, level),
            }
        )
        most = max(_labels(evaluations[task, method, other]) for other in study.labels)
        counts = confusion_of(by_seed)
        if counts is not None and labels == most:
            confusion.append({"task": task, "method": method, "labels": labels, "counts": counts})
    differences = list(differences_of(study, evaluations, level))
    return {"summary": summary, "differences": differences, "confusion": confusion}


def differences_of(study: Study, evaluations: Evaluations, level: float) -> Iterator[dict[str, Any]]:
    """Paired differences, where both methods are evaluated: from the baseline, then the further ones of the file."""
    against_baseline = [(one.name, study.baseline) for one in study.methods if one.name != study.baseline]
    for pairs in (against_baseline, study.compare):
        for task, (first, second), fraction in itertools.product(study.tasks, pairs, study.labels):
            ours, theirs = (evaluations.get((task, method, fraction)) for method in (first, second))
            if ours is not None and theirs is not None:
                setting = {"fraction": fraction, "labels": _labels(ours)}
                pair = {"task": task, "first": first, "second": second}
                yield pair | setting | {"metrics": difference_of(ours, theirs, level)}


def _labels(by_seed: BySeed) -> int:
    return next(iter(by_seed.values())).labels


def _runs(state: State) -> Iterator[tuple[Method, int, Run]]:
    """The finished pretrainings."""
    for method in state.study.methods:
        for seed in method.seeds if method.kind == "pretrained" else ():
            run = state.finished_run(method, seed)
            if run is not None:
                yield method, seed, run


def _training(run: Run, method: Method, seed: int, encoders: Mapping[tuple[str, int], str]) -> dict[str, Any]:
    history = run.history().drop(columns="seconds", errors="ignore")
    columns = {
        str(name): [defined(float(value)) for value in history[name]] for name in history.columns if name != "epoch"
    }
    return {
        "method": method.name,
        "seed": seed,
        "epochs": len(history),
        "history": {"epoch": [int(epoch) for epoch in history["epoch"]], **columns},
        "encoder_sha256": encoders.get((method.name, seed)),
    }


def _rows(evaluations: Evaluations) -> Iterable[dict[str, Any]]:
    """One row per task, method, number of labels, seed, draw and metric; an empty value where it is not defined."""
    for (task, method, fraction), by_seed in evaluations.items():
        for seed, at in by_seed.items():
            for draw in at.draws:
                of_draw = {"task": task, "method": method, "seed": seed, "labels": at.labels, "fraction": fraction}
                for metric, value in draw.values.items():
                    shown = "" if defined(value) is None else repr(value)
                    yield of_draw | {"draw": draw.seed, "metric": metric, "value": shown}
