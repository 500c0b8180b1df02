"""Embedding recordings with an exported encoder: NumPy and onnxruntime only, without TensorFlow.

The encoder's file says at which rate, in which windows and from which leads it was trained; recordings are brought to
that form by the same `ecg_advmask.windows.cut` that made the training data.
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnxruntime

from ecg_advmask.errors import InputError
from ecg_advmask.leads import STANDARD_LEADS, lead_index
from ecg_advmask.records import Recording, Refused, Windowing, cut

FORMAT: Final = "ecg-advmask encoder 1"
"""Value of ``format`` in an encoder's metadata; the number rises when older readers could no longer use the file."""

INPUT: Final = "ecg"
OUTPUT: Final = "embedding"


@dataclass(frozen=True)
class EmbeddedRecording:
    """The windows of one recording that were embedded, and what was left out of it.

    ``windows`` (n,) int64 counts the recording's windows from 0, refused ones included, and ``start_s`` (n,) float64 is
    where they start; ``embeddings`` is (n, D) float32. ``refused_windows`` holds number and reason; ``trailing_s`` is
    the length of the last piece, too short for a window.
    """

    record_id: str
    file: str
    windows: npt.NDArray[np.int64]
    start_s: npt.NDArray[np.float64]
    embeddings: npt.NDArray[np.float32]
    refused_windows: tuple[tuple[int, str], ...]
    trailing_s: float


class OnnxEncoder:
    """An exported encoder.

    Attributes:
        path: its file.
        metadata: what the file says about itself, all of it, as text.
        sampling_rate_hz, window_samples: the form of the windows that it takes.
        embedding_dim: length D of an embedding.

    Raises:
        InputError: the file is missing, is not ONNX, or is not an encoder that `ecg-advmask export` wrote.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        threads: int | None = None,
        providers: Sequence[str] = ("CPUExecutionProvider",),
    ) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise InputError(f"{path}: is no file, give an encoder that `ecg-advmask export` wrote")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what fails is told in one line below
        options.intra_op_num_threads = threads or 0
        try:
            self._session: Any = onnxruntime.InferenceSession(
                os.fspath(path), sess_options=options, providers=list(providers)
            )
        except Exception as error:  # onnxruntime raises a different exception for each kind of damage
            raise InputError(f"{path}: not an ONNX file, or a damaged one ({str(error).splitlines()[0]})") from error
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self.sampling_rate_hz, self.window_samples, self.embedding_dim = self._form()

    def embed_windows(self, windows_mv: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Embeddings (n, D) float32 of windows (n, window_samples, 12) float32 in millivolts, as they are."""
        (embeddings,) = self._session.run([OUTPUT], {INPUT: np.ascontiguousarray(windows_mv, np.float32)})
        return np.asarray(embeddings, np.float32)

    def embed(
        self,
        signals_mv: npt.ArrayLike,
        sampling_rate_hz: float,
        leads: Sequence[str] | None = None,
        *,
        record_id: str = "",
        batch_size: int = 32,
    ) -> EmbeddedRecording:
        """Embed one recording, window by window.

        Args:
            signals_mv: (T, 12) in millivolts; NaN where a sample is missing.
            sampling_rate_hz: its rate; it is resampled to the encoder's.
            leads: names of the columns, in any order; the standard order if not given. Other columns are left aside.
            record_id: name of the recording, for complaints.
            batch_size: windows that go through the network at once.

        Raises:
            InputError: a lead is missing or twice there, the recording is shorter than a window, or no window of it
                passes the quality checks.
        """
        signals = in_standard_order(np.asarray(signals_mv, np.float32), leads)
        recording = Recording(record_id, signals, sampling_rate_hz)
        (result,) = embed_recordings(self, [recording], batch_size)
        if isinstance(result, Refused):
            raise InputError(f"recording {record_id}: {result.reason}" if record_id else result.reason)
        return result

    def _form(self) -> tuple[int, int, int]:
        """Rate, window and dimension, after checking that metadata and graph are those of an encoder."""
        found = self.metadata.get("format", "")
        if found != FORMAT:
            mend = (
                "a newer ecg-advmask reads it" if found.startswith(FORMAT[:-1]) else "give one from ecg-advmask export"
            )
            raise InputError(f"{self.path}: an ONNX file, but not an encoder this version knows; {mend}")
        numbers = [self.metadata.get(key, "") for key in ("sampling_rate_hz", "window_samples", "embedding_dim")]
        if not all(number.isascii() and number.isdigit() and int(number) > 0 for number in numbers):
            raise InputError(f"{self.path}: its metadata lacks rate, window or dimension, export the encoder again")
        rate, window, dim = (int(number) for number in numbers)
        if self.metadata.get("leads") != ",".join(STANDARD_LEADS) or self.metadata.get("unit") != "mV":
            raise InputError(f"{self.path}: takes other leads or another unit than this version gives")
        shapes = {value.name: value.shape[1:] for value in (*self._session.get_inputs(), *self._session.get_outputs())}
        if shapes != {INPUT: [window, len(STANDARD_LEADS)], OUTPUT: [dim]}:
            raise InputError(f"{self.path}: its input and output are not those that its metadata states")
        return rate, window, dim


