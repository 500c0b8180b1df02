"""What a study file has decided beforehand: the comparisons at its endpoints, and the method to recommend."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.evaluation import AtCount, Draw, defined
from ecg_advmask.evaluate.metrics import PRIMARY, bootstrap_interval
from ecg_advmask.study.comparison import BySeed, Evaluations, labels_of, means_of, metric_names, plausible_differences
from ecg_advmask.study.design import Study
from ecg_advmask.study.intervals import holm, p_value


def corrected_comparisons(study: Study, evaluations: Evaluations) -> list[dict[str, Any]]:
    """The comparisons of the study file at its endpoints, as far as they are evaluated, with P values corrected by
    Holm's method within each endpoint, for all ``of`` comparisons that the file fixes."""
    found = []
    for place, (task, fraction) in enumerate(study.endpoints):
        made = []
        for first, second in study.compare:
            ours, theirs = (evaluations.get((task, method, fraction)) for method in (first, second))
            if ours is not None and theirs is not None:
                metric = _primary(ours)
                made.append(
                    (first, second, labels_of(ours), metric, p_value(plausible_differences(ours, theirs, metric)))
                )
        unknown = [1.0] * (len(study.compare) - len(made))
        corrected = holm([p for *_, p in made] + unknown)
        for (first, second, labels, metric, p), p_holm in zip(made, corrected, strict=False):
            about = {"endpoint": "secondary" if place else "primary", "task": task, "fraction": fraction}
            pair = {"labels": labels, "metric": metric, "first": first, "second": second}
            found.append(about | pair | {"p": defined(p), "p_holm": defined(p_holm), "of": len(study.compare)})
    return found


def recommendation(study: Study, evaluations: Evaluations) -> dict[str, Any] | None:
    """The pretrained method that the rule of the study file picks of those that are evaluated; None without a rule.

    The figure of a method is its macro AUROC averaged over the tasks and numbers of labels of the rule. ``recommended``
    is the first method of the file whose figure is at most ``margin`` below the best one and whose interval of the
    difference from the best one includes 0.

    Raises:
        InputError: a task of the rule has no AUROC.
    """
    rule = study.recommendation
    if rule is None:
        return None
    level = study.protocol(study.methods[0]).level
    figures: dict[str, dict[int, AtCount]] = {}
    for method in (one for one in study.methods if one.kind == "pretrained"):
        parts = [evaluations.get((task, method.name, n), {}) for task in rule.tasks for n in rule.labels]
        seeds = [seed for seed in method.seeds if all(seed in part for part in parts)]
        if seeds:
            figures[method.name] = {seed: _averaged(study, [part[seed] for part in parts]) for seed in seeds}
    about = {"tasks": [*rule.tasks], "labels": [*rule.labels], "margin": rule.margin}
    if not figures:
        return about | {"best": None, "recommended": None, "methods": []}
    means = {name: float(np.mean([*means_of(figure, _FIGURE).values()])) for name, figure in figures.items()}
    best = max(means, key=lambda name: means[name])
    methods, candidates = [], []
    for name, figure in figures.items():
        low, high = (0.0, 0.0)
        if name != best:
            low, high = bootstrap_interval(plausible_differences(figures[best], figure, _FIGURE), level)
        if low <= 0 <= high and means[best] - means[name] <= rule.margin:
            candidates.append(name)
        behind = {"behind": means[best] - means[name], "low": low, "high": high}
        methods.append({"method": name, "seeds": [*figure], "mean": means[name], **behind})
    return about | {"best": best, "recommended": candidates[0], "methods": methods}


_FIGURE: Final = "macro_auroc"


def _averaged(study: Study, parts: Sequence[AtCount]) -> AtCount:
    """The macro AUROC of one pretraining seed, averaged over tasks and numbers of labels; draws by their seeds, where
    all parts have the same ones."""
    if not all(_FIGURE in at.resampled for at in parts):
        raise InputError(f"{study.path}: recommendation.tasks: one of them is judged by no AUROC, leave it out")
    resampled = np.mean([at.resampled[_FIGURE] for at in parts], axis=0)
    seeds = [draw.seed for draw in parts[0].draws]
    if all([draw.seed for draw in at.draws] == seeds for at in parts):
        values = np.mean([[draw.values[_FIGURE] for draw in at.draws] for at in parts], axis=0).tolist()
    else:
        seeds, values = [0], [float(np.mean([at.mean.values[_FIGURE] for at in parts]))]
    draws = tuple(Draw(seed, {_FIGURE: value}, None, {}) for seed, value in zip(seeds, values, strict=True))
    return AtCount(1.0, 0, draws, {_FIGURE: resampled})


def _primary(by_seed: BySeed) -> str:
    """The metric that an evaluation is judged by."""
    return next(name for name in dict.fromkeys(PRIMARY.values()) if name in metric_names(by_seed))
