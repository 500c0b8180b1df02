"""The order of an epoch: every window once, well mixed from few files at a time; crops."""

import itertools
from collections import Counter

import numpy as np
import pytest

from ecg_advmask.data.order import MOST_TOGETHER, SHARDS_AT_ONCE, crop_starts, middle_starts, shuffled, together

SHARDS = [100] * 40 + [37]
WINDOWS = sum(SHARDS)
SHARD_OF = np.repeat(np.arange(len(SHARDS)), SHARDS)


def test_every_window_comes_once() -> None:
    for epoch in range(3):
        assert sorted(shuffled(SHARDS, None, seed=0, epoch=epoch)) == list(range(WINDOWS))
    wanted = np.random.default_rng(0).permutation(WINDOWS)[:500]
    assert sorted(shuffled(SHARDS, wanted, seed=0, epoch=0)) == sorted(wanted)
    assert shuffled(SHARDS, [5, 5, 3], seed=0, epoch=0).tolist() in ([3, 5], [5, 3])
    assert shuffled(SHARDS, [], seed=0, epoch=0).tolist() == []
    assert shuffled([], None, seed=0, epoch=0).tolist() == []


@pytest.mark.parametrize("row", [-1, WINDOWS])
def test_a_row_that_does_not_exist_is_refused(row: int) -> None:
    with pytest.raises(IndexError, match=f"from 0 to {WINDOWS - 1}"):
        shuffled(SHARDS, [0, row], seed=0, epoch=0)


def test_seed_and_epoch_alone_decide() -> None:
    valid = np.full(WINDOWS, 1000)
    for drawn in (
        lambda seed, epoch: shuffled(SHARDS, None, seed=seed, epoch=epoch),
        lambda seed, epoch: crop_starts(valid, 250, seed=seed, epoch=epoch),
    ):
        first = drawn(1, 2)
        np.random.seed(5)  # noqa: NPY002 (it must not matter)
        np.testing.assert_array_equal(drawn(1, 2), first)
        for other in ((1, 3), (2, 2), (2, 1), (1 + 2**32, 2)):
            assert (drawn(*other) == first).mean() < 0.4, "as many equal ones as chance would have it"


def groups(drawn: np.ndarray) -> list[set[int]]:
    """The shards that are mixed with one another: cut where no shard before occurs after."""
    shards = SHARD_OF[drawn]
    last = {shard: place for place, shard in enumerate(shards)}
    found, open_until, members = [], 0, set()
    for place, shard in enumerate(shards):
        members.add(int(shard))
        open_until = max(open_until, last[shard])
        if place == open_until:
            found.append(members)
            members = set()
    return found


def test_few_shards_are_read_at_once_and_others_in_each_epoch() -> None:
    first, second = (groups(shuffled(SHARDS, None, seed=3, epoch=epoch)) for epoch in range(2))
    assert sorted(map(len, first)) == [13, 14, 14]
    assert all(len(group) <= SHARDS_AT_ONCE for group in second)
    assert sorted(map(sorted, first)) != sorted(map(sorted, second))
    every_second = np.flatnonzero(np.isin(SHARD_OF, range(0, 32, 2)))
    (few,) = groups(shuffled(SHARDS, every_second, seed=3, epoch=0))
    assert len(few) == 16, "shards without wanted rows take no place in a group"


def test_all_orders_within_a_group_are_equally_likely() -> None:
    """Each of 6 windows stands at each place as often as at any other: chi-squared over 3,000 epochs."""
    counts = np.zeros((6, 6))
    for epoch in range(3000):
        counts[np.arange(6), shuffled([2, 3, 1], None, seed=9, epoch=epoch)] += 1
    chi_squared = ((counts - 500) ** 2 / 500).sum()
    assert 8.6 < chi_squared < 52.6, "99.99 % of the distribution with 25 degrees of freedom"


