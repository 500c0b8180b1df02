"""``ecg-advmask cache``."""

import click

from ecg_advmask import programs


@click.command()
@click.option("--clear", is_flag=True, help="Remove all of it.")
def cache(clear: bool) -> None:
    """Say where compiled programs are kept between runs, and how large they are; or remove them.

    A run that starts with the settings and shapes of an earlier one takes its programs from there instead of compiling
    them again; results are the same. ECG_ADVMASK_CACHE names another folder than the user's cache, or says off.
    """
    place = programs.folder()
    if place is None:
        click.echo(f"nothing is kept between runs ({programs.VARIABLE} is off)")
    elif clear:
        click.echo(f"removed {programs.clear(place) / 1e6:,.2f} MB from {place}")
    else:
        click.echo(f"{place}: {programs.size_bytes(place) / 1e6:,.2f} MB, of at most {programs.MOST_BYTES / 1e6:,.0f}")
