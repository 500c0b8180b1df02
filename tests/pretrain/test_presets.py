"""Every preset: its players move by their own gradients alone, it goes on as if never interrupted, it trains."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from ecg_advmask import config as configuration
from ecg_advmask import presets
from ecg_advmask.config import Config
from ecg_advmask.pretrain import checkpoints
from ecg_advmask.pretrain.trainer import build

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
}
METHODS = presets.method_names()


@pytest.fixture(autouse=True)
def _forget_models() -> Iterator[None]:
    yield
    keras.backend.clear_session()


def small(method: str, **changes: Any) -> Any:
    """The model of a method, as its preset has it but for the size."""
    config = dataclasses.replace(configuration.load(f"cpu-{method}"), **SMALL, **changes)
    return build(config)


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


@pytest.mark.parametrize("method", METHODS)
def test_each_trainable_variable_moves_by_its_own_player_and_by_no_other(method: str) -> None:
    """Adam moves a variable as soon as its gradient is not zero; each player in turn has the rate zero."""
    for moving in players(small(method)):
        model = small(method)
        found = players(model)
        for name, (optimizer, _) in found.items():
            if name != moving:
                optimizer.learning_rate.assign(0.0)
        before = {name: values(variables) for name, (_, variables) in found.items()}
        model.train_step(batch_for(model.config))
        frozen = moving == "adversary" and model.config.adversary_objective == "none"
        for name, (_, variables) in found.items():
            moved = changed(before[name], variables)
            assert not any(moved) if name != moving or frozen else all(moved), (moving, name, moved)


@pytest.mark.parametrize("method", METHODS)
def test_a_stored_and_restored_model_takes_the_same_next_step(method: str, tmp_path: Path) -> None:
    """And two models of one seed are the same after their first; what the other did later is forgotten."""
    model, other = small(method), small(method)
    first, second = (batch_for(model.config, seed) for seed in (0, 1))
    logs = [{name: float(value) for name, value in one.train_step(first).items()} for one in (model, other)]
    assert logs[0] == logs[1]
    assert not any(changed(values(model.state), other.state))

    path = checkpoints.save(tmp_path, 1, model.state)
    model.train_step(second)
    other.train_step(first)
    assert any(changed(values(model.state), other.state))
    checkpoints.restore(path, other.state)
    other.train_step(second)
    assert not any(changed(values(model.state), other.state))


def _named(name: str) -> Any:
    """The wide U-Nets of the paper take seconds to make."""
    config = configuration.load(name)
    slow = config.method == "advmask" and config.adversary_width >= 512
    return pytest.param(name, marks=pytest.mark.slow) if slow else name


@pytest.mark.parametrize("name", [_named(name) for name in presets.names()])
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
