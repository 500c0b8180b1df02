"""The part of a report that shows evaluations: figure, tables, and how the figures were made, as HTML."""

from collections.abc import Mapping, Sequence
from typing import Any

from ecg_advmask.report import html, plots
from ecg_advmask.report.result_words import protocol_in_words, title
from ecg_advmask.report.results import confusion_tables, detail_table, difference_table, summary_table


def evaluation_section(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """HTML of all results: label efficiency in one figure, then each task by itself."""
    if not results:
        return [html.heading("Evaluation"), html.paragraph("No evaluation was given (option --eval).")]
    parts = [
        html.heading("Evaluation"),
        html.picture(
            plots.png(plots.label_efficiency(results)),
            "Macro AUROC, or the mean absolute error of a number, against the number of labels. Line: mean over draws "
            "of labels; band: worst to best draw; bars: bootstrap interval of the mean over the test set; dotted: "
            "chance.",
            "Label efficiency of the encoders",
        ),
    ]
    for result in results:
        parts += [html.heading(title(result), 3), *_of_one_task(result)]
    return parts


def _of_one_task(result: Mapping[str, Any]) -> list[str]:
    level, most = f"{result['protocol']['level']:.0%}", max(row["labels"] for row in result["summary"])
    parts = [html.table(*summary_table(result), f"Mean over draws, with {level} interval over the test set")]
    if result["differences"]:
        caption = f"Paired difference on the same test recordings, with {level} interval"
        parts.append(html.table(*difference_table(result), caption))
    further = [
        html.table(*table(result, True)) for table in (summary_table, difference_table) if table(result, True)[1]
    ]
    if further:
        parts.append(html.folded("Further metrics", "".join(further)))
    titles, rows = detail_table(result)
    if rows:
        caption = f"Each {titles[0]} with {most:,} labelled recordings, mean over draws with {level} interval"
        parts.append(html.folded(f"Each {titles[0]} by itself", html.table(titles, rows, caption)))
    matrices = [html.table(titles, rows, caption) for caption, titles, rows in confusion_tables(result)]
    if matrices:
        parts.append(html.folded("Confusion of classes", "".join(matrices)))
    counts = result["counts"]["parts"]
    sizes = [[name, *[counts[part][name] for part in counts]] for name in counts["test"]]
    parts += [html.bullets(protocol_in_words(result)), html.table(["", *counts], sizes, "Recordings per part")]
    unfinished = sum(not one.get("converged", True) for one in result["results"])
    if unfinished:
        told = f"{unfinished} of {len(result['results'])} heads reached the limit of "
        told += f"{result['protocol']['max_iterations']} iterations before the optimiser's tolerance."
        parts.append(html.paragraph(told))
    return parts
