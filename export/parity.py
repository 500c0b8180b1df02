"""The differences between the embeddings of an exported file and of Keras in float32, and their limits.

In: the file, windows in millivolts, and what Keras gives for them. Out: numbers, for the file's parity report.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime

from ecg_advmask.export.encoder import INPUT, OUTPUT
from ecg_advmask.export.precision import Precision

Float32 = npt.NDArray[np.float32]
Floats = npt.NDArray[np.floating]

PARITY_BATCHES: Final = (1, 7, 32)
"""Batch sizes in which an exported file gets the windows that it is compared on."""

EXPECTED_ERROR: Final = 1e-5
LARGEST_ERROR: Final = 1e-4
"""Differences of a float32 embedding from Keras's: above the first it is worth a look, above the second it is refused.

The second counts in units of the largest embedding where that exceeds 1, since float32 rounds in proportion.
"""

SMALLEST_COSINE: Final[Mapping[Precision, float]] = {
    "float32": 0.99999,
    "float16": 0.999,
    "float16-weights": 0.999,
    "int8": 0.98,
}
"""Cosine similarity of an embedding to Keras's, below which the file is refused, be it of a single window.

Trained encoders stay above 0.9999 in float16 and above 0.99 in int8.
"""

LARGEST_OVER_SPREAD: Final = 0.5
"""Error over spread (`Agreement`) above which the file is refused.

A cosine near 1 says little where embeddings lie close together, as those of an untrained encoder do: this says how much
of what tells windows apart is left. It is about 0.006 in float16 and 0.05 in int8 for trained encoders.
"""


class ParityError(Exception):
    """The converted encoder gives other embeddings than Keras."""


class Agreement(NamedTuple):
    """Of embeddings (or predictions) with those of Keras, over all windows that were compared.

    ``largest_error`` and ``mean_error``: absolute, over all numbers; ``smallest_cosine`` and ``mean_cosine``: over
    windows; ``error_over_spread``: root mean square of the error over that of what tells windows apart, the embeddings
    less their mean (NaN where nothing does); ``largest_value``: Keras's largest number.
    """

    largest_error: float
    mean_error: float
    smallest_cosine: float
    mean_cosine: float
    error_over_spread: float
    largest_value: float

    @classmethod
    def of(cls, found: Floats, expected: Floats) -> "Agreement":
        """Compare embeddings ``(n, D)`` with those of Keras."""
        found, expected = found.astype(np.float64), expected.astype(np.float64)
        error = found - expected
        lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
        same = (found == expected).all(axis=1)  # also embeddings of zeros, which have no direction
        cosine = np.where(same, 1.0, np.sum(found * expected, axis=1) / np.where(lengths == 0, 1.0, lengths))
        largest = float(np.max(np.abs(expected)))
        spread = np.sqrt(np.mean(np.square(expected - expected.mean(axis=0))))
        return cls(
            float(np.max(np.abs(error))),
            float(np.mean(np.abs(error))),
            float(np.min(cosine)),
            float(np.mean(cosine)),
            float(np.sqrt(np.mean(np.square(error))) / spread) if spread > 1e-6 * largest else float("nan"),
            largest,
        )


def session_of(path: str | os.PathLike[str]) -> onnxruntime.InferenceSession:
    """The file, run by onnxruntime on the processor."""
    return onnxruntime.InferenceSession(os.fspath(path), providers=["CPUExecutionProvider"])


def run(session: onnxruntime.InferenceSession, signals_mv: Float32, batch_size: int) -> dict[str, Float32]:
    """Every output of the file for windows (n, L, 12) float32 in millivolts, given in batches of this size."""
    names = [value.name for value in session.get_outputs()]
    starts = range(0, len(signals_mv), batch_size)
    batches = [session.run(names, {INPUT: signals_mv[start : start + batch_size]}) for start in starts]
    return {name: np.concatenate([batch[place] for batch in batches]) for place, name in enumerate(names)}


def agreements(
    path: str | os.PathLike[str], signals_mv: Float32, expected: Mapping[str, Floats]
) -> dict[int, dict[str, Agreement]]:
    """Agreement of each output of a file with what is expected of it, for each batch size in `PARITY_BATCHES`."""
    session = session_of(path)
    found = {batch_size: run(session, signals_mv, batch_size) for batch_size in PARITY_BATCHES}
    return {
        batch_size: {name: Agreement.of(outputs[name], expected[name]) for name in expected}
        for batch_size, outputs in found.items()
    }


def check(agreement: Agreement, precision: Precision, path: str | os.PathLike[str]) -> None:
    """See that embeddings are close enough to Keras's to be used instead.

    Raises:
        ParityError: they are not.
    """
    allowed = LARGEST_ERROR * max(1.0, agreement.largest_value)
    if precision == "float32" and not agreement.largest_error <= allowed:  # "not <=" also catches NaN
        raise ParityError(
            f"{path}: not written, its embeddings differ from Keras's by up to {agreement.largest_error:.2g}, "
            f"more than {allowed:.2g}"
        )
    if not agreement.smallest_cosine >= SMALLEST_COSINE[precision]:
        raise ParityError(
            f"{path}: not written, the cosine of an embedding to Keras's is {agreement.smallest_cosine:.4f}, "
            f"below {SMALLEST_COSINE[precision]:g}; export float32"
        )
    if agreement.error_over_spread > LARGEST_OVER_SPREAD:
        raise ParityError(
            f"{path}: not written, its error is {agreement.error_over_spread:.2f} of the embeddings' spread, more than "
            f"{LARGEST_OVER_SPREAD:g}; export float32"
        )


def jsonable(value: Any) -> Any:
    """The value as JSON takes it: tuples with names as objects, NaN as None."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return jsonable(value._asdict())
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    return None if isinstance(value, float) and np.isnan(value) else value


Embed = Callable[[Float32], Float32]
"""Windows (n, L, 12) float32 in millivolts -> embeddings (n, D) float32."""


def embedder(path: str | os.PathLike[str], batch_size: int = max(PARITY_BATCHES)) -> Embed:
    """The file as a function of windows."""
    session = session_of(path)
    return lambda signals_mv: run(session, signals_mv, batch_size)[OUTPUT]
