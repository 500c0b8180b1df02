"""Rhythm, sex, age, diagnoses and columns of a user, by hand and against the counts of Chapman-Shaoxing."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecg_advmask.data import targets
from ecg_advmask.data.archives import open_source
from ecg_advmask.data.diagnoses import scored_classes


@pytest.mark.parametrize(
    ("codes", "expected", "reason"),
    [
        ("SB", "SB", ""),
        ("AF", "AFIB", ""),
        ("164889003;59118001;164934002", "AFIB", ""),
        ("164889003;164890007", "AFIB", ""),
        ("426783006;427393009", "SR", ""),
        ("17366009", "GSVT", ""),
        ("426177001;164889003", None, "codes of several rhythms: AFIB, SB"),
        ("59118001", None, "no code of a rhythm"),
        ("", None, "no code of a rhythm"),
        ("AFIBX", None, "no code of a rhythm"),
    ],
)
def test_rhythm_of_codes(codes: str, expected: str | None, reason: str) -> None:
    assert targets.rhythm_of(codes) == (expected, reason)


def test_tasks_give_one_class_or_a_reason_per_row() -> None:
    columns = {"codes": ["SB", "", "426177001;426783006", "ST"], "sex": ["male", "", "female", "male"]}
    records = pd.DataFrame(columns, index=[4, 9, 2, 7])
    rhythm, sex = (targets.CLASSES_OF_TASK[task](records) for task in ("rhythm", "sex"))
    assert rhythm.tolist() == ["SB", None, None, "GSVT"]
    assert sex.tolist() == ["male", None, "female", "male"]
    assert rhythm.index.tolist() == sex.index.tolist() == records.index.tolist()
    why = targets.reasons_without("rhythm", records).tolist()
    assert why == ["", "no code of a rhythm", "codes of several rhythms: SB, SR", ""]
    assert targets.reasons_without("sex", records).tolist() == ["", "sex is not known", "", ""]


def test_ages_that_no_one_has_are_refused_with_a_reason() -> None:
    years, reasons = targets.age(pd.DataFrame({"age_years": [0.0, 63.5, 120.0, np.nan, 300.0, -1.0, np.inf]}))
    np.testing.assert_array_equal(years, [0, 63.5, 120, np.nan, np.nan, np.nan, np.nan])
    absurd = "age is not from 0 to 120 years"
    assert reasons.tolist() == ["", "", "", "age is not known", absurd, absurd, absurd]


def test_diagnoses_are_known_of_recordings_with_codes_of_snomed_ct_alone() -> None:
    scored = [one for one in scored_classes(2021) if one.name in ("AF", "CRBBB|RBBB", "PAC|SVPB")]
    assert [one.name for one in scored] == ["AF", "CRBBB|RBBB", "PAC|SVPB"]
    codes = ["164889003", "59118001; 713427006;284470004", "270492004", "", "AFIB;RBBB", "AFIB;164889003"]
    values, reasons = targets.diagnosis_labels(pd.DataFrame({"codes": codes}), scored)
    assert values.tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 0], [-1] * 3, [-1] * 3, [1, 0, 0]]
    assert reasons.tolist() == ["", "", "", "no code", "no code of SNOMED CT", ""]


def test_a_column_of_the_user_is_text_by_recording() -> None:
    own = pd.DataFrame({"id": ["d", "b", "c", "x", "d"], "grade": ["1", " 2 ", " ", "1", "3"]})
    texts, reasons = targets.column(pd.DataFrame({"id": list("abcd")}, index=[4, 9, 2, 7]), own, "grade")
    assert texts.tolist() == ["", "2", "", "1"]
    assert reasons.tolist() == ["no row with grade", "", "grade is empty", ""]


def test_merging_chapman_s_rhythms_gives_the_published_counts(shared: Path) -> None:
    entries = list(open_source(shared / "data" / "chapman", "chapman").entries())
    records = pd.DataFrame({"codes": [";".join(entry.codes) for entry in entries], "sex": [e.sex for e in entries]})
    counts = {task: targets.CLASSES_OF_TASK[task](records).value_counts().to_dict() for task in ("rhythm", "sex")}
    table = pd.read_excel(shared / "data" / "chapman" / "Diagnostics.xlsx", engine="calamine")
    merged = {"AFIB": ["AFIB", "AF"], "GSVT": ["SVT", "AT", "SAAWR", "ST", "AVNRT", "AVRT"], "SB": ["SB"]}
    merged["SR"] = ["SR", "SA"]
    assert counts["rhythm"] == {name: int(table["Rhythm"].isin(found).sum()) for name, found in merged.items()}
    if len(table) == 10_646:
        assert counts["rhythm"] == {"AFIB": 2225, "GSVT": 2307, "SB": 3889, "SR": 2225}
        assert counts["sex"] == {"male": 5956, "female": 4690}
