"""The loop around the training step: run directory, history, checkpoints, resuming, what it refuses."""

import dataclasses
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

from ecg_advmask.config import Config
from ecg_advmask.data.batches import pretraining_batches, pretraining_rows
from ecg_advmask.data.dataset import DataSet
from ecg_advmask.errors import InputError
from ecg_advmask.pretrain import checkpoints, trainer
from ecg_advmask.pretrain.advmask import AdvMask
from ecg_advmask.pretrain.callbacks import Pictures
from ecg_advmask.pretrain.mask_domain import SpectralDomain
from ecg_advmask.pretrain.run import Run
from ecg_advmask.pretrain.trainer import build, pretrain
from pretrain.small import eager, encoder, projector

TINY = Config(
    sampling_rate_hz=100,
    window_seconds=2.5,
    encoder_width=2,
    embedding_dim=8,
    projection_hidden=16,
    projection_dim=8,
    adversary_width=8,
    adversary_depth=0,
    update="simultaneous",
    batch_size=100,
    accumulation=1,
    epochs=2,
    jit_compile=False,
    learning_rate=1e-3,
    adversary_learning_rate=1e-4,
    pictures_every=0,
)


@pytest.fixture(scope="module", autouse=True)
def _small_networks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "build", eager)
        yield


@pytest.fixture(scope="module")
def data(generated_data: Path) -> DataSet:
    return DataSet.open(generated_data)


def silent(_line: str) -> None:
    pass


@pytest.fixture(scope="module")
def finished(data: DataSet, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, dict[str, Any]]:
    """A finished run, and what was drawn during it."""
    drawn: dict[str, Any] = {}

    def draw(
        path: Path, signals_mv: Any, masks: Any, remaining_mv: Any, rate: int, title: str, threshold: float
    ) -> None:
        assert remaining_mv is None, "a mask in time is shaded"
        assert threshold == 0.5
        drawn[path.name] = (signals_mv, masks, rate, title)

    path = tmp_path_factory.mktemp("run") / "run"
    return pretrain(data, path, TINY, draw_masks=draw, log=silent), drawn


def test_history_has_a_row_per_epoch_with_sane_values(finished: tuple[Run, Any]) -> None:
    history = finished[0].history()
    assert history["epoch"].tolist() == [1, 2]
    assert history["loss"].between(0, 2 * np.log(2 * TINY.batch_size)).all()
    assert history["contrastive_accuracy"].between(0, 1).all()
    assert (history["mask_area_min"] <= history["mask_area"]).all()
    assert (history["mask_area"] <= history["mask_area_max"]).all()
    assert (history["embedding_std"] > 0).all()
    assert history["mask_cover"].between(0, 1).all()
    assert np.allclose(history["sparsity"], 0.1, atol=0.05)  # alpha / sin(pi / 2) where masks are near one half


def test_seen_lists_every_recording_once(finished: tuple[Run, Any], data: DataSet) -> None:
    seen = finished[0].seen()
    assert sorted(seen["id"]) == sorted(set(data.records["id"]))
    assert set(seen["signal_hash"]) == set(data.records["signal_hash"])
    assert finished[0].saw_generated(), "seen.csv must tell that the recordings were generated"


def test_saved_encoder_is_that_of_the_last_checkpoint(finished: tuple[Run, Any]) -> None:
    run, _ = finished
    model = eager(TINY)
    before = model.encoder.get_weights()
    assert checkpoints.restore(checkpoints.found(run.path / "checkpoints")[-1], model.state) == 2
    x = np.random.default_rng(0).uniform(size=(3, 250, 12)).astype(np.float32)
    np.testing.assert_allclose(run.encoder()(x), model.encoder(x), atol=1e-6)
    adversary = run.adversary()
    assert adversary is not None
    np.testing.assert_allclose(adversary(x), model.adversary(x), atol=1e-6)
    assert all(np.abs(old - new).max() > 1e-4 for old, new in zip(before, run.encoder().get_weights(), strict=True))


