"""The online probe: what it sees, what it says of a good and a useless encoder, and when it ends a run."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

from ecg_advmask.config import Config
from ecg_advmask.data.dataset import DataSet
from ecg_advmask.errors import InputError
from ecg_advmask.pretrain import probe as probe_module
from ecg_advmask.pretrain import trainer
from ecg_advmask.pretrain.probe import Probe
from ecg_advmask.pretrain.trainer import pretrain
from pretrain.small import eager

SETTINGS = Config(
    sampling_rate_hz=100,
    window_seconds=2.5,
    method="simclr",
    augmentations=("gaussian",),
    batch_size=120,
    accumulation=1,
    epochs=6,
    jit_compile=False,
    probe_tasks=("sex",),
)


@pytest.fixture
def data(tmp_path: Path, write_data: Callable[..., object]) -> DataSet:
    """60 recordings of 30 patients, two windows each; in men, lead I towers above the others."""
    rng = np.random.default_rng(0)
    sexes = np.repeat(rng.permutation(["male", "female", ""] * 20), 2)
    windows = rng.normal(0, 100, (120, 250, 12))
    windows[sexes == "male", :, 0] *= 10
    ids = [f"R{number // 2}" for number in range(120)]
    patients = [f"P{number // 4}" for number in range(120)]
    folder = tmp_path / "data"
    write_data(folder, windows.astype(np.int16), [50, 70], 100, id=ids, patient=patients, sex=sexes.tolist())
    return DataSet.open(folder)


def encoder_by(factor: float) -> keras.Model:
    """The deviation of lead II, of signals scaled to [0, 1], times a factor."""
    signals = keras.Input((None, 12))
    return keras.Model(signals, factor * keras.ops.std(signals[:, :, 1], axis=1, keepdims=True))


def test_it_takes_one_window_of_each_labelled_recording_and_parts_patients(data: DataSet) -> None:
    rows = np.arange(20, 120)
    probe = Probe(data, rows, SETTINGS)
    records = data.records.iloc[probe.rows]
    labelled = data.records.iloc[rows].query("sex != ''")
    assert sorted(records["id"]) == sorted(set(labelled["id"]))
    assert set(probe.rows) <= set(rows.tolist())
    task = probe.tasks["sex"]
    fitted, judged = (set(records["patient"].to_numpy()[part]) for part in (task.fitted, task.judged))
    assert fitted and judged and fitted.isdisjoint(judged)
    assert len(task.fitted) + len(task.judged) == len(probe.rows)
    names = np.unique(records["sex"])
    assert (names[task.labels] == records["sex"].to_numpy()).all()


def test_it_tells_a_telling_encoder_from_a_useless_one(data: DataSet) -> None:
    probe = Probe(data, np.arange(120), SETTINGS)
    assert probe.judge(encoder_by(1.0)) == {"probe_auroc": 1.0, "probe_sex": 1.0}
    assert probe.judge(encoder_by(0.0)) == {"probe_auroc": 0.5, "probe_sex": 0.5}


def test_several_tasks_have_their_own_recordings_and_a_mean(data: DataSet) -> None:
    records = data.records
    parity = [str(int(name[1:]) % 2) if int(name[1:]) % 5 else "" for name in records["id"]]
    labels = pd.DataFrame({"id": records["id"], "parity": parity}).drop_duplicates()
    data.__dict__["labels"] = labels
    probe = Probe(data, np.arange(120), dataclasses.replace(SETTINGS, probe_tasks=("sex", "parity")))
    rows = {name: probe.rows[task.places] for name, task in probe.tasks.items()}
    assert set(records.iloc[rows["sex"]]["id"]) == set(records.query("sex != ''")["id"])
    ids = records.iloc[rows["parity"]]["id"]
    assert set(ids) == set(labels.query("parity != ''")["id"])
    np.testing.assert_array_equal(probe.tasks["parity"].labels, [int(name[1:]) % 2 for name in ids])
    values = probe.judge(encoder_by(1.0))
    assert values["probe_sex"] == 1.0
    assert values["probe_auroc"] == (values["probe_sex"] + values["probe_parity"]) / 2


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        ("rhythm", "finds too few labels"),
        ("colour", "no such task"),
        ("age", "age is no task of classes, which the probe needs; choose other probe_tasks or none"),
        ("diagnosis", "diagnosis is no task of classes"),
    ],
)
def test_a_task_without_labels_is_refused(data: DataSet, task: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        Probe(data, np.arange(120), dataclasses.replace(SETTINGS, probe_tasks=(task,)))


def run_with(data: DataSet, path: Path, values: list[float], **changes: Any) -> Any:
    """A run whose probe says these values, epoch by epoch."""
    remaining = iter(values)

    def judge(*_: Any) -> dict[str, float]:
        value = next(remaining)
        return {"probe_auroc": value, "probe_sex": value}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probe_module.Probe, "judge", judge)
        patch.setattr(trainer, "build", eager)
        resume = changes.pop("resume", False)
        return pretrain(data, path, dataclasses.replace(SETTINGS, **changes), resume=resume, log=lambda _: None)


def test_a_run_ends_when_the_probe_gains_no_more_and_keeps_the_best_encoder(data: DataSet, tmp_path: Path) -> None:
    run = run_with(data, tmp_path / "run", [0.5, 0.7, 0.6, 0.7, 0.65], patience=3)
    assert run.history()["probe_auroc"].tolist() == [0.5, 0.7, 0.6, 0.7, 0.65]  # stopped before the sixth
    best = run_with(data, tmp_path / "two", [0.5, 0.7], epochs=2)
    x = np.random.default_rng(1).uniform(size=(3, 250, 12)).astype(np.float32)
    np.testing.assert_allclose(run.encoder()(x), best.encoder()(x), atol=1e-6)
    again = run_with(data, tmp_path / "run", [], patience=3, resume=True)
    assert len(again.history()) == 5


@pytest.mark.slow
def test_a_resumed_run_remembers_what_the_probe_said(data: DataSet, tmp_path: Path) -> None:
    run_with(data, tmp_path / "run", [0.6, 0.8, 0.7], patience=3, epochs=3)
    run = run_with(data, tmp_path / "run", [0.7, 0.75], patience=3, epochs=6, resume=True)
    whole = run_with(data, tmp_path / "whole", [0.6, 0.8, 0.7, 0.7, 0.75], patience=3)
    for column in ("epoch", "loss", "probe_auroc"):
        assert run.history()[column].tolist() == whole.history()[column].tolist()


def test_epochs_without_a_probe_have_an_empty_cell(data: DataSet, tmp_path: Path) -> None:
    run = run_with(data, tmp_path / "run", [0.5, 0.6], probe_every=2, epochs=3)
    assert run.history()["probe_auroc"].isna().tolist() == [True, False, False]


def test_patience_without_a_probe_is_refused() -> None:
    with pytest.raises(InputError, match="patience needs a probe"):
        dataclasses.replace(SETTINGS, probe_tasks=(), patience=2)
