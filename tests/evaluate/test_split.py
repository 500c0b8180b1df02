"""Parts by patient, stored and used again; a stored division that does not fit or that leaks is refused."""

import dataclasses
import hashlib
import itertools

import numpy as np
import pandas as pd
import pytest

from ecg_advmask.data.targets import Targets, targets_of
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.eligibility import account_of, new_split, recordings_of, shared_split, stored_split
from ecg_advmask.evaluate.split import PARTS, split_recordings

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


def test_a_shared_division_puts_each_recording_into_one_part_for_all_tasks():
    """Combinations of classes are kept in proportion; who lacks the class of a task moves nobody."""
    generator = np.random.default_rng(1)
    rhythm = generator.choice(["SB", "SR"], 600, p=[0.9, 0.1])
    sex = generator.choice(["male", "female"], 600)
    table = pd.DataFrame({"id": [f"r{i:03d}" for i in range(600)], "patient": [f"p{i}" for i in range(600)]})
    found = recordings_of(table.assign(signal_hash="h" + table["id"], codes=rhythm, sex=sex), None)
    strata = [Targets.of_classes("rhythm", rhythm), Targets.of_classes("sex", sex)]
    unknown = Targets.of_classes("sex", [None if i % 5 == 0 else one for i, one in enumerate(sex)])
    for targets in (*strata, unknown):
        split = shared_split(found, targets, strata, SHARES, 0)
        part_of = {split.ids[row]: part for part in PARTS for row in split.rows[part]}
        assert len(part_of) == targets.known.sum()
        if targets is strata[0]:
            whole = part_of
        assert part_of.items() <= whole.items()
    counts = pd.crosstab([rhythm, sex], [whole[one] for one in found["key"]], normalize="index")
    assert counts["test"].between(0.35, 0.45).all() and counts["train"].between(0.45, 0.55).all()


def test_a_class_missing_from_a_part_is_named():
    names = np.array(["SR"] * 40 + ["SB"], object)
    ids = np.arange(41).astype(object)
    with pytest.raises(InputError, match=r"task rhythm: fewer than two classes .*SB: 1, no recording of it in the"):
        split_recordings(ids, Targets.of_classes("rhythm", names), ids, SHARES, 0)


def test_classes_too_rare_for_the_parts_are_left_out_and_listed(tmp_path):
    """One class of one recording must not refuse the task, nor be in the parts."""
    names = np.array(["SR"] * 40 + ["AF"] * 30 + ["SB", "", "ST", "ST"], object)
    reasons = np.where(names == "", "none", "").astype(object)
    targets = Targets.of_classes("rhythm", np.where(names == "", None, names), reasons)
    ids = np.array([f"r{number:02d}" for number in range(74)], object)
    table = pd.DataFrame({"id": ids, "patient": ids, "signal_hash": ids, "codes": "", "sex": ""})
    found = recordings_of(table, None)
    split = new_split(found, targets, SHARES, 0)
    assert split.targets.names == ("AF", "SR") and set(split.targets.values) == {0, 1}
    assert set(split.ids) == set(ids[:70]) and len(split.targets.values) == sum(split.sizes().values()) == 70
    assert {name: about["recordings"] for name, about in split.left_out.items()} == {"SB": 1, "ST": 2}
    counts = account_of(found, targets, split, 74)
    assert counts["unlabelled_reasons"] == {"its class is not in every part": 3, "none": 1}
    assert (counts["eligible"], counts["unlabelled"], counts["outside_split"]) == (70, 4, 0)
    assert set(counts["left_out_labels"]) == {"SB", "ST"}
    split.write(tmp_path / "split.csv")
    again = stored_split(tmp_path / "split.csv", found, targets)
    assert [again.digest(part) for part in PARTS] == [split.digest(part) for part in PARTS]
    assert again.targets.names == split.targets.names


