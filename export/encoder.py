"""Embedding recordings with an exported encoder: NumPy and onnxruntime only, without TensorFlow.

The encoder's file says at which rate, in which windows and from which leads it was trained; recordings are brought to
that form by the same `ecg_advmask.ecg.windows.cut` that made the training data.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, Self

import numpy as np
import numpy.typing as npt
import onnxruntime

from ecg_advmask.ecg.leads import STANDARD_LEADS, find_leads
from ecg_advmask.ecg.shift import Reference
from ecg_advmask.ecg.signals import FloatSignals
from ecg_advmask.ecg.sources import Recording, Refused, Windowing, cut
from ecg_advmask.ecg.units import millivolts
from ecg_advmask.ecg.windows import refusal
from ecg_advmask.errors import InputError
from ecg_advmask.export.pretrained import encoder_file
from ecg_advmask.files import sha256_of

# ---- From a recording to the windows that an encoder takes, and the metadata of it. Without onnxruntime.
#
# Windows are cut by the same `ecg_advmask.ecg.windows.cut` that made the training data.


@dataclass(frozen=True)
class Outline:
    """What is known of a recording before its windows are embedded.

    ``windows`` (n,) int64 counts the recording's windows from 0, refused ones included, and ``start_s`` (n,) float64 is
    where they start. ``refused_windows`` holds number and reason; ``trailing_s`` is the length of the last piece, too
    short for a window; ``rebuilt`` names the leads that were computed from others; of ``padded`` windows the end is
    padding; ``zeros_s`` is the length of zeros cut off at its ends, ``assumed_unit`` that of files that state none.
    """

    record_id: str
    file: str
    windows: npt.NDArray[np.int64]
    start_s: npt.NDArray[np.float64]
    refused_windows: tuple[tuple[int, str], ...]
    trailing_s: float
    rebuilt: tuple[str, ...]
    padded: int = 0
    zeros_s: float = 0.0
    assumed_unit: str = ""


Windowed = tuple[Outline | Refused, Iterable[FloatSignals]]
"""A recording and its windows, each (L, 12) float32 in millivolts: as many as the outline says, none if refused."""


def windows_to_embed(recording: Recording | Refused, windowing: Windowing) -> Windowed:
    """Cut a recording; one that is too short, or of which no window passes the quality checks, comes as `Refused`."""
    if isinstance(recording, Refused):
        return recording, ()
    try:
        pieces = cut(recording.signals_mv, recording.sampling_rate_hz, windowing)
    except InputError as error:
        return Refused(recording.record_id, recording.file, str(error)), ()
    if not pieces.windows:
        reason = f"no usable window; window {pieces.refused[0][0]}: {refusal(recording, pieces)}"
        return Refused(recording.record_id, recording.file, reason), ()
    outline = Outline(
        record_id=recording.record_id,
        file=recording.file,
        windows=np.array([window.index for window in pieces.windows], np.int64),
        start_s=np.array([window.start_s for window in pieces.windows], np.float64),
        refused_windows=tuple(pieces.refused),
        trailing_s=pieces.trailing_s,
        rebuilt=recording.rebuilt,
        padded=sum(window.valid_samples < windowing.window_samples for window in pieces.windows),
        zeros_s=pieces.zeros_s,
        assumed_unit=recording.assumed_unit,
    )
    return outline, [window.signals_mv for window in pieces.windows]


FORMAT: Final = "ecg-advmask encoder 1"
"""Value of ``format`` in an encoder's metadata; the number rises when older readers could no longer use the file."""

