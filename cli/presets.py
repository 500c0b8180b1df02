"""``ecg-advmask presets``."""

import click

from ecg_advmask import config as configuration
from ecg_advmask import presets as presets_


@click.command()
@click.argument("name", required=False)
def presets(name: str | None) -> None:
    """List the presets of pretrain, or print all settings of preset NAME as a TOML file, to be changed and used.

    Presets are methods at a size: cpu-3kg is the method 3kg at the size cpu.
    """
    if name is not None:
        click.echo(f"# {presets_.settings(name).get('about', '')}")
        for key, value in configuration.load(name).as_dict().items():
            if key != "preset":
                click.echo(f"{key} = {_toml(value)}")
        return
    listed = presets_.names()
    width = max(map(len, listed))
    for one in listed:
        click.echo(f"{one:{width}}  {presets_.settings(one).get('about', '')}")


def _toml(value: object) -> str:
    """A plain value in TOML's notation, which for lists of plain texts is Python's with double quotes."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)
