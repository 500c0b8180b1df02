"""Label tables: what entries take from them, and tables that are not as they should be."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecg_advmask.data.cells import names_of
from ecg_advmask.data.label_table import completed, read_label_table
from ecg_advmask.ecg.sources import Entry
from ecg_advmask.errors import InputError


def entry(record_id: str) -> Entry:
    return Entry(record_id, f"/data/{record_id}.hea", f"{record_id}.hea", "made", f"made/{record_id}", age_years=30.0)


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_row_completes_its_recording(tmp_path: Path) -> None:
    text = (
        "\ufeffID, Patient ,age_years,SEX,Dx,Ward,outcome\n"
        "\n"
        'a17,p1,61.5,F,"164889003, 59118001;426783006","north, 2",alive\n'
        "b,,,,,,\n"
        ",,,,,,\n"
        'c,p1,300,unknown,Unknown,"say ""yes""",\n'
    )
    table = read_label_table(written(tmp_path / "t.csv", text))
    assert table.columns == ("Ward", "outcome")
    full = completed(entry("a17"), table)
    assert (full.patient, full.age_years, full.sex) == ("p1", 61.5, "female")
    assert full.codes == ("164889003", "59118001", "426783006")
    assert dict(full.labels) == {"Ward": "north, 2", "outcome": "alive"}
    assert (full.record_id, full.file, full.source) == ("a17", "/data/a17.hea", "made")
    assert completed(entry("b"), table) == entry("b")
    third = completed(entry("c"), table)
    assert (third.patient, third.age_years, third.sex, third.codes) == ("p1", None, "", ())
    assert third.unknown == ("age",)
    assert dict(third.labels) == {"Ward": 'say "yes"'}
    assert completed(entry("d"), table) == entry("d")
    assert table.ids.unused() == []


def test_the_old_table_of_patients_is_one(tmp_path: Path) -> None:
    table = read_label_table(written(tmp_path / "p.csv", "record,patient\nHR1,7\nHR2,7\n"))
    assert [completed(entry(name), table).patient for name in ("HR1", "HR2", "HR3")] == ["7", "7", "made/HR3"]
    assert table.columns == ()


def test_the_last_part_of_a_path_is_enough_where_it_is_clear(tmp_path: Path) -> None:
    table = read_label_table(written(tmp_path / "t.csv", "id,x\ng1/a,1\nb,2\nc,3\ng9/d,4\n"))
    found = {name: dict(completed(entry(name), table).labels) for name in ("g1/a", "g2/a", "g1/b", "g1/b", "c")}
    assert found == {"g1/a": {"x": "1"}, "g2/a": {}, "g1/b": {"x": "2"}, "c": {"x": "3"}}
    assert table.ids.unused() == ["g9/d"]
    for order in (("g2/c", "g3/c"), ("c", "g3/c"), ("g3/c", "c")):
        table = read_label_table(tmp_path / "t.csv")
        completed(entry(order[0]), table)
        with pytest.raises(InputError, match=f"line 4 names c, which may be {order[0]} or {order[1]}; write the whole"):
            completed(entry(order[1]), table)


def test_the_labels_of_a_layout_give_way_to_the_table(tmp_path: Path) -> None:
    from dataclasses import replace

    table = read_label_table(written(tmp_path / "t.csv", "id,x,y\na,1,\n"))
    before = replace(entry("a"), labels=(("x", "0"), ("y", "0"), ("z", "0")))
    assert dict(completed(before, table).labels) == {"x": "1", "y": "0", "z": "0"}


