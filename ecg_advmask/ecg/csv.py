"""One recording from a text file: a row per sample, a column per lead, with or without names, as programs export it.

Read are ``.csv``, ``.tsv`` and ``.txt``, also packed by gzip: separated by commas, semicolons, tabs, bars or blanks,
with decimal points or commas, in UTF-8, UTF-16 with its mark or Windows-1252, below lines of comments (``#``, ``%``,
``//``, ``!``) and Excel's ``sep=;``, with names in quotes, units in the names (``I (mV)``) or in a row below them, with
names of rows in front. Words for missing values (`is_missing`) are missing samples.
"""

import csv
import gzip
import io
import math
import os
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from ecg_advmask.ecg.leads import AS_NAMED, LeadColumns, LeadNames, standard_lead
from ecg_advmask.ecg.recording import (
    Recording,
    UnreadableRecordingError,
    assumed_unit,
    column_factors,
    is_missing,
    is_number,
    lead_columns,
    means_patient,
    one_line,
    positive_rate,
    recording_column,
)
from ecg_advmask.ecg.units import millivolts

_LARGEST_BYTES: Final = 1_000_000_000
_LONGEST_LINE: Final = 10_000
_MOST_COMMENTS: Final = 1000
_COMMENT_MARKS: Final = ("#", "%", "//", "!")
_QUOTED: Final = re.compile(r'"[^"]*"')
_SEPARATORS: Final = {"\\t": "\t", "tab": "\t"}
_COMMENTED_RATE: Final = re.compile(
    r"\b(?:sampling[ _-]?(?:rate|frequency)|sample[ _-]?rate|sfreq|fs|rate)(?:[ _]?[(\[]?hz[)\]]?)?\s*[:=]\s*"
    r"(\d{1,9}(?:\.\d{0,9})?)\s*(k?)(?:hz)?\b",
    re.IGNORECASE,
)
_COMMENTED_UNIT: Final = re.compile(r"\bunits?\s*[:=]\s*([^\s,;]+)", re.IGNORECASE)

_TIME: Final = re.compile(
    r"(?:(?:elapsed|relative|rel)[ _]?)?(?:time|timestamps?|seconds|t)(?:[ _,]*[(\[]?\s*([a-zµμ]*)\s*[)\]]?)",
    re.IGNORECASE,
)
_SECONDS_IN: Final = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("us", "µs", "μs", "usec", "microsecond", "microseconds"), 1e-6),
    **dict.fromkeys(("ns", "nsec", "nanosecond", "nanoseconds"), 1e-9),
    **dict.fromkeys(("min", "minutes"), 60.0),
}
_FEWEST_TIMES: Final = 50
_TIME_TOLERANCE: Final = 0.01


@dataclass(frozen=True)
class _Layout:
    """How the cells of a text are to be understood; ``units`` has one for each column, empty where none is stated."""

    separator: str
    decimal: str
    header_rows: int
    names: tuple[str, ...]
    units: tuple[str, ...]


