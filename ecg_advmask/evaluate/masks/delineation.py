"""P, QRS and T waves found by NeuroKit2, for recordings without annotations.

Makowski et al. 2021 (NeuroKit2; Behavior Research Methods 53:1689-1696); the delineator is its "prominence" method,
after Emrich et al. 2024 (EUSIPCO). On LUDB's hand marks, at 100 Hz, it was better and ten times faster than the wavelet
one ("dwt"). Waves are sought once for all leads: QRS in the root mean square of the eight independent leads, P and T in
each lead, with the median over the leads, since a wave that one lead hides shows in another.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from ecg_advmask.config import Config
from ecg_advmask.data.dataset import DataSet
from ecg_advmask.data.order import middle_starts
from ecg_advmask.ecg import annotations
from ecg_advmask.ecg.annotations import UNKNOWN, Wave, WaveAnnotations, WaveName, parts_at
from ecg_advmask.ecg.leads import eight_from_twelve
from ecg_advmask.ecg.recording import UnreadableRecordingError
from ecg_advmask.errors import InputError
from ecg_advmask.files import inside

METHOD: Final = (
    "NeuroKit2, prominence: QRS in the root mean square of the eight independent leads, P and T as medians over leads"
)
LEAST_LEADS: Final = 6
"""A P or T wave counts where it was found in at least this many of the twelve leads."""
LARGEST_P_SPREAD_S: Final = 0.03
"""A P wave counts where its peaks in the leads lie so close together (median absolute deviation): in atrial
fibrillation each lead gives another time."""

_BEATS_NEEDED: Final = 2
_NAMES: Final[dict[WaveName, str]] = {"P": "P", "QRS": "R", "T": "T"}  # here and at NeuroKit2

Times = npt.NDArray[np.float64]


class DelineationError(ValueError):
    """No waves could be found in a recording; the message says why."""


def delineate(signals_mv: npt.NDArray[np.floating], sampling_rate_hz: float) -> WaveAnnotations:
    """Waves of a recording, the same in all leads, in seconds from its first sample.

    The time before the first and after the last wave is unknown, as are the surroundings of a beat whose QRS has no
    onset or end.

    Args:
        signals_mv: (T, 12), millivolts, none missing, in the order of `STANDARD_LEADS`.
        sampling_rate_hz: samples per second.

    Raises:
        DelineationError: fewer than two beats were found, or NeuroKit2 cannot work with the signal.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            peaks, magnitude_waves, lead_waves = _neurokit(signals_mv.astype(np.float64), sampling_rate_hz)
    except DelineationError:
        raise
    except Exception as error:  # it raises whatever NumPy and SciPy raise on signals that it does not expect
        raise DelineationError(f"NeuroKit2 failed ({type(error).__name__}: {error})") from error
    qrs = (magnitude_waves["QRS"][1:] / sampling_rate_hz).T
    delimited = np.isfinite(qrs).all(axis=1)
    waves = [Wave("QRS", onset, end) for onset, end in qrs[delimited].tolist()]
    for name in ("P", "T"):
        stacked = np.stack([waves_of_lead[name] for waves_of_lead in lead_waves]) / sampling_rate_hz
        waves += [Wave(name, onset, end) for onset, end in _agreed(stacked, name).tolist()]
    if not waves:
        raise DelineationError("no wave has both an onset and an end")
    waves.sort(key=lambda wave: wave.onset_s)
    unclear_s = (peaks[~delimited] / sampling_rate_hz).tolist()
    return WaveAnnotations(tuple(waves), waves[0].onset_s, max(wave.end_s for wave in waves), tuple(unclear_s))


def _agreed(times_s: Times, name: WaveName) -> Times:
    """Onset and end, (waves, 2), of the waves on which the leads agree.

    In: peak, onset and end of each beat in each lead, (12, 3, beats).
    """
    agreed = []
    for beat in np.moveaxis(times_s, 2, 0):
        complete = beat[np.isfinite(beat).all(axis=1)]
        if len(complete) >= LEAST_LEADS:
            medians = np.median(complete, axis=0)
            spread_s = np.median(np.abs(complete[:, 0] - medians[0]))
            if name != "P" or spread_s <= LARGEST_P_SPREAD_S:
                agreed.append(medians[1:])
    return np.reshape(agreed, (-1, 2))


