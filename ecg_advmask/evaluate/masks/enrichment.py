"""The share of a mask in each wave, compared with masks of the same area at random places.

Masks are ``(n, L, C, M)`` float in [0, 1]: n recordings, L samples, C = 1 (one for all leads) or 12, M masks. Parts are
``(n, L, 12)`` int8, as `ecg_advmask.ecg.annotations.parts_at` gives them; samples of unknown part count nowhere.

A mask of mass m (its sum over the known samples of a lead) at a random place has the mass m t in a wave that takes the
share t of that time. Enrichment is the sum over recordings and leads of the mass found in the wave, divided by the sum
of the mass expected so: 1 for a mask that does not depend on the wave.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from ecg_advmask.ecg.annotations import PARTS
from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.evaluate.metrics import bootstrap_interval

Floats = npt.NDArray[np.floating]
LEAST_PATIENTS: Final = 5
"""With fewer patients no interval is given: resamples of so few do not generalise to others."""


@dataclass(frozen=True)
class Tally:
    """Mass of masks in each part, and samples of each part, by recording and lead.

    Attributes:
        mass: (n, 12, M, 4), summed over the samples of a part; the parts in the order of `PARTS`.
        samples: (n, 12, 4), samples of each part.
        draws: how many masks of the same recordings were added up.
    """

    mass: npt.NDArray[np.float64]
    samples: npt.NDArray[np.float64]
    draws: int = 1

    @classmethod
    def of(cls, masks: Floats, parts: npt.NDArray[np.int8]) -> "Tally":
        """Count masks ``(n, L, C, M)`` over parts ``(n, L, 12)``."""
        mass = np.zeros((len(parts), 12, masks.shape[3], len(PARTS)))
        samples = np.zeros((len(parts), 12, len(PARTS)))
        for code in range(len(PARTS)):
            inside = parts == code
            samples[..., code] = inside.sum(axis=1)
            for lead in range(12):
                of_lead = masks[:, :, lead if masks.shape[2] == 12 else 0]
                mass[:, lead, :, code] = np.einsum("nl,nlm->nm", inside[:, :, lead], of_lead, dtype=np.float64)
        return cls(mass, samples)

    @classmethod
    def joined(cls, tallies: "list[Tally]") -> "Tally":
        """The recordings of several tallies, one after the other."""
        mass, samples = zip(*((tally.mass, tally.samples) for tally in tallies), strict=True)
        return cls(np.concatenate(mass), np.concatenate(samples), tallies[0].draws)

    @classmethod
    def summed(cls, tallies: "list[Tally]") -> "Tally":
        """Several masks of the same recordings as if they were one, such as the draws of a random mask."""
        return cls(np.sum([tally.mass for tally in tallies], axis=0), tallies[0].samples, len(tallies))

    def expected(self) -> npt.NDArray[np.float64]:
        """Mass in each part if the mask lay at a random place: like ``mass``."""
        shares = self.samples / np.maximum(self.samples.sum(axis=2, keepdims=True), 1)
        return np.asarray(self.mass.sum(axis=3, keepdims=True) * shares[:, :, None, :])


def enrichment_rows(
    tally: Tally,
    mask_names: list[str],
    groups: dict[str, npt.NDArray[np.bool_]],
    patients: npt.NDArray[np.object_],
    counts: npt.NDArray[np.float32],
    level: float,
) -> list[dict[str, Any]]:
    """One row per group of recordings, mask, lead (all twelve together, then each) and part.

    Args:
        tally: of n recordings and M masks.
        mask_names: of the M masks.
        groups: which recordings (n,) are in a group.
        patients: (n,) whose recordings they are.
        counts: (n, resamples) how often each recording is in a resample, as `bootstrap.resample_counts` gives them.
        level: of the intervals.

    Returns:
        Keys: group, mask, lead, part; recordings and patients in which the part occurs; area, the mean of the mask over
        all known samples; mass_share, the share of the mask's mass that is in the part; expected_share, what it would
        be at a random place; enrichment, their ratio, with low and high of its bootstrap interval. None where the part
        does not occur, or there is no mass.
    """
    everything = {"all": list(range(12))} | {lead: [column] for column, lead in enumerate(STANDARD_LEADS)}
    expected, rows = tally.expected(), []
    for group, members in groups.items():
        for lead, columns in everything.items():
            found, due = (mass[members][:, columns].sum(axis=1) for mass in (tally.mass, expected))
            samples = tally.samples[members][:, columns].sum(axis=1)
            occurs, known_samples = samples > 0, samples.sum()
            with np.errstate(invalid="ignore", divide="ignore"):
                resampled = np.tensordot(counts[members], found, (0, 0)) / np.tensordot(counts[members], due, (0, 0))
            for m, mask in enumerate(mask_names):
                total = found[:, m].sum()
                for code, part in enumerate(PARTS):
                    inside, at_random = found[:, m, code].sum(), due[:, m, code].sum()
                    people = len(set(patients[members][occurs[:, code]]))
                    known = at_random > 0
                    low, high = (
                        bootstrap_interval(resampled[:, m, code], level)
                        if known and people >= LEAST_PATIENTS
                        else (None, None)
                    )
                    rows.append(
                        {"group": group, "mask": mask, "lead": lead, "part": part}
                        | {"recordings": int(occurs[:, code].sum()), "patients": people}
                        | {"area": float(total / (known_samples * tally.draws)) if known_samples else None}
                        | {"mass_share": float(inside / total) if known else None}
                        | {"expected_share": float(at_random / total) if known else None}
                        | {"enrichment": float(inside / at_random) if known else None, "low": low, "high": high}
                    )
    return rows


# ---- The masks that are measured: the adversary's, as training binarises them, and random ones of the same area.
#
# Shapes are those of this module: masks (n, L, C, M), one for all leads (C = 1) or each (C
# = 12).

LEARNT, BLOCK, LEAD_BLOCKS, SHIFTED = "learnt", "random block", "random block per lead", "learnt, shifted in time"
KINDS: Final = (LEARNT, BLOCK, LEAD_BLOCKS, SHIFTED)
"""The masks of the adversary; and as controls, of the same area in each recording: one block at a random place over all
leads, one block in each lead, and the mask itself, shifted by a random time."""


def binarised(masks: Floats, slope: float | None, threshold: float = 0.5) -> npt.NDArray[np.float64]:
    """What is occluded: from masks (n, L, N) to (n, L, C, M) in [0, 1], as this module wants it.

    Slope and threshold are `Config.binarisation`; without a slope the masks occlude as they are.

    With N = 12, a mask for each lead: C = 12, M = 1. Else C = 1 and M = N, and where N > 1 one more, the mean over the
    masks: as training takes one of them at random, it is how often a sample is occluded.
    """
    covered: npt.NDArray[np.float64] = masks.astype(np.float64)
    if slope is not None:
        covered = expit(slope * (covered - threshold))
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

    A block that runs over the end of the window continues at its start, so that all samples are masked equally often.
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
    """Tallies of binarised masks (n, L, C, M) over parts (n, L, 12), and of each control, drawn ``draws`` times."""
    areas = covered.mean(axis=1)  # (n, C, M)
    samples, leads = covered.shape[1], np.ones((1, 12, 1))
    sync = [Tally.of(random_blocks(areas.mean(axis=1, keepdims=True), samples, rng), parts) for _ in range(draws)]
    single = [Tally.of(random_blocks(areas * leads, samples, rng), parts) for _ in range(draws)]
    moved = [Tally.of(shifted(covered, rng), parts) for _ in range(draws)]
    controls = {BLOCK: Tally.summed(sync), LEAD_BLOCKS: Tally.summed(single), SHIFTED: Tally.summed(moved)}
    return {LEARNT: Tally.of(covered, parts), **controls}
