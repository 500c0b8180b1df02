"""One self-contained HTML page about embeddings that ``ecg-advmask judge`` judged."""

from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.figure import Figure

from ecg_advmask.ecg.shift import Shift
from ecg_advmask.files import write_text
from ecg_advmask.report.appendix import folded
from ecg_advmask.report.document import Block, Bullets, Code, Heading, Paragraph, Picture, Table
from ecg_advmask.report.figures import FONT_PT, GREY, method_styles, panels, png, shown
from ecg_advmask.report.html import as_html
from ecg_advmask.report.results import GENERATED_NOTICE, NONE, JsonObject, as_studies
from ecg_advmask.report.run_report import evaluation_section
from ecg_advmask.report.tables import value_text
from ecg_advmask.report.text import headline, scale_of

_MOST_COLOURED: Final = 7


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
    yield from _shifts(result)
    yield Bullets([headline(study) for study in as_studies([result])])
    yield from evaluation_section([result])
    yield from _forecast(result)
    yield from held_out_section(result)
    yield from _maps(result)
    yield Heading("How to repeat it")
    if result.get("remarks"):
        yield Bullets(list(result["remarks"]))
    yield Code(str(result.get("command", "")))
    hashes = {f"embeddings, {about['name']}": about["sha256"] for about in result["encoders"].values()}
    hashes |= {"labels": result["dataset"]["sha256"], "test ids": result["sha256_of_ids"]["test"]}
    for title, values in (("Versions", result["versions"]), ("Hashes (SHA-256)", hashes)):
        yield folded(title, f"{title}.", [[name, value_text(value)] for name, value in values.items()])
    yield Paragraph(f"Written on {date.today().isoformat()}.")


def _shifts(result: JsonObject) -> Iterator[Block]:
    """A warning where the recordings differ from those that an encoder was pretrained on."""
    for name, found in result.get("shift", {}).items():
        for line in Shift(**found).lines():
            yield Paragraph(f"Warning, {name}: {line}.", notice=True)


def _forecast(result: JsonObject) -> Iterator[Block]:
    """What more labels would bring."""
    (study,) = as_studies([result])
    (task,) = study.tasks
    scale, found = scale_of(study, task, task["primary"]), result["forecast"]
    yield Heading("What more labels would bring", 3)
    rows = [[name, f"{at['labels']:,}", scale.estimate(at)] for name, one in found.items() for at in one["forecasts"]]
    if rows:
        caption = (
            f"Forecast of {scale.axis}: a power law of the number of labels through the curve above, fitted to "
            f"resamples of test patients and draws; median and {study.level_text} interval. It holds only as far as "
            "the curve goes on as it began."
        )
        yield Table(["embeddings", "labels", scale.axis], rows, caption)
    reasons = [f"{name}: no forecast, {one['reason']}." for name, one in found.items() if one["reason"]]
    if reasons:
        yield Bullets(reasons)


def _maps(result: JsonObject) -> Iterator[Block]:
    """The first two principal components of each table, coloured by the target."""
    if not result.get("maps"):
        return
    tables = result["maps"]["tables"]
    yield Heading("Maps of the embeddings", 3)
    caption = (
        f"{len(result['maps']['values']):,} recordings on the first two principal components of their standardised "
        f"embeddings, coloured by {result['task']}; in brackets the shares of the variance. What lies apart here is "
        "easily distinguished; what does not may differ in the other components."
    )
    yield Picture("maps", png(embedding_maps(result["maps"], result["task"])), caption, f"Maps: {', '.join(tables)}")


def embedding_maps(maps: JsonObject, task: str) -> Figure:
    """A panel for each table, of `ecg_advmask.evaluate.judge.Judged.maps`.

    Numbers have a colour bar; of classes and sets of labels the `_MOST_COLOURED` most frequent have colours of their
    own.
    """
    tables, values = maps["tables"], maps["values"]
    columns = min(len(tables), 3)
    figure, grid = panels(len(tables), columns, 2.6)
    for axes, (name, one) in zip(grid, tables.items(), strict=True):
        points = np.array(one["points"])
        first, second = one["shares"]
        axes.set_title(f"{shown(name)} ({first:.0%}, {second:.0%})", fontsize=FONT_PT)
        axes.tick_params(labelleft=False, labelbottom=False)
        if isinstance(values[0], str):
            counted: Counter[str] = Counter(values)
            common = [value for value, _ in counted.most_common(_MOST_COLOURED)]
            for value in ["(others)", *reversed(common)]:
                rows = [place for place, own in enumerate(values) if (own if own in common else "(others)") == value]
                colour = GREY if value == "(others)" else method_styles(["", *common], "")[value].colour
                axes.scatter(
                    points[rows, 0], points[rows, 1], s=7, alpha=0.7, color=colour, linewidth=0, label=value or "none"
                )
        else:
            coloured = axes.scatter(points[:, 0], points[:, 1], s=7, alpha=0.8, c=values, cmap="viridis", linewidth=0)
            if axes is grid[-1]:
                bar = figure.colorbar(coloured, ax=grid)
                bar.set_label(shown(task), fontsize=FONT_PT)
                bar.ax.tick_params(labelsize=FONT_PT)
    groups = [one for one in grid[0].collections if len(np.asarray(one.get_offsets())) and isinstance(values[0], str)]
    if groups:
        names = [shown(str(one.get_label())) for one in groups]
        figure.legend(groups, names, loc="outside lower center", ncols=4, fontsize=FONT_PT, frameon=False)
    return figure


def held_out_section(result: JsonObject) -> Iterator[Block]:
    """Cross-validation over patients: calibration, and the metric by sex and age."""
    (study,) = as_studies([result])
    (task,) = study.tasks
    scale, primary = scale_of(study, task, task["primary"]), task["primary"]
    figures = result["held_out"]
    yield Heading("Cross-validated: calibration, sex and age")
    first = next(iter(figures.values()))
    yield Paragraph(
        f"All {first['recordings']:,} recordings were predicted once by a head (logistic or ridge regression) that saw "
        f"neither them nor their patients ({first['folds']} folds of patients; of the others, one chooses the penalty "
        "and the temperature, on the rest the head is fitted). Calibrated: the outputs are divided by one number, the "
        f"temperature, before softmax or sigmoid. Intervals: {study.level_text} bootstrap over patients."
    )
    metrics = [primary, *(["calibration_error"] if task["kind"] != "number" else [])]
    scales = {metric: scale_of(study, task, metric) for metric in metrics}
    rows = []
    for name, found in figures.items():
        for when in ("before", "after", "change") if task["kind"] != "number" else ("before",):
            cells = [scales[one].estimate(found[when][one], signed=when == "change") for one in metrics]
            label = {"before": "as fitted", "after": "calibrated", "change": "change"}[when]
            rows.append([f"{name}, {label}" if task["kind"] != "number" else name, *cells])
    titles = [f"{one.axis} ({one.better})" for one in scales.values()]
    yield Table(["embeddings", *titles], rows, "Cross-validated metrics, with intervals.")
    groups = [(one["name"], one["recordings"]) for one in first["groups"]]
    rows = []
    for place, (name, count) in enumerate(groups):
        estimates = [found["groups"][place]["estimate"] for found in figures.values()]
        cells = [scale.estimate(one) if one and one["mean"] is not None else NONE for one in estimates]
        rows.append([name, f"{count:,}", *cells])
    caption = (
        f"{scale.axis} by sex and age, {'calibrated, ' if task['kind'] != 'number' else ''}with intervals. {NONE}: a "
        "class is missing in the group."
    )
    yield Table(["recordings of", "number", *figures], rows, caption)
