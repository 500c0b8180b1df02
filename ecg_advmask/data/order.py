"""The order of the windows in an epoch, and where crops start. Pure NumPy.

Everything is a function of the seed and the number of the epoch alone, so that an epoch can be had again without the
ones before it.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]

SHARDS_AT_ONCE: Final = 16
"""Shards whose windows are mixed with one another: few, so that reads stay within few files; enough that a batch shows
every source even where each shard holds a single one."""

MOST_TOGETHER: Final = 4
"""Windows of one patient that follow one another where they are to meet: few, so that no patient fills a batch."""

_SHUFFLED, _CROPPED, _TOGETHER = 0, 2, 3  # parts of the seeds of earlier runs, which still use them


def shuffled(
    shard_windows: Sequence[int], rows: Sequence[int] | npt.NDArray[np.integer] | None, *, seed: int, epoch: int
) -> Rows:
    """Rows of a data set in a random order: groups of shards in turn, the windows of a group permuted.

    The shards that hold any wanted row are divided into groups of nearly equal size, at most `SHARDS_AT_ONCE`, in
    each epoch.

    Args:
        shard_windows: number of windows in each shard; rows are counted through the shards.
        rows: the wanted rows, in any order; None for all.
        seed: with the epoch, the only source of the order.
        epoch: number of the epoch, from 0.

    Returns:
        Every wanted row exactly once: (n,) int64.

    Raises:
        IndexError: there is no such row.
    """
    ends = np.cumsum(shard_windows, dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    wanted = np.arange(total) if rows is None else np.unique(np.asarray(rows, dtype=np.int64))
    if len(wanted) and not (wanted[0] >= 0 and wanted[-1] < total):
        raise IndexError(f"rows must be from 0 to {total - 1}")
    rng = _generator(seed, epoch, _SHUFFLED)
    used, shard_of = np.unique(np.searchsorted(ends, wanted, side="right"), return_inverse=True)
    groups = -(-len(used) // SHARDS_AT_ONCE)
    group = rng.permutation(len(used)) * groups // max(1, len(used))
    return wanted[np.lexsort((rng.random(len(wanted)), group[shard_of]))]


def together(rows: Rows, patients: Sequence[int] | npt.NDArray[np.integer], *, seed: int, epoch: int) -> Rows:
    """Rows in a random order in which windows of one patient follow one another, at most `MOST_TOGETHER` at a time.

    Windows that stand together here may lie in different shards, so the reads of an epoch are spread over all of them.

    Args:
        rows: (n,) int64, in any order.
        patients: (n,) number of the patient of each.
        seed: with the epoch, the only source of the order.
        epoch: number of the epoch, from 0.

    Returns:
        The rows, each once: (n,) int64.
    """
    rng = _generator(seed, epoch, _TOGETHER)
    mixed = rng.permutation(len(rows))
    by_patient = mixed[np.argsort(np.asarray(patients)[mixed], kind="stable")]
    begins = np.append(True, np.diff(np.asarray(patients)[by_patient]) != 0)[: len(rows)]
    rank = np.arange(len(rows)) - np.maximum.accumulate(np.where(begins, np.arange(len(rows)), 0))
    group = np.cumsum(rank % MOST_TOGETHER == 0) - 1
    place = rng.permutation(len(rows))[group]
    return np.asarray(rows, dtype=np.int64)[by_patient[np.argsort(place, kind="stable")]]


def crop_starts(valid_samples: npt.NDArray[np.integer], samples: int, *, seed: int, epoch: int) -> Rows:
    """First sample of a random crop of each window: uniform over all crops that lie in its valid part.

    Args:
        valid_samples: (n,) samples of each window before its padding, in the order in which the epoch delivers them.
        samples: length of a crop.
        seed: with the epoch, the only source of the starts.
        epoch: number of the epoch, from 0.

    Returns:
        (n,) int64, from 0 to ``valid_samples - samples``; 0 where the valid part is shorter than a crop.
    """
    latest = np.maximum(np.asarray(valid_samples, dtype=np.int64) - samples, 0)
    return _generator(seed, epoch, _CROPPED).integers(0, latest, endpoint=True)


def middle_starts(valid_samples: npt.NDArray[np.integer], samples: int) -> Rows:
    """First sample of the crop in the middle of the valid part of each window, as `crop_starts`."""
    return np.maximum(np.asarray(valid_samples, dtype=np.int64) - samples, 0) // 2


def _generator(seed: int, epoch: int, purpose: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=(purpose, epoch))))
