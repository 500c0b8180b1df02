"""The SavedModel gives what the ONNX file gives, opened by TensorFlow alone, and is whole or absent."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ecg_advmask.config import Config
from ecg_advmask.evaluate.heads import LinearHead
from ecg_advmask.export import onnx as export_onnx
from ecg_advmask.export.conversion import keras_embeddings
from ecg_advmask.export.onnx import export_encoder
from ecg_advmask.export.parity import Agreement, ParityError
from ecg_advmask.models.resnet import weights_sha256

Array = np.ndarray[Any, Any]

SCRIPT = """
import sys, numpy as np, tensorflow as tf
loaded = tf.saved_model.load("saved")
windows = np.load("windows.npy")
own = loaded.serve(tf.constant(windows))
signature = loaded.signatures["serve"](ecg=tf.constant(windows[:3]))
assert set(signature) == set(own) == {"embedding", "prediction"}, own
assert all(np.allclose(signature[name], own[name][:3], atol=1e-6) for name in own)
assert not {"ecg_advmask", "onnx"} & set(sys.modules)
np.savez("outputs.npz", **{name: values.numpy() for name, values in own.items()})
"""


@pytest.mark.slow
def test_tensorflow_alone_gives_embedding_and_prediction(
    small_encoder: keras.Model, config: Config, ecgs_mv: Array, tmp_path: Path
) -> None:
    encoder, expected = small_encoder, keras_embeddings(small_encoder, ecgs_mv)
    rng = np.random.default_rng(0)
    head = LinearHead(
        "rhythm", "labels", ("a", "b"), rng.normal(size=(8, 2)), rng.normal(size=2), weights_sha256(encoder), {}
    )
    options = {"precision": "float16", "head": head, "saved_model_path": tmp_path / "saved"}
    done = export_encoder(encoder, config, tmp_path / "encoder.onnx", signals_mv=ecgs_mv, **options)
    np.save(tmp_path / "windows.npy", ecgs_mv)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([sys.executable, "-P", "-c", SCRIPT], check=True, cwd=tmp_path, env=environment)
    with np.load(tmp_path / "outputs.npz") as found:
        np.testing.assert_allclose(found["embedding"], expected, atol=1e-5)  # float32, whatever the ONNX file is
        by_hand = 1 / (1 + np.exp(-(expected @ head.weights + head.intercepts)))
        np.testing.assert_allclose(found["prediction"], by_hand, atol=1e-5)
        largest = np.abs(found["embedding"] - expected).max()
    assert done.report["saved_model"]["embedding"]["largest_error"] == pytest.approx(largest, abs=4e-6)
    metadata = json.loads((tmp_path / "saved" / "assets.extra" / "metadata.json").read_text())
    assert "precision" not in metadata and metadata["encoder_sha256"] == weights_sha256(encoder)
    assert {name: done.metadata[name] for name in metadata} == metadata and json.loads(metadata["names"]) == ["a", "b"]


def test_nothing_is_left_of_an_export_that_fails(
    small_encoder: keras.Model, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_onnx, "outputs_of", lambda *_: {"embedding": np.zeros((32, 8))})
    with pytest.raises(ParityError, match="saved: not written"):
        export_encoder(small_encoder, config, tmp_path / "encoder.onnx", saved_model_path=tmp_path / "saved")
    assert list(tmp_path.iterdir()) == []
    assert Agreement.of(np.zeros((2, 2)), np.ones((2, 2))).largest_error == 1