def _neurokit(
    signals_mv: Times, sampling_rate_hz: float
) -> tuple[npt.NDArray[np.int64], dict[WaveName, Times], list[dict[WaveName, Times]]]:
    """R peaks (beats,), the waves of the magnitude and those of each lead; in samples, NaN where nothing was found."""
    import neurokit2  # takes seconds

    cleaned = np.stack([neurokit2.ecg_clean(lead, sampling_rate=sampling_rate_hz) for lead in signals_mv.T], axis=1)
    magnitude = np.sqrt(np.mean(np.square(eight_from_twelve(cleaned)), axis=1))
    peaks = np.asarray(neurokit2.ecg_peaks(magnitude, sampling_rate=sampling_rate_hz)[1]["ECG_R_Peaks"], np.int64)
    if len(peaks) < _BEATS_NEEDED:
        raise DelineationError(f"{len(peaks)} beats found, needs {_BEATS_NEEDED}")

    def waves_of(signal: Times) -> dict[WaveName, Times]:
        found = neurokit2.ecg_delineate(signal, peaks, sampling_rate=sampling_rate_hz, method="prominence")[1]
        return {name: _rows(found, prefix, peaks) for name, prefix in _NAMES.items()}

    return peaks, waves_of(magnitude), [waves_of(lead) for lead in cleaned.T]


def _rows(found: dict[str, Any], prefix: str, peaks: npt.NDArray[np.int64]) -> Times:
    """Peak, onset and end of one kind of wave in each beat, (3, beats), in samples."""
    rows = [found.get(f"ECG_{prefix}_{what}", peaks) for what in ("Peaks", "Onsets", "Offsets")]
    # NeuroKit2 leaves out the position 0, which only a wave of the first beat can have.
    return np.array([[np.nan] * (len(peaks) - len(row)) + [float(value) for value in row] for row in rows])


# ---- Recordings drawn from a data set, the views of them that an adversary is shown, and what is known of their waves.

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


def uses_marks(recordings: pd.DataFrame, source: str | None, waves: WavesFrom) -> bool:
    """Whether the waves come from the marks in ``source``: where they are asked for, or ``auto`` finds any.

    Raises:
        InputError: marks are asked for without a folder, or it is none.
    """
    if source is None:
        if waves == "marks":
            raise InputError("--waves marks: needs the folder of the marks (--source FOLDER)")
        return False
    if not Path(source).is_dir():
        raise InputError(f"{source}: is not a folder, give the archive that the data set was prepared from")
    if waves != "auto":
        return waves == "marks"
    return any(annotations.has_marks(inside(source, str(file))) for file in recordings["file"] if file)


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


def wave_parts(
    record: Mapping[Any, Any], data: DataSet, source: str | None, start_s: float, samples: int
) -> npt.NDArray[np.int8]:
    """The part of the heart beat of each sample of a view, (samples, 12), as in `ecg_advmask.ecg.annotations.parts_at`.

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


def _marks(record: Mapping[Any, Any], data: DataSet, source: str | None) -> tuple[WaveAnnotations, ...]:
    """Marks of the twelve leads, in seconds of the recording, from the archive or by the delineator."""
    if source is not None:
        return annotations.read_marks(inside(source, str(record["file"])))
    (signals_mv,) = data.signals_mv([record["row"]])
    marks = delineate(signals_mv[: record["valid_samples"]], data.sampling_rate_hz)
    return (marks.later_by(float(record["start_s"])),) * 12


def _parts(
    marks: tuple[WaveAnnotations, ...], start_s: float, rate_hz: float, record: Mapping[Any, Any], samples: int
) -> npt.NDArray[np.int8]:
    """What each sample of a view is part of, (L, 12); padding is unknown."""
    times_s = start_s + np.arange(samples) / rate_hz
    parts = np.stack([parts_at(of_lead, times_s) for of_lead in marks], axis=1)
    own = (times_s - float(record["start_s"])) * rate_hz < record["valid_samples"] - 0.5
    return np.where(own[:, None], parts, np.int8(UNKNOWN))