def test_a_division_of_an_earlier_version_is_used_as_stored(tmp_path):
    """Then NA was a class, and so was each spelling of one."""
    cells = ["yes", "Yes ", "no", "NA", "1.0", "1"] * 20
    ids = np.array([f"r{number:03d}" for number in range(120)], object)
    parts = np.array(["train", "validation", "test", "test", "train"])[np.arange(120) // 6 % 5]
    rows = [f"{i},recording {i},{cell.strip()},{part}" for i, cell, part in zip(ids, cells, parts, strict=True)]
    (tmp_path / "split.csv").write_text("\n".join(["id,patient,label,part", *rows]) + "\n")
    table = pd.DataFrame({"id": ids, "patient": "", "signal_hash": ids, "codes": "", "sex": ""})
    found = recordings_of(table, None)
    targets = targets_of(found, pd.DataFrame({"id": ids, "stroke": cells}), "stroke")
    split = stored_split(tmp_path / "split.csv", found, targets)
    assert split.targets.names == ("1", "Yes", "no")
    for part in PARTS:
        kept = [i for i, cell, own in zip(ids, cells, parts, strict=True) if own == part and cell != "NA"]
        assert sorted(split.ids[split.rows[part]]) == kept


DRAWS = (0.01, 0.1, 17, 25, 0.5, 100, 1.0)


def several_labels(n=600, seed=0):
    """Recordings of 200 patients with labels of which two are rare and two are in all recordings or none."""
    rng = np.random.default_rng(seed)
    values = (rng.random((n, 7)) < [0.6, 0.2, 0.05, 0.02, 0.0, 1.0, 0.0]).astype(np.int64)
    values[:2, 4] = 1
    return Targets("diagnosis", "labels", tuple("ABCDEFG"), values, np.full(n, "", object))


def of_every_kind():
    """(targets, ids, patients) of a task of each kind, with three recordings of each of 200 patients."""
    rng = np.random.default_rng(0)
    ids, patients = (
        np.array([f"{name}{i // of:03d}" for i in range(600)], object) for name, of in (("r", 1), ("p", 3))
    )
    none = np.full(600, "", object)
    return {
        "classes": (
            Targets.of_classes("rhythm", rng.choice(["AF", "SB", "SR"], 600, p=[0.05, 0.25, 0.7])),
            ids,
            patients,
        ),
        "labels": (several_labels(), ids, patients),
        "number": (Targets("age", "number", ("years",), rng.normal(60, 15, 600), none), ids, patients),
    }


@pytest.mark.parametrize("kind", ["classes", "labels", "number"])
def test_draws_are_exact_nested_within_the_training_part_and_hold_every_class(kind):
    targets, ids, patients = of_every_kind()[kind]
    split = split_recordings(ids, targets, patients, SHARES, 0)
    train = split.rows["train"]
    for seed in (0, 1):
        drawn = [split.draw(fraction, seed) for fraction in DRAWS]
        sizes = [len(rows) for rows in drawn]
        assert sizes[1:] == [round(0.1 * len(train)), 17, 25, round(0.5 * len(train)), 100, len(train)]
        in_order = sorted(drawn, key=len)
        for smaller, larger in itertools.pairwise(in_order):
            assert set(smaller.tolist()) <= set(larger.tolist()) <= set(train.tolist())
        strata, groups = split.targets.take(train).strata(), split.targets.take(train).groups()
        for rows in drawn:
            assert (np.diff(rows) > 0).all()
            found = np.isin(train, rows)
            assert groups[found].any(axis=0).all()
            share = np.bincount(strata[found], minlength=strata.max() + 1) - len(rows) * np.bincount(strata) / len(
                train
            )
            assert len(rows) < 25 or np.abs(share).max() <= (1 if kind != "labels" else 2)
    assert set(split.draw(25, 0)) != set(split.draw(25, 1))


@pytest.mark.parametrize("kind", ["classes", "labels", "number"])
def test_parts_and_draws_do_not_depend_on_how_recordings_come_nor_the_test_part_on_draws(kind):
    targets, ids, patients = of_every_kind()[kind]
    split = split_recordings(ids, targets, patients, SHARES, 0)
    rows = np.random.default_rng(1).permutation(600)
    other = split_recordings(ids[rows], targets.take(rows), patients[rows], SHARES, 0)
    before = [split.digest(part) for part in PARTS]
    assert before == [other.digest(part) for part in PARTS]
    tests = split.ids[split.rows["test"]].tobytes(), split.targets.take(split.rows["test"]).values.tobytes()
    for fraction, seed in itertools.product(DRAWS, (0, 5)):
        assert sorted(split.ids[split.draw(fraction, seed)]) == sorted(other.ids[other.draw(fraction, seed)])
        again = split_recordings(ids, targets, patients, SHARES, 0)
        assert before == [again.digest(part) for part in PARTS]
        test = again.rows["test"]
        assert tests == (again.ids[test].tobytes(), again.targets.take(test).values.tobytes())


@pytest.mark.parametrize(
    ("fraction", "message"),
    [
        (0, "0 is neither a share up to 1 nor a whole number"),
        (1.5, "1.5 is neither"),
        (float("nan"), "nan is neither"),
        (float("inf"), "inf is neither"),
        (5000, "5000 labels asked for, the training part has 300"),
        (2, r"2 labelled recordings cannot hold one of each class, .* of rhythm; ask for 3 or more"),
    ],
)
def test_draws_that_mean_nothing_are_refused(fraction, message):
    targets, ids, patients = of_every_kind()["classes"]
    split = split_recordings(ids, targets, patients, SHARES, 0)
    message = message.replace("300", str(len(split.rows["train"])))
    with pytest.raises(InputError, match=message):
        split.draw(fraction, 0)


def test_labels_that_are_not_in_every_part_are_left_out_and_reported():
    targets, ids, patients = of_every_kind()["labels"]
    split = split_recordings(ids, targets, patients, SHARES, 0)
    values = {part: targets.values[rows] for part, rows in split.rows.items()}
    complete = [k for k in range(7) if all(0 < one[:, k].sum() < len(one) for one in values.values())]
    assert split.targets.names == tuple("ABCDEFG"[k] for k in complete) == ("A", "B", "C", "D")
    np.testing.assert_array_equal(split.targets.values, targets.values[:, complete])
    lacking = " or the ".join(part for part in PARTS if not values[part][:, 4].any())
    assert split.left_out == {
        "E": {"recordings": 2, "reason": f"no recording with it in the {lacking} part"},
        "F": {"recordings": 600, "reason": "no recording without it"},
        "G": {"recordings": 0, "reason": "no recording with it"},
    }
    for part, counts in split.counts().items():
        assert list(counts.values()) == values[part][:, :4].sum(axis=0).tolist()
    assert split.targets.known.all() and (split.targets.texts() == "").any()
    for share, part in zip(SHARES, PARTS, strict=True):
        assert split.sizes()[part] == pytest.approx(share * 600, abs=15)
        assert split.counts()[part]["C"] == pytest.approx(share * targets.values[:, 2].sum(), abs=4)
    with pytest.raises(InputError, match="task diagnosis: no label is in every part"):
        split_recordings(ids, targets.only(np.arange(7) > 3), patients, SHARES, 0)


def test_parts_of_a_number_have_its_distribution():
    targets, ids, _ = of_every_kind()["number"]
    split = split_recordings(ids, targets, ids, SHARES, 0)
    assert split.counts() == {part: {"recordings": len(rows)} for part, rows in split.rows.items()}
    strata = targets.strata()
    for share, part in zip(SHARES, PARTS, strict=True):
        assert np.abs(np.bincount(strata[split.rows[part]], minlength=5) - share * 120).max() <= 1
    with pytest.raises(InputError, match="task age: the 2 recordings leave none for the validation part"):
        split_recordings(ids[:2], targets.take([0, 1]), ids[:2], SHARES, 0)


@pytest.mark.parametrize("kind", ["classes", "labels", "number"])
def test_targets_of_every_kind_come_back_from_a_stored_division(tmp_path, kind):
    targets, ids, patients = of_every_kind()[kind]
    split = split_recordings(ids, targets, patients, SHARES, 0)
    split.write(tmp_path / "split.csv")
    table = pd.DataFrame({"id": ids, "patient": patients, "signal_hash": ids, "codes": "", "sex": ""})
    found = recordings_of(table, None)
    again = stored_split(tmp_path / "split.csv", found, targets)
    assert again.targets.names == split.targets.names and again.left_out == split.left_out
    assert [again.digest(part) for part in PARTS] == [split.digest(part) for part in PARTS]
    np.testing.assert_array_equal(again.targets.values, split.targets.values)
    values = targets.values.copy()
    values[7] = {"classes": (values[7] + 1) % 3, "labels": 1 - values[7], "number": np.nextafter(values[7], 100)}[kind]
    with pytest.raises(InputError, match=r"1 recordings have another label or patient in the data set \(r007\)"):
        stored_split(tmp_path / "split.csv", found, dataclasses.replace(targets, values=values))
    unknown = dataclasses.replace(targets, reasons=np.where(np.arange(600) == 9, "no code", "").astype(object))
    with pytest.raises(InputError, match=r"another label or patient in the data set \(r009\)"):
        stored_split(tmp_path / "split.csv", found, unknown)


def test_a_stored_division_comes_back_whatever_the_order(tmp_path):
    found, split = divided(archive())
    split.write(tmp_path / "split.csv")
    stored = pd.read_csv(tmp_path / "split.csv", dtype=str)
    assert stored.columns.tolist() == ["id", "patient", "label", "part"]
    assert stored["label"].tolist() == found["codes"].tolist()
    shuffled = recordings_of(archive().sample(frac=1, random_state=2), None)
    again = stored_split(tmp_path / "split.csv", shuffled, rhythm_of(shuffled))
    assert [again.digest(part) for part in PARTS] == [split.digest(part) for part in PARTS]
    more = recordings_of(pd.concat([archive(), archive(8).assign(id=list("abcdefgh"), patient="new")]), None)
    again = stored_split(tmp_path / "split.csv", more, rhythm_of(more))
    assert set(more["key"]) - set(again.ids) == set("abcdefgh")


def leaks_of(table, row):
    """What a run may have seen that gives a recording away: its id, another of its patient, its signal elsewhere."""
    nothing = {"id": "other", "patient": "", "signal_hash": ""}
    return [pd.DataFrame([nothing | {name: table.loc[row, name]}]) for name in nothing]


@pytest.mark.parametrize("leak", range(3))
def test_seen_recordings_may_train_the_head_but_never_test_it(tmp_path, leak):
    table = archive()
    found, split = divided(table)
    split.write(tmp_path / "split.csv")

    def with_seen(row):
        seen = leaks_of(table, row)[leak]
        return stored_split(tmp_path / "split.csv", recordings_of(table, seen), rhythm_of(found))

    train, test = (split.rows[part][0] for part in ("train", "test"))
    assert with_seen(train).digest("train") == split.digest("train")
    caught = recordings_of(table, leaks_of(table, test)[leak])
    leaked = caught["key"][caught["seen"]].tolist()
    assert leaked == ([split.ids[test]], found["key"][found["person"] == split.patients[test]].tolist())[leak == 1]
    message = rf"{len(leaked)} recordings of the test part were seen by the encoder .* \({', '.join(leaked)}\)"
    with pytest.raises(InputError, match=message):
        with_seen(test)


@pytest.mark.parametrize("part", PARTS)
def test_a_stored_division_in_which_one_recording_was_moved_is_refused(tmp_path, part):
    found, split = divided(archive())
    path = tmp_path / "split.csv"
    split.write(path)
    row = split.rows["train" if part == "test" else "test"][0]
    stored = pd.read_csv(path, dtype=str)
    stored.loc[row, "part"] = part
    stored.to_csv(path, index=False)
    with pytest.raises(InputError, match=rf"{split.ids[row]}.*; make a new split") as raised:
        stored_split(path, found, rhythm_of(found))
    assert "2 recordings have the patient of a recording in another part" in str(raised.value)


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
        stored_split(path, found, rhythm_of(found))
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
        stored_split(path, found, rhythm_of(found))


def test_missing_file_is_reported(tmp_path):
    found, _ = divided(archive())
    with pytest.raises(InputError, match=r"absent\.csv: cannot be read"):
        stored_split(tmp_path / "absent.csv", found, rhythm_of(found))
