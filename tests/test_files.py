"""Files are whole or absent; names read from files stay inside their folder."""

import errno
from pathlib import Path

import pytest

from ecg_advmask import files
from ecg_advmask.errors import InputError


def test_a_file_appears_only_when_its_block_ends_well(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file.csv"
    with pytest.raises(RuntimeError), files.atomic_path(target) as temporary:
        assert temporary.suffix == ".csv"
        temporary.write_text("half")
        raise RuntimeError
    assert list(target.parent.iterdir()) == []
    with files.atomic_path(target) as temporary:
        temporary.write_text("whole")
        assert not target.exists()
    assert [path.name for path in target.parent.iterdir()] == ["file.csv"]
    assert target.read_text() == "whole"


def test_a_failed_rewrite_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "file.json"
    files.write_json(target, {"a": 1})
    with pytest.raises(ValueError, match="Out of range float"):
        files.write_json(target, {"a": float("nan")})
    assert files.read_json(target) == {"a": 1}


def test_csv_rows_must_hold_the_columns(tmp_path: Path) -> None:
    files.write_csv(tmp_path / "t.csv", ["a", "b"], [{"a": 1, "b": "x,y"}])
    assert (tmp_path / "t.csv").read_text() == 'a,b\n1,"x,y"\n'
    with pytest.raises(ValueError, match="not in fieldnames"):
        files.write_csv(tmp_path / "t.csv", ["a"], [{"a": 1, "b": 2}])


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff\xfe"])
def test_what_is_no_json_object_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.json"):
        files.read_json(tmp_path / "x.json")
    with pytest.raises(InputError, match="cannot be read"):
        files.read_json(tmp_path / "absent.json")


@pytest.mark.parametrize(
    "name", ["", "../outside", "/etc/passwd", "a/../../outside", "https://host/x", "file://x", "link"]
)
def test_names_that_lead_out_of_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "outside").write_text("")
    (folder / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(InputError, match="not a file inside that folder"):
        files.inside(folder, name)


def test_names_inside_the_folder_pass(tmp_path: Path) -> None:
    assert files.inside(tmp_path, "sub/file.mat") == tmp_path.resolve() / "sub" / "file.mat"


def test_sha256_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")  # FIPS 180-4, appendix B.1
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.sha256_of(tmp_path / "abc") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("g1/HR00001", "g1_HR00001"),
        ("a b.c-d_é\N{ARABIC-INDIC DIGIT ONE}", "a_b_c-d__"),
        ("../../x", "_x"),
        ("x" * 240 + "y", "x" * 59 + "y"),
    ],
)
def test_any_text_becomes_part_of_a_file_name(text: str, expected: str) -> None:
    """However long an id is: the pictures of a run once could not be written for one of 240 letters."""
    assert files.in_file_name(text) == expected


@pytest.mark.parametrize("named", [True, False])
def test_a_file_without_room_for_it_is_named_and_its_half_removed(tmp_path: Path, named: bool) -> None:
    target = tmp_path / "file.npz"
    with pytest.raises(OSError, match="No space left") as raised, files.atomic_path(target) as temporary:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device", str(temporary) if named else None)
    assert raised.value.filename == str(target)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_bad_input_and_other_errors_are_not(tmp_path: Path) -> None:
    pattern = (
        rf"^{tmp_path}/x: could not be written \(Disk quota exceeded, [\d,]+ MB are free\); free some space and wait$"
    )
    with pytest.raises(InputError, match=pattern), files.room_errors(tmp_path, "wait"):
        raise OSError(errno.EDQUOT, "Disk quota exceeded", str(tmp_path / "x"))
    with pytest.raises(PermissionError), files.room_errors(tmp_path, "wait"):
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "x"))


def test_what_a_killed_process_left_is_removed_by_the_names_of_the_files(tmp_path: Path) -> None:
    for name in (".a.7.tmp.csv", ".a.b.7.tmp.csv", ".a.7.tmp.json", "a.csv", ".b.7.tmp.csv", ".e-1.npz.7.tmp.sum"):
        (tmp_path / name).touch()
    files.clear_temporaries(tmp_path, "a.csv", "*.sum")
    assert {path.name for path in tmp_path.iterdir()} >= {".a.7.tmp.json", "a.csv", ".b.7.tmp.csv"}
    assert not {".a.7.tmp.csv", ".e-1.npz.7.tmp.sum"} & {path.name for path in tmp_path.iterdir()}
    files.clear_temporaries(tmp_path / "absent", "a.csv")
