"""``ecg-advmask linear-eval``: what a frozen encoder is worth to a linear head with few labels."""

from pathlib import Path

import click

from ecg_advmask.cli.evaluating import command_line, evaluation_options, numbers, target_of, write_evaluation
from ecg_advmask.evaluate.protocol import FRACTIONS, HEADS, HeadKind, Protocol


@click.command("linear-eval")
@evaluation_options(
    fractions=",".join(f"{fraction:g}" for fraction in FRACTIONS),
    seeds=5,
    default_out="RUN/linear-eval-TASK-DATA.json, with --head adam RUN/linear-eval-adam-TASK-DATA.json",
)
@click.option(
    "--head",
    type=click.Choice(HEADS),
    default="lbfgs",
    show_default=True,
    help="Linear head: logistic or ridge regression on standardised embeddings, or the Adv Mask paper's linear layer "
    "trained by Adam.",
)
@click.option(
    "--no-random", is_flag=True, help="Leave out the untrained encoder that is tested beside the trained one."
)
def linear_eval(
    run: str,
    data: Path,
    *,
    task: str,
    fractions: str,
    seeds: int,
    seed: int,
    head: HeadKind,
    split_seed: int,
    split: Path | None,
    preset: str | None,
    no_random: bool,
    out: Path | None,
) -> None:
    """Test the frozen encoder of RUN on the recordings of DATA that it has not seen.

    RUN is a run directory, or 'random' for an untrained encoder. Patients are split once into a training, a
    validation and a test part; for each fraction of the training labels, and each draw of them, a linear head is
    fitted on embeddings that are computed once. Metrics on the whole test set come with bootstrap intervals: AUROC,
    average precision, F1 and calibration error of classes or labels, accuracy and confusion of classes, mean absolute
    error and R2 of a number such as the age.

    Split and head (the one fitted on the most labels) are stored beside the result. With --split the split is used
    again, and refused if RUN has seen any recording of its test part; export can put the head into a file with RUN.
    """
    from ecg_advmask.cli.quiet import import_tensorflow

    import_tensorflow()
    from ecg_advmask.evaluate.transfer import evaluate_run

    protocol = Protocol(numbers(fractions), draws=seeds, seed=seed, head=head, split_seed=split_seed)
    result, division, head_to_keep = evaluate_run(
        run, data, task, protocol, preset=preset, with_random=not no_random, split_path=split
    )
    options = {"--task": task, "--fractions": fractions, "--seeds": seeds, "--seed": seed, "--head": head}
    options |= {"--split-seed": split_seed, "--split": split, "--preset": preset, "--no-random": no_random}
    result["command"] = command_line("linear-eval", run, data, options)
    kind = "linear-eval" if head == "lbfgs" else f"linear-eval-{head}"
    write_evaluation(result, division, target_of(out, kind, run, task, data), head_to_keep)
