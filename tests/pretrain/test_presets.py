"""Every preset: its players move by their own gradients alone, and it goes on as if never interrupted.

Presets that differ in sizes, rates and parameters of augmentations alone have the same graph, and share a test of it.
"""

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from ecg_advmask import config as configuration
from ecg_advmask import presets
from ecg_advmask.augment import compose
from ecg_advmask.config import Config
from ecg_advmask.pretrain import checkpoints, trainer
from ecg_advmask.pretrain.advmask import AdvMask
from ecg_advmask.pretrain.trainer import build
from pretrain.small import encoder, projector, small

SMALL: dict[str, Any] = {
    "encoder_width": 4,
    "embedding_dim": 8,
    "projection_hidden": 16,
    "projection_dim": 8,
    "adversary_width": 16,  # with 8, gates have a single unit, which may be dead
    "window_seconds": 2.5,
    "batch_size": 4,
    "accumulation": 1,
    "jit_compile": False,
    "learning_rate": 1e-2,
    "adversary_learning_rate": 1e-2,
    "adversary_warmup_steps": 0,
    "adversary_every": 1,
    "adversary_decay_steps": 0,
}
GRAPH = (
    "method", "negatives", "pairing", "augment", "positives", "masks", "mask_choice", "mask_activation", "mask_domain",
    "penalised_area", "update", "adversary_objective", "adversary_depth", "masked_view", "mask_binarisation",
)  # fmt: skip


def graph_of(config: Config) -> tuple[Any, ...]:
    """What makes the step of two presets the same, whatever the sizes and numbers in it."""
    augmented = bool(config.augmentations), bool(config.second_augmentations)
    return (*(getattr(config, name) for name in GRAPH), config.mask_lead_dropout > 0, *augmented)


def distinct() -> list[str]:
    """One preset for each graph."""
    graphs = {graph_of(configuration.load(name)): name for name in reversed(presets.names())}
    return sorted(graphs.values())


DISTINCT = distinct()
SOME = DISTINCT[::3]


def with_unet(config: Config) -> AdvMask:
    """Small networks beside the adversary of the method."""
    return AdvMask(encoder(), trainer.adversary(config), projector(), config=config)


def batch_for(config: Config, seed: int = 0) -> Any:
    """Standardised windows, with the numbers of their patients: two recordings of each."""
    count = config.batch_size * config.accumulation
    rng = np.random.default_rng(seed)
    windows = rng.normal(size=(count, config.window_samples, 12)).cumsum(axis=1)
    windows = (windows - windows.mean((1, 2), keepdims=True)) / windows.std((1, 2), keepdims=True)
    return tf.constant(windows.astype(np.float32)), tf.range(count) // 2


def values(variables: list[Any]) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(variable).copy() for variable in variables]


def changed(before: list[np.ndarray], variables: list[Any]) -> list[bool]:
    return [not np.array_equal(old, new) for old, new in zip(before, values(variables), strict=True)]


def players(model: Any) -> dict[str, tuple[Any, list[Any]]]:
    """Optimizer and variables of each player that learns in this model."""
    found = {"learner": (model.optimizer, model.learner_variables)}
    if model.config.method == "advmask":
        found["adversary"] = (model.adversary_optimizer, model.adversary.trainable_variables)
    return found


def assign(state: list[np.ndarray], variables: list[Any]) -> None:
    for variable, value in zip(variables, state, strict=True):
        variable.assign(value)


def logs_of(model: Any, batch: Any) -> dict[str, float]:
    for average in model.metrics:
        average.reset_state()
    return {name: float(value) for name, value in model.train_step(batch).items()}


@pytest.mark.parametrize(
    ("name", "networks"),
    [
        *((name, small) for name in SOME),
        *(pytest.param(name, small, marks=pytest.mark.slow) for name in DISTINCT if name not in SOME),
        pytest.param("cpu-cmsc", build, marks=pytest.mark.slow),
        ("cpu-advmask", with_unet),
        *(
            pytest.param(name, build, marks=pytest.mark.exhaustive)
            for name in presets.names()
            if not name.startswith("paper")
        ),
    ],
    ids=lambda given: given if isinstance(given, str) else given.__name__,
)
def test_players_move_by_their_own_gradients_alone_and_a_restored_model_takes_the_same_step(
    name: str, networks: Any, tmp_path: Path
) -> None:
    """Adam moves a variable as soon as its gradient is not zero; each player in turn has the rate zero."""
    config = configuration.load(name)
    seconds = 250 / config.sampling_rate_hz
    config = dataclasses.replace(config, **(SMALL | {"window_seconds": seconds, "mask_frame_seconds": seconds / 5}))
    keras.utils.set_random_seed(config.seed)
    model = networks(config)
    model.compile()
    first, second = (batch_for(config, seed) for seed in (0, 1))
    found, start = players(model), values(model.state)
    for moving in found:
        assign(start, model.state)
        for player, (optimizer, _) in found.items():
            if player != moving:
                optimizer.learning_rate.assign(0.0)
        assert np.isfinite([*logs_of(model, first).values()]).all()
        frozen = moving == "adversary" and config.adversary_objective == "none"
        before = dict(zip(map(id, model.state), start, strict=True))
        for player, (_, variables) in found.items():
            moved = changed([before[id(variable)] for variable in variables], variables)
            assert not any(moved) if player != moving or frozen else all(moved), (moving, player, moved)

    if networks is not build and name not in ("cpu-n3", "3kg-both"):  # the state of the others has the same parts
        return
    path = checkpoints.save(tmp_path, 1, model.state)
    logs = logs_of(model, second)
    after = values(model.state)
    logs_of(model, first)
    assert any(changed(after, model.state))
    checkpoints.restore(path, model.state)
    assert logs_of(model, second) == logs
    assert not any(changed(after, model.state))


@pytest.mark.slow
def test_models_of_one_seed_are_the_same() -> None:
    config = dataclasses.replace(configuration.load("cpu-advmask"), **SMALL | {"adversary_depth": 0})
    one, other = values(build(config).state), values(build(config).state)
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    another = values(build(dataclasses.replace(config, seed=1)).state)
    assert not all(np.array_equal(a, b) for a, b in zip(one, another, strict=True))


def test_the_augmentations_of_every_preset_fit_its_rate() -> None:
    chains = {
        (augmentations, config.sampling_rate_hz)
        for config in map(configuration.load, presets.names())
        for augmentations in (config.augmentations, config.second_augmentations)
    }
    assert len(chains) > 20
    signals = np.random.default_rng(0).normal(size=(2, 250, 12)).astype(np.float32)
    for augmentations, rate in chains:
        augmented = compose(augmentations)(signals, keras.random.SeedGenerator(0), rate)
        assert np.isfinite(augmented).all() and (np.abs(augmented - signals).max() > 0) == bool(augmentations)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", presets.names())
def test_every_preset_trains_for_a_step(name: str) -> None:
    """As it is, but for a short window and a small batch."""
    config = configuration.load(name)
    seconds = 250 / config.sampling_rate_hz
    short = {"window_seconds": seconds, "mask_frame_seconds": seconds / 5}
    config = dataclasses.replace(config, **short, batch_size=2, accumulation=1, jit_compile=False)
    model = build(config)
    before = values(model.encoder.trainable_variables)
    logs = model.train_step(batch_for(config))
    assert np.isfinite([float(value) for value in logs.values()]).all()
    assert all(changed(before, model.encoder.trainable_variables))
