"""``ecg-advmask linear-eval`` and ``finetune``: their common options, and the files that they write."""

import functools
import shlex
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import click
from click.core import ParameterSource

from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.protocol import FRACTIONS, HEADS, PENALTIES, HeadKind, PenaltyChoice, Protocol

if TYPE_CHECKING:
    from ecg_advmask.evaluate.heads import LinearHead
    from ecg_advmask.evaluate.split import Split


Command = TypeVar("Command", bound=Callable[..., Any])
UNTRAINED: Final = "untrained:"


def evaluation_options(*, labels: str, draws: int, default_out: str) -> Callable[[Command], Command]:
    """RUN, DATA and the options on task, labels, split and what is written, with these defaults."""
    options = (
        click.argument("run"),
        click.argument("data", type=click.Path(path_type=Path)),
        click.option(
            "--task",
            required=True,
            help="Target to predict: rhythm, sex, age, diagnosis (scored classes of CinC 2021; "
            "diagnosis-2020: of 2020; a group of them as in diagnosis:GROUP), or a column of the label table that DATA "
            "was prepared with.",
        ),
        click.option(
            "--labels",
            default=labels,
            show_default=True,
            help="Shares of the training labels to use; a whole number above 1 is a number of labelled recordings.",
        ),
        click.option(
            "--draws",
            type=click.IntRange(1),
            default=draws,
            show_default=True,
            help="How often each number of labels is drawn.",
        ),
        click.option("--fractions", hidden=True),
        click.option("--seeds", type=click.IntRange(1), hidden=True),
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
        click.option("--preset", hidden=True, help="Preset of the network, where RUN is 'random'."),
        click.option(
            "--out",
            type=click.Path(path_type=Path),
            help=f"JSON file to write; a figure FILE.png and FILE.split.csv go beside it.  [default: {default_out}]",
        ),
    )

    def decorated(command: Command) -> Command:
        @functools.wraps(command)
        def with_names_of_today(**given: Any) -> Any:
            old = {name: given.pop(name) for name in ("fractions", "seeds", "preset")}
            return command(**given | _renamed(given["run"], **old))

        found: Any = with_names_of_today
        for option in reversed(options):
            found = option(found)
        return cast("Command", found)

    return decorated


def _renamed(run: str, fractions: str | None, seeds: int | None, preset: str | None) -> dict[str, Any]:
    """Options that were given by their old names, by their new ones; each is said once.

    Raises:
        InputError: both names are given, or ``--preset`` goes with something other than ``random``.
    """
    context, new = click.get_current_context(), dict[str, Any]()

    def rename(old: str, now: str, name: str, value: Any) -> None:
        click.echo(f"ecg-advmask {context.info_name}: {old} is now written {now}", err=True)
        new[name] = value

    for old, name, value in (("--fractions", "labels", fractions), ("--seeds", "draws", seeds)):
        if value is not None:
            if context.get_parameter_source(name) == ParameterSource.COMMANDLINE:
                raise InputError(f"{old} {value}: is the old name of --{name}, give --{name} alone")
            rename(old, f"--{name}", name, value)
    if (run == "random") != (preset is not None):
        raise InputError(f"{run}: --preset goes with RUN = random, and RUN = random needs it; give {UNTRAINED}PRESET")
    if preset is not None:
        rename(f"random --preset {preset}", f"{UNTRAINED}{preset}", "run", f"{UNTRAINED}{preset}")
    return new


def numbers(text: str) -> tuple[float, ...]:
    """The value of ``--labels``.

    Raises:
        InputError: it is not numbers with commas between them.
    """
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError as error:
        raise InputError(f"--labels {text}: expected numbers with commas between them, such as 0.01,0.1,1") from error


def command_line(command: str, arguments: Iterable[str | Path], options: Mapping[str, object]) -> str:
    """The command that gives a result again; options that are None are left out, flags are True or False."""
    words = ["ecg-advmask", command, *map(str, arguments)]
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
    return out or (Path(f"untrained-{name}") if run.startswith(UNTRAINED) else Path(run) / name)


def write_evaluation(
    result: Mapping[str, Any], division: "Split", target: Path, head: "LinearHead | None" = None
) -> None:
    """Write a result, its figure, its split and a head to keep, if there is one, side by side; print the tables."""
    from ecg_advmask.evaluate.heads import HEAD_SUFFIX
    from ecg_advmask.files import atomic_path, write_json
    from ecg_advmask.report.curves import curves_by_method
    from ecg_advmask.report.figures import png
    from ecg_advmask.report.results import as_studies
    from ecg_advmask.report.tables import terminal_table

    (study,) = as_studies([result])
    figure, stored = target.with_suffix(".png"), target.with_suffix(".split.csv")
    with atomic_path(figure) as temporary:
        temporary.write_bytes(png(curves_by_method(study, study.tasks[0])))
    division.write(stored)
    written = [figure, stored]
    if head is not None:
        written.append(target.with_suffix(HEAD_SUFFIX))
        head.write(written[-1])
    write_json(target, result)
    click.echo(terminal_table(study))
    counts = result["counts"]
    click.echo(f"\n{counts['eligible']} recordings used, {counts['seen']} left out as seen in pretraining")
    click.echo(f"wrote {', '.join(map(str, [target, *written[:-1]]))} and {written[-1]}")


