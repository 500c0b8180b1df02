"""Label tables: what entries take from them, and tables that are not as they should be."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
    assert (third.patient, third.age_years, third.sex, third.codes) == ("p1", 30.0, "", ())
    assert dict(third.labels) == {"Ward": 'say "yes"'}
    assert completed(entry("d"), table) == entry("d")
    assert table.unused() == []


def test_the_old_table_of_patients_is_one(tmp_path: Path) -> None:
    table = read_label_table(written(tmp_path / "p.csv", "record,patient\nHR1,7\nHR2,7\n"))
    assert [completed(entry(name), table).patient for name in ("HR1", "HR2", "HR3")] == ["7", "7", "made/HR3"]
    assert table.columns == ()


def test_the_last_part_of_a_path_is_enough_where_it_is_clear(tmp_path: Path) -> None:
    table = read_label_table(written(tmp_path / "t.csv", "id,x\ng1/a,1\nb,2\nc,3\ng9/d,4\n"))
    found = {name: dict(completed(entry(name), table).labels) for name in ("g1/a", "g2/a", "g1/b", "g1/b", "c")}
    assert found == {"g1/a": {"x": "1"}, "g2/a": {}, "g1/b": {"x": "2"}, "c": {"x": "3"}}
    assert table.unused() == ["g9/d"]
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
        ("id;x\na;1\n", "is separated by semicolons, save it with commas"),
        ("id\tx\na\t1\n", "line 1 holds tabs"),
        ("name,x,y,z\na,1,2,3\n", r"has no column id .* \(it has name, x, y, \.\.\.\)"),
        ("id,record\na,a\n", "has the columns id and record, which mean the same"),
        ("id,Age,age_years\na,1,1\n", "has the columns Age and age_years, which mean the same"),
        ("id,x,x\na,1,2\n", "has the column x more than once"),
        (",id,x\n0,a,1\n", "column 1 has no name"),
        ("id,x\na,1\nb,2\na,3\n", "lines 2 and 4 say different things of a"),
        ("id,patient\na,1\na,2\n", "lines 2 and 3 say different things of a"),
        ("id,x\na\n", "line 2 has 1 cells for the 2 columns"),
        ("id,x\na,1,2\n", "line 2 has 3 cells for the 2 columns"),
        ("id,x\n,1\n", "line 2 has no id"),
        ('id,x\na,"1\n', "is not a CSV file in UTF-8"),
        ('id,x\na,"1"2\n', "is not a CSV file in UTF-8"),
        ('id,x\na,"1\n2"\n', "line 3 holds tabs, line breaks"),
        ("id,x\na,\0\n", "line 2 holds tabs, line breaks"),
        ("id,sex\na,0\nb,1\n", r"column sex holds nothing that is understood \(such as '0'\); write male and female"),
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
    (tmp_path / "wide.csv").write_bytes("id,x\na,1\n".encode("utf-16"))
    for name, message in (("latin.csv", "in UTF-8"), ("wide.csv", "in UTF-8"), ("absent.csv", "cannot be read")):
        with pytest.raises(InputError, match=message):
            read_label_table(tmp_path / name)
    with pytest.raises(InputError, match="cannot be read"):
        read_label_table(tmp_path)


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
