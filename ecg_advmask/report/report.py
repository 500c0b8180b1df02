"""One self-contained HTML page about a run and what its encoder is worth: for a colleague, a reviewer, an archive.

In: a run directory, results of ``ecg-advmask linear-eval``, folders of data sets. Out: one file without scripts and
without any reference to another file or address.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

from ecg_advmask.data.account import describe
from ecg_advmask.data.dataset import DataSet
from ecg_advmask.files import write_text
from ecg_advmask.report import figures, html
from ecg_advmask.report.results import (
    GENERATED_NOTICE,
    confusion_tables,
    detail_table,
    difference_table,
    read_result,
    summary_table,
)
from ecg_advmask.report.run_files import ACCOUNT_COLUMNS, RunFiles, account_rows, pretrain_command
from ecg_advmask.report.text import headline, protocol_in_words, title

# ---- The part of a report that shows evaluations: figure, tables, and how the figures were made, as HTML.


def evaluation_section(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """HTML of all results: label efficiency in one figure, then each task by itself."""
    if not results:
        return [html.heading("Evaluation"), html.paragraph("No evaluation was given (option --eval).")]
    parts = [
        html.heading("Evaluation"),
        html.picture(
            figures.png(figures.label_efficiency(results)),
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


METHODS: Final = {
    "advmask": "adversarial masking (Adv Mask; Bo et al. 2022, after ADIOS, Shi et al. 2022)",
    "simclr": "SimCLR without an adversary (Chen et al. 2020)",
}


def write_report(
    run_path: str | Path,
    result_paths: Sequence[str | Path],
    out: str | Path,
    data_paths: Sequence[str | Path] = (),
    extra: Mapping[str, str] | None = None,
) -> Path:
    """Write the report of a run.

    Args:
        run_path: the run directory.
        result_paths: JSON files of ``linear-eval``; those of other runs stand beside this run's.
        out: the HTML file to write.
        data_paths: data sets whose account of kept and refused recordings is to be shown; those of the results are
            shown anyway.
        extra: further sections of plain text, by heading.

    Returns:
        ``out`` as a path.

    Raises:
        InputError: the run, a result or a data set cannot be read.
    """
    run = RunFiles.read(run_path)
    results = [read_result(path) for path in result_paths]
    data = _data_sets(results, data_paths)
    body = [
        *_introduction(run, results, any(about["generated"] for about in data)),
        *evaluation_section(results),
        *_training(run),
        *_data_account(run, data),
        *[part for title, text in (extra or {}).items() for part in (html.heading(title), html.paragraph(text))],
        *_repetition(run, results),
    ]
    write_text(out, html.page(f"12-lead ECG encoder, pretrained by {METHODS[run.config.method].split(' (')[0]}", body))
    return Path(out)


def _introduction(run: RunFiles, results: Sequence[Mapping[str, Any]], generated: bool) -> list[str]:
    config = run.config
    parts = [html.paragraph(GENERATED_NOTICE, "banner")] if generated or run.generated else []
    parts += [
        html.paragraph(
            f"What this is: an encoder (one-dimensional ResNet-18, width {config.encoder_width}) that maps "
            f"{config.window_seconds:g} s of a 12-lead ECG at {config.sampling_rate_hz} Hz to {config.embedding_dim} "
            f"numbers. It was pretrained without labels on {run.recordings_seen:,} recordings by "
            f"{METHODS[config.method]}, for {len(run.history)} epochs. Below: what its frozen embeddings are worth "
            "to a linear head that is given few labels, beside an encoder of the same shape with random weights, and "
            "how the figures were made."
        )
    ]
    return [*parts, html.bullets(headline(result) for result in results)] if results else parts


def _training(run: RunFiles) -> list[str]:
    parts = [html.heading("Pretraining")]
    if run.history.empty:
        return [*parts, html.paragraph("No epoch is finished.")]
    last = run.history.iloc[-1]
    loss = run.history["loss"]
    told = [f"contrastive loss {loss.iloc[0]:.3f} in the first epoch, {loss.iloc[-1]:.3f} in the last"]
    if "mask_area" in run.history and run.history["mask_area"].notna().any():
        told.append(f"mean mask area {last['mask_area']:.2f} in the last epoch")
    if "mask_cover" in run.history:
        places = "samples" if run.config.mask_domain == "time" else "bins of the spectrum"
        told.append(f"the masks then occlude {last['mask_cover']:.0%} of the {places}")
    if "seconds" in run.history:
        told.append(f"{run.history['seconds'].sum() / 60:.1f} minutes in all")
    sentence = "; ".join(told)
    parts.append(html.paragraph(sentence[0].upper() + sentence[1:] + "."))
    curves = figures.training_curves(run.history, run.config.batch_size)
    caption = "Training curves. A contrastive loss at the dashed line means that all embeddings are equal."
    parts.append(html.picture(figures.png(curves), caption, "Training curves"))
    for path in _chosen_pictures(run.pictures):
        caption = f"{path.name}: what the adversary occludes (shaded) after that epoch, on a recording of the data set."
        parts.append(html.picture(path.read_bytes(), caption, f"12-lead ECG with masks, {path.stem}"))
    return parts


def _chosen_pictures(pictures: Sequence[Path]) -> list[Path]:
    """One picture of the first pictured epoch and two of the last; names begin with ``epoch-NNNN-``."""
    epochs = [path.name.split("-")[1:2] for path in pictures]
    last = [path for path, epoch in zip(pictures, epochs, strict=True) if epoch == epochs[-1]]
    return list(dict.fromkeys([*pictures[:1], *last[:2]]))


def _data_account(run: RunFiles, data: Sequence[Mapping[str, Any]]) -> list[str]:
    trained_on = run.description.get("dataset", {})
    parts = [
        html.heading("Data"),
        html.paragraph(f"Pretrained on {run.recordings_seen:,} recordings of {trained_on.get('path', 'a data set')}."),
    ]
    for about in data:
        use = " (pretraining)" if about["sha256"] == trained_on.get("sha256") else ""
        windows = f"{about['window_samples']:,} samples at {about['sampling_rate_hz']} Hz"
        parts.append(html.heading(f"{about['name']}{use}", 3))
        parts.append(html.paragraph(f"Windows of {windows}; layout {about.get('layout', 'not stated')}."))
        parts.append(html.table(ACCOUNT_COLUMNS, account_rows(about.get("sources", {})), f"SHA-256 {about['sha256']}"))
    if all(about["sha256"] != trained_on.get("sha256") for about in data):
        parts.append(html.paragraph("The account of the pretraining data set is shown if it is given by --data."))
    return parts


def _repetition(run: RunFiles, results: Sequence[Mapping[str, Any]]) -> list[str]:
    trained_on = run.description.get("dataset", {})
    lines = [pretrain_command(run), *[result["command"] for result in results if result.get("command")]]
    versions = dict(run.description.get("versions", {}))
    hashes = (
        {"data set of the pretraining": trained_on.get("sha256")}
        | {f"encoder, {about['name']}": about["sha256"] for result in results for about in result["encoders"].values()}
        | {f"test ids, {result['task']}": result["sha256_of_ids"]["test"] for result in results}
    )
    return [
        html.heading("How to repeat it"),
        html.commands(lines),
        html.folded("Settings of the pretraining", html.settings(run.config.as_dict())),
        html.folded("Versions (pretraining)", html.settings(versions)),
        html.folded("Versions (evaluation)", html.settings(results[0].get("versions", {}))) if results else "",
        html.folded("Hashes (SHA-256)", html.settings(hashes)),
        html.paragraph(f"Written on {date.today().isoformat()}."),
    ]


def _data_sets(results: Sequence[Mapping[str, Any]], paths: Sequence[str | Path]) -> list[Mapping[str, Any]]:
    """Descriptions of the data sets, each once, those given as folders first."""
    found = [describe(DataSet.open(path)) for path in paths]
    unique = {about["sha256"]: about for about in [*found, *[result["dataset"] for result in results]]}
    return list(unique.values())
