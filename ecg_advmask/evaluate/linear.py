"""Linear evaluation: what frozen embeddings are worth to a linear head that is given few labels.

In: one embedding per recording from each encoder, and the division of the recordings with their targets. Out: metrics
on one fixed test set, for each encoder, number of labels and draw. Every encoder gets the same patients, the same draws
and the same treatment.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]
from tqdm import tqdm

from ecg_advmask.evaluate.adam_head import fit_adam_head
from ecg_advmask.evaluate.evaluation import Fit, compare, draws_of, evaluate
from ecg_advmask.evaluate.head_file import LinearHead
from ecg_advmask.evaluate.heads import FloatArray, Head, fit_head
from ecg_advmask.evaluate.partition import Split
from ecg_advmask.evaluate.protocol import Protocol


def linear_fit(embeddings: FloatArray, split: Split, protocol: Protocol) -> Fit:
    """The `Fit` of a linear head on frozen embeddings ``(n, D)`` of the recordings of ``split``, in its order."""
    fitted = _fitting(embeddings, split, protocol)

    def fit(rows: npt.NDArray[np.int64], seed: int) -> tuple[FloatArray, dict[str, Any]]:
        head, about = fitted(rows, seed)
        return head.predict(embeddings[split.rows["test"]]), about

    return fit


def head_to_keep(embeddings: FloatArray, split: Split, protocol: Protocol, encoder_sha256: str) -> LinearHead:
    """The head that the evaluation fitted on the most labels: the whole training part, if the protocol has it.

    Args:
        embeddings, split, protocol: as `linear_fit` takes them; of several draws the first is kept.
        encoder_sha256: of the weights of the encoder that gave the embeddings.
    """
    draws = {fraction: split.draw(fraction, protocol.seed) for fraction in protocol.fractions}
    fraction = max(draws, key=lambda one: len(draws[one]))
    head, about = _fitting(embeddings, split, protocol)(draws[fraction], protocol.seed)
    about = {"fraction": fraction, "labels": len(draws[fraction]), "seed": protocol.seed, **about}
    return LinearHead.of(head, split.targets, encoder_sha256, {"head": protocol.head, **about})


def _fitting(
    embeddings: FloatArray, split: Split, protocol: Protocol
) -> Callable[[npt.NDArray[np.int64], int], tuple[Head, dict[str, Any]]]:
    """A function that fits the head of the protocol on drawn rows, with a seed.

    It works on one thread: problems this small are solved faster so, many times where other work fills the machine,
    and the same bits come out whatever the number of processors.
    """
    validation = split.rows["validation"]
    judged, judged_targets = embeddings[validation], split.targets.take(validation)
    threads = ThreadpoolController()

    def fitted(rows: npt.NDArray[np.int64], seed: int) -> tuple[Head, dict[str, Any]]:
        drawn, targets = embeddings[rows], split.targets.take(rows)
        with threads.limit(limits=1):
            if protocol.head == "adam":
                return fit_adam_head(drawn, targets, judged, judged_targets, protocol, seed)
            return fit_head(drawn, targets, judged, judged_targets, protocol)

    return fitted


def linear_evaluation(embeddings: Mapping[str, FloatArray], split: Split, protocol: Protocol) -> dict[str, Any]:
    """Fit and test a head for every number of labels, draw and encoder.

    Args:
        embeddings: ``(n, D)`` for the recordings of ``split``, by name of the encoder; the first is compared with each
            of the others.
        split: the division of the recordings.
        protocol: the constants.

    Returns:
        As `ecg_advmask.evaluate.evaluation.compare`.
    """
    with tqdm(total=draws_of(split, protocol) * len(embeddings), desc="linear heads", disable=None) as bar:
        evaluations = {
            name: evaluate(linear_fit(encoded, split, protocol), split, protocol, bar.update)
            for name, encoded in embeddings.items()
        }
    return compare(evaluations, protocol)
