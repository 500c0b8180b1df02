"""The windows of chosen recordings, to train a network on at random and to judge it on completely.

They are held in memory as int16 where they fit, else the wanted samples are read from the shards for each batch.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from ecg_advmask.evaluate.eligibility import windows_of
from ecg_advmask.pipeline import order
from ecg_advmask.pipeline.shards import DataSet
from ecg_advmask.pipeline.tfrecord import LEADS, Microvolts

Numbers = npt.NDArray[np.int64]

MOST_BYTES: Final = 2**30
"""Windows are held in memory if they take no more: 8,900 of 10 s at 500 Hz, 44,000 at 100 Hz."""


class RecordingWindows:
    """Windows of recordings that are numbered by their place in ``keys``, as long as a network wants them.

    Args:
        data: the data set.
        keys: (n,) ids of the recordings, each of at least one window.
        samples: length of what is delivered; of longer windows a crop of their valid part.
        most_bytes: hold the windows in memory if they take at most so many.
    """

    def __init__(
        self, data: DataSet, keys: npt.NDArray[np.object_], samples: int, most_bytes: int = MOST_BYTES
    ) -> None:
        rows, recording_of = windows_of(data.records, keys)
        by_recording = np.argsort(recording_of, kind="stable")
        self._rows, self._recording_of = rows[by_recording], recording_of[by_recording]
        self._valid_samples = data.valid_samples[self._rows]
        self._counts = np.bincount(self._recording_of, minlength=len(keys))
        self._first = np.cumsum(self._counts) - self._counts
        self._data, self.samples = data, samples
        held = len(rows) * data.window_samples * LEADS * np.dtype(np.int16).itemsize <= most_bytes
        self._held = data.windows_uv(self._rows) if held else None

    def random_batches(
        self, recordings: Numbers, batches: int, batch_size: int, seed: int
    ) -> Iterator[tuple[Microvolts, Numbers]]:
        """Batches for training: recordings in one random order after another, a random crop of a random window of each.

        A batch may span two orders, so all are full and every recording comes equally often, up to one. More batches
        begin like fewer.

        Args:
            recordings: (n,) numbers of recordings.
            batches: how many batches.
            batch_size: windows in a batch.
            seed: the only source of order, windows and crops.

        Yields:
            (batch_size, samples, 12) int16 microvolts, and (batch_size,) number of the recording of each.
        """
        rng = np.random.default_rng(seed)
        wanted = batches * batch_size
        passes = []
        for number in range(-(-wanted // len(recordings))):
            drawn = rng.permutation(recordings)
            places = self._first[drawn] + rng.integers(self._counts[drawn])
            starts = order.crop_starts(self._valid_samples[places], self.samples, seed=seed, epoch=number)
            passes.append(np.stack([drawn, places, starts]))
        for batch in np.split(np.concatenate(passes, axis=1)[:, :wanted], batches, axis=1):
            drawn, places, starts = batch
            yield self._read(places, starts), drawn

    def batches(self, recordings: Numbers, batch_size: int) -> Iterator[tuple[Microvolts, Numbers]]:
        """Every window of recordings once, the middle of each; all batches are full, the last one with zeros.

        Yields:
            (batch_size, samples, 12) int16 microvolts, and the place in ``recordings``, (at most batch_size,), of each.
        """
        counts = self._counts[recordings]
        of_window = np.repeat(np.arange(len(recordings)), counts)
        within = np.arange(len(of_window)) - np.repeat(np.cumsum(counts) - counts, counts)
        places = self._first[recordings][of_window] + within
        starts = order.middle_starts(self._valid_samples[places], self.samples)
        for first in range(0, len(places), batch_size):
            batch = slice(first, first + batch_size)
            windows_uv = self._read(places[batch], starts[batch])
            missing = batch_size - len(windows_uv)
            yield np.pad(windows_uv, [(0, missing), (0, 0), (0, 0)]), of_window[batch]

    def _read(self, places: Numbers, starts: Numbers) -> Microvolts:
        if self._held is None:
            return self._data.windows_uv(self._rows[places], starts, self.samples)
        return np.stack(
            [self._held[place, start : start + self.samples] for place, start in zip(places, starts, strict=True)]
        )