INPUT: Final = "ecg"
OUTPUT: Final = "embedding"
PREDICTION: Final = "prediction"
"""Second output of a classifier: an encoder with a head."""
REFERENCE: Final = "pretraining_features"
"""Entry of the metadata that holds a `Reference`; files of older versions have none."""

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class EmbeddedRecording(Outline):
    """The windows of one recording that were embedded, and what was left out of it.

    ``embeddings`` is (n, D) float32; ``predictions`` (n, C) float32 if the file is a classifier, else None.
    """

    embeddings: FloatArray = field(kw_only=True)
    predictions: FloatArray | None = field(kw_only=True)

    @property
    def mean(self) -> FloatArray:
        """Mean embedding of the windows, (D,) float32."""
        return np.asarray(self.embeddings.mean(axis=0, dtype=np.float64), np.float32)

    @property
    def mean_prediction(self) -> FloatArray | None:
        """Mean prediction over the windows, (C,) float32; None if the file is no classifier."""
        if self.predictions is None:
            return None
        return np.asarray(self.predictions.mean(axis=0, dtype=np.float64), np.float32)


class Embedder(Protocol):
    """What turns windows into rows of a table: an `OnnxEncoder`, or what stands in its place."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """At least ``encoder_sha256``."""

    @property
    def sha256(self) -> str:
        """Of all that its numbers depend on."""

    @property
    def names(self) -> tuple[str, ...] | None:
        """Of its predictions, if it gives any."""

    @property
    def reference(self) -> Reference | None:
        """Features of windows to compare recordings with."""

    @property
    def sampling_rate_hz(self) -> int:
        """Of its windows."""

    @property
    def embedding_dim(self) -> int:
        """Numbers that it gives a window."""

    @property
    def windowing(self) -> Windowing:
        """How recordings are cut for it."""

    def run(self, windows_mv: FloatArray) -> tuple[FloatArray, FloatArray | None]:
        """As `OnnxEncoder.run`."""


class OnnxEncoder:
    """An exported encoder, or a classifier: an encoder with a linear head.

    Several threads may share one: each call has its own inputs and outputs, and gives what it gives alone.

    Attributes:
        path: its file.
        metadata: what the file says about itself, as text, but for the reference.
        reference: features of windows that the encoder was pretrained on, to compare recordings with; None if the file
            holds none.
        sampling_rate_hz, window_samples: the form of the windows that it takes.
        embedding_dim: length D of an embedding.
        names: of a classifier, what its C predictions are of: classes (probabilities that sum to 1), labels (a
            probability each) or the unit of a number, as ``metadata["kind"]`` says; None without a head.
        thresholds: of a classifier that `ecg-advmask fit` wrote, the probability from which a class or label is taken
            to be there, by name; empty where none is stated.

    Args:
        path: a file that `ecg-advmask export` wrote.
        threads: that onnxruntime computes with; by default all cores.
        providers: onnxruntime's execution providers, the first that can do an operation does it.

    Raises:
        InputError: the file is missing, is not ONNX, or is not an encoder that `ecg-advmask export` wrote; or a
            provider is not there.
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
        there = onnxruntime.get_available_providers()
        if absent := [name for name in providers if name not in there]:
            raise InputError(f"providers: this onnxruntime has no {', '.join(absent)}, it has {', '.join(there)}")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # failures are reported in one line below
        options.intra_op_num_threads = threads or 0
        try:
            self._session: Any = onnxruntime.InferenceSession(
                os.fspath(path), sess_options=options, providers=list(providers)
            )
        except Exception as error:  # onnxruntime raises a different exception for each kind of damage
            raise InputError(f"{path}: not an ONNX file, or a damaged one ({str(error).splitlines()[0]})") from error
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self.reference = _reference(self.path, self.metadata.pop(REFERENCE, None))
        self.names = _names(self.path, self.metadata.get("names"))
        self.thresholds = _thresholds(self.path, self.metadata.get("thresholds"), self.names or ())
        self.sampling_rate_hz, self.window_samples, self.embedding_dim = self._form()

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | os.PathLike[str], *, revision: str | None = None, **options: Any
    ) -> Self:
        """Open an encoder that comes with the package, such as ``small``; or a file, folder or repository of a hub.

        Args:
            name_or_path, revision: as `ecg_advmask.export.pretrained.encoder_file` takes them.
            options: ``threads`` and ``providers``.

        Raises:
            InputError: there is no such encoder, or it is damaged.
        """
        return cls(encoder_file(name_or_path, revision=revision), **options)

    @property
    def sha256(self) -> str:
        """SHA-256 of its file."""
        return sha256_of(self.path)

    @property
    def windowing(self) -> Windowing:
        """How recordings are cut for this encoder: those from half a window to a window are padded."""
        return Windowing(self.sampling_rate_hz, self.window_samples, max(1, round(self.window_samples / 2)))

    def run(self, windows_mv: FloatArray) -> tuple[FloatArray, FloatArray | None]:
        """Embeddings (n, D) and, of a classifier, predictions (n, C) of windows as they are, without any check.

        Args:
            windows_mv: (n, window_samples, 12) float32, millivolts, leads in the standard order.

        Raises:
            InputError: onnxruntime fails, such as for lack of memory.
        """
        outputs = [OUTPUT] if self.names is None else [OUTPUT, PREDICTION]
        try:
            found = self._session.run(outputs, {INPUT: np.ascontiguousarray(windows_mv, np.float32)})
        except Exception as error:  # onnxruntime raises a different exception for each kind of failure
            reason = str(error).splitlines()[0]
            raise InputError(f"{self.path}: fails on {len(windows_mv)} windows at once ({reason})") from error
        embeddings, *predictions = (np.asarray(values, np.float32) for values in found)
        return embeddings, predictions[0] if predictions else None

    def embed_windows(self, windows_mv: FloatArray) -> FloatArray:
        """The embeddings of `run` alone."""
        return self.run(windows_mv)[0]

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
            signals_mv: (T, n leads) in millivolts; missing samples are NaN, or masked in a masked array. Of signals in
                another unit, the quality checks find those in microvolts (amplitude) and those in volts (flat). The
                columns of a pandas data frame are taken by their names, unless it only numbers them.
            sampling_rate_hz: its rate; it is resampled to the encoder's.
            leads: names of the columns, in any order; by default those of a data frame, else the twelve in the standard
                order. A unit in a name (``I (uV)``) overrides millivolts. Other columns are ignored. V1 to V6 and two
                limb leads must be there: limb leads that are missing are rebuilt from these, by Einthoven's law and
                Goldberger's definitions, and named in ``rebuilt`` of the result.
            record_id: name of the recording, for complaints.
            batch_size: windows that go through the network at once.

        Raises:
            InputError: a lead is twice there, or missing and not determined by the others; a lead is no numbers; the
                recording is shorter
                than a window, or no window of it passes the quality checks.
        """
        twelve, rebuilt = _twelve_leads(signals_mv, leads)
        recording = Recording(record_id, twelve, sampling_rate_hz, rebuilt=rebuilt)
        outline, windows = windows_to_embed(recording, self.windowing)
        if isinstance(outline, Refused):
            raise InputError(f"recording {record_id}: {outline.reason}" if record_id else outline.reason)
        stacked = np.stack(list(windows))
        batches = [self.run(stacked[first : first + batch_size]) for first in range(0, len(stacked), batch_size)]
        predictions = [predicted for _, predicted in batches if predicted is not None]
        return EmbeddedRecording(
            **vars(outline),
            embeddings=np.concatenate([embeddings for embeddings, _ in batches]),
            predictions=np.concatenate(predictions) if predictions else None,
        )

    def _form(self) -> tuple[int, int, int]:
        """Rate, window and dimension, after checking that metadata and graph are those of an encoder."""
        found = self.metadata.get("format", "")
        if found != FORMAT:
            fix = (
                "a newer ecg-advmask reads it" if found.startswith(FORMAT[:-1]) else "give one from ecg-advmask export"
            )
            raise InputError(f"{self.path}: an ONNX file, but not an encoder this version knows; {fix}")
        numbers = [self.metadata.get(key, "") for key in ("sampling_rate_hz", "window_samples", "embedding_dim")]
        if not all(number.isascii() and number.isdigit() and int(number) > 0 for number in numbers):
            raise InputError(f"{self.path}: its metadata lacks rate, window or dimension, export the encoder again")
        rate, window, dim = (int(number) for number in numbers)
        if self.metadata.get("leads") != ",".join(STANDARD_LEADS) or self.metadata.get("unit") != "mV":
            raise InputError(f"{self.path}: takes other leads or another unit than this version gives")
        values = (*self._session.get_inputs(), *self._session.get_outputs())
        stated = {INPUT: [window, len(STANDARD_LEADS)], OUTPUT: [dim]}
        stated |= {} if self.names is None else {PREDICTION: [len(self.names)]}
        if {value.name: value.shape[1:] for value in values} != stated:
            raise InputError(f"{self.path}: its input and output are not those that its metadata states")
        return rate, window, dim


def _names(path: Path, text: str | None) -> tuple[str, ...] | None:
    """The names of a classifier's predictions, from the metadata."""
    if text is None:
        return None
    try:
        names = json.loads(text)
    except ValueError:
        names = None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"{path}: its metadata names no predictions, export the classifier again")
    return tuple(names)


