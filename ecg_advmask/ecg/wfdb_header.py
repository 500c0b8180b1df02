"""The header of a WFDB record, checked before any file that it names is opened.

The grammar is header(5) of the WFDB Applications Guide. Only what tells which files hold the signals, and how many
bytes they must have, is read here; gains, units and names stay text for the readers of the samples.
"""

import math
import os
import re
import stat
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final, NoReturn

from ecg_advmask.ecg.recording import UnreadableRecordingError, check_samples
from ecg_advmask.errors import InputError
from ecg_advmask.files import inside

LONGEST_HOURS: Final = 48
"""Longer recordings are refused."""

LARGEST_HEADER_BYTES: Final = 1_000_000

_HEAD_BYTES: Final = 8192
_FIRST_WORDS: Final = re.compile(rb"^(?:\xef\xbb\xbf)?[ \t]*([^#\s]\S*)", re.MULTILINE)
"""Of the lines that are no comments: the name of the record, then of signal files or segments."""

BYTES_PER_SAMPLE: Final = {
    "8": Fraction(1), "16": Fraction(2), "24": Fraction(3), "32": Fraction(4), "61": Fraction(2), "80": Fraction(1),
    "160": Fraction(2), "212": Fraction(3, 2), "310": Fraction(4, 3), "311": Fraction(4, 3),
    "508": Fraction(0), "516": Fraction(0), "524": Fraction(0),
}  # fmt: skip
"""By WFDB signal format, those that the wfdb package reads; 508, 516 and 524 are FLAC, of any size."""

_RATE = re.compile(r"(\d{1,12}\.?\d{0,12}|\.\d{1,12})(/\S*)?", re.ASCII)
_FORMAT = re.compile(r"(\d+)(?:x(\d{1,6}))?(?::(\d{1,9}))?(?:\+(\d{1,15}))?", re.ASCII)
_NAME_WITH_BLANKS = re.compile(r"(\S+(?:[ \t]\S+)*?)[ \t]+(\d+(?:[x:+]\d+){0,3})[ \t]+(.*)", re.ASCII)


@dataclass(frozen=True)
class SignalLine:
    """One signal: its file, its layout there, and the fields from the gain to the description as they were found."""

    file: Path
    signal_format: str
    samples_per_frame: int
    skew: int
    offset: int
    fields: str


@dataclass(frozen=True)
class Header:
    """A single-segment record: ``frame_rate_hz`` frames per second, ``frames`` in all, one line for each signal."""

    path: Path
    frame_rate_hz: float
    frames: int
    signals: tuple[SignalLine, ...]
    comments: tuple[str, ...]

    def refuse(self, reason: str) -> NoReturn:
        """Raise `UnreadableRecordingError` for this header."""
        raise UnreadableRecordingError(self.path, reason)


@dataclass(frozen=True)
class Segments:
    """A record of several: ``headers`` are theirs in order of time, None for a gap, ``frames`` how many each has."""

    path: Path
    frame_rate_hz: float
    headers: tuple[Path | None, ...]
    frames: tuple[int, ...]
    comments: tuple[str, ...]


def read_header(path: Path, *, follow_links: bool = False) -> Header:
    """Read and check the header of one segment; of the files that it names only the type and the size are looked at.

    A number of frames that is absent or 0, which stands for unknown, follows from the size of the first file.

    Raises:
        UnreadableRecordingError: the header is missing, malformed or of several segments; it states no signals, no
            positive rate, a longer duration than above or more samples than are taken; it names anything but regular
            files beside it, or files too short for what it states; or its signals do not fit together.
    """
    header = read_any_header(path, follow_links=follow_links)
    if isinstance(header, Segments):
        raise UnreadableRecordingError(path, "is a multi-segment record within another, join its segments first")
    return header


