"""Encoder and linear head in one file: probabilities as by hand and by scikit-learn, names in the metadata."""

import dataclasses
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
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.heads import LinearHead
from ecg_advmask.export.graphs import with_head
from ecg_advmask.export.onnx import export_encoder
from ecg_advmask.models.resnet import weights_sha256

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


def outputs(model: Path | bytes, signals_mv: Array) -> tuple[Array, Array]:
    embedding, prediction = onnxruntime.InferenceSession(model).run(["embedding", "prediction"], {"ecg": signals_mv})
    return np.asarray(embedding), np.asarray(prediction)


def classifier(encoder: Path, head: LinearHead) -> bytes:
    """An encoder's file with a head behind it."""
    return bytes(with_head(onnx.load(encoder), head).SerializeToString())


@pytest.mark.parametrize("kind", ["classes", "labels", "number"])
def test_predictions_are_those_of_the_head(
    kind: str, heads: dict[str, LinearHead], files: dict[str, Path], ecgs_mv: Array, expected: Array
) -> None:
    embedding, prediction = outputs(classifier(files["float32"], heads[kind]), ecgs_mv)
    logits = expected.astype(np.float64) @ heads[kind].weights + heads[kind].intercepts
    by_hand = {"classes": softmax(logits, axis=1), "labels": expit(logits), "number": logits}[kind]
    assert prediction.dtype == np.float32 and prediction.shape == (len(ecgs_mv), len(NAMES[kind]))
    np.testing.assert_allclose(prediction, by_hand, rtol=1e-5, atol=1e-5)
    assert np.array_equal(embedding, onnxruntime.InferenceSession(files["float32"]).run(None, {"ecg": ecgs_mv})[0])


def test_probabilities_of_classes_are_those_of_scikit_learn(
    heads: dict[str, LinearHead], files: dict[str, Path], ecgs_mv: Array, expected: Array
) -> None:
    prediction = outputs(classifier(files["float32"], heads["classes"]), ecgs_mv)[1]
    fitted = LogisticRegression().fit(expected, np.random.default_rng(0).integers(3, size=len(expected)))
    np.testing.assert_allclose(prediction, fitted.predict_proba(expected), atol=1e-5)
    np.testing.assert_allclose(prediction.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_the_head_is_float32_in_every_precision(
    precision: str, heads: dict[str, LinearHead], files: dict[str, Path], ecgs_mv: Array
) -> None:
    embedding, prediction = outputs(classifier(files[precision], heads["classes"]), ecgs_mv)
    assert np.array_equal(embedding, onnxruntime.InferenceSession(files[precision]).run(None, {"ecg": ecgs_mv})[0])
    np.testing.assert_allclose(prediction, heads["classes"].predict(embedding), atol=1e-5)


def test_a_class_without_recordings_has_the_probability_zero(
    heads: dict[str, LinearHead], files: dict[str, Path], ecgs_mv: Array
) -> None:
    head = heads["classes"]
    weights, intercepts = head.weights.copy(), head.intercepts.copy()
    weights[:, 1], intercepts[1] = 0, -np.inf
    without = dataclasses.replace(head, weights=weights, intercepts=intercepts)
    found = outputs(classifier(files["float32"], without), ecgs_mv)[1]
    assert (found[:, 1] == 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


def test_a_head_of_another_encoder_is_refused(
    heads: dict[str, LinearHead], make_encoder: Any, config: Config, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="the head for task of labels was fitted on another encoder"):
        export_encoder(make_encoder(1), config, tmp_path / "classifier.onnx", head=heads["labels"])
    assert list(tmp_path.iterdir()) == []


def test_file_names_its_predictions_and_its_report_judges_them(
    heads: dict[str, LinearHead],
    encoder: keras.Model,
    config: Config,
    files: dict[str, Path],
    ecgs_mv: Array,
    expected: Array,
    tmp_path: Path,
) -> None:
    path, head = tmp_path / "classifier.onnx", heads["classes"]
    done = export_encoder(encoder, config, path, signals_mv=ecgs_mv, head=head)
    found = outputs(path, ecgs_mv)
    assert all(map(np.array_equal, found, outputs(classifier(files["float32"], head), ecgs_mv)))
    metadata = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert (metadata["task"], metadata["kind"]) == ("task of classes", "classes")
    assert tuple(json.loads(metadata["names"])) == NAMES["classes"]
    assert metadata["format"] == "ecg-advmask encoder 1" and metadata["precision"] == "float32"
    for of_outputs in done.report["batch_sizes"].values():
        largest = float(np.abs(found[1] - head.predict(expected)).max())
        assert of_outputs["prediction"]["largest_error"] == pytest.approx(largest, abs=2e-5)
    shapes = [
        [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in onnx.load(path).graph.output
    ]
    assert shapes == [["batch", 8], ["batch", 3]]
