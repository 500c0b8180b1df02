"""A loss or weights that are not finite end a run, and are refused wherever they are read."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ecg_advmask.config import Config
from ecg_advmask.data.dataset import DataSet
from ecg_advmask.errors import InputError
from ecg_advmask.pretrain import checkpoints, trainer
from ecg_advmask.pretrain.run import Run
from ecg_advmask.pretrain.trainer import pretrain
from pretrain.small import eager

CONFIG = Config(sampling_rate_hz=100, window_seconds=2.5, batch_size=4, accumulation=1, epochs=3, pictures_every=0)


@pytest.fixture(autouse=True)
def _small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "build", eager)


@pytest.fixture
def data(write_data: Callable[..., Path], tmp_path: Path) -> DataSet:
    windows_uv = np.random.default_rng(0).integers(-2000, 2000, (8, 250, 12)).astype(np.int16)
    return DataSet.open(write_data(tmp_path / "data", windows_uv, [8]))


class Spoil(keras.callbacks.Callback):
    """From the first step of an epoch on, weights are NaN; the loss is from the second on."""

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        if epoch + 1 == self.epoch:
            self.model.optimizer.learning_rate.assign(np.nan)


def silent(_: str) -> None:
    pass


@pytest.mark.parametrize(
    ("batch_size", "what"), [(4, "loss is"), pytest.param(8, "weights are", marks=pytest.mark.slow)]
)
def test_the_last_good_epoch_is_kept(data: DataSet, tmp_path: Path, batch_size: int, what: str) -> None:
    config, path = dataclasses.replace(CONFIG, batch_size=batch_size), tmp_path / "run"
    with pytest.raises(InputError, match=f"^{path}: the {what} not finite in epoch 2, .*learning_rate$"):
        pretrain(data, path, config, log=silent, callbacks=[Spoil(2)])
    run = Run.open(path)
    assert [checkpoints.epoch_of(saved) for saved in checkpoints.found(path / "checkpoints")] == [1]
    assert run.history()["epoch"].tolist() == [1]
    assert np.isfinite(run.encoder()(np.ones((1, 250, 12), np.float32))).all()
    assert pretrain(data, path, config, resume=True, log=silent).history()["epoch"].tolist() == [1, 2, 3]


def test_of_a_run_without_a_good_epoch_nothing_is_left(data: DataSet, tmp_path: Path) -> None:
    path = tmp_path / "run"
    with pytest.raises(InputError, match="not finite in epoch 1"):
        pretrain(data, path, dataclasses.replace(CONFIG, learning_rate=1e30), log=silent)
    assert {file.name for file in path.iterdir()} <= {".lock"}
    pretrain(data, path, dataclasses.replace(CONFIG, epochs=1), log=silent)


def test_weights_that_are_not_finite_are_refused(data: DataSet, tmp_path: Path) -> None:
    """As runs of older versions may have them."""
    config = dataclasses.replace(CONFIG, epochs=1)
    run, model = Run.create(tmp_path / "run", config, data, np.arange(8)), eager(config)
    model.encoder.set_weights([weight * np.nan for weight in model.encoder.get_weights()])
    run.save(model)
    path = checkpoints.save(run.path / "checkpoints", 1, model.state)
    with pytest.raises(InputError, match=r"encoder\.keras: holds weights that are not finite"):
        run.encoder()
    with pytest.raises(InputError, match=f"^{path}: holds values that are not finite"):
        pretrain(data, run.path, dataclasses.replace(config, epochs=2), resume=True, log=silent)


def test_a_damaged_shard_is_found_before_there_is_a_run(data: DataSet, tmp_path: Path) -> None:
    (shard,) = data.shard_paths
    content = bytearray(shard.read_bytes())
    content[-100] ^= 1
    shard.write_bytes(content)
    with pytest.raises(InputError, match=f"^{shard}: was altered"):
        pretrain(DataSet.open(data.path), tmp_path / "run", CONFIG, log=silent)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("rates", [{"learning_rate": 1}, {"learning_rate": 0}, {"adversary_learning_rate": 0}])
def test_learning_rates_may_be_whole_numbers(rates: dict[str, Any]) -> None:
    config = dataclasses.replace(CONFIG, adversary_decay_steps=2, **rates)
    assert all(type(getattr(config, name)) is float for name in rates)
    model = eager(config)
    windows = np.random.default_rng(0).normal(size=(4, 250, 12)).astype(np.float32)
    before = [player.get_weights()[0] for player in (model.encoder, model.adversary)]
    model.train_on_batch(windows)
    moved = [
        not np.array_equal(old, player.get_weights()[0])
        for old, player in zip(before, (model.encoder, model.adversary), strict=True)
    ]
    assert moved == [config.learning_rate > 0, config.adversary_learning_rate > 0]