def test_masks_are_drawn_at_the_end(finished: tuple[Run, dict[str, Any]], data: DataSet) -> None:
    _, drawn = finished
    assert len(drawn) == 3
    for name, (signals_mv, masks, rate, title) in drawn.items():
        record = re.fullmatch(r"epoch-0002-(.+)\.png", name)[1]
        assert title == f"{record}, epoch 2"
        assert rate == 100
        row = data.records.index[data.records["id"] == record]
        candidates = data.signals_mv(row.to_numpy())
        assert any(np.array_equal(signals_mv, candidate) for candidate in candidates)
        assert masks.shape == (250, 1)
        assert ((masks >= 0) & (masks <= 1)).all()


def test_run_is_opened_with_its_settings(finished: tuple[Run, Any]) -> None:
    run = Run.open(finished[0].path)
    assert run.config == TINY
    assert run.dataset["sha256"] == finished[0].dataset["sha256"]


def test_a_resumed_run_equals_one_left_alone(finished: tuple[Run, Any], data: DataSet, tmp_path: Path) -> None:
    straight, _ = finished
    pretrain(data, tmp_path / "run", dataclasses.replace(TINY, epochs=1), log=silent)
    keras.utils.set_random_seed(99)
    resumed = pretrain(data, tmp_path / "run", TINY, resume=True, log=silent)
    last = [checkpoints.found(run.path / "checkpoints")[-1] for run in (straight, resumed)]
    with np.load(last[0]) as one, np.load(last[1]) as other:
        assert one.files == other.files
        for name in one.files:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    columns = [name for name in straight.history().columns if name != "seconds"]
    pd.testing.assert_frame_equal(straight.history()[columns], resumed.history()[columns], check_exact=True)
    assert Run.open(resumed.path).config.epochs == 2


@pytest.mark.slow
def test_a_run_that_masks_the_spectrum_is_pictured_and_resumed(data: DataSet, tmp_path: Path) -> None:
    config = dataclasses.replace(TINY, masks=2, mask_domain="spectrum", mask_frame_seconds=0.5, epochs=2)
    drawn: dict[str, Any] = {}

    def draw(path: Path, *pictured: Any) -> None:
        drawn[path.stem] = pictured

    straight = pretrain(data, tmp_path / "straight", config, draw_masks=draw, log=silent)
    adversary = straight.adversary()
    assert adversary is not None
    assert len(drawn) == 6
    for name, (signals_mv, covered, remaining_mv, rate, title, threshold) in drawn.items():
        record, number = re.fullmatch(r"epoch-0002-(.+)-mask-([12])", name).groups()
        assert (rate, title, threshold) == (100, f"{record}, epoch 2, mask {number}", 0.5)
        scaled = (signals_mv - signals_mv.min()) / np.ptp(signals_mv)
        mask = keras.ops.convert_to_numpy(adversary(scaled[None]))[0, :, :, int(number) - 1 : int(number)]
        assert mask.shape == (11, 26, 1)
        np.testing.assert_allclose(covered, 1 / (1 + np.exp(-50 * (mask - 0.5))), atol=1e-4)
        removed = SpectralDomain(25).remaining(signals_mv[None], 1 - covered[None], np.ones((1, 12)))[0]
        np.testing.assert_allclose(remaining_mv, signals_mv - (removed - signals_mv.mean()), atol=1e-4)
        assert np.abs(remaining_mv - signals_mv).max() > 0.01

    pretrain(data, tmp_path / "resumed", dataclasses.replace(config, epochs=1), log=silent)
    keras.utils.set_random_seed(99)
    resumed = pretrain(data, tmp_path / "resumed", config, resume=True, log=silent)
    last = [checkpoints.found(run.path / "checkpoints")[-1] for run in (straight, resumed)]
    with np.load(last[0]) as one, np.load(last[1]) as other:
        assert one.files == other.files
        assert all(np.array_equal(one[name], other[name]) for name in one.files)
    with pytest.raises(InputError, match=r"cannot be resumed with other settings .*mask_domain spectrum -> time"):
        pretrain(data, resumed.path, dataclasses.replace(config, mask_domain="time"), resume=True, log=silent)


def test_resuming_a_finished_run_changes_nothing(finished: tuple[Run, Any], data: DataSet) -> None:
    run, _ = finished
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    said: list[str] = []
    pretrain(data, run.path, TINY, resume=True, log=said.append)
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before
    assert "finished already" in said[-1]