def _reference(path: Path, text: str | None) -> Reference | None:
    """What is known of the recordings that an encoder was pretrained on, from the metadata."""
    try:
        return None if text is None else Reference.from_text(text)
    except ValueError as error:
        raise InputError(f"{path}: its {REFERENCE} {error}, export it again or use a newer version") from error


def _thresholds(path: Path, text: str | None, names: Sequence[str]) -> dict[str, float]:
    """The thresholds of a classifier's predictions, from the metadata."""
    try:
        found = json.loads(text or "{}")
        thresholds = {str(name): float(value) for name, value in found.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"{path}: its metadata states thresholds that are no numbers, fit it again") from error
    if not set(thresholds) <= set(names) or not all(0 <= value <= 1 for value in thresholds.values()):
        raise InputError(f"{path}: its metadata states thresholds of other predictions, fit it again")
    return thresholds


def _twelve_leads(signals_mv: Any, leads: Sequence[str] | None) -> tuple[FloatSignals, tuple[str, ...]]:
    """Signals of any kind that `OnnxEncoder.embed` takes as (T, 12), and the leads that were rebuilt."""
    frame = signals_mv if hasattr(signals_mv, "iloc") and hasattr(signals_mv, "columns") else None
    names = None if leads is None else tuple(leads)
    if names is None and frame is not None and list(frame.columns) != list(range(len(frame.columns))):
        names = tuple(map(str, frame.columns))
    shape = np.shape(signals_mv)
    expected = len(STANDARD_LEADS if names is None else names)
    if len(shape) != 2 or shape[1] != expected:
        fix = "; name the columns by leads" if names is None else ""
        raise InputError(f"signals: have shape {shape}, expected (time, {expected} leads){fix}")
    found = find_leads(STANDARD_LEADS if names is None else names, rebuild=True)
    columns = list(found.columns)
    try:
        if frame is not None:
            signals = frame.iloc[:, columns].to_numpy(np.float32, na_value=np.nan)
        elif isinstance(signals_mv, np.ma.MaskedArray):
            signals = np.ma.filled(signals_mv[:, columns].astype(np.float32), np.nan)
        else:
            signals = np.asarray(signals_mv, np.float32)[:, columns]
    except (TypeError, ValueError) as error:
        raise InputError(f"signals: are no numbers ({str(error).splitlines()[0]})") from error
    factors = [1.0 if unit == "" else millivolts(unit) or 1.0 for unit in found.units]
    if set(factors) != {1.0}:
        signals = signals * np.array(factors, np.float32)
    return found.to_twelve_leads(signals), found.rebuilt