def test_sources_are_mixed_even_where_each_shard_holds_one() -> None:
    """Half of the distance |batch's shares - whole shares|, summed over sources and averaged over batches.

    Without any mixing it is 1 - sum of squared shares. Batches drawn from the whole at random have the least that can
    be had. Groups of 16 shards add what a draw of 16 shards without replacement adds.
    """
    batch, shards, per_shard = 128, 160, 256
    shares = np.array([0.5, 0.25, 0.15, 0.1])
    source_of = np.repeat(np.arange(4), (shares * shards).astype(int) * per_shard)

    def distance(order: np.ndarray) -> float:
        rows = order[: len(order) // batch * batch].reshape(-1, batch)
        found = np.stack([(source_of[rows] == source).mean(axis=1) for source in range(4)])
        return float(0.5 * np.abs(found - shares[:, None]).sum(axis=0).mean())

    mixed = [distance(shuffled([per_shard] * shards, None, seed=1, epoch=epoch)) for epoch in range(5)]
    at_random = distance(np.random.default_rng(0).permutation(len(source_of)))
    unmixed = distance(np.arange(len(source_of)))
    variance = shares * (1 - shares) * (1 / batch + (1 - 15 / 159) / SHARDS_AT_ONCE)
    expected = 0.5 * np.sqrt(variance * 2 / np.pi).sum()  # of normal deviations
    assert unmixed == pytest.approx(1 - (shares**2).sum(), abs=0.01)
    assert np.mean(mixed) == pytest.approx(expected, rel=0.2)
    assert at_random < np.mean(mixed) < 0.25 * unmixed


def test_windows_of_a_long_recording_meet_in_a_batch_as_often_as_chance_has_it() -> None:
    """180 windows of one recording within a group of 4,096: pairs in a batch of 128 against the hypergeometric mean."""
    batch, epochs = 128, 200
    pairs = []
    for epoch in range(epochs):
        order = shuffled([256] * 16, None, seed=2, epoch=epoch)
        inside = (order < 180).reshape(-1, batch).sum(axis=1)
        pairs.append((inside * (inside - 1) / 2).sum())
    expected = 180 * 179 / 2 * (batch - 1) / (16 * 256 - 1)
    assert np.mean(pairs) == pytest.approx(expected, abs=4 * np.std(pairs) / np.sqrt(epochs))


def test_crops_are_uniform_over_the_valid_part() -> None:
    """Starts 0 to 5 of 6,000 windows of 10 valid samples: chi-squared with 5 degrees of freedom."""
    starts = crop_starts(np.full(6000, 10), 5, seed=0, epoch=0)
    counts = np.bincount(starts, minlength=6)
    assert len(counts) == 6
    assert ((counts - 1000) ** 2 / 1000).sum() < 25.7, "99.99 %"


def test_crops_of_short_windows_begin_at_their_start() -> None:
    valid = np.array([3, 5, 6, 1000])
    starts = np.stack([crop_starts(valid, 5, seed=0, epoch=epoch) for epoch in range(200)])
    assert set(starts[:, 0]) == set(starts[:, 1]) == {0}
    assert set(starts[:, 2]) == {0, 1}
    assert starts[:, 3].max() <= 995
    assert middle_starts(valid, 5).tolist() == [0, 0, 0, 497]


@pytest.mark.parametrize("seed", range(5))
def test_windows_of_a_patient_come_together_a_few_at_a_time(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.permutation(1000)[:700]
    patients = np.append(rng.integers(0, 300, 600), np.full(100, 999))
    drawn = together(rows, patients, seed=seed, epoch=3)
    assert sorted(drawn) == sorted(rows)
    patient_of = dict(zip(rows.tolist(), patients.tolist(), strict=True))
    sequence = [patient_of[row] for row in drawn.tolist()]
    runs = [(patient, len(list(group))) for patient, group in itertools.groupby(sequence)]
    for patient, count in Counter(patients.tolist()).items():
        lengths = [length for one, length in runs if one == patient]
        assert sum(lengths) == count
        assert len(lengths) <= -(-count // MOST_TOGETHER)  # as few runs as there can be; two may meet by chance
    assert max(length for patient, length in runs if patient != 999) <= max(
        count for patient, count in Counter(patients.tolist()).items() if patient != 999
    )
    long_runs = [length for patient, length in runs if patient == 999]
    assert len(long_runs) > 15  # of 25 groups of 4, dealt at random over the epoch, few meet
    assert np.array_equal(drawn, together(rows, patients, seed=seed, epoch=3))
    assert not np.array_equal(drawn, together(rows, patients, seed=seed, epoch=4))
    assert not np.array_equal(drawn, together(rows, patients, seed=seed + 1, epoch=3))


def test_together_without_windows_gives_none() -> None:
    assert len(together(np.empty(0, np.int64), [], seed=0, epoch=0)) == 0
