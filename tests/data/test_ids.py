"""Ids of a table matched with those of recordings: as they stand, as programs write them, and without leading zeros."""

from collections.abc import Iterable

import pytest

from ecg_advmask.data.ids import IdMatcher
from ecg_advmask.errors import InputError


def matched(table: Iterable[str], recordings: Iterable[str]) -> tuple[dict[str, str | None], str]:
    """The id in the table of each recording, and the line on leading zeros, after as many rounds as it takes."""
    ids, recordings = IdMatcher("t.csv", {name: (line, name) for line, name in enumerate(table, 2)}), list(recordings)
    found = {name: ids.find(name) for name in recordings}
    line = ids.restore_zeros()
    if line:
        found = {name: ids.find(name) for name in recordings}
        assert ids.restore_zeros() == ""
    unmatched = [name for name, row in found.items() if row is None]
    assert ids.without_row == len(unmatched)
    assert set(ids.unused()) == set(table) - {row for row in found.values() if row is not None}
    return found, line


@pytest.mark.parametrize(
    ("table", "recordings"),
    [
        (["1", "2", "30"], ["00001", "00002", "00030"]),
        (["1.0", "2.0"], ["01", "02"]),
        (["0", "7"], ["000", "007"]),
        (["0001", "0002"], ["1", "2"]),
        (["1", "10000"], ["00001", "10000"]),  # some have no zeros to lose
        (["1", "2"], ["g1/001", "g2/002"]),
        (["g1/1", "g2/1"], ["g1/001", "g2/001"]),
        (["1.csv", "2.csv"], ["001", "002"]),
    ],
)
def test_numbers_that_lost_their_leading_zeros_match_and_it_is_said(table: list[str], recordings: list[str]) -> None:
    found, line = matched(table, recordings)
    assert list(found.values()) == table
    lost = sum(name.rpartition("/")[2] != one.rpartition("/")[2] for name, one in zip(table, recordings, strict=True))
    assert f" {min(lost, len(table))} rows" in line
    assert table[0] in line and recordings[0] in line


@pytest.mark.parametrize(
    ("table", "recordings", "expected"),
    [
        (["1", "2"], ["01", "001", "02"], [None, None, None]),  # two recordings for a row
        (["1", "01"], ["001"], [None]),  # two rows for a recording
        (["1", "2"], ["1", "001", "002"], ["1", None, None]),  # the row is that of another recording
        (["1", "2"], ["g1/01", "g2/01"], [None, None]),
        (["1", "2"], ["a01", "JS00002"], [None, None]),  # no numbers
        (["a1"], ["a01"], [None]),
        (["1"], ["0x1"], [None]),
    ],
)
def test_nothing_is_guessed_where_zeros_may_matter(
    table: list[str], recordings: list[str], expected: list[str | None]
) -> None:
    found, line = matched(table, recordings)
    assert list(found.values()) == expected and line == ""


def test_a_table_without_any_match_shows_ids_of_both_sides_and_why() -> None:
    ids = IdMatcher("t.csv", {"1": (2, "x"), "2": (3, "y")})
    for name in ("01", "001"):
        assert ids.find(name) is None
    assert ids.restore_zeros() == ""
    with pytest.raises(InputError, match=r"t.csv: names none of the 2 recordings.* 1, the recordings 01 .*zeros"):
        ids.unmatched()
