import click
@click.command("linear-eval")
def linear_eval() -> None:
    """(being written)"""