def test_equal_rows_are_one(tmp_path: Path) -> None:
    table = read_label_table(written(tmp_path / "t.csv", "id,x\na,1\nb,2\na,1\n"))
    assert list(table.rows) == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("id,x\n", "has no rows"),
        ("name,x,y,z\na,1,2,3\n", r"has no column id .* \(it has name, x, y, \.\.\.\)"),
        ("id,record\na,a\n", "has the columns id and record, which mean the same"),
        ("id,Age,age_years\na,1,1\n", "has the columns Age and age_years, which mean the same"),
        ("id,x,x\na,1,2\n", "has the column x more than once"),
        ("id,,x\na,0,1\n", "column 2 has no name"),
        (",x\na,1\n", "has no column id"),
        ("id,x\na,1\nb,2\na,3\n", "lines 2 and 4 say different things of a"),
        ("id,patient\na,1\na,2\n", "lines 2 and 3 say different things of a"),
        ("id,x\na\n", "line 2 has 1 cells for the 2 columns"),
        ("id,x\na,1,2\n", "line 2 has 3 cells for the 2 columns"),
        ("id,x\n,1\n", "line 2 has no id"),
        ('id,x\na,"1\n', "is not a CSV file in UTF-8"),
        ('id,x\na,"1"2\n', "is not a CSV file in UTF-8"),
        ("id,x\na,\0\n", "line 2 holds characters that cannot be printed"),
        ("id,sex\na,x\nb,y\n", r"column sex holds nothing that is understood \(such as 'x'\); write male and female"),
        ("id,sex\na,M\nb,1\n", r"line 3, column sex: 1 may be either sex, say which \(--sex-codes"),
        ("id,Gender\na,0.0\n", r"line 2, column Gender: 0.0 may be either sex"),
        ("id,sex\na,M\nb,H\n", r"column sex has H and M, of which M may be either sex"),
        ("id,patient,Subject ID\na,1,2\n", "has the columns patient and Subject ID, which mean the same"),
        ("id,pid,PatientID\na,1,2\n", "has the columns pid and PatientID, which mean the same"),
        ("id,sex,Gender\na,F,F\n", "has the columns sex and Gender, which mean the same"),
        ("id,patient\na,1.23457E+11\n", r"line 2, column patient: 1.23457E\+11 has lost digits"),
        ("id,dx\na,4.26783E+08\n", r"line 2, column dx: 4.26783E\+08 has lost digits"),
        ("id,x\n1.2E+09,1\n", r"line 2, column id: 1.2E\+09 has lost digits"),
        ("id,dx\na,\"['AF', ['SR']]\"\n", r"line 2, column dx: .* is no list of codes"),
        ("id,dx\na,\"array(['AF'])\"\n", r"line 2, column dx: .* is no list of codes"),
        ("id,dx\na,\"{'AF': 0, 'SR': 1}\"\n", r"line 2, column dx: .* is no list of codes"),
        ("id,x\nNA,1\n", "line 2 has no id"),
        ("id,Age\na,old\nb,\n", r"column Age holds nothing that is understood \(such as 'old'\); write ages in years"),
        ("id,x\na," + "1" * 200_000 + "\n", "is not a CSV file in UTF-8"),
    ],
)
def test_other_tables_are_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path / "t.csv", text)
    with pytest.raises(InputError, match=message) as raised:
        read_label_table(path)
    assert "\n" not in str(raised.value) and str(raised.value).startswith(f"{path}: ")