def read_any_header(path: Path, *, follow_links: bool = False) -> Header | Segments:
    """Read and check a header, as `read_header`, of one segment or of several.

    Raises:
        UnreadableRecordingError: as `read_header`; or the segments are not those that the header announces, or each
            has signals of its own (the variable layout).
    """
    lines, comments = _lines(path)
    record, signal_lines = _record_fields(path, lines[0]), lines[1:]
    name, slash, segments = record[0].partition("/")
    if any(mark in name for mark in "/\\:") or (slash and not segments.isdigit()):
        raise UnreadableRecordingError(path, f"has the record name {record[0]!r}, which must not be a path")
    count = _whole(record[1]) if len(record) > 1 else None
    if count is None:
        raise UnreadableRecordingError(path, "is not a WFDB header (its first line does not state how many signals)")
    frame_rate_hz = _frame_rate_hz(path, record)
    stated = _whole(record[3]) if len(record) > 3 else 0
    if stated is None:
        raise UnreadableRecordingError(path, f"has {record[3]} samples, expected a whole number")
    if slash:
        return _segments(path, signal_lines, _whole(segments), frame_rate_hz, stated, comments, follow_links)
    if count == 0 or count != len(signal_lines):
        raise UnreadableRecordingError(path, f"states {count} signals and describes {len(signal_lines)}")

    files: dict[str, Path] = {}
    signals = tuple(_signal_line(path, line, files, follow_links) for line in signal_lines)
    frames = _checked_frames(path, signals, stated)
    _check_duration(path, frames, frame_rate_hz)
    check_samples(frames * sum(signal.samples_per_frame for signal in signals), path)
    return Header(path, frame_rate_hz, frames, signals, comments)


def parts_of(path: str, *, follow_links: bool = False) -> list[str]:
    """Names of the files beside a header that belong to its record and might be taken for others.

    They are the headers of the segments that it joins, unless it is damaged, and MATLAB files with its samples under
    another stem than its own. Of a header without segments only the first word of each line is looked at.
    """
    try:
        with open(path, "rb", buffering=0) as stream:  # noqa: PTH123 (a Path for each of a million files takes long)
            words = [os.fsdecode(word) for word in _FIRST_WORDS.findall(stream.read(_HEAD_BYTES))]
        if not words or "/" not in words[0]:
            own = f"{os.path.basename(path)[:-4]}."  # noqa: PTH119
            return [word for word in words[1:] if word.lower().endswith(".mat") and not word.startswith(own)]
        header = read_any_header(Path(path), follow_links=follow_links)
        paths = [] if isinstance(header, Header) else [one for one in header.headers if one is not None]
        for one in paths:
            read_header(one, follow_links=follow_links)
    except (OSError, UnreadableRecordingError):  # reading it will say what is wrong
        return []
    return [one.name for one in paths]


def _record_fields(path: Path, line: str) -> list[str]:
    """The fields of the record line; a name with blanks, which WFDB does not allow, is known by that of the file."""
    if " " in path.stem and line.startswith(f"{path.stem} "):
        return [path.stem, *line.removeprefix(path.stem).split()]
    return line.split()


def _check_duration(path: Path, frames: int, frame_rate_hz: float) -> None:
    if frames > LONGEST_HOURS * 3600 * frame_rate_hz:
        hours = frames / frame_rate_hz / 3600
        raise UnreadableRecordingError(path, f"lasts {hours:.6g} hours, of at most {LONGEST_HOURS}, cut it first")


def _segments(
    path: Path,
    lines: Sequence[str],
    count: int | None,
    frame_rate_hz: float,
    stated: int,
    comments: tuple[str, ...],
    follow_links: bool,
) -> Segments:
    if not count or count != len(lines):
        raise UnreadableRecordingError(path, f"states {count} segments and names {len(lines)}")
    headers: list[Path | None] = []
    frames = []
    for line in lines:
        name, *rest = line.rsplit(maxsplit=1)
        samples = _whole(rest[0]) if rest else None
        if samples is None:
            raise UnreadableRecordingError(path, f"describes a segment as {line[:80]!r}, expected its name and length")
        if samples == 0:
            raise UnreadableRecordingError(
                path, "is a multi-segment record whose segments have signals of their own, give the segments instead"
            )
        headers.append(None if name == "~" else _file_beside(path, f"{name}.hea", follow_links))
        frames.append(samples)
    if stated not in {0, sum(frames)}:
        raise UnreadableRecordingError(path, f"states {stated} samples, its segments have {sum(frames)}")
    _check_duration(path, sum(frames), frame_rate_hz)
    return Segments(path, frame_rate_hz, tuple(headers), tuple(frames), comments)


