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
def info(path: Path) -> None:
    """Say what PATH holds: a prepared data set, a run directory, or an exported encoder (ONNX)."""
    if (path / "dataset.json").is_file():
        _print_data_set(path)
    elif (path / "config.json").is_file():
        _print_run(path)
    elif path.is_file() and path.suffix == ".onnx":
        from ecg_advmask.export.runtime import OnnxEncoder

        _print(f"exported encoder {path}", OnnxEncoder(path).metadata)
    else:
        raise InputError(f"{path}: is neither a data set (dataset.json), a run (config.json) nor an .onnx file")


def _print_data_set(path: Path) -> None:
    from ecg_advmask.pipeline.shards import DataSet

    stated = read_json(path / "dataset.json")
    data = DataSet.open(path)
    _print(
        f"data set {path}",
        {
            "made from": f"{stated.get('source')} ({stated.get('layout')})",
            "windows": f"{len(data.records)} of {data.window_samples} samples at {data.sampling_rate_hz} Hz",
            "shards": len(data.shard_paths),
            "sha256": data.sha256,
        },
    )
    _print("counts", stated.get("counts", {}))
    for source, counts in stated.get("sources", {}).items():
        _print(f"source {source}", counts)


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
