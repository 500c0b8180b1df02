"""``ecg-advmask finetune``: what a whole network learns from few labels, from the encoder of a run and from scratch."""

from pathlib import Path

import click

from ecg_advmask.cli.evaluating import command_line, evaluation_options, numbers, target_of, write_evaluation
from ecg_advmask.evaluate.protocol import Protocol


@click.command()
@evaluation_options(fractions="0.05,0.25,1", seeds=3, default_out="RUN/finetune-TASK-DATA.json")
@click.option(
    "--updates",
    type=click.IntRange(1),
    default=250,
    show_default=True,
    help="Updates of a network at most, unless they are fewer than 5 or more than 100 passes through the labels.",
)
@click.option(
    "--encoder-rate",
    type=click.FloatRange(0),
    default=1e-4,
    show_default=True,
    help="Adam's learning rate for the encoder of RUN; 0 freezes it. The head has 0.001.",
)
@click.option(
    "--scratch-rate",
    type=click.FloatRange(0, min_open=True),
    default=1e-3,
    show_default=True,
    help="Adam's learning rate for an encoder with random weights.",
)
@click.option("--no-scratch", is_flag=True, help="Leave out the training from scratch that stands beside RUN.")
def finetune(
    run: str,
    data: Path,
    *,
    task: str,
    fractions: str,
    seeds: int,
    seed: int,
    split_seed: int,
    split: Path | None,
    updates: int,
    encoder_rate: float,
    scratch_rate: float,
    preset: str | None,
    no_scratch: bool,
    out: Path | None,
) -> None:
    """Train whole networks on the recordings of DATA that RUN has not seen, from its encoder and from scratch.

    RUN is a run directory, or 'random' for training from scratch alone. Split, draws of labels, test set and metrics
    are those of linear-eval. A network is the encoder with a linear head; both are updated, the encoder at its own
    rate and its batch statistics as well. It is judged 20 times on the validation part, and the best of these is
    tested.
    """
    from ecg_advmask.cli.quiet import import_tensorflow

    import_tensorflow()
    from ecg_advmask.evaluate.finetune import FineTuning
    from ecg_advmask.evaluate.finetune_run import finetune_run

    protocol = Protocol(numbers(fractions), draws=seeds, seed=seed, split_seed=split_seed)
    settings = FineTuning(updates, encoder_rate=encoder_rate, scratch_rate=scratch_rate)
    result, division = finetune_run(
        run, data, task, protocol, settings, preset=preset, with_scratch=not no_scratch, split_path=split
    )
    options = {"--task": task, "--fractions": fractions, "--seeds": seeds, "--seed": seed, "--split-seed": split_seed}
    options |= {"--split": split, "--updates": updates, "--encoder-rate": encoder_rate, "--scratch-rate": scratch_rate}
    options |= {"--preset": preset, "--no-scratch": no_scratch}
    result["command"] = command_line("finetune", run, data, options)
    write_evaluation(result, division, target_of(out, "finetune", run, task, data))