def in_standard_order(signals_mv: npt.NDArray[np.float32], leads: Sequence[str] | None) -> npt.NDArray[np.float32]:
    """Columns brought by name into the order of `STANDARD_LEADS`, (T, n) to (T, 12).

    Raises:
        InputError: the shape does not fit the names, or a standard lead is missing or twice there.
    """
    names = list(STANDARD_LEADS if leads is None else leads)
    if signals_mv.ndim != 2 or signals_mv.shape[1] != len(names):
        raise InputError(f"signals: have shape {signals_mv.shape}, expected (time, {len(names)} leads)")
    columns: dict[int, int] = {}
    for column, name in enumerate(names):
        try:
            lead = lead_index(name)
        except KeyError:
            continue
        if lead in columns:
            raise InputError(f"leads: {STANDARD_LEADS[lead]} is there twice")
        columns[lead] = column
    missing = [lead for index, lead in enumerate(STANDARD_LEADS) if index not in columns]
    if missing:
        raise InputError(f"leads: {', '.join(missing)} missing, all twelve standard leads are needed")
    return signals_mv[:, [columns[lead] for lead in range(len(STANDARD_LEADS))]]


def embed_recordings(
    encoder: OnnxEncoder, recordings: Iterable[Recording | Refused], batch_size: int = 32
) -> Iterator[EmbeddedRecording | Refused]:
    """Embed many recordings in bounded memory: batches are filled across recordings, results come in their order.

    A recording that is too short, or of which no window passes the quality checks, comes as `Refused`; those that are
    refused already pass through.
    """
    batch: list[tuple[EmbeddedRecording, int, npt.NDArray[np.float32]]] = []  # recording, row, window
    waiting: deque[EmbeddedRecording | Refused] = deque()

    def run() -> None:
        embeddings = encoder.embed_windows(np.stack([window for _, _, window in batch]))
        for (owner, row, _), embedding in zip(batch, embeddings, strict=True):
            owner.embeddings[row] = embedding
        batch.clear()

    for recording in recordings:
        result, windows = _cut(encoder, recording)
        waiting.append(result)
        for row, window in enumerate(windows):
            assert isinstance(result, EmbeddedRecording)
            batch.append((result, row, window))
            if len(batch) >= batch_size:
                run()
        while waiting and not (batch and batch[0][0] is waiting[0]):
            yield waiting.popleft()
    if batch:
        run()
    yield from waiting


def _cut(
    encoder: OnnxEncoder, recording: Recording | Refused
) -> tuple[EmbeddedRecording | Refused, list[npt.NDArray[np.float32]]]:
    """A recording's result, its embeddings still to be filled in, and the windows that fill them."""
    if isinstance(recording, Refused):
        return recording, []
    windowing = Windowing(encoder.sampling_rate_hz, encoder.window_samples)
    try:
        pieces = cut(recording.signals_mv, recording.sampling_rate_hz, windowing)
    except InputError as error:
        return Refused(recording.record_id, recording.file, str(error)), []
    if not pieces.windows:
        index, reason = pieces.refused[0]
        return Refused(recording.record_id, recording.file, f"no usable window; window {index}: {reason}"), []
    return EmbeddedRecording(
        record_id=recording.record_id,
        file=recording.file,
        windows=np.array([window.index for window in pieces.windows], np.int64),
        start_s=np.array([window.start_s for window in pieces.windows], np.float64),
        embeddings=np.empty((len(pieces.windows), encoder.embedding_dim), np.float32),
        refused_windows=tuple(pieces.refused),
        trailing_s=pieces.trailing_s,
    ), [window.signals_mv for window in pieces.windows]
