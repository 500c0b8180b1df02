"""The exported file computes what Keras computes, says how its input was made, and is the same each time."""

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import pytest

from ecg_advmask import __version__
from ecg_advmask.config import Config
from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.ecg.sources import Refused, Windowing, cut, read_recordings
from ecg_advmask.export import onnx as export_onnx
from ecg_advmask.export.conversion import generated_signals, keras_embeddings
from ecg_advmask.export.onnx import export_encoder
from ecg_advmask.export.parity import Agreement, ParityError, agreements
from ecg_advmask.models.resnet import resnet18_1d, weights_sha256

CONFIG = Config(preset_name="test", sampling_rate_hz=100, window_seconds=5.0, encoder_width=4, embedding_dim=8)


def lead_means() -> keras.Model:
    """The mean over time of each lead of the scaled signals."""
    signals = keras.Input((None, 12))
    return keras.Model(signals, keras.layers.GlobalAveragePooling1D()(signals))


def run(path: Path, signals_mv: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    session = onnxruntime.InferenceSession(path)
    (embeddings,) = session.run(["embedding"], {"ecg": signals_mv.astype(np.float32)})
    return np.asarray(embeddings)


def parity(encoder: keras.Model, path: Path, signals_mv: np.ndarray[Any, Any]) -> dict[int, Agreement]:
    """Agreement of a file's embeddings with those of an encoder, by batch size."""
    found = agreements(path, signals_mv, {"embedding": keras_embeddings(encoder, signals_mv)})
    return {batch_size: outputs["embedding"] for batch_size, outputs in found.items()}


def agreement(largest_error: float, largest_value: float = 1.0, smallest_cosine: float = 1.0) -> dict[str, Agreement]:
    """What a comparison could have found."""
    return {"embedding": Agreement(largest_error, 0.0, smallest_cosine, 1.0, 0.0, largest_value)}


@pytest.fixture(scope="module")
def exported(encoder: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "encoder.onnx"
    export_encoder(encoder, CONFIG, path)
    return path


def test_scaling_to_unit_range_is_in_the_graph(tmp_path: Path) -> None:
    path = tmp_path / "means.onnx"
    export_encoder(lead_means(), CONFIG, path)
    ramp = np.linspace(0, 1, CONFIG.window_samples, dtype=np.float32)
    first = np.zeros((CONFIG.window_samples, 12), np.float32)
    first[:, 0], first[:, 1] = ramp, 0.25  # scaled already: the means are 1/2, 1/4 and 0
    known = np.array([0.5, 0.25, *[0.0] * 10])
    second = 3.0 * first - 7.0  # its own minimum and maximum, not those of the batch
    np.testing.assert_allclose(run(path, np.stack([first, second])), np.stack([known, known]), atol=1e-6)


def test_constant_signal_gives_finite_embeddings(tmp_path: Path, exported: Path) -> None:
    path = tmp_path / "means.onnx"
    export_encoder(lead_means(), CONFIG, path)
    constant = np.full((2, CONFIG.window_samples, 12), 1.5)
    np.testing.assert_array_equal(run(path, constant), np.zeros((2, 12)))
    assert np.isfinite(run(exported, constant)).all()


def test_parity_at_three_batch_sizes(encoder: keras.Model, exported: Path) -> None:
    errors = parity(encoder, exported, generated_signals(32, CONFIG.window_samples, seed=5))
    assert sorted(errors) == [1, 7, 32]
    assert max(error.largest_error for error in errors.values()) < 1e-5


def test_rounding_in_proportion_to_large_embeddings_is_no_fault(
    small_encoder: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_onnx, "agreements", lambda *_: {1: agreement(2e-4, 40.0)})
    export_encoder(small_encoder, CONFIG, tmp_path / "encoder.onnx")
    assert (tmp_path / "encoder.onnx").is_file()


def test_parity_sees_a_changed_weight(make_encoder: Callable[..., Any], exported: Path) -> None:
    changed = make_encoder()
    changed.get_layer("embedding").bias.assign_add([0.25, *[0.0] * 7])
    errors = parity(changed, exported, generated_signals(3, CONFIG.window_samples))
    np.testing.assert_allclose([error.largest_error for error in errors.values()], 0.25, atol=1e-5)
    np.testing.assert_allclose([error.mean_error for error in errors.values()], 0.25 / 8, atol=1e-5)


def test_real_recordings_agree(shared: Path, encoder: keras.Model, exported: Path) -> None:
    windows: list[np.ndarray[Any, Any]] = []
    for recording in read_recordings(shared / "data" / "cinc2021" / "training" / "georgia"):
        if not isinstance(recording, Refused) and len(recording.signals_mv) >= 5 * recording.sampling_rate_hz:
            pieces = cut(recording.signals_mv, recording.sampling_rate_hz, Windowing(100, CONFIG.window_samples))
            windows += [window.signals_mv for window in pieces.windows]
    assert windows
    assert max(error.largest_error for error in parity(encoder, exported, np.stack(windows)).values()) < 1e-5


def test_metadata_say_how_the_input_was_made(encoder: keras.Model, exported: Path) -> None:
    model = onnx.load(exported)
    onnx.checker.check_model(model, full_check=True)
    found = {entry.key: entry.value for entry in model.metadata_props}
    digest = hashlib.sha256()
    for weight in encoder.get_weights():
        digest.update(str(weight.shape).encode() + weight.astype("<f4").tobytes())
    assert "minimum and maximum" in found.pop("scaling")
    assert found == {
        "format": "ecg-advmask encoder 1",
        "ecg_advmask_version": __version__,
        "preset": "test",
        "sampling_rate_hz": "100",
        "window_samples": "500",
        "leads": ",".join(STANDARD_LEADS),
        "unit": "mV",
        "embedding_dim": "8",
        "encoder_sha256": digest.hexdigest(),
        "precision": "float32",
    }
    assert [entry.version for entry in model.opset_import] == [18]
    for values, name, shape in (
        (model.graph.input, "ecg", ["batch", 500, 12]),
        (model.graph.output, "embedding", ["batch", 8]),
    ):
        (value,) = values
        assert value.name == name
        assert [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim] == shape


def test_no_transpose_between_convolutions_and_no_separate_normalisation(exported: Path) -> None:
    operations = [node.op_type for node in onnx.load(exported).graph.node]
    counts = Counter(operations)
    assert counts["Conv"] == 20
    assert counts["Add"] == 9  # eight shortcuts and the last bias: normalisation has gone into the convolutions
    assert counts["Pad"] == 1  # the one before max-pooling
    assert not counts.keys() & {"Squeeze", "Mul", "BatchNormalization"}
    between = operations[operations.index("Conv") : len(operations) - operations[::-1].index("Conv")]
    assert not {"Transpose", "Unsqueeze", "Reshape"} & set(between)
    assert counts["Transpose"] <= 2  # of the signals, and of what is averaged over time


def test_encoder_of_another_architecture_is_exported(tmp_path: Path) -> None:
    """A reshape has no form as an image: such an encoder is converted as it is."""
    signals = keras.Input((CONFIG.window_samples, 12))
    x = keras.layers.Conv1D(3, 5, strides=5)(signals)
    flat = keras.layers.Dense(4)(keras.layers.Flatten()(x))
    done = export_encoder(keras.Model(signals, flat), CONFIG, tmp_path / "flat.onnx")
    assert max(error.largest_error for error in done.parity.values()) < 1e-5


def test_same_bytes_twice_in_one_process(encoder: keras.Model, exported: Path, tmp_path: Path) -> None:
    export_encoder(encoder, CONFIG, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == exported.read_bytes()


@pytest.mark.slow
def test_mixed_precision_encoder_is_exported_in_float32(tmp_path: Path) -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        half = resnet18_1d(2, 4)
    finally:
        keras.config.set_dtype_policy("float32")
    whole = resnet18_1d(2, 4)
    whole.set_weights(half.get_weights())
    path = tmp_path / "encoder.onnx"
    done = export_encoder(half, CONFIG, path)
    assert done.metadata["encoder_sha256"] == weights_sha256(whole)
    errors = parity(whole, path, generated_signals(4, CONFIG.window_samples))
    assert max(error.largest_error for error in errors.values()) < 1e-5


@pytest.mark.parametrize("bad", [agreement(float("nan")), agreement(2e-4), agreement(2e-3, 10), agreement(0, 1, 0.9)])
def test_file_with_other_embeddings_is_not_left_behind(
    small_encoder: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: dict[str, Agreement]
) -> None:
    monkeypatch.setattr(export_onnx, "agreements", lambda *_: {1: agreement(1e-7), 7: bad, 32: agreement(1e-6)})
    path = tmp_path / "encoder.onnx"
    with pytest.raises(ParityError, match=r"encoder\.onnx: not written"):
        export_encoder(small_encoder, CONFIG, path)
    assert list(tmp_path.iterdir()) == []
