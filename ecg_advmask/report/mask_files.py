"""Pictures of masks as files, which a pretraining run leaves in ``masks/`` as it goes."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from ecg_advmask.files import atomic_path
from ecg_advmask.report.mask_picture import mask_picture
from ecg_advmask.report.spectral_picture import spectral_picture


def draw_masks(
    path: Path,
    signals_mv: npt.NDArray[np.float32],
    masks: npt.NDArray[np.float32],
    remaining_mv: npt.NDArray[np.float32] | None,
    sampling_rate_hz: int,
    title: str,
) -> None:
    """Write the picture of a recording and its masks, as `ecg_advmask.pretrain.callbacks.DrawMasks` has it."""
    if remaining_mv is None:
        figure = mask_picture(signals_mv, masks, sampling_rate_hz, title)
    else:
        figure = spectral_picture(signals_mv, remaining_mv, masks, sampling_rate_hz, title)
    with atomic_path(path) as temporary:
        figure.savefig(temporary)
