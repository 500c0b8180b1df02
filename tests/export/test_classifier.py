"""Encoder and linear head in one file: probabilities as by hand and by scikit-learn, names in the metadata."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression, Ridge

from ecg_advmask.config import Config
from ecg_advmask.evaluate.head_file import LinearHead
from ecg_advmask.export.onnx import export_encoder
from ecg_advmask.models.weights import weights_sha256

Array = np.ndarray[Any, Any]
NAMES = {"classes": ("SB", "SR", "Größe"), "labels": ("CRBBB|RBBB", "AF"), "number": ("years",)}


@pytest.fixture(scope="module")
def heads(encoder: keras.Model, expected: Array) -> dict[str, LinearHead]:
    """A head of each kind, fitted by scikit-learn on the embeddings and chance targets."""
    rng = np.random.default_rng(0)
    classes = LogisticRegression().fit(expected, rng.integers(3, size=len(expected)))
    labels = [LogisticRegression().fit(expected, rng.integers(2, size=len(expected))) for _ in range(2)]
    number = Ridge().fit(expected, rng.normal(60, 10, size=len(expected)))
    fitted = {
        "classes": (classes.coef_, classes.intercept_),
        "labels": (np.concatenate([one.coef_ for one in labels]), np.concatenate([one.intercept_ for one in labels])),
        "number": (number.coef_[None], np.atleast_1d(number.intercept_)),
    }
    sha256 = weights_sha256(encoder)
    return {
        kind: LinearHead("task of " + kind, kind, NAMES[kind], weights.T, intercepts, sha256, {})  # type: ignore[arg-type]
        for kind, (weights, intercepts) in fitted.items()
    }


def outputs(path: Path, signals_mv: Array) -> tuple[Array, Array]:
    embedding, prediction = onnxruntime.InferenceSession(path).run(["embedding", "prediction"], {"ecg": signals_mv})
    return np.asarray(embedding), np.asarray(prediction)


@pytest.mark.parametrize("kind", ["classes", "labels", "number"])
def test_predictions_are_those_of_the_head(
    kind: str,
    heads: dict[str, LinearHead],
    encoder: keras.Model,
    config: Config,
    files: dict[str, Path],
    ecgs_mv: Array,
    expected: Array,
    tmp_path: Path,
) -> None:
    head, path = heads[kind], tmp_path / "classifier.onnx"
    done = export_encoder(encoder, config, path, signals_mv=ecgs_mv, head=head)
    embedding, prediction = outputs(path, ecgs_mv)
    logits = expected.astype(np.float64) @ head.weights + head.intercepts
    by_hand = {"classes": softmax(logits, axis=1), "labels": expit(logits), "number": logits}[kind]
    assert prediction.dtype == np.float32 and prediction.shape == (len(ecgs_mv), len(NAMES[kind]))
    np.testing.assert_allclose(prediction, by_hand, rtol=1e-5, atol=1e-5)
    if kind == "classes":
        np.testing.assert_allclose(prediction.sum(axis=1), 1, atol=1e-6)
        fitted = LogisticRegression().fit(expected, np.random.default_rng(0).integers(3, size=len(expected)))
        np.testing.assert_allclose(prediction, fitted.predict_proba(expected), atol=1e-5)
    encoder_alone = onnxruntime.InferenceSession(files["float32"]).run(["embedding"], {"ecg": ecgs_mv})[0]
    assert np.array_equal(embedding, encoder_alone)
    metadata = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert (metadata["task"], metadata["kind"]) == ("task of " + kind, kind)
    assert tuple(json.loads(metadata["names"])) == NAMES[kind]
    assert metadata["format"] == "ecg-advmask encoder 1" and metadata["precision"] == "float32"
    for found in done.report["batch_sizes"].values():
        largest = float(np.abs(prediction - by_hand).max())
        assert found["prediction"]["largest_error"] == pytest.approx(largest, abs=2e-5)


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_the_head_is_float32_in_every_precision(
    precision: Any,
    heads: dict[str, LinearHead],
    encoder: keras.Model,
    config: Config,
    files: dict[str, Path],
    ecgs_mv: Array,
    tmp_path: Path,
) -> None:
    path, head = tmp_path / "classifier.onnx", heads["classes"]
    options = {"precision": precision, "calibration_mv": ecgs_mv[::2], "signals_mv": ecgs_mv}
    export_encoder(encoder, config, path, head=head, **options)
    embedding, prediction = outputs(path, ecgs_mv)
    assert np.array_equal(embedding, onnxruntime.InferenceSession(files[precision]).run(None, {"ecg": ecgs_mv})[0])
    np.testing.assert_allclose(prediction, head.predict(embedding), atol=1e-5)


def test_a_class_without_recordings_has_the_probability_zero(
    heads: dict[str, LinearHead], encoder: keras.Model, config: Config, ecgs_mv: Array, tmp_path: Path
) -> None:
    head = heads["classes"]
    head.weights[:, 1], head.intercepts[1] = 0, -np.inf
    export_encoder(encoder, config, tmp_path / "classifier.onnx", signals_mv=ecgs_mv, head=head)
    found = outputs(tmp_path / "classifier.onnx", ecgs_mv)[1]
    assert (found[:, 1] == 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
