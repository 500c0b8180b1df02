"""``ecg-advmask synth``: generated recordings in the layouts of real archives."""

import os
from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("destination", metavar="DEST", type=click.Path(path_type=Path))
@click.option(
    "--layout",
    type=click.Choice(["cinc2021", "chapman", "both", "hospital"]),
    default="both",
    show_default=True,
    help="cinc2021: WFDB headers and MATLAB files as in the PhysioNet/CinC Challenge 2021; "
    "chapman: CSV files and Diagnostics.xlsx as in Chapman-Shaoxing; both: these two; "
    "hospital: DICOM, HL7 aECG, GE MUSE, Philips Sierra and SCP-ECG files.",
)
@click.option("--records", type=click.IntRange(min=1), default=600, show_default=True, help="Recordings per layout.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="The same seed gives the same recordings, and more of them leave the first ones as they are.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=lambda: min(4, os.cpu_count() or 1),
    show_default="one per processor, at most 4",
    help="Processes; they do not change what is written.",
)
def synth(destination: Path, layout: str, records: int, seed: int, workers: int) -> None:
    """Write generated 12-lead ECGs, with known rhythm and P, QRS and T intervals, to the new folder DEST.

    DEST/cinc2021, DEST/chapman and DEST/hospital can be given to `ecg-advmask prepare`.
    """
    from ecg_advmask.synthetic.archive import LAYOUTS, write_archive

    layouts: Any = LAYOUTS if layout == "both" else [layout]
    if "chapman" in layouts:
        import openpyxl  # noqa: F401 (if it is missing, say so before the work and not after it)
    if "hospital" in layouts:
        import pydicom  # noqa: F401 (likewise)

    with click.progressbar(length=records * len(layouts), label="generating", show_pos=True) as bar:
        write_archive(destination, layouts, records, seed, workers=workers, progress=bar.update)
    click.echo(f"wrote {records} generated recordings each of {' and '.join(layouts)} to {destination} (seed {seed})")
