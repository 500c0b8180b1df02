"""Text files: read in the forms that programs write, nothing shifted or scaled silently, other text refused."""

import gzip
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ecg_advmask.ecg.csv import read_csv
from ecg_advmask.ecg.leads import STANDARD_LEADS, LeadNames
from ecg_advmask.ecg.recording import Recording, UnreadableRecordingError

HEADER = ",".join(STANDARD_LEADS)
ROW = ",".join("123456789012")
VALUES = np.array([float(cell) for cell in ROW.split(",")], np.float32)
MV = np.round(np.random.default_rng(0).normal(0, 0.5, (60, 12)), 4)
BODY = pd.DataFrame(MV).to_csv(index=False, header=False)


def parsed(
    folder: Path, text: str | bytes, name: str = "a.csv", rate: float | None = 500, leads: str = ""
) -> Recording:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_csv(path, rate, leads=LeadNames.parse(leads))


def read(folder: Path, text: str | bytes) -> np.ndarray:
    return parsed(folder, text).signals_mv


def body(separator: str = ",", decimal: str = ".") -> str:
    return pd.DataFrame(MV).to_csv(index=False, header=False, sep=separator, decimal=decimal)


def header(separator: str = ",", names: Sequence[object] = STANDARD_LEADS) -> str:
    return separator.join(map(str, names)) + "\n"


