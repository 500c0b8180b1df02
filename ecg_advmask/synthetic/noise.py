"""Noise of generated recordings, as the nine electrodes pick it up.

In: levels in millivolts and a random generator. Out: noise of the electrodes and of the eight independent leads, in
millivolts. Since limb electrodes are part of every lead, noise on one of them shows in many leads, as at the bedside.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

ELECTRODES: Final = ("RA", "LA", "LL", "C1", "C2", "C3", "C4", "C5", "C6")
"""Right arm, left arm, left leg and chest: the order of the columns here."""


@dataclass(frozen=True)
class Noise:
    """Levels of the noise of one electrode, in millivolts (root mean square where nothing else is said).

    Attributes:
        wander_mv: baseline wander with the breath and slower.
        muscle_mv: electromyogram, 20 to 150 Hz, in bursts.
        mains_mv: amplitude of the mains sine.
        mains_hz: 50 or 60.
        sensor_mv: white noise of electrode and amplifier.
        motion_mv: height of one sudden shift of one electrode, which decays within a second or so.
    """

    wander_mv: float = 0.0
    muscle_mv: float = 0.0
    mains_mv: float = 0.0
    mains_hz: float = 50.0
    sensor_mv: float = 0.0
    motion_mv: float = 0.0


def draw_noise(rng: np.random.Generator, mains_hz: float, level: float = 1.0) -> Noise:
    """Noise levels of one recording: log-normal, so that most recordings are clean and a few are poor.

    Args:
        rng: source of all random choices.
        mains_hz: 50 or 60.
        level: factor on all of them; below one for recordings that were denoised.
    """
    wander, muscle, mains, sensor, motion = rng.lognormal(0.0, [0.6, 0.7, 0.9, 0.4, 0.6])
    shifted = rng.uniform() < 0.08
    return Noise(
        wander_mv=0.030 * level * wander,
        muscle_mv=0.006 * level * muscle,
        mains_mv=0.003 * level * mains,
        mains_hz=mains_hz,
        sensor_mv=0.002 * level * sensor,
        motion_mv=0.2 * level * motion if shifted else 0.0,
    )


def electrode_noise_mv(
    noise: Noise, samples: int, sampling_rate_hz: float, breathing_hz: float, rng: np.random.Generator
) -> Floats:
    """Noise of the electrodes, (samples, 9), in millivolts, in the order of `ELECTRODES`.

    Mains above half the sampling rate is left out, since a recorder filters before it samples.
    """
    time_s = np.arange(samples) / sampling_rate_hz
    electrodes = len(ELECTRODES)

    slow_hz = np.array([breathing_hz, *rng.uniform(0.03, 0.2, 2)])
    turns = 2 * np.pi * np.outer(time_s, slow_hz) + rng.uniform(0, 2 * np.pi, 3)
    total = np.sin(turns) @ rng.normal(0, noise.wander_mv * np.sqrt(2 / 3), (3, electrodes))

    swell_hz, swell_phase = rng.uniform(0.05, 0.3), rng.uniform(0, 2 * np.pi)
    bursts = np.exp(0.5 * np.sin(2 * np.pi * swell_hz * time_s + swell_phase))[:, None]
    total += noise.muscle_mv * bursts * _muscle(samples, sampling_rate_hz, electrodes, rng)

    mains_phase, coupling = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 1.0, electrodes)
    if noise.mains_hz < sampling_rate_hz / 2:
        mains = np.sin(2 * np.pi * noise.mains_hz * time_s + mains_phase)
        total += noise.mains_mv * np.outer(mains, coupling * rng.choice([-1.0, 1.0], electrodes))

    total += rng.normal(0, noise.sensor_mv, total.shape)

    start_s, decay_s, electrode = rng.uniform(0, time_s[-1]), rng.uniform(0.3, 1.5), rng.integers(electrodes)
    since_s = np.maximum(time_s - start_s, 0)
    total[:, electrode] += noise.motion_mv * np.where(time_s > start_s, np.exp(-since_s / decay_s), 0)
    return total


def independent_leads(potentials: Floats) -> Floats:
    """The eight leads (T, 8) that electrodes (T, 9) make; V1 to V6 stand against the mean of the limbs (Wilson)."""
    right_arm, left_arm, left_leg = potentials[:, 0], potentials[:, 1], potentials[:, 2]
    wilson = (right_arm + left_arm + left_leg)[:, None] / 3
    return np.column_stack([left_arm - right_arm, left_leg - right_arm, potentials[:, 3:] - wilson])


def _muscle(samples: int, sampling_rate_hz: float, electrodes: int, rng: np.random.Generator) -> Floats:
    """Gaussian noise between 20 and 150 Hz with unit variance, (samples, electrodes)."""
    frequency_hz = np.fft.rfftfreq(samples, 1 / sampling_rate_hz)
    band = np.flatnonzero((frequency_hz >= 20) & (frequency_hz <= 150))
    spectrum = np.zeros((electrodes, frequency_hz.size), dtype=np.complex128)
    spectrum[:, band] = rng.standard_normal((electrodes, 2 * band.size)).view(np.complex128)
    # Parseval: each bin, of variance 2 and counted with its mirror image, adds 4 / samples^2 to the variance.
    noise: Floats = np.fft.irfft(spectrum, samples, axis=1).T * samples / np.sqrt(4 * band.size)
    return noise
