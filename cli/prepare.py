"""``ecg-advmask prepare``: from an archive of recordings to a data set."""

from typing import TYPE_CHECKING

import click

from ecg_advmask.cli.quiet import import_tensorflow

if TYPE_CHECKING:
    from ecg_advmask.pipeline.prepare import SourceCounts


@click.command("prepare")
@click.argument("source", type=click.Path())
@click.argument("dest", type=click.Path())
@click.option(
    "--format",
    "layout",
    type=click.Choice(["cinc2021", "chapman"]),
    required=True,
    help="Layout of SOURCE. cinc2021: a folder of WFDB records per source; chapman: ECGDataDenoised, Diagnostics.xlsx.",
)
@click.option("--sampling-rate", default=500, show_default=True, help="Rate of the windows, in Hz.")
@click.option("--seconds", default=10.0, show_default=True, help="Length of a window, in seconds.")
@click.option("--workers", type=int, help="Processes that read.  [default: one for each processor]")
@click.option(
    "--patients",
    type=click.Path(),
    help="CSV with the columns record and patient (cinc2021). [default: one recording each]",
)
@click.option(
    "--include-chapman",
    is_flag=True,
    help="Take the Chapman-Shaoxing part of CinC 2021 in. It is left out by default, since encoders are judged on it.",
)
def prepare(
    source: str,
    dest: str,
    *,
    layout: str,
    sampling_rate: int,
    seconds: float,
    workers: int | None,
    patients: str | None,
    include_chapman: bool,
) -> None:
    """Make the data set DEST of the recordings in SOURCE.

    Each recording is read, resampled, cut into windows and checked: twelve leads, finite, not flat, within +-32.767 mV,
    and as long as a window. DEST/records.csv lists the windows kept, DEST/refused.csv what was refused and why.
    """
    import_tensorflow()
    from tqdm import tqdm

    from ecg_advmask.pipeline.prepare import prepare as make
    from ecg_advmask.pipeline.prepare import total

    bars: list[tqdm] = []

    def bar(recordings: int) -> tqdm:
        bars.append(tqdm(total=recordings, unit=" recordings", desc="prepare"))
        return bars[0]

    try:
        counts = make(
            source,
            dest,
            layout,
            sampling_rate_hz=sampling_rate,
            seconds=seconds,
            workers=workers,
            patients=patients,
            include_chapman=include_chapman,
            progress=bar,
        )
    finally:
        for shown in bars:
            shown.close()
    whole = total(counts)
    _print_table({**dict(sorted(counts.items())), "all": whole})
    click.echo(
        f"Wrote {dest}: {whole.windows_kept} windows of {whole.recordings_kept} recordings, "
        f"{whole.recordings_refused} recordings refused ({dest}/refused.csv tells why)"
    )


def _print_table(counts: "dict[str, SourceCounts]") -> None:
    width = max(len("source"), *(len(source) for source in counts))
    click.echo(f"{'source':{width}}  {'in':>6}  {'kept':>6}  {'windows':>7}  {'refused':>7}  reasons")
    for source, one in counts.items():
        reasons = ", ".join(f"{reason} {number}" for reason, number in one.reasons.most_common())
        click.echo(
            f"{source:{width}}  {one.recordings_in:6}  {one.recordings_kept:6}  {one.windows_kept:7}  "
            f"{one.recordings_refused:7}  {reasons}".rstrip()
        )
    whole = counts["all"]
    if whole.windows_refused:
        click.echo(f"{whole.windows_refused} more windows were refused of recordings of which others were kept.")
    if whole.trailing_seconds >= 0.005:
        click.echo(f"{whole.trailing_seconds:.2f} s at the ends of recordings did not fill a window.")
    if whole.duplicates:
        click.echo(f"{whole.duplicates} recordings have the same signal as an earlier one; they were kept.")
