"""The design of a study: its data sets, protocol and methods, as frozen dataclasses."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast, get_args, get_origin

from ecg_advmask import config as configuration
from ecg_advmask import presets
from ecg_advmask.config import Config
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.protocol import HEADS, PENALTIES, HeadKind, PenaltyChoice, Protocol
from ecg_advmask.files import in_file_name
from ecg_advmask.study.table import TomlTable

Kind = Literal["pretrained", "random", "scratch", "finetune"]
KINDS: Final = ("pretrained", "random", "scratch", "finetune")


@dataclass(frozen=True)
class Method:
    """One method of a study: how its encoder comes about and is judged.

    ``pretrained``: pretraining, then a linear head on the frozen encoder. ``random``: the same head on the initial
    weights. ``scratch``: the whole network trained on the labels, from initial weights. ``finetune``: the same, from
    the weights that the method ``of`` pretrained.
    """

    name: str
    kind: Kind
    preset: str
    of: str
    """The method whose encoders are fine-tuned; empty for the other kinds."""
    settings: Mapping[str, Any]
    """On top of the preset and of the study's own settings."""
    seeds: tuple[int, ...]
    draws: int

    @property
    def folder(self) -> str:
        """Name of its folders."""
        return in_file_name(self.name)


@dataclass(frozen=True)
class Recommendation:
    """The rule by which one pretrained method is recommended (`ecg_advmask.study.results.recommendation`)."""

    tasks: tuple[str, ...]
    labels: tuple[float, ...]
    """Numbers of labels, as the protocol states them: the figure is the mean macro AUROC over both."""
    margin: float
    """How far below the best a simpler method may be."""


@dataclass(frozen=True)
class Study:
    """A study file as it was read; ``content`` is what it says, plain."""

    path: Path
    content: Mapping[str, Any]
    name: str
    question: str
    baseline: str
    """The method that every other one is compared with."""
    compare: tuple[tuple[str, str], ...]
    """Further comparisons decided beforehand, the first method minus the second."""
    endpoints: tuple[tuple[str, float], ...]
    """Task and number of labels at which these comparisons are confirmatory, the primary one first."""
    recommendation: Recommendation | None
    pretraining: tuple[Path, ...]
    """Folders of the data sets that methods pretrain on, all together; none if no method does."""
    evaluation: Path
    pretraining_share: float
    seeds: tuple[int, ...]
    tasks: tuple[str, ...]
    labels: tuple[float, ...]
    """Shares of the training part, or above 1 numbers of labelled recordings."""
    draws: int
    shares: tuple[float, float, float]
    stratify: tuple[str, ...]
    """Tasks whose classes, combined, are the strata of one division for all tasks; empty for a division of each task,
    stratified by it alone."""
    split_seed: int
    resamples: int
    head: HeadKind
    penalty: PenaltyChoice
    settings: Mapping[str, Any]
    """Of every pretraining, on top of its preset."""
    fine_tuning: Mapping[str, Any]
    """Constants of `ecg_advmask.evaluate.finetune.FineTuning` that differ from its own."""
    methods: tuple[Method, ...]

    def method(self, name: str) -> Method:
        """The method of a name."""
        return next(method for method in self.methods if method.name == name)

    def config(self, method: Method, seed: int) -> Config:
        """Settings of a method's pretraining with a seed; of the other kinds those that shape its encoder.

        Raises:
            InputError: a setting does not exist or is not allowed.
        """
        values = presets.settings(method.preset) | dict(self.settings) | dict(method.settings)
        values.pop("about", None)
        values |= {"preset": method.preset, "seed": seed, "pretraining_share": self.pretraining_share}
        return configuration.from_mapping(values, f"{self.path}: method {method.name}")

    def protocol(self, method: Method) -> Protocol:
        """The constants of the evaluation of a method."""
        return Protocol(
            fractions=self.labels,
            draws=method.draws,
            split_seed=self.split_seed,
            shares=self.shares,
            head=self.head,
            penalty=self.penalty,
            resamples=self.resamples,
        )

    def with_data(self, pretraining: Sequence[Path] = (), evaluation: Path | None = None) -> "Study":
        """The study with other folders of data, where any are given."""
        return dataclasses.replace(
            self, pretraining=tuple(pretraining) or self.pretraining, evaluation=evaluation or self.evaluation
        )