def read_csv(
    path: str | os.PathLike[str],
    sampling_rate_hz: float | None,
    unit: str = "mV",
    leads: LeadNames = AS_NAMED,
    *,
    rebuild_leads: bool = False,
) -> Recording:
    """Read samples, one row each.

    Without names there must be a column for each lead of ``leads`` (default: the twelve, in standard order); numbers
    from 0 or 1 upwards, as pandas and R write them above nameless columns, are no names and no samples. With names,
    columns that are no lead are ignored; but a time whose step contradicts the rate is refused. An empty cell is a
    missing sample, an empty line between others a missing row.

    Args:
        path: the file.
        sampling_rate_hz: its rate; None if a comment in the file states it (``# rate: 500 Hz``).
        unit: of columns for which the file states none, as `millivolts` takes it.
        leads: names for nameless columns, or leads for other names.
        rebuild_leads: take files that lack limb leads which follow from the others.

    Raises:
        UnreadableRecordingError: the file is missing, empty or not such a table, lacks a lead, or contradicts the rate.
    """
    import pandas as pd

    text = _text(path)
    comments, text = _parted(text, path)
    layout = _layout(comments, text, leads, path)
    found = _leads_among(layout.names, text, path, rebuild_leads, leads)
    rate = _rate(comments, sampling_rate_hz, path)
    try:
        table = pd.read_csv(
            io.StringIO(text),
            header=None,
            skiprows=layout.header_rows,
            sep=r"\s+" if layout.separator == " " else layout.separator,
            decimal=layout.decimal,
            skipinitialspace=True,
            skip_blank_lines=False,
            low_memory=False,
        )
    except pd.errors.EmptyDataError as error:
        raise UnreadableRecordingError(path, "holds no samples") from error
    except (ValueError, OverflowError) as error:
        raise UnreadableRecordingError(path, f"cannot be read as CSV ({one_line(error)})") from error
    if table.shape[1] != len(layout.names):
        raise UnreadableRecordingError(path, f"has {table.shape[1]} columns below {len(layout.names)} names of columns")
    columns = list(found.columns)
    kinds = [dtype.kind for dtype in table.dtypes]
    for column in columns:  # by their types, since pandas would turn the words True and False into numbers
        if kinds[column] not in "fiu":
            table[column] = _numbers(map(str, table[column]), layout.decimal, path)
    are_all = columns == list(range(len(kinds)))
    values = (table if are_all else table[columns]).to_numpy(np.float64)
    if np.isnan(values).any():
        _check_rows(text, layout, path)
    for column, name in enumerate(layout.names):
        if (match := _TIME.fullmatch(name.strip("'\" "))) and kinds[column] in "fiu":
            stated = match[1].lower() or layout.units[column].strip("'\"()[] ").lower()
            _check_times(table[column].to_numpy(np.float64), stated, rate, name, path)
    stated_units = [layout.units[column] for column in columns] if any(layout.units) else []
    factors = column_factors(found, stated_units, unit, path)
    with np.errstate(over="ignore"):  # what does not fit becomes infinite and is refused as such
        signals_mv = (values * factors).astype(np.float32)
    return Recording(
        record_id=_stem(path),
        signals_mv=found.to_twelve_leads(signals_mv),
        sampling_rate_hz=rate,
        file=os.fspath(path),
        rebuilt=found.rebuilt,
        assumed_unit=assumed_unit(found, stated_units, unit),
    )


_LOOKED_AT_BYTES: Final = 16_384
_LINES_LOOKED_AT: Final = 20
_FEWEST_NUMBERS: Final = 8

Content = Literal["samples", "labels", "notes", ""]
"""What a text file seems to hold; empty where it cannot be seen."""


def content_of(path: str | os.PathLike[str]) -> Content:
    """Whether a text file holds samples, a table about recordings, or notes, by its first lines.

    A table about recordings has a column that names them or their patients, and cells of words or few numbers; notes
    have neither names of leads nor a row of numbers, or are empty. Files that cannot be read are none of these.
    """
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(_LOOKED_AT_BYTES)
        if data.startswith(b"\x1f\x8b"):
            data = zlib.decompressobj(31).decompress(data, _LOOKED_AT_BYTES)
        code = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
        text = data.decode(code, "replace").replace("\r\n", "\n").replace("\r", "\n").strip("\n")
        comments, text = _parted(text, path) if text.strip() else ([], "")
    except (OSError, ValueError, zlib.error, UnreadableRecordingError):
        return ""
    if not text.strip():
        return "notes"
    first, *others = [line for line in text.split("\n") if line.strip()][:_LINES_LOOKED_AT]
    separator = _separator(first)
    names, *rows = ([cell.strip(" '\"") for cell in line.split(separator)] for line in (first, *others))
    numbers = [sum(_is_number(cell, separator) for cell in row) for row in rows or [names]]
    leads = sum(
        standard_lead(name) is not None for name in [*names, *_commented_names(comments, separator, len(names))]
    )
    is_table = recording_column(names) is not None or any(map(means_patient, names))
    words = any(cell and not _is_number(cell, separator) and not is_missing(cell) for row in rows for cell in row)
    if leads >= 2 or all(_is_number(cell, separator) for cell in names if cell):
        return "samples"
    if is_table and rows and (words or max(numbers) < _FEWEST_NUMBERS):
        return "labels"
    return "samples" if max(numbers) >= _FEWEST_NUMBERS else "notes"


