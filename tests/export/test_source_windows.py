"""Windows to calibrate and compare on: from all over their source, as `embed` and evaluations cut them."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecg_advmask.data.dataset import DataSet
from ecg_advmask.errors import InputError
from ecg_advmask.export.probe import dataset_windows, source_windows, spread

RATE_HZ = 100


def test_spread_takes_the_middles_of_equal_parts() -> None:
    assert spread(list(range(9)), 3) == [1, 4, 7]
    assert spread("abcd", 4) == spread("abcd", 100) == list("abcd")
    assert spread([], 3) == []


def ramps(recordings: int, windows: int, samples: int = 250) -> np.ndarray[Any, Any]:
    """Recordings of noise (n, T, 12) in which each window begins with a number of its own, in microvolts."""
    signals = np.random.default_rng(0).normal(size=(recordings, windows * samples, 12)).astype(np.float32)
    numbers = np.arange(recordings * windows).reshape(recordings, windows)
    signals[:, ::samples, 0] = 1e-3 * numbers
    return signals


@pytest.mark.parametrize(
    ("recordings", "windows", "most", "expected"),
    [
        (12, 1, 4, [1, 4, 7, 10]),  # a part of the recordings
        (1, 12, 3, [3, 7, 11]),  # of one recording six of its windows, 1, 3, ..., and of these three
        (3, 4, 100, list(range(12))),  # all there are
        (2, 8, 4, [3, 7, 11, 15]),  # likewise of each of two
    ],
)
def test_windows_come_from_all_over_the_source(
    config: Any, tmp_path: Path, recordings: int, windows: int, most: int, expected: list[int]
) -> None:
    path = tmp_path / "recordings.npz"
    np.savez(path, signals=ramps(recordings, windows), sampling_rate_hz=RATE_HZ)
    found = source_windows(path, config, most)
    assert found.dtype == np.float32 and found.shape[1:] == (250, 12)
    assert np.round(found[:, 0, 0] * 1e3).astype(int).tolist() == expected


def test_what_cannot_be_used_is_passed_over(config: Any, tmp_path: Path) -> None:
    signals = ramps(6, 1)
    signals[1::2] = 0
    np.savez(tmp_path / "recordings.npz", signals=signals, sampling_rate_hz=RATE_HZ)
    numbers = np.round(source_windows(tmp_path / "recordings.npz", config, 6)[:, 0, 0] * 1e3)
    assert numbers.tolist() == [0, 2, 4]
    np.savez(tmp_path / "silent.npz", signals=signals[1::2], sampling_rate_hz=RATE_HZ)
    with pytest.raises(InputError, match=r"silent\.npz: holds no usable recording to compare on \(no usable window"):
        source_windows(tmp_path / "silent.npz", config, 6)


def test_a_data_set_gives_its_windows(config: Any, generated_data: Path) -> None:
    data = DataSet.open(generated_data)
    found = source_windows(generated_data, config, 10)
    rows = [(2 * place + 1) * data.windows // 20 for place in range(10)]
    assert np.array_equal(found, data.signals_mv(np.array(rows)))
    shorter = dataclasses.replace(config, window_seconds=1.25)
    starts = (data.valid_samples[rows] - 125) // 2  # the middle of what is not padding
    middles = [window[start : start + 125] for window, start in zip(found, starts, strict=True)]
    assert np.array_equal(source_windows(generated_data, shorter, 10), np.stack(middles))
    assert np.array_equal(dataset_windows(data, np.array(rows), 125), np.stack(middles))
    with pytest.raises(InputError, match="prepare the recordings again with --sampling-rate 500"):
        source_windows(generated_data, dataclasses.replace(config, sampling_rate_hz=500), 10)