# ---- ``ecg-advmask linear-eval``: linear heads with few labels on a frozen encoder.


@click.command("linear-eval")
@evaluation_options(
    labels=",".join(f"{fraction:g}" for fraction in FRACTIONS),
    draws=5,
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
    "--penalty",
    type=click.Choice(PENALTIES),
    default="validation",
    show_default=True,
    help="Choose the strength of the penalty on the validation part, whose labels come on top of --labels, or by "
    "cross-validation within the drawn labels.",
)
@click.option(
    "--no-random", is_flag=True, help="Leave out the untrained encoder that is tested beside the trained one."
)
def linear_eval(
    run: str,
    data: Path,
    *,
    task: str,
    labels: str,
    draws: int,
    seed: int,
    head: HeadKind,
    penalty: PenaltyChoice,
    split_seed: int,
    split: Path | None,
    no_random: bool,
    out: Path | None,
) -> None:
    """Test the frozen encoder of RUN on the recordings of DATA that it has not seen.

    RUN is a run directory, or untrained:PRESET for an untrained encoder. Patients are split once into a training, a
    validation and a test part; for each number of labels, and each draw of them, a linear head is
    fitted on embeddings that are computed once. Metrics on the whole test set come with bootstrap intervals: AUROC,
    average precision, F1 and calibration error of classes or labels, accuracy and confusion of classes, mean absolute
    error and R2 of a number such as the age.

    Split and head (the one fitted on the most labels) are stored beside the result. With --split the split is used
    again, and refused if RUN has seen any recording of its test part; export can put the head into a file with RUN.
    """
    from ecg_advmask.cli.environment import import_tensorflow

    import_tensorflow()
    from ecg_advmask.evaluate.experiment import evaluate_run

    protocol = Protocol(numbers(labels), draws=draws, seed=seed, head=head, penalty=penalty, split_seed=split_seed)
    result, division, head_to_keep = evaluate_run(
        run, data, task, protocol, with_random=not no_random, split_path=split
    )
    options = {"--task": task, "--labels": labels, "--draws": draws, "--seed": seed, "--head": head}
    options |= {"--penalty": penalty, "--split-seed": split_seed, "--split": split, "--no-random": no_random}
    result["command"] = command_line("linear-eval", (run, data), options)
    kind = "linear-eval" if head == "lbfgs" else f"linear-eval-{head}"
    if penalty != "validation":
        kind += f"-{penalty}"
    write_evaluation(result, division, target_of(out, kind, run, task, data), head_to_keep)


# ---- ``ecg-advmask finetune``: what a whole network learns from few labels, from the encoder of a run and from
# scratch.


@click.command()
@evaluation_options(labels="0.05,0.25,1", draws=3, default_out="RUN/finetune-TASK-DATA.json")
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
@click.option("--no-scratch", is_flag=True, help="Leave out the training from scratch that is shown beside RUN.")
def finetune(
    run: str,
    data: Path,
    *,
    task: str,
    labels: str,
    draws: int,
    seed: int,
    split_seed: int,
    split: Path | None,
    updates: int,
    encoder_rate: float,
    scratch_rate: float,
    no_scratch: bool,
    out: Path | None,
) -> None:
    """Train whole networks on the recordings of DATA that RUN has not seen, from its encoder and from scratch.

    RUN is a run directory, or untrained:PRESET for training from scratch alone. Split, draws of labels, test set and
    metrics are those of linear-eval. A network is the encoder with a linear head; both are updated, the encoder at its
    own rate and its batch statistics as well. It is judged 20 times on the validation part, and the best of these is
    tested.
    """
    from ecg_advmask.cli.environment import import_tensorflow

    import_tensorflow()
    from ecg_advmask.evaluate.experiment import finetune_run
    from ecg_advmask.evaluate.finetune import FineTuning

    protocol = Protocol(numbers(labels), draws=draws, seed=seed, split_seed=split_seed)
    settings = FineTuning(updates, encoder_rate=encoder_rate, scratch_rate=scratch_rate)
    result, division = finetune_run(run, data, task, protocol, settings, with_scratch=not no_scratch, split_path=split)
    options = {"--task": task, "--labels": labels, "--draws": draws, "--seed": seed, "--split-seed": split_seed}
    options |= {"--split": split, "--updates": updates, "--encoder-rate": encoder_rate, "--scratch-rate": scratch_rate}
    options |= {"--no-scratch": no_scratch}
    result["command"] = command_line("finetune", (run, data), options)
    write_evaluation(result, division, target_of(out, "finetune", run, task, data))
