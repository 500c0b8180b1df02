"""``ecg-advmask embed``: recordings to embeddings with an exported encoder, without TensorFlow."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ecg_advmask.cli.environment import stoppable
from ecg_advmask.cli.source_options import given, old_spelling, source_options

if TYPE_CHECKING:
    from ecg_advmask.workers import ProgressBar


@click.command("embed")
@click.argument("encoder_path", metavar="ENCODER")
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="FILE.npz, FILE.csv or FILE.parquet (with the extra [parquet]).",
)
@source_options
@old_spelling("--sampling-rate", "--source-rate", type=float)
@old_spelling("--unit", "--source-unit")
@click.option(
    "--min-seconds",
    type=float,
    help="Shorter recordings are refused; those up to a window's length are padded.  [default: half a window]",
)
@click.option("--mean", is_flag=True, help="One embedding per recording: the mean over its windows.")
@click.option("--batch-size", type=click.IntRange(min=1), default=32, show_default=True, help="Windows at once.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads that embed.  [default: one for each processor]")
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    help="Processes that read.  [default: one for each processor, none for a few recordings]",
)
@click.pass_context
def embed(
    context: click.Context,
    *,
    encoder_path: str,
    sources: tuple[Path, ...],
    out: Path,
    source_rate: float | None,
    source_unit: str,
    leads: str,
    follow_links: bool,
    min_seconds: float | None,
    mean: bool,
    batch_size: int,
    threads: int | None,
    workers: int | None,
) -> None:
    """Embed recordings with an exported encoder or classifier.

    ENCODER is an ONNX file that export or fit wrote, the name of an encoder that comes with the package (see
    ecg-advmask encoders), a folder that export --card wrote, or such a repository on huggingface.co as OWNER/NAME (with
    the extra [hub]). The name simple gives rhythm, intervals and amplitudes by NeuroKit2 instead (with [judge]).

    Each SOURCE is a folder (searched with its subfolders), a WFDB header (.hea), or a text file (.csv, .tsv, .txt, also
    packed as .gz), .npz, .npy, .mat, .h5 or .hdf5 file, at any sampling rate. Recordings longer than the encoder's
    window give one embedding per window, those of at least half a window are padded. Limb leads that are missing are
    rebuilt from two others.

    An .npz file holds ids, windows (number within the recording), start_s and embeddings (N, D) float32; a .csv file
    has the columns id, window, start_s, e0, e1, ..., a .parquet file has lists in the column embedding instead. A
    classifier adds predictions (N, C) and names, or columns prediction:NAME. With --mean, windows is the number of
    windows averaged, and start_s is left out. What could not be used goes to FILE.refused.csv with the reason; the exit
    code is 2 if nothing could.

    Until it is complete, the table of many recordings is made in FILE.parts; after an interruption the same command
    continues there.
    """
    from ecg_advmask.ecg.leads import LeadNames
    from ecg_advmask.export.embed import embed_files, refused_path

    with ExitStack() as bars, stoppable(lambda: f"{out}: stopped; the same command continues where it stopped"):

        def progress(recordings: int) -> "ProgressBar":
            bar = click.progressbar(
                length=recordings, label="Embedding", show_pos=True, hidden=recordings < 2, file=sys.stderr
            )
            return bars.enter_context(bar)

        done = embed_files(
            encoder_path,
            sources,
            out,
            sampling_rate_hz=given(context, "--source-rate", source_rate),
            unit=given(context, "--source-unit", source_unit),
            min_seconds=min_seconds,
            follow_links=follow_links,
            leads=LeadNames.parse(leads),
            mean=mean,
            batch_size=batch_size,
            threads=threads,
            workers=workers,
            progress=progress,
        )
    summary = done.summary
    if done.done_before:
        click.echo(f"continued after {done.done_before} recordings of an earlier run")
    refused = summary.end - summary.recordings
    if refused or summary.refused_windows:
        click.echo(
            f"refused: recordings: {refused}, windows of others: {summary.refused_windows}; see {refused_path(out)}"
        )
    for line in done.ignored:
        click.echo(line)
    if summary.padded:
        click.echo(f"windows padded, of recordings shorter than a window: {summary.padded}")
    if summary.zeros_cut:
        click.echo(f"zeros at the ends cut off: {summary.zeros_cut} recordings")
    if summary.unit_assumed:
        click.echo(f"unit not stated, taken in that of --source-unit: {summary.unit_assumed} recordings")
    if summary.rebuilt:
        click.echo(f"limb leads rebuilt from others: {summary.rebuilt} recordings")
    if summary.trailing:
        left_over = f"{summary.trailing_s:.1f} s of {summary.trailing} recordings"
        click.echo(f"left over at the ends, shorter than a window: {left_over}")
    for line in done.shift.lines() if done.shift else ():
        click.echo(f"warning: {line}", err=True)
    click.echo(
        f"wrote {out}: {summary.rows} embeddings of length {done.embedding_dim}, "
        f"one per {'recording' if mean else 'window'}; recordings: {summary.recordings}"
    )
