"""Windows of real recordings to calibrate exported files on and to compare them on, from all over their source."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ecg_advmask.config import Config
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.run_data import check_fit
from ecg_advmask.export.windows import windows_of
from ecg_advmask.pipeline import order
from ecg_advmask.pipeline.shards import DATASET_FILE, DataSet
from ecg_advmask.records import Refused, Windowing, list_recordings, read_listed

Float32 = npt.NDArray[np.float32]
Item = TypeVar("Item")


def source_windows(source: Path, config: Config, most: int) -> Float32:
    """Windows (n, L, 12) float32 in millivolts, as the encoder takes them, evenly spread over the source.

    Args:
        source: a data set directory of `prepare`, or a file or folder with recordings as `embed` takes them.
        config: rate and length of the windows.
        most: as many at most.

    Raises:
        InputError: there is not one usable window, or the data set has another rate.
    """
    if (source / DATASET_FILE).is_file():
        data = DataSet.open(source)
        check_fit(config, data, "the encoder")
        return dataset_windows(data, np.array(spread(range(data.windows), most), np.int64), config.window_samples)
    chosen = spread(list(list_recordings([source])), most)
    of_each = 2 * most // len(chosen)  # enough where half of them cannot be used
    windowing = Windowing(config.sampling_rate_hz, config.window_samples, most_windows=of_each)
    windows: list[Float32] = []
    reason = ""
    for listed in chosen:
        outline, found = windows_of(read_listed(listed), windowing)
        windows += found
        if isinstance(outline, Refused):
            reason = outline.reason
    if not windows:
        raise InputError(f"{source}: holds no usable recording to compare on ({reason})")
    return np.stack(spread(windows, most))


def dataset_windows(data: DataSet, rows: npt.NDArray[np.int64], samples: int) -> Float32:
    """Windows of a data set in millivolts, (n, samples, 12): of longer ones the middle, as evaluations take them."""
    if samples == data.window_samples:
        return data.signals_mv(rows)
    starts = order.middle_starts(data.valid_samples[rows], samples)
    return data.windows_uv(rows, starts, samples) * np.float32(1e-3)


def spread(values: Sequence[Item], most: int) -> list[Item]:
    """As many of the values at most, evenly spaced, in their order."""
    count = min(most, len(values))
    return [values[(2 * place + 1) * len(values) // (2 * count)] for place in range(count)]
