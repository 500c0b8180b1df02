"""Fine-tuning: what is trained on what, when it stops, what is kept; on scripted networks and on a small real one."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers

from ecg_advmask.data import dataset
from ecg_advmask.data.targets import Targets
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.embeddings import RecordingWindows
from ecg_advmask.evaluate.finetune import FineTuning, Network, fine_tuning, mean_of_recordings
from ecg_advmask.evaluate.split import Split

RECORDINGS, WINDOW, SAMPLES = 48, 130, 100


def write_recordings(write_data, folder):
    """Two windows of each recording; the classes differ in their rhythm, the number is the amplitude in mV."""
    rng = np.random.default_rng(0)
    classes, amplitude = np.arange(RECORDINGS) % 2, rng.uniform(0.5, 2, RECORDINGS)
    time, windows = np.arange(WINDOW) / 100, []
    for one, size in zip(classes, amplitude, strict=True):
        for _ in range(2):
            wave = np.sin(2 * np.pi * (2 if one else 8) * time + rng.uniform(0, 6))
            windows.append(1000 * size * wave[:, None] * np.ones(12) + rng.normal(scale=50, size=(WINDOW, 12)))
    ids = [f"R{i // 2:02d}" for i in range(2 * RECORDINGS)]
    write_data(folder, np.array(windows).astype(np.int16), [2 * RECORDINGS], id=ids)
    return dataset.DataSet.open(folder), classes, amplitude


@pytest.fixture(scope="module")
def made(tmp_path_factory, write_data):
    data, classes, amplitude = write_recordings(write_data, tmp_path_factory.mktemp("finetune") / "data")
    ids = np.array([f"R{i:02d}" for i in range(RECORDINGS)], object)
    parts = np.repeat(["train", "validation", "test"], RECORDINGS // 3)
    none = np.full(RECORDINGS, "", object)
    kinds = {
        "classes": Targets("rhythm", "classes", ("fast", "slow"), classes, none),
        "number": Targets("amplitude", "number", ("mV",), amplitude, none),
    }
    splits = {kind: Split.of(ids, targets, ids, parts) for kind, targets in kinds.items()}
    return SimpleNamespace(windows=RecordingWindows(data, ids, SAMPLES), **splits)


class Scripted:
    """A network that learns nothing; what it gives depends on how many updates it had."""

    def __init__(self, outputs_after):
        self.outputs_after = outputs_after
        self.weights = [np.array(0)]
        self.batches, self.rates, self.started_with = [], [], []

    def start(self, weights):
        self.started_with.append(weights)
        self.weights = [np.array(0)]

    def train(self, _, truth, encoder_rate, head_rate):
        self.weights = [self.weights[0] + 1]
        self.batches.append(truth)
        self.rates.append((encoder_rate, head_rate))

    def predict(self, windows_uv):
        return self.outputs_after(int(self.weights[0]), windows_uv)


def right_share(share):
    """Outputs that know the class of so large a share of windows: slow waves differ little from sample to sample."""

    def outputs(windows_uv):
        lead = windows_uv[:, :, 0].astype(float)
        smoothness = 0.3 - np.abs(np.diff(lead)).mean(axis=1) / (np.abs(lead).mean(axis=1) + 1)
        smoothness[np.arange(len(lead)) % 10 >= 10 * share] *= -1
        return np.stack([-smoothness, smoothness], axis=1).astype(np.float32)

    return outputs


def fit_of(network, made, settings, split="classes", start=None, encoder_rate=0.01):
    start = start or (lambda seed: [np.array(seed)])
    return fine_tuning(network, made.windows, getattr(made, split), start, encoder_rate, settings)


def test_the_best_check_is_kept_and_patience_ends_the_fit(made):
    scores = {2: 0.2, 4: 0.6, 6: 1.0, 8: 0.8, 10: 1.0, 12: 0.4}  # of a fit that could last 40 updates
    network = Scripted(lambda updates, windows_uv: right_share(scores[updates])(windows_uv))
    settings = FineTuning(updates=40, most_passes=1000, checks=20, patience=3)
    predicted, about = fit_of(network, made, settings)(np.arange(16), seed=7)
    # the sixth update was the best, the tenth no better: three checks later it is over
    assert (about["updates"], about["best_update"], about["validation"]) == (12, 6, 1.0)
    assert network.weights[0] == 6 and network.started_with == [[np.array(7)]]
    np.testing.assert_array_equal(predicted.argmax(axis=1), np.arange(16) % 2)
    np.testing.assert_allclose(predicted.sum(axis=1), 1)
    assert about["passes"] == 12


def test_rates_fall_along_half_a_cosine_or_stay(made):
    network = Scripted(lambda _, windows_uv: right_share(1.0)(windows_uv))
    fit_of(network, made, FineTuning(updates=8, head_rate=0.1, patience=20))(np.arange(16), seed=0)
    factors = [(1 + np.cos(np.pi * step / 8)) / 2 for step in range(8)]
    np.testing.assert_allclose(network.rates, [(0.01 * factor, 0.1 * factor) for factor in factors])
    network.rates.clear()
    constant = FineTuning(updates=8, head_rate=0.1, schedule="constant", checks=4, patience=2)
    fit_of(network, made, constant)(np.arange(16), seed=0)
    assert network.rates == [(0.01, 0.1)] * 6  # the first check was perfect, two more follow


def test_batches_are_of_the_drawn_recordings_and_as_many_as_the_budget_says(made):
    network = Scripted(lambda _, windows_uv: right_share(1.0)(windows_uv))
    drawn = np.array([1, 3, 5, 7, 9, 0])  # five of the second class and one of the first
    settings = FineTuning(updates=3, fewest_passes=4, batch_size=4, checks=2, patience=9)
    _, about = fit_of(network, made, settings)(drawn, seed=0)
    assert about["updates"] == len(network.batches) == 6  # four passes through six recordings in batches of four
    assert np.concatenate(network.batches).tolist().count(0) == 4 and about["passes"] == 4
    assert [len(batch) for batch in network.batches] == [4] * 6


@pytest.mark.parametrize(("labels", "updates"), [(1, 100), (25, 100), (64, 200), (500, 250), (1000, 250), (6400, 1000)])
def test_budget(labels, updates):
    assert FineTuning().updates_for(labels) == updates


def test_a_number_is_learnt_in_deviations_of_the_drawn_ones_and_reported_in_its_unit(made):
    network = Scripted(lambda updates, windows_uv: np.full((len(windows_uv), 1), float(updates), np.float32))
    settings = FineTuning(updates=10, most_passes=1000, checks=10, patience=6)
    drawn, values = np.arange(10), made.number.targets.values
    predicted, about = fit_of(network, made, settings, "number")(drawn, seed=0)
    mean, deviation = values[drawn].mean(), values[drawn].std()
    truth = np.concatenate(network.batches)
    assert set(np.round(truth, 9)) == set(np.round((values[drawn] - mean) / deviation, 9))
    # one deviation above the mean is the smallest of the scripted predictions, and the nearest: MAE counts downwards
    assert about["best_update"] == 1 and about["updates"] == 7
    np.testing.assert_allclose(predicted, mean + deviation)
    assert about["validation"] == pytest.approx(np.abs(values[made.number.rows["validation"]] - predicted[0]).mean())


def test_mean_over_the_windows_of_each_recording():
    predictions = np.array([[0.2, 0.8], [0.4, 0.6], [1.0, 0.0], [0.0, 1.0], [0.3, 0.7], [0.6, 0.4]])
    means = mean_of_recordings(predictions, np.array([0, 0, 1, 2, 2, 2]))
    np.testing.assert_allclose(means, [[0.3, 0.7], [1.0, 0.0], [0.3, 0.7]])
    np.testing.assert_allclose(mean_of_recordings(predictions[:, 0], np.array([0, 0, 1, 2, 2, 2])), [0.3, 1.0, 0.3])


def test_outputs_without_bounds_are_refused_in_one_line(made):
    network = Scripted(lambda _, windows_uv: np.full((len(windows_uv), 1), np.nan, np.float32))
    with pytest.raises(InputError, match="lower the learning rates"):
        fit_of(network, made, FineTuning(updates=4), "number")(np.arange(16), seed=0)


@pytest.mark.parametrize(
    "values",
    [
        *({name: 0} for name in ("updates", "batch_size", "patience", "checks", "head_rate")),
        {"fewest_passes": 9, "most_passes": 8},
        {"encoder_rate": -1e-3},
        {"scratch_rate": float("nan")},
        {"schedule": "linear"},
    ],
)
def test_settings_that_mean_nothing_are_refused(values):
    with pytest.raises(InputError, match="fine-tuning"):
        FineTuning(**values)


# ---------------------------------------------------------------- a real network


def small_encoder(seed=0):
    keras.utils.set_random_seed(seed)
    signals = keras.Input((None, 12))
    x = layers.BatchNormalization(momentum=0.9)(layers.Conv1D(8, 9, strides=2, use_bias=False)(signals))
    return keras.Model(signals, layers.Dense(8)(layers.GlobalAveragePooling1D()(keras.ops.relu(x))))


@pytest.fixture(scope="module")
def network():
    return Network(small_encoder(), "classes", 2, jit_compile=False)


LEARNING = FineTuning(updates=60, most_passes=1000, batch_size=8, head_rate=3e-2, checks=6, patience=6)


def from_scratch(seed):
    return small_encoder(seed).get_weights()


def test_a_separable_set_is_learnt_from_a_few_recordings_the_same_each_time(made, network):
    fit = fit_of(network, made, LEARNING, start=from_scratch)
    predicted, about = fit(np.arange(12), seed=1)
    np.testing.assert_array_equal(predicted.argmax(axis=1), made.classes.targets.values[made.classes.rows["test"]])
    assert about["validation"] == 1.0
    again, _ = fit(np.arange(12), seed=1)
    np.testing.assert_array_equal(again, predicted)
    other, _ = fit(np.arange(12), seed=2)
    assert np.abs(other - predicted).max() > 1e-3


def test_scratch_and_fine_tuning_differ_in_the_weights_that_they_start_from_alone(made, network):
    quick = FineTuning(updates=6, checks=2)
    scratch, _ = fit_of(network, made, quick, start=from_scratch)(np.arange(12), seed=4)
    initial, pretrained = small_encoder(4).get_weights(), small_encoder(9).get_weights()
    same, _ = fit_of(network, made, quick, start=lambda _: initial)(np.arange(12), seed=4)
    np.testing.assert_array_equal(same, scratch)
    tuned, _ = fit_of(network, made, quick, start=lambda _: pretrained)(np.arange(12), seed=4)
    assert np.abs(tuned - scratch).max() > 1e-3


def test_the_weights_that_predict_are_those_of_the_best_check(made, network):
    """They are those of a fit that ends at that check."""
    settings = FineTuning(30, 1, 1000, batch_size=8, head_rate=3e-2, schedule="constant", checks=6)
    fit = fit_of(network, made, settings, start=from_scratch)
    predicted, about = fit(np.arange(12), seed=1)
    kept = network.weights
    shorter = FineTuning(**vars(settings) | {"updates": about["best_update"], "checks": 1})
    same, _ = fit_of(network, made, shorter, start=from_scratch)(np.arange(12), seed=1)
    assert about["best_update"] < about["updates"]
    np.testing.assert_array_equal(same, predicted)
    for one, other in zip(network.weights, kept, strict=True):
        np.testing.assert_array_equal(one, other)
