"""One self-contained HTML page about embeddings that ``ecg-advmask judge`` judged."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

from ecg_advmask.files import write_text
from ecg_advmask.report.appendix import folded
from ecg_advmask.report.document import Block, Bullets, Code, Heading, Paragraph
from ecg_advmask.report.html import as_html
from ecg_advmask.report.results import GENERATED_NOTICE, JsonObject, as_studies
from ecg_advmask.report.run_report import evaluation_section
from ecg_advmask.report.tables import value_text
from ecg_advmask.report.text import headline


def write_judge_report(result: JsonObject, out: str | Path) -> Path:
    """Write the page.

    Args:
        result: of `ecg_advmask.evaluate.judge.Judged.result`.
        out: the HTML file.
    """
    write_text(
        out, as_html(f"Embeddings judged on {result['task']} of {result['dataset']['name']}", [*_blocks(result)])
    )
    return Path(out)


def _blocks(result: JsonObject) -> Iterator[Block]:
    if result["dataset"]["generated"]:
        yield Paragraph(GENERATED_NOTICE, notice=True)
    names = ", ".join(about["name"] for about in result["encoders"].values())
    yield Paragraph(
        f"What this is: the worth of embeddings ({names}) to a linear head that is given few labels, on patients that "
        "no head was fitted on. All have the same recordings, draws of labels and test patients."
    )
    yield Bullets([headline(study) for study in as_studies([result])])
    yield from evaluation_section([result])
    yield Heading("How to repeat it")
    if result.get("remarks"):
        yield Bullets(list(result["remarks"]))
    yield Code(str(result.get("command", "")))
    hashes = {f"embeddings, {about['name']}": about["sha256"] for about in result["encoders"].values()}
    hashes |= {"labels": result["dataset"]["sha256"], "test ids": result["sha256_of_ids"]["test"]}
    for title, values in (("Versions", result["versions"]), ("Hashes (SHA-256)", hashes)):
        yield folded(title, f"{title}.", [[name, value_text(value)] for name, value in values.items()])
    yield Paragraph(f"Written on {date.today().isoformat()}.")
