"""``ecg-advmask info``."""

import json
from pathlib import Path
from typing import Any

import click

from ecg_advmask import config as configuration
from ecg_advmask.errors import InputError
from ecg_advmask.files import read_json


@click.command("info")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--verify", is_flag=True, help="Compare every file of a data set with its checksum.")
def info(path: Path, verify: bool) -> None:
    """Say what PATH holds: a prepared data set, a run directory, or an exported encoder (ONNX)."""
    if (path / "dataset.json").is_file():
        _print_data_set(path, verify)
    elif (path / "config.json").is_file():
        _print_run(path)
    elif path.is_file() and path.suffix == ".onnx":
        from ecg_advmask.export.encoder import OnnxEncoder

        _print(f"exported encoder {path}", OnnxEncoder(path).metadata)
    else:
        raise InputError(f"{path}: is neither a data set (dataset.json), a run (config.json) nor an .onnx file")


def _print_data_set(path: Path, verify: bool) -> None:
    from ecg_advmask.data.dataset import DataSet
    from ecg_advmask.data.summary import DataSummary, total
    from ecg_advmask.report.data_summary import (
        checks_table,
        classes_table,
        codes_line,
        patients_line,
        recordings_table,
        remarks,
        table_lines,
    )

    data = DataSet.open(path, verify=verify)
    stated = read_json(path / "dataset.json")
    megabytes = sum(size for size, _ in data.files.values()) / 1e6
    _print(
        f"data set {path}",
        {
            "made from": f"{stated.get('source')} ({stated.get('layout')}) by {stated.get('made_by')}",
            "windows": f"{data.windows} of {data.window_samples} samples at {data.sampling_rate_hz} Hz",
            "files": f"{len(data.shard_paths)} shards and tables, {megabytes:.1f} MB",
            "sha256": data.sha256,
        },
    )
    settings = stated.get("settings", {})
    _print("settings", settings)
    try:
        summaries = {source: DataSummary.from_dict(values) for source, values in stated["sources"].items()}
        click.echo(f"\n{recordings_table(summaries)}")
        for line in remarks(total(summaries.values())):
            click.echo(line)
        click.echo(f"\n{checks_table(stated['checks'], settings['refuse'], total(summaries.values()))}")
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path / 'dataset.json'}: is damaged ({error!r}), prepare the data set again") from error
    if classes := classes_table(summaries):
        click.echo(f"\nrecordings by scored class of PhysioNet/CinC\n{classes}")
    if codes := codes_line(summaries):
        click.echo(f"\nrecordings by other codes: {codes}")
    if len(data.labels.columns) > 1:
        given = {column: data.labels[column] for column in data.labels.columns[1:]}
        click.echo()
        _print(
            "labels",
            {
                name: f"{(values != '').sum()} recordings, {values[values != ''].nunique()} values"
                for name, values in given.items()
            },
        )
    for line in [*table_lines(stated), *filter(None, [patients_line(stated)])]:
        click.echo(line)
    if verify:
        click.echo("\nEvery file has the contents it was written with.")


def _print_run(path: Path) -> None:
    stored = read_json(path / "config.json")
    for part in ("config", "dataset", "versions"):
        if not isinstance(stored.get(part), dict):
            raise InputError(f"{path / 'config.json'}: is not that of a run (no {part})")
    _print(f"run {path}", {"data set": stored["dataset"].get("path")} | stored["versions"])
    _print("settings", configuration.from_mapping(stored["config"], str(path / "config.json")).as_dict())
    history = path / "history.csv"
    if history.is_file():
        header, *rows = history.read_text(encoding="utf-8").splitlines()
        _print(f"last of {len(rows)} epochs", dict(zip(header.split(","), rows[-1].split(","), strict=False)))


def _print(title: str, values: dict[str, Any]) -> None:
    click.echo(title)
    for name, value in values.items():
        click.echo(f"  {name}: {value if isinstance(value, str) else json.dumps(value)}")
