import click
@click.command("synth")
def synth() -> None:
    """(being written)"""
