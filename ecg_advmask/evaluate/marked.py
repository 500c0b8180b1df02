"""Recordings drawn from a data set, the views of them that an adversary is shown, and what is known of their waves."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from ecg_advmask.config import Config
from ecg_advmask.datasets import ludb
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate import delineation
from ecg_advmask.files import inside
from ecg_advmask.formats import UnreadableRecordingError
from ecg_advmask.pipeline.order import middle_starts
from ecg_advmask.pipeline.shards import DataSet
from ecg_advmask.waves import UNKNOWN, Marks, parts_at

WavesFrom = Literal["marks", "delineate", "auto"]


def draw(recordings: pd.DataFrame, windows: pd.DataFrame, most: int, seed: int) -> pd.DataFrame:
    """Recordings to measure, in random order: at most ``most``, without copies, one window of each.

    Args:
        recordings: as `ecg_advmask.evaluate.eligibility.recordings_of` gives them.
        windows: the data set's table of windows.
        most: how many.
        seed: of the draw, which does not depend on the order of the windows.

    Returns:
        Rows of ``recordings`` with the place ``row`` of the window, and its ``start_s`` and ``valid_samples``.
    """
    rng = np.random.default_rng([seed, 0])
    originals = recordings[recordings["duplicate_of"] == ""]
    chosen = originals.iloc[rng.permutation(len(originals))[:most]]
    starts_s, names = windows["start_s"].to_numpy(float), windows["id"].astype(str).str.strip().to_numpy(object)
    rows_of = pd.Series(np.arange(len(windows))).groupby(names).agg(list)
    rows = [int(rng.choice(sorted(rows_of[name], key=starts_s.__getitem__))) for name in chosen["key"]]
    return chosen.assign(row=rows, **{name: windows[name].to_numpy()[rows] for name in ("start_s", "valid_samples")})


def has_marks(recordings: pd.DataFrame, source: str | None, waves: WavesFrom) -> bool:
    """Whether the waves come from the marks in ``source``: where they are asked for, or ``auto`` finds any.

    Raises:
        InputError: marks are asked for without a folder, or it is none.
    """
    if source is None:
        if waves == "marks":
            raise InputError("--waves marks: needs the folder in which the marks lie (--source FOLDER)")
        return False
    if not Path(source).is_dir():
        raise InputError(f"{source}: is not a folder, give the archive that the data set was prepared from")
    if waves != "auto":
        return waves == "marks"
    return any(ludb.has_marks(inside(source, str(file))) for file in recordings["file"] if file)


def views(
    data: DataSet, config: Config, recordings: pd.DataFrame
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """What the adversary is shown, (n, L, 12) in millivolts, and where it starts, in seconds of the recording.

    As in training, but for augmentations: the middle of a longer window, and under CMSC the second half of that.
    """
    starts = middle_starts(recordings["valid_samples"].to_numpy(np.int64), config.window_samples)
    starts = starts + config.window_samples - config.view_samples
    windows_uv = data.windows_uv(recordings["row"].to_numpy(np.int64), starts, config.view_samples)
    starts_s = recordings["start_s"].to_numpy(np.float64) + starts / data.sampling_rate_hz
    return windows_uv * np.float32(1e-3), starts_s


def parts_of(
    record: Mapping[Any, Any], data: DataSet, source: str | None, start_s: float, samples: int
) -> npt.NDArray[np.int8]:
    """What each sample of a view is part of, (samples, 12), as `ecg_advmask.waves.parts_at` says.

    Args:
        record: a row of `draw`.
        data: the data set.
        source: the archive, beside whose headers the marks lie; None: the delineator looks at the whole window.
        start_s: where the view starts, in seconds of the recording.
        samples: its length.

    Raises:
        UnreadableRecordingError: the marks cannot be read, or none lie in the view.
        DelineationError: the delineator fails.
    """
    parts = _parts(_marks(record, data, source), start_s, data.sampling_rate_hz, record, samples)
    if (parts == UNKNOWN).all():
        raise UnreadableRecordingError(str(record["file"] or record["key"]), "no wave is known in the window")
    return parts


def _marks(record: Mapping[Any, Any], data: DataSet, source: str | None) -> tuple[Marks, ...]:
    """Marks of the twelve leads, in seconds of the recording, from the archive or by the delineator."""
    if source is not None:
        return ludb.read_marks(inside(source, str(record["file"])))
    (signals_mv,) = data.signals_mv([record["row"]])
    marks = delineation.delineate(signals_mv[: record["valid_samples"]], data.sampling_rate_hz)
    return (marks.later_by(float(record["start_s"])),) * 12


def _parts(
    marks: tuple[Marks, ...], start_s: float, rate_hz: float, record: Mapping[Any, Any], samples: int
) -> npt.NDArray[np.int8]:
    """What each sample of a view is part of, (L, 12); padding is unknown."""
    times_s = start_s + np.arange(samples) / rate_hz
    parts = np.stack([parts_at(of_lead, times_s) for of_lead in marks], axis=1)
    own = (times_s - float(record["start_s"])) * rate_hz < record["valid_samples"] - 0.5
    return np.where(own[:, None], parts, np.int8(UNKNOWN))
