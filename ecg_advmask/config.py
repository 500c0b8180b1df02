"""All settings of a pretraining run: one frozen dataclass, presets in TOML, ``KEY=VALUE`` overrides.

Each field carries its help text where it is declared; ``ecg-advmask pretrain --help`` prints them.
"""

import dataclasses
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from ecg_advmask import presets
from ecg_advmask.errors import InputError

POOLING_OF_MASKS = 125
"""The window length must be a multiple of this: three stride-5 steps of the U-Net."""


def _setting(default: Any, help_text: str, minimum: float | None = None, maximum: float | None = None) -> Any:
    return dataclasses.field(default=default, metadata={"help": help_text, "minimum": minimum, "maximum": maximum})


@dataclass(frozen=True)
class Config:
    """Settings of one pretraining run; the defaults are those of the paper where it states them.

    Raises:
        InputError: a value has the wrong type, is outside its range, or does not fit the others.
    """

    preset_name: str = _setting("custom", "name of the preset that these settings started from; ``preset`` in files")
    method: Literal["advmask", "simclr"] = _setting("advmask", "advmask: learnt masks; simclr: no adversary")

    sampling_rate_hz: int = _setting(500, "rate of the windows, in Hz; the data set must have it", 1)
    window_seconds: float = _setting(
        10.0, "length of a window, in seconds; of longer ones in the data set, training takes random crops", 0.1
    )

    encoder_width: int = _setting(64, "filters in the first stage of the ResNet-18; doubles at each of four stages", 1)
    embedding_dim: int = _setting(512, "length of the embedding", 1)
    projection_hidden: int = _setting(2048, "units of the projector's hidden layer", 1)
    projection_dim: int = _setting(128, "length of the projection that the contrastive loss sees", 2)

    temperature: float = _setting(0.1, "temperature of NT-Xent", 1e-3)
    negatives: Literal["both", "other", "decoupled"] = _setting(
        "both", "candidates of the loss. both: of both views; other: of the other view; decoupled: both, no positive"
    )
    pairing: Literal["simclr", "cmsc"] = _setting(
        "simclr", "simclr: the window and its altered copy; cmsc: its first half and its altered second half"
    )
    augmentations: tuple[str, ...] = _setting(
        (), "augmentations, in order, before the mask; parameters in parentheses: vcg(angle_degrees=30, scale=2)"
    )
    augment: Literal["second", "both"] = _setting("second", "which view is augmented; 3KG perturbs both")
    second_augmentations: tuple[str, ...] = _setting(
        (), "augmentations of the second view alone, whatever augment says, after the others: block_mask(share=0.33)"
    )
    positives: Literal["recording", "patient"] = _setting(
        "recording", "positives are views of one recording, or of all recordings of one patient in a batch (3KG)"
    )

    masks: Literal[1, 2, 3, 4, 12] = _setting(1, "number of masks; 12 means one per lead")
    mask_choice: Literal["single", "all"] = _setting(
        "single", "single: one mask per recording, at random; all: the loss summed over all masks (ADIOS)"
    )
    masked_view: Literal["second", "first", "either", "both"] = _setting(
        "second", "view that is masked; either: one of each pair, at random; both: each by its own mask, and penalised"
    )
    mask_binarisation: Literal["sigmoid", "none"] = _setting(
        "sigmoid", "what occludes. sigmoid: sigmoid(sharpness * (mask - threshold)); none: the mask as it is (ADIOS)"
    )
    mask_sharpness: float = _setting(50.0, "slope of the soft binarisation", 0.0)
    mask_threshold: Literal["half", "auto"] = _setting(
        "half", "mask value at which the binarisation has its step. half: 0.5; auto: 1/N for a softmax over N masks"
    )
    mask_activation: Literal["auto", "sigmoid", "softmax"] = _setting(
        "auto", "of the U-Net's logits; auto: sigmoid for 1 and 12 masks, else softmax over the masks (ADIOS)"
    )
    mask_domain: Literal["time", "spectrum"] = _setting(
        "time", "time: samples are occluded; spectrum: bins of each lead's short-time spectrum, in overlapping frames"
    )
    mask_frame_seconds: float = _setting(
        1.0, "length of a frame of the spectrum, in seconds; its bins are 1 / length Hz wide", 0.1, 10.0
    )
    mask_lead_dropout: float = _setting(0.0, "probability that a lead of a recording is spared by the mask", 0.0, 0.99)
    adversary_width: int = _setting(512, "filters at the top level of the U-Net", 8)
    adversary_depth: int = _setting(1, "residual blocks per level of the U-Net", 0)
    alpha: float = _setting(0.1, "weight of the sparsity penalty", 0.0)
    ratio: float = _setting(
        1.0, "ratio in the penalty 1 / sin(pi * ratio * mask area): an area of 1 / (2 * ratio) costs least", 0.01, 5.0
    )
    entropy_weight: float = _setting(
        0.0, "weight of the entropy of the masks' areas, which the adversary is to keep low (ADIOS); 0: none", 0.0
    )
    penalised_area: Literal["mask", "cover"] = _setting(
        "mask",
        "area that the penalty sees. mask: mean of the mask; cover: mean of the binarised mask, which is occluded",
    )
    update: Literal["alternating", "simultaneous"] = _setting(
        "alternating", "alternating: encoder, then adversary through it (ADIOS); simultaneous: one reversed gradient"
    )

    adversary_objective: Literal["game", "sparsity", "published-gradient", "none"] = _setting(
        "game",
        "game: the adversary plays; sparsity: only the area penalty trains it; published-gradient: that and what the "
        "published code leaves of the contrastive gradient; none: it stays as initialised",
    )
    adversary_every: int = _setting(1, "updates of the encoder for one update of the adversary", 1)
    adversary_warmup_steps: int = _setting(0, "updates of the encoder before the adversary's first", 0)
    target_accuracy: float = _setting(
        0.0,
        "the adversary is updated only in steps in which the encoder recognises more pairs than this; 0: always",
        0.0,
        0.99,
    )
    adversary_decay_steps: int = _setting(
        0, "updates over which the adversary's learning rate falls to 0, along a cosine; 0: it stays as it is", 0
    )

    learning_rate: float = _setting(4e-4, "Adam's rate for encoder and projector", 0.0)
    warmup_steps: int = _setting(
        0, "updates over which the encoder's learning rate rises in a line to learning_rate; 0: none", 0
    )
    learning_rate_schedule: Literal["constant", "cosine"] = _setting(
        "constant", "of encoder and projector after the warm-up; cosine: falls to 0 at the end of the run"
    )
    weight_decay: float = _setting(
        0.0, "decoupled decay (AdamW) of encoder and projector, but not of biases and batch normalisation; 0: none", 0.0
    )
    encoder_average: float = _setting(
        0.0, "decay of an exponential average of the encoder, which is then what is probed and saved; 0: none", 0.0, 1.0
    )
    adversary_learning_rate: float = _setting(4e-4, "Adam's rate for the adversary", 0.0)
    batch_size: int = _setting(32, "recordings that are contrasted with one another", 2)
    accumulation: int = _setting(4, "batches whose gradients are averaged for one update", 1)
    epochs: int = _setting(100, "passes through the data", 1)
    updates: int = _setting(
        0, "updates of the encoder, in place of epochs; the last pass through the data may stay a part; 0: epochs", 0
    )
    jit_compile: bool = _setting(True, "compile the training step with XLA")
    mixed_precision: Literal[False, True, "auto"] = _setting(
        False, "compute in bfloat16 where it is safe; auto: if there are GPUs that have it, as config.json then says"
    )

    pretraining_share: float = _setting(
        1.0, "share of the patients whose recordings are used; the others stay unseen, for evaluation", 0.01, 1.0
    )
    probe_tasks: tuple[str, ...] = _setting(
        (), "tasks of an online probe on labelled pretraining patients (rhythm, sex, columns of labels); none: no probe"
    )
    probe_every: int = _setting(1, "epochs between two probes", 1)
    patience: int = _setting(
        0, "stop after this many epochs without a better probe, and keep the encoder of the best; 0: never", 0
    )
    pictures_every: int = _setting(5, "epochs between two pictures of the masks; 0: only at the end", 0)
    keep_checkpoints: int = _setting(2, "how many checkpoints stay on disk", 1)
    seed: int = _setting(0, "seed of initial weights, order of the data, augmentations and choice of masks", 0)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check(field, getattr(self, field.name))
            if field.type is float:  # a whole number is a number
                object.__setattr__(self, field.name, float(getattr(self, field.name)))
        if self.mask_activation == "softmax" and self.masks == 1:
            raise InputError("mask_activation = 'softmax': a single mask would be 1 everywhere, use sigmoid")
        if self.negatives == "decoupled" and self.positives == "patient":
            raise InputError("negatives = 'decoupled': its loss is defined for positives = 'recording' only")
        if self.adversary_objective == "published-gradient":
            for name, values in {"update": ("alternating",), "masks": (1, 12), "mask_lead_dropout": (0.0,)}.items():
                if getattr(self, name) not in values:
                    known = " or ".join(map(str, values))
                    raise InputError(f"adversary_objective = 'published-gradient': it is derived for {name} = {known}")
        if self.patience and not self.probe_tasks:
            raise InputError("patience needs a probe: set probe_tasks, or patience = 0 for a fixed number of epochs")
        if self.learning_rate_schedule == "cosine" and 0 < self.updates <= self.warmup_steps:
            raise InputError(
                f"warmup_steps = {self.warmup_steps}: leaves none of {self.updates} updates to the cosine; lower it"
            )
        halves = 2 if self.pairing == "cmsc" else 1
        samples = self.sampling_rate_hz * self.window_seconds
        if samples != int(samples) or int(samples) % (POOLING_OF_MASKS * halves):
            raise InputError(
                f"window of {self.window_seconds:g} s at {self.sampling_rate_hz} Hz has {samples:g} samples: with "
                f"pairing {self.pairing} it must be a multiple of {POOLING_OF_MASKS * halves} (change window_seconds)"
            )
        frame = 2 * self.mask_hop_samples
        if self.mask_domain == "spectrum" and not 2 <= frame <= self.view_samples:
            raise InputError(
                f"mask_frame_seconds = {self.mask_frame_seconds:g}: a frame of {frame} samples does not fit a view of "
                f"{self.view_samples} at {self.sampling_rate_hz} Hz, between 2 and that many do"
            )

    @classmethod
    def preset(cls, name: str, **settings: Any) -> "Config":
        """The settings of a preset, with some of them replaced: ``Config.preset("cpu-advmask", epochs=5)``.

        Raises:
            InputError: there is no such preset, or a setting is unknown or not allowed.
        """
        return from_mapping(load(name).as_dict() | settings, f"preset {name}")

    @property
    def window_samples(self) -> int:
        """Samples in a window as networks get it; those of the data set may be longer."""
        return int(self.sampling_rate_hz * self.window_seconds)

    @property
    def view_samples(self) -> int:
        """Samples in what the encoder sees while it is trained: a window, or half of one under CMSC."""
        return self.window_samples // 2 if self.pairing == "cmsc" else self.window_samples

    def steps_of(self, windows: int) -> int:
        """Updates in an epoch over this number of windows."""
        return windows // (self.batch_size * self.accumulation)

    def updates_of(self, windows: int) -> int:
        """Updates in a whole run over this number of windows."""
        return self.updates or self.epochs * self.steps_of(windows)

    def epochs_of(self, windows: int) -> int:
        """Epochs of a whole run over this number of windows; with ``updates`` the last of them may be cut short."""
        return -(-self.updates // max(1, self.steps_of(windows))) if self.updates else self.epochs

    @property
    def mask_hop_samples(self) -> int:
        """Samples from one frame to the next, half a frame, where masks are in the spectrum."""
        return round(self.mask_frame_seconds * self.sampling_rate_hz / 2)

    @property
    def binarisation(self) -> tuple[float | None, float]:
        """The slope of the soft binarisation, None if masks occlude as they are; and the mask value of its step."""
        shared_out = self.mask_activation == "softmax" or (self.mask_activation == "auto" and self.masks not in (1, 12))
        threshold = 1 / self.masks if self.mask_threshold == "auto" and shared_out else 0.5
        return (None if self.mask_binarisation == "none" else self.mask_sharpness), threshold

    @property
    def chance_loss(self) -> float:
        """The contrastive loss of embeddings that are all the same, summed over the masks that it is taken of."""
        both = 2 * self.batch_size - 1
        candidates = {"both": both, "other": self.batch_size, "decoupled": both - 1}[self.negatives]
        summed = self.masks if self.method == "advmask" and self.mask_choice == "all" and self.masks < 12 else 1
        return summed * math.log(candidates)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as JSON and TOML hold them."""
        values = {key: list(value) if isinstance(value, tuple) else value for key, value in vars(self).items()}
        return {"preset": values.pop("preset_name"), **values}


def from_mapping(values: Mapping[str, Any], origin: str) -> Config:
    """A configuration from plain values; ``origin`` (a file or preset) is named in every complaint.

    Raises:
        InputError: a key is unknown, or a value is not allowed.
    """
    known = {field.name for field in dataclasses.fields(Config)} - {"preset_name"} | {"preset"}
    for key in values:
        if key not in known:
            raise InputError(f"{origin}: unknown setting {key!r} (ecg-advmask pretrain --help lists them)")
    plain: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    if "preset" in plain:
        plain["preset_name"] = plain.pop("preset")
    try:
        return Config(**plain)
    except InputError as error:
        raise InputError(f"{origin}: {error}") from error


def load(
    preset: str | None = None, file: str | Path | None = None, overrides: Sequence[str] = (), seed: int | None = None
) -> Config:
    """The settings of a preset or a TOML file (on top of the preset its ``base`` names), then overrides, then the seed.

    ``overrides`` are ``KEY=VALUE`` texts.

    Raises:
        InputError: the preset does not exist, the file cannot be read, or a setting is not allowed.
    """
    if file is not None:
        values = presets.settings_of_file(file)
        origin = str(file)
    else:
        name = preset or "paper"
        values = presets.settings(name) | {"preset": name}
        origin = f"preset {name}"
    values.pop("about", None)
    return _with_overrides(values, origin, overrides, seed)


def override(config: Config, overrides: Sequence[str] = (), seed: int | None = None) -> Config:
    """The configuration with ``KEY=VALUE`` overrides and another seed; errors as for `load`."""
    return _with_overrides(config.as_dict(), "settings", overrides, seed)


def _with_overrides(values: dict[str, Any], origin: str, overrides: Sequence[str], seed: int | None) -> Config:
    if overrides:
        values |= dict(_parse_override(text) for text in overrides)
        origin = f"{origin} with --set"
    if seed is not None:
        values["seed"] = seed
    return from_mapping(values, origin)


_COMMA_BETWEEN_WORDS = re.compile(r",(?![^(]*\))")
"""Not one within parentheses, as in ``vcg(angle_degrees=30, scale=2),time_mask``."""


def _parse_override(text: str) -> tuple[str, Any]:
    """``KEY=VALUE`` with the value in TOML's notation; a bare word is a string, ``a,b`` a list where one is due."""
    key, equals, value = (part.strip() for part in text.partition("="))
    fields = {field.name: field for field in dataclasses.fields(Config)}
    if not equals or key not in fields:
        raise InputError(f"--set {text}: expected KEY=VALUE with a known KEY (ecg-advmask pretrain --help lists them)")
    if get_origin(fields[key].type) is tuple and not value.startswith("["):
        return key, [word.strip() for word in _COMMA_BETWEEN_WORDS.split(value) if word]
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value


def _check(field: "dataclasses.Field[Any]", value: Any) -> None:
    """Refuse a value of the wrong type or outside the range declared with its field."""
    allowed: Any = field.type
    if get_origin(allowed) is Literal:
        good = any(type(value) is type(choice) and value == choice for choice in get_args(allowed))
        expected = "one of " + ", ".join(str(choice) for choice in get_args(allowed))
    elif get_origin(allowed) is tuple:
        good = isinstance(value, tuple) and all(isinstance(item, str) for item in value)
        expected = "a list of names"
    elif allowed is float:
        good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        expected = "a finite number"
    else:
        good = type(value) is allowed
        expected = {int: "a whole number", bool: "true or false", str: "a text"}[allowed]
    if not good:
        raise InputError(f"{field.name} = {value!r}: expected {expected}")
    minimum, maximum = field.metadata["minimum"], field.metadata["maximum"]
    if (minimum is not None and not value >= minimum) or (maximum is not None and not value <= maximum):
        bounds = f"at least {minimum:g}" if maximum is None else f"between {minimum:g} and {maximum:g}"
        raise InputError(f"{field.name} = {value!r}: must be {bounds}")
