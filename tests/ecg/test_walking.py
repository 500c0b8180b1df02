"""Files of recordings found below a folder: which, under what names, and what must not be opened."""

import gzip
import os
from pathlib import Path

import pytest

from ecg_advmask.ecg.csv import content_of
from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.ecg.walking import Found, Ignored, walk
from ecg_advmask.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("in/b.hea", "in/g1/a.HEA", "in/g1/a.mat", "in/g1/deep/c.csv", "in/x.hea/d.hea", "in/e/note.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path / "in"


def test_files_by_suffix_with_their_names_in_the_folder(folder: Path) -> None:
    assert {found.name: found.path for found in walk(folder, (".hea",))} == {
        name: str(folder / name) for name in ("b.hea", "g1/a.HEA", "x.hea/d.hea")
    }
    assert sorted(found.stem for found in walk(folder, (".hea", ".csv"))) == ["b", "g1/a", "g1/deep/c", "x.hea/d"]


def test_what_must_not_be_opened_is_given_with_a_reason(folder: Path) -> None:
    (folder.parent / "secret.hea").touch()
    (folder / "away.hea").symlink_to(folder.parent / "secret.hea")
    (folder / "broken.hea").symlink_to(folder / "absent")
    (folder / "loop.hea").symlink_to(folder / "loop.hea")
    (folder / "again").symlink_to(folder / "g1")
    (folder / "within.hea").symlink_to(folder / "b.hea")
    os.mkfifo(folder / "pipe.hea")
    (folder / "two\nlines.hea").touch()
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.hea")).touch()
    refused = {found.name: found.refusal for found in walk(folder, (".hea",)) if found.refusal}
    assert set(refused) == {
        *("away.hea", "broken.hea", "loop.hea", "again", "pipe.hea", "two\\nlines.hea", "caf\\udce9.hea")
    }
    assert "leads out of the folder" in refused["away.hea"]
    assert "leads nowhere" in refused["broken.hea"]
    assert "leads nowhere" in refused["loop.hea"]
    assert "link to a folder" in refused["again"]
    assert "not a regular file" in refused["pipe.hea"]
    assert "rename it" in refused["two\\nlines.hea"]
    assert "rename it" in refused["caf\\udce9.hea"]


def test_the_first_file_comes_before_the_rest_is_listed(folder: Path) -> None:
    walking = walk(folder, (".hea",))
    first = next(walking)
    for name in ("g1", "x.hea"):  # not yet visited
        (folder / name / "late.hea").touch()
    names = {first.name, *(found.name for found in walking)}
    assert names == {"b.hea", "g1/a.HEA", "x.hea/d.hea", "g1/late.hea", "x.hea/late.hea"}


def test_stem_is_the_name_without_its_suffix() -> None:
    assert [Found("", name).stem for name in ("a.hea", "g.1/a", "g/.hea", "a.b.csv")] == ["a", "g.1/a", "g/.hea", "a.b"]


def test_a_folder_that_is_none_is_an_input_error(folder: Path) -> None:
    for path in (folder / "absent", folder / "b.hea"):
        with pytest.raises(InputError, match="is not a folder"):
            next(walk(path, (".hea",)))


LEADS = ",".join(STANDARD_LEADS)
NUMBERS = ",".join(str(number / 8) for number in range(12))
CONTENTS = {
    "samples": [
        f"{LEADS}\n{NUMBERS}\n",
        f"{NUMBERS}\n{NUMBERS}\n",
        f"# made by x\nid,{LEADS}\na,{NUMBERS}\n",
        f"ch1,{NUMBERS}\n{NUMBERS},1\n",
        f"record,{','.join(f'ch{k}' for k in range(12))}\n7,{NUMBERS}\n",
        f"Sample Rate,500 hertz\nDate,x\n{LEADS}\n{NUMBERS}\n",
        f"{NUMBERS.replace(',', ' ')}\n",
        "time\tI\tII\n0\t1\t2\n",
    ],
    "labels": [
        "ID,Sex,Age,Rhythms\n1,M,50,Sinus\n",
        'ID,Sex,Age\n1,"F\n","51\n"\n',
        "filename;patient;ef\na;7;55,5\n",
        "subject_id,study_id,path\n1,2,files/p1\n",
        "ecg_id,patient_id,age,sex,a,b,c,d,e,codes\n1,15709.0,56.0,1,2,3,4,5,6,\"{'NORM': 100.0}\"\n",
    ],
    "notes": [
        "",
        "\n\n",
        "Generated recordings.\nNot of patients.\n",
        "c0ffee  data/1.hea\nbeef  data/2.hea\n",
        "MIT License\n",
    ],
}


@pytest.mark.parametrize(("content", "text"), [(kind, text) for kind, texts in CONTENTS.items() for text in texts])
def test_what_a_text_file_holds_is_seen_by_its_first_lines(tmp_path: Path, content: str, text: str) -> None:
    for code in ("utf-8", "utf-16"):
        (tmp_path / "a.txt").write_bytes(text.encode(code))
        assert content_of(tmp_path / "a.txt") == content
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(text.encode()))
    assert content_of(tmp_path / "a.txt.gz") == content


def test_tables_and_notes_are_no_recordings_and_are_reported(tmp_path: Path) -> None:
    """A text without names or numbers that is called CSV is one all the same: it may be a recording that is damaged."""
    names = {kind: f"{kind}.txt" for kind in CONTENTS}
    for kind, texts in CONTENTS.items():
        (tmp_path / names[kind]).write_text(texts[2])
    (tmp_path / "odd.csv").write_text(CONTENTS["notes"][2])
    (tmp_path / "patients.csv").write_text(CONTENTS["labels"][0])
    ignored = Ignored()
    found = {one.name for one in walk(tmp_path, (".csv", ".txt"), ignored=ignored)}
    assert found == {names["samples"], "odd.csv"}
    assert (ignored.own, sorted(ignored.tables), ignored.notes) == (
        [],
        [names["labels"], "patients.csv"],
        [names["notes"]],
    )
    assert [any(name in line for line in ignored.lines()) for name in (names["notes"], "patients.csv", "odd.csv")] == [
        True,
        True,
        False,
    ]
