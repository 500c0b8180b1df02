import click
@click.command("embed")
def embed() -> None:
    """(being written)"""
