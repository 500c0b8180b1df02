import click
@click.command("export")
def export() -> None:
    """(being written)"""
