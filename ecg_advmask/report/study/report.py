"""The report of a study: one self-contained HTML page, and the same as Markdown with its figures as files.

In: ``results.json`` in the folder of a study and, where they are, ``runs/METHOD/seed-S/masks/*.png``. Out:
``report.html``, without scripts and without any reference to another file or address, ``report.md`` and
``figures/*.png``.
"""

from collections.abc import Iterator
from pathlib import Path

from ecg_advmask.files import atomic_path, write_text
from ecg_advmask.report.results import GENERATED_NOTICE
from ecg_advmask.report.study import appendix, tables, words
from ecg_advmask.report.study.answer import answer, answer_of_task
from ecg_advmask.report.study.comparisons import groups
from ecg_advmask.report.study.document import (
    Block,
    Bullets,
    Heading,
    Paragraph,
    as_html,
    numbered,
    pictures,
)
from ecg_advmask.report.study.markdown import FIGURES, as_markdown
from ecg_advmask.report.study.result import StudyResult
from ecg_advmask.report.study.settings import methods
from ecg_advmask.report.study.task import task_section
from ecg_advmask.study.units import RESULTS_FILE


def write_study_report(folder: Path) -> tuple[Path, Path]:
    """Write ``report.html`` and ``report.md`` (with ``figures/``) into the folder of a study, from its results.

    Returns:
        The two files.

    Raises:
        InputError: ``results.json`` is missing or damaged, or a picture of masks cannot be read.
    """
    study = StudyResult.read(folder / RESULTS_FILE)
    title = str(study.content["name"])
    blocks = numbered(_blocks(study, folder))
    for picture in pictures(blocks):
        with atomic_path(folder / FIGURES / f"{picture.name}.png") as temporary:
            temporary.write_bytes(picture.image)
    page, text = folder / "report.html", folder / "report.md"
    write_text(page, as_html(title, blocks))
    write_text(text, as_markdown(title, blocks))
    return page, text


def _blocks(study: StudyResult, folder: Path) -> Iterator[Block]:
    """The report from its question to its appendices."""
    yield from _answer(study)
    yield Heading("Protocol and methods")
    yield Bullets(words.protocol(study))
    yield methods(study)
    for place, task in enumerate(study.tasks, 1):
        yield from task_section(study, task, place)
    yield from appendix.training(study)
    yield from appendix.masks(study, folder)
    yield from appendix.data_account(study)
    yield from appendix.configuration(study, folder)
    yield from appendix.repetition(study)
    yield Heading("What is missing")
    absent = words.missing(study)
    yield (
        Bullets(absent) if absent else Paragraph("Nothing: every method, seed and task of the study file is evaluated.")
    )


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
    yield Bullets(answer(study))
    for group in groups(study):
        if group.made(study):
            yield Bullets([told for task in study.tasks if (told := answer_of_task(study, task, group))])
            yield tables.verdicts(study, group)
