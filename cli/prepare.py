import click
@click.command("prepare")
def prepare() -> None:
    """(being written)"""
