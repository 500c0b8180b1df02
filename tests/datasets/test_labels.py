"""Classes of rhythm and sex, against the published counts of Chapman-Shaoxing."""

from pathlib import Path

import pandas as pd
import pytest

from ecg_advmask.datasets import chapman, labels
from ecg_advmask.datasets.listing import SourceOptions
from ecg_advmask.errors import InputError


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
    assert labels.rhythm_of(codes) == (expected, reason)


NO_LABELS = pd.DataFrame({"id": []}, dtype=str)


def table() -> pd.DataFrame:
    columns = {"id": list("abcd"), "codes": ["SB", "", "426177001;426783006", "ST"]}
    return pd.DataFrame(columns | {"sex": ["male", "", "female", "male"]}, index=[4, 9, 2, 7])


def test_tasks_give_one_class_or_a_reason_per_row() -> None:
    records = table()
    rhythm, why_no_rhythm = labels.classes_and_reasons(records, NO_LABELS, "rhythm")
    sex, why_no_sex = labels.classes_and_reasons(records, NO_LABELS, "sex")
    assert rhythm.tolist() == ["SB", None, None, "GSVT"]
    assert why_no_rhythm.tolist() == ["", "no code of a rhythm", "codes of several rhythms: SB, SR", ""]
    assert sex.tolist() == ["male", None, "female", "male"]
    assert why_no_sex.tolist() == ["", "sex is not known", "", ""]
    assert rhythm.index.tolist() == sex.index.tolist() == records.index.tolist()


def test_a_column_of_the_user_goes_before_a_task_of_the_same_name() -> None:
    own = pd.DataFrame({"id": ["d", "b", "c", "x"], "sex": ["F", " M ", "", "F"], "grade": ["1", "2", "1", "2"]})
    classes, reasons = labels.classes_and_reasons(table(), own, "sex")
    assert classes.tolist() == [None, "M", None, "F"]
    assert reasons.tolist() == ["no row with sex", "", "sex is empty", ""]
    assert labels.classes_and_reasons(table(), own, "grade")[0].tolist() == [None, "2", "1", "1"]


def test_numbers_to_be_estimated_and_unknown_tasks_are_refused() -> None:
    ids = [f"r{number}" for number in range(labels.MOST_NUMBERS + 1)]
    records = pd.DataFrame({"id": ids, "codes": "", "sex": ""})
    own = pd.DataFrame({"id": ids, "ef": [f"{40 + number / 3:.2f}" for number in range(len(ids))]})
    with pytest.raises(InputError, match="21 different numbers, but linear-eval tells classes apart; add a column"):
        labels.classes_and_reasons(records, own, "ef")
    fewer = own.assign(ef=own["ef"].where(own["ef"] != own["ef"].iloc[-1], own["ef"].iloc[0]))
    assert labels.classes_and_reasons(records, fewer, "ef")[0].nunique() == labels.MOST_NUMBERS
    words = own.assign(ef="site " + own["ef"])
    assert labels.classes_and_reasons(records, words, "ef")[0].nunique() == labels.MOST_NUMBERS + 1
    with pytest.raises(InputError, match=r"there are: rhythm, sex, and the columns of .* \(ef\)"):
        labels.classes_and_reasons(records, own, "age")
    with pytest.raises(InputError, match=r"\(none\), which ecg-advmask prepare --labels"):
        labels.classes_and_reasons(records, NO_LABELS, "age")


def test_merging_chapman_s_rhythms_gives_the_published_counts(shared: Path) -> None:
    entries = list(chapman.list_entries(shared / "data" / "chapman", SourceOptions()))
    records = pd.DataFrame({"codes": [";".join(entry.codes) for entry in entries], "sex": [e.sex for e in entries]})
    counts = {task: labels.TASKS[task](records).value_counts().to_dict() for task in ("rhythm", "sex")}
    table = pd.read_excel(shared / "data" / "chapman" / "Diagnostics.xlsx")
    merged = {"AFIB": ["AFIB", "AF"], "GSVT": ["SVT", "AT", "SAAWR", "ST", "AVNRT", "AVRT"], "SB": ["SB"]}
    merged["SR"] = ["SR", "SA"]
    assert counts["rhythm"] == {name: int(table["Rhythm"].isin(found).sum()) for name, found in merged.items()}
    if len(table) == 10_646:
        assert counts["rhythm"] == {"AFIB": 2225, "GSVT": 2307, "SB": 3889, "SR": 2225}
        assert counts["sex"] == {"male": 5956, "female": 4690}
