"""Linear evaluation: what frozen embeddings are worth to a linear head that is given few labels.

In: one embedding per recording from each encoder, and the division of the recordings with their targets. Out: metrics
on one fixed test set, for each encoder, number of labels and draw. Every encoder gets the same patients, the same draws
and the same treatment.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]
from tqdm import tqdm

from ecg_advmask.evaluate.adam_head import fit_adam_head
from ecg_advmask.evaluate.evaluation import Fit, compare, draws_of, evaluate
from ecg_advmask.evaluate.heads import FloatArray, fit_head
from ecg_advmask.evaluate.partition import PARTS, Split
from ecg_advmask.evaluate.protocol import Protocol


def linear_fit(embeddings: FloatArray, split: Split, protocol: Protocol) -> Fit:
    """The `Fit` of a linear head on frozen embeddings ``(n, D)`` of the recordings of ``split``, in its order.

    The head is the one of the protocol. It is fitted by one thread: problems this small are solved faster so, many
    times where other work fills the machine, and the same bits come out whatever the number of processors.
    """
    _, validation, test = (split.rows[part] for part in PARTS)
    judged, judged_targets = embeddings[validation], split.targets.take(validation)
    threads = ThreadpoolController()

    def fit(rows: npt.NDArray[np.int64], seed: int) -> tuple[FloatArray, dict[str, Any]]:
        drawn, targets = embeddings[rows], split.targets.take(rows)
        with threads.limit(limits=1):
            if protocol.head == "adam":
                head, about = fit_adam_head(drawn, targets, judged, judged_targets, protocol, seed)
            else:
                head, about = fit_head(drawn, targets, judged, judged_targets, protocol)
            return head.predict(embeddings[test]), about

    return fit


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
