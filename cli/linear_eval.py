"""``ecg-advmask linear-eval``: what a frozen encoder is worth to a linear head with few labels."""

import shlex
from pathlib import Path

import click

from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.protocol import HEADS, HeadKind, Protocol


@click.command("linear-eval")
@click.argument("run")
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--task",
    required=True,
    help="What to tell from the embeddings: rhythm, sex, age, diagnosis (scored classes of CinC 2021; diagnosis-2020: "
    "of 2020; a group of them as in diagnosis:GROUP), or a column of the label table that DATA was prepared with.",
)
@click.option(
    "--fractions",
    default="0.01,0.02,0.05,0.1,0.25,0.5,1",
    show_default=True,
    help="Shares of the training labels to use; a whole number above 1 is a number of labelled recordings.",
)
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True, help="Draws of labels per fraction.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the first draw and of random weights."
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
    "--split-seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the split by patient."
)
@click.option(
    "--split",
    type=click.Path(path_type=Path),
    help="Split to use, as an earlier evaluation stored it, so that several runs are judged on the same recordings.",
)
@click.option("--preset", help="Preset of the untrained encoder, where RUN is 'random'.")
@click.option(
    "--no-random", is_flag=True, help="Leave out the untrained encoder that is tested beside the trained one."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="JSON file to write; a figure FILE.png and FILE.split.csv go beside it.  "
    "[default: RUN/linear-eval-TASK-DATA.json, with --head adam RUN/linear-eval-adam-TASK-DATA.json]",
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

    The split is stored beside the result. With --split it is used again, and refused if RUN has seen any recording of
    its test part.
    """
    from ecg_advmask.cli.quiet import import_tensorflow

    import_tensorflow()
    from ecg_advmask.evaluate.transfer import evaluate_run
    from ecg_advmask.files import atomic_path, in_file_name, write_json
    from ecg_advmask.report.plots import label_efficiency, png
    from ecg_advmask.report.results import terminal_table

    protocol = Protocol(_numbers(fractions), draws=seeds, seed=seed, head=head, split_seed=split_seed)
    result, division = evaluate_run(
        run, data, task, protocol, preset=preset, with_random=not no_random, split_path=split
    )
    words = ["ecg-advmask", "linear-eval", run, str(data), "--task", task, "--fractions", fractions]
    words += ["--seeds", str(seeds), "--seed", str(seed), "--head", head, "--split-seed", str(split_seed)]
    words += ["--split", str(split)] if split else []
    words += [*(["--preset", preset] if preset else []), *(["--no-random"] if no_random else [])]
    result["command"] = shlex.join(words)
    kind = "linear-eval" if head == "lbfgs" else f"linear-eval-{head}"
    name = f"{kind}-{in_file_name(task)}-{data.resolve().name}.json"
    target = out or (Path(f"random-{name}") if run == "random" else Path(run) / name)
    figure = target.with_suffix(".png")
    with atomic_path(figure) as temporary:
        temporary.write_bytes(png(label_efficiency([result])))
    stored = target.with_suffix(".split.csv")
    division.write(stored)
    write_json(target, result)
    click.echo(terminal_table(result))
    counts = result["counts"]
    click.echo(f"\n{counts['eligible']} recordings used, {counts['seen']} left out as seen in pretraining")
    click.echo(f"wrote {target}, {figure} and {stored}")


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError as error:
        raise InputError(
            f"--fractions {text}: expected numbers with commas between them, such as 0.01,0.1,1"
        ) from error
