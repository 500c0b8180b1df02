"""Embeddings against NumPy, and the cache: used when it fits, replaced when it does not."""

import shutil

import keras
import numpy as np
import pytest

from ecg_advmask.data.dataset import DataSet
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate import embeddings
from ecg_advmask.evaluate.embeddings import average_over_windows, cached_embeddings, embed_dataset
from ecg_advmask.models.resnet import weights_sha256

SAMPLES, WINDOWS = 125, 11


@pytest.fixture(scope="module")
def data(write_data, tmp_path_factory):
    """A data set of eleven random windows in two shards; the last two are padded."""
    signals_uv = np.random.default_rng(0).integers(-2000, 2000, size=(WINDOWS, SAMPLES, 12), dtype=np.int16)
    valid = [SAMPLES] * (WINDOWS - 2) + [101, 60]
    return DataSet.open(write_data(tmp_path_factory.mktemp("data") / "set", signals_uv, [6, 5], valid_samples=valid))


@pytest.fixture(scope="module")
def encoder():
    """Mean over time, then a dense layer: small enough to be written in NumPy."""
    keras.utils.set_random_seed(0)
    signals = keras.Input((None, 12))
    return keras.Model(signals, keras.layers.Dense(5)(keras.layers.GlobalAveragePooling1D()(signals)))


def by_numpy(encoder, data, rows, starts=None, samples=None):
    kernel, bias = encoder.get_weights()
    signals = data.windows_uv(rows, starts, samples) / 1000
    low, high = (extreme(signals, axis=(1, 2), keepdims=True) for extreme in (np.min, np.max))
    return ((signals - low) / (high - low)).mean(axis=1) @ kernel + bias


@pytest.mark.parametrize("batch_size", [4, 11, 256])
def test_embeddings_are_those_of_windows_scaled_one_by_one(encoder, data, batch_size):
    rows = np.arange(WINDOWS)
    assert embed_dataset(encoder, data, rows, batch_size) == pytest.approx(by_numpy(encoder, data, rows), abs=1e-5)


def test_rows_are_embedded_in_the_order_asked_for(encoder, data):
    rows = np.array([9, 2, 5])
    result = embed_dataset(encoder, data, rows, 2)
    assert result == pytest.approx(by_numpy(encoder, data, rows), abs=1e-5)
    assert result.dtype == np.float32


def test_the_middle_of_longer_windows_is_embedded(encoder, data):
    rows = np.array([0, 9, 10])
    result = embed_dataset(encoder, data, rows, samples=100)
    assert result == pytest.approx(by_numpy(encoder, data, rows, [12, 0, 0], 100), abs=1e-5)
    assert np.abs(result - embed_dataset(encoder, data, rows)).max() > 1e-3


def test_an_altered_shard_is_named(encoder, data, tmp_path):
    folder = tmp_path / "set"
    shutil.copytree(data.path, folder)
    shard = folder / "shard-00001.tfrecord"
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    with pytest.raises(InputError, match=r"shard-00001\.tfrecord: was altered"):
        embed_dataset(encoder, DataSet.open(folder), np.arange(WINDOWS))


def test_no_rows_give_no_embeddings(encoder, data):
    assert embed_dataset(encoder, data, np.array([], np.int64)).shape == (0, 5)


def test_batch_normalisation_uses_its_moving_statistics(data):
    signals = keras.Input((None, 12))
    normalised = keras.layers.BatchNormalization(epsilon=0.0)(keras.layers.GlobalAveragePooling1D()(signals))
    encoder = keras.Model(signals, normalised)
    encoder.layers[-1].set_weights([np.ones(12), np.zeros(12), np.full(12, 0.5), np.full(12, 4.0)])
    plain = keras.Model(signals, keras.layers.GlobalAveragePooling1D()(signals))
    rows = np.arange(WINDOWS)
    expected = (embed_dataset(plain, data, rows) - 0.5) / 2
    assert embed_dataset(encoder, data, rows) == pytest.approx(expected, abs=1e-5)


def test_average_over_windows():
    of_windows = np.array([[1.0, 0.0], [3.0, 0.0], [5.0, 7.0]], np.float32)
    assert average_over_windows(of_windows, np.array([1, 1, 0])).tolist() == [[5.0, 7.0], [2.0, 0.0]]


def test_encoder_hash_depends_on_every_weight(encoder):
    before = weights_sha256(encoder)
    weights = encoder.get_weights()
    encoder.set_weights([weights[0], np.nextafter(weights[1], 1)])
    changed = weights_sha256(encoder)
    encoder.set_weights(weights)
    assert changed != before == weights_sha256(encoder)


def test_cache_is_used_and_replaced_when_it_is_damaged_or_of_other_rows(encoder, data, tmp_path, monkeypatch):
    computed = []

    def counting(*arguments):
        computed.append(1)
        return embed_dataset(*arguments)

    monkeypatch.setattr(embeddings, "embed_dataset", counting)
    rows = np.arange(WINDOWS)
    first = cached_embeddings(tmp_path, encoder, data, rows)
    assert np.array_equal(cached_embeddings(tmp_path, encoder, data, rows), first)
    assert len(computed) == 1
    (path,) = tmp_path.iterdir()

    assert cached_embeddings(tmp_path, encoder, data, rows[:4]) == pytest.approx(first[:4], abs=1e-6)
    assert len(computed) == 2
    whole = cached_embeddings(tmp_path, encoder, data, rows)
    path.write_bytes(path.read_bytes()[:200])
    assert np.array_equal(cached_embeddings(tmp_path, encoder, data, rows), whole)
    assert len(computed) == 4 and len(np.load(path)["embeddings"]) == WINDOWS

    with np.load(path) as stored:
        contents = dict(stored)
    np.savez(path, **(contents | {"encoder_sha256": np.array("another")}))
    cached_embeddings(tmp_path, encoder, data, rows)
    np.savez(path, **(contents | {"embeddings": np.full_like(first, np.nan)}))
    assert np.isfinite(cached_embeddings(tmp_path, encoder, data, rows)).all()
    assert len(computed) == 6
    of_crops = cached_embeddings(tmp_path, encoder, data, rows, samples=100)
    assert len(computed) == 7 and np.abs(of_crops - whole).max() > 1e-3
    assert np.array_equal(cached_embeddings(tmp_path, encoder, data, rows), whole)


def test_without_a_folder_nothing_is_kept(encoder, data, tmp_path):
    cached_embeddings(None, encoder, data, np.arange(2))
    assert list(tmp_path.iterdir()) == []
