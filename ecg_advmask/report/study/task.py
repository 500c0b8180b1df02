"""The part of a study's report about one task: curves, tables, differences, spreads, classes."""

from collections.abc import Iterator
from typing import Any, Final

from matplotlib.figure import Figure

from ecg_advmask.files import in_file_name
from ecg_advmask.report.study import tables
from ecg_advmask.report.study.comparisons import Comparisons, against_baseline, groups
from ecg_advmask.report.study.confusion import confusion_matrices
from ecg_advmask.report.study.curves import curves_by_method, curves_together
from ecg_advmask.report.study.document import Block, Heading, Paragraph, Picture, Table
from ecg_advmask.report.study.forest import forest, spread
from ecg_advmask.report.study.numbers import labels_text, scale_of
from ecg_advmask.report.study.result import Entry, StudyResult
from ecg_advmask.report.study.style import png
from ecg_advmask.report.study.words import task_in_words

_FILLED: Final = "Filled marker: better or worse than {} by the paired interval; hollow: not told apart from it. "


def task_section(study: StudyResult, task: Entry, place: int) -> Iterator[Block]:
    """Everything measured for a task; ``place`` numbers its figures' files."""
    name, scale = str(task["task"]), scale_of(study, task, task["primary"])
    yield Heading(f"Results: {name}")
    yield Paragraph(task_in_words(study, task))
    if not study.columns(name):
        yield Paragraph("No evaluation of this task is finished.")
        return

    def picture(kind: str, figure: Figure, caption: str, alternative: str) -> Picture:
        return Picture(f"{place}-{in_file_name(name)}-{kind}", png(figure), caption, alternative)

    compared = [group for group in groups(study) if _has_differences(study, task, group)]
    yield Heading("Label efficiency", 3)
    filled = _FILLED.format("the baseline")
    dotted = "Dotted, where it lies in the panel: chance. " if "auroc" in task["primary"] else ""
    yield picture(
        "curves",
        curves_by_method(study, task),
        f"{name}: {scale.axis} by number of labels ({scale.better}), mean over pretraining seeds and draws of labels, "
        f"with its {study.level_text} interval over the test set (band). Grey in every panel: the baseline. "
        f"{filled if against_baseline(study) in compared else ''}{dotted}",
        f"Label-efficiency curves of {name}, one panel for each method",
    )
    yield picture(
        "overview",
        curves_together(study, task),
        f"{name}: all methods together, means alone; names stand in the order of the last points. {dotted}",
        f"Label-efficiency curves of {name}, all methods in one panel",
    )
    yield tables.estimates(study, task)
    for group in compared:
        yield Heading(group.title, 3)
        yield tables.verdicts_by_labels(study, task, group)
        yield picture(
            group.key,
            forest(study, task, group),
            f"{name}: paired difference, {group.first} minus {group.second}, on the same test recordings, with its "
            f"{study.level_text} interval; below it, small grey strokes: the same difference within each "
            f"pretraining seed. {_FILLED.format(group.role)}",
            f"Forest plot of paired differences of {name}, {group.first} minus {group.second}",
        )
        yield tables.differences(study, task, group)
    yield Heading("Spread over pretraining seeds and over draws of labels", 3)
    yield picture(
        "spread",
        spread(study, task),
        f"{name}: markers are means of single pretraining seeds; the bar reaches one standard deviation over draws of "
        "labels (within seeds) to either side of the mean over seeds.",
        f"Spread over seeds and draws of {name}",
    )
    yield tables.spreads(study, task)
    yield from _at_most_labels(study, task, picture)


def _has_differences(study: StudyResult, task: Entry, group: Comparisons) -> bool:
    return any(
        study.difference(task["task"], first, fraction, second)
        for first, second in group.pairs
        for fraction, _ in study.columns(task["task"])
    )


def _at_most_labels(study: StudyResult, task: Entry, picture: Any) -> Iterator[Block]:
    """Other metrics, metrics of classes and confusion matrices."""
    others: list[Table] = tables.other_metrics(study, task)
    matrices = {one["method"]: one for one in study.content["confusion"] if one["task"] == task["task"]}
    if others or matrices:
        fraction, labels = study.columns(task["task"])[-1]
        yield Heading(f"In detail, at {labels_text(fraction, labels, 'labels')}", 3)
        yield from others
    if matrices:
        yield picture(
            "confusion",
            confusion_matrices(study, task, matrices),
            f"{task['task']}: per cent of the recordings of each true class (row) that are taken for each class "
            f"(column), over all seeds and draws at {next(iter(matrices.values()))['labels']:,} labels.",
            f"Confusion matrices of {task['task']}, one for each method",
        )
