"""Who is left out of an evaluation and why: seen in pretraining, a copy, without a label."""

import numpy as np
import pandas as pd
import pytest

from ecg_advmask.data.targets import Targets
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.eligibility import account_of, labelled_targets, recordings_of, windows_of
from ecg_advmask.evaluate.split import Split

NO_LABELS = pd.DataFrame({"id": []}, dtype=str)


def records(ids, patients=None, hashes=None, codes="SR", sex="male"):
    table = pd.DataFrame({"id": ids})
    table["patient"] = patients if patients is not None else [f"p-{name}" for name in ids]
    table["signal_hash"] = hashes if hashes is not None else [f"h-{name}" for name in ids]
    table["codes"], table["sex"], table["source"], table["age_years"] = codes, sex, "test", 60.0
    return table


def seen(ids=(), patients=(), hashes=()):
    size = max(len(ids), len(patients), len(hashes))
    fill = {"id": ids, "patient": patients, "signal_hash": hashes}
    return pd.DataFrame({key: [*values, *[""] * (size - len(values))] for key, values in fill.items()})


def unseen_keys(found):
    return found["key"][~found["seen"] & ~found["copy"]].tolist()


def account(found, windows=0):
    used = (~found["seen"] & ~found["copy"]).to_numpy()
    return account_of(found, Targets.of_classes("sex", ["male"] * len(found)), split_of(found, used), windows)


def split_of(found, used):
    """A split of the recordings used; which part they are in does not matter to the account."""
    ids, people = (found[name].to_numpy(object)[used] for name in ("key", "person"))
    rows = {"train": np.arange(len(ids)), "validation": np.arange(0), "test": np.arange(0)}
    return Split(Targets.of_classes("sex", ["male"] * len(ids)), ids, people, rows, {})


def test_seen_by_id_by_signal_and_by_patient_are_left_out_and_counted():
    table = records(list("abcdef"), patients=["1", "2", "3", "3", "4", "5"])
    found = recordings_of(table, seen(ids=["a"], hashes=["h-b"], patients=["3"]))
    assert unseen_keys(found) == ["e", "f"]
    counts = account(found, 6)
    assert {name: counts[name] for name in ("windows", "recordings", "seen", "copies", "eligible")} == {
        "windows": 6, "recordings": 6, "seen": 4, "copies": 0, "eligible": 2
    }  # fmt: skip
    assert (counts["seen_by_id"], counts["seen_by_signal"], counts["seen_by_patient"]) == (1, 1, 2)


def test_a_recording_seen_in_several_ways_counts_once():
    counts = account(recordings_of(records(["a", "b"]), seen(ids=["a"], hashes=["h-a"], patients=["p-a"])))
    assert (counts["seen"], counts["seen_by_id"], counts["seen_by_signal"], counts["seen_by_patient"]) == (1, 1, 1, 1)


def test_empty_patients_and_hashes_match_nothing():
    found = recordings_of(
        records(["a", "b"], patients=["", ""], hashes=["", ""]), seen(ids=["c"], patients=[""], hashes=[""])
    )
    assert unseen_keys(found) == ["a", "b"]
    assert found["person"].nunique() == 2


def test_windows_of_a_recording_go_together():
    table = records(["c", "a", "b", "a", "c"], hashes=["3", "1", "2", "1", "3"])
    found = recordings_of(table, seen(ids=["b"]))
    assert found["key"].tolist() == ["a", "b", "c"] and unseen_keys(found) == ["a", "c"]
    rows, recording_of_window = windows_of(table, np.array(["a", "c"], object))
    assert rows.tolist() == [0, 1, 3, 4] and recording_of_window.tolist() == [1, 0, 0, 1]


def test_the_order_of_the_windows_does_not_matter():
    table = records(list("hgfedcba"), hashes=["1", "2", "1", "2", "3", "3", "4", "5"])
    known = seen(hashes=["4"], patients=["p-h"])
    first, shuffled = recordings_of(table, known), recordings_of(table.sample(frac=1, random_state=3), known)
    pd.testing.assert_frame_equal(first, shuffled)


def test_copies_of_a_signal_are_tested_once():
    found = recordings_of(records(["b", "a", "c"], hashes=["1", "1", "2"]), None)
    assert unseen_keys(found) == ["a", "c"]
    assert account(found)["copies"] == 1


def test_an_untrained_encoder_has_seen_nothing():
    assert account(recordings_of(records(["a", "b"]), None))["seen"] == 0


def test_every_recording_counts_once():
    table = records(list("abcdefg"), hashes=["1", "1", "2", "3", "4", "5", "6"])
    found = recordings_of(table, seen(ids=["d"]))
    targets = Targets.of_classes("sex", ["male", "male", None, None, "male", "female", "male"])
    used = np.array([False, False, False, False, True, True, False])
    counts = account_of(found, targets, split_of(found, used), 7)
    parts = {name: counts[name] for name in ("seen", "copies", "unlabelled", "outside_split", "eligible")}
    assert parts == {"seen": 1, "copies": 1, "unlabelled": 1, "outside_split": 2, "eligible": 2}
    assert counts["unlabelled_reasons"] == {"no class": 1} and sum(parts.values()) == counts["recordings"]


@pytest.mark.parametrize(
    ("task", "table", "left", "message"),
    [
        ("tea", records(["a", "b"]), None, "there are: rhythm, sex"),
        ("sex", records(["a", "b"]), seen(ids=["a", "b"]), "pretraining_share=0.7"),
        ("sex", records(["a", "b"], sex=["male", "male"]), None, "at least two classes"),
        ("rhythm", records(["a", "b"], codes="unknown"), None, "finds no class"),
        (
            "age",
            records(["a", "b"]),
            None,
            "finds 60 among the 2 unseen recordings, needs at least two different numbers",
        ),
        ("diagnosis", records(["a", "b"], codes="164889003"), None, "finds AF .* two combinations of labels"),
        ("diagnosis", records(["a", "b"], codes="SR"), None, "finds no label"),
    ],
)
def test_what_cannot_be_evaluated_is_reported_in_one_line(task, table, left, message):
    with pytest.raises(InputError, match=message) as error:
        labelled_targets(task, recordings_of(table, left), NO_LABELS, "data")
    assert "\n" not in str(error.value)