def _lines(path: Path) -> tuple[list[str], tuple[str, ...]]:
    """Lines of a header, and its comments."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST_HEADER_BYTES:
            raise UnreadableRecordingError(path, f"is no file of at most {LARGEST_HEADER_BYTES} bytes, as headers are")
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableRecordingError(path, f"cannot be read ({error.strerror})") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    stripped = [line.strip() for line in text.splitlines()]
    lines = [line for line in stripped if line and not line.startswith("#")]
    if not lines:
        raise UnreadableRecordingError(path, "is not a WFDB header (one line for the record, then one for each signal)")
    return lines, tuple(line for line in stripped if line.startswith("#"))


def _frame_rate_hz(path: Path, record: Sequence[str]) -> float:
    """The third field of the record line, before the frequency of a counter.

    An absent rate would mean 250 Hz by the standard; it is refused, since no archive of 12-lead ECGs leaves it out on
    purpose. So are exponents, which the wfdb package misreads.
    """
    if len(record) < 3:
        raise UnreadableRecordingError(path, "does not state its sampling rate, write it into the header")
    match = _RATE.fullmatch(record[2])
    rate_hz = float(match[1]) if match else 0.0
    if rate_hz == 0:
        raise UnreadableRecordingError(
            path, f"has the sampling rate {record[2]}, expected a positive number of Hz without exponent"
        )
    return rate_hz


def _signal_line(path: Path, line: str, files: dict[str, Path], follow_links: bool) -> SignalLine:
    name, signal_format, fields = [*line.split(maxsplit=2), "", ""][:3]
    match = _FORMAT.fullmatch(signal_format)
    blank = None if match else _NAME_WITH_BLANKS.fullmatch(line)
    if blank and "/" not in blank[1] and (path.parent / blank[1]).exists():
        name, signal_format, fields = blank.groups()
        match = _FORMAT.fullmatch(signal_format)
    if name not in files:
        files[name] = _file_beside(path, name, follow_links)
    if not match or match[1] not in BYTES_PER_SAMPLE or match[2] == "0":
        raise UnreadableRecordingError(
            path, f"has the signal format {signal_format!r}, expected one of {', '.join(BYTES_PER_SAMPLE)}"
        )
    samples_per_frame, skew, offset = int(match[2] or 1), int(match[3] or 0), int(match[4] or 0)
    return SignalLine(files[name], match[1], samples_per_frame, skew, offset, fields)


def _file_beside(path: Path, name: str, follow_links: bool) -> Path:
    """The regular file of this name in the header's folder; only a link can lead from a bare name out of it."""
    file = path.parent / name
    try:
        if name in {".", ".."} or any(mark in name for mark in "/\\:\0"):
            raise InputError("has path parts")
        if file.is_symlink() and not follow_links:
            file = inside(path.parent, name)
    except (InputError, OSError, RuntimeError) as error:  # the last two: a circle of links
        leads_out = "/" not in name and "\0" not in name and file.is_symlink() and file.is_file()
        link = "not a file beside it but a link out of its folder, --follow-links follows it"
        what = link if leads_out else "not a file beside it"
        raise UnreadableRecordingError(path, f"names {name!r}, which is {what}") from error
    if not file.exists():
        raise UnreadableRecordingError(path, f"names {name}, which does not exist")
    if not file.is_file() or file.samefile(path):
        raise UnreadableRecordingError(path, f"names {name}, which is no signal file")
    return file


def _checked_frames(path: Path, signals: Sequence[SignalLine], stated: int) -> int:
    """Number of frames, after a look at the size of every signal file."""
    frames, groups = stated, defaultdict[Path, list[int]](list)
    for number, signal in enumerate(signals):
        groups[signal.file].append(number)
    for file, numbers in groups.items():
        first = signals[numbers[0]]
        alike = {(signals[number].signal_format, signals[number].offset) for number in numbers}
        if len(alike) > 1 or numbers[-1] - numbers[0] >= len(numbers):
            raise UnreadableRecordingError(
                path, f"{file.name}: its signals differ in format or are not listed together"
            )
        bytes_per_frame = sum(signals[number].samples_per_frame for number in numbers) * _bytes_per_sample(first)
        size = file.stat().st_size
        if frames == 0 and bytes_per_frame:
            frames = max(0, math.floor((size - first.offset) / bytes_per_frame))
        due = math.ceil(first.offset + frames * bytes_per_frame) if bytes_per_frame else 1
        if size < due:
            raise UnreadableRecordingError(
                path, f"{file.name} is cut short, it has {size} bytes of at least {due}, fetch it again"
            )
    if frames == 0:
        raise UnreadableRecordingError(path, "holds no samples")
    return frames


def _bytes_per_sample(signal: SignalLine) -> Fraction:
    return BYTES_PER_SAMPLE[signal.signal_format]


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"\d{1,18}", text, re.ASCII) else None
