"""``ecg-advmask pretrain``."""

import dataclasses
import shlex
from pathlib import Path
from typing import Any

import click

from ecg_advmask import config as configuration
from ecg_advmask.cli.environment import import_tensorflow, stoppable
from ecg_advmask.config import Config
from ecg_advmask.errors import InputError


def _settings_help() -> str:
    """Every setting with its default and help text, as they are declared."""
    lines = [
        f"  {f.name} ({f.default}): {f.metadata['help']}" for f in dataclasses.fields(Config) if f.name != "preset_name"
    ]
    return "\b\nSettings (defaults of the paper; presets change them):\n" + "\n".join(lines)


@click.command(epilog=_settings_help())
@click.argument("data", metavar="DATA...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--preset", metavar="NAME", help="Method and size, as `ecg-advmask presets` lists them. Default: paper.")
@click.option(
    "--config", "file", type=click.Path(path_type=Path), help="TOML file of settings; `base` may name a preset."
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change one setting; may be repeated.")
@click.option("--seed", type=click.IntRange(min=0), help="The setting seed.")
@click.option(
    "--resume",
    is_flag=True,
    help="Continue after the last finished epoch of RUN, with RUN's settings; start it if there is none.",
)
@click.option(
    "--devices",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="GPUs of this machine to train on, or parts of its CPU; several machines are named by TF_CONFIG instead.",
)
def pretrain(
    data: tuple[Path, ...],
    run: Path,
    preset: str | None,
    file: Path | None,
    overrides: tuple[str, ...],
    seed: int | None,
    resume: bool,
    devices: int,
) -> None:
    """Pretrain an encoder on the prepared data set DATA, or on several; everything goes into the new folder RUN.

    Of several, each signal counts once; they must have the same rate and windows.
    """
    if preset and file:
        raise click.UsageError("--preset and --config exclude each other")
    with stoppable(lambda: _what_to_do(data, run)):
        if resume and not (preset or file):
            settings = configuration.override(_stored_settings(run), overrides, seed)
        else:
            settings = configuration.load(preset, file, overrides, seed)

        import_tensorflow()
        from ecg_advmask.data.union import DataSetUnion, open_data_sets
        from ecg_advmask.pretrain import distribute, trainer

        def draw_masks(*picture: Any) -> None:
            from ecg_advmask.report.mask_pictures import draw_masks  # when the first is due: the start need not wait

            draw_masks(*picture)

        opened = open_data_sets(data)
        for line in opened.account() if isinstance(opened, DataSetUnion) else ():
            click.echo(line)
        with distribute.strategy_of(devices).scope():
            if distribute.is_chief():
                trainer.pretrain(opened, run, settings, resume=resume, draw_masks=draw_masks, log=click.echo)
                outcome = f"wrote {run} (encoder.keras, history.csv, checkpoints, masks, tensorboard)"
            else:
                trainer.follow(opened, settings)
                outcome = f"did its part of {run}, which the first machine writes"
    click.echo(outcome)


def _stored_settings(run: Path) -> Config:
    """The settings of a run.

    Raises:
        InputError: no run was started there.
    """
    from ecg_advmask.pretrain.run import Run, is_started

    if not is_started(run):
        raise InputError(f"{run}: no run was started there; name its --preset or --config, or leave out --resume")
    return Run.open(run).config


def _what_to_do(data: tuple[Path, ...], run: Path) -> str:
    """The line for a user whose training was stopped."""
    from ecg_advmask.pretrain import checkpoints
    from ecg_advmask.pretrain.run import CHECKPOINTS, is_started

    if not is_started(run):
        return "stopped before the run was started; the same command starts it"
    saved = checkpoints.found(run / CHECKPOINTS)
    done = f"after epoch {checkpoints.epoch_of(saved[-1])}" if saved else "in its first epoch"
    return f"stopped {done}; continue: {shlex.join(['ecg-advmask', 'pretrain', *map(str, data), str(run), '--resume'])}"
