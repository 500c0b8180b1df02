"""The command ``export``: from a run directory to an encoder file that ``embed`` takes."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner, Result

from ecg_advmask.cli import main
from ecg_advmask.config import Config
from ecg_advmask.data.scaling import scale_to_unit
from ecg_advmask.export import onnx as export_onnx
from ecg_advmask.export.encoder import OnnxEncoder
from ecg_advmask.export.parity import Agreement
from ecg_advmask.models.resnet import resnet18_1d

CONFIG = Config(preset_name="demo", sampling_rate_hz=100, window_seconds=2.5, encoder_width=2, embedding_dim=3)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run directory without its data set."""
    folder = tmp_path / "run"
    folder.mkdir()
    stored = {"config": CONFIG.as_dict(), "dataset": {"path": str(tmp_path / "gone"), "sha256": "0"}, "versions": {}}
    (folder / "config.json").write_text(json.dumps(stored))
    keras.utils.set_random_seed(0)
    resnet18_1d(CONFIG.encoder_width, CONFIG.embedding_dim).save(folder / "encoder.keras")
    return folder


def export(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["export", *map(str, arguments)])


def test_run_to_encoder_file(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "encoder.onnx"
    recordings = tmp_path / "recordings.npz"
    signals = np.random.default_rng(0).normal(size=(3, 600, 12)).astype(np.float32)
    np.savez(recordings, signals=signals, sampling_rate_hz=100)
    result = export(run, out, "--recordings", recordings)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == [f"parity with Keras at batch {n:2d}" for n in (1, 7, 32)]
    assert str(recordings) in lines[3]
    assert lines[-1].startswith(f"wrote {out}: opset 18, ")
    encoder = OnnxEncoder(out)
    assert (encoder.sampling_rate_hz, encoder.window_samples, encoder.embedding_dim) == (100, 250, 3)
    assert encoder.metadata["preset"] == "demo"
    keras_encoder = keras.models.load_model(run / "encoder.keras", compile=False)
    expected = keras_encoder(scale_to_unit(signals[0].reshape(-1)[: 2 * 250 * 12].reshape(2, 250, 12)))
    np.testing.assert_allclose(encoder.embed(signals[0], 100).embeddings, expected, atol=1e-5)


@pytest.mark.slow
def test_generated_signals_where_no_recordings_are_given(run: Path, tmp_path: Path) -> None:
    result = export(run, tmp_path / "encoder.onnx")
    assert result.exit_code == 0, result.output
    assert "compared on: generated signals" in result.output


@pytest.mark.slow
def test_encoder_that_does_not_agree_is_a_failure(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {1: {"embedding": Agreement(1e-3, 1e-4, 1.0, 1.0, 0.0, 1.0)}}
    monkeypatch.setattr(export_onnx, "agreements", lambda *_: found)
    result = export(run, tmp_path / "encoder.onnx")
    assert result.exit_code == 1
    assert "differ from Keras's by up to 0.001" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "encoder.onnx").exists()


def test_bad_arguments(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "encoder.onnx"
    silent = tmp_path / "silent.npz"
    np.savez(silent, signals=np.zeros((1, 600, 12), np.float32), sampling_rate_hz=100)
    for arguments, message in (
        ((run, tmp_path / "encoder.h5"), "encoder.h5"),
        ((tmp_path / "nowhere", out), "nowhere"),
        ((tmp_path, out), "is not a run directory"),
        ((run, out, "--recordings", tmp_path / "none"), "none: does not exist"),
        ((run, out, "--recordings", silent), "no usable recording"),
    ):
        result = export(*arguments)
        assert result.exit_code == 2, result.output
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert not out.exists()
