"""What becomes of one recording of an archive: read, resampled, cut and judged. No TensorFlow here."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ecg_advmask.datasets.classes import classes_of
from ecg_advmask.datasets.layouts import LAYOUTS
from ecg_advmask.datasets.listing import Entry, SourceOptions
from ecg_advmask.errors import InputError
from ecg_advmask.formats import UnreadableRecordingError, one_line
from ecg_advmask.pipeline.account import Account, kind
from ecg_advmask.signals import microvolts, signal_hash
from ecg_advmask.windows import Cut, Windowing, cut


@dataclass(frozen=True)
class Outcome:
    """What became of one entry: its windows with their rows of `records.csv`, and what was refused (window, reason).

    The window is None where the reason concerns the recording as a whole; then it has no windows.
    """

    windows_uv: list[npt.NDArray[np.int16]]
    rows: list[dict[str, Any]]
    refused: list[tuple[int | None, str]]
    account: Account


def read_entry(entry: Entry, layout: str, options: SourceOptions, windowing: Windowing) -> Outcome:
    """Read the recording of an entry and cut it into windows; what cannot be used comes back with its reason."""
    if entry.refusal:
        return _refused(entry.refusal)
    try:
        recording = LAYOUTS[layout].read(entry, options)
        pieces = cut(recording.signals_mv, recording.sampling_rate_hz, windowing)
        if not pieces.windows:
            return _refused(_reason(pieces), pieces)
        age = recording.age_years if entry.age_years is None else entry.age_years
        known = {
            "id": entry.record_id,
            "source": entry.source,
            "patient": entry.patient,
            "age_years": "" if age is None else f"{age:g}",
            "sex": entry.sex or recording.sex,
            "codes": ";".join(entry.codes or recording.codes),
            "signal_hash": signal_hash(recording.signals_mv),
            "file": entry.name,
            "original_rate_hz": f"{recording.sampling_rate_hz:.10g}",
        }
    except UnreadableRecordingError as error:
        return _refused(error.reason)
    except InputError as error:
        return _refused(str(error))
    except Exception as error:  # one recording must not end the work on a hundred thousand
        return _refused(f"unexpected: {type(error).__name__} ({one_line(error)}), please report it")
    rows = [
        known
        | {"window": piece.index, "start_s": f"{piece.start_s:g}", "valid_samples": piece.valid_samples}
        | {"reported": ";".join(piece.reported)}
        for piece in pieces.windows
    ]
    account = Account(
        recordings_in=1,
        recordings_kept=1,
        windows_kept=len(rows),
        windows_refused=len(pieces.refused),
        windows_padded=sum(piece.valid_samples < windowing.window_samples for piece in pieces.windows),
        windows_left_out=pieces.beyond_limit,
        trailing_seconds=pieces.trailing_s,
    )
    account.window_reasons.update(kind(reason) for _, reason in pieces.refused)
    account.reported.update(name for piece in pieces.windows for name in piece.reported)
    account.codes.update(set(filter(None, known["codes"].split(";"))))
    account.classes_2020.update(classes_of(known["codes"], 2020))
    account.classes_2021.update(classes_of(known["codes"], 2021))
    return Outcome([microvolts(piece.signals_mv) for piece in pieces.windows], rows, list(pieces.refused), account)


def _refused(reason: str, pieces: Cut | None = None) -> Outcome:
    account = Account(recordings_in=1, recordings_refused=1, trailing_seconds=pieces.trailing_s if pieces else 0.0)
    account.reasons[kind(reason)] += 1
    return Outcome([], [], [(None, reason)], account)


def _reason(pieces: Cut) -> str:
    """Why none of the windows could be kept: the reason of the first."""
    index, reason = pieces.refused[0]
    others = len(pieces.refused) > 1
    return f"{reason} (window {index}; none of the {len(pieces.refused)} windows passes)" if others else reason
