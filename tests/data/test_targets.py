"""Targets of every kind: their values and reasons, the strata, the groups and the texts, by hand and by slow loops."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecg_advmask.data.diagnoses import YEARS, classes_of, scored_classes, subgroups
from ecg_advmask.data.targets import MOST_NUMBERS, Targets, targets_of
from ecg_advmask.ecg.wfdb import read_wfdb
from ecg_advmask.errors import InputError

NO_LABELS = pd.DataFrame({"id": []}, dtype=str)


def table() -> pd.DataFrame:
    codes = ["426177001", "", "426177001;426783006", "427084000;164889003"]
    columns = {"id": list("abcd"), "codes": codes, "sex": ["male", "", "female", "male"]}
    return pd.DataFrame(columns | {"age_years": [61.0, np.nan, 4.5, 300.0]}, index=[4, 9, 2, 7])


def test_classes_are_sorted_and_numbered_and_the_others_have_a_reason() -> None:
    rhythm, sex = (targets_of(table(), NO_LABELS, task) for task in ("rhythm", "sex"))
    assert (rhythm.kind, rhythm.names, sex.names) == ("classes", ("SB",), ("female", "male"))
    assert rhythm.values.tolist() == [0, -1, -1, -1]
    assert rhythm.reasons[3] == "codes of several rhythms: AFIB, GSVT"
    assert sex.values.tolist() == [1, -1, 0, 1] and sex.values.dtype == np.int64
    assert sex.known.tolist() == [True, False, True, True]
    assert sex.texts().tolist() == ["male", None, "female", "male"]
    taken = sex.take([2, 1])
    assert (taken.names, taken.values.tolist()) == (sex.names, [0, -1]) and taken.reasons.tolist() == [
        "",
        sex.reasons[1],
    ]


def test_age_is_a_number_of_years() -> None:
    age = targets_of(table(), NO_LABELS, "age")
    assert (age.kind, age.names) == ("number", ("years",))
    np.testing.assert_array_equal(age.values, [61, np.nan, 4.5, np.nan])
    assert age.texts().tolist() == ["61", None, "4.5", None]
    assert age.reasons.tolist() == ["", "age is not known", "", "age is not from 0 to 120 years"]


def test_diagnoses_are_the_scored_classes_of_a_year_or_of_a_group_of_diseases() -> None:
    for year, task in zip(YEARS, ("diagnosis-2020", "diagnosis"), strict=True):
        found = targets_of(table(), NO_LABELS, task)
        assert found.kind == "labels" and found.names == tuple(one.name for one in scored_classes(year))
        assert found.texts().tolist() == ["SB", None, "NSR;SB", "AF;STach"]
        assert found.values.sum(axis=1).tolist() == [1, -len(found.names), 2, 2]
        for group, names in subgroups(year).items():
            part = targets_of(table(), NO_LABELS, f"{task}:{group}")
            assert part.names == names
            places = [found.names.index(name) for name in names]
            np.testing.assert_array_equal(part.values, found.values[:, places])
            assert part.known.tolist() == found.known.tolist()
    with pytest.raises(InputError, match=r"diagnosis:heart: no such group of diseases; there are: .*conduction"):
        targets_of(table(), NO_LABELS, "diagnosis:heart")


def test_a_column_of_the_user_goes_before_a_task_of_the_same_name() -> None:
    own = pd.DataFrame({"id": ["d", "b", "c", "x"], "sex": ["F", " M ", "", "F"], "age": ["old", "young", "old", "x"]})
    sex, age = (targets_of(table(), own, task) for task in ("sex", "age"))
    assert sex.names == ("F", "M") and sex.texts().tolist() == [None, "M", None, "F"]
    assert sex.reasons.tolist() == ["no row with sex", "", "sex is empty", ""]
    assert (age.kind, age.names) == ("classes", ("old", "young"))


def test_a_column_of_many_different_numbers_is_one_to_be_estimated() -> None:
    ids = [f"r{number}" for number in range(2 * MOST_NUMBERS)]
    records = pd.DataFrame({"id": ids, "codes": "", "sex": ""})
    few = [str(number % MOST_NUMBERS) for number in range(len(ids))]
    grades = targets_of(records, pd.DataFrame({"id": ids, "ef": few}), "ef")
    assert grades.kind == "classes" and len(grades.names) == MOST_NUMBERS
    same = targets_of(records, pd.DataFrame({"id": ids, "ef": [*few[:-1], "19.0"]}), "ef")
    assert same.kind == "classes" and same.names == grades.names  # 19 and 19.0 are one number, and one class
    several = [*few[:-5], "20.25", " -3e2", "n/a", "", "inf"]
    ef = targets_of(records, pd.DataFrame({"id": ids, "ef": several}), "ef")
    assert (ef.kind, ef.names) == ("number", ("",))
    np.testing.assert_array_equal(ef.values[-5:], [20.25, -300, np.nan, np.nan, np.nan])
    assert ef.reasons[-5:].tolist() == ["", "", "ef is n/a", "ef is empty", "ef is not a number"]
    assert ef.texts()[-5:].tolist() == ["20.25", "-300", None, None, None]


def of_cells(cells: list[str]) -> Targets:
    ids = [f"r{number}" for number in range(len(cells))]
    records = pd.DataFrame({"id": ids, "codes": "", "sex": ""})
    return targets_of(records, pd.DataFrame({"id": ids, "x": cells}), "x")


@pytest.mark.parametrize("word", ["NA", "NaN", "nan", "None", "null", "n/a", "unknown", "-", ".", "?", "", " "])
def test_words_for_missing_values_are_no_class(word: str) -> None:
    found = of_cells(["yes", word, "no"])
    assert found.names == ("no", "yes") and found.values.tolist() == [1, -1, 0]
    assert found.reasons[1] == f"x is {word.strip() or 'empty'}"


def test_classes_that_differ_in_spelling_alone_are_one() -> None:
    found = of_cells(["Yes", " yes", "YES", "yes", "left  bundle", "Left bundle", "1", "1.0", "01", "1.0", "2"])
    assert found.names == ("1.0", "2", "Left bundle", "yes")
    assert found.texts().tolist() == ["yes"] * 4 + ["Left bundle"] * 2 + ["1.0"] * 4 + ["2"]


def test_decimal_commas_make_numbers_unless_they_may_group_thousands() -> None:
    many = [f"{number},{number % 7}" for number in range(40)]
    found = of_cells(many)
    assert found.kind == "number"
    np.testing.assert_allclose(found.values, [number + number % 7 / 10 for number in range(40)])
    assert of_cells([f"{number},500" for number in range(40)]).kind == "classes"
    assert of_cells([*many, "7.5"]).kind == "classes"


@pytest.mark.parametrize(("words", "kind"), [(0, "number"), (21, "number"), (22, "classes")])
def test_a_column_of_more_words_than_numbers_is_one_of_classes(words: int, kind: str) -> None:
    cells = [*(str(number) for number in range(MOST_NUMBERS + 1)), *(f"site {number}" for number in range(words))]
    ids = [f"r{number}" for number in range(len(cells))]
    records = pd.DataFrame({"id": ids, "codes": "", "sex": ""})
    found = targets_of(records, pd.DataFrame({"id": ids, "site": cells}), "site")
    assert (found.kind, int(found.known.sum())) == (kind, 21 if kind == "number" else len(cells))


def test_a_task_that_there_is_not_is_reported_with_those_that_there_are() -> None:
    own = pd.DataFrame({"id": ["a"], "ef": ["1"]})
    with pytest.raises(InputError, match=r"there are: rhythm, sex, age, diagnosis, diagnosis-2020, .* \(ef\)"):
        targets_of(table(), own, "tea")
    with pytest.raises(InputError, match=r"\(none\), which ecg-advmask prepare --labels"):
        targets_of(table(), NO_LABELS, "diagnosis-2021")


def labels_at_random(seed: int, n: int = 300) -> Targets:
    generator = np.random.default_rng(seed)
    values = (generator.random((n, 6)) < [0.5, 0.02, 0.3, 0.1, 0.0, 0.1]).astype(np.int64)
    reasons = np.where(generator.random(n) < 0.1, "no code", "").astype(object)
    values[reasons != ""] = -1
    return Targets("diagnosis", "labels", tuple("ABCDEF"), values, reasons)


@pytest.mark.parametrize("seed", range(3))
def test_the_stratum_of_several_labels_is_the_rarest(seed: int) -> None:
    targets = labels_at_random(seed)
    number = [int(np.sum(targets.values[:, place] == 1)) for place in range(6)]
    for row, stratum in enumerate(targets.strata()):
        own = [place for place in range(6) if targets.values[row, place] == 1]
        if targets.reasons[row]:
            assert stratum == -1
        else:
            assert stratum == (min(own, key=lambda place: (number[place], place)) if own else 6)


def test_labels_can_be_left_out_and_their_recordings_stay_known() -> None:
    targets = labels_at_random(0)
    fewer = targets.only(np.array([True, False, False, True, False, False]))
    assert fewer.names == ("A", "D")
    np.testing.assert_array_equal(fewer.values, targets.values[:, [0, 3]])
    np.testing.assert_array_equal(fewer.known, targets.known)
    assert set(fewer.texts()[fewer.known]) == {"", "A", "D", "A;D"}


def test_strata_of_a_number_are_its_quintiles() -> None:
    values = np.append(np.random.default_rng(0).permutation(np.arange(100) ** 2.0), np.nan)
    reasons = np.append(np.full(100, "", object), "none")
    strata = Targets("ef", "number", ("",), values, reasons).strata()
    assert strata[-1] == -1
    np.testing.assert_array_equal(strata[:100], np.floor(np.sqrt(values[:100]) / 20))
    tied = Targets("ef", "number", ("",), np.array([5.0] * 9 + [7.0]), np.full(10, "", object))
    assert tied.strata().tolist() == [0] * 9 + [4]


def test_groups_are_classes_recordings_with_and_without_each_label_or_quintiles() -> None:
    sex = Targets.of_classes("sex", ["male", None, "female", "male"])
    assert sex.groups().tolist() == [[False, True], [False, False], [True, False], [False, True]]
    targets = labels_at_random(1)
    np.testing.assert_array_equal(targets.groups()[:, :6], targets.values == 1)
    np.testing.assert_array_equal(targets.groups()[:, 6:], targets.values == 0)
    age = Targets("age", "number", ("years",), np.arange(10.0), np.full(10, "", object))
    np.testing.assert_array_equal(age.groups(), np.arange(10)[:, None] // 2 == np.arange(5))


def test_real_headers_give_the_scored_classes_of_their_codes(shared: Path) -> None:
    headers = sorted((shared / "data" / "cinc2021" / "training" / "georgia").glob("*/*.hea"))
    read = [read_wfdb(path) for path in headers]
    codes = [";".join(one.codes) for one in read]
    years = [np.nan if one.age_years is None else one.age_years for one in read]
    records = pd.DataFrame(
        {"id": range(len(read)), "codes": codes, "sex": [one.sex for one in read], "age_years": years}
    )
    for year, task in zip(YEARS, ("diagnosis-2020", "diagnosis"), strict=True):
        texts = targets_of(records, NO_LABELS, task).texts()
        assert texts.tolist() == [";".join(classes_of(one, year)) for one in codes]
    assert any(texts)
    np.testing.assert_array_equal(targets_of(records, NO_LABELS, "age").values, years)
