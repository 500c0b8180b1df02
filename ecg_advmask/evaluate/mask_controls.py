"""The masks that are measured: the adversary's, as training binarises them, and random ones of the same area.

Shapes are those of `ecg_advmask.evaluate.enrichment`: masks (n, L, C, M), one for all leads (C = 1) or each (C = 12).
"""

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from ecg_advmask.evaluate.enrichment import Tally

Floats = npt.NDArray[np.floating]

LEARNT, BLOCK, LEAD_BLOCKS, SHIFTED = "learnt", "random block", "random block per lead", "learnt, shifted in time"
KINDS: Final = (LEARNT, BLOCK, LEAD_BLOCKS, SHIFTED)
"""The masks of the adversary; and as controls, of the same area in each recording: one block at a random place over all
leads, one block in each lead, and the mask itself, shifted by a random time."""


def binarised(masks: Floats, sharpness: float) -> npt.NDArray[np.float64]:
    """What is occluded: from masks (n, L, N) to (n, L, C, M) in [0, 1], as `ecg_advmask.evaluate.enrichment` wants it.

    With N = 12, a mask for each lead: C = 12, M = 1. Else C = 1 and M = N, and where N > 1 one more, the mean over the
    masks: as training takes one of them at random, it is how often a sample is occluded.
    """
    covered = expit(sharpness * (masks.astype(np.float64) - 0.5))
    if masks.shape[2] == 12:
        return covered[..., None]
    if masks.shape[2] > 1:
        covered = np.concatenate([covered, covered.mean(axis=2, keepdims=True)], axis=2)
    return covered[:, :, None, :]


def mask_names(masks: int) -> list[str]:
    """Names of the M masks that `binarised` gives."""
    if masks in (1, 12):
        return ["mask" if masks == 1 else "mask of the lead"]
    return [*(f"mask {number + 1}" for number in range(masks)), "mean of masks"]


def random_blocks(areas: Floats, samples: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Masks of one block each, at a place of its own, ``(n, L, C, M)`` of 0 and 1, for the areas ``(n, C, M)``.

    A block that runs over the end of the window goes on at its beginning, so that all samples are equally often masked.
    """
    starts = rng.integers(samples, size=areas.shape)
    lengths = np.rint(areas * samples)
    offsets = (np.arange(samples)[None, :, None, None] - starts[:, None]) % samples
    return (offsets < lengths[:, None]).astype(np.float32)


def shifted(masks: Floats, rng: np.random.Generator) -> Floats:
    """The masks ``(n, L, C, M)`` of each recording moved in time by one random number of samples, around the end."""
    shifts = rng.integers(masks.shape[1], size=len(masks))
    return np.stack([np.roll(mask, shift, axis=0) for mask, shift in zip(masks, shifts, strict=True)])


def tallies_of(covered: Floats, parts: npt.NDArray[np.int8], draws: int, rng: np.random.Generator) -> dict[str, Tally]:
    """Tallies of binarised masks (n, L, C, M) over parts (n, L, 12), and of each control, drawn so many times."""
    areas = covered.mean(axis=1)  # (n, C, M)
    samples, leads = covered.shape[1], np.ones((1, 12, 1))
    sync = [Tally.of(random_blocks(areas.mean(axis=1, keepdims=True), samples, rng), parts) for _ in range(draws)]
    single = [Tally.of(random_blocks(areas * leads, samples, rng), parts) for _ in range(draws)]
    moved = [Tally.of(shifted(covered, rng), parts) for _ in range(draws)]
    controls = {BLOCK: Tally.summed(sync), LEAD_BLOCKS: Tally.summed(single), SHIFTED: Tally.summed(moved)}
    return {LEARNT: Tally.of(covered, parts), **controls}
