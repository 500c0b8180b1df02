"""Files of recordings found below a folder: which, under what names, and what must not be opened."""

import os
from pathlib import Path

import pytest

from ecg_advmask.ecg.walking import Found, walk
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
