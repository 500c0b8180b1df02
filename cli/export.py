"""``ecg-advmask export``: the encoder of a run as one ONNX file that takes millivolts."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ecg_advmask.errors import InputError

if TYPE_CHECKING:
    from ecg_advmask.config import Config


@click.command("export")
@click.argument("run_path", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("out", metavar="ENCODER.onnx", type=click.Path(path_type=Path))
@click.option(
    "--recordings",
    metavar="SOURCE",
    type=click.Path(path_type=Path),
    help="Folder or file with recordings on which Keras and onnxruntime are compared.  [default: generated signals]",
)
def export(*, run_path: Path, out: Path, recordings: Path | None) -> None:
    """Export the encoder of RUN to one ONNX file.

    The file takes (batch, window, 12) float32 in millivolts at the rate of the run, holds the scaling to [0, 1], and
    says in its metadata how its input must look. It is written only after the checker of onnx has passed it and its
    embeddings agree with those of Keras.
    """
    if out.suffix != ".onnx" or out.is_dir():
        raise InputError(f"{out}: an encoder is written to a file that ends in .onnx")
    if not (run_path / "config.json").is_file():  # Run.open says the same, after TensorFlow's long import
        raise InputError(f"{run_path}: is not a run directory, give one that ecg-advmask pretrain wrote")
    from ecg_advmask.cli.quiet import import_tensorflow

    import_tensorflow()
    from ecg_advmask.export.onnx import EXPECTED_ERROR, ParityError, export_encoder
    from ecg_advmask.pretrain.run import Run

    run = Run.open(run_path)
    signals_mv = None if recordings is None else _windows_of_recordings(recordings, run.config)
    try:
        done = export_encoder(run.encoder(), run.config, out, signals_mv=signals_mv)
    except ParityError as error:
        raise click.ClickException(str(error)) from error
    for batch_size, difference in done.parity.items():
        note = "" if difference.largest < EXPECTED_ERROR else f"  (more than the usual {EXPECTED_ERROR:g})"
        click.echo(
            f"parity with Keras at batch {batch_size:2d}: largest difference {difference.largest:.2g} "
            f"of embeddings up to {difference.embedding:.2g}{note}"
        )
    click.echo(f"compared on: {recordings or 'generated signals'}")
    click.echo(
        f"wrote {out}: opset {done.opset}, {done.size_bytes / 1e6:.1f} MB, {run.config.sampling_rate_hz} Hz, "
        f"windows of {run.config.window_samples} samples, embeddings of length {run.config.embedding_dim}"
    )


def _windows_of_recordings(source: Path, config: "Config") -> Any:
    """Windows (n, L, 12) in millivolts from recordings, as many as the largest batch needs.

    Raises:
        InputError: there is not one usable window.
    """
    import numpy as np

    from ecg_advmask.export.onnx import PARITY_BATCHES
    from ecg_advmask.records import Refused, Windowing, cut, read_recordings

    windowing = Windowing(config.sampling_rate_hz, config.window_samples)
    windows: list[Any] = []
    reason = ""
    for recording in read_recordings(source):
        if isinstance(recording, Refused):
            reason = recording.reason
            continue
        try:
            pieces = cut(recording.signals_mv, recording.sampling_rate_hz, windowing)
        except InputError as error:
            reason = str(error)
            continue
        windows += [window.signals_mv for window in pieces.windows]
        if len(windows) >= max(PARITY_BATCHES):
            break
    if not windows:
        raise InputError(
            f"{source}: holds no usable recording to compare on ({reason or 'no window passes the checks'})"
        )
    return np.stack(windows[: max(PARITY_BATCHES)])
