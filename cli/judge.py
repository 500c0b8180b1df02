"""``ecg-advmask judge``: what anybody's embeddings are worth on a task; ``fit``: a classifier. Without TensorFlow."""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ecg_advmask.cli.evaluate import command_line, numbers, write_evaluation
from ecg_advmask.cli.prepare import parse_sex_codes
from ecg_advmask.cli.source_options import source_options
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.protocol import FRACTIONS, HEADS, PENALTIES, HeadKind, PenaltyChoice, Protocol
from ecg_advmask.files import in_file_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ecg_advmask.ecg.shift import Shift
    from ecg_advmask.ecg.sources import SourceOptions
    from ecg_advmask.evaluate.embedding_table import EmbeddingTable


_seen = click.option(
    "--seen",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Recordings that an encoder has met in pretraining, such as RUN/seen.csv: they and their patients are left "
    "out. Repeat it for several files.",
)
_sex_codes = click.option(
    "--sex-codes", metavar="CODES", help="What numbers in a column of the sex mean, such as 0=male,1=female."
)


@click.command()
@click.argument("embeddings", nargs=-1, required=True)
@click.argument("labels_path", metavar="LABELS", type=click.Path(path_type=Path))
@click.option("--task", required=True, help="Column of LABELS to predict, or rhythm, sex, age, diagnosis.")
@click.option(
    "--recordings",
    metavar="SOURCE",
    type=click.Path(path_type=Path),
    help="Recordings to embed, where one of EMBEDDINGS is an encoder.",
)
@click.option(
    "--labels",
    default=",".join(f"{fraction:g}" for fraction in FRACTIONS),
    show_default=True,
    help="Shares of the training labels to use; a whole number above 1 is a number of labelled recordings.",
)
@click.option("--draws", type=click.IntRange(1), default=5, show_default=True, help="Draws of each number of labels.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the first draw.")
@click.option("--head", type=click.Choice(HEADS), default="lbfgs", show_default=True, help="As of linear-eval.")
@click.option(
    "--penalty", type=click.Choice(PENALTIES), default="validation", show_default=True, help="As of linear-eval."
)
@click.option(
    "--split-seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the split by patient."
)
@click.option(
    "--split", type=click.Path(path_type=Path), help="Split to use, as an earlier evaluation stored it (.split.csv)."
)
@_seen
@_sex_codes
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="JSON file to write; FILE.html, FILE.png and FILE.split.csv go beside it.  [default: judge-TASK-LABELS.json]",
)
@source_options
def judge(
    embeddings: tuple[str, ...],
    labels_path: Path,
    *,
    task: str,
    recordings: Path | None,
    labels: str,
    draws: int,
    seed: int,
    head: HeadKind,
    penalty: PenaltyChoice,
    split_seed: int,
    split: Path | None,
    seen: tuple[Path, ...],
    sex_codes: str | None,
    out: Path | None,
    source_rate: float | None,
    source_unit: str,
    leads: str,
    follow_links: bool,
) -> None:
    """Judge EMBEDDINGS on a task, by the protocol of linear-eval; several are compared in pairs.

    Each of EMBEDDINGS is a table (.npz, .csv or .parquet: ids, and one or more rows of numbers per id) or, with
    --recordings, an encoder, or simple, as embed takes it. LABELS is a label table (CSV with the column id; patient,
    sex, age and codes by their usual names) or a data set of prepare. Recordings are matched by id. Recordings of one
    patient stay in one part: without a column of the patient, each recording counts as a patient of its own.

    Each is called by the name of its file; NAME=TABLE gives it another one. What an encoder gives is kept beside FILE
    as FILE.NAME.npz, with the list of what could not be used.
    """
    from ecg_advmask.ecg.leads import LeadNames
    from ecg_advmask.ecg.sources import SourceOptions
    from ecg_advmask.evaluate.judge import Judged
    from ecg_advmask.evaluate.metrics import PRIMARY
    from ecg_advmask.files import check_writable
    from ecg_advmask.report.judge_report import write_judge_report

    target = out or Path(f"judge-{in_file_name(task)}-{labels_path.resolve().stem}.json")
    if target.suffix != ".json":
        raise InputError(f"--out {target}: the result is written to a file that ends in .json")
    check_writable(target)
    protocol = Protocol(numbers(labels), draws=draws, seed=seed, head=head, penalty=penalty, split_seed=split_seed)
    options = SourceOptions(
        sampling_rate_hz=source_rate, unit=source_unit, leads=LeadNames.parse(leads), follow_links=follow_links
    )
    given_tables = [_table_of(one, recordings, options, target) for one in embeddings]
    tables = [table for table, _ in given_tables]
    codes = None if sex_codes is None else parse_sex_codes(sex_codes)
    judged = Judged.open(tables, labels_path, task, protocol, sex_codes=codes, seen_paths=seen, split_path=split)
    for table in tables:
        ignored = f"; not used: {', '.join(table.ignored)}" if table.ignored else ""
        click.echo(
            f"{table.name}: {table.rows} rows of {len(table.ids)} recordings, {table.embeddings.shape[1]} numbers each"
            f"{ignored}"
        )
    for line in judged.remarks:
        click.echo(line)
    result = judged.result(protocol)
    result["shift"] = {table.name: asdict(shift) for table, shift in given_tables if shift is not None}
    given: dict[str, object] = {
        "--task": task,
        "--recordings": recordings,
        "--labels": labels,
        "--draws": draws,
        "--seed": seed,
    }
    given |= {
        "--head": head,
        "--penalty": penalty,
        "--split-seed": split_seed,
        "--split": split,
        "--sex-codes": sex_codes,
    }
    given |= {"--source-rate": source_rate, "--source-unit": source_unit, "--leads": leads or None}
    words = shlex.join(word for one in seen for word in ("--seen", str(one)))
    result["command"] = f"{command_line('judge', (*embeddings, labels_path), given)} {words}".strip()
    write_evaluation(result, judged.split, target)
    for name, figures in result["held_out"].items():
        click.echo(_cross_validated(name, figures, PRIMARY[result["targets"]["kind"]]))
    click.echo(f"wrote {write_judge_report(result, target.with_suffix('.html'))}")


