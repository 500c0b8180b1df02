"""Damage to folders: names, links and what is no file; and what happens between listing and reading."""

import os
import shutil
import socket
from pathlib import Path
from random import Random

from hostile.archive import Place
from hostile.damage import damages

NAMES = (
    'a,b"c',
    "it's",
    "a b",
    " ",
    "-rf",
    "~",
    "*",
    "%s{0}{x}",
    "=1+1",
    "CON",
    "a.b.c",
    "a;b",
    "$HOME",
    "`x`",
    "é",
    "e\u0301",
    "\U0001f600",
    "心電図",
    "x" * 240,
    "#1",
    "a&b<c>",
    "\\",
    "a\\b",
    "nan",
    "NULL",
    "0",
    "a::b",
    "http:",
    "a%2fb",
    "@",
    "!",
)
UNPRINTABLE = ("a\nb", "a\tb", "\x1b[31m", "a\rb", "\u2028", "\u202e", "\x7f", "\u200b", "\xa0")


def rename(place: Place, name: bytes) -> None:
    """Give the victim's own file another name; a WFDB header still names its signals."""
    suffix = place.victim.suffix.encode()
    os.rename(os.fsencode(place.victim), os.fsencode(place.folder) + b"/" + name + suffix)  # noqa: PTH104 (bytes)


@damages("folders", "kept")
def name_with_unusual_marks(place: Place, random: Random) -> None:
    rename(place, random.choice(NAMES).encode())


@damages("folders", "refused", "cannot be printed")
def name_that_cannot_be_printed(place: Place, random: Random) -> None:
    rename(place, random.choice(UNPRINTABLE).encode())


@damages("folders", "refused")
def name_that_is_not_utf_8(place: Place, random: Random) -> None:
    rename(place, random.choice([b"\xff", b"a\x80b", b"\xe4", b"\xed\xa0\x80", b"\xc0\xaf"]))


@damages("folders", "kept")
def folder_with_unusual_marks(place: Place, random: Random) -> None:
    folder = place.folder / random.choice([name for name in NAMES if name != "a::b"])
    _move(place, folder)


@damages("folders", "refused")
def folder_that_cannot_be_printed(place: Place, random: Random) -> None:
    folder = os.fsdecode(os.fsencode(place.folder) + b"/" + random.choice([b"a\nb", b"\xff", b"\x1b[2J", b"\xc2\xa0"]))
    _move(place, Path(folder))


@damages("folders", "kept")
def folders_very_deep(place: Place, random: Random) -> None:
    _move(place, place.folder.joinpath(*[random.choice("ab")] * random.choice([5, 100, 300])))


@damages("folders", "stops", "cannot be listed")
def folders_deeper_than_a_path_may_be(place: Place, _random: Random) -> None:
    descriptor = os.open(place.folder, os.O_RDONLY)
    for _ in range(25):
        os.mkdir("x" * 200, dir_fd=descriptor)
        below = os.open("x" * 200, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)


@damages("folders", "kept")
def folder_hidden(place: Place, random: Random) -> None:
    _move(place, place.folder / random.choice([".hidden", "..hidden", "__MACOSX", "...", "lost+found"]))


@damages("folders", "kept")
def files_of_a_system_beside_it(place: Place, random: Random) -> None:
    """What operating systems and archivers leave behind ends in the same suffixes."""
    for name in ("._victim", ".", ".victim", "Thumbs.db"):
        (place.folder / f"{name}{place.victim.suffix}").write_bytes(b"\0\5\x16\7" * random.randint(0, 30))


@damages("folders", "kept")
def name_without_stem(place: Place, _random: Random) -> None:
    """A record that is named by its suffix alone, beside the sound ones."""
    (place.folder / place.victim.suffix).write_bytes(b"\0")


@damages("folders", "stated")
def suffix_in_capitals(place: Place, _random: Random) -> None:
    place.victim.rename(place.victim.with_suffix(place.victim.suffix.upper()))


@damages("folders", "stated")
def two_of_one_name(place: Place, _random: Random) -> None:
    for name in ("again", "once more"):
        (place.folder / name).mkdir()
        for file in place.folder.glob("victim.*"):
            shutil.copy(file, place.folder / name)


@damages("folders", "kept")
def links_to_folders(place: Place, random: Random) -> None:
    target = random.choice([".", "..", "/", "sub", place.outside, "round", "/proc/self/fd", "absent"])
    (place.folder / "round").symlink_to(target)
    (place.folder / "sub" / f"link{place.victim.suffix}").symlink_to(random.choice(["..", "/", place.outside]))


@damages("folders", "kept")
def what_is_no_file_beside_it(place: Place, _random: Random) -> None:
    suffix = place.victim.suffix
    os.mkfifo(place.folder / f"pipe{suffix}")
    (place.folder / f"folder{suffix}").mkdir()
    here = Path.cwd()
    os.chdir(place.folder)  # the name of a socket must be short
    try:
        with socket.socket(socket.AF_UNIX) as unix:
            unix.bind(f"socket{suffix}")
    finally:
        os.chdir(here)


@damages("folders", "stops", "holds no")
def archive_of_nothing(place: Place, random: Random) -> None:
    shutil.rmtree(place.folder)
    place.folder.mkdir()
    if random.random() < 0.5:
        (place.folder / "sub").mkdir()
        (place.folder / "sub" / "README.md").write_text("nothing here")


@damages("folders", "stops", "is not a folder")
def archive_that_is_no_folder(place: Place, random: Random) -> None:
    shutil.rmtree(place.folder)
    what = random.choice(["file", "pipe", "circle", "absent", "nothing"])
    if what == "file":
        place.folder.write_text("I")
    elif what == "pipe":
        os.mkfifo(place.folder)
    elif what == "circle":
        place.folder.symlink_to("in")
    elif what == "nothing":
        place.folder.symlink_to("absent")


@damages("folders", "kept")
def archive_that_is_a_link(place: Place, _random: Random) -> None:
    place.folder.rename(place.root / "moved")
    place.folder.symlink_to("moved")


# --- between listing and reading


@damages("folders", "refused", late=True)
def victim_vanishes(place: Place, _random: Random) -> None:
    place.victim.unlink()


@damages("folders", "refused", late=True)
def victim_becomes_a_folder(place: Place, _random: Random) -> None:
    place.victim.unlink()
    place.victim.mkdir()


@damages("folders", "refused", late=True)
def victim_is_cut(place: Place, random: Random) -> None:
    data = place.victim.read_bytes()
    place.victim.write_bytes(data[: random.randrange(len(data) // 3)])


@damages("wfdb", "refused", late=True)
def signals_vanish(place: Place, _random: Random) -> None:
    place.signal_file.unlink()


@damages("folders", "stops", late=True)
def archive_vanishes(place: Place, _random: Random) -> None:
    shutil.rmtree(place.folder)


def _move(place: Place, folder: Path) -> None:
    folder.mkdir(parents=True)
    for file in place.folder.glob("victim.*"):
        file.rename(folder / file.name)
