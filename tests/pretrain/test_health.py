"""Warnings: which averages of an epoch bring them, and a run that is set to collapse."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecg_advmask.config import Config
from ecg_advmask.data.dataset import DataSet
from ecg_advmask.pretrain import trainer
from ecg_advmask.pretrain.callbacks import troubles
from ecg_advmask.pretrain.trainer import pretrain
from pretrain.small import eager

HEALTHY = {"loss": 2.0, "embedding_std": 0.5, "mask_cover": 0.4}
CONFIG = Config(batch_size=32)


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, set()),
        ({"mask_cover": 0.01}, {"vanished"}),
        ({"mask_cover": 0.95}, {"covered"}),
        ({"embedding_std": 0.01}, {"collapsed"}),
        ({"loss": 0.96 * np.log(63)}, {"collapsed"}),
        ({"loss": 0.94 * np.log(63)}, set()),
        ({"loss": 4.1, "mask_cover": 0.99}, {"collapsed", "covered"}),
    ],
)
def test_troubles_are_named(changes: dict[str, float], names: set[str]) -> None:
    assert set(troubles(HEALTHY | changes, CONFIG)) == names


def test_without_an_adversary_only_embeddings_can_fail() -> None:
    config = dataclasses.replace(CONFIG, method="simclr")
    assert troubles({"loss": 2.0, "embedding_std": 0.5}, config) == {}
    (text,) = troubles({"loss": 2.0, "embedding_std": 0.0}, config).values()
    assert "adversary" not in text


def test_chance_is_the_loss_of_identical_embeddings() -> None:
    assert CONFIG.chance_loss == pytest.approx(np.log(63))
    assert dataclasses.replace(CONFIG, negatives="other").chance_loss == pytest.approx(np.log(32))
    assert dataclasses.replace(CONFIG, negatives="decoupled").chance_loss == pytest.approx(np.log(62))
    assert dataclasses.replace(CONFIG, masks=4, mask_choice="all").chance_loss == pytest.approx(4 * np.log(63))
    assert dataclasses.replace(CONFIG, masks=12, mask_choice="all").chance_loss == pytest.approx(np.log(63))


@pytest.mark.slow
def test_a_run_that_is_set_to_collapse_warns(
    tmp_path: Path, write_data: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An adversary that is far faster than the encoder, and pays nothing for covering all."""
    windows = np.random.default_rng(0).normal(0, 300, (64, 250, 12)).astype(np.int16)
    write_data(tmp_path / "data", windows, [64], 100)
    said: list[str] = []
    config = Config(
        sampling_rate_hz=100,
        window_seconds=2.5,
        batch_size=32,
        accumulation=1,
        epochs=6,
        alpha=0.0,
        adversary_learning_rate=0.5,
        learning_rate=1e-5,
    )
    monkeypatch.setattr(trainer, "build", eager)
    pretrain(DataSet.open(tmp_path / "data"), tmp_path / "run", config, log=said.append)
    warnings = [line for line in said if line.startswith("warning: ")]
    assert any("recordings are not distinguished" in line for line in warnings), said
    assert len(warnings) == len(set(warnings))