# ---- A study as a TOML file. In: the file. Out: the design that it states, all of it checked.
#
# ``studies/`` in the repository holds those of the papers; the README explains the keys.

_OWNED: Final = {
    "seed": "protocol.seeds",
    "pretraining_share": "protocol.pretraining_share",
    "preset": "the method's preset",
}
"""Settings that a study states elsewhere, and where."""


def read_study(path: str | Path) -> Study:
    """Read and check a study file.

    Raises:
        InputError: the file is missing or not TOML, a key is missing, unknown or not what it should be, a preset or a
            setting does not exist, or the methods do not go together.
    """
    file = Path(path)
    content = presets.read_toml(file)
    table = TomlTable(file, content)
    name, question, baseline = table.text("name"), table.text("question"), table.text("baseline")
    compare, endpoints = table.pairs("compare"), table.endpoints("endpoints")
    recommendation = _recommendation(table)
    data, protocol, entries = table.table("data"), table.table("protocol"), table.tables("methods")
    table.end()

    pretraining = data.text_or_texts("pretraining") if data.has("pretraining") else ()
    evaluation = data.text("evaluation")
    data.end()

    seeds, draws = protocol.numbers("seeds", (0,)), protocol.number("draws", 5, 1)
    methods: list[Method] = []
    for entry in entries:
        methods.append(_method(entry, methods, seeds, draws))
    study = Study(
        file,
        content,
        name,
        question,
        baseline,
        compare,
        endpoints,
        recommendation,
        tuple(file.parent / path for path in pretraining),
        file.parent / evaluation,
        protocol.share("pretraining_share", 1.0),
        seeds,
        protocol.texts("tasks"),
        protocol.counts_of_labels("labels"),
        draws,
        protocol.shares_of_parts("shares", (0.5, 0.1, 0.4)),
        protocol.texts("stratify") if protocol.has("stratify") else (),
        protocol.number("split_seed", 0, 0),
        protocol.number("resamples", 1000, 100),
        cast("HeadKind", protocol.choice("head", HEADS, "lbfgs")),
        cast("PenaltyChoice", protocol.choice("penalty", PENALTIES, "validation")),
        _settings(protocol),
        _fine_tuning(protocol),
        tuple(methods),
    )
    protocol.end()
    if baseline not in {method.name for method in methods}:
        raise table.error("baseline", "is the name of no method")
    _check_comparisons(table, study)
    _check_decisions(table, study)
    if not pretraining and any(method.kind == "pretrained" for method in methods):
        raise InputError(f"{file}: data.pretraining is missing, name the data set that methods pretrain on")
    _check_file_names(protocol, "tasks", study.tasks)
    if study.head == "adam" and study.penalty == "cross-validated":
        raise protocol.error("penalty", "the head adam has no penalty, and its epoch needs a validation part")
    _check_rates(study)
    return study


def _method(entry: TomlTable, before: list[Method], seeds: tuple[int, ...], draws: int) -> Method:
    """One method, given those before it."""
    name = entry.text("name")
    if in_file_name(name).lower() in {method.folder.lower() for method in before}:
        raise entry.error(
            "name", "an earlier method has it (letters, digits, - and _ alone count, they name its folder)"
        )
    kind = cast("Kind", entry.choice("kind", KINDS, "pretrained"))
    preset, of = "", ""
    if kind == "finetune":
        of = entry.text("of")
        origin = next((method for method in before if method.name == of and method.kind == "pretrained"), None)
        if origin is None:
            raise entry.error("of", "is the name of no pretrained method before this one")
        preset, settings, seeds = origin.preset, origin.settings, origin.seeds
    else:
        preset = entry.text("preset")
        if preset not in presets.names():
            raise entry.error("preset", "there is no such preset, ecg-advmask presets lists them")
        settings = _settings(entry)
    own_seeds = entry.numbers("seeds", seeds)
    if kind == "finetune" and not set(own_seeds) <= set(seeds):
        raise entry.error("seeds", f"{of} is pretrained with the seeds {', '.join(map(str, seeds))} only")
    method = Method(name, kind, preset, of, settings, own_seeds, entry.number("draws", draws, 1))
    entry.end()
    return method


