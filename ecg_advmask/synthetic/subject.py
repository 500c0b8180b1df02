"""The heart of a generated person: Gaussians of the heart vector over the heart beat, altered by sex, age and chance.

In: a random generator. Out: a `Subject`. The heart is a dipole whose three coordinates are sums of Gaussians of the
time to the R peak (McSharry et al. 2003, IEEE TBME 50:289-294; in three dimensions Sameni et al. 2007, EURASIP J Adv
Signal Process 043407); the numbers here were chosen so that the twelve leads look like a normal ECG.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from ecg_advmask.ecg.leads import leads_from_heart_vector
from ecg_advmask.synthetic.rhythm import Rhythm, draw_rhythm, truncated_normal

Floats = npt.NDArray[np.float64]

KERNEL_WAVES: Final = np.array(["P", "P", "QRS", "QRS", "QRS", "QRS", "T", "T"])
"""Which wave each Gaussian is part of."""

_CENTRES_S: Final = np.array([-0.170, -0.137, -0.024, -0.002, 0.012, 0.030, 0.230, 0.283])
_WIDTHS_S: Final = np.array([0.018, 0.018, 0.0080, 0.0095, 0.0100, 0.0095, 0.048, 0.034])
_AMPLITUDES_MV: Final = np.array(
    [  # X (left), Y (foot), Z (back)
        [0.055, 0.085, -0.050],  # right atrium
        [0.080, 0.050, 0.030],  # left atrium
        [-0.13, -0.02, -0.24],  # septum
        [0.90, 0.60, 0.08],  # apex and free walls
        [0.40, 0.40, 0.55],  # left free wall
        [-0.14, -0.06, 0.36],  # base
        [0.14, 0.09, -0.11],  # T, slow rise
        [0.22, 0.16, -0.14],  # T, faster fall
    ]
)
P, QRS, T = (np.equal(KERNEL_WAVES, wave) for wave in ("P", "QRS", "T"))

EDGE_WIDTHS: Final = float(np.sqrt(2 * np.log(20)))
"""A wave lasts from this many widths before its first Gaussian to as many after its last: there they fall to 5 %."""

_QT_AT_60_S: Final = float(
    (_CENTRES_S + EDGE_WIDTHS * _WIDTHS_S)[T].max() - (_CENTRES_S - EDGE_WIDTHS * _WIDTHS_S)[QRS].min()
)


@dataclass(frozen=True)
class Subject:
    """A generated person: what stays the same from one recording to the next.

    Attributes:
        sex: women have a smaller and shorter QRS, above all to the front and back, a flatter T wave and a longer QT.
        age_years: with age the axis turns to the left and amplitudes fall a little.
        rhythm: the rhythm of all recordings of this person.
        amplitudes_mv: (kernels, 3), heart vector at the centre of each Gaussian.
        centres_s: (kernels,), time from the R peak at 60 beats per minute.
        widths_s: (kernels,), standard deviation of each Gaussian at 60 beats per minute.
    """

    sex: Literal["female", "male"]
    age_years: int
    rhythm: Rhythm
    amplitudes_mv: Floats
    centres_s: Floats
    widths_s: Floats


def draw_subject(rng: np.random.Generator, rhythm: Rhythm | None = None) -> Subject:
    """A person with a rhythm (as often as in Chapman-Shaoxing unless one is given), sex, age and heart."""
    rhythm = rhythm or draw_rhythm(rng)
    female = bool(rng.uniform() < 0.44)
    age_years = round(truncated_normal(rng, *rhythm.age_years, 18, 95))
    decades = (age_years - 60) / 10

    amplitudes_mv = _AMPLITUDES_MV * rng.lognormal(0, 0.10, _AMPLITUDES_MV.shape)
    for wave, deviation in ((P, 0.20), (QRS, 0.20), (T, 0.25)):
        amplitudes_mv[wave] *= rng.lognormal(0, deviation)
    amplitudes_mv[QRS | T] *= 1 - 0.03 * decades
    if female:
        amplitudes_mv[QRS] *= (0.88, 0.92, 0.74)
        amplitudes_mv[T] *= (0.85, 0.90, 0.62)
    # In the frontal plane a positive angle turns from the left to the foot, as the electrical axis is counted.
    amplitudes_mv = amplitudes_mv @ _rotation(
        frontal=np.radians(rng.normal(0, 13) - 3 * decades),
        transverse=np.radians(rng.normal(0, 9)),
        sagittal=np.radians(rng.normal(0, 6)),
    )

    qrs_stretch = rng.normal(0.94 if female else 1.03, 0.07)
    qt_s = truncated_normal(rng, 0.420 if female else 0.410, 0.018, 0.36, 0.47)
    pr_shift_s = rng.normal(0, 0.012) + 0.003 * decades
    centres_s, widths_s = _CENTRES_S.copy(), _WIDTHS_S.copy()
    centres_s[P] -= pr_shift_s
    widths_s[P] *= rng.normal(1, 0.08)
    centres_s[QRS] *= qrs_stretch
    widths_s[QRS] *= qrs_stretch
    centres_s[T] *= qt_s / _QT_AT_60_S
    widths_s[T] *= qt_s / _QT_AT_60_S
    return Subject("female" if female else "male", age_years, rhythm, amplitudes_mv, centres_s, widths_s)


def qrs_duration_s(subject: Subject) -> float:
    """Length of the QRS complex, in seconds; it does not depend on the rate."""
    onsets_s, ends_s = edges_s(subject.centres_s, subject.widths_s)
    return float(ends_s[QRS].max() - onsets_s[QRS].min())


def electrical_axis_deg(subject: Subject, wave: Literal["P", "QRS", "T"]) -> float:
    """Direction of a wave's area in the frontal plane, from -90 to 270 degrees; left is 0, the foot 90."""
    kernels = np.equal(KERNEL_WAVES, wave)
    area = leads_from_heart_vector((subject.amplitudes_mv * subject.widths_s[:, None])[kernels].sum(axis=0))
    angle = np.degrees(np.arctan2(2 / np.sqrt(3) * area[5], area[0]))
    return float(angle if angle >= -90 else angle + 360)


def edges_s(centres_s: Floats, widths_s: Floats) -> tuple[Floats, Floats]:
    """Onset and end of each Gaussian, in seconds: where it has fallen to 5 % of its peak."""
    return centres_s - EDGE_WIDTHS * widths_s, centres_s + EDGE_WIDTHS * widths_s


def _rotation(frontal: float, transverse: float, sagittal: float) -> Floats:
    """(3, 3): right factor that turns row vectors by angles in radians about the axes back, foot and left."""

    def turn(first: int, second: int, angle: float) -> Floats:
        matrix = np.eye(3)
        matrix[first, first] = matrix[second, second] = np.cos(angle)
        matrix[first, second], matrix[second, first] = np.sin(angle), -np.sin(angle)
        return matrix

    return turn(0, 1, frontal) @ turn(0, 2, transverse) @ turn(1, 2, sagittal)
