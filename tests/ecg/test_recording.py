"""What all readers share: rates that are believed, units, and what is known of a patient."""

import numpy as np
import pytest

from ecg_advmask.ecg.leads import STANDARD_LEADS, LeadColumns, find_leads
from ecg_advmask.ecg.recording import (
    UnreadableRecordingError,
    column_factors,
    is_missing,
    means_patient,
    millivolts_in,
    parse_age,
    parse_patient,
    parse_sex,
    positive_rate,
)


@pytest.mark.parametrize("rate", [None, 0, -5, "x", float("nan"), float("inf"), 9.9, 1e6, True, "1e400"])
def test_rates_that_are_not_believed(rate: object) -> None:
    with pytest.raises(UnreadableRecordingError, match="sampling rate"):
        positive_rate(rate, "a.csv")


def test_rates_that_are() -> None:
    assert [positive_rate(rate, "a.csv") for rate in (10, "257", 500.0, np.float32(1000))] == [10, 257, 500, 1000]


@pytest.mark.parametrize(
    ("text", "years"),
    [("062Y", 62), ("62 years", 62), ("62 yrs", 62), ("62yo", 62), ("62 Years old", 62), ("61,5", 61.5), ("1 year", 1)]
    + [("18M", 1.5), ("6 months", 0.5), ("3 mo", 0.25), ("03W", 21 / 365.25), ("2 weeks", 14 / 365.25)]
    + [("010D", 10 / 365.25), ("1 day", 1 / 365.25), ("1440M", 120)]
    + [(text, None) for text in ("1441M", "300Y", "62 hours", "Y", "62 M 3", "-3 days", "62-65", "sixty")],
)
def test_ages_with_units(text: str, years: float | None) -> None:
    assert parse_age(text) == pytest.approx(years)


@pytest.mark.parametrize(
    ("texts", "sex"),
    [
        ("Woman W WOMAN girl Weiblich f. Frau femme mujer", "female"),
        ("man MAN boy M. Mann homme hombre", "male"),
    ],
)
def test_words_for_a_sex(texts: str, sex: str) -> None:
    assert {parse_sex(text) for text in texts.split()} == {sex}


def test_words_for_missing_values() -> None:
    for text in ("", " ", "NA", "NaN", "nan", "None", "NULL", "n/a", "#N/A", "<NA>", "NaT", "Unknown", "-", ".", "?"):
        assert is_missing(text)
    for text in (
        "missing",
        "Not available",
        "#VALUE!",
        "#DIV/0!",
        "\\N",
        "(null)",
        "k.A.",
        "---",
        "*",
        "1.#QNAN",
        "unk",
    ):
        assert is_missing(text)
    for text in ("0", "no", "none of these", "N", "a", "..."):
        assert not is_missing(text)


def test_names_for_a_patient() -> None:
    for name in ("patient", "patient_id", "Subject ID", "subject-id", "PatientID", "pid", "SUBJECT_ID", "Patient No."):
        assert means_patient(name)
    for name in (
        "Patient #",
        "id_patient",
        "Patienten-ID",
        "PatientKey",
        "SUBJID",
        "USUBJID",
        "study_subject_id",
        "EMPI",
    ):
        assert means_patient(name)
    for name in ("pat", "pt", "patient class", "person_years", "subject line", "patient_name", "no patient data"):
        assert not means_patient(name)
    for name in ("patients", "id", "inpatient", "patient_age", "subject_age", "spid", "rapid"):
        assert not means_patient(name)


def test_one_patient_written_in_several_ways() -> None:
    assert [parse_patient(text) for text in ("100", "100.0", " 100 ", "100.00", "P7", "0100", "1.5")] == [
        *["100"] * 4,
        "P7",
        "0100",
        "1.5",
    ]
    assert {parse_patient(text) for text in ("", "NA", "nan", "None", "-", "unknown")} == {""}


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("mV", 1), (" MV ", 1), ("uV", 1e-3), ("µV", 1e-3), ("μV", 1e-3), ("V", 1e3), ("nV", 1e-6), ("millivolts", 1),
     ("Microvolt", 1e-3), ("volt", 1e3), ("1e-4V", 0.1), ("1E-4 V", 0.1), ("4.88uV", 4.88e-3), ("0.1 mV", 0.1),
     ("0.1*mV", 0.1), (".5mV", 0.5), ("1.25 microvolts", 1.25e-3), ("2.e1uV", 0.02)],
)  # fmt: skip
def test_units_by_name_and_as_a_scale(unit: str, factor: float) -> None:
    assert millivolts_in(unit, "a.csv") == pytest.approx(factor, rel=1e-12)


@pytest.mark.parametrize(
    "unit", ["", "mmHg", "0mV", "-1mV", "1e-4", "nan mV", "1,5mV", "1e-400V", "kV", "1/mV", "mV2", "1 000 uV"]
)
def test_units_that_are_no_voltage(unit: str) -> None:
    with pytest.raises(UnreadableRecordingError, match="has the unit"):
        millivolts_in(unit, "a.csv")


def test_the_unit_of_each_column_is_the_one_stated_nearest_to_it() -> None:
    plain, named = find_leads(STANDARD_LEADS), find_leads([f"{lead} (uV)" for lead in STANDARD_LEADS])
    assert column_factors(plain, [], "V", "a") == 1e3
    assert column_factors(plain, ["uV"], "V", "a") == 1e-3
    assert column_factors(named, [], "V", "a") == 1e-3
    assert column_factors(named, ["microvolts"], "V", "a") == 1e-3
    mixed = column_factors(LeadColumns((0, 1), units=("", "mV")), ["uV", ""], "V", "a")
    assert mixed == (1e-3, 1.0)
    with pytest.raises(UnreadableRecordingError, match="has the unit uV in the name of a lead, and mV"):
        column_factors(named, ["mV"], "uV", "a")
