"""Cells of tables written by people, spreadsheets and programs: plain text, codes in lists, class names."""

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from ecg_advmask.ecg.recording import is_missing
from ecg_advmask.errors import InputError

_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_BRACKETS: Final = {"[": "]", "{": "}", "(": ")"}
_NAME: Final = r"'([^'\\]*)'|\"([^\"\\]*)\"|([^\s,;:|'\"\[\]{}()]+)"
_LIST: Final = re.compile(rf"\s*(?:{_NAME})\s*(?:,|(?=\s)|$)")
_DICT: Final = re.compile(rf"\s*(?:{_NAME})\s*:\s*([\w.+-]+)\s*(?:,|$)")


def plain_cell(cell: str) -> str:
    """The text of a cell without what a spreadsheet puts around it to keep it one (``="00001"``)."""
    match = re.fullmatch(r"=\s*\"(.*)\"", cell.strip())
    return (match[1] if match else cell).strip()


def class_key(cell: str) -> str:
    """What classes are compared by: numbers by their value (1, 1.0 and 01 are one), text without case and blanks."""
    text = " ".join(cell.split())
    return repr(float(text) + 0.0) if _NUMBER.fullmatch(text) else text.casefold()


def names_of(cell: str) -> tuple[str, ...] | None:
    """The codes in a cell, each once, as found but for a final ``.0``; None if it cannot be taken apart.

    They are separated by commas, semicolons, bars or blanks, or are in a list, tuple or set as Python writes it, or
    are the keys of a dict. A dict's values are likelihoods, as in PTB-XL, where 0 stands for unknown; those that are
    False are left out, and one of nothing but 0 and 1 is not taken, since its values may mean present and absent.
    """
    text = cell.strip()
    if text[:1] not in _BRACKETS:
        return _codes(re.split(r"[\s,;|]+", text))
    if text[-1] != _BRACKETS[text[0]]:
        return None
    inner = text[1:-1].strip()
    is_dict = text[0] == "{" and ":" in inner
    names, values, place = [], [], 0
    while place < len(inner):
        match = (_DICT if is_dict else _LIST).match(inner, place)
        if match is None:
            return None
        value = match[4] if is_dict else ""
        names += [match[1] or match[2] or match[3] or ""] if value.lower() != "false" else []
        values.append(value)
        place = match.end()
    return None if is_dict and set(values) <= {"0", "1"} else _codes(names)


def _codes(names: list[str]) -> tuple[str, ...]:
    stripped = (re.sub(r"^(\d+)\.0+$", r"\1", name.strip()) for name in names)
    return tuple(dict.fromkeys(name for name in stripped if not is_missing(name)))


def rows_of(path: Path) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Line number and `plain_cell` cells of every line of a CSV file that is not blank.

    Raises:
        InputError: the file cannot be read, or is no CSV in UTF-8.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = csv.reader(stream, strict=True)
            for row in rows:
                cells = tuple(map(plain_cell, row))
                if not all(cell.isprintable() for cell in cells):
                    raise InputError(
                        f"{path}: line {rows.line_num} holds tabs, line breaks or other characters that cannot be "
                        "printed; save the table with commas and one line to a row"
                    )
                if any(cells):
                    yield rows.line_num, cells
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}), give a CSV file") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is not a CSV file in UTF-8 ({error}), save it as one") from error


def named_rows(path: Path, needed: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by column of every row of a published table in CSV.

    Raises:
        InputError: the file is missing, is no CSV in UTF-8, or lacks a column that is needed.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = csv.DictReader(stream)
            if lacking := [name for name in needed if name not in (rows.fieldnames or ())]:
                raise InputError(f"{path}: lacks the columns {', '.join(lacking)}")
            for row in rows:
                yield rows.line_num, {name: cell or "" for name, cell in row.items() if name is not None}
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}), fetch it with the recordings") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is not a CSV file in UTF-8 ({error}), fetch it again") from error
