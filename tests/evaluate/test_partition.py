"""Parts by patient, stored and used again; a stored division that does not fit or that leaks is refused."""

import hashlib

import numpy as np
import pandas as pd
import pytest

from ecg_advmask.datasets.targets import Targets
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.eligibility import recordings_of
from ecg_advmask.evaluate.partition import PARTS, Split, split_recordings
from ecg_advmask.evaluate.stored_split import stored_parts

SHARES = (0.5, 0.1, 0.4)


def archive(n=120, seed=0):
    """Recordings of two classes, two per patient, as the windows of a data set."""
    generator = np.random.default_rng(seed)
    rhythm = np.repeat(generator.choice(["SB", "SR"], n // 2), 2)
    table = pd.DataFrame({"id": [f"r{i:03d}" for i in range(n)], "patient": [f"p{i // 2}" for i in range(n)]})
    return table.assign(signal_hash="h" + table["id"], codes=rhythm, sex="")


def divided(table):
    found = recordings_of(table, None)
    ids, people = (found[name].to_numpy(object) for name in ("key", "person"))
    return found, split_recordings(ids, rhythm_of(found), people, SHARES, 0)


def rhythm_of(found):
    return Targets.of_classes("rhythm", found["codes"])


def test_parts_share_no_patient_and_depend_on_the_split_seed_alone():
    found, split = divided(archive(400))
    people = [set(split.patients[split.rows[part]]) for part in PARTS]
    assert not people[0] & people[1] and not people[0] & people[2] and not people[1] & people[2]
    assert sum(len(split.rows[part]) for part in PARTS) == len(found)
    assert len(split.rows["test"]) == pytest.approx(160, abs=4)
    assert sum(split.counts()["train"].values()) == len(split.rows["train"])
    other = split_recordings(split.ids, rhythm_of(found), split.patients, SHARES, 1)
    assert split.digest("test") == divided(archive(400))[1].digest("test") != other.digest("test")
    names = "\n".join(sorted(split.ids[split.rows["test"]]))
    assert split.digest("test") == hashlib.sha256(names.encode()).hexdigest()


def test_the_order_of_the_windows_does_not_change_the_parts():
    _, split = divided(archive(200))
    _, shuffled = divided(archive(200).sample(frac=1, random_state=1))
    assert [split.digest(part) for part in PARTS] == [shuffled.digest(part) for part in PARTS]


def test_a_class_missing_from_a_part_is_named():
    names = np.array(["SR"] * 40 + ["SB"], object)
    ids = np.arange(41).astype(object)
    with pytest.raises(InputError, match=r"class SB: its 1 recordings leave none for the .* part"):
        split_recordings(ids, Targets.of_classes("rhythm", names), ids, SHARES, 0)


def test_a_stored_division_comes_back_whatever_the_order(tmp_path):
    found, split = divided(archive())
    split.write(tmp_path / "split.csv")
    stored = pd.read_csv(tmp_path / "split.csv", dtype=str)
    assert stored.columns.tolist() == ["id", "patient", "label", "part"]
    assert stored["label"].tolist() == found["codes"].tolist()
    shuffled = recordings_of(archive().sample(frac=1, random_state=2), None)
    parts = stored_parts(tmp_path / "split.csv", shuffled, rhythm_of(shuffled))
    again = Split.of(shuffled["key"].to_numpy(object), rhythm_of(shuffled), shuffled["person"].to_numpy(object), parts)
    assert [again.digest(part) for part in PARTS] == [split.digest(part) for part in PARTS]
    more = recordings_of(pd.concat([archive(), archive(8).assign(id=list("abcdefgh"), patient="new")]), None)
    parts = stored_parts(tmp_path / "split.csv", more, rhythm_of(more))
    assert more["key"][parts == ""].tolist() == list("abcdefgh")


def test_seen_recordings_may_train_the_head_but_never_test_it(tmp_path):
    found, split = divided(archive())
    split.write(tmp_path / "split.csv")

    def with_seen(patient):
        seen = pd.DataFrame({"id": [""], "patient": [patient], "signal_hash": [""]})
        return stored_parts(tmp_path / "split.csv", recordings_of(archive(), seen), rhythm_of(found))

    train, test = (split.patients[split.rows[part]][0] for part in ("train", "test"))
    assert np.sum(with_seen(train) == "train") == len(split.rows["train"])
    leaked = ", ".join(found["key"][found["person"] == test])
    with pytest.raises(InputError, match=rf"2 recordings of the test part were seen by the encoder .* \({leaked}\)"):
        with_seen(test)


def replaced(old, new):
    return lambda text: text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (replaced("r005", "x005"), r"1 recordings are not in the data set \(x005\)"),
        (lambda text: text.replace("SR", "SX"), "have another label or patient in the data set"),
        (replaced(",p3,", ",p4,"), r"1 recordings have another label or patient in the data set \(r006\)"),
        (lambda text: text + text.splitlines()[-1] + "\n", "line 122 names r119 a second time"),
        (replaced(",train", ",practice"), "a part other than train, validation, test"),
        (replaced("id,patient", "name,patient"), "lacks some of the columns id, patient, label, part"),
        (lambda _: "", "lacks some of the columns"),
        (lambda _: "id,patient,label,part\n", "has no rows"),
        (lambda _: "id,patient,label,part\n\"r1", "is not a CSV file"),
        (lambda _: "id,patient,label,part\nr1\n", "line 2 has no id, or a part other than"),
    ],
)  # fmt: skip
def test_a_division_that_does_not_fit_is_refused_in_one_line(tmp_path, damage, message):
    found, split = divided(archive())
    path = tmp_path / "split.csv"
    split.write(path)
    path.write_text(damage(path.read_text()))
    with pytest.raises(InputError, match=message) as raised:
        stored_parts(path, found, rhythm_of(found))
    assert "\n" not in str(raised.value) and str(raised.value).startswith(str(path))


@pytest.mark.parametrize(("column", "meaning"), [("patient", "patient"), ("signal_hash", "signal")])
def test_a_patient_or_signal_in_two_parts_is_refused(tmp_path, column, meaning):
    _, split = divided(archive())
    one, other = split.ids[split.rows["train"]][0], split.ids[split.rows["test"]][0]
    path = tmp_path / "split.csv"
    split.write(path)
    table = archive().set_index("id", drop=False)
    table.loc[[one, other], column] = "shared"
    if column == "patient":
        stored = pd.read_csv(path, dtype=str).set_index("id", drop=False)
        stored.loc[[one, other], "patient"] = "shared"
        stored.to_csv(path, index=False)
    found = recordings_of(table, None)
    with pytest.raises(InputError, match=rf"2 recordings have the {meaning} of a recording in another part"):
        stored_parts(path, found, rhythm_of(found))


def test_missing_file_is_told(tmp_path):
    found, _ = divided(archive())
    with pytest.raises(InputError, match=r"absent\.csv: cannot be read"):
        stored_parts(tmp_path / "absent.csv", found, rhythm_of(found))
