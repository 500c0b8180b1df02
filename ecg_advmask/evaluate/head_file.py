"""A fitted linear head in a file of its own, to be used on embeddings outside of the evaluation that it comes from."""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np

from ecg_advmask.datasets.targets import Kind, Targets
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.heads import Float64, FloatArray, Head, activate
from ecg_advmask.files import atomic_path

FORMAT: Final = "ecg-advmask linear head 1"
HEAD_SUFFIX: Final = ".head.npz"
"""Instead of the suffix of the result that the head stands beside."""


@dataclass(frozen=True)
class LinearHead:
    """A linear head on plain embeddings ``(n, D)``: ``embeddings @ weights + intercepts``, then softmax or sigmoid.

    Attributes:
        task: what it tells.
        kind: ``classes``, ``labels`` or ``number``.
        names: the K classes or labels, or the unit of the number.
        weights, intercepts: (D, K) and (K,); an intercept of minus infinity for a class that no recording had.
        encoder_sha256: of the weights of the encoder that it was fitted on.
        about: how it was fitted; values that JSON takes.
    """

    task: str
    kind: Kind
    names: tuple[str, ...]
    weights: Float64
    intercepts: Float64
    encoder_sha256: str
    about: Mapping[str, Any]

    @classmethod
    def of(cls, head: Head, targets: Targets, encoder_sha256: str, about: Mapping[str, Any]) -> "LinearHead":
        """A head on standardised embeddings, with the standardisation in its weights."""
        weights = head.weights / head.scale[:, None]
        intercepts = head.intercepts - head.centre @ weights
        return cls(targets.task, targets.kind, targets.names, weights, intercepts, encoder_sha256, about)

    def predict(self, embeddings: FloatArray) -> Float64:
        """``(n, D)`` to probabilities of classes ``(n, K)``, of labels ``(n, K)``, or numbers ``(n,)``."""
        return activate(self.kind, embeddings.astype(np.float64) @ self.weights + self.intercepts)

    def write(self, path: str | Path) -> None:
        """Write the head, atomically, as a NumPy archive without pickled objects (suffix ``.npz``)."""
        told: dict[str, Any] = {"format": FORMAT, "task": self.task, "kind": self.kind, "names": list(self.names)}
        told |= {"encoder_sha256": self.encoder_sha256, "fit": dict(self.about)}
        with atomic_path(path) as temporary:
            np.savez(temporary, weights=self.weights, intercepts=self.intercepts, about=np.array(json.dumps(told)))

    @classmethod
    def read(cls, path: str | Path) -> "LinearHead":
        """The head that `write` wrote.

        Raises:
            InputError: the file is missing, damaged, or something else.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                weights, intercepts = (stored[name].astype(np.float64) for name in ("weights", "intercepts"))
                told = json.loads(str(stored["about"]))
            head = cls(
                str(told["task"]),
                told["kind"],
                tuple(str(name) for name in told["names"]),
                weights,
                intercepts,
                str(told["encoder_sha256"]),
                dict(told["fit"]),
            )
            fits = weights.ndim == 2 and intercepts.shape == weights.shape[1:] == (len(head.names),)
            sound = bool(np.isfinite(weights).all()) and not bool(np.isnan(intercepts).any())
            if told["format"] != FORMAT or head.kind not in get_args(Kind) or not fits or not sound:
                raise ValueError("its parts do not fit together")
        except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"{path}: is not a linear head ({reason}), run ecg-advmask linear-eval again") from error
        return head
