"""Dealing recordings to shards: complete, repeatable, mixed, and without keeping them in memory."""

import dataclasses
import hashlib
import random
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from ecg_advmask.data import prepare as plan_module
from ecg_advmask.data.prepare import Plan
from ecg_advmask.ecg.sources import Entry


def entries(count: int) -> Iterator[Entry]:
    for number in range(count):
        source = ("ptb-xl", "georgia", "ningbo")[3 * number // count]
        name = f"{source}/g1/R{number:06d}.hea"
        yield Entry(f"R{number:06d}", f"/archive/{name}", name, source, f"P{number}", codes=("1", "2"))


def all_of(plan: Plan) -> list[Entry]:
    return [entry for shard in range(plan.shards) for entry in plan.of_shard(shard)]


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 200, 2048, 2049, 5000])
def test_every_recording_is_in_one_shard(count: int) -> None:
    plan = Plan(entries(count))
    dealt = all_of(plan)
    assert plan.recordings == count == len(dealt)
    assert {entry.record_id: entry for entry in dealt} == {entry.record_id: entry for entry in entries(count)}
    sizes = [len(plan.of_shard(shard)) for shard in range(plan.shards)]
    assert sizes == [plan.size_of(shard) for shard in range(plan.shards)]
    assert max(sizes) <= 128
    assert len(set(sizes[:-1])) <= 1 and sizes[-1] <= sizes[0]
    assert plan.shards >= min(count, 16) / 2


def test_the_order_is_that_of_a_hash_and_not_that_of_the_archive() -> None:
    shuffled = list(entries(1000))
    random.Random(1).shuffle(shuffled)
    one, two = Plan(entries(1000)), Plan(shuffled)
    assert all_of(one) == all_of(two)
    assert one.digest == two.digest
    ids = [entry.record_id for entry in all_of(one)]
    assert ids == sorted(ids, key=lambda name: hashlib.sha256(name.encode()).digest())


def test_shards_are_mixtures_of_the_sources() -> None:
    plan = Plan(entries(6000))
    shares = [np.mean([e.source == "ptb-xl" for e in plan.of_shard(shard)]) for shard in range(plan.shards - 1)]
    spread = np.sqrt(1 / 3 * 2 / 3 / 128)  # of the share in a random sample of 128
    assert np.mean(shares) == pytest.approx(1 / 3, abs=4 * spread / np.sqrt(len(shares)))
    assert np.std(shares) == pytest.approx(spread, rel=0.35)


def test_the_digest_tells_any_change_but_the_place_of_the_archive() -> None:
    digest = Plan(entries(10)).digest
    moved = (dataclasses.replace(entry, file=f"/elsewhere/{entry.name}") for entry in entries(10))
    assert Plan(moved).digest == digest
    for change in ({"patient": "P"}, {"refusal": "left out"}, {"labels": (("a", "b"),)}, {"age_years": 5.0}):
        first, *rest = entries(10)
        assert Plan([dataclasses.replace(first, **change), *rest]).digest != digest  # type: ignore[arg-type]
    assert Plan(entries(9)).digest != digest


def test_repeated_ids_are_refused_but_for_the_first_by_name() -> None:
    again = [Entry("R000003", "/x", name, "a", "a") for name in ("zz.hea", "aa.hea")]
    found = {entry.name: entry.refusal for entry in all_of(Plan([*again, *entries(5)])) if entry.record_id == "R000003"}
    assert found == {
        "aa.hea": "",
        "georgia/g1/R000003.hea": "repeated id: it is also that of aa.hea",
        "zz.hea": "repeated id: it is also that of aa.hea",
    }


def test_names_that_are_not_utf8_are_refused() -> None:
    (entry,) = all_of(Plan([Entry("b\udcff", "/a/b\udcff.hea", "b\udcff.hea", "a", "a/b\udcff")]))
    assert entry.refusal == "file name: it is not UTF-8, rename the file"
    assert (entry.record_id, entry.name) == ("b\\udcff", "b\\udcff.hea")


def test_a_folder_that_is_not_utf8_keeps_its_path() -> None:
    (entry,) = all_of(Plan([Entry("b", "/a\udcff/b.hea", "b.hea", "a")]))
    assert (entry.file, entry.refusal) == ("/a\udcff/b.hea", "")


@pytest.mark.slow
def test_memory_does_not_grow_with_the_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "RECORDINGS_PER_SHARD", 8)
    peaks = []
    for count in (500, 20_000):
        tracemalloc.start()
        plan = Plan(entries(count))
        plan.of_shard(plan.shards - 1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 200_000
