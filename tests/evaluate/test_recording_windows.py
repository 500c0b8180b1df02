"""Windows of recordings: each sample says which recording, window and time it is of."""

import numpy as np
import pytest

from ecg_advmask.data import dataset
from ecg_advmask.evaluate.embeddings import RecordingWindows

WINDOW, SAMPLES = 50, 20
VALID = [50, 50, 34, 50, 50, 12]  # of the windows in the order of the data set
ORDER = ["A", "C", "A", "B", "A", "C"]
IDS = ["C", "A", "B"]  # recordings are numbered as an evaluation has them


@pytest.fixture(scope="module")
def data(tmp_path_factory, write_data):
    """Sample t of window w holds 1000 w + t in every lead."""
    windows = 1000 * np.arange(6)[:, None] + np.arange(WINDOW)
    windows_uv = np.repeat(windows[:, :, None], 12, axis=2).astype(np.int16)
    folder = write_data(tmp_path_factory.mktemp("windows") / "data", windows_uv, [4, 2], id=ORDER, valid_samples=VALID)
    return dataset.DataSet.open(folder)


@pytest.fixture(scope="module", params=[0, 2**20], ids=["from the shards", "in memory"])
def windows(data, request):
    return RecordingWindows(data, np.array(IDS, object), SAMPLES, most_bytes=request.param)


def test_random_batches_are_full_and_take_every_recording_equally_often(windows):
    batches = list(windows.random_batches(np.array([0, 1, 2]), batches=50, batch_size=4, seed=3))
    drawn = np.concatenate([recordings for _, recordings in batches])
    assert np.ptp(np.bincount(drawn)) <= 1 and len(drawn) == 200
    assert {windows_uv.shape for windows_uv, _ in batches} == {(4, SAMPLES, 12)}
    window, start = np.divmod(np.concatenate([windows_uv[:, 0, 0] for windows_uv, _ in batches]), 1000)
    assert [IDS[recording] for recording in drawn] == [ORDER[place] for place in window]
    # of three windows each comes about a third of 66 times, and crops begin anywhere in the valid part
    assert np.bincount(window, minlength=6)[[0, 2, 4]].min() > 10
    for place, valid in enumerate(VALID):
        begins = start[window == place]
        assert begins.min() >= 0 and begins.max() <= max(valid - SAMPLES, 0)
    assert len(np.unique(start[window == 3])) > 20


def test_a_window_is_delivered_from_its_start_in_order_and_only_chosen_recordings_come(windows):
    (windows_uv, recordings), *_ = windows.random_batches(np.array([2]), batches=1, batch_size=1, seed=0)
    np.testing.assert_array_equal(windows_uv[0, :, 5], windows_uv[0, 0, 5] + np.arange(SAMPLES))
    assert recordings.tolist() == [2] and windows_uv[0, 0, 0] // 1000 == ORDER.index("B")


def test_random_batches_depend_on_the_seed_alone(data):
    def drawn(seed, most_bytes):
        source = RecordingWindows(data, np.array(IDS, object), SAMPLES, most_bytes)
        return np.stack([windows_uv for windows_uv, _ in source.random_batches(np.arange(3), 5, 2, seed)])

    np.testing.assert_array_equal(drawn(1, 0), drawn(1, 2**20))
    assert not np.array_equal(drawn(1, 0), drawn(2, 0))


def test_batches_hold_the_middle_of_every_window_once_and_zeros_to_the_end(windows):
    batches = list(windows.batches(np.array([2, 1, 0]), batch_size=4))
    assert [len(place) for _, place in batches] == [4, 2]
    assert np.concatenate([place for _, place in batches]).tolist() == [0, 1, 1, 1, 2, 2]
    values = np.concatenate([windows_uv for windows_uv, _ in batches])
    middles = {0: 15, 1: 15, 2: 7, 3: 15, 4: 15, 5: 0}  # (valid - 20) // 2, and 0 where there are fewer
    assert values[:6, 0, 0].tolist() == [1000 * place + middles[place] for place in (3, 0, 2, 4, 1, 5)]
    assert (values[6:] == 0).all()
