"""``ecg-advmask masks``: what the adversary of a run occludes, in pictures and numbers."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from ecg_advmask.errors import InputError

RESULT_FILE, TABLE_FILE, FIGURE_FILE = "masks.json", "enrichment.csv", "enrichment.png"


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder to create; it must be empty or missing."
)
@click.option(
    "--waves",
    type=click.Choice(["marks", "delineate", "auto"]),
    default="auto",
    show_default=True,
    help="Where P, QRS and T come from: hand marks as LUDB has them, in --source; NeuroKit2's delineator; or the marks "
    "where --source holds any, else the delineator.",
)
@click.option(
    "--source", type=click.Path(path_type=Path), help="The archive that DATA was prepared from, which holds the marks."
)
@click.option(
    "--recordings", type=click.IntRange(1), default=300, show_default=True, help="How many to measure at most."
)
@click.option("--pictures", type=click.IntRange(0), default=6, show_default=True, help="How many of them to draw.")
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Seed of the recordings drawn, the random masks and the bootstrap.",
)
def masks(
    run: Path, data: Path, *, out: Path, waves: Any, source: Path | None, recordings: int, pictures: int, seed: int
) -> None:
    """Measure in which waves the masks of RUN lie, on recordings of DATA, and draw some of them.

    Enrichment in P, QRS, T and rest is the share of a mask's mass in it over its share of the time: 1 for a
    mask that does not depend on it. It is given for all leads together and for each, for all recordings
    and for each rhythm class, with bootstrap intervals over patients, and likewise for random masks of the same area.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: already exists, name another folder")

    from ecg_advmask.cli.environment import import_tensorflow

    import_tensorflow()
    from ecg_advmask.evaluate.masks.coverage import MaskProtocol, measure_masks
    from ecg_advmask.files import atomic_path, in_file_name, write_csv, write_json
    from ecg_advmask.report.enrichment_picture import enrichment_picture
    from ecg_advmask.report.figures import png
    from ecg_advmask.report.mask_pictures import mask_picture

    protocol = MaskProtocol(waves, str(source) if source else None, recordings, pictures, seed)
    result, pictured = measure_masks(run, data, protocol)
    words = ["ecg-advmask", "masks", str(run), str(data), "--out", str(out), "--waves", waves]
    words += ["--source", str(source)] if source else []
    words += ["--recordings", str(recordings), "--pictures", str(pictures), "--seed", str(seed)]
    result["command"] = shlex.join(words)
    rate_hz, threshold = result["dataset"]["sampling_rate_hz"], result["protocol"]["mask_threshold"]
    for number, one in enumerate(pictured):
        name = in_file_name(one.record_id)
        title = f"{name}, from {one.start_s:g} s"
        with atomic_path(out / f"recording-{number + 1:02d}-{name}.png") as temporary:
            temporary.write_bytes(png(mask_picture(one.signals_mv, one.masks, rate_hz, title, threshold), 100))
    rows = result["enrichment"]
    counts = result["counts"]
    with atomic_path(out / FIGURE_FILE) as temporary:
        about = f"{run.resolve().name} on {data.resolve().name}, {counts['recordings_measured']} recordings"
        temporary.write_bytes(png(enrichment_picture(rows, about), 130))
    write_csv(out / TABLE_FILE, list(rows[0]), rows)
    write_json(out / RESULT_FILE, result)

    click.echo(_table(rows))
    origin = "hand marks" if result["protocol"]["waves"] == "marks" else "delineator"
    click.echo(
        f"\n{counts['recordings_measured']} recordings of {counts['patients']} patients, waves by {origin}; "
        f"{counts['recordings_excluded']} left out without waves (excluded in {RESULT_FILE}); "
        f"{counts['seen_in_pretraining']} seen in pretraining"
    )
    click.echo(f"wrote {out} ({RESULT_FILE}, {TABLE_FILE}, {FIGURE_FILE}, {len(pictured)} pictures)")


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Enrichment over all leads and recordings, a line per mask and control."""
    overall = [row for row in rows if row["group"] == "all" and row["lead"] == "all"]
    parts = list(dict.fromkeys(row["part"] for row in overall))
    lines: dict[str, list[str]] = {}
    for row in overall:
        area = "-" if row["area"] is None else f"{row['area']:.2f}"
        lines.setdefault(f"{row['kind']}: {row['mask']}", [f"{area:>6}"]).append(_cell(row))
    width = max(map(len, lines))
    head = f"{'enrichment':<{width}}{'area':>6}" + "".join(f"{part:>20}" for part in parts)
    return "\n".join([head, *(f"{name:<{width}}" + "".join(cells) for name, cells in lines.items())])


def _cell(row: Mapping[str, Any]) -> str:
    if row["enrichment"] is None:
        return f"{'-':>20}"
    interval = "" if row["low"] is None else f" [{row['low']:.2f}, {row['high']:.2f}]"
    return f"{row['enrichment']:.2f}{interval}".rjust(20)