def test_simclr_runs_without_an_adversary(data: DataSet, tmp_path: Path) -> None:
    config = dataclasses.replace(TINY, method="simclr", augmentations=("block_mask",), epochs=1)
    run = pretrain(data, tmp_path / "run", config, log=silent)
    columns = ["epoch", "loss", "contrastive_accuracy", "embedding_std", "embedding_rank", "seconds"]
    assert list(run.history().columns) == columns
    assert run.adversary() is None
    assert not (run.path / "adversary.keras").exists()


@pytest.mark.slow
def test_mixed_precision_computes_in_bfloat16_and_gives_float32(tmp_path: Path) -> None:
    """Networks of the method, eagerly, for one step; the policy stays theirs when they are saved."""
    config = dataclasses.replace(TINY, mixed_precision=True, batch_size=2)
    model = build(config)
    assert keras.config.dtype_policy().name == "float32"
    windows = np.random.default_rng(0).normal(size=(2, 250, 12)).astype(np.float32)
    assert np.isfinite([float(value) for value in model.train_step(windows).values()]).all()
    run = Run(tmp_path, config, {})
    run.save(model)
    embedding = run.encoder()(windows)
    assert embedding.dtype == run.adversary()(windows).dtype == model.projector(embedding).dtype == "float32"
    assert run.encoder().get_layer("stem_conv").compute_dtype == "bfloat16"


@pytest.mark.parametrize(
    "settings",
    [
        {"mask_domain": "spectrum"},
        {"update": "alternating", "pairing": "cmsc", "masks": 4, "target_accuracy": 0.1, "augmentations": ("vcg",)}
        | {"encoder_average": 0.9, "weight_decay": 0.1, "warmup_steps": 3, "penalised_area": "cover"},
    ],
)
def test_masks_are_float32_in_mixed_precision(settings: dict[str, Any], tmp_path: Path) -> None:
    """Of the networks of the method the adversary alone, beside a small encoder."""
    config = dataclasses.replace(TINY, batch_size=2, **settings)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = AdvMask(encoder(), trainer.adversary(config), projector(), config=config)
    finally:
        keras.config.set_dtype_policy(policy)
    model.compile()
    windows = np.random.default_rng(0).normal(size=(2, 250, 12)).astype(np.float32)
    assert np.isfinite([float(value) for value in model.train_step(windows).values()]).all()
    run = Run(tmp_path, config, {})
    run.save(model)
    adversary = run.adversary()
    assert adversary is not None and run.encoder()(windows).dtype == adversary(windows).dtype == "float32"
    assert "bfloat16" in {layer.compute_dtype for layer in adversary._flatten_layers()}


def test_a_share_of_the_patients_is_pretrained_on(data: DataSet) -> None:
    rows, copies = pretraining_rows(data, dataclasses.replace(TINY, pretraining_share=0.5))
    again, _ = pretraining_rows(data, dataclasses.replace(TINY, pretraining_share=0.5, seed=5))
    assert copies == 0
    np.testing.assert_array_equal(rows, again)
    used = set(data.records.iloc[rows]["patient"])
    unseen = set(data.records.drop(index=rows)["patient"])
    assert not used & unseen
    assert len(rows) / len(data.records) == pytest.approx(0.5, abs=0.05)


def test_a_run_goes_on_with_the_recordings_that_it_lists(write_data: Callable[..., Path], tmp_path: Path) -> None:
    """Whatever `pretraining_rows` gives by now: patients may have been divided otherwise when it was started."""
    opened = DataSet.open(write_data(tmp_path / "set", np.ones((10, 250, 12), np.int16), [10]))
    listed = opened.records.iloc[[5, 2, 9]]
    listed[["id", "patient", "signal_hash"]].to_csv(tmp_path / "seen.csv", index=False)
    assert trainer.seen_rows(opened, Run(tmp_path, TINY, {})).tolist() == [2, 5, 9]


@pytest.mark.parametrize(("patients", "repeats"), [("abc", False), ("aba", True)])
def test_patients_of_several_recordings_are_found(
    write_data: Callable[..., Path], tmp_path: Path, patients: str, repeats: bool
) -> None:
    """Of several recordings, not of several windows of one."""
    windows_uv = np.ones((4, 250, 12), np.int16)
    columns = {"patient": [*patients, patients[-1]], "id": ["r0", "r1", "r2", "r2"]}
    opened = DataSet.open(write_data(tmp_path / "set", windows_uv, [4], **columns))
    assert trainer.repeats_patients(opened, np.arange(4)) is repeats
    assert not trainer.repeats_patients(opened, np.arange(2))


