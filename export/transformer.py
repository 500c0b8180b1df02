"""An exported encoder as a transformer of scikit-learn: recordings in, embeddings out, without TensorFlow.

scikit-learn is not part of the base install: ``pip install 'ecg-advmask[sklearn]'``.
"""

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from ecg_advmask.ecg.leads import STANDARD_LEADS, find_leads
from ecg_advmask.ecg.recording import millivolts_in, positive_rate
from ecg_advmask.ecg.sources import Recording, Refused, read_recordings
from ecg_advmask.errors import InputError, some_of
from ecg_advmask.export.encoder import OnnxEncoder
from ecg_advmask.export.rows import embed_recordings
from ecg_advmask.files import sha256_of

try:
    from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
    from sklearn.utils.validation import check_is_fitted
except ImportError as error:
    raise ImportError("EcgEncoder needs scikit-learn: pip install 'ecg-advmask[sklearn]'") from error

Source = str | os.PathLike[str] | Recording | npt.NDArray[Any]
"""One recording: a file, a `Recording`, or an array (T, n leads)."""


class EcgEncoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Embed 12-lead ECGs with an exported encoder, one row per recording: the mean over its windows.

    Nothing is learned from ``X``: `fit` opens the encoder's file and checks it. A fitted transformer can be pickled;
    the file must then still be at ``path``, unchanged.

    ``X`` is a sequence of recordings, each of them one of

    - a path to a WFDB header, a CSV file or a NumPy file that holds one recording;
    - a `ecg_advmask.ecg.sources.Recording`;
    - an array (T, number of leads), or ``X`` as a whole an array (n, T, number of leads).

    Recordings of any length and rate are resampled and cut into windows as `ecg-advmask embed` does it. Limb leads that
    are missing are computed from the others where these determine them. Windows that fail a quality check are ignored
    as long as one window of the recording passes.

    Args:
        path: a file that `ecg-advmask export` wrote; or what else `OnnxEncoder.from_pretrained` takes, such as the name
            of an encoder that comes with the package.
        sampling_rate_hz: rate of arrays, and of files that do not state theirs.
        unit: ``mV``, ``uV`` or ``V``: unit of arrays, and of files that do not state theirs.
        leads: names of the columns of arrays, in any order; by default the twelve in the standard order.
        errors: ``raise``: a recording that cannot be embedded raises `InputError` with its name; ``nan``: its row is
            NaN, and a warning names it.

    Attributes:
        metadata_: what the file says about itself, as text.
        encoder_sha256_: SHA-256 of the file that was fitted.

    Examples:
        >>> model = make_pipeline(EcgEncoder("encoder.onnx"), StandardScaler(), LogisticRegression())
        >>> model.fit(["a.hea", "b.hea", "c.hea"], ["AFIB", "SR", "SR"])
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        sampling_rate_hz: float | None = None,
        unit: str = "mV",
        leads: Sequence[str] | None = None,
        errors: Literal["raise", "nan"] = "raise",
    ) -> None:
        self.path = path
        self.sampling_rate_hz = sampling_rate_hz
        self.unit = unit
        self.leads = leads
        self.errors = errors

    def fit(self, X: Any = None, y: Any = None) -> Self:  # noqa: ARG002 (the interface of scikit-learn)
        """Open the encoder's file and check the parameters; neither ``X`` nor ``y`` is looked at.

        Raises:
            InputError: the file is no exported encoder, or a parameter is not allowed.
        """
        if self.errors not in ("raise", "nan"):
            raise InputError(f"errors = {self.errors!r}: expected 'raise' or 'nan'")
        millivolts_in(self.unit, "EcgEncoder")
        if self.sampling_rate_hz is not None:
            positive_rate(self.sampling_rate_hz, "EcgEncoder")
        find_leads(STANDARD_LEADS if self.leads is None else self.leads, rebuild=True)
        self._encoder = OnnxEncoder.from_pretrained(self.path)
        self.encoder_sha256_ = sha256_of(self._encoder.path)
        self.metadata_ = dict(self._encoder.metadata)
        self._n_features_out = self._encoder.embedding_dim
        return self

    def transform(self, X: Sequence[Source] | npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Embeddings of the recordings, (n, D) float32.

        Raises:
            InputError: ``X`` is not a sequence of recordings; or, with ``errors="raise"``, one of them cannot be read,
                is too short, or has no window that passes the quality checks.
            sklearn.exceptions.NotFittedError: `fit` was not called.
        """
        check_is_fitted(self, "encoder_sha256_")
        encoder, recordings = self._opened(), _sequence(X)
        embeddings = np.full((len(recordings), encoder.embedding_dim), np.nan, np.float32)
        refused = []
        for row, result in enumerate(embed_recordings(encoder, self._read(recordings))):
            if isinstance(result, Refused):
                refused.append(f"{result.file or result.record_id}: {result.reason}")
                if self.errors == "raise":
                    raise InputError(refused[0])
            else:
                embeddings[row] = result.mean
        if refused:
            warnings.warn(f"{len(refused)} recordings have no embedding: {some_of(refused)}", stacklevel=2)
        return embeddings

    def _opened(self) -> OnnxEncoder:
        """The encoder that was fitted; opened again after unpickling."""
        if not hasattr(self, "_encoder"):
            encoder = OnnxEncoder.from_pretrained(self.path)
            if sha256_of(encoder.path) != self.encoder_sha256_:
                raise InputError(f"{self.path}: is not the encoder that was fitted, restore that file or fit again")
            self._encoder = encoder
        return self._encoder

    def _read(self, recordings: Sequence[Source]) -> Iterator[Recording | Refused]:
        for number, one in enumerate(recordings):
            if isinstance(one, Recording):
                yield one if one.record_id else replace(one, record_id=f"X[{number}]")
            elif isinstance(one, str | os.PathLike):
                yield self._read_file(one)
            else:
                yield self._from_array(one, f"X[{number}]")

    def _read_file(self, path: str | os.PathLike[str]) -> Recording | Refused:
        name, found = os.fspath(path), []
        try:
            rate = self.sampling_rate_hz
            for recording in read_recordings(path, sampling_rate_hz=rate, unit=self.unit, rebuild_leads=True):
                found.append(recording)
                if len(found) > 1:
                    return Refused(name, name, "holds several recordings, give each of them as an array")
        except InputError as error:
            return Refused(name, name, str(error).removeprefix(f"{name}: "))
        return found[0]

    def _from_array(self, array: Any, name: str) -> Recording | Refused:
        names = STANDARD_LEADS if self.leads is None else tuple(self.leads)
        signals = np.asarray(array)
        if signals.ndim != 2 or signals.shape[1] != len(names) or signals.dtype.kind not in "fiu":
            reason = f"has shape {signals.shape} and dtype {signals.dtype}, expected numbers (time, {len(names)} leads)"
            return Refused(name, "", reason)
        if self.sampling_rate_hz is None:
            raise InputError(f"{name}: an array does not state its sampling rate, give sampling_rate_hz")
        leads = find_leads(names, rebuild=True)
        signals_mv = np.asarray(signals * millivolts_in(self.unit, name), np.float32)
        return Recording(
            name,
            leads.to_twelve_leads(signals_mv[:, list(leads.columns)]),
            float(self.sampling_rate_hz),
            rebuilt=leads.rebuilt,
        )

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the session of onnxruntime, which cannot be pickled."""
        state: dict[str, Any] = dict(super().__getstate__())
        state.pop("_encoder", None)
        return state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.input_tags.allow_nan = True  # missing samples: a window with one is ignored
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _sequence(X: Any) -> Sequence[Source]:
    """The recordings of ``X`` in a list.

    Raises:
        InputError: it is one recording, or no sequence.
    """
    if isinstance(X, np.ndarray) and X.ndim not in (1, 3):
        raise InputError(f"X: has shape {X.shape}, expected (n, time, leads) or n paths; give one recording as X[None]")
    if isinstance(X, str | os.PathLike | Recording) or not hasattr(X, "__iter__"):
        raise InputError(f"X: is a single {type(X).__name__}, give a list of recordings")
    recordings: list[Source] = list(X)
    if not recordings:
        raise InputError("X: holds no recordings")
    return recordings
