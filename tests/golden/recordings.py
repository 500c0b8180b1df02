"""An archive of made recordings, the same to the last bit on every machine: whole numbers alone, no random generator.

They have beats and noise, but are no imitation of an ECG. What sets the sexes apart is the height of the QRS complex,
so that a linear head has something to find.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from ecg_advmask.ecg.leads import STANDARD_LEADS

Microvolts = npt.NDArray[np.int64]

RECORDINGS = 36
"""At 100 Hz; the last but one is a copy of the first, the last is too short."""

_WAVES = ((-160, 50, 120), (-30, 20, -90), (0, 30, 900), (35, 20, -180), (240, 90, 260))
"""P, Q, R, S and T: place in ms, half width in ms, height in µV."""
_AXES = ((10, 4, 2), (6, 12, 1), (-6, 2, 11))
"""What each of three sources has of QRS, P and T, in tenths."""
_CHEST = ((-4, 1, 9), (-2, 3, 12), (2, 4, 10), (7, 5, 6), (9, 5, 2), (8, 4, -1))
"""V1 to V6 of the three sources, in tenths."""
_TABLE_HEADER = "id,patient,tone"


def signal_uv(number: int, samples: int = 270, sampling_rate_hz: int = 100) -> Microvolts:
    """A recording: (samples, 12) whole microvolts, leads in the standard order."""
    milliseconds = np.arange(samples, dtype=np.int64) * 1000 // sampling_rate_hz
    period = 640 + 37 * (number % 9)
    phase = (milliseconds + 61 * number) % period - period // 3
    complexes = [_triangle(phase, *wave) for wave in _WAVES]
    qrs = (complexes[1] + complexes[2] + complexes[3]) * (13 if _is_male(number) else 9) // 10
    parts = (qrs, complexes[0], complexes[4])
    sources = [sum(share * part for share, part in zip(axis, parts, strict=True)) // 10 for axis in _AXES]
    first, second = sources[0], (4 * sources[0] + 9 * sources[1]) // 10
    limb = [first, second, second - first, -(first + second) // 2, first - second // 2, second - first // 2]
    chest = [sum(share * one for share, one in zip(row, sources, strict=True)) // 10 for row in _CHEST]
    return np.stack([*limb, *chest], axis=1) + _noise(number, samples)


def _triangle(phase: Microvolts, place: int, half_width: int, height: int) -> Microvolts:
    return height * np.maximum(half_width - np.abs(phase - place), 0) // half_width


def _noise(number: int, samples: int) -> Microvolts:
    """Between -16 and 15 µV, by a linear congruence."""
    values = np.arange(samples * len(STANDARD_LEADS), dtype=np.int64) + 100_003 * number
    for _ in range(3):
        values = (values * 1_103_515_245 + 12_345 + (values >> 7)) % 2**31
    return (values >> 20).reshape(samples, -1) % 32 - 16


def _is_male(number: int) -> bool:
    return number % 2 == 1


def write_archive(folder: Path) -> None:
    """Write ``raw`` (at 100 Hz, in the layout of CinC 2021, with a label table) and ``fast`` (two at 500 Hz)."""
    rows = [_TABLE_HEADER]
    for number in range(RECORDINGS):
        record = f"E{number + 1:05d}"
        of = 0 if number == RECORDINGS - 2 else number
        samples = 100 if number == RECORDINGS - 1 else 520 if number % 20 == 3 else 270
        _write_wfdb(folder / "raw" / "training" / "georgia" / "g1", record, signal_uv(of, samples), 100, number)
        rows.append(f"{record},P{number - number % 3 // 2:02d},{('low', 'high')[number % 4 // 2]}")
    (folder / "raw" / "patients.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    for number in (100, 101):
        _write_wfdb(folder / "fast", f"fast-{number}", signal_uv(number, 1300, 500), 500, number)


def _write_wfdb(folder: Path, record: str, samples_uv: Microvolts, sampling_rate_hz: int, number: int) -> None:
    """A text header and one MATLAB v4 file of 16-bit samples, as CinC 2021 has them."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{record} {len(STANDARD_LEADS)} {sampling_rate_hz} {len(samples_uv)}"]
    lines += [
        f"{record}.mat 16+24 1000/mV 16 0 {samples_uv[0, column]} 0 0 {lead}"
        for column, lead in enumerate(STANDARD_LEADS)
    ]
    sex = "Male" if _is_male(number) else "Female"
    code = ("426783006", "426177001", "164889003")[number % 3]
    lines += [f"# Age: {30 + 7 * number % 50}", f"# Sex: {sex}", f"# Dx: {code}"]
    (folder / f"{record}.hea").write_text("\n".join(lines) + "\n", encoding="ascii")
    matrix_header = np.array([30, len(STANDARD_LEADS), len(samples_uv), 0, 4], "<i4").tobytes() + b"val\0"
    (folder / f"{record}.mat").write_bytes(matrix_header + samples_uv.astype("<i2").tobytes())
