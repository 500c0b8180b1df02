import click
@click.command("pretrain")
def pretrain() -> None:
    """(being written)"""
