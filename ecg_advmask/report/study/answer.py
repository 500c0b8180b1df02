"""What a study found, in plain sentences computed from its numbers, each group of comparisons by itself."""

from collections.abc import Sequence
from typing import Final

from ecg_advmask.report.study.comparisons import Comparisons, Made, groups
from ecg_advmask.report.study.numbers import scale_of
from ecg_advmask.report.study.result import Entry, StudyResult, Verdict

_RULE: Final = (
    "A method is called better or worse only where the {} interval of the paired difference leaves out 0; where the "
    "interval includes 0, these data do not tell the two apart, which does not mean that they are equal."
)
_CAUTION: Final = (
    "No correction was made for that, and comparisons that share recordings or encoders err together. What holds over "
    "several numbers of labels carries weight; a single entry does not. The intervals hold the encoders fixed."
)


def answer(study: StudyResult) -> list[str]:
    """The outcome over all tasks and numbers of labels, and how far it can be read."""
    sentences: list[str] = []
    rule, caution = _RULE.format(study.level_text), _CAUTION
    for group in groups(study):
        made = group.made(study)
        if not made:
            sentences.append(f"{group.title}: there are no paired differences yet.")
            continue
        sentences += [f"{group.opening} {rule}".strip(), f"{_counts(study, group, made)} {caution}".strip()]
        sentences += _seeds_that_agree(study, group, made)
        rule = caution = ""  # said once
    return sentences


def _counts(study: StudyResult, group: Comparisons, made: Sequence[Made]) -> str:
    """How many comparisons there are and what became of them, beside what chance alone would give."""
    better, worse, apart = (sum(one.verdict == verdict for one in made) for verdict in ("better", "worse", "open"))
    pairs = len({(one.first, one.second) for one in made})
    tasks = len({one.task["task"] for one in made})
    return (
        f"{_count(len(made), f'{group.noun} was', f'{group.noun}s were')} made ({_count(pairs, group.counted)}, "
        f"{_count(tasks, 'task')}, each at its numbers of labels): {better} better, {worse} worse, {apart} not told "
        f"apart. If no {group.first} differed from {group.role}, about {(1 - study.level) * len(made):.3g} of "
        f"{len(made)} intervals would still leave out 0 by chance."
    )


def _seeds_that_agree(study: StudyResult, group: Comparisons, made: Sequence[Made]) -> list[str]:
    """In how many of the comparisons called better or worse each pretraining seed by itself gives the same sign."""
    same, of = 0, 0
    for task, first, second, fraction, verdict in made:
        entry = study.difference(task["task"], first, fraction, second)
        estimate = entry["metrics"][task["primary"]] if entry else {}
        seeds = [value for value in estimate.get("by_seed", {}).values() if value is not None]
        if verdict != "open" and len(seeds) > 1:
            of += 1
            same += all(value * estimate["mean"] > 0 for value in seeds)
    if not of:
        return []
    return [
        f"{_count(of, group.noun)} called better or worse {'has' if of == 1 else 'have'} several pretraining seeds; "
        f"in {same} of them every seed gives a difference of that sign."
    ]


def answer_of_task(study: StudyResult, task: Entry, group: Comparisons) -> str:
    """Which methods or pairs are better and worse in a task, and at which numbers of labels; empty if none is
    compared."""
    columns = study.columns(task["task"])
    told: dict[Verdict, list[str]] = {"better": [], "worse": [], "open": []}
    for first, second in group.pairs:
        found = {labels: study.verdict(task, first, fraction, second) for fraction, labels in columns}
        known, name = [verdict for verdict in found.values() if verdict], group.name((first, second))
        for verdict in ("better", "worse"):
            at = [f"{labels:,}" for labels, one in found.items() if one == verdict]
            if at:
                every = len(at) == len(columns) and len(columns) > 1
                told[verdict].append(f"{name} (at {'every number of' if every else _listed(at)} labels)")
        if known and set(known) == {"open"}:
            told["open"].append(name)
    if not any(told.values()):
        return ""
    titles = {"better": "Better than", "worse": "Worse than", "open": "Nowhere told apart from"}
    parts = [f"{titles[verdict]} {group.second}: {'; '.join(named) or 'none'}" for verdict, named in told.items()]
    metric = scale_of(study, task, task["primary"]).title
    return f"{task['task']}, by {metric}{group.qualifier}. {'. '.join(parts)}."


def _count(number: int, word: str, plural: str = "") -> str:
    return f"{number:,} {word if number == 1 else plural or word + 's'}"


def _listed(texts: Sequence[str]) -> str:
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)
