"""What the commands that judge a run on a data set have in common: their options, and what they write."""

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ecg_advmask.errors import InputError

if TYPE_CHECKING:
    from ecg_advmask.evaluate.head_file import LinearHead
    from ecg_advmask.evaluate.partition import Split

Command = TypeVar("Command", bound=Callable[..., Any])


def evaluation_options(*, fractions: str, seeds: int, default_out: str) -> Callable[[Command], Command]:
    """RUN, DATA and the options on task, labels, split, preset and what is written, with these defaults."""
    options = (
        click.argument("run"),
        click.argument("data", type=click.Path(path_type=Path)),
        click.option(
            "--task",
            required=True,
            help="What to tell of a recording: rhythm, sex, age, diagnosis (scored classes of CinC 2021; "
            "diagnosis-2020: of 2020; a group of them as in diagnosis:GROUP), or a column of the label table that DATA "
            "was prepared with.",
        ),
        click.option(
            "--fractions",
            default=fractions,
            show_default=True,
            help="Shares of the training labels to use; a whole number above 1 is a number of labelled recordings.",
        ),
        click.option(
            "--seeds", type=click.IntRange(1), default=seeds, show_default=True, help="Draws of labels per fraction."
        ),
        click.option(
            "--seed",
            type=click.IntRange(0),
            default=0,
            show_default=True,
            help="Seed of the first draw and of random weights.",
        ),
        click.option(
            "--split-seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the split by patient."
        ),
        click.option(
            "--split",
            type=click.Path(path_type=Path),
            help="Split to use, as an earlier evaluation stored it, so that several runs are judged on the same "
            "recordings.",
        ),
        click.option("--preset", help="Preset of the network, where RUN is 'random'."),
        click.option(
            "--out",
            type=click.Path(path_type=Path),
            help=f"JSON file to write; a figure FILE.png and FILE.split.csv go beside it.  [default: {default_out}]",
        ),
    )

    def decorated(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


def numbers(text: str) -> tuple[float, ...]:
    """The value of ``--fractions``.

    Raises:
        InputError: it is not numbers with commas between them.
    """
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError as error:
        raise InputError(
            f"--fractions {text}: expected numbers with commas between them, such as 0.01,0.1,1"
        ) from error


def command_line(command: str, run: str, data: Path, options: Mapping[str, object]) -> str:
    """The command that gives a result again; options that are None are left out, flags are True or False."""
    words = ["ecg-advmask", command, run, str(data)]
    for name, value in options.items():
        if value is True:
            words.append(name)
        elif value is not None and value is not False:
            words += [name, f"{value:g}" if isinstance(value, float) else str(value)]
    return shlex.join(words)


def target_of(out: Path | None, kind: str, run: str, task: str, data: Path) -> Path:
    """The JSON file to write: ``out``, or one in the run, or in the current folder where there is no run."""
    from ecg_advmask.files import in_file_name

    name = f"{kind}-{in_file_name(task)}-{data.resolve().name}.json"
    return out or (Path(f"random-{name}") if run == "random" else Path(run) / name)


def write_evaluation(
    result: Mapping[str, Any], division: "Split", target: Path, head: "LinearHead | None" = None
) -> None:
    """Write a result, its figure, its split and a head to keep, if there is one, side by side; print the tables."""
    from ecg_advmask.evaluate.head_file import HEAD_SUFFIX
    from ecg_advmask.files import atomic_path, write_json
    from ecg_advmask.report.plots import label_efficiency, png
    from ecg_advmask.report.terminal import terminal_table

    figure, stored = target.with_suffix(".png"), target.with_suffix(".split.csv")
    with atomic_path(figure) as temporary:
        temporary.write_bytes(png(label_efficiency([result])))
    division.write(stored)
    written = [figure, stored]
    if head is not None:
        written.append(target.with_suffix(HEAD_SUFFIX))
        head.write(written[-1])
    write_json(target, result)
    click.echo(terminal_table(result))
    counts = result["counts"]
    click.echo(f"\n{counts['eligible']} recordings used, {counts['seen']} left out as seen in pretraining")
    click.echo(f"wrote {', '.join(map(str, [target, *written[:-1]]))} and {written[-1]}")