@click.command()
@click.argument("encoder", metavar="ENCODER")
@click.argument("recordings", metavar="RECORDINGS", type=click.Path(path_type=Path))
@click.argument("labels_path", metavar="LABELS", type=click.Path(path_type=Path))
@click.option("--task", required=True, help="Column of LABELS to predict, or rhythm, sex, age, diagnosis.")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="ONNX file to write; the embeddings are kept beside it as FILE.NAME.npz.",
)
@click.option(
    "--split-seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the folds of patients."
)
@_seen
@_sex_codes
@source_options
def fit(
    encoder: str,
    recordings: Path,
    labels_path: Path,
    *,
    task: str,
    out: Path,
    split_seed: int,
    seen: tuple[Path, ...],
    sex_codes: str | None,
    source_rate: float | None,
    source_unit: str,
    leads: str,
    follow_links: bool,
) -> None:
    """Fit a classifier on RECORDINGS with LABELS: ENCODER and a linear head in one ONNX file.

    ENCODER is what embed takes; LABELS what judge takes. The head is fitted on all recordings that have a label. How
    good it is, is measured by cross-validation over patients, as judge does it: these figures, the calibration, and a
    threshold for each class or label (largest sensitivity + specificity) come from recordings that the head that
    predicted them had not seen; they stand in the metadata of the file. embed then gives predictions.
    """
    from ecg_advmask.ecg.leads import LeadNames
    from ecg_advmask.ecg.sources import SourceOptions
    from ecg_advmask.evaluate.judge import Judged
    from ecg_advmask.export.encoder import OnnxEncoder
    from ecg_advmask.export.fit import check_classifier_path, fit_classifier
    from ecg_advmask.files import check_writable

    check_classifier_path(out)
    check_writable(out)
    protocol = Protocol(split_seed=split_seed)
    opened = OnnxEncoder.from_pretrained(encoder)
    options = SourceOptions(
        sampling_rate_hz=source_rate, unit=source_unit, leads=LeadNames.parse(leads), follow_links=follow_links
    )
    table, _ = _table_of(f"encoder={encoder}", recordings, options, out)
    codes = None if sex_codes is None else parse_sex_codes(sex_codes)
    judged = Judged.open([table], labels_path, task, protocol, sex_codes=codes, seen_paths=seen)
    for line in judged.remarks:
        click.echo(line)
    fitted = fit_classifier(opened, judged, out, protocol)
    click.echo(_cross_validated(task, fitted.figures, fitted.primary))
    for name, limit in fitted.thresholds.items():
        click.echo(f"{name}: taken to be there from a probability of {limit:.3f}")
    left_out = judged.split.left_out
    if left_out:
        click.echo(f"left out, since too few recordings have them: {', '.join(left_out)}")
    names = ", ".join(fitted.head.names)
    click.echo(f"wrote {out}: {task} ({names or 'a number'}), fitted on {fitted.figures['recordings']} recordings")


def _cross_validated(name: str, figures: "Mapping[str, Any]", primary: str) -> str:
    """The primary metric and the calibration error of cross-validated predictions, in a line."""
    from ecg_advmask.report.results import METRIC_TITLES

    def text(estimate: "Mapping[str, float | None]") -> str:
        mean, low, high = (float("nan") if estimate[key] is None else estimate[key] for key in ("mean", "low", "high"))
        return f"{mean:.3f} ({low:.3f} to {high:.3f})"

    after, before = figures["after"], figures["before"]
    line = f"{name}, cross-validated on {figures['recordings']} recordings: {METRIC_TITLES[primary]} "
    line += text(after[primary])
    if "calibration_error" in after:
        line += f", calibration error {text(before['calibration_error'])}, after calibration "
        line += text(after["calibration_error"])
    return line


def _table_of(
    text: str, recordings: Path | None, options: "SourceOptions", target: Path
) -> tuple["EmbeddingTable", "Shift | None"]:
    """The table that an argument names, or that the encoder makes that it names; and how the recordings differ."""
    from ecg_advmask.evaluate.embedding_table import SUFFIXES, EmbeddingTable
    from ecg_advmask.export.embed import embed_files, refused_path

    name, equals, place = text.partition("=")
    if not equals or Path(text).exists():
        name, place = "", text
    if Path(place).suffix in SUFFIXES:
        return EmbeddingTable.read(place, name), None
    if recordings is None:
        raise InputError(
            f"{place}: is no table of embeddings ({', '.join(SUFFIXES)}); if it is an encoder, give --recordings"
        )
    name = name or Path(place).stem
    out = target.with_suffix(f".{in_file_name(name)}.npz")
    done = embed_files(
        place,
        [recordings],
        out,
        sampling_rate_hz=options.sampling_rate_hz,
        unit=options.unit,
        leads=options.leads,
        follow_links=options.follow_links,
        mean=True,
    )
    refused = done.summary.end - done.summary.recordings
    click.echo(f"wrote {out}" + (f"; refused: {refused} recordings, see {refused_path(out)}" if refused else ""))
    for line in done.shift.lines() if done.shift else ():
        click.echo(f"warning: {name}: {line}", err=True)
    return EmbeddingTable.read(out, name), done.shift
