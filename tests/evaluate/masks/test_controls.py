"""Masks as they are measured, and the random ones beside them."""

import numpy as np
import pytest

from ecg_advmask.ecg.annotations import PARTS, REST
from ecg_advmask.evaluate.masks.enrichment import (
    BLOCK,
    KINDS,
    LEAD_BLOCKS,
    LEARNT,
    SHIFTED,
    Tally,
    binarised,
    enrichment_rows,
    mask_names,
    random_blocks,
    shifted,
    tallies_of,
)
from ecg_advmask.evaluate.metrics import resample_counts

QRS = PARTS.index("QRS")


@pytest.mark.parametrize("masks", [1, 2, 3, 4, 12])
def test_binarisation_is_that_of_training_and_several_masks_get_a_mean(masks):
    values = np.random.default_rng(0).random((3, 50, masks)).astype(np.float32)
    soft = 1 / (1 + np.exp(-50 * (values.astype(float) - 0.5)))
    found = binarised(values, 50.0)
    if masks == 12:
        assert found.shape == (3, 50, 12, 1) and np.allclose(found[..., 0], soft)
    else:
        assert np.allclose(found[:, :, 0, :masks], soft)
        assert found.shape == (3, 50, 1, masks if masks == 1 else masks + 1)
        assert np.allclose(found[:, :, 0, -1], soft.mean(axis=2))
    assert len(mask_names(masks)) == found.shape[3]
    lower = 1 / (1 + np.exp(-50 * (values.astype(float) - 0.25)))
    assert np.allclose(binarised(values, 50.0, 0.25).reshape(3, 50, -1)[..., :masks], lower)
    assert np.allclose(binarised(values, None).reshape(3, 50, -1)[..., :masks], values)


def test_a_block_has_its_length_wraps_around_and_starts_anywhere():
    areas = np.full((4000, 2, 1), 0.3)
    areas[:, 1] = 0.0
    blocks = random_blocks(areas, 50, np.random.default_rng(0))
    assert blocks.shape == (4000, 50, 2, 1) and set(np.unique(blocks)) == {0.0, 1.0}
    assert (blocks[:, :, 0].sum(axis=1) == 15).all() and not blocks[:, :, 1].any()
    rises = (np.roll(blocks[:, :, 0, 0], 1, axis=1) < blocks[:, :, 0, 0]).sum(axis=1)
    assert (rises == 1).all()  # one block, on the circle
    assert np.abs(blocks[:, :, 0, 0].mean(axis=0) - 0.3).max() < 5 * np.sqrt(0.3 * 0.7 / 4000)
    assert random_blocks(np.ones((1, 1, 1)), 50, np.random.default_rng(0)).all()


def test_a_shift_moves_all_masks_and_leads_of_a_recording_together():
    masks = np.random.default_rng(0).random((30, 40, 12, 2))
    moved = shifted(masks, np.random.default_rng(1))
    found = []
    for before, after in zip(masks, moved, strict=True):
        (shift,) = [k for k in range(40) if np.array_equal(np.roll(before, k, axis=0), after)]
        found.append(shift)
    assert len(set(found)) > 10


def planted(recordings, seed=0):
    """Beats at a random phase in 400 samples, in which QRS takes 12 of every 80 and masks lie within 10 of it."""
    rng = np.random.default_rng(seed)
    phase = (np.arange(400)[None] + rng.integers(80, size=(recordings, 1))) % 80
    parts = np.where(phase < 12, QRS, REST).astype(np.int8)[:, :, None] * np.ones((1, 1, 12), np.int8)
    parts[:, :40] = parts[:, 370:] = -1
    return (phase < 10).astype(float), parts


@pytest.mark.parametrize("channels", [1, 12])
def test_controls_have_the_area_of_the_mask_and_no_enrichment_while_the_mask_has(channels):
    near, parts = planted(150)
    masks = np.repeat(near[:, :, None, None], channels, axis=2)
    if channels == 12:
        masks[:, :, 6:] *= 0.5  # leads of different area
    tallies = tallies_of(masks, parts, 10, np.random.default_rng(2))
    assert tuple(tallies) == KINDS
    patients = np.arange(150).astype(object)
    counts = resample_counts(np.zeros(150, np.int64), patients, 400, 0)
    rows = {}
    for kind, tally in tallies.items():
        of_kind = enrichment_rows(tally, ["mask"], {"all": np.ones(150, bool)}, patients, counts, 0.999)
        rows |= {(kind, row["lead"], row["part"]): row for row in of_kind}
    assert rows[LEARNT, "all", "QRS"]["enrichment"] == pytest.approx(80 / 12, rel=0.05)
    for kind in (BLOCK, LEAD_BLOCKS, SHIFTED):
        assert tallies[kind].draws == 10
        for part in ("QRS", "rest"):
            row = rows[kind, "all", part]
            assert row["low"] <= 1 <= row["high"] and row["high"] - row["low"] < 0.4
        assert rows[kind, "all", "QRS"]["area"] == pytest.approx(masks.mean(), rel=0.05)
    leads = [rows[LEAD_BLOCKS, lead, "QRS"]["area"] for lead in ("I", "V6")]
    assert leads == pytest.approx([0.125, 0.0625 if channels == 12 else 0.125], rel=0.1)
    synchronous = tallies[BLOCK].mass
    assert np.array_equal(synchronous, np.repeat(synchronous[:, :1], 12, axis=1))
    assert not np.array_equal(tallies[LEAD_BLOCKS].mass[:, 0], tallies[LEAD_BLOCKS].mass[:, 1])


def test_the_intervals_of_random_blocks_hold_one_as_often_as_they_say():
    """Sixty repetitions with a mask of random area: nine in ten or more of the 95 % intervals hold 1."""
    hits = []
    for seed in range(60):
        _, parts = planted(60, seed)
        rng = np.random.default_rng(100 + seed)
        tally = Tally.of(random_blocks(rng.uniform(0.1, 0.6, (60, 12, 1)), 400, rng), parts)
        patients = np.arange(60).astype(object)
        counts = resample_counts(np.zeros(60, np.int64), patients, 300, seed)
        rows = enrichment_rows(tally, ["mask"], {"all": np.ones(60, bool)}, patients, counts, 0.95)
        (row,) = [row for row in rows if row["lead"] == "all" and row["part"] == "QRS"]
        hits.append(row["low"] <= 1 <= row["high"])
    assert np.mean(hits) >= 0.85
