"""``ecg-advmask study``: methods, seeds, tasks and numbers of labels, from one file."""

from pathlib import Path
from typing import Any

import click

from ecg_advmask.errors import InputError

_DATA = ("pretraining", "evaluation")


@click.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--data",
    multiple=True,
    metavar="KEY=PATH",
    help="Data set to use instead of the one in STUDY; KEY is pretraining or evaluation. Several of pretraining are "
    "used together.",
)
@click.option("--only", multiple=True, metavar="METHOD", help="Run only this method; may be repeated.")
@click.option("--seed", "seeds", multiple=True, type=click.IntRange(0), help="Run only this seed; may be repeated.")
@click.option(
    "--workers", type=click.IntRange(1), default=1, show_default=True, help="Methods and seeds worked on at a time."
)
@click.option(
    "--results-only", is_flag=True, help="Write results and report of what is finished, and do nothing that is missing."
)
def study(
    study: Path,
    directory: Path,
    *,
    data: tuple[str, ...],
    only: tuple[str, ...],
    seeds: tuple[int, ...],
    workers: int,
    results_only: bool,
) -> None:
    """Do what is missing of the study that the TOML file STUDY describes, in the folder DIR.

    Every method is pretrained with every seed and judged on every task with every number of labels, always on the same
    recordings, which no pretraining of the study has seen, all methods with the first seed before any with the second.
    The same command continues after an interruption, and
    recomputes what a change of the file affects. Several machines that share DIR share the work; with --only and
    --seed each does a part. DIR/results.json, results.csv, report.html and report.md show what is finished.
    """
    paths = _paths(data)

    from ecg_advmask.cli.environment import import_tensorflow

    import_tensorflow()
    from ecg_advmask.report.mask_pictures import draw_masks
    from ecg_advmask.report.study_report import write_study_report
    from ecg_advmask.study.design import read_study
    from ecg_advmask.study.runner import run_study

    try:
        missing = run_study(
            read_study(study).with_data(**paths),
            directory,
            only=only,
            seeds=seeds,
            workers=workers,
            results_only=results_only,
            draw_masks=draw_masks,
        )
    except KeyboardInterrupt:
        raise InputError(
            f"{directory}: interrupted; the same command continues, and with --results-only it reports what is finished"
        ) from None
    write_study_report(directory)
    left = f"; missing: evaluations of {_methods(missing)} ({len(missing)} in all)" if missing else ""
    click.echo(f"wrote {directory} (results.json, results.csv, report.html, report.md){left}")


def _methods(entries: list[dict[str, Any]]) -> str:
    return ", ".join(dict.fromkeys(str(entry["method"]) for entry in entries))


def _paths(options: tuple[str, ...]) -> dict[str, Any]:
    """Folders of data by key: those to pretrain on, and the one to evaluate on."""
    paths: dict[str, list[Path]] = {key: [] for key in _DATA}
    for option in options:
        key, equals, path = option.partition("=")
        if key not in _DATA or not equals or not path:
            raise InputError(f"--data {option}: expected KEY=PATH, with a KEY of {' or '.join(_DATA)}")
        paths[key].append(Path(path))
    if len(paths["evaluation"]) > 1:
        raise InputError("--data evaluation: is given twice; methods are evaluated on one data set")
    return {"pretraining": paths["pretraining"], "evaluation": next(iter(paths["evaluation"]), None)}
