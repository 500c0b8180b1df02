"""A small archive in the CinC 2021 layout and the data set made of it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ecg_advmask.data.prepare as preparing
from ecg_advmask.data.dataset import DataSet
from ecg_advmask.data.prepare import prepare

RECORDINGS = 37


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory, write_wfdb: Callable[..., Path]) -> Path:
    """37 recordings of 1 s at 100 Hz, each with its own noise."""
    folder = tmp_path_factory.mktemp("archive")
    for number in range(RECORDINGS):
        samples = np.random.default_rng(number).integers(-1000, 1000, (100, 12)).astype(np.int16)
        write_wfdb(folder / "training" / "made" / f"g{number % 3}" / f"R{number:03d}.hea", samples, 100)
    return folder


@pytest.fixture(scope="session")
def small_data(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """The archive in windows of half a second: 74 windows in shards of 10."""
    folder = tmp_path_factory.mktemp("data") / "set"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparing, "RECORDINGS_PER_SHARD", 5)
        patch.setattr(preparing, "SHARDS_AT_LEAST", 1)
        prepare(archive, folder, "cinc2021", sampling_rate_hz=100, seconds=0.5, workers=1)
    return DataSet.open(folder, verify=True)
