"""Which stretches of a window drive a classifier's prediction: each is occluded in turn, and the change is measured.

After Zeiler and Fergus 2014 (Visualizing and understanding convolutional networks, ECCV), through onnxruntime alone.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from ecg_advmask.errors import InputError
from ecg_advmask.export.encoder import FloatArray, OnnxEncoder

_BATCH: Final = 64


@dataclass(frozen=True)
class Occlusion:
    """What occluding a window changed.

    Attributes:
        name: the prediction that was watched: a class, a label, or the unit of a number.
        prediction: its value for the window as it is.
        support: (L,) by how much occlusion around a sample lowers it, the mean over the stretches that cover the
            sample; negative where it rises.
    """

    name: str
    prediction: float
    support: npt.NDArray[np.float64]

    @classmethod
    def of(
        cls, classifier: OnnxEncoder, window_mv: FloatArray, name: str | None = None, stretch_s: float = 0.2
    ) -> Self:
        """Occlude each stretch of a window, in all leads alike, by a straight line between its ends.

        Stretches follow one another at half their length.

        Args:
            classifier: an encoder with a head.
            window_mv: (window_samples, 12) float32, millivolts.
            name: of the prediction; by default the largest one.
            stretch_s: length of a stretch, in seconds.

        Raises:
            InputError: the file has no head, or no prediction of that name.
        """
        if classifier.names is None:
            raise InputError(f"{classifier.path}: is an encoder without a head, give a file that ecg-advmask fit wrote")
        if name is not None and name not in classifier.names:
            raise InputError(f"{classifier.path}: predicts no {name}, it predicts {', '.join(classifier.names)}")
        samples = len(window_mv)
        length = min(samples, max(2, round(stretch_s * classifier.sampling_rate_hz)))
        firsts = np.unique([*range(0, samples - length, max(1, length // 2)), samples - length])
        occluded = np.repeat(window_mv[None], len(firsts), axis=0)
        for place, first in enumerate(firsts.tolist()):
            ends = window_mv[[max(first - 1, 0), min(first + length, samples - 1)]]
            share = np.linspace(0, 1, length, dtype=np.float32)[:, None]
            occluded[place, first : first + length] = ends[0] * (1 - share) + ends[1] * share
        plain = _predictions(classifier, window_mv[None])[0]
        place = int(plain.argmax()) if name is None else classifier.names.index(name)
        lowered = plain[place] - _predictions(classifier, occluded)[:, place]
        total, covered = np.zeros(samples), np.zeros(samples)
        for first, change in zip(firsts.tolist(), lowered.tolist(), strict=True):
            total[first : first + length] += change
            covered[first : first + length] += 1
        return cls(classifier.names[place], float(plain[place]), total / covered)


def _predictions(classifier: OnnxEncoder, windows_mv: FloatArray) -> npt.NDArray[np.float64]:
    found = [classifier.run(windows_mv[first : first + _BATCH])[1] for first in range(0, len(windows_mv), _BATCH)]
    return np.concatenate([one for one in found if one is not None]).astype(np.float64)
