"""Damage to tables: Diagnostics of Chapman-Shaoxing, and tables of labels."""

import csv
import io
import zipfile
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import openpyxl

from hostile.archive import Place, csv_text
from hostile.damage import Ends, damages, spoil_bytes

Table = list[list[Any]]


def rows_of(text: str) -> Table:
    return list(csv.reader(io.StringIO(text)))


def text_of(rows: Table) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()


def workbook(place: Place, rows: Table) -> None:
    """Write Diagnostics as a workbook, in the place of the text."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    stream = io.BytesIO()
    book.save(stream)
    with zipfile.ZipFile(stream) as dated, zipfile.ZipFile(place.folder / "Diagnostics.xlsx", "w") as archive:
        for name in dated.namelist():  # without dates, so that damage to its bytes can be repeated
            if name != "docProps/core.xml":
                archive.writestr(zipfile.ZipInfo(name), dated.read(name), zipfile.ZIP_DEFLATED)
    (place.folder / "Diagnostics.csv").unlink(missing_ok=True)


def diagnostics(name: str, ends: Ends, alter: Callable[[Table, Random], Any], reason: str = "") -> None:
    """Enter a damage that alters the rows of Diagnostics, as text or as a workbook."""

    def do(place: Place, random: Random) -> None:
        file = place.folder / "Diagnostics.csv"
        rows = rows_of(file.read_text())
        altered = alter(rows, random)
        rows = altered if isinstance(altered, list) else rows
        if random.random() < 0.5:
            file.write_text(text_of(rows), newline="")
        else:
            workbook(place, rows)

    do.__name__ = name
    damages("figshare", ends, reason)(do)


def _cell(rows: Table, column: int, value: object, row: int = -1) -> None:
    rows[row][column] = value


VICTIM_NAMES = (
    "../../outside/bait",
    "../outside/bait",
    "/etc/passwd",
    "..",
    ".",
    "",
    "sub/victim",
    "victim.csv",
    "http://a.b/c",
    "a\nb",
    "x" * 300,
    "x" * 5000,
    "victi\u0301m",
    "VICTIM",
    "#REF!",
    "1e400",
    "~",
    "file:///etc/passwd",
    "\u2028",
    "..\\..\\bait",
    "a\tb",
    "\u202e",
    "NaN",
    "-",
    "*",
    "C:\\x",
    "victim/",
    "./good0x",
)

diagnostics(
    "diagnostics_column_missing", "stops", lambda rows, random: _drop(rows, random.randrange(4)), "lacks the columns"
)
diagnostics("diagnostics_columns_renamed", "stops", lambda rows, random: _cell(rows, random.randrange(4), "Other", 0))
diagnostics("diagnostics_columns_in_other_order", "kept", lambda rows, _: [row[::-1] for row in rows])
diagnostics("diagnostics_with_more_columns", "kept", lambda rows, _: [[*row, "more", "=1+1"] for row in rows])
diagnostics("diagnostics_names_in_other_spelling", "kept", lambda rows, _: _cell(rows, 2, " patient_age ", 0))
diagnostics("diagnostics_row_missing", "refused", lambda rows, _: rows[:-1], "missing row")
diagnostics("diagnostics_row_twice", "stated", lambda rows, _: rows.append(list(rows[-1])))
diagnostics(
    "diagnostics_rows_that_differ", "stated", lambda rows, _: rows.append([rows[-1][0], "AFIB", "20", "FEMALE"])
)
diagnostics("diagnostics_row_without_file", "kept", lambda rows, _: rows.append(["absent", "SB", "30", "MALE"]))
diagnostics("diagnostics_name_elsewhere", "refused", lambda rows, random: _cell(rows, 0, random.choice(VICTIM_NAMES)))
diagnostics(
    "diagnostics_age_absurd",
    "kept",
    lambda rows, random: _cell(
        rows, 2, random.choice(["-1", "300", "NaN", "1e3", "x", "9" * 400, "50 years", "inf", ""])
    ),
)
diagnostics(
    "diagnostics_sex_absurd", "kept", lambda rows, random: _cell(rows, 3, random.choice(["1", "?", "male female", ""]))
)
diagnostics(
    "diagnostics_rhythm_absurd",
    "kept",
    lambda rows, random: _cell(rows, 1, random.choice(["", "UNKNOWN", "SB" * 500, "a,b", 'q"q', "=1", "1", "SB AFIB"])),
)
diagnostics("diagnostics_cells_empty", "kept", lambda rows, _: _cell(rows, slice(1, 4), ["", "", ""]))
diagnostics("diagnostics_of_names_alone", "stops", lambda rows, _: rows[:1])
diagnostics("diagnostics_empty", "stops", lambda _rows, _random: [])
diagnostics(
    "diagnostics_with_formulas",
    "any",
    lambda rows, random: _cell(
        rows,
        random.randrange(4),
        random.choice(["=A1", "=1/0", '=HYPERLINK("http://127.0.0.1:9")', "=cmd|' /C calc'!A0"]),
    ),
)
diagnostics("diagnostics_in_numbers_and_dates", "any", lambda rows, random: _typed(rows, random))  # noqa: PLW0108 (defined below)


def _drop(rows: Table, column: int) -> None:
    for row in rows:
        del row[column]


def _typed(rows: Table, random: Random) -> None:
    rows[-1][2] = random.choice([50, 50.0, 1e300, True, None, 50.5])
    rows[-1][random.choice([0, 1, 3])] = random.choice([7, 1.5, False, None, 1e22])


def _spoilt(name: str, make: Callable[[bytes, Random], bytes], *, book: bool, ends: Ends) -> None:
    def do(place: Place, random: Random) -> None:
        file = place.folder / "Diagnostics.csv"
        if book:
            workbook(place, rows_of(file.read_text()))
            file = place.folder / "Diagnostics.xlsx"
        file.write_bytes(make(file.read_bytes(), random))

    do.__name__ = name
    damages("figshare", ends)(do)


_spoilt("workbook_bytes_altered", spoil_bytes, book=True, ends="any")
_spoilt("workbook_cut_anywhere", lambda data, random: data[: random.randrange(len(data))], book=True, ends="stops")
_spoilt(
    "workbook_of_another_thing",
    lambda _, random: random.choice(
        [
            b"",
            b"PK\x03\x04",
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600,
            b"<html>",
            b"FileName,Rhythm\n",
            _zip(),
            _zip(b"x"),
        ]
    ),
    book=True,
    ends="stops",
)
_spoilt("diagnostics_text_altered", spoil_bytes, book=False, ends="any")
_spoilt(
    "diagnostics_text_cut_anywhere", lambda data, random: data[: random.randrange(len(data))], book=False, ends="any"
)
_spoilt(
    "diagnostics_in_another_encoding",
    lambda data, random: data.decode().encode(random.choice(["utf-16", "utf-32", "utf-16-le"])),
    book=False,
    ends="stops",
)


def _zip(data: bytes = b"") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("[Content_Types].xml" if data else "x", data)
    return stream.getvalue()


@damages("figshare", "stops")
def diagnostics_gone(place: Place, _random: Random) -> None:
    (place.folder / "Diagnostics.csv").unlink()


@damages("figshare", "stops", claims=True)
def workbook_of_entities(place: Place, random: Random) -> None:
    """The laughs: entities of entities, which would unfold to gigabytes; and an entity that is a file elsewhere."""
    workbook(place, rows_of((place.folder / "Diagnostics.csv").read_text()))
    file = place.folder / "Diagnostics.xlsx"
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    levels = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(12))
    laughs = f'<!DOCTYPE x [<!ENTITY l0 "lol">{levels}]>'
    elsewhere = f'<!DOCTYPE x [<!ENTITY l12 SYSTEM "file://{place.outside}/bait.csv">]>'
    sheet = members["xl/worksheets/sheet1.xml"].decode()
    named = sheet.replace("<sheetData>", '<sheetData><row><c t="inlineStr"><is><t>&l12;</t></is></c></row>')
    members["xl/worksheets/sheet1.xml"] = (random.choice([laughs, elsewhere]) + named).encode()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


@damages("figshare", "refused")
def figshare_signals_damaged(place: Place, random: Random) -> None:
    text = place.victim.read_text()
    place.victim.write_text(
        random.choice(["", text[: len(text) // 3], text.replace(",", ";"), "nan" + text, text.replace("V6", "V5")])
    )


@damages("figshare", "stated")
def figshare_signals_altered(place: Place, random: Random) -> None:
    place.victim.write_bytes(spoil_bytes(place.victim.read_bytes(), random))


@damages("figshare", "refused")
def figshare_signals_a_link(place: Place, random: Random) -> None:
    place.victim.unlink()
    place.victim.symlink_to(
        random.choice([place.outside / "bait.csv", "../../outside/bait.csv", "/dev/zero", "victim.csv"])
    )


@damages("figshare", "kept")
def figshare_signals_without_names(place: Place, _random: Random) -> None:
    place.victim.write_text(csv_text(place.values_uv, names=()))


# --- tables of labels


def labels(name: str, ends: Ends, alter: Callable[[Table, Random], Any], reason: str = "") -> None:
    """Enter a damage that alters the rows of the table of labels."""

    def do(place: Place, random: Random) -> None:
        assert place.labels is not None
        rows = rows_of(place.labels.read_text())
        altered = alter(rows, random)
        place.labels.write_text(text_of(altered if isinstance(altered, list) else rows), newline="")

    do.__name__ = name
    damages("labels", ends, reason)(do)


def written(name: str, ends: Ends, alter: Callable[[str, Random], str | bytes], reason: str = "") -> None:
    """Enter a damage that alters the text of the table of labels."""

    def do(place: Place, random: Random) -> None:
        assert place.labels is not None
        text = alter(place.labels.read_text(), random)
        place.labels.write_bytes(text if isinstance(text, bytes) else text.encode())

    do.__name__ = name
    damages("labels", ends, reason)(do)


labels("labels_without_ids", "stops", lambda rows, _: _drop(rows, 0), "no column id")
labels(
    "labels_with_a_column_twice",
    "stops",
    lambda rows, random: (
        _cell(rows, random.choice([2, 4]), random.choice(["patient", "record", "ID", "dx"]), 0)
        or [[*row, row[-1]] for row in rows]
    ),
)
labels(
    "labels_with_a_column_unnamed", "stops", lambda rows, random: _cell(rows, 4, random.choice(["", " "]), 0), "no name"
)
labels(
    "labels_ragged",
    "stops",
    lambda rows, random: random.choice([rows[-1].pop, lambda: rows[-1].append("x")])(),
    "cells for the",
)
labels("labels_row_without_id", "stops", lambda rows, _: _cell(rows, 0, ""), "has no id")
labels(
    "labels_that_differ", "stops", lambda rows, _: rows.append([rows[-1][0], "p9", "1", "F", "no"]), "different things"
)
labels("labels_twice_alike", "kept", lambda rows, _: rows.append(list(rows[-1])))
labels("labels_of_others", "kept", lambda rows, _: rows.append(["absent", "p9", "1", "F", "no"]))
labels("labels_of_others_alone", "stops", lambda rows, _: [rows[0], ["absent", "p9", "1", "F", "no"]], "names none")
labels("labels_of_names_alone", "stops", lambda rows, _: rows[:1], "has no rows")
labels(
    "labels_age_and_sex_of_no_use",
    "stops",
    lambda rows, random: [
        rows[0],
        *([*row[:2], *random.choice([("x", row[3]), (row[2], "7"), ("-1", "?")]), row[4]] for row in rows[1:2]),
    ],
)
labels(
    "labels_age_absurd_for_one",
    "kept",
    lambda rows, random: _cell(rows, 2, random.choice(["-5", "1e400", "9" * 400, "nan", "٥٠"])),
)
labels(
    "labels_cells_strange",
    "any",
    lambda rows, random: _cell(
        rows,
        random.choice([1, 4]),
        random.choice(
            [
                "=1+1",
                "a\nb",
                "\x1b[31m",
                'q"q',
                "a;b",
                "é",
                "\U0001f600",
                "x" * 100_000,
                "NaN",
                "\u2028",
                "\0",
                "\u202e",
                " ",
            ]
        ),
    ),
)
labels(
    "labels_ids_strange",
    "any",
    lambda rows, random: _cell(
        rows,
        0,
        random.choice(
            [
                "../victim",
                "/victim",
                "VICTIM",
                "victim.hea",
                "victim.csv",
                "sub/victim",
                "x" * 100_000,
                "a\nb",
                "*",
                "\ufeffvictim",
            ]
        ),
    ),
)
written("labels_empty", "stops", lambda _, random: random.choice(["", "\n\n", " ", "\ufeff", ",,,\n"]))
written("labels_separated_otherwise", "kept", lambda text, random: text.replace(",", random.choice(";\t")))
written("labels_in_utf_16", "kept", lambda text, _: text.encode("utf-16"))
written("labels_with_a_byte_order_mark", "kept", lambda text, _: "\ufeff" + text)
written(
    "labels_with_other_line_ends",
    "kept",
    lambda text, random: text.replace("\n", random.choice(["\r\n", "\n\n", "\r"])),
)
written(
    "labels_quote_left_open", "stops", lambda text, random: text.replace("good1", random.choice(['"good1', 'g"ood1,"']))
)
written("labels_bytes_altered", "any", lambda text, random: spoil_bytes(text.encode(), random))
written("labels_cut_anywhere", "any", lambda text, random: text[: random.randrange(len(text))])
written(
    "labels_in_another_encoding",
    "stops",
    lambda text, random: text.replace("yes", "ä").encode(random.choice(["latin-1", "utf-32", "utf-16-le"])),
)
written(
    "labels_of_random_bytes",
    "stops",
    lambda _, random: np.random.default_rng(random.randrange(2**32)).bytes(900) + b"\xff",
)
written("labels_of_one_long_line", "stops", lambda _, random: random.choice(["a", "a,", '"', ","]) * 3_000_000)


@damages("labels", "stops")
def labels_that_are_no_file(place: Place, random: Random) -> None:
    assert place.labels is not None
    place.labels.unlink()
    if random.random() < 0.5:
        place.labels.mkdir()
    elif random.random() < 0.5:
        place.labels.symlink_to("labels.csv")
