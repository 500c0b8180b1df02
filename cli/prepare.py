"""``ecg-advmask prepare`` and ``merge``: from an archive of recordings to a data set."""

from contextlib import closing
from typing import TYPE_CHECKING

import click

from ecg_advmask.cli.source_options import source_options
from ecg_advmask.errors import InputError
from ecg_advmask.files import read_json

if TYPE_CHECKING:
    from tqdm import tqdm

    from ecg_advmask.data.dataset import DataSet
    from ecg_advmask.ecg.recording import Sex


@click.command("prepare")
@click.argument("source", type=click.Path())
@click.argument("dest", type=click.Path())
@click.option(
    "--format",
    "layout",
    type=click.Choice(
        ["cinc2021", "chapman", "ptbxl", "mimic", "code15", "wfdb", "csv", "npz", "mat", "hdf5", "hospital"]
    ),
    help="Layout of SOURCE. cinc2021: PhysioNet/CinC 2020 or 2021, a folder per source; chapman: Chapman-Shaoxing, "
    "from figshare or PhysioNet; ptbxl: PTB-XL from PhysioNet, at 500 Hz or with --source-rate 100 at 100 Hz; mimic: "
    "MIMIC-IV-ECG; code15: CODE-15 % from Zenodo; wfdb, csv, npz, mat, hdf5, hospital (DICOM, aECG, MUSE, Philips, "
    "SCP-ECG): your own recordings, in any folders.  [default: by the names of the files]",
)
@click.option("--sampling-rate", default=500, show_default=True, help="Rate of the windows, in Hz.")
@click.option("--seconds", default=10.0, show_default=True, help="Length of a window, in seconds.")
@click.option(
    "--min-seconds",
    type=float,
    help="Shorter recordings are refused; those up to a window's length are padded.  [default: half a window]",
)
@click.option(
    "--max-windows", type=click.IntRange(1), help="Windows to keep of a recording, evenly spread.  [default: all]"
)
@click.option(
    "--refuse",
    metavar="CHECKS",
    help="Checks that refuse a window, with commas between them; the others only report it. 'ecg-advmask info DEST' "
    "explains all.  [default: all but einthoven]",
)
@click.option(
    "--labels",
    "--patients",
    type=click.Path(),
    help="CSV file with a column id (or record) and any of patient (or patient_id, subject_id), age, sex, codes and "
    "sampling_rate_hz; other columns are labels, which linear-eval takes as tasks.",
)
@click.option(
    "--sex-codes",
    metavar="CODES",
    help="What the column sex of that table means by numbers, such as 0=male,1=female; without this they are refused.",
)
@source_options
@click.option("--workers", type=int, help="Processes that read.  [default: one for each processor]")
@click.option(
    "--shard",
    metavar="I/N",
    help="Make only the I-th of N parts, as one job of a cluster; 'ecg-advmask merge DEST' completes the data set.",
)
@click.option(
    "--include-chapman",
    is_flag=True,
    help="Include the Chapman-Shaoxing part of CinC 2021. Left out by default, since encoders are evaluated on it.",
)
def prepare(
    source: str,
    dest: str,
    *,
    layout: str | None,
    sampling_rate: int,
    seconds: float,
    min_seconds: float | None,
    max_windows: int | None,
    refuse: str | None,
    labels: str | None,
    sex_codes: str | None,
    source_rate: float | None,
    source_unit: str,
    follow_links: bool,
    leads: str,
    workers: int | None,
    shard: str | None,
    include_chapman: bool,
) -> None:
    """Make the data set DEST of the recordings in SOURCE.

    Each recording is read, resampled, cut into windows and checked. DEST/records.csv lists the windows kept,
    DEST/refused.csv what was refused and why. Until it is complete the data set is made in DEST.partial; after an
    interruption the same command continues there.
    """
    from ecg_advmask.data.prepare import prepare as make
    from ecg_advmask.ecg.leads import LeadNames
    from ecg_advmask.ecg.quality import REFUSED
    from ecg_advmask.ecg.sources import SourceOptions

    with closing(_Bars()) as bars:
        try:
            data = make(
                source,
                dest,
                layout,
                sampling_rate_hz=sampling_rate,
                seconds=seconds,
                min_seconds=min_seconds,
                max_windows=max_windows,
                refuse=REFUSED if refuse is None else [name.strip() for name in refuse.split(",") if name.strip()],
                labels=labels,
                sex_codes=None if sex_codes is None else parse_sex_codes(sex_codes),
                options=SourceOptions(
                    include_chapman,
                    source_rate,
                    source_unit,
                    follow_links=follow_links,
                    leads=LeadNames.parse(leads),
                ),
                workers=workers,
                shard=None if shard is None else _part(shard),
                progress=bars,
                log=lambda text: click.echo(text, err=True),
            )
        except KeyboardInterrupt:
            raise InputError(f"{dest}: interrupted; the same command continues where it stopped") from None
    if data is None:
        click.echo(f"Wrote part {shard} to {dest}.partial; when all parts are there: ecg-advmask merge {dest}")
    else:
        _print_account(data)


@click.command("merge")
@click.argument("dest", type=click.Path())
@click.argument("parts", nargs=-1, type=click.Path())
def merge(dest: str, parts: tuple[str, ...]) -> None:
    """Complete the data set DEST of which several jobs made parts (prepare --shard I/N).

    Jobs that share a disk leave everything in DEST.partial. Give the folders PARTS (*.partial) of those that do not.
    """
    from ecg_advmask.data.prepare import merge as complete

    _print_account(complete(dest, parts))


def _part(text: str) -> tuple[int, int]:
    number, slash, of = text.partition("/")
    if not (slash and number.isdecimal() and of.isdecimal()):
        raise InputError(f"--shard {text}: expected I/N, such as 1/8 for the first of eight jobs")
    return int(number), int(of)


def parse_sex_codes(text: str) -> "dict[str, Sex]":
    """The value of ``--sex-codes``.

    Raises:
        InputError: it is not of that form.
    """
    from ecg_advmask.ecg.recording import parse_sex

    codes = [(code.strip(), parse_sex(sex)) for code, _, sex in (one.partition("=") for one in text.split(","))]
    if not all(code and sex for code, sex in codes) or len(dict(codes)) < len(codes):
        raise InputError(f"--sex-codes {text}: expected CODE=male,CODE=female, such as 0=male,1=female")
    return dict(codes)


class _Bars:
    """Makes the progress bar when the number of recordings is known, and closes it whatever happens."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None

    def __call__(self, recordings: int) -> "tqdm":
        from tqdm import tqdm

        self._bar = tqdm(total=recordings, unit=" recordings", desc="prepare")
        return self._bar

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def _print_account(data: "DataSet") -> None:
    from ecg_advmask.data.summary import summaries_of, total
    from ecg_advmask.report.data_summary import patients_line, recordings_table, remarks, table_lines

    summaries = summaries_of(data)
    whole = total(summaries.values())
    click.echo(recordings_table(summaries))
    for line in remarks(whole):
        click.echo(line)
    stated = read_json(data.path / "dataset.json")
    for line in [*table_lines(stated), patients_line(stated)]:
        click.echo(line)
    click.echo(
        f"Wrote {data.path}: {whole.windows_kept} windows of {whole.recordings_kept} recordings, "
        f"{whole.recordings_refused} recordings refused ({data.path / 'refused.csv'} gives the reasons)"
    )
