"""Generated 12-lead recordings with known rhythm, sex, age and P, QRS and T intervals.

In: a `Subject` and a random generator. Out: a `GeneratedRecording`, signals in millivolts. The leads follow from the
heart vector by the Dower matrix, Einthoven and Goldberger; noise is added at the electrodes.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ecg_advmask.ecg.leads import eight_from_twelve, leads_from_heart_vector, twelve_from_eight
from ecg_advmask.synthetic.noise import Noise, draw_noise, electrode_noise_mv, independent_leads
from ecg_advmask.synthetic.rhythm import ATRIAL_HZ, Rhythm, atrial_vector_mv, r_peaks_s
from ecg_advmask.synthetic.subject import QRS, P, Subject, T, edges_s

Floats = npt.NDArray[np.float64]


class GeneratedWave(NamedTuple):
    """One P, QRS or T wave of a recording, in seconds from its start, clipped to the recording."""

    name: str
    onset_s: float
    end_s: float


@dataclass(frozen=True)
class GeneratedRecording:
    """A generated recording with its truth.

    Attributes:
        signals_mv: (T, 12) float32, leads in the order of `ecg_advmask.ecg.leads.STANDARD_LEADS`.
        sampling_rate_hz: samples per second.
        r_peaks_s: (beats,), R peaks within the recording.
        waves: all waves that reach into the recording, in order of onset; fibrillation, flutter and SVT have no P.
        heart_rate_bpm: from the mean RR interval.
        atrial_rate_bpm: flutter or fibrillation waves per minute; the heart rate in every other rhythm.
        qt_s: mean QT interval.
    """

    signals_mv: npt.NDArray[np.float32]
    sampling_rate_hz: int
    r_peaks_s: Floats
    waves: tuple[GeneratedWave, ...]
    heart_rate_bpm: float
    atrial_rate_bpm: float
    qt_s: float


def draw_recording(
    subject: Subject,
    rng: np.random.Generator,
    *,
    sampling_rate_hz: int = 500,
    duration_s: float = 10.0,
    noise: Noise | None = None,
) -> GeneratedRecording:
    """A recording of ``subject``.

    Args:
        subject: whom to record.
        rng: source of all random choices.
        sampling_rate_hz: samples per second, at least 100.
        duration_s: length in seconds, at least 5, so that the slowest heart beats three times.
        noise: levels of the noise; drawn, with mains of 50 Hz, unless given.

    Raises:
        ValueError: sampling rate or length below those bounds.
    """
    if sampling_rate_hz < 100 or duration_s < 5:
        raise ValueError(f"cannot generate {duration_s} s at {sampling_rate_hz} Hz: at least 5 s at 100 Hz are needed")
    breathing_hz = rng.uniform(0.18, 0.35)
    own_atrial_hz = ATRIAL_HZ.get(subject.rhythm.atria)
    atrial_hz = rng.uniform(*own_atrial_hz) if own_atrial_hz else 0.0
    peaks_s = r_peaks_s(subject.rhythm, duration_s, breathing_hz, atrial_hz, rng)
    centres_s, widths_s, amplitudes_mv = _beats(subject, peaks_s, breathing_hz, rng)

    time_s = np.arange(round(duration_s * sampling_rate_hz)) / sampling_rate_hz
    vector_mv = atrial_vector_mv(subject.rhythm, time_s, atrial_hz, rng)
    _add_gaussians(vector_mv, time_s, centres_s, widths_s, amplitudes_mv)
    noise = noise or draw_noise(rng, mains_hz=50)
    noise_mv = electrode_noise_mv(noise, time_s.size, sampling_rate_hz, breathing_hz, rng)
    independent_mv = eight_from_twelve(leads_from_heart_vector(vector_mv)) + independent_leads(noise_mv)

    inside_s = peaks_s[(peaks_s >= 0) & (peaks_s < duration_s)]
    rate_bpm = float(60 / np.diff(inside_s).mean())
    onsets_s, ends_s = edges_s(centres_s, widths_s)
    return GeneratedRecording(
        signals_mv=twelve_from_eight(independent_mv.astype(np.float32)),
        sampling_rate_hz=sampling_rate_hz,
        r_peaks_s=inside_s,
        waves=_waves(onsets_s, ends_s, duration_s, present=np.abs(amplitudes_mv).max(axis=2) > 0),
        heart_rate_bpm=rate_bpm,
        atrial_rate_bpm=60 * atrial_hz if own_atrial_hz else rate_bpm,
        qt_s=float((ends_s[:, T].max(axis=1) - onsets_s[:, QRS].min(axis=1)).mean()),
    )


def _beats(
    subject: Subject, peaks_s: Floats, breathing_hz: float, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Centres (beats, kernels) and widths (beats, kernels) in seconds, amplitudes (beats, kernels, 3) of all Gaussians.

    QT follows the cube root of the RR interval (Fridericia 1920), which the label table of Chapman-Shaoxing bears out
    better than Bazett's square root; the PR interval follows its fourth root.
    """
    intervals_s = np.diff(peaks_s, prepend=2 * peaks_s[0] - peaks_s[1])
    # The QT interval adapts within a minute or so: half of the change comes with the very next beat here.
    effective_s = np.clip((intervals_s + intervals_s.mean()) / 2, 0.25, 1.6)[:, None]
    centres_s = np.repeat(subject.centres_s[None], peaks_s.size, axis=0)
    widths_s = np.repeat(subject.widths_s[None], peaks_s.size, axis=0)
    onset_s = edges_s(subject.centres_s, subject.widths_s)[0][QRS].min()
    centres_s[:, T] = onset_s + (centres_s[:, T] - onset_s) * np.cbrt(effective_s)
    widths_s[:, T] *= np.cbrt(effective_s)
    centres_s[:, P] *= effective_s**0.25

    breath = np.sin(2 * np.pi * breathing_hz * peaks_s + rng.uniform(0, 2 * np.pi))
    gain = 1 + rng.uniform(0.01, 0.06) * breath + rng.normal(0, 0.01, peaks_s.size)
    amplitudes_mv = subject.amplitudes_mv[None] * gain[:, None, None]
    amplitudes_mv[:, P] *= _p_wave(subject.rhythm, peaks_s, rng)[:, None, :]
    return centres_s + peaks_s[:, None], widths_s, amplitudes_mv


