"""`SimCLR` and `AdvMask` as Keras models: networks are arguments; compiled, fitted, saved and loaded as any other."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from ecg_advmask.config import Config
from ecg_advmask.data.batches import stream
from ecg_advmask.data.dataset import DataSet
from ecg_advmask.data.scaling import standardise
from ecg_advmask.errors import InputError
from ecg_advmask.models.resnet import resnet18_1d
from ecg_advmask.models.unet import unet1d
from ecg_advmask.pretrain import trainer
from ecg_advmask.pretrain.advmask import AdvMask
from ecg_advmask.pretrain.run import Run
from ecg_advmask.pretrain.simclr import SimCLR
from pretrain.small import adversary, eager, encoder, projector, small

CONFIG = Config(
    sampling_rate_hz=100,
    window_seconds=2.5,
    projection_hidden=16,
    projection_dim=4,
    batch_size=4,
    accumulation=1,
    epochs=2,
    jit_compile=False,
    learning_rate=1e-2,
    adversary_learning_rate=1e-2,
)


@pytest.fixture(autouse=True)
def _same_initial_weights() -> None:
    keras.utils.set_random_seed(3)


def windows(count: int = 9, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(2.0, 3.0, (count, 250, 12)).astype(np.float32)


def values(variables: Any) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(variable).copy() for variable in variables]


def test_a_projector_is_made_by_the_settings_where_none_is_given() -> None:
    model = SimCLR(encoder(5), config=CONFIG)
    assert model.projector.input_shape == (None, 5)
    assert [tuple(w.shape) for w in model.projector.weights] == [(5, 16), (16,), (16, 4), (4,)]
    assert model(windows()).shape == (9, 5)


def test_settings_go_before_the_config_and_the_method_is_that_of_the_class() -> None:
    model = SimCLR(encoder(), config=CONFIG, temperature=0.5, batch_size=3)
    assert model.config == dataclasses.replace(CONFIG, method="simclr", temperature=0.5, batch_size=3)
    assert AdvMask(encoder(), adversary(CONFIG)).config == Config()
    with pytest.raises(InputError, match="temperature"):
        SimCLR(encoder(), temperature=0.0)
    with pytest.raises(TypeError, match="warmth"):
        SimCLR(encoder(), warmth=1.0)


def test_networks_that_do_not_fit_one_another_are_refused() -> None:
    with pytest.raises(InputError, match="projector: takes 8 values, the encoder gives 5"):
        SimCLR(encoder(5), projector(8))
    with pytest.raises(InputError, match=r"adversary: gives 1 masks, .* masks = 4"):
        AdvMask(encoder(), adversary(CONFIG), masks=4)


def test_the_networks_of_the_method_fit_as_they_come() -> None:
    model = AdvMask(resnet18_1d(2, 8), unet1d(8, 0), config=CONFIG)
    assert model(windows(2)).shape == (2, 8)
    assert model.projector(model(windows(2))).shape == (2, 4)
    assert model.adversary(windows(2)).shape == (2, 250, 1)


def test_fit_of_an_array_standardises_shuffles_and_takes_full_batches() -> None:
    given = windows()
    model = SimCLR(encoder(), projector(), config=CONFIG)
    seen: list[np.ndarray] = []
    step = model.train_step
    model.train_step = lambda data: (seen.append(data[0].numpy()), step(data))[1]
    model.compile(run_eagerly=True)
    model.fit(given, epochs=2, verbose=0)
    assert [batch.shape for batch in seen] == [(4, 250, 12)] * 4
    expected = np.asarray(standardise(tf.constant(given)))
    places = [int(np.abs(expected - window).max(axis=(1, 2)).argmin()) for batch in seen for window in batch]
    np.testing.assert_allclose(np.concatenate(seen), expected[places], atol=1e-6)
    assert len(set(places[:8])) == len(set(places[8:])) == 8 and places[:8] != places[8:]
    seen.clear()
    model.fit(given, batch_size=3, verbose=0)
    assert [len(batch) for batch in seen] == [3, 3, 3]


def test_what_cannot_be_fitted_is_refused() -> None:
    model = SimCLR(encoder(), projector(), config=CONFIG, accumulation=3, batch_size=3)
    model.compile(run_eagerly=True)
    with pytest.raises(InputError, match="at least the 9 of one update"):
        model.fit(windows(8))
    with pytest.raises(InputError, match="10 windows: cannot be divided evenly, accumulation is 3"):
        model.fit(windows(10), batch_size=10, verbose=0)
    by_patient = SimCLR(encoder(), projector(), config=CONFIG, positives="patient")
    by_patient.compile(run_eagerly=True)
    with pytest.raises(InputError, match="positives"):
        by_patient.fit(windows(), verbose=0)
    by_patient.fit(windows(), np.arange(9) // 2, verbose=0)


@pytest.mark.parametrize("decay", [0, 7])
def test_fit_compiles_as_the_settings_say_unless_it_was_done(decay: int, monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataclasses.replace(CONFIG, learning_rate=0.02, adversary_learning_rate=0.03, adversary_decay_steps=decay)
    monkeypatch.setattr(keras.Model, "fit", lambda *_, **__: None)
    model = small(config)
    assert not model.compiled
    model.fit(windows())
    for optimizer, rate in ((model.optimizer, 0.02), (model.adversary_optimizer, 0.03)):
        assert isinstance(optimizer, keras.optimizers.Adam) and optimizer.epsilon == 1e-8
        assert float(optimizer.learning_rate) == pytest.approx(rate)
    schedule = model.adversary_optimizer.get_config()["learning_rate"]
    assert schedule["config"]["decay_steps"] == decay if decay else isinstance(schedule, float)
    assert not model.jit_compile
    model.compile("sgd", keras.optimizers.RMSprop())
    model.fit(windows())
    assert [type(getattr(model, name)).__name__ for name in model.optimizers] == ["SGD", "RMSprop"]


@pytest.mark.parametrize("model_class", [SimCLR, AdvMask])
def test_a_saved_model_is_loaded_and_goes_on_as_if_it_had_not_been(model_class: Any, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, method=model_class.method, augmentations=("gaussian",))
    model = small(config)
    rates = dict(zip(model.optimizers, (0.02, 0.03), strict=False))
    model.compile(**{name: keras.optimizers.SGD(rate, 0.9) for name, rate in rates.items()}, run_eagerly=True)
    batch = np.asarray(standardise(tf.constant(windows(4))))
    model.train_on_batch(batch)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is model_class and loaded.config == config
    assert {name: float(getattr(loaded, name).learning_rate) for name in rates} == pytest.approx(rates)
    for _ in range(2):
        for one, other in zip(values(model.state), values(loaded.state), strict=True):
            np.testing.assert_array_equal(one, other)
        loaded.compile(**{name: getattr(loaded, name) for name in rates}, run_eagerly=True)
        model.train_on_batch(batch)
        loaded.train_on_batch(batch)
    again = model_class.from_config(model.get_config())
    assert again.config == config and len(again.variables) == len(model.variables)
    assert not keras.models.load_model(tmp_path / "model.keras", compile=False).compiled


@pytest.mark.parametrize("positives", [pytest.param("recording", marks=pytest.mark.slow), "patient"])
def test_batches_of_a_data_set_are_those_of_a_pretraining(
    positives: Any, write_data: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`fit` on them ends with the weights of the run."""
    windows_uv = np.random.default_rng(0).integers(-2000, 2000, (14, 300, 12)).astype(np.int16)
    patients = [f"P{row // 2}" for row in range(14)]
    duplicates = ["" if row % 7 else "R001" for row in range(14)]
    data = DataSet.open(write_data(tmp_path / "data", windows_uv, [7, 7], patient=patients, duplicate_of=duplicates))
    config = dataclasses.replace(CONFIG, method="simclr", positives=positives, augmentations=("gaussian",))
    batches = data.batches(config)
    assert len(batches) == 6 == len(list(batches))
    assert batches.element_spec if positives == "patient" else batches.element_spec.shape == (4, 250, 12)

    monkeypatch.setattr(trainer, "build", eager)
    run = trainer.pretrain(data, tmp_path / "run", config, log=lambda _: None)
    model = eager(config)
    model.fit(batches, epochs=2, steps_per_epoch=3, verbose=0)
    for one, other in zip(run.encoder().get_weights(), model.encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_batches_of_other_windows_are_refused(write_data: Callable[..., Path], tmp_path: Path) -> None:
    data = DataSet.open(write_data(tmp_path / "data", np.ones((9, 250, 12), np.int16), [9]))
    for changes, complaint in (
        ({"sampling_rate_hz": 125, "window_seconds": 2.0}, "sampling rate"),
        ({"window_seconds": 5.0}, "windows have 250 samples"),
        ({"batch_size": 10}, "9 windows"),
    ):
        with pytest.raises(InputError, match=complaint):
            data.batches(dataclasses.replace(CONFIG, **changes))
    assert stream(data, 9, seed=0).element_spec.shape == (9, 250, 12)


def test_the_run_that_tests_share_is_one(trained_run: Path) -> None:
    run = Run.open(trained_run)
    assert run.history()["epoch"].tolist() == [1]
    assert run.encoder().output_shape == (None, 8) and run.adversary().output_shape == (None, None, 1)
