"""The report of a study: one self-contained HTML page, and the same as Markdown with its figures as files.

In: ``results.json`` in the folder of a study and, where they are, ``runs/METHOD/seed-S/masks/*.png``. Out:
``report.html``, without scripts and without any reference to another file or address, ``report.md`` and
``figures/*.png``.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from matplotlib.figure import Figure

from ecg_advmask.files import atomic_path, in_file_name, write_text
from ecg_advmask.report import appendix, tables
from ecg_advmask.report.curves import curves_by_method, curves_together, forest, spread_figure
from ecg_advmask.report.difficulty import difficulty_section
from ecg_advmask.report.document import (
    FIGURES,
    Block,
    Bullets,
    Heading,
    Paragraph,
    Picture,
    Table,
    as_markdown,
    numbered,
    pictures,
)
from ecg_advmask.report.figures import confusion_matrices, png
from ecg_advmask.report.html import as_html
from ecg_advmask.report.protocol import study_protocol, task_in_words
from ecg_advmask.report.results import GENERATED_NOTICE, JsonObject, StudyResult
from ecg_advmask.report.text import (
    Comparisons,
    against_baseline,
    answer,
    answer_of_task,
    groups,
    labels_text,
    missing,
    scale_of,
)
from ecg_advmask.study.jobs import RESULTS_FILE

# ---- The part of a study's report about one task: curves, tables, differences, spreads, classes.

_DOTTED: Final = "Dotted, where it is in the panel: chance. "
_FILLED: Final = "Filled marker: better or worse than {} by the paired interval; hollow: no clear difference. "


def task_section(study: StudyResult, task: JsonObject, place: int) -> Iterator[Block]:
    """Everything measured for a task; ``place`` numbers its figures' files."""
    name = str(task["task"])
    yield Heading(f"Results: {name}")
    yield Paragraph(task_in_words(study, task))
    if not study.columns(name):
        yield Paragraph("No evaluation of this task is finished.")
        return

    def picture(kind: str, figure: Figure, caption: str, alternative: str) -> Picture:
        return Picture(_file_name(place, name, kind), png(figure), caption, alternative)

    compared = [group for group in groups(study) if _has_differences(study, task, group)]
    yield Heading("Label efficiency", 3)
    yield efficiency_picture(study, task, place)
    dotted = _DOTTED if "auroc" in task["primary"] else ""
    yield picture(
        "overview",
        curves_together(study, task),
        f"{name}: all methods together, means alone; names are in the order of the last points. {dotted}",
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
        spread_figure(study, task),
        f"{name}: markers are means of single pretraining seeds; the bar reaches one standard deviation over draws of "
        "labels (within seeds) to either side of the mean over seeds.",
        f"Spread over seeds and draws of {name}",
    )
    yield tables.spreads(study, task)
    yield from _at_most_labels(study, task, place)


def _file_name(place: int, task: str, kind: str) -> str:
    return f"{place}-{in_file_name(task)}-{kind}"


def efficiency_picture(study: StudyResult, task: JsonObject, place: int) -> Picture:
    """Label efficiency, a panel for each method."""
    name, scale = str(task["task"]), scale_of(study, task, task["primary"])
    filled = _FILLED.format("the baseline") if _has_differences(study, task, against_baseline(study)) else ""
    return Picture(
        _file_name(place, name, "curves"),
        png(curves_by_method(study, task)),
        f"{name}: {scale.axis} by number of labels ({scale.better}), mean over pretraining seeds and draws of labels, "
        f"with its {study.level_text} interval over {study.interval_over} (band). Grey in every panel: the baseline. "
        f"{filled}{_DOTTED if 'auroc' in task['primary'] else ''}",
        f"Label-efficiency curves of {name}, one panel for each method",
    )


def _has_differences(study: StudyResult, task: JsonObject, group: Comparisons) -> bool:
    return any(
        study.difference(task["task"], first, fraction, second)
        for first, second in group.pairs
        for fraction, _ in study.columns(task["task"])
    )