def test_files_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes("id,x\na,é\n".encode("latin-1"))
    (tmp_path / "cut.csv").write_bytes("id,x\na,1\n".encode("utf-16")[:-1])
    (tmp_path / "a.xlsx").write_bytes(b"PK\3\4 and no more")
    for name, message in (
        ("latin.csv", "in UTF-8"),
        ("cut.csv", "in UTF-8"),
        ("absent.csv", "cannot be read"),
        ("a.xlsx", "as a workbook"),
        ("absent.xlsx", "absent.xlsx"),
    ):
        with pytest.raises(InputError, match=message):
            read_label_table(tmp_path / name)
    with pytest.raises(InputError, match="cannot be read"):
        read_label_table(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("semicolons.csv", b"id;patient;ef;finding\na;7;55,5;two words\nb;8;60;x\n"),
        ("excel.csv", b"sep=;\r\nid;patient;ef;finding\r\na;7;55,5;two words\r\nb;8;60;x\r\n"),
        ("tabs.tsv", b"id\tpatient\tef\tfinding\na\t7\t55,5\ttwo words\nb\t8\t60\tx\n"),
        ("wide.csv", 'id,patient,ef,finding\na,7,"55,5",two words\nb,8,60,x\n'.encode("utf-16")),
        ("broken.csv", b'id,patient,ef,finding\na,7,"55,5\n","two\nwords"\nb,8,60,"x\n"\n'),
        ("index.csv", b',id,patient,ef,finding\n0,a,7,"55,5",two words\n1,b,8,60,x\n'),
        ("empty.csv", b'id,patient,ef,finding,,\na,7,"55,5",two words,,\nb,8,60,x,,\n'),
    ],
)
def test_tables_as_spreadsheets_and_programs_write_them(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    table = read_label_table(tmp_path / name)
    assert table.columns == ("ef", "finding")
    found = {one: completed(entry(one), table) for one in "ab"}
    assert {one: row.patient for one, row in found.items()} == {"a": "7", "b": "8"}
    assert dict(found["a"].labels) == {"ef": "55,5", "finding": "two words"}
    assert dict(found["b"].labels) == {"ef": "60", "finding": "x"}


def test_a_workbook_with_one_sheet_is_a_table(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (("id", "patient", "age", "ef"), ("00001", 7, 62, 55.5), (2.0, 7.0, None, True)):
        book.active.append(row)
    book.create_sheet("empty")
    book.save(tmp_path / "t.xlsx")
    table = read_label_table(tmp_path / "t.xlsx")
    found = [completed(entry(one), table) for one in ("00001", "2")]
    assert [(one.patient, one.age_years, dict(one.labels)) for one in found] == [
        ("7", 62, {"ef": "55.5"}),
        ("7", 30, {"ef": "True"}),
    ]
    book.create_sheet("second").append(("id", "x"))
    book.save(tmp_path / "t.xlsx")
    with pytest.raises(InputError, match="second"):
        read_label_table(tmp_path / "t.xlsx")


@pytest.mark.parametrize("name", ["hadm_id", "caseId", "Visit No", "case number"])
def test_a_label_that_may_be_of_patients_is_reported(tmp_path: Path, name: str) -> None:
    table = read_label_table(written(tmp_path / "t.csv", f"id,{name},covid,thyroid\na,1,1,0\n"))
    assert table.columns == (name, "covid", "thyroid")
    (remark,) = table.remarks
    assert name in remark and "patient" in remark


@pytest.mark.parametrize("name", ["patient_id", "Subject ID", "subject-id", "PatientID", "pid", "SUBJECT_ID", " Pid "])
def test_every_usual_name_of_a_patient_is_one(tmp_path: Path, name: str) -> None:
    table = read_label_table(written(tmp_path / "t.csv", f'id,{name},x\na,100,1\nb,100.0,1\nc,="100",1\nd,NA,1\n'))
    assert table.columns == ("x",)
    assert [completed(entry(one), table).patient for one in "abcd"] == ["100", "100", "100", "made/d"]


def test_missing_values_are_no_labels_and_reported(tmp_path: Path) -> None:
    cells = ["NA", "nan", "None", "null", "-", ".", "?", "unknown", "", "yes", "Yes", "no"]
    rows = "".join(f"r{number},{cell}\n" for number, cell in enumerate(cells))
    table = read_label_table(written(tmp_path / "t.csv", f"id,stroke\n{rows}"))
    labels = [dict(completed(entry(f"r{number}"), table).labels) for number in range(len(cells))]
    assert labels == [{}] * 9 + [{"stroke": "yes"}, {"stroke": "Yes"}, {"stroke": "no"}]
    assert "stroke: 1 cells NA are missing values, no class" in table.remarks
    assert "stroke: 'Yes', 'yes' are one value" in table.remarks and len(table.remarks) == 9


def test_cells_that_are_not_understood_are_unknown_counted_and_never_what_the_file_says(tmp_path: Path) -> None:
    text = "id,sex,age\na,M,61\nb,Woman,062Y\nc,divers,old\nd,,NA\ne,X,300\nf,divers,>89\n"
    table = read_label_table(written(tmp_path / "t.csv", text))
    found = [completed(entry(name), table) for name in "abcdef"]
    assert [one.sex for one in found] == ["male", "female", "", "", "", ""]
    assert [one.age_years for one in found] == [61, 62, None, 30, None, None]
    assert [one.unknown for one in found] == [(), (), ("age", "sex"), (), ("age", "sex"), ("age", "sex")]
    assert "sex: 3 cells are not understood, so the value is unknown ('divers', 'X')" in table.remarks
    assert "age: 3 cells are not understood, so the value is unknown ('old', '300', '>89')" in table.remarks


def test_numbers_for_a_sex_mean_what_the_user_says(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "id,sex\na,0\nb,1.0\nc,2\n")
    with pytest.raises(InputError, match="2 may be either sex"):
        read_label_table(path, {"0": "male", "1": "female"})
    path = written(tmp_path / "t.csv", "id,sex\na,0\nb,1.0\nc,F\nd,M\n")
    table = read_label_table(path, {"0": "male", "1": "female"})
    assert [completed(entry(name), table).sex for name in "abcd"] == ["male", "female", "female", "male"]


@pytest.mark.parametrize(
    ("cell", "codes"),
    [
        ("426783006.0", ("426783006",)),
        ("AF|SB", ("AF", "SB")),
        ("AF; SB,SR AF", ("AF", "SB", "SR")),
        ("['AF', 'SB']", ("AF", "SB")),
        ('["AF"]', ("AF",)),
        ("[426783006, 164889003.0]", ("426783006", "164889003")),
        ("('AF',)", ("AF",)),
        ("{'AF', 'SB'}", ("AF", "SB")),
        ("['AF' 'SB']", ("AF", "SB")),
        ("{'NORM': 100.0, 'LVOLT': 0.0, 'SR': 0.0}", ("NORM", "LVOLT", "SR")),
        ('{"AF": true, "SR": false}', ("AF",)),
        ("[]", ()),
        ("{}", ()),
        ("[nan]", ()),
        ("Unknown", ()),
    ],
)
def test_codes_are_taken_out_of_what_holds_them(tmp_path: Path, cell: str, codes: tuple[str, ...]) -> None:
    quoted = cell.replace('"', '""')
    table = read_label_table(written(tmp_path / "t.csv", f'id,scp_codes\na,"{quoted}"\n'))
    assert completed(entry("a"), table).codes == codes


@pytest.mark.parametrize(
    "cell", ["['AF'", "{'AF': }", "[['AF']]", "{'AF': {'a': 1}}", "{'AF': 1}", "['AF\\'s']", "[AF;]"]
)
def test_lists_that_cannot_be_taken_apart_are_none(cell: str) -> None:
    assert names_of(cell) is None


@pytest.mark.parametrize(
    ("written_as", "record_id"),
    [
        ("a17.hea", "a17"),
        ("./2019/a17", "2019/a17"),
        (".\\2019\\a17.hea", "2019/a17"),
        ("2019\\a17", "2019/a17"),
        ("590674.0", "590674"),
        ('="00001"', "00001"),
        ("a17.csv.gz", "x/a17"),
        ("records500/00000/00001_hr", "00001_hr"),
        ("/data/x/00001_hr.dat", "x/00001_hr"),
    ],
)
def test_ids_are_compared_without_what_programs_add(tmp_path: Path, written_as: str, record_id: str) -> None:
    quoted = written_as.replace('"', '""')
    table = read_label_table(written(tmp_path / "t.csv", f'id,x\n"{quoted}",1\nother,2\n'))
    assert dict(completed(entry(record_id), table).labels) == {"x": "1"}
    assert table.ids.unused() == ["other"]


def test_an_id_as_it_stands_overrides_one_that_is_alike(tmp_path: Path) -> None:
    table = read_label_table(written(tmp_path / "t.csv", "id,x\n1,a\n1.0,b\nc.hea,d\nc.dat,e\n"))
    assert [dict(completed(entry(name), table).labels)["x"] for name in ("1", "1.0")] == ["a", "b"]
    with pytest.raises(InputError, match="lines 4 and 5 may both mean c and differ"):
        completed(entry("c"), table)


def test_what_the_table_and_the_archive_do_not_share_is_counted_and_listed(tmp_path: Path) -> None:
    table = read_label_table(written(tmp_path / "t.csv", "id,x\na,1\nb,2\nc,3\n"))
    for name in ("a", "d", "e"):
        completed(entry(name), table)
    unmatched = table.ids.unmatched()
    assert unmatched["rows_without_recording"] == {"count": 2, "first": ["b", "c"]}
    assert unmatched["recordings_without_row"] == {"count": 2, "first": ["d", "e"]}
    table = read_label_table(tmp_path / "t.csv")
    completed(entry("HR00001"), table)
    with pytest.raises(InputError, match=r"names none of the 1 recordings.* a, the recordings HR00001"):
        table.ids.unmatched()


def test_a_column_of_rates_is_that_of_the_files(tmp_path: Path) -> None:
    text = "filename,sampling_rate_hz\na.csv,500\nb.csv,257.5\nc.csv,\nd.csv,fast\ne.csv,0\n"
    table = read_label_table(written(tmp_path / "t.csv", text))
    found = [completed(entry(name), table) for name in "abcde"]
    assert [one.sampling_rate_hz for one in found] == [500, 257.5, None, None, None]
    assert [bool(one.refusal) for one in found] == [False, False, False, True, True]
    assert table.states_rates and table.columns == ()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.text(max_size=80), st.text('id,sexag"\n\r\t;0 1mf\0\ufeff', max_size=120)), st.integers(0, 60))
def test_no_text_makes_another_error(tmp_path: Path, noise: str, place: int) -> None:
    whole = "id,patient,age,sex,dx,ward\na,p1,61,F,1;2,north\nb,p2,,,,\n"
    path = tmp_path / "t.csv"
    path.write_bytes((whole[:place] + noise + whole[place:]).encode("utf-8", "surrogatepass"))
    try:
        table = read_label_table(path)
    except InputError as error:
        assert "\n" not in str(error)
        return
    for name in table.rows:
        labels = dict(completed(entry(name), table).labels)
        assert set(labels) <= set(table.columns) and all(labels.values())


def test_of_many_columns_the_one_that_is_there_twice_is_named(tmp_path: Path) -> None:
    """Each name is looked at once: of pairs of names there are three thousand million."""
    names = ["id", *(f"x{number}" for number in range(60_000)), "x7"]
    with pytest.raises(InputError, match="has the column x7 more than once"):
        read_label_table(written(tmp_path / "t.csv", ",".join(names) + "\n"))