def _numbers(cells: Iterable[str], decimal: str, path: str | os.PathLike[str]) -> list[float]:
    """The numbers in the cells of a column, NaN for words that stand for missing values."""
    numbers = []
    for cell in cells:
        number = cell.replace(decimal, ".", 1)
        if not (is_number(number) or is_missing(cell)):
            raise UnreadableRecordingError(path, f"has a cell that is no number ({cell[:40]!r})")
        numbers.append(float(number) if is_number(number) else math.nan)
    return numbers


def _leads_among(
    names: Sequence[str], text: str, path: str | os.PathLike[str], rebuild_leads: bool, leads: LeadNames
) -> LeadColumns:
    """The leads among the names of columns; if there are none, but a line below names them, that is said."""
    try:
        return lead_columns(names, path, rebuild=rebuild_leads, leads=leads)
    except UnreadableRecordingError:
        lines = text[:_LOOKED_AT_BYTES].split("\n")[:_LINES_LOOKED_AT]
        for number, line in enumerate(lines[1:], 2):
            words = line.split(_separator(line))
            if sum(standard_lead(word) is not None for word in words) >= _FEWEST_NUMBERS:
                raise UnreadableRecordingError(
                    path,
                    f"names its leads in line {number} of the table; remove the lines above it, or start them with #",
                ) from None
        raise


def _stem(path: str | os.PathLike[str]) -> str:
    name = Path(path).name
    return Path(name[:-3] if name.lower().endswith(".gz") else name).stem


def _text(path: str | os.PathLike[str]) -> str:
    """The file's text with plain line ends, unpacked and without mark, blank lines at its ends left out."""
    try:
        if (size := Path(path).stat().st_size) > _LARGEST_BYTES:
            raise UnreadableRecordingError(
                path, f"has {size} bytes, of at most {_LARGEST_BYTES} in CSV, save it as .npy or cut it first"
            )
        data = Path(path).read_bytes()
        if data.startswith(b"\x1f\x8b"):
            with gzip.open(io.BytesIO(data)) as stream:
                data = stream.read(_LARGEST_BYTES + 1)
            if len(data) > _LARGEST_BYTES:
                raise UnreadableRecordingError(path, f"unpacks to more than {_LARGEST_BYTES} bytes, cut it first")
        text = _decoded(data)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise UnreadableRecordingError(path, f"cannot be read as CSV ({one_line(error)})") from error
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = text.lstrip("\n").rstrip("\n ")
    if "\0" in text:
        raise UnreadableRecordingError(path, "cannot be read as CSV (it holds zero bytes, so it is no text)")
    _check_lines(text, path)
    return text


