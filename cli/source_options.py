"""Options of the commands that read recordings, ``prepare`` and ``embed``, with the same names in both."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def source_options(command: Command) -> Command:
    """Add ``--source-rate``, ``--source-unit``, ``--leads`` and ``--follow-links``."""
    for option in (
        click.option(
            "--follow-links",
            is_flag=True,
            help="Follow symbolic links (git-annex, DataLad, DVC, Hugging Face); each folder is visited once.",
        ),
        click.option(
            "--leads",
            default="",
            metavar="NAMES",
            help="I,II,... names columns without names, in their order; ECG1=I,ECG2=II,... gives leads to other names.",
        ),
        click.option(
            "--source-unit",
            default="mV",
            show_default=True,
            metavar="UNIT",
            help="Unit of files that do not state theirs (text, arrays): mV, uV, nV, V, or one scaled (4.88uV).",
        ),
        click.option(
            "--source-rate",
            type=float,
            metavar="HZ",
            help="Sampling rate of files that do not state theirs (text, arrays), in Hz.",
        ),
    ):
        command = option(command)
    return command


def old_spelling(old: str, new: str, **attributes: Any) -> Callable[[Command], Command]:
    """A hidden option that sets the one now called ``new``, and says so on stderr."""

    def warn(context: click.Context, _: click.Parameter, value: Any) -> None:
        if value is not None:
            click.echo(f"{old} is now called {new}", err=True)
            context.ensure_object(dict)[new] = value

    return click.option(old, hidden=True, expose_value=False, callback=warn, **attributes)


def given(context: click.Context, name: str, value: Any) -> Any:
    """The value of an option, or the one that its old spelling gave."""
    return context.ensure_object(dict).get(name, value)
