"""The result of a study, computed from its finished evaluations: ``results.json`` and ``results.csv``.

Nothing in it depends on time, place or how often the work was interrupted: the same study gives the same bytes.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from ecg_advmask import presets
from ecg_advmask.data.dataset import DataSet
from ecg_advmask.data.summary import describe
from ecg_advmask.data.union import DataSetUnion
from ecg_advmask.evaluate.evaluation import defined, load_evaluation
from ecg_advmask.evaluate.metrics import PRIMARY
from ecg_advmask.files import versions, write_csv, write_json
from ecg_advmask.pretrain.run import Run
from ecg_advmask.study.comparison import Evaluations, confusion_of, difference_of, labels_of, summary_of
from ecg_advmask.study.decisions import corrected_comparisons, recommendation
from ecg_advmask.study.design import Method, Study
from ecg_advmask.study.jobs import RESULTS_FILE
from ecg_advmask.study.work import State

FORMAT_VERSION: Final = 1
INTERVALS_OVER: Final = ("seeds", "draws", "patients")
"""Results of earlier versions, which do not state it, have intervals over patients alone."""
TABLE_FILE: Final = "results.csv"
COLUMNS: Final = ("task", "method", "seed", "labels", "fraction", "draw", "metric", "value")
_PACKAGES: Final = ("numpy", "pandas", "scikit-learn", "keras", "tensorflow")


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
        "confirmed": corrected_comparisons(study, evaluations),
        "recommendation": recommendation(study, evaluations),
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
    own = {
        "pretraining_share": study.pretraining_share,
        "seeds": list(study.seeds),
        "intervals_over": [*INTERVALS_OVER],
    }
    own |= {"stratify": list(study.stratify)}
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
        labels = labels_of(by_seed)
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
        most = max(labels_of(evaluations[task, method, other]) for other in study.labels)
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
                setting = {"fraction": fraction, "labels": labels_of(ours), "seeds": [len(ours), len(theirs)]}
                pair = {"task": task, "first": first, "second": second}
                yield pair | setting | {"metrics": difference_of(ours, theirs, level)}


def _runs(state: State) -> Iterator[tuple[Method, int, Run]]:
    """The finished pretrainings."""
    for method in state.study.methods:
        for seed in method.seeds if method.kind == "pretrained" else ():
            run = state.finished_run(method, seed)
            if run is not None:
                yield method, seed, run


def _training(run: Run, method: Method, seed: int, encoders: Mapping[tuple[str, int], str]) -> dict[str, Any]:
    history, windows = run.history().drop(columns="seconds", errors="ignore"), int(run.dataset["windows"])
    columns = {
        str(name): [defined(float(value)) for value in history[name]] for name in history.columns if name != "epoch"
    }
    return {
        "method": method.name,
        "seed": seed,
        "epochs": len(history),
        "updates": min(len(history) * run.config.steps_of(windows), run.config.updates_of(windows)),
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