def _decoded(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        if re.search(rb"[\x00-\x08\x0e-\x1f]", data):  # no text in any code
            raise
        return data.decode("cp1252")


def _check_lines(text: str, path: str | os.PathLike[str]) -> None:
    """Refuse a file with a very long line: pandas takes minutes and gigabytes for one of a million cells."""
    start = 0
    while len(text) - start > _LONGEST_LINE:
        end = text.rfind("\n", start, start + _LONGEST_LINE + 1)
        if end < 0:
            raise UnreadableRecordingError(
                path, f"has a line of more than {_LONGEST_LINE} characters, expected a row for each sample"
            )
        start = end + 1


def _parted(text: str, path: str | os.PathLike[str]) -> tuple[list[str], str]:
    """The lines above the table, which are comments or Excel's ``sep=``, and the table."""
    comments: list[str] = []
    while text.startswith((*_COMMENT_MARKS, "sep=", "SEP=", '"sep=')):
        line, _, text = text.partition("\n")
        text = text.lstrip("\n")
        comments.append(line)
        if len(comments) > _MOST_COMMENTS:
            raise UnreadableRecordingError(path, f"starts with more than {_MOST_COMMENTS} lines of comments")
    if not text.strip():
        raise UnreadableRecordingError(path, "holds no samples")
    return comments, text


def _rate(comments: Sequence[str], given: float | None, path: str | os.PathLike[str]) -> float:
    """The rate that was given, which comments must not contradict; without it theirs."""
    stated = {float(rate) * (1000 if kilo else 1) for line in comments for rate, kilo in _COMMENTED_RATE.findall(line)}
    rate = positive_rate(next(iter(stated)) if given is None and len(stated) == 1 else given, path)
    for other in stated:
        if abs(other / rate - 1) > 1e-3:
            raise UnreadableRecordingError(
                path, f"states a sampling rate of {other:g} Hz in a comment, but {rate:g} Hz was given"
            )
    return rate


def _layout(comments: Sequence[str], text: str, leads: LeadNames, path: str | os.PathLike[str]) -> _Layout:
    first, second, third, *_ = [*text[: 3 * _LONGEST_LINE].split("\n", 3), "", ""]
    said = next((line.strip('"')[4:].strip() for line in comments if not line.startswith(_COMMENT_MARKS)), "")
    separator = _SEPARATORS.get(said.lower(), said) or (" " if said else _separator(first))
    if len(separator) != 1 or separator.isalnum() or separator in '."\n':
        raise UnreadableRecordingError(path, f"states the separator {separator[:20]!r}, expected one character")
    cells, below = _cells(first, separator, path), _cells(second, separator, path)
    _check_whole([first, second, third], separator, path)
    if len(below) == len(cells) + 1 and not all(map(is_number, cells)):
        cells = _with_row_names(cells, below, _cells(third, separator, path))
    units = [""] * len(cells)
    names = list(cells)
    header_rows = 1
    if not all(_is_number(cell, separator) for cell in cells if cell):
        if _is_units_row(cells, below, leads):
            units, header_rows = [cell.strip("'\"()[] ") for cell in below], 2
    elif _is_numbered(cells):
        nameless = [place for place, cell in enumerate(cells) if cell]
        if not any(name in cells for name, _ in leads.renamed):
            for place, name in zip(nameless, _names(len(nameless), leads, path), strict=True):
                names[place] = name
    else:
        header_rows = 0
        names = _commented_names(comments, separator, len(cells)) or list(_names(len(cells), leads, path))
    if stated := {match[1] for line in comments for match in _COMMENTED_UNIT.finditer(line) if millivolts(match[1])}:
        if len(stated) > 1:
            raise UnreadableRecordingError(path, f"states several units in its comments: {', '.join(sorted(stated))}")
        (of_all,) = stated
        are_leads = [standard_lead(name) is not None for name in leads.apply(names)]
        units = [unit or (of_all if is_lead else "") for unit, is_lead in zip(units, are_leads, strict=True)]
    sample = _cells((first, second, third)[header_rows], separator, path)
    pointed = any("." in cell and is_number(cell) for cell in sample)
    if separator == ",":  # quoted; of 1,234 it is not clear whether the comma parts thousands
        comma = not pointed and any(re.fullmatch(r"[+-]?(0,\d+|\d+,(\d{1,2}|\d{4,}))", cell) for cell in sample)
    else:
        comma = not pointed and text.find(",", len(first) + 1 if header_rows else 0) >= 0
    return _Layout(separator, "," if comma else ".", header_rows, tuple(names), tuple(units))


def _check_whole(lines: Sequence[str], separator: str, path: str | os.PathLike[str]) -> None:
    """Refuse a text of at most one row below its names that ends so early that these could be misunderstood.

    Numbers that count the columns, but for the last of them, are names that are cut. One row does not show whether the
    names of rows that stand in front (below a blank, as pandas writes text, or in quotes, as R does) count as a cell.
    """
    first, second, third = lines
    cells = [cell for cell in re.split(rf"[\"'\s{re.escape(separator)}]+", first) if cell]
    is_numbered = len(cells) > 2 and all(map(is_number, cells)) and _is_numbered(cells[:-1])
    are_below_blank = separator == " " and first.startswith(" ") and not second.startswith(" ")
    are_quoted = second.startswith('"') and second.count('"') == 2
    if not third and (are_below_blank or are_quoted if second else is_numbered and not _is_numbered(cells)):
        raise UnreadableRecordingError(path, "ends within its first rows, the file is cut or damaged")


def _with_row_names(cells: list[str], second: Sequence[str], third: Sequence[str]) -> list[str]:
    """The names of columns with an empty one for that of the names of rows, which count from 0 or 1 (R, pandas)."""
    counts = [row[0].strip("'\"") for row in (second, third) if row]
    return ["", *cells] if counts in (["0", "1"], ["1", "2"]) and second[-1] else cells


def _names(count: int, leads: LeadNames, path: str | os.PathLike[str]) -> Sequence[str]:
    """The names of ``count`` nameless columns."""
    names = leads.of_nameless()
    if count != len(names):
        raise UnreadableRecordingError(
            path,
            f"has {count} columns without names, expected {len(names)}: {', '.join(names)}; name them by --leads",
        )
    return names


def _separator(line: str) -> str:
    """The character between the cells of a line, outside of quotes; a blank stands for any number of them."""
    bare = _QUOTED.sub("", line)
    words = bare.split()
    if len(words) > 1 and all(re.fullmatch(r"[+-]?\d+(,\d+)?(e[+-]?\d+)?", word, re.IGNORECASE) for word in words):
        return "\t" if "\t" in bare.strip() else " "
    found = next((separator for separator in ";\t,|" if separator in bare), "")
    return found or (" " if len(words) > 1 else ",")


def _cells(line: str, separator: str, path: str | os.PathLike[str]) -> list[str]:
    if separator == " ":
        line = " ".join(line.split())
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=separator, strict=True), [])]
    except csv.Error as error:
        raise UnreadableRecordingError(path, f"cannot be read as CSV ({one_line(error)})") from error


