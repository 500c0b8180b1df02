"""The design of a study: its data sets, protocol and methods, as frozen dataclasses."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from ecg_advmask import config as configuration
from ecg_advmask import presets
from ecg_advmask.config import Config
from ecg_advmask.evaluate.protocol import HeadKind, Protocol
from ecg_advmask.files import in_file_name

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
    pretraining: Path | None
    """Folder of the data set that methods pretrain on; None if no method does."""
    evaluation: Path
    pretraining_share: float
    seeds: tuple[int, ...]
    tasks: tuple[str, ...]
    labels: tuple[float, ...]
    """Shares of the training part, or above 1 numbers of labelled recordings."""
    draws: int
    shares: tuple[float, float, float]
    split_seed: int
    resamples: int
    head: HeadKind
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
            resamples=self.resamples,
        )

    def with_data(self, paths: Mapping[str, Path]) -> "Study":
        """The study with other folders of data, by key ``pretraining`` or ``evaluation``."""
        return dataclasses.replace(
            self,
            pretraining=paths.get("pretraining", self.pretraining),
            evaluation=paths.get("evaluation", self.evaluation),
        )