@pytest.mark.parametrize(
    "text",
    [
        f"{ROW}\n{ROW}\n",
        f"{ROW}\r\n{ROW}",
        f"{ROW}\r{ROW}\r",
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


SAVETXT = "\n".join(" ".join(f"{value:.18e}" for value in row) for row in MV) + "\n"

FORMS: dict[str, str | bytes] = {
    "numbers from 1": header(names=range(1, 13)) + BODY,
    "numbers from 0, as floats": header(names=[float(number) for number in range(12)]) + BODY,
    "numbers from 1, as floats": header(names=[f"{number}." for number in range(1, 13)]) + BODY,
    "numbers in quotes": header(names=[f'"{number}"' for number in range(12)]) + BODY,
    "an index without a name": pd.DataFrame(MV).to_csv(),
    "an index and names": pd.DataFrame(MV, columns=STANDARD_LEADS).to_csv(),
    "numbers and semicolons": header(";", range(1, 13)) + body(";", ","),
    "semicolons": header(";") + body(";"),
    "semicolons, decimal commas": header(";") + body(";", ","),
    "decimal commas, no names": body(";", ","),
    "tabs": header("\t") + body("\t"),
    "tabs, decimal commas": header("\t") + body("\t", ","),
    "tabs, no names": body("\t"),
    "tabs, a note with a comma": header("\t", [*STANDARD_LEADS, "note"]) + body("\t").replace("\n", "\tok, all\n"),
    "blanks (NumPy's savetxt)": SAVETXT,
    "blanks and names": header(" ") + SAVETXT,
    "blanks and decimal commas": SAVETXT.replace(".", ","),
    "blanks at both ends": "".join(f"  {line}  \n" for line in SAVETXT.splitlines()),
    "savetxt's names": "# " + header(" ", STANDARD_LEADS) + SAVETXT,
    "savetxt's names, commas": "# made by hand\n# " + header() + BODY,
    "quoted decimal points": header() + "\n".join(",".join(f'"{value}"' for value in row) for row in MV),
    "a comment": "# rate: 500 Hz\n" + header() + BODY,
    "comments and a blank line": "#\n# Müller, 61 y\n\n" + header() + BODY,
    "Excel's separator": "sep=,\n" + header() + BODY,
    "Excel's semicolon": "sep=;\r\n" + (header(";") + body(";")).replace("\n", "\r\n"),
    "Excel's separator, odd": "sep=|\n" + header("|") + body("|"),
    "bars": header("|") + body("|"),
    "quoted decimal commas": header() + "\n".join(",".join(f'"{value}"'.replace(".", ",") for value in r) for r in MV),
    "comments of other programs": "% rate: 500 Hz\n// by hand\n! x\n" + header() + BODY,
    "names of rows (R)": header()
    + "".join(f'"{number}",{line}\n' for number, line in enumerate(BODY.splitlines(), 1)),
    "names of rows (pandas, as text)": pd.DataFrame(MV, columns=STANDARD_LEADS).to_string(),
    "a row of units": header() + header(names=["mV"] * 12) + BODY,
    "a row of units in brackets": header() + header(names=["(mV)"] * 12) + BODY,
    "rdsamp": header(names=[f"'{lead.lower()}'" for lead in STANDARD_LEADS]) + header(names=["'mV'"] * 12) + BODY,
    "microvolts in a row": header()
    + header(names=["uV"] * 12)
    + pd.DataFrame(MV * 1000).to_csv(index=False, header=False),
    "a unit in the names": header(names=[f"{lead} (mV)" for lead in STANDARD_LEADS]) + BODY,
    "volts in the names": header(names=[f"{lead} [V]" for lead in STANDARD_LEADS])
    + pd.DataFrame(MV / 1000).to_csv(index=False, header=False),
    "a unit in a comment": "# unit: 1e-4V\n" + header() + pd.DataFrame(MV * 10).to_csv(index=False, header=False),
    "UTF-16": (header() + BODY).encode("utf-16"),
    "UTF-16, other byte order": b"\xfe\xff" + (header() + BODY).encode("utf-16-be"),
    "UTF-8 with its mark": b"\xef\xbb\xbf" + (header() + BODY).encode(),
    "Windows-1252": header(names=[f"{lead} (µV)" for lead in STANDARD_LEADS]).encode("cp1252")
    + pd.DataFrame(MV * 1000).to_csv(index=False, header=False).encode(),
    "gzip": gzip.compress((header() + BODY).encode()),
    "other words for leads": header(
        names=[*(f"MDC_ECG_LEAD_{lead}" for lead in STANDARD_LEADS[:6]), *(f"C{number}" for number in range(1, 7))]
    )
    + BODY,
    "a time in seconds": header(names=["time", *STANDARD_LEADS])
    + "".join(f"{number / 500},{line}\n" for number, line in enumerate(BODY.splitlines())),
    "a time in ms": header(names=["Time (ms)", *STANDARD_LEADS])
    + "".join(f"{number * 2},{line}\n" for number, line in enumerate(BODY.splitlines())),
    "a time in whole ms, unit below": header(names=["t", *STANDARD_LEADS])
    + header(names=["ms", *["mV"] * 12])
    + "".join(f"{number * 2},{line}\n" for number, line in enumerate(BODY.splitlines())),
    "a time that counts samples": header(names=["time", *STANDARD_LEADS])
    + "".join(f"{number + 7},{line}\n" for number, line in enumerate(BODY.splitlines())),
    "a rounded time": header(names=["time [s]", *STANDARD_LEADS])
    + "".join(f"{number / 500:.2f},{line}\n" for number, line in enumerate(BODY.splitlines())),
    "a time of the day": header(names=["time", *STANDARD_LEADS])
    + "".join(f"12:00:00.{number:03d},{line}\n" for number, line in enumerate(BODY.splitlines())),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_the_forms_that_programs_write(tmp_path: Path, form: str) -> None:
    np.testing.assert_allclose(read(tmp_path, FORMS[form]), MV, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.TXT", "a.csv.gz", "a.txt.gz"])
def test_the_id_is_the_name_without_its_endings(tmp_path: Path, name: str) -> None:
    data = (header("\t") + body("\t")).encode()
    found = parsed(tmp_path, gzip.compress(data) if name.endswith("gz") else data, name)
    assert found.record_id == "a"
    np.testing.assert_array_equal(found.signals_mv, MV.astype(np.float32))


def test_a_rate_in_a_comment_is_taken_where_none_is_given(tmp_path: Path) -> None:
    text = "# Sampling rate (Hz): 250\n" + header() + BODY
    assert parsed(tmp_path, text, rate=None).sampling_rate_hz == 250
    assert parsed(tmp_path, text.replace("250", "0.25 kHz"), rate=None).sampling_rate_hz == 250
    with pytest.raises(UnreadableRecordingError, match="250 Hz in a comment, but 500 Hz was given"):
        parsed(tmp_path, text)
    with pytest.raises(UnreadableRecordingError, match="does not state its sampling rate"):
        parsed(tmp_path, header() + BODY, rate=None)


@pytest.mark.parametrize("order", [STANDARD_LEADS[::-1], ("time", *STANDARD_LEADS[::-1]), (*STANDARD_LEADS[::-1], "x")])
@pytest.mark.parametrize("numbered", [False, True])
def test_an_order_for_nameless_columns(tmp_path: Path, order: tuple[str, ...], numbered: bool) -> None:
    columns = pd.DataFrame(dict.fromkeys(order, MV[:, -1]))
    columns[list(STANDARD_LEADS)] = MV
    columns["time"] = np.arange(len(MV)) / 500
    text = columns[list(order)].to_csv(index=False, header=[str(n) for n in range(len(order))] if numbered else False)
    np.testing.assert_array_equal(parsed(tmp_path, text, leads=",".join(order)).signals_mv, MV.astype(np.float32))


def test_leads_for_other_names(tmp_path: Path) -> None:
    named = ",".join(f"ECG{number}=" + lead for number, lead in enumerate(STANDARD_LEADS[::-1], 1))
    text = header(names=[f"ECG{number} (mV)" for number in range(1, 13)]) + BODY
    np.testing.assert_array_equal(parsed(tmp_path, text, leads=named).signals_mv, MV[:, ::-1].astype(np.float32))
    swapped = parsed(tmp_path, header() + BODY, leads="I=II,II=I").signals_mv
    np.testing.assert_array_equal(swapped, MV[:, [1, 0, *range(2, 12)]].astype(np.float32))
    numbered = ",".join(f"{number}={lead}" for number, lead in enumerate(STANDARD_LEADS[::-1], 1))
    found = parsed(tmp_path, header(names=range(1, 13)) + BODY, leads=numbered).signals_mv
    np.testing.assert_array_equal(found, MV[:, ::-1].astype(np.float32))


def test_missing_samples_and_rows_keep_their_place(tmp_path: Path) -> None:
    empty = ",2,3,,5,6,7,8,9,0,1,"
    found = read(tmp_path, f"{empty}\n{ROW}\n\n{ROW}\n")
    assert found.shape == (4, 12)
    assert np.argwhere(np.isnan(found[0])).ravel().tolist() == [0, 3, 11]
    assert np.isnan(found[2]).all()
    np.testing.assert_array_equal(found[[1, 3]], [VALUES, VALUES])


@pytest.mark.parametrize("word", ["", "NA", "nan", "None", "-", "?", "*", "#N/A", "n/d"])
def test_words_for_missing_samples(tmp_path: Path, word: str) -> None:
    for separator, decimal in ((",", "."), (";", ",")):
        rows = [row.split(separator) for row in body(separator, decimal).splitlines()]
        rows[7][3] = word
        found = read(tmp_path, header(separator) + "\n".join(separator.join(row) for row in rows))
        assert np.argwhere(np.isnan(found)).tolist() == [[7, 3]]
        np.testing.assert_allclose(np.nan_to_num(found, nan=MV[7, 3]), MV, rtol=1e-6, atol=1e-7)


def test_values_beyond_float32_become_infinite_without_a_warning(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isinf(read(tmp_path, f"{ROW}\n1e200{ROW[1:]}\n")[1, 0])


def timed(name: str, step: float) -> str:
    rows = "".join(f"{number * step:.9g},{line}\n" for number, line in enumerate(BODY.splitlines()))
    return header(names=[name, *STANDARD_LEADS]) + rows


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\n\n", "holds no samples"),
        (HEADER, "holds no samples"),
        ("# I, II\n# nothing else\n", "holds no samples"),
        ("sep=;\n", "holds no samples"),
        ("sep=ab\n" + header() + BODY, "states the separator 'ab'"),
        (HEADER.replace(",", ";") + "\n1;2\n", "has 2 columns below 12 names"),
        (ROW.replace(",", "\t") + "\n1\n", "row 2 ends after 1 of 12 cells"),
        (f"{HEADER}\n{ROW}\n1,2,3,4,5,6,7,8,9,0\n", "ends after 10 of 12 cells"),
        (f"{HEADER}\n" + ROW.replace(",", ";"), "has 1 columns below 12 names"),
        (body(",", ",").replace('"', ""), "has 24 columns without names"),
        (header(";") + body(";", ",").replace(",", ".", 1), "has a cell that is no number"),
        (header(";") + "1.234,5;" * 11 + "1\n", "has a cell that is no number"),
        (header() + '"1,234",' * 11 + "1\n", "has a cell that is no number"),
        (header() + "".join(f"{number * 3},{ROW}\n" for number in range(4)), "has 13 columns below 12 names"),
        ("Sample Rate,500 hertz\nDate,x\n\n" + header() + BODY, "names its leads in line 4"),
        (header(names=[f"ch{number}" for number in range(12)]) + BODY, "its columns: ch0, .*--leads"),
        (f"{ROW}\n{ROW},1\n", "cannot be read as CSV"),
        (f"{HEADER}\n{ROW},1\n", "has 13 columns below 12 names"),
        (f"{HEADER}\n1,2\n", "has 2 columns below 12 names"),
        (f"{ROW},\n{ROW},\n", "has 13 columns without names, expected 12"),
        (header(names=range(13)) + "0," + BODY.replace("\n", "\n0,"), "has 13 columns without names, expected 12"),
        (f"{HEADER}\n" + ",".join(["True"] * 12) + "\n", "has a cell that is no number"),
        (f"{HEADER}\n" + ",".join(["1_0"] * 12) + "\n", "has a cell that is no number"),
        (f"{HEADER}\n" + ",".join(["0x10"] * 12) + "\n", "has a cell that is no number"),
        (f"{HEADER}\n" + ",".join(["1+2j"] * 12) + "\n", "has a cell that is no number"),
        (header() + header(names=["mmHg"] * 12) + BODY, "has a cell that is no number"),
        (header() + header(names=[*["mV"] * 11, "s"]) + BODY, "has a cell that is no number"),
        (header() + BODY + "# the end\n", "row 61 ends|has a cell that is no number"),
        ("# unit: mV\n# unit: uV\n" + header() + BODY, "states several units in its comments: mV, uV"),
        (
            header(names=[f"{lead} (uV)" for lead in STANDARD_LEADS]) + header(names=["mV"] * 12) + BODY,
            "unit uV in the",
        ),
        (f"{ROW}\n{ROW}\0\n", "zero bytes"),
        (f"{HEADER}\n{ROW}".encode("utf-16-le"), "zero bytes"),
        (f"{HEADER}\n{ROW}".encode("utf-16")[:-1], "cannot be read as CSV"),
        (gzip.compress((header() + BODY).encode())[:-9], "cannot be read as CSV"),
        (b"\x1f\x8b" + bytes(40), "cannot be read as CSV"),
        (f'"{ROW}\n{ROW}\n', "cannot be read as CSV"),
        (f'{ROW}\n"{ROW}\n', "cannot be read as CSV|has a cell that is no number"),
        (HEADER.replace("V6", "V6 (mmHg)") + f"\n{ROW}\n", r"lacks V6; its columns: .*V6 \(mmHg\)"),
        (HEADER.replace("V6", "c1") + f"\n{ROW}\n", r"has lead V1 twice \(as V1 and c1\)"),
        (HEADER.replace("aVR", "-aVR") + f"\n{ROW}\n", "has -aVR, which is the reverse of aVR"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "cannot be read as CSV"),
        (timed("time", 0.004), r"column 'time' has a step of 0.004 .*250 Hz\), but .* 500 Hz"),
        (timed("Time (ms)", 0.002), "but the sampling rate given is 500 Hz"),
        (timed("elapsed time [s]", 2), "but the sampling rate given is 500 Hz"),
        (timed("t", 0.0019), "but the sampling rate given is 500 Hz"),
    ],
)
def test_other_text_is_refused_in_one_line(tmp_path: Path, text: str | bytes, reason: str) -> None:
    with pytest.raises(UnreadableRecordingError, match=reason) as raised:
        read(tmp_path, text)
    assert "\n" not in str(raised.value)


def test_a_folder_is_no_csv_file(tmp_path: Path) -> None:
    with pytest.raises(UnreadableRecordingError, match="cannot be read as CSV"):
        read_csv(tmp_path, 500)


def test_what_unpacks_to_more_than_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecg_advmask.ecg.csv._LARGEST_BYTES", 5000)
    with pytest.raises(UnreadableRecordingError, match="unpacks to more than 5000 bytes"):
        read(tmp_path, gzip.compress((f"{ROW}\n" * 1000).encode()))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.text(max_size=60), st.text(',;"\n\r\t 019.eE+-nNaAiIfF\0\ufeffVLR#=', max_size=120)), st.data())
def test_no_text_makes_another_error(tmp_path: Path, noise: str, data: st.DataObject) -> None:
    whole = f"{HEADER}\n" * data.draw(st.booleans()) + f"{ROW}\n" * data.draw(st.integers(0, 3))
    place = data.draw(st.integers(0, len(whole)))
    try:
        found = read(tmp_path, (whole[:place] + noise + whole[place:]).encode("utf-8", "surrogatepass"))
    except UnreadableRecordingError as error:
        assert "\n" not in str(error)
        return
    assert found.dtype == np.float32 and found.shape[1] == 12 and len(found) > 0


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(FORMS)), st.integers(0, 10**6) | st.integers(0, 350))
@example("names of rows (pandas, as text)", 183)
@example("names of rows (R)", 120)
@example("an index without a name", 22)
@example("numbers from 1", 25)
@example("numbers from 0, as floats", 46)
@example("blanks at both ends", 310)
def test_a_file_that_is_cut_gives_its_first_rows_or_is_refused(tmp_path: Path, form: str, place: int) -> None:
    """Nothing can tell of a cut within the last cell of a row, so the last sample of V6 alone may be another number."""
    text = FORMS[form]
    data = text if isinstance(text, bytes) else text.encode()
    try:
        found = parsed(tmp_path, data[: place % len(data)])
    except UnreadableRecordingError:
        return
    rows = len(found.signals_mv)
    np.testing.assert_allclose(found.signals_mv[:-1], MV[: rows - 1], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(found.signals_mv[-1, :11], MV[rows - 1, :11], rtol=1e-6, atol=1e-7)
