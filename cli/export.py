"""``ecg-advmask export``: the encoder of a run as one ONNX file that takes millivolts."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ecg_advmask.errors import InputError

if TYPE_CHECKING:
    from ecg_advmask.export.parity import Agreement
    from ecg_advmask.export.precision import Precision


@click.command("export")
@click.argument("run_path", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--precision",
    type=click.Choice(["float32", "float16", "float16-weights", "int8"]),
    default="float32",
    show_default=True,
    help="float16: half the size, for GPUs (slower on a processor). float16-weights: half the size, computes in "
    "float32. int8: a third of the size, in batches about 2.5 "
    "times the rate on a processor; calibrated on --recordings, which it needs.",
)
@click.option(
    "--recordings",
    metavar="SOURCE",
    type=click.Path(path_type=Path),
    help="Recordings (a file, a folder, or a data set of prepare) on which Keras and onnxruntime are compared, and "
    "others of them to calibrate int8 on.  [default: generated signals]",
)
@click.option(
    "--evaluation",
    metavar="FILE.json",
    type=click.Path(path_type=Path),
    help="Result of linear-eval on RUN, to report how its AUROC changes with the exported file.",
)
@click.option(
    "--classifier",
    is_flag=True,
    help="Put the linear head of --evaluation into the file, too: it then gives predictions besides embeddings.",
)
@click.option(
    "--saved-model",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Write a TensorFlow SavedModel as well, in float32.",
)
@click.option(
    "--card",
    is_flag=True,
    help="Write a folder instead: the encoder, its model card (README.md, as model hubs read it), config.json, and the "
    "head of --evaluation. It names no path of this machine.",
)
@click.option(
    "--license", "licence", metavar="NAME", help="With --card: licence of the weights, such as cc-by-4.0, for the card."
)
def export(
    *,
    run_path: Path,
    out: Path,
    precision: "Precision",
    recordings: Path | None,
    evaluation: Path | None,
    classifier: bool,
    saved_model: Path | None,
    card: bool,
    licence: str | None,
) -> None:
    """Export the encoder of RUN to one ONNX file OUT, in one precision; run again for another.

    The file takes (batch, window, 12) float32 in millivolts at the rate of the run, holds the scaling to [0, 1], and
    says in its metadata how its input must look. It is written only after the checker of onnx has passed it and its
    embeddings agree with those of Keras: in float32 within 1e-4 (of the largest, where embeddings exceed 1), in float16
    with a cosine of at least 0.999 for every window, in int8 of 0.98, and with an error of at most half of what tells
    windows apart. How well they agree is written to OUT.parity.json beside it, with --card to the card.
    """
    from ecg_advmask.export.from_run import check_options, export_run

    if licence is not None and not card:
        raise InputError("--license: goes into the card, give --card as well")
    if card and saved_model is not None:
        raise InputError("--saved-model: does not go with --card, export it by itself")
    if card:
        from ecg_advmask.report.model_folder import check_folder

        check_folder(out)
    file = out / "encoder.onnx" if card else out
    check_options(run_path, file, precision, recordings, evaluation, classifier, saved_model)
    from ecg_advmask.cli.environment import import_tensorflow

    import_tensorflow()
    from ecg_advmask.export.parity import ParityError

    options: dict[str, Any] = {"precision": precision, "recordings": recordings, "evaluation": evaluation}
    options["classifier"] = classifier
    try:
        if card:
            from ecg_advmask.report.model_folder import write_model_folder

            done = write_model_folder(run_path, out, **options, licence=licence)
        else:
            done = export_run(run_path, out, **options, saved_model=saved_model)
    except ParityError as error:
        raise click.ClickException(str(error)) from error
    for batch_size, agreement in done.parity.items():
        click.echo(f"parity with Keras at batch {batch_size:2d}: {_told(agreement, precision)}")
    report = done.report
    click.echo(f"compared on: {report['compared_on']['source']} ({report['compared_on']['windows']} windows)")
    if precision == "int8":
        click.echo(f"calibrated on: {report['calibration_windows']} other windows of {recordings}")
    if report["linear_evaluation"] is not None:
        click.echo(_told_change(report["linear_evaluation"]))
    if saved_model is not None:
        largest = report["saved_model"]["embedding"]["largest_error"]
        click.echo(f"wrote {saved_model}: SavedModel, largest error {largest:.2g}")
    beside = f"card {out / 'README.md'}" if card else f"report {out.with_suffix('.parity.json')}"
    click.echo(f"wrote {out}: {_told_file(done.metadata, done.size_bytes)}; {beside}")


def _told(agreement: "Agreement", precision: str) -> str:
    from ecg_advmask.export.parity import EXPECTED_ERROR

    large = precision == "float32" and not agreement.largest_error < EXPECTED_ERROR
    note = f" (more than the usual {EXPECTED_ERROR:g})" if large else ""
    return (
        f"largest error {agreement.largest_error:.2g}{note}, mean {agreement.mean_error:.2g}, of embeddings up to "
        f"{agreement.largest_value:.2g}; cosine at least {agreement.smallest_cosine:.6f}, mean "
        f"{agreement.mean_cosine:.6f}; error over spread {agreement.error_over_spread:.2g}"
    )


def _told_change(change: Mapping[str, Any]) -> str:
    low, high = (float("nan") if change[name] is None else change[name] for name in ("low", "high"))
    from ecg_advmask.report.results import METRIC_TITLES

    return (
        f"{METRIC_TITLES[change['metric']]} of {change['task']} on {change['test_recordings']} test recordings: "
        f"{change['keras']:.4f} with Keras, {change['exported']:.4f} with this file, change {change['change']:+.4f} "
        f"(95 % interval {low:+.4f} to {high:+.4f})"
    )


def _told_file(metadata: Mapping[str, str], size_bytes: int) -> str:
    from ecg_advmask.export.graphs import OPSET

    head = f", head for {metadata['task']}" if "task" in metadata else ""
    return (
        f"opset {OPSET}, {metadata['precision']}, {size_bytes / 1e6:.1f} MB, "
        f"{metadata['sampling_rate_hz']} Hz, windows of {metadata['window_samples']} samples, "
        f"embeddings of length {metadata['embedding_dim']}{head}"
    )
