"""Simple features of ECGs as a baseline of every encoder: rhythm, intervals and amplitudes, by NeuroKit2.

`SimpleFeatures` stands wherever `ecg-advmask embed` and `judge` take an encoder, under the name ``simple``. Waves are
those of `ecg_advmask.evaluate.masks.delineation`. Base install and ``neurokit2``; neither onnxruntime nor TensorFlow.
"""

import importlib.util
from collections.abc import Mapping
from hashlib import sha256
from threading import Lock
from typing import Final

import numpy as np
import numpy.typing as npt

from ecg_advmask.ecg.annotations import Wave, WaveAnnotations, WaveName
from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.ecg.sources import Windowing
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.masks.delineation import DelineationError, delineate
from ecg_advmask.export.encoder import FloatArray
from ecg_advmask.files import versions

_RATE_HZ: Final = 100
_WINDOW_S: Final = 10

_MEASURES: Final[Mapping[str, float]] = {
    "heart rate (1/min)": 70.0,
    "deviation of RR / mean RR": 0.03,
    "RMSSD / mean RR": 0.03,
    "shortest RR / mean RR": 0.95,
    "longest RR / mean RR": 1.05,
    "beats with a P wave (share)": 0.0,
    "P (s)": 0.1,
    "PR (s)": 0.16,
    "QRS (s)": 0.09,
    "T (s)": 0.16,
    "QT (s)": 0.38,
    "QTc, Bazett (s)": 0.41,
    "cosine of the QRS axis": 0.5,
    "sine of the QRS axis": 0.8,
}
"""What is measured of a window, and the value that stands where there is none; a column of `_MISSING` is then 1."""
_OF_LEAD: Final = ("P", "R", "S", "ST", "T")
"""Of each lead, in mV from the level before QRS, 0 where there is none: the peak of P, highest and lowest point of QRS,
the level 60 ms after QRS, and the peak of T; medians over beats."""
_MISSING: Final = ("no beats", "no P waves", "no T waves")
FEATURE_NAMES: Final = (
    *_MEASURES,
    *(f"{what} in {lead} (mV)" for lead in STANDARD_LEADS for what in _OF_LEAD),
    *_MISSING,
)

_LONGEST_PR_S: Final = 0.35
_LEVEL_S: Final = (0.04, 0.01)
_ST_S: Final = 0.06

Float64 = npt.NDArray[np.float64]