def _is_number(cell: str, separator: str) -> bool:
    return is_number(cell) or (separator != "," and is_number(cell.replace(",", ".", 1)))


def _is_numbered(cells: Sequence[str]) -> bool:
    """Whether the cells count columns, from 0 or from 1, in whole numbers or as pandas writes them (``0.0``)."""
    numbers = [float(cell.replace(",", ".", 1)) for cell in cells if cell]
    return len(numbers) > 1 and any(numbers == list(range(start, start + len(numbers))) for start in (0, 1))


def _is_units_row(names: Sequence[str], below: Sequence[str], leads: LeadNames) -> bool:
    """Whether the row below the names states the units of all leads among them."""
    if len(below) != len(names):
        return False
    of_leads = [
        cell.strip("'\"()[] ")
        for name, cell in zip(leads.apply(names), below, strict=True)
        if standard_lead(name) is not None
    ]
    return bool(of_leads) and all(cell and millivolts(cell) is not None for cell in of_leads)


def _commented_names(comments: Sequence[str], separator: str, count: int) -> list[str]:
    """Names in the last comment, where NumPy's savetxt writes them; empty if it holds no names for these columns."""
    line = comments[-1].lstrip("#%/! ") if comments and comments[-1].startswith(_COMMENT_MARKS) else ""
    names = [name.strip() for name in (line.split() if separator == " " else line.split(separator))]
    return names if len(names) == count and any(standard_lead(name) is not None for name in names) else []


def _check_rows(text: str, layout: _Layout, path: str | os.PathLike[str]) -> None:
    """Refuse a row that ends early, which pandas would fill up with missing samples."""
    if layout.separator == " ":
        rows: Any = (line.split() for line in text.split("\n"))
    else:
        rows = csv.reader(io.StringIO(text), delimiter=layout.separator)
    for number, row in enumerate(rows, 1):
        if row and len(row) < len(layout.names) and (len(row) > 1 or row[0].strip()):
            raise UnreadableRecordingError(
                path, f"row {number} ends after {len(row)} of {len(layout.names)} cells, the file is cut or damaged"
            )


def _check_times(
    times: npt.NDArray[np.float64], stated: str, rate: float, name: str, path: str | os.PathLike[str]
) -> None:
    """Refuse times whose mean step is not that of the rate; in an unknown unit they may be any, or count samples."""
    if len(times) < _FEWEST_TIMES or not np.isfinite(times).all():
        return
    steps, span = np.diff(times), times[-1] - times[0]
    if span <= 0 or not (steps > 0).any():
        return
    step = span / len(steps)
    tolerance = _TIME_TOLERANCE + steps[steps > 0].min() / span  # times may be rounded
    known = _SECONDS_IN.get(stated)
    scales = {1 / rate, *_SECONDS_IN.values()} if known is None else {known}
    if all(abs(step * scale * rate - 1) > tolerance for scale in scales):
        seconds = step * (known or 1)
        raise UnreadableRecordingError(
            path,
            f"column {name[:40]!r} has a step of {seconds:.6g}{' s' if known else ''} "
            f"(as seconds, {1 / seconds:.6g} Hz), but the sampling rate given is {rate:g} Hz",
        )
