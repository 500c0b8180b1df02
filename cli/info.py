import click
@click.command("info")
def info() -> None:
    """(being written)"""