class SimpleFeatures:
    """Gives windows of 10 s at 100 Hz the numbers named by `FEATURE_NAMES`, as an encoder gives embeddings.

    Raises:
        InputError: NeuroKit2 is not installed.
    """

    names = None
    reference = None
    sampling_rate_hz = _RATE_HZ
    embedding_dim = len(FEATURE_NAMES)

    def __init__(self) -> None:
        if importlib.util.find_spec("neurokit2") is None:
            raise InputError("simple: needs the package neurokit2, pip install 'ecg-advmask[judge]' brings it")
        self.sha256 = sha256(f"{FEATURE_NAMES} {versions(('neurokit2',))}".encode()).hexdigest()
        self.metadata = {"encoder_sha256": self.sha256}
        self._one_at_a_time = Lock()  # the filters of warnings, which NeuroKit2 needs, are those of all threads

    @property
    def windowing(self) -> Windowing:
        """How recordings are cut: those from half a window to a window are padded, which is taken off again."""
        samples = _RATE_HZ * _WINDOW_S
        return Windowing(_RATE_HZ, samples, samples // 2)

    def run(self, windows_mv: FloatArray) -> tuple[FloatArray, None]:
        """Features (n, F) float32 of windows (n, L, 12) in mV."""
        with self._one_at_a_time:
            return np.stack([simple_features(window, _RATE_HZ) for window in windows_mv]), None


def simple_features(window_mv: FloatArray, sampling_rate_hz: float) -> FloatArray:
    """Features (F,) float32 of one window (L, 12) in mV, by the names in `FEATURE_NAMES`."""
    changes = np.flatnonzero((window_mv[1:] != window_mv[:-1]).any(axis=1))
    signals = window_mv[: changes[-1] + 2] if len(changes) else window_mv  # without padding, which is constant
    try:
        waves = delineate(signals, sampling_rate_hz)
    except DelineationError:
        waves = WaveAnnotations((), 0.0, 0.0)
    return features_of_waves(waves, signals, sampling_rate_hz)


def features_of_waves(waves: WaveAnnotations, signals_mv: FloatArray, sampling_rate_hz: float) -> FloatArray:
    """Features (F,) float32 of a window (L, 12) in mV whose waves are known."""
    found: dict[str, list[float]] = {name: [] for name in _MEASURES}
    leads: dict[str, list[Float64]] = {what: [] for what in _OF_LEAD}
    beats = [wave for wave in waves.waves if wave.name == "QRS"]
    times = np.sort([*((beat.onset_s + beat.end_s) / 2 for beat in beats), *waves.unclear_s])
    intervals = np.diff(times)
    if len(intervals):
        mean = float(intervals.mean())
        found["heart rate (1/min)"] = [60 / mean]
        found["deviation of RR / mean RR"] = [float(intervals.std()) / mean]
        found["RMSSD / mean RR"] = [float(np.sqrt(np.mean(np.diff(intervals) ** 2))) / mean] * (len(intervals) > 1)
        found["shortest RR / mean RR"] = [float(intervals.min()) / mean]
        found["longest RR / mean RR"] = [float(intervals.max()) / mean]
    for number, beat in enumerate(beats):
        before = beats[number - 1].end_s if number else -np.inf
        after = beats[number + 1].onset_s if number + 1 < len(beats) else np.inf
        level = _between(signals_mv, beat.onset_s - _LEVEL_S[0], beat.onset_s - _LEVEL_S[1], sampling_rate_hz)
        if not len(level):
            continue
        zero = level.mean(axis=0)
        complex_mv = _between(signals_mv, beat.onset_s, beat.end_s, sampling_rate_hz) - zero
        found["QRS (s)"].append(beat.end_s - beat.onset_s)
        leads["R"].append(complex_mv.max(axis=0))
        leads["S"].append(complex_mv.min(axis=0))
        leads["ST"] += [*(_between(signals_mv, beat.end_s + _ST_S, beat.end_s + _ST_S, sampling_rate_hz) - zero)]
        p = _one_of(waves, "P", max(before, beat.onset_s - _LONGEST_PR_S), beat.onset_s)
        found["beats with a P wave (share)"].append(float(p is not None))
        if p is not None:
            found["P (s)"].append(p.end_s - p.onset_s)
            found["PR (s)"].append(beat.onset_s - p.onset_s)
            leads["P"].append(_peak(_between(signals_mv, *p[1:], sampling_rate_hz) - zero))
        t = _one_of(waves, "T", beat.end_s, after)
        if t is not None:
            found["T (s)"].append(t.end_s - t.onset_s)
            found["QT (s)"].append(t.end_s - beat.onset_s)
            leads["T"].append(_peak(_between(signals_mv, *t[1:], sampling_rate_hz) - zero))
    if found["QT (s)"] and len(intervals):
        found["QTc, Bazett (s)"] = [float(np.median(found["QT (s)"]) / np.sqrt(intervals.mean()))]
    medians = {what: np.median(values, axis=0) if values else np.zeros(12) for what, values in leads.items()}
    net = medians["R"] + medians["S"]
    if beats and np.any(net):
        one, foot = net[STANDARD_LEADS.index("I")], net[STANDARD_LEADS.index("aVF")] * 2 / np.sqrt(3)
        length = max(float(np.hypot(one, foot)), 1e-9)
        found["cosine of the QRS axis"], found["sine of the QRS axis"] = [one / length], [foot / length]
    found["beats with a P wave (share)"] = [float(np.mean(found["beats with a P wave (share)"] or [0.0]))]
    measures = [float(np.median(values)) if values else _MEASURES[name] for name, values in found.items()]
    missing = [float(not one) for one in (len(intervals), found["PR (s)"], found["QT (s)"])]
    of_leads = np.stack([medians[what] for what in _OF_LEAD], axis=1).ravel()
    return np.concatenate([measures, of_leads, missing]).astype(np.float32)


def _between(signals_mv: FloatArray, first_s: float, last_s: float, sampling_rate_hz: float) -> Float64:
    """Samples (n, 12) from one time to another, both included, as far as there are any."""
    first, last = round(first_s * sampling_rate_hz), round(last_s * sampling_rate_hz)
    return np.asarray(signals_mv[max(first, 0) : max(last + 1, 0)], np.float64)


def _one_of(waves: WaveAnnotations, name: WaveName, first_s: float, last_s: float) -> Wave | None:
    """The first wave of a kind that begins between two times."""
    return next((one for one in waves.waves if one.name == name and first_s <= one.onset_s < last_s), None)


def _peak(wave_mv: Float64) -> Float64:
    """Of each lead (12,) the value furthest from 0."""
    return np.asarray(wave_mv[np.abs(wave_mv).argmax(axis=0), np.arange(wave_mv.shape[1])])