@pytest.fixture(scope="module")
def longer(write_data: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """70 windows of 3 s, some of them padded; rows 0, 10, ... belong to copies of row 1."""
    windows_uv = np.random.default_rng(0).integers(-2000, 2000, (70, 300, 12)).astype(np.int16)
    columns = {
        "valid_samples": [300 - row for row in range(70)],
        "duplicate_of": ["" if row % 10 else "R001" for row in range(70)],
    }
    return DataSet.open(write_data(tmp_path_factory.mktemp("longer") / "set", windows_uv, [20, 20, 20, 10], **columns))


def test_longer_windows_are_cropped_and_copies_left_out(
    longer: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    shapes: list[list[int]] = []

    def watched(*arguments: Any, **settings: Any) -> Any:
        batches = pretraining_batches(*arguments, **settings)
        shapes.append(batches.element_spec.shape.as_list())
        return batches

    monkeypatch.setattr(trainer, "pretraining_batches", watched)
    config = dataclasses.replace(TINY, method="simclr", batch_size=32, epochs=1)
    run = pretrain(longer, tmp_path / "run", config, log=said.append)
    assert "left out 7 windows of copies" in said[0]
    assert said[1].startswith("63 windows, 1 steps per epoch")
    assert sorted(run.seen()["id"]) == [f"R{row:03d}" for row in range(70) if row % 10]
    assert shapes == [[32, 250, 12]]
    rows, copies = pretraining_rows(longer, dataclasses.replace(TINY, pretraining_share=0.5))
    assert 0 < copies < 7
    assert not set(rows % 10) & {0}


def test_longer_windows_are_pictured_in_their_middle(longer: DataSet, tmp_path: Path) -> None:
    rows = np.array([1, 2, 69])
    pictures = Pictures(Run(tmp_path, TINY, {}), longer, rows, draw=lambda *_: None)
    assert pictures.ids == ["R001", "R002", "R069"]
    windows_mv = longer.signals_mv(rows)
    for found, whole, first in zip(
        pictures.signals_mv, windows_mv, [(299 - 250) // 2, (298 - 250) // 2, 0], strict=True
    ):
        np.testing.assert_array_equal(found, whole[first : first + 250])


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"sampling_rate_hz": 125, "window_seconds": 2.0}, "sampling rate"),
        ({"window_seconds": 5.0}, "windows have 250 samples, the settings need 500"),
        ({"batch_size": 4096}, "fewer than the 4096 of one step"),
        ({"augmentations": ("polish",)}, "'polish' does not exist"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    data: DataSet, tmp_path: Path, changes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint):
        pretrain(data, tmp_path / "run", dataclasses.replace(TINY, **changes), log=silent)
    assert not (tmp_path / "run").exists()


def test_a_place_that_is_taken_and_other_settings_are_refused(finished: tuple[Run, Any], data: DataSet) -> None:
    path = finished[0].path
    with pytest.raises(InputError, match="already exists"):
        pretrain(data, path, TINY, log=silent)
    with pytest.raises(InputError, match=r"other settings \(alpha 0.1 -> 0.2\)"):
        pretrain(data, path, dataclasses.replace(TINY, alpha=0.2), resume=True, log=silent)
    with pytest.raises(InputError, match=r"other settings \(epochs 2 -> 1\)"):
        pretrain(data, path, dataclasses.replace(TINY, epochs=1), resume=True, log=silent)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a run directory"):
        Run.open(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="is damaged"):
        Run.open(tmp_path)


def test_damaged_files_of_a_run_are_refused(finished: tuple[Run, Any], tmp_path: Path) -> None:
    whole = checkpoints.found(finished[0].path / "checkpoints")[-1]
    half = tmp_path / whole.name
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(InputError, match="is damaged"):
        checkpoints.restore(half, eager(TINY).state)
    with pytest.raises(InputError, match="other variables"):
        checkpoints.restore(whole, eager(dataclasses.replace(TINY, masks=2)).state)
    broken = Run(tmp_path, TINY, {})
    (tmp_path / "encoder.keras").write_bytes(b"PK not really")
    with pytest.raises(InputError, match="cannot be read as a Keras model"):
        broken.encoder()
