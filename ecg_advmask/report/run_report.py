"""One self-contained HTML page about a run and the evaluation of its encoder.

In: a run directory, results of ``ecg-advmask linear-eval`` and ``finetune``, folders of data sets. Out: one file
without scripts and without any reference to another file or address.
"""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Final

from ecg_advmask import presets
from ecg_advmask.config import load
from ecg_advmask.data.dataset import DataSet
from ecg_advmask.data.summary import describe
from ecg_advmask.files import write_text
from ecg_advmask.pretrain.run import Run
from ecg_advmask.report import tables
from ecg_advmask.report.appendix import data_set, folded, parts_table, picture_of_masks
from ecg_advmask.report.document import Block, Bullets, Code, Folded, Heading, Paragraph, Picture
from ecg_advmask.report.figures import png, run_curves
from ecg_advmask.report.html import as_html
from ecg_advmask.report.protocol import protocol_in_words
from ecg_advmask.report.results import GENERATED_NOTICE, JsonObject, StudyResult, as_studies, read_result
from ecg_advmask.report.study_report import confusion_picture, efficiency_picture
from ecg_advmask.report.tables import DETAIL_METRICS, difference_table, other_metrics, summary_table, value_text
from ecg_advmask.report.text import groups, headline

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
        result_paths: JSON files of ``linear-eval`` and ``finetune``; those of other runs are shown beside this run's.
        out: the HTML file to write.
        data_paths: data sets whose account of kept and refused recordings is to be shown; those of the results are
            shown anyway.
        extra: further sections of plain text, by heading.

    Returns:
        ``out`` as a path.

    Raises:
        InputError: the run, a result or a data set cannot be read.
    """
    run = Run.open(run_path)
    results = [read_result(path) for path in result_paths]
    data = _data_sets(results, data_paths)
    blocks = [
        *_introduction(run, results, any(about["generated"] for about in data)),
        *evaluation_section(results),
        *_training(run),
        *_data_account(run, data),
        *[block for title, text in (extra or {}).items() for block in (Heading(title), Paragraph(text))],
        *_repetition(run, results),
    ]
    title = f"12-lead ECG encoder, pretrained by {METHODS[run.config.method].split(' (')[0]}"
    write_text(out, as_html(title, blocks))
    return Path(out)


def _introduction(run: Run, results: Sequence[JsonObject], generated: bool) -> Iterator[Block]:
    config = run.config
    if generated or run.saw_generated():
        yield Paragraph(GENERATED_NOTICE, notice=True)
    yield Paragraph(
        f"What this is: an encoder (one-dimensional ResNet-18, width {config.encoder_width}) that maps "
        f"{config.window_seconds:g} s of a 12-lead ECG at {config.sampling_rate_hz} Hz to {config.embedding_dim} "
        f"numbers. It was pretrained without labels on {len(run.seen()):,} recordings by "
        f"{METHODS[config.method]}, for {len(run.history())} epochs. Below: what its frozen embeddings are worth "
        "to a linear head that is given few labels, beside an encoder of the same shape with random weights, and "
        "how the figures were made."
    )
    if results:
        yield Bullets([headline(study) for study in as_studies(results)])


def evaluation_section(results: Sequence[JsonObject]) -> Iterator[Block]:
    """All results, those of one task on one test set side by side: label efficiency, tables, how they were made."""
    yield Heading("Evaluation")
    if not results:
        yield Paragraph("No evaluation was given (option --eval).")
    for place, study in enumerate(as_studies(results), 1):
        yield from _of_one_task(study, place)


def _of_one_task(study: StudyResult, place: int) -> Iterator[Block]:
    (task,), results = study.tasks, study.content["results"]
    yield Heading(str(study.content["name"]), 3)
    yield efficiency_picture(study, task, place)
    yield summary_table(study, task)
    if study.content["differences"]:
        yield difference_table(study, task)
        yield from (tables.verdicts_by_labels(study, task, group) for group in groups(study) if group.pairs)
    further = [table for table in (summary_table(study, task, True), difference_table(study, task, True)) if table.rows]
    if further:
        yield Folded("Further metrics", further)
    single = [table for table in other_metrics(study, task, tuple(DETAIL_METRICS)) if ":" not in table.columns[-1]]
    if single and task["kind"] != "number":
        yield Folded("At the largest number of labels, each class or label by itself", single)
    if matrices := confusion_picture(study, task, place):
        yield matrices
    yield Bullets(list(dict.fromkeys(words for result in results for words in protocol_in_words(result))))
    yield parts_table(task)
    unfinished = sum(not one.get("converged", True) for result in results for one in result["results"])
    if unfinished:
        yield Paragraph(
            f"{unfinished} of {sum(len(result['results']) for result in results)} heads reached the limit of "
            f"{study.content['protocol']['max_iterations']} iterations before the optimiser's tolerance."
        )


def _training(run: Run) -> Iterator[Block]:
    yield Heading("Pretraining")
    history = run.history()
    if history.empty:
        yield Paragraph("No epoch is finished.")
        return
    last, loss = history.iloc[-1], history["loss"]
    facts = [f"contrastive loss {loss.iloc[0]:.3f} in the first epoch, {loss.iloc[-1]:.3f} in the last"]
    if "mask_area" in history and history["mask_area"].notna().any():
        facts.append(f"mean mask area {last['mask_area']:.2f} in the last epoch")
    if "mask_cover" in history:
        places = "samples" if run.config.mask_domain == "time" else "bins of the spectrum"
        facts.append(f"the masks then occlude {last['mask_cover']:.0%} of the {places}")
    if "seconds" in history:
        facts.append(f"{history['seconds'].sum() / 60:.1f} minutes in all")
    sentence = "; ".join(facts)
    yield Paragraph(sentence[0].upper() + sentence[1:] + ".")
    caption = "Training curves. A contrastive loss at the dashed line means that all embeddings are equal."
    yield Picture("training", png(run_curves(history, run.config.batch_size)), caption, "Training curves")
    for path in _chosen_pictures(run.pictures()):
        caption = f"{path.name}: what the adversary occludes (shaded) after that epoch, on a recording of the data set."
        yield picture_of_masks(path, path.stem, caption, f"12-lead ECG with masks, {path.stem}")


def _chosen_pictures(pictures: Sequence[Path]) -> list[Path]:
    """One picture of the first pictured epoch and two of the last; names begin with ``epoch-NNNN-``."""
    epochs = [path.name.split("-")[1:2] for path in pictures]
    last = [path for path, epoch in zip(pictures, epochs, strict=True) if epoch == epochs[-1]]
    return list(dict.fromkeys([*pictures[:1], *last[:2]]))


def _data_account(run: Run, data: Sequence[JsonObject]) -> Iterator[Block]:
    yield Heading("Data")
    yield Paragraph(f"Pretrained on {len(run.seen()):,} recordings of {run.dataset.get('path', 'a data set')}.")
    for about in data:
        yield from data_set(about, "pretraining" if about["sha256"] == run.dataset.get("sha256") else "")
    if all(about["sha256"] != run.dataset.get("sha256") for about in data):
        yield Paragraph("The account of the pretraining data set is shown if it is given by --data.")


def _repetition(run: Run, results: Sequence[JsonObject]) -> Iterator[Block]:
    yield Heading("How to repeat it")
    yield Code("\n".join([pretrain_command(run), *[one["command"] for one in results if one.get("command")]]))
    hashes = (
        {"data set of the pretraining": run.dataset.get("sha256")}
        | {f"encoder, {about['name']}": about["sha256"] for result in results for about in result["encoders"].values()}
        | {f"test ids, {result['task']}": result["sha256_of_ids"]["test"] for result in results}
    )
    for title, values in {
        "Settings of the pretraining": run.config.as_dict(),
        "Versions (pretraining)": run.versions,
        "Versions (evaluation)": results[0].get("versions", {}) if results else {},
        "Hashes (SHA-256)": hashes,
    }.items():
        if values:
            yield folded(title, f"{title}.", [[name, value_text(value)] for name, value in values.items()])
    yield Paragraph(f"Written on {date.today().isoformat()}.")


def _data_sets(results: Sequence[JsonObject], paths: Sequence[str | Path]) -> list[JsonObject]:
    """Descriptions of the data sets, each once, those given as folders first."""
    found = [describe(DataSet.open(path)) for path in paths]
    return list({about["sha256"]: about for about in [*found, *[result["dataset"] for result in results]]}.values())


def pretrain_command(run: Run, data: str | None = None, folder: str | None = None) -> str:
    """The command that repeats the run: its preset, and every setting that differs from it.

    ``data`` and ``folder`` stand for the paths of data set and run, where these are not to be named.
    """
    preset = run.config.preset_name if run.config.preset_name in presets.names() else "paper"
    standard = load(preset).as_dict()
    changed = {key: value for key, value in run.config.as_dict().items() if key != "preset" and value != standard[key]}
    words = ["ecg-advmask", "pretrain", data or str(run.dataset.get("path", "DATA")), folder or str(run.path)]
    words += ["--preset", preset]
    for key, value in changed.items():
        words += ["--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}"]
    return shlex.join(words)
