"""The rhythms of generated recordings: their frequency and rate, the beats, the activity of the atria.

In: one of `RHYTHMS` and a random generator. Out: times of the R peaks, and the heart vector of fibrillating or
fluttering atria. Shares, ages and rates follow the label table of Chapman-Shaoxing (Zheng et al. 2020, Sci Data 7:48).
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rhythm:
    """One rhythm of Chapman-Shaoxing.

    Attributes:
        acronym: as in the column Rhythm of the label table.
        group: the class that rhythms are merged to.
        share: how many of the 10,646 recordings of the label table have it.
        snomed: SNOMED CT number in the headers of the PhysioNet/CinC Challenge 2021.
        rate_bpm: mean, deviation, least and greatest ventricular rate, per minute.
        age_years: mean and deviation of the patients' age.
        atria: what the P wave is: ``sinus``, ``ectopic`` (from the lower atrium), ``wandering`` (between the two),
            ``hidden`` (in the QRS), or replaced by ``fibrillation`` or ``flutter`` waves.
        breathing: least and greatest share by which the RR interval rises and falls with the breath.
    """

    acronym: str
    group: Literal["AFIB", "GSVT", "SB", "SR"]
    share: int
    snomed: str
    rate_bpm: tuple[float, float, float, float]
    age_years: tuple[float, float]
    atria: Literal["sinus", "ectopic", "wandering", "hidden", "fibrillation", "flutter"]
    breathing: tuple[float, float] = (0.0, 0.005)


RHYTHMS: Final = (
    Rhythm("SB", "SB", 3889, "426177001", (54.5, 4.0, 40.0, 58.5), (58.0, 14.0), "sinus", (0.01, 0.04)),
    Rhythm("SR", "SR", 1826, "426783006", (75.0, 9.0, 61.0, 98.0), (54.0, 17.0), "sinus", (0.01, 0.05)),
    Rhythm("AFIB", "AFIB", 1780, "164889003", (95.0, 25.0, 62.0, 148.0), (74.0, 11.0), "fibrillation"),
    Rhythm("ST", "GSVT", 1568, "427084000", (106.0, 11.0, 101.0, 148.0), (54.0, 20.0), "sinus", (0.0, 0.015)),
    Rhythm("SVT", "GSVT", 587, "426761007", (168.0, 20.0, 132.0, 198.0), (56.0, 18.0), "hidden"),
    Rhythm("AF", "AFIB", 445, "164890007", (115.0, 30.0, 62.0, 160.0), (71.0, 12.0), "flutter"),
    Rhythm("SA", "SR", 399, "427393009", (73.0, 8.0, 62.0, 94.0), (36.0, 20.0), "sinus", (0.10, 0.18)),
    Rhythm("AT", "GSVT", 121, "713422000", (122.0, 18.0, 102.0, 170.0), (66.0, 16.0), "ectopic"),
    Rhythm("AVNRT", "GSVT", 16, "251166008", (172.0, 14.0, 145.0, 198.0), (58.0, 16.0), "hidden"),
    Rhythm("AVRT", "GSVT", 8, "233897008", (168.0, 20.0, 135.0, 198.0), (55.0, 15.0), "hidden"),
    Rhythm("SAAWR", "GSVT", 7, "17366009", (64.0, 6.0, 55.0, 80.0), (50.0, 20.0), "wandering", (0.02, 0.06)),
)
"""All rhythms, the commonest first."""

ATRIAL_HZ: Final = {"fibrillation": (4.8, 8.2), "flutter": (4.2, 5.3)}
"""Range of the mean atrial frequency where the atria do not follow the sinus node."""


def draw_rhythm(rng: np.random.Generator) -> Rhythm:
    """One of `RHYTHMS`, as often as in the label table of Chapman-Shaoxing."""
    shares = np.array([rhythm.share for rhythm in RHYTHMS], dtype=np.float64)
    return RHYTHMS[rng.choice(len(RHYTHMS), p=shares / shares.sum())]


def truncated_normal(rng: np.random.Generator, mean: float, deviation: float, low: float, high: float) -> float:
    """A normal variate drawn again until it is in ``[low, high]``."""
    while not low <= (value := rng.normal(mean, deviation)) <= high:
        pass
    return float(value)


def r_peaks_s(
    rhythm: Rhythm, duration_s: float, breathing_hz: float, atrial_hz: float, rng: np.random.Generator
) -> Floats:
    """Times of the R peaks, in seconds from the start of the recording, increasing.

    The series starts before the recording and ends after it, so that waves at both edges are complete.

    Args:
        rhythm: fibrillation gives independent gamma-distributed intervals above a refractory time (irregularly
            irregular); flutter gives multiples of the atrial cycle; other rhythms follow the breath.
        duration_s: length of the recording.
        breathing_hz: breaths per second.
        atrial_hz: atrial waves per second; only flutter needs them.
        rng: source of all random choices.
    """
    mean_s = 60 / truncated_normal(rng, *rhythm.rate_bpm)
    beats = int(np.ceil((duration_s + 4) / mean_s * 1.5)) + 8
    if rhythm.atria == "fibrillation":
        deviation_s, least_s = rng.uniform(0.17, 0.27) * mean_s, max(0.28, 0.55 * mean_s)
        scale_s = deviation_s**2 / (mean_s - least_s)
        intervals_s = least_s + rng.gamma((mean_s - least_s) / scale_s, scale_s, beats)
    elif rhythm.atria == "flutter":
        conduction = [(2, 2), (4, 4), (2, 4)][rng.choice(3, p=[0.45, 0.2, 0.35])]
        intervals_s = rng.integers(conduction[0], conduction[1] + 1, beats) / atrial_hz
    else:
        depth, phase = rng.uniform(*rhythm.breathing), rng.uniform(0, 2 * np.pi)
        slow = depth * 0.5 * np.sin(2 * np.pi * 0.1 * mean_s * np.arange(beats) + rng.uniform(0, 2 * np.pi))
        breath = depth * np.sin(2 * np.pi * breathing_hz * mean_s * np.arange(beats) + phase)
        intervals_s = mean_s * (1 + breath + slow + rng.normal(0, 0.004, beats))
    peaks_s: Floats = np.cumsum(intervals_s) - 2.0 - intervals_s[0] * rng.uniform()
    return peaks_s[peaks_s < duration_s + 2.0]


def atrial_vector_mv(rhythm: Rhythm, time_s: Floats, atrial_hz: float, rng: np.random.Generator) -> Floats:
    """Heart vector (T, 3), in millivolts, of the fibrillating or fluttering atria; zero in every other rhythm.

    A sawtooth of a few harmonics whose frequency and amplitude wander (Stridh and Sörnmo 2001, IEEE TBME 48:105-111,
    equations 1-3), seen by each axis of the body at its own phase. Fibrillation points from the back to the right and
    the foot, so that V1 and II show it best; flutter is steady and points along the body: a slow fall and a steep rise
    in the inferior leads.
    """
    if rhythm.atria == "fibrillation":
        amplitude_mv, harmonics, depth_hz, direction = rng.uniform(0.05, 0.15), 3, 0.9, (-0.35, 0.60, -0.55)
    elif rhythm.atria == "flutter":
        amplitude_mv, harmonics, depth_hz, direction = rng.uniform(0.15, 0.30), 5, 0.0, (-0.20, 0.80, -0.20)
    else:
        return np.zeros((time_s.size, 3))
    wander_hz, swell_hz = rng.uniform(0.1, 0.4, 2)
    turns = 2 * np.pi * np.outer(time_s, (wander_hz, swell_hz)) + rng.uniform(0, 2 * np.pi, 2)
    swell = 1 + (0.4 * np.sin(turns[:, 1]) if depth_hz else 0.0)
    phase = 2 * np.pi * atrial_hz * time_s + depth_hz / wander_hz * np.sin(turns[:, 0]) + rng.uniform(0, 2 * np.pi)
    lag = rng.uniform(-0.6, 0.6, 3)
    order = np.arange(1, harmonics + 1)[:, None, None]
    sawtooth = (2 / (np.pi * order) * np.sin(order * (phase[:, None] + lag))).sum(axis=0)
    vector_mv: Floats = amplitude_mv * np.reshape(swell, (-1, 1)) * sawtooth * np.array(direction)
    return vector_mv