def _settings(table: TomlTable) -> dict[str, Any]:
    settings = table.mapping("settings")
    for key in settings.keys() & _OWNED.keys():
        raise table.error("settings", f"{key} is stated by {_OWNED[key]}, leave it out here")
    return settings


def _fine_tuning(protocol: TomlTable) -> dict[str, Any]:
    """The constants of fine-tuning that the file gives, each of its type and in its range."""
    if not protocol.has("fine_tuning"):
        return {}
    from ecg_advmask.evaluate.finetune import FineTuning  # it brings Keras

    table = protocol.table("fine_tuning")
    values: dict[str, Any] = {}
    for field in dataclasses.fields(FineTuning):
        default: Any = field.default
        if get_origin(field.type) is Literal:
            values[field.name] = table.choice(field.name, get_args(field.type), default)
        elif field.type is int:
            values[field.name] = table.number(field.name, default, 0)
        else:
            values[field.name] = table.rate(field.name, default)
    table.end()
    try:
        FineTuning(**values)
    except InputError as error:
        raise protocol.error("fine_tuning", str(error)) from error
    return values


def _check_comparisons(table: TomlTable, study: Study) -> None:
    """Further comparisons are of two methods each, and none is made twice."""
    names = {method.name for method in study.methods}
    for place, pair in enumerate(study.compare):
        for name in pair:
            if name not in names:
                raise table.error("compare", f"{name!r} is the name of no method")
        both = " and ".join(map(repr, pair))
        if pair[0] == pair[1]:
            raise table.error("compare", f"{both} are one method, name two different ones")
        if study.baseline in pair:
            raise table.error("compare", f"{both} are compared anyway, as one of them is the baseline; leave them out")
        if set(pair) in map(set, study.compare[:place]):
            raise table.error("compare", f"{both} are compared twice, leave one pair out")


def _recommendation(table: TomlTable) -> Recommendation | None:
    if not table.has("recommendation"):
        return None
    rule = table.table("recommendation")
    found = Recommendation(rule.texts("tasks"), rule.counts_of_labels("labels"), rule.rate("margin", 0.0))
    rule.end()
    return found


def _check_decisions(table: TomlTable, study: Study) -> None:
    """Endpoints and the rule of recommendation speak of tasks and numbers of labels that the study has."""
    rule = study.recommendation
    asked = [("endpoints", task, labels) for task, labels in study.endpoints]
    asked += [("recommendation", task, labels) for task in rule.tasks for labels in rule.labels] if rule else []
    for key, task, labels in asked:
        if task not in study.tasks or labels not in study.labels:
            raise table.error(key, f"{task} with {labels:g} labels is not evaluated, see protocol.tasks and labels")
    if study.endpoints and not study.compare:
        raise table.error("endpoints", "there is nothing to compare at them, name pairs of methods in compare")
    if len(set(study.endpoints)) < len(study.endpoints):
        raise table.error("endpoints", "names one of them twice")


def _check_file_names(protocol: TomlTable, key: str, names: tuple[str, ...]) -> None:
    if len({in_file_name(name).lower() for name in names}) < len(names):
        raise protocol.error(key, "two of them differ in signs alone, but letters, digits, - and _ name their files")


def _check_rates(study: Study) -> None:
    """All settings are allowed, and all methods work at one sampling rate, since they share a data set."""
    rates: dict[int, str] = {}
    for method in study.methods:
        rates.setdefault(study.config(method, method.seeds[0]).sampling_rate_hz, method.name)
    if len(rates) > 1:
        named = " and ".join(f"{name} at {rate} Hz" for rate, name in rates.items())
        raise InputError(f"{study.path}: methods need one sampling rate, but there are {named}; choose other presets")
