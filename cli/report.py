"""``ecg-advmask report``: one HTML page and the model card of a run."""

from pathlib import Path

import click


@click.command("report")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--eval",
    "results",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Result of linear-eval (JSON); repeat it for several. Those of other runs are shown beside this run's.",
)
@click.option(
    "--data",
    "data_sets",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Data set whose counts of kept and refused recordings are shown; those of --eval are shown anyway.",
)
@click.option("--out", type=click.Path(path_type=Path), help="HTML file to write.  [default: RUN/report.html]")
def report(run: Path, results: tuple[Path, ...], data_sets: tuple[Path, ...], out: Path | None) -> None:
    """Write a self-contained HTML report about RUN, and RUN/model_card.md.

    The page holds the evaluations with their intervals, the protocol in words, training curves, pictures of the masks,
    the counts of the data, all settings and versions, and the commands that repeat it. It refers to no other file.
    """
    from ecg_advmask.report.model_card import write_model_card
    from ecg_advmask.report.run_report import write_report

    page = write_report(run, results, out or run / "report.html", data_sets)
    card = write_model_card(run, results)
    click.echo(f"wrote {page} and {card}")
