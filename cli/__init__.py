"""The command ``ecg-advmask``: each subcommand parses, calls the library and prints.

The modules here import only Click and light modules at the top, so that ``--help`` answers at once; TensorFlow is
imported inside the commands that need it.
"""

import sys
from typing import Any

import click

from ecg_advmask import __version__
from ecg_advmask.cli.cache import cache
from ecg_advmask.cli.embed import embed
from ecg_advmask.cli.encoders import encoders
from ecg_advmask.cli.environment import output_may_close
from ecg_advmask.cli.evaluate import finetune, linear_eval
from ecg_advmask.cli.export import export
from ecg_advmask.cli.info import info
from ecg_advmask.cli.judge import fit, judge
from ecg_advmask.cli.look import neighbours, plot
from ecg_advmask.cli.masks import masks
from ecg_advmask.cli.prepare import merge, prepare
from ecg_advmask.cli.presets import presets
from ecg_advmask.cli.pretrain import pretrain
from ecg_advmask.cli.report import report
from ecg_advmask.cli.study import study
from ecg_advmask.cli.synth import synth
from ecg_advmask.errors import InputError


class _Group(click.Group):
    """A group in which an `InputError` ends as one line on stderr and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with output_may_close():
                return super().invoke(ctx)
        except InputError as error:
            click.echo(f"ecg-advmask {ctx.invoked_subcommand}: {error}", err=True)
            sys.exit(2)
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            click.echo(f"ecg-advmask {ctx.invoked_subcommand}: {place}{error.strerror or error}", err=True)
            sys.exit(2)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.startswith("ecg_advmask"):
                raise
            click.echo(
                f"ecg-advmask {ctx.invoked_subcommand}: needs the package {error.name}, which is not installed; "
                "pip install 'ecg-advmask[train]' brings it",
                err=True,
            )
            sys.exit(2)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ecg-advmask")
def main() -> None:
    """Self-supervised pretraining for 12-lead ECG by adversarial masking."""


for _command in (
    synth,
    prepare,
    merge,
    presets,
    pretrain,
    linear_eval,
    finetune,
    masks,
    study,
    export,
    encoders,
    embed,
    judge,
    fit,
    neighbours,
    plot,
    report,
    info,
    cache,
):
    main.add_command(_command)
