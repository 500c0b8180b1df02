"""Cells of tables written by people, spreadsheets and programs: plain text, codes in lists, class names."""

import csv
import io
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
        return None if re.search(r"['\"\[\]{}]", text) else _codes(re.split(r"[\s,;|]+", text))
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
    """Line number and `plain_cell` cells of every line of a table that is not blank.

    Read are text in UTF-8, or in UTF-16 with its mark, with commas, semicolons or tabs between the cells (the one that
    is most frequent in the first line, or that Excel's ``sep=`` states), and workbooks (``.xlsx``, ``.xls``, ``.ods``)
    with one sheet. Line breaks and tabs within a cell are blanks.

    Raises:
        InputError: the file cannot be read, or is no such table.
    """
    rows = _workbook_rows(path) if path.suffix.lower() in _WORKBOOKS else _text_rows(path)
    for line, row in rows:
        cells = tuple(plain_cell(re.sub(r"\s*[\r\n\t\v\f]\s*", " ", cell)) for cell in row)
        if not all(cell.isprintable() for cell in cells):
            raise InputError(
                f"{path}: line {line} holds characters that cannot be printed; save it as CSV in UTF-8 with commas"
            )
        if any(cells):
            yield line, cells


_WORKBOOKS: Final = (".xlsx", ".xlsm", ".xls", ".ods")


def _text_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        data = path.read_bytes()
        text = data.decode("utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
        first, _, rest = text.partition("\n")
        stated = re.fullmatch(r'"?sep=(.)"?\r?', first, re.IGNORECASE)
        header = re.sub(r'"[^"]*"', "", first)
        separator = stated[1] if stated else max(",;\t", key=header.count)
        lines = csv.reader(io.StringIO(rest if stated else text, newline=""), delimiter=separator, strict=True)
        for row in lines:
            yield lines.line_num + bool(stated), row
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}), give a CSV file") from error
    except (csv.Error, UnicodeError) as error:
        raise InputError(f"{path}: is not a CSV file in UTF-8 ({error}), save it as one") from error


def _workbook_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    import python_calamine

    try:
        workbook = python_calamine.CalamineWorkbook.from_path(str(path))
        sheets = [(name, workbook.get_sheet_by_name(name).to_python()) for name in workbook.sheet_names]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}), give a table") from error
    except Exception as error:  # damaged workbooks raise errors of many kinds
        raise InputError(f"{path}: cannot be read as a workbook ({' '.join(str(error).split())[:160]})") from error
    filled = {name: rows for name, rows in sheets if any(cell != "" for row in rows for cell in row)}
    if len(filled) > 1:
        raise InputError(f"{path}: has the sheets {', '.join(filled)}, save the one to read as a file of its own")
    for line, row in enumerate(next(iter(filled.values()), []), 1):
        yield line, [_workbook_cell(cell) for cell in row]


def _workbook_cell(cell: object) -> str:
    is_whole = isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15
    return str(int(cell)) if is_whole and isinstance(cell, float) else str(cell)


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
