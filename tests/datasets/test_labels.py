"""Classes of rhythm and sex, against the published counts of Chapman-Shaoxing."""

from pathlib import Path

import pandas as pd
import pytest

from ecg_advmask.datasets import labels


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


def test_tasks_give_one_class_or_none_per_row() -> None:
    records = pd.DataFrame(
        {"codes": ["SB", "", "426177001;426783006", "ST"], "sex": ["male", "", "female", "male"]}, index=[4, 9, 2, 7]
    )
    rhythm, sex = labels.TASKS["rhythm"](records), labels.TASKS["sex"](records)
    assert rhythm.tolist() == ["SB", None, None, "GSVT"]
    assert sex.tolist() == ["male", None, "female", "male"]
    assert rhythm.index.tolist() == records.index.tolist()
    assert labels.without_label(records, "rhythm") == {
        "no code of a rhythm": 1,
        "codes of several rhythms: SB, SR": 1,
    }
    assert labels.without_label(records, "sex") == {"sex is not known": 1}


def test_merging_chapman_s_rhythms_gives_the_published_counts(shared: Path) -> None:
    table = pd.read_excel(shared / "data" / "chapman" / "Diagnostics.xlsx")
    records = pd.DataFrame({"codes": table["Rhythm"], "sex": table["Gender"].str.lower()})
    classes = labels.TASKS["rhythm"](records).value_counts().to_dict()
    merged = {"AFIB": ["AFIB", "AF"], "GSVT": ["SVT", "AT", "SAAWR", "ST", "AVNRT", "AVRT"], "SB": ["SB"]}
    merged["SR"] = ["SR", "SA"]
    assert classes == {name: int(table["Rhythm"].isin(found).sum()) for name, found in merged.items()}
    if len(table) == 10_646:
        assert classes == {"AFIB": 2225, "GSVT": 2307, "SB": 3889, "SR": 2225}
        assert labels.TASKS["sex"](records).value_counts().to_dict() == {"male": 5956, "female": 4690}
