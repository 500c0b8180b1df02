"""CSV recordings: nothing dropped or shifted silently, and text of another form refused in one line."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.ecg.recording import (
    UnreadableRecordingError,
    is_missing,
    means_patient,
    parse_age,
    parse_patient,
    parse_sex,
    positive_rate,
    read_csv,
)

HEADER = ",".join(STANDARD_LEADS)
ROW = ",".join("123456789012")
VALUES = np.array([float(cell) for cell in ROW.split(",")], np.float32)


def read(folder: Path, text: str | bytes) -> np.ndarray:
    path = folder / "a.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_csv(path, 500).signals_mv


@pytest.mark.parametrize(
    "text",
    [
        f"{ROW}\n{ROW}\n",
        f"{ROW}\r\n{ROW}",
        f"\n\n{ROW}\n{ROW}\n\n\n",
        f"\ufeff{HEADER}\n{ROW}\n{ROW}\n",
        f"{HEADER.lower()}\n{ROW}\n{ROW}\n",
        f"{','.join(map(str, range(12)))}\n{ROW}\n{ROW}\n",
        ",".join(f'"{lead}"' for lead in STANDARD_LEADS) + f"\n{ROW}\n{ROW}\n",
        f'"time, s",{HEADER},note\n00:00,{ROW},ok\n00:01,{ROW},\n',
        ", ".join(ROW.split(",")) + f"\n {ROW}\n",
        f"{ROW.replace('1', '1e0')}\n{ROW.replace('1', '+1.')}\n",
    ],
)
def test_usual_forms_are_read(tmp_path: Path, text: str) -> None:
    np.testing.assert_array_equal(read(tmp_path, text), np.stack([VALUES, VALUES]))


def test_missing_samples_and_rows_keep_their_place(tmp_path: Path) -> None:
    empty = ",2,3,,5,6,7,8,9,0,1,"
    found = read(tmp_path, f"{empty}\n{ROW}\n\n{ROW}\n")
    assert found.shape == (4, 12)
    assert np.argwhere(np.isnan(found[0])).ravel().tolist() == [0, 3, 11]
    assert np.isnan(found[2]).all()
    np.testing.assert_array_equal(found[[1, 3]], [VALUES, VALUES])


def test_values_beyond_float32_become_infinite_without_a_warning(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isinf(read(tmp_path, f"{ROW}\n1e200{ROW[1:]}\n")[1, 0])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\n\n", "holds no samples"),
        (HEADER, "holds no samples"),
        (HEADER.replace(",", ";") + "\n1;2\n", "is separated by semicolons"),
        (ROW.replace(",", "\t") + "\n", "is separated by tabs"),
        (f"{ROW}\n{ROW},1\n", "cannot be read as CSV"),
        (f"{HEADER}\n{ROW},1\n", "has 13 columns below 12 names"),
        (f"{HEADER}\n1,2\n", "has 2 columns below 12 names"),
        (f"{ROW},\n{ROW},\n", "has 13 columns, expected 12"),
        (f"{HEADER}\n" + ",".join(["True"] * 12) + "\n", "has a cell that is no number"),
        (f"{HEADER}\n" + ",".join(["1_0"] * 12) + "\n", "has a cell that is no number"),
        (f"{HEADER}\n" + ",".join(["0x10"] * 12) + "\n", "has a cell that is no number"),
        (f"{HEADER}\n" + ",".join(["1+2j"] * 12) + "\n", "has a cell that is no number"),
        (f"{ROW}\n{ROW}\0\n", "zero bytes"),
        (ROW.encode("utf-16"), "cannot be read as CSV"),
        (f'"{ROW}\n{ROW}\n', "cannot be read as CSV"),
        (f'{ROW}\n"{ROW}\n', "cannot be read as CSV|has a cell that is no number"),
        (HEADER.replace("V6", "V6 (mV)") + f"\n{ROW}\n", "leads: has 11 of the 12 standard leads, lacks V6"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "cannot be read as CSV"),
    ],
)
def test_other_text_is_refused_in_one_line(tmp_path: Path, text: str | bytes, reason: str) -> None:
    with pytest.raises(UnreadableRecordingError, match=reason) as raised:
        read(tmp_path, text)
    assert "\n" not in str(raised.value)


def test_a_folder_is_no_csv_file(tmp_path: Path) -> None:
    with pytest.raises(UnreadableRecordingError, match="cannot be read as CSV"):
        read_csv(tmp_path, 500)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.text(max_size=60), st.text(',;"\n\r\t 019.eE+-nNaAiIfF\0\ufeffVLR', max_size=120)), st.data())
def test_no_text_makes_another_error(tmp_path: Path, noise: str, data: st.DataObject) -> None:
    whole = f"{HEADER}\n" * data.draw(st.booleans()) + f"{ROW}\n" * data.draw(st.integers(0, 3))
    place = data.draw(st.integers(0, len(whole)))
    try:
        found = read(tmp_path, (whole[:place] + noise + whole[place:]).encode("utf-8", "surrogatepass"))
    except UnreadableRecordingError as error:
        assert "\n" not in str(error)
        return
    assert found.dtype == np.float32 and found.shape[1] == 12 and len(found) > 0


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


@pytest.mark.parametrize(("texts", "sex"), [("Woman W WOMAN girl Weiblich", "female"), ("man MAN boy", "male")])
def test_words_for_a_sex(texts: str, sex: str) -> None:
    assert {parse_sex(text) for text in texts.split()} == {sex}


def test_words_for_missing_values() -> None:
    for text in ("", " ", "NA", "NaN", "nan", "None", "NULL", "n/a", "#N/A", "<NA>", "NaT", "Unknown", "-", ".", "?"):
        assert is_missing(text)
    for text in ("0", "no", "none of these", "N", "a", "..."):
        assert not is_missing(text)


def test_names_for_a_patient() -> None:
    for name in ("patient", "patient_id", "Subject ID", "subject-id", "PatientID", "pid", "SUBJECT_ID", "Patient No."):
        assert means_patient(name)
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