def _p_wave(rhythm: Rhythm, peaks_s: Floats, rng: np.random.Generator) -> Floats:
    """Factors (beats, 3) on the P wave: upside down from the lower atrium, absent where there is none."""
    sinus, ectopic = np.ones((peaks_s.size, 3)), np.tile([0.8, -0.9, 1.0], (peaks_s.size, 1))
    if rhythm.atria == "sinus":
        return sinus
    if rhythm.atria == "ectopic":
        return ectopic
    if rhythm.atria == "wandering":
        sinus_share = 0.5 + 0.5 * np.sin(2 * np.pi * peaks_s / 9 + rng.uniform(0, 2 * np.pi))[:, None]
        wandering: Floats = sinus_share * sinus + (1 - sinus_share) * ectopic
        return wandering
    return np.zeros_like(sinus)


def _add_gaussians(
    vector_mv: Floats, time_s: Floats, centres_s: Floats, widths_s: Floats, amplitudes_mv: Floats
) -> None:
    """Add the Gaussians of every beat to ``vector_mv`` (T, 3), each beat only where it is felt."""
    for centre_s, width_s, amplitude_mv in zip(centres_s, widths_s, amplitudes_mv, strict=True):
        # Beyond five widths a Gaussian is below 4e-6 of its peak.
        felt_s = (centre_s - 5 * width_s).min(), (centre_s + 5 * width_s).max()
        here = slice(*np.searchsorted(time_s, felt_s))
        shape = np.exp(-0.5 * ((time_s[here, None] - centre_s) / width_s) ** 2)
        vector_mv[here] += shape @ amplitude_mv


def _waves(
    onsets_s: Floats, ends_s: Floats, duration_s: float, present: npt.NDArray[np.bool_]
) -> tuple[GeneratedWave, ...]:
    """Intervals from those of the Gaussians (beats, kernels), clipped to the recording, in order of onset."""
    waves = [
        GeneratedWave(name, max(0.0, float(onset[kernels].min())), min(duration_s, float(end[kernels].max())))
        for onset, end, there in zip(onsets_s, ends_s, present, strict=True)
        for name, kernels in (("P", P), ("QRS", QRS), ("T", T))
        if there[kernels].any()
    ]
    return tuple(sorted((wave for wave in waves if wave.onset_s < wave.end_s), key=lambda wave: wave.onset_s))
