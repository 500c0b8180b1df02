"""What a recording's files state, by slow readers written from the definitions of the formats alone.

They know less than the readers of the package and share nothing with them. `Unstated` says that the files, by these
readers, hold no 12-lead recording; a recording that is kept all the same is a wrong number.

WFDB: header(5) and signal(5) of the WFDB Applications Guide. CSV: RFC 4180. NumPy: `numpy.load`.
"""

import csv
import io
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from ecg_advmask.ecg.leads import STANDARD_LEADS

Stated = tuple[npt.NDArray[np.float64], float]
"""Millivolts (T, 12) with NaN where missing, and the sampling rate in Hz."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_UNITS = {"mv": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "nv": 1e-6, "v": 1e3}
_NOTHING = {"", "nan", "na", "n/a", "#n/a", "null", "none", "<na>", "-nan"}


class Unstated(Exception):  # noqa: N818 (it is an answer)
    """The files state no recording."""


def stated(file: Path, record_id: str, rate_hz: float, unit: str) -> Stated:
    """What a file holds of the recording of this id; rate and unit are for files that do not say theirs."""
    suffix = file.suffix.lower()
    if suffix == ".hea":
        return wfdb(file)
    if suffix == ".csv":
        return comma_separated(file, unit), rate_hz
    return numpy_arrays(file, record_id, rate_hz, unit)


# --- WFDB


def wfdb(header: Path) -> Stated:
    """A single-segment record whose signals lie in files of formats that have a fixed size."""
    lines = [line.strip() for line in header.read_bytes().decode("utf-8-sig", "replace").splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    record, signals = lines[0].split(), [_signal(line) for line in lines[1:]]
    if "/" in record[0] or int(record[1]) != len(signals):
        raise Unstated("number of signals")
    rate = float(record[2].partition("/")[0])
    frames = int(record[3]) if len(record) > 3 else 0
    columns, per_frame, files = [], [], list(dict.fromkeys(signal["file"] for signal in signals))
    for file in files:
        own = [signal for signal in signals if signal["file"] == file]
        samples, frames = _samples(header.parent / file, own, frames)
        columns += samples
        per_frame += [signal["per_frame"] for signal in own]
    signals = [signal for file in files for signal in signals if signal["file"] == file]
    leads = _twelve([signal["lead"] for signal in signals])
    counts = {per_frame[place] for place in leads}
    if len(counts) > 1:
        raise Unstated("several rates")
    millivolts = [_millivolts(signals[place], columns[place]) for place in leads]
    return np.stack(millivolts, axis=-1), rate * counts.pop()


def _signal(line: str) -> dict:
    fields = line.split(None, 8)
    match = re.fullmatch(r"(\d+)(?:x(\d+))?(?::(\d+))?(?:\+(\d+))?", fields[1], re.ASCII)
    fields += ["200", "12", "0", "", "0", "0", ""][len(fields) - 2 :]
    gain = re.fullmatch(rf"({_NUMBER.pattern})(?:\((-?\d*)\))?(?:/(\S*))?", fields[2], re.ASCII)
    if not match or not gain or (float(gain[1]) == 0 and re.search("[1-9]", re.split("[eE]", gain[1])[0])):
        raise Unstated(f"line {line[:80]!r}")
    units_per = float(gain[1]) or 200.0
    return {
        "file": fields[0],
        "form": int(match[1]),
        "per_frame": int(match[2] or 1),
        "skew": int(match[3] or 0),
        "offset": int(match[4] or 0),
        "gain": units_per,
        "baseline": float(gain[4] or fields[4]),
        "unit": gain[5] or "mV",
        "lead": fields[8],
    }


def _samples(file: Path, signals: list[dict], frames: int) -> tuple[list[npt.NDArray[np.int64]], int]:
    """Samples of the signals of one file, and the number of frames."""
    data = file.read_bytes()[signals[0]["offset"] :]
    form, width = signals[0]["form"], sum(signal["per_frame"] for signal in signals)
    if form in {16, 61, 160}:
        values = np.frombuffer(data[: len(data) // 2 * 2], {16: "<i2", 61: ">i2", 160: "<u2"}[form]).astype(np.int64)
        values -= 32768 if form == 160 else 0
    elif form in {8, 80}:
        values = np.frombuffer(data, "i1" if form == 8 else "u1").astype(np.int64) - (128 if form == 80 else 0)
    elif form == 24:
        low, middle, high = np.frombuffer(data[: len(data) // 3 * 3], "u1").reshape(-1, 3).T.astype(np.int64)
        values = ((low | middle << 8 | high << 16) ^ 0x800000) - 0x800000
    elif form == 32:
        values = np.frombuffer(data[: len(data) // 4 * 4], "<i4").astype(np.int64)
    elif form == 212:
        first, mixed, second = np.frombuffer(data[: len(data) // 3 * 3], "u1").reshape(-1, 3).T.astype(np.int64)
        pairs = np.stack([first | (mixed & 15) << 8, second | (mixed >> 4) << 8], axis=-1).ravel()
        values = (pairs ^ 0x800) - 0x800
    elif form in {508, 516, 524}:
        frames_of, _ = soundfile.read(file, dtype="int32", always_2d=True)
        values = frames_of.astype(np.int64).ravel() >> (32 - (form - 500))
    else:
        raise Unstated(f"format {form} is unknown to this reader")
    frames = frames or len(values) // width
    blocks = values[: frames * width].reshape(frames, width)
    ends = np.cumsum([signal["per_frame"] for signal in signals])
    found = [block.ravel() for block in np.split(blocks, ends[:-1], axis=1)]
    if form == 8:
        found = [np.cumsum(one) for one in found]
    return found, frames


def _millivolts(signal: dict, samples: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    lowest = {
        8: None,
        508: -128,
        516: -(2**15),
        524: -(2**23),
        16: -(2**15),
        61: -(2**15),
        160: -(2**15),
        80: -128,
        212: -2048,
        24: -(2**23),
        32: -(2**31),
    }
    unit = signal["unit"].lower()
    if unit not in _UNITS:
        raise Unstated(f"unit {unit}")
    values = (samples - signal["baseline"]) / signal["gain"] * _UNITS[unit]
    values[samples == lowest[signal["form"]]] = np.nan
    skew = signal["skew"] * signal["per_frame"]  # the sample of time t is stored `skew` frames later
    return np.concatenate([values[skew:], np.full(min(skew, len(values)), np.nan)])


def _twelve(names: list[str]) -> list[int]:
    """Places of the leads among names."""
    plain = [re.sub(r"^(lead|ecg|ekg)[ _-]?", "", name.strip().strip("'\"").lower()) for name in names]
    others = {"di": "i", "dii": "ii", "diii": "iii", "d1": "i", "d2": "ii", "d3": "iii"}
    others |= {f"{letter}{dash}{number}": f"v{number}" for letter in "vc" for dash in " -_" for number in range(1, 7)}
    others |= {f"c{number}": f"v{number}" for number in range(1, 7)} | {"vr": "avr", "vl": "avl", "vf": "avf"}
    plain = [others.get(name, name) for name in plain]
    if any(plain.count(lead.lower()) != 1 for lead in STANDARD_LEADS):
        raise Unstated("leads")
    return [plain.index(lead.lower()) for lead in STANDARD_LEADS]


# --- tables and arrays


def comma_separated(file: Path, unit: str) -> npt.NDArray[np.float64]:
    """A table of samples in millivolts, whatever separates its cells."""
    text = file.read_bytes().decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n").strip("\n")
    text = re.sub(r"\A(sep=,\n+)+", "", text).lstrip("\n")
    first = text.partition("\n")[0]
    separator = next((one for one in ";\t," if one in re.sub('"[^"]*"', "", first)), " ")
    if separator == " ":
        text = "\n".join(" ".join(line.split()) for line in text.split("\n"))
    lines = csv.reader(io.StringIO(text), delimiter=separator, strict=True, skipinitialspace=True)
    rows = [[cell.strip() for cell in row] for row in lines]
    if separator != "," and not any(_is_number(cell) and "." in cell for cell in rows[1]):
        rows = [[cell.replace(",", ".", 1) if "." not in cell else cell for cell in row] for row in rows]
    names = list(STANDARD_LEADS)
    if not all(_is_number(cell) for cell in rows[0]):
        names, rows = rows[0], rows[1:]
    elif rows[0] == [str(number) for number in range(12)]:
        rows = rows[1:]
    if any(row and len(row) != len(names) for row in rows):
        raise Unstated("rows of another length than the names")
    values = [[_value(cell) for cell in row] or [np.nan] * len(names) for row in rows]
    return np.array(values, np.float64)[:, _twelve(names)] * _UNITS[unit.lower()]


def _is_number(cell: str) -> bool:
    return bool(_NUMBER.fullmatch(cell)) or cell.lower() in _NOTHING | {"inf", "-inf", "infinity", "-infinity"}


def _value(cell: str) -> float:
    if not _is_number(cell):
        raise Unstated(f"cell {cell[:40]!r}")
    return np.nan if cell.lower() in _NOTHING else float(cell)


def numpy_arrays(file: Path, record_id: str, rate_hz: float, unit: str) -> Stated:
    """One recording of an ``.npz`` or ``.npy``: the first of this id, or else the one of the number at its end."""
    loaded = np.load(file, allow_pickle=False)
    arrays = {"signals": loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    signals = arrays["signals"] if arrays["signals"].ndim == 3 else arrays["signals"][None]
    names = [str(name) for name in arrays.get("leads", STANDARD_LEADS)]
    factor = _UNITS[str(np.asarray(arrays.get("unit", unit)).item()).strip().lower() or unit.lower()]
    rate = float(np.asarray(arrays.get("sampling_rate_hz", rate_hz)).item())
    ids = [(one.decode() if isinstance(one, bytes) else str(one)).strip() for one in arrays.get("ids", ())]
    tail = record_id.rpartition("-")[2]
    number = int(tail) if len(signals) > 1 and not ids else 0
    if ids:  # what is found twice under one name gets its path put before its id
        number = next(place for place, one in enumerate(ids) if record_id.endswith(one))
    return signals[number].astype(np.float64)[:, _twelve(names)] * factor, rate
