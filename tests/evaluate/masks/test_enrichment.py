"""Enrichment: closed forms, a slow loop, and its bootstrap."""

import numpy as np
import pytest

from ecg_advmask.ecg.annotations import PARTS, REST, UNKNOWN
from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.evaluate.masks.enrichment import LEAST_PATIENTS, Tally, enrichment_rows
from ecg_advmask.evaluate.metrics import resample_counts

QRS = PARTS.index("QRS")


def random_parts(recordings, samples=200, seed=0):
    """Parts in stretches, different in each lead, with unknown ones among them."""
    rng = np.random.default_rng(seed)
    stretches = rng.integers(UNKNOWN, len(PARTS), (recordings, samples // 10, 12)).astype(np.int8)
    return np.repeat(stretches, 10, axis=1)


def rows_of(masks, parts, groups=None, patients=None, resamples=50):
    n = len(parts)
    people = np.arange(n).astype(object) if patients is None else patients
    counts = resample_counts(np.zeros(n, np.int64), people, resamples, 0)
    chosen = groups or {"all": np.ones(n, bool)}
    names = [f"m{m}" for m in range(masks.shape[3])]
    rows = enrichment_rows(Tally.of(masks, parts), names, chosen, people, counts, 0.95)
    return {(row["group"], row["mask"], row["lead"], row["part"]): row for row in rows}


def slow_enrichment(masks, parts, recordings, leads, m, code):
    """The definition, sample by sample."""
    found = due = 0.0
    for r in recordings:
        for lead in leads:
            channel = lead if masks.shape[2] == 12 else 0
            mass = inside = known = wave = 0.0
            for sample in range(masks.shape[1]):
                if parts[r, sample, lead] == UNKNOWN:
                    continue
                known += 1
                mass += masks[r, sample, channel, m]
                if parts[r, sample, lead] == code:
                    wave += 1
                    inside += masks[r, sample, channel, m]
            found += inside
            due += mass * wave / known if known else 0.0
    return found / due


@pytest.mark.parametrize(("channels", "masks"), [(1, 1), (1, 3), (12, 1)])
def test_rows_match_a_slow_loop_for_every_group_mask_lead_and_part(channels, masks):
    parts = random_parts(6, samples=100)
    parts[2, :, 4] = UNKNOWN
    values = np.random.default_rng(1).random((6, 100, channels, masks)) ** 2
    odd = np.arange(6) % 2 == 1
    rows = rows_of(values, parts, {"all": np.ones(6, bool), "odd": odd})
    assert len(rows) == 2 * masks * 13 * 4
    for (group, mask, lead, part), row in rows.items():
        recordings = np.flatnonzero(odd) if group == "odd" else range(6)
        leads = range(12) if lead == "all" else [STANDARD_LEADS.index(lead)]
        code = PARTS.index(part)
        if not (parts[np.ix_(recordings, range(100), leads)] == code).any():
            assert row["enrichment"] is None
            continue
        expected = slow_enrichment(values, parts, recordings, leads, int(mask[1:]), code)
        assert row["enrichment"] == pytest.approx(expected, rel=1e-9)
        assert row["mass_share"] / row["expected_share"] == pytest.approx(row["enrichment"])
        occurs = [r for r in recordings if (parts[r][:, leads] == code).any()]
        assert row["recordings"] == row["patients"] == len(occurs)


def test_a_mask_of_exactly_the_qrs_is_enriched_by_one_over_its_share_of_the_time():
    parts = np.full((5, 100, 12), REST, np.int8)
    parts[:, 20:28] = QRS
    rows = rows_of((parts[:, :, :1] == QRS).astype(float)[..., None], parts)
    qrs, rest = rows["all", "m0", "all", "QRS"], rows["all", "m0", "all", "rest"]
    assert qrs["enrichment"] == pytest.approx(1 / 0.08) and qrs["mass_share"] == 1 and qrs["area"] == 0.08
    assert (qrs["low"], qrs["high"]) == pytest.approx((12.5, 12.5))
    assert rest["enrichment"] == 0 and rest["mass_share"] == 0 and rest["expected_share"] == pytest.approx(0.92)
    assert rows["all", "m0", "V3", "P"]["enrichment"] is None and rows["all", "m0", "V3", "P"]["recordings"] == 0


@pytest.mark.parametrize("level", [1.0, 0.25])
def test_a_constant_mask_is_enriched_nowhere(level):
    rows = rows_of(np.full((6, 200, 1, 1), level), random_parts(6))
    assert all(row["enrichment"] == pytest.approx(1, abs=1e-12) for row in rows.values())
    assert all(row["area"] == pytest.approx(level) for row in rows.values())
    assert all(row["low"] is None or row["low"] == pytest.approx(1, abs=1e-6) for row in rows.values())


def test_recordings_with_more_qrs_and_more_mask_do_not_feign_enrichment():
    """The expectation is made in each recording by itself: pooled shares would find a mask that seeks the QRS."""
    parts = np.full((10, 100, 12), REST, np.int8)
    parts[:5, :40] = QRS
    parts[5:, :10] = QRS
    masks = np.where(np.arange(10) < 5, 0.9, 0.1)[:, None, None, None] * np.ones((1, 100, 1, 1))
    assert rows_of(masks, parts)["all", "m0", "all", "QRS"]["enrichment"] == pytest.approx(1)


def test_an_empty_mask_has_no_enrichment():
    rows = rows_of(np.zeros((6, 200, 1, 1)), random_parts(6))
    assert {row["enrichment"] for row in rows.values()} == {None}
    assert {row["mass_share"] for row in rows.values()} == {None} and {row["area"] for row in rows.values()} == {0.0}


def test_intervals_are_of_whole_patients_and_absent_for_few():
    rng = np.random.default_rng(0)
    parts = random_parts(40, seed=2)
    masks = rng.random((40, 200, 1, 1)) * rng.random((40, 1, 1, 1))
    single = rows_of(masks, parts, resamples=500)["all", "m0", "all", "QRS"]
    fours = np.repeat(np.arange(40), 4).astype(object)
    four_times = rows_of(*(np.repeat(x, 4, axis=0) for x in (masks, parts)), patients=fours, resamples=500)
    same = four_times["all", "m0", "all", "QRS"]
    assert same["enrichment"] == pytest.approx(single["enrichment"]) and same["patients"] == 40
    assert same["recordings"] == 160
    assert (same["low"], same["high"]) == pytest.approx((single["low"], single["high"]))
    few = rows_of(masks, parts, {"few": np.arange(40) < LEAST_PATIENTS - 1, "enough": np.arange(40) < LEAST_PATIENTS})
    assert few["few", "m0", "all", "QRS"]["low"] is None and few["few", "m0", "all", "QRS"]["enrichment"] > 0
    assert few["enough", "m0", "all", "QRS"]["low"] <= few["enough", "m0", "all", "QRS"]["high"]


def test_tallies_join_recordings_and_sum_masks():
    parts, rng = random_parts(4), np.random.default_rng(0)
    first, second = rng.random((2, 4, 200, 1, 2))
    whole = Tally.of(first, parts)
    joined = Tally.joined([Tally.of(first[:3], parts[:3]), Tally.of(first[3:], parts[3:])])
    assert np.allclose(joined.mass, whole.mass) and np.array_equal(joined.samples, whole.samples)
    summed = Tally.summed([whole, Tally.of(second, parts)])
    assert np.allclose(summed.mass, Tally.of(first + second, parts).mass) and summed.draws == 2
    assert np.array_equal(summed.samples, whole.samples)