def _at_most_labels(study: StudyResult, task: JsonObject, place: int) -> Iterator[Block]:
    """Other metrics, metrics of classes and confusion matrices."""
    others: list[Table] = tables.other_metrics(study, task)
    matrices = confusion_picture(study, task, place)
    if others or matrices:
        fraction, labels = study.columns(task["task"])[-1]
        yield Heading(f"In detail, at {labels_text(fraction, labels, 'labels')}", 3)
        yield from others
    if matrices:
        yield matrices


def confusion_picture(study: StudyResult, task: JsonObject, place: int) -> Picture | None:
    """Confusion of classes at the largest number of labels, a panel for each method; None of other kinds."""
    matrices = {one["method"]: one for one in study.content["confusion"] if one["task"] == task["task"]}
    if not matrices:
        return None
    return Picture(
        _file_name(place, str(task["task"]), "confusion"),
        png(confusion_matrices(study, task, matrices)),
        f"{task['task']}: per cent of the recordings of each true class (row) that are taken for each class "
        f"(column), over all seeds and draws at {next(iter(matrices.values()))['labels']:,} labels.",
        f"Confusion matrices of {task['task']}, one for each method",
    )


def write_study_report(folder: Path) -> tuple[Path, Path]:
    """Write ``report.html`` and ``report.md`` (with ``figures/``) into the folder of a study, from its results.

    They are read from ``results.json`` or, where there is none, from ``results.json.gz``.

    Returns:
        The two files.

    Raises:
        InputError: ``results.json`` is missing or damaged, or a picture of masks cannot be read.
    """
    results = folder / RESULTS_FILE
    compressed = results.with_name(f"{RESULTS_FILE}.gz")
    study = StudyResult.read(compressed if compressed.is_file() and not results.is_file() else results)
    title = str(study.content["name"])
    blocks = numbered(_blocks(study, folder))
    for picture in pictures(blocks):
        with atomic_path(folder / FIGURES / f"{picture.name}.png") as temporary:
            temporary.write_bytes(picture.image)
    page, plain = folder / "report.html", folder / "report.md"
    write_text(page, as_html(title, blocks))
    write_text(plain, as_markdown(title, blocks))
    return page, plain


def _blocks(study: StudyResult, folder: Path) -> Iterator[Block]:
    """The report from its question to its appendices."""
    yield from _answer(study)
    yield Heading("Protocol and methods")
    yield Bullets(study_protocol(study))
    yield tables.methods(study)
    for place, task in enumerate(study.tasks, 1):
        yield from task_section(study, task, place)
    yield from difficulty_section(study)
    yield from appendix.training(study)
    yield from appendix.masks(study, folder)
    yield from appendix.data_account(study)
    yield from appendix.configuration(study, folder)
    yield from appendix.repetition(study)
    yield Heading("What is missing")
    absent = missing(study)
    yield (
        Bullets(absent) if absent else Paragraph("Nothing: every method, seed and task of the study file is evaluated.")
    )


def _decided(study: StudyResult) -> Iterator[Block]:
    """What the study file has decided beforehand: its confirmatory comparisons, and the method that its rule picks."""
    if study.confirmed:
        yield tables.confirmatory(study)
    rule = study.recommendation
    if rule and rule["recommended"]:
        preliminary = " so far, as the study is not finished" if study.content["missing"] else ""
        yield Paragraph(f"Recommended by the rule of the study file{preliminary}: {rule['recommended']}.")
        yield tables.recommended(study, rule)


def _answer(study: StudyResult) -> Iterator[Block]:
    if any(about and about.get("generated") for about in study.content["data"].values()):
        yield Paragraph(GENERATED_NOTICE, notice=True)
    if absent := len(study.content["missing"]):
        what = "evaluation is" if absent == 1 else "evaluations are"
        yield Paragraph(
            f"This study is not finished: {absent} {what} missing (listed at the end). All numbers are of what is "
            "there; a method may rest on fewer seeds than another.",
            notice=True,
        )
    yield Heading("Question and answer")
    yield Paragraph(str(study.content["question"]))
    yield from _decided(study)
    yield Bullets(answer(study))
    for group in groups(study):
        if group.made(study):
            yield Bullets([text for task in study.tasks if (text := answer_of_task(study, task, group))])
            yield tables.verdicts(study, group)
