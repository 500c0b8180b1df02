"""From a recording to the windows that an encoder takes, and what is to be told of it. Without onnxruntime.

Windows are cut by the same `ecg_advmask.windows.cut` that made the training data.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ecg_advmask.errors import InputError
from ecg_advmask.records import Recording, Refused, Windowing, cut
from ecg_advmask.signals import FloatSignals


@dataclass(frozen=True)
class Outline:
    """What is known of a recording before its windows are embedded.

    ``windows`` (n,) int64 counts the recording's windows from 0, refused ones included, and ``start_s`` (n,) float64 is
    where they start. ``refused_windows`` holds number and reason; ``trailing_s`` is the length of the last piece, too
    short for a window; ``rebuilt`` names the leads that were computed from others.
    """

    record_id: str
    file: str
    windows: npt.NDArray[np.int64]
    start_s: npt.NDArray[np.float64]
    refused_windows: tuple[tuple[int, str], ...]
    trailing_s: float
    rebuilt: tuple[str, ...]


Windowed = tuple[Outline | Refused, Iterable[FloatSignals]]
"""A recording and its windows, each (L, 12) float32 in millivolts: as many as the outline says, none if refused."""


def windows_of(recording: Recording | Refused, windowing: Windowing) -> Windowed:
    """Cut a recording; one that is too short, or of which no window passes the quality checks, comes as `Refused`."""
    if isinstance(recording, Refused):
        return recording, ()
    try:
        pieces = cut(recording.signals_mv, recording.sampling_rate_hz, windowing)
    except InputError as error:
        return Refused(recording.record_id, recording.file, str(error)), ()
    if not pieces.windows:
        index, reason = pieces.refused[0]
        return Refused(recording.record_id, recording.file, f"no usable window; window {index}: {reason}"), ()
    outline = Outline(
        record_id=recording.record_id,
        file=recording.file,
        windows=np.array([window.index for window in pieces.windows], np.int64),
        start_s=np.array([window.start_s for window in pieces.windows], np.float64),
        refused_windows=tuple(pieces.refused),
        trailing_s=pieces.trailing_s,
        rebuilt=recording.rebuilt,
    )
    return outline, [window.signals_mv for window in pieces.windows]
