"""How the encoder is trained: its rate, weight decay, the average of its weights, the number of updates."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from ecg_advmask.config import Config
from ecg_advmask.data.dataset import DataSet
from ecg_advmask.errors import InputError
from ecg_advmask.pretrain import checkpoints, trainer
from ecg_advmask.pretrain.probe import is_finished
from ecg_advmask.pretrain.run import Run
from ecg_advmask.pretrain.simclr import SimCLR, learning_rate_of
from pretrain.small import eager, small

TINY = Config(
    sampling_rate_hz=100,
    window_seconds=2.5,
    method="simclr",
    augmentations=("gaussian",),
    batch_size=4,
    accumulation=1,
    jit_compile=False,
    pictures_every=0,
    learning_rate=1e-2,
    adversary_learning_rate=1e-2,
)
RECIPE = dataclasses.replace(
    TINY,
    method="advmask",
    updates=5,
    warmup_steps=2,
    learning_rate_schedule="cosine",
    weight_decay=0.1,
    encoder_average=0.9,
    target_accuracy=0.3,
)


@pytest.fixture
def data(write_data: Callable[..., Path], tmp_path: Path) -> DataSet:
    """Ten windows: two updates an epoch."""
    windows_uv = np.random.default_rng(0).integers(-2000, 2000, (10, 250, 12)).astype(np.int16)
    return DataSet.open(write_data(tmp_path / "data", windows_uv, [10]))


def windows(count: int = 4) -> Any:
    return tf.constant(np.random.default_rng(1).normal(size=(count, 250, 12)).astype(np.float32))


def values(variables: Any) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(variable).copy() for variable in variables]


@pytest.mark.parametrize(("warmup", "kind"), [(0, "constant"), (4, "constant"), (0, "cosine"), (4, "cosine")])
def test_the_rate_of_every_update(warmup: int, kind: Any) -> None:
    config = dataclasses.replace(TINY, warmup_steps=warmup, learning_rate_schedule=kind, updates=12, learning_rate=0.02)
    expected = []
    for n in range(12):
        if n < warmup:
            expected.append(0.02 / warmup + (0.02 - 0.02 / warmup) * n / warmup)
        else:
            share = (n - warmup) / (12 - warmup)
            expected.append(0.02 * (0.5 + 0.5 * np.cos(np.pi * share)) if kind == "cosine" else 0.02)
    model = eager(config)
    found = []
    for _ in range(12):
        found.append(float(model.optimizer.learning_rate))
        model.optimizer.iterations.assign_add(1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert (warmup == 0 and kind == "constant") == isinstance(learning_rate_of(config), float)


def test_a_cosine_needs_the_number_of_updates_and_room() -> None:
    with pytest.raises(InputError, match="updates"):
        eager(dataclasses.replace(TINY, learning_rate_schedule="cosine"))
    with pytest.raises(InputError, match="warmup_steps = 5"):
        dataclasses.replace(TINY, learning_rate_schedule="cosine", updates=5, warmup_steps=5)


def test_weights_decay_but_not_biases_and_normalisation(tmp_path: Path) -> None:
    """By hand: an update whose gradient is zero, before and after the model is saved."""
    model = eager(dataclasses.replace(TINY, weight_decay=0.5))
    for _ in range(2):
        before = values(model.learner_variables)
        model.update_learner([tf.zeros(one.shape) for one in model.learner_variables])
        shrunk = [0.995 * value if value.ndim > 1 else value for value in before]
        assert {value.ndim for value in before} == {1, 2, 3}
        for found, value in zip(values(model.learner_variables), shrunk, strict=True):
            np.testing.assert_allclose(found, value, rtol=1e-6)
        model.save(tmp_path / "model.keras")
        model = keras.models.load_model(tmp_path / "model.keras")


def test_the_average_of_the_encoder(tmp_path: Path) -> None:
    """Written out, moving statistics included; it is what is saved and called."""
    model: SimCLR = eager(dataclasses.replace(TINY, encoder_average=0.2))
    assert model.kept_encoder is not model.encoder
    expected = values(model.encoder.variables)
    for value, other in zip(expected, values(model.kept_encoder.variables), strict=True):
        np.testing.assert_array_equal(value, other)
    for n in (1, 2, 3):
        model.train_step(windows())
        decay = min(0.2, (1 + n) / (10 + n))
        latest = values(model.encoder.variables)
        expected = [decay * old + (1 - decay) * new for old, new in zip(expected, latest, strict=True)]
    assert decay == 0.2 != 2 / 11
    found = values(model.kept_encoder.variables)
    for one, other, trained in zip(found, expected, latest, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
        assert not np.allclose(one, trained, rtol=1e-5, atol=1e-7)
    run = Run(tmp_path, model.config, {})
    run.save(model)
    for one, other in zip(run.encoder().get_weights(), found, strict=True):
        np.testing.assert_array_equal(one, other)
    embeddings = model(windows()), model.averaged_encoder(windows()), model(windows(), training=True)
    assert np.allclose(model(10 * windows()), embeddings[0], atol=1e-5)  # scaled to [0, 1] first
    assert not np.allclose(embeddings[0], embeddings[1]) and not np.allclose(embeddings[0], embeddings[2])
    assert len(model.learner_variables) == len(eager(TINY).learner_variables)


@pytest.mark.slow
def test_a_run_of_updates_ends_within_an_epoch_and_is_resumed(
    data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "build", eager)
    said: list[str] = []

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, *_: Any) -> None:
            if epoch == stop_after:
                raise KeyboardInterrupt

    assert len(data.batches(RECIPE)) == 5 == len(list(data.batches(RECIPE)))
    alone = trainer.pretrain(data, tmp_path / "alone", RECIPE, log=said.append)
    assert any("epochs 1 to 3" in line for line in said)
    assert alone.history()["epoch"].tolist() == [1, 2, 3] and is_finished(alone)
    assert set(alone.history()["adversary_moved"]) <= {0.0, 0.5, 1.0}
    model = eager(RECIPE)
    checkpoints.restore(checkpoints.found(alone.path / "checkpoints")[-1], model.state)
    assert int(model.optimizer.iterations) == 5
    for one, other in zip(alone.encoder().get_weights(), model.kept_encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    last = checkpoints.path_of(Path("checkpoints"), 3)
    for stop_after in (0, 1):
        place = tmp_path / f"stopped-{stop_after}"
        with pytest.raises(KeyboardInterrupt):
            trainer.pretrain(data, place, RECIPE, log=said.append, callbacks=[Stop()])
        assert not is_finished(Run.open(place))
        trainer.pretrain(data, place, RECIPE, resume=True, log=said.append)
        for name in (last, "history.csv"):
            assert (place / name).read_bytes() == (alone.path / name).read_bytes()
    trainer.pretrain(data, place, RECIPE, resume=True, log=said.append)
    assert "all 3 epochs are finished already" in said[-1]
    with pytest.raises(InputError, match="updates 5 -> 9"):
        trainer.pretrain(data, place, dataclasses.replace(RECIPE, updates=9), resume=True, log=said.append)


def test_a_run_with_a_cosine_is_as_long_as_it_was_started(
    data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "build", eager)
    config = dataclasses.replace(TINY, learning_rate_schedule="cosine", epochs=1)
    rates: list[float] = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_begin(self, *_: Any, **__: Any) -> None:
            rates.append(float(self.model.optimizer.learning_rate))

        def on_train_end(self, *_: Any, **__: Any) -> None:
            rates.append(float(self.model.optimizer.learning_rate))

    trainer.pretrain(data, tmp_path / "run", config, log=lambda _: None, callbacks=[Watch()])
    np.testing.assert_allclose(rates, [1e-2, 5e-3, 0], atol=1e-9)
    with pytest.raises(InputError, match="epochs 1 -> 2"):
        trainer.pretrain(data, tmp_path / "run", dataclasses.replace(config, epochs=2), resume=True)


@pytest.mark.parametrize(
    ("update", "compiled"),
    [pytest.param("alternating", True, marks=pytest.mark.slow), ("alternating", False), ("simultaneous", False)],
)
def test_the_adversary_waits_while_the_encoder_recognises_too_little(update: Any, compiled: bool) -> None:
    """With the accuracy set by hand, in one program where XLA compiles the step."""
    config = dataclasses.replace(RECIPE, update=update, updates=0, learning_rate_schedule="constant")
    model, accuracy = small(config), tf.Variable(0.0)
    model.compile(run_eagerly=not compiled, jit_compile=compiled)
    contrast = model.contrast

    def with_accuracy(pairs: Any, view: Any) -> Any:
        loss, logs = contrast(pairs, view)
        return loss, logs | {"contrastive_accuracy": accuracy + 0}

    model.contrast = with_accuracy
    step = tf.function(model.train_step, jit_compile=True, autograph=False) if compiled else model.train_step
    # where both players share a pass, that moves the statistics of both
    still = model.adversary_state if update == "alternating" else model.adversary.trainable_variables
    still = [*still, *model.adversary_optimizer.variables]
    for value, moves in ((0.25, False), (0.5, True), (0.3, False)):
        accuracy.assign(value)
        before, learner = values(still), values(model.learner_variables)
        model.reset_metrics()
        assert float(step(windows())["adversary_moved"]) == moves
        same = [np.array_equal(one, other) for one, other in zip(before, values(still), strict=True)]
        assert not all(same) if moves else all(same)
        assert not np.array_equal(learner[0], values(model.learner_variables)[0])
