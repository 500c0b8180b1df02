"""P, QRS and T waves found by NeuroKit2 where nobody has marked them.

Makowski et al. 2021 (NeuroKit2; Behavior Research Methods 53:1689-1696); the delineator is its "prominence" method,
after Emrich et al. 2024 (EUSIPCO). On LUDB's hand marks, at 100 Hz, it was better and ten times faster than the wavelet
one ("dwt"). Waves are sought once for all leads: QRS in the root mean square of the eight independent leads, P and T in
each lead, with the median over the leads, since a wave that one lead hides shows in another.
"""

import warnings
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ecg_advmask.leads import eight_from_twelve
from ecg_advmask.waves import Marks, Wave, WaveName

METHOD: Final = (
    "NeuroKit2, prominence: QRS in the root mean square of the eight independent leads, P and T as medians over leads"
)
LEAST_LEADS: Final = 6
"""A P or T wave counts where it was found in at least so many of the twelve leads."""
LARGEST_P_SPREAD_S: Final = 0.03
"""A P wave counts where its peaks in the leads lie so close together (median absolute deviation): in atrial
fibrillation each lead gives another time."""

_BEATS_NEEDED: Final = 2
_NAMES: Final[dict[WaveName, str]] = {"P": "P", "QRS": "R", "T": "T"}  # here and at NeuroKit2

Times = npt.NDArray[np.float64]


class DelineationError(ValueError):
    """No waves could be found in a recording; the message says why."""


def delineate(signals_mv: npt.NDArray[np.floating], sampling_rate_hz: float) -> Marks:
    """Waves of a recording, the same in all leads, in seconds from its first sample.

    What lies before the first and after the last wave is unknown, as are the surroundings of a beat whose QRS has no
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
    return Marks(tuple(waves), waves[0].onset_s, max(wave.end_s for wave in waves), tuple(unclear_s))


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
