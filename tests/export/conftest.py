"""A narrow encoder of the real architecture, windows of generated recordings, and its files in every precision."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="session")
def config() -> Any:
    from ecg_advmask.config import Config

    return Config(preset_name="test", sampling_rate_hz=100, window_seconds=2.5, encoder_width=4, embedding_dim=8)


@pytest.fixture(scope="session")
def make_encoder(config: Any) -> Callable[..., Any]:
    """Function that makes the encoder with random weights, and batch statistics as if it had been trained."""
    import keras

    from ecg_advmask.models.resnet import resnet18_1d

    def make(seed: int = 0) -> keras.Model:
        keras.utils.set_random_seed(seed)
        encoder = resnet18_1d(config.encoder_width, config.embedding_dim)
        rng = np.random.default_rng(seed)
        for weight in encoder.weights:
            if weight.path.endswith("moving_variance"):
                weight.assign(rng.uniform(0.5, 2.0, weight.shape))
            elif weight.path.endswith(("moving_mean", "beta", "bias")):
                weight.assign(rng.normal(0.0, 0.2, weight.shape))
            elif weight.path.endswith("gamma"):
                weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        return encoder

    return make


@pytest.fixture(scope="session")
def encoder(make_encoder: Callable[..., Any]) -> Any:
    return make_encoder()


@pytest.fixture(scope="session")
def make_small_encoder(config: Any) -> Callable[..., Any]:
    """Function that makes an encoder of one convolution, for tests of what surrounds an encoder."""
    import keras

    def make(seed: int = 0) -> keras.Model:
        keras.utils.set_random_seed(seed)
        signals = keras.Input((None, 12))
        x = keras.layers.Conv1D(16, 9, strides=4, padding="valid")(signals)
        x = keras.layers.BatchNormalization(beta_initializer=keras.initializers.RandomNormal(0, 0.2))(x)
        x = keras.layers.Conv1D(8, 5, strides=2)(keras.ops.relu(x))
        x = keras.layers.GlobalAveragePooling1D()(keras.ops.relu(x))
        return keras.Model(signals, keras.layers.Dense(config.embedding_dim, name="embedding")(x))

    return make


@pytest.fixture(scope="session")
def small_encoder(make_small_encoder: Callable[..., Any]) -> Any:
    return make_small_encoder()


@pytest.fixture(scope="session")
def ecgs_mv(generated_cinc: Path, config: Any) -> np.ndarray[Any, Any]:
    """48 windows (48, 250, 12) float32 of generated recordings."""
    from ecg_advmask.export.probe import source_windows

    return source_windows(generated_cinc, config, 48)


@pytest.fixture(scope="session")
def expected(encoder: Any, ecgs_mv: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Keras's embeddings of the windows, scaled to [0, 1] by NumPy."""
    smallest, largest = ecgs_mv.min(axis=(1, 2), keepdims=True), ecgs_mv.max(axis=(1, 2), keepdims=True)
    return np.asarray(encoder((ecgs_mv - smallest) / (largest - smallest), training=False))


@pytest.fixture(scope="session")
def files(
    encoder: Any, config: Any, ecgs_mv: np.ndarray[Any, Any], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The encoder's file in each precision; int8 is calibrated on every second window, all are compared on the rest."""
    from ecg_advmask.export.onnx import export_encoder
    from ecg_advmask.export.precision import PRECISIONS

    folder = tmp_path_factory.mktemp("precisions")
    calibration, compared = ecgs_mv[::2], ecgs_mv[1::2]
    for precision in PRECISIONS:
        path = folder / f"{precision}.onnx"
        options = {"precision": precision, "calibration_mv": calibration, "signals_mv": compared}
        export_encoder(encoder, config, path, source="generated recordings", **options)
    return {precision: folder / f"{precision}.onnx" for precision in PRECISIONS}
