"""Finished evaluations in a file, from which everything that is reported of them can be made again.

In and out: the numbers of labels with their draws, and a description in plain values. The file is a NumPy archive
without pickled objects, the same bytes for the same evaluation.
"""

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.evaluation import AtCount, Draw
from ecg_advmask.files import atomic_path


def store(path: str | Path, evaluation: Sequence[AtCount], about: Mapping[str, Any]) -> None:
    """Write an evaluation, atomically.

    Arrays: ``metrics (M,)`` names; per number of labels ``fractions``, ``labels``, ``draws`` ``(A,)`` and ``resampled``
    (A, M, R), averaged over draws; per draw ``seeds (N,)``, ``values (N, M)`` and ``confusion (N, C, C)`` (of classes);
    ``about``, JSON of the description and of what each fit told.

    Args:
        path: the file, with the suffix ``.npz``.
        evaluation: at least one number of labels, all with the same metrics and resamples.
        about: what it is of; values that JSON takes.
    """
    draws = [draw for at in evaluation for draw in at.draws]
    metrics = list(evaluation[0].resampled)
    told = {"about": dict(about), "draws": [draw.about for draw in draws]}
    arrays: dict[str, Any] = {
        "metrics": np.array(metrics),
        "fractions": np.array([at.fraction for at in evaluation], np.float64),
        "labels": np.array([at.labels for at in evaluation], np.int64),
        "draws": np.array([len(at.draws) for at in evaluation], np.int64),
        "resampled": np.array([[at.resampled[name] for name in metrics] for at in evaluation], np.float64),
        "seeds": np.array([draw.seed for draw in draws], np.int64),
        "values": np.array([[draw.values[name] for name in metrics] for draw in draws], np.float64),
        "about": np.array(json.dumps(told, sort_keys=True)),
    }
    if draws[0].confusion is not None:
        arrays["confusion"] = np.array([draw.confusion for draw in draws], np.int64)
    with atomic_path(path) as temporary:
        np.savez(temporary, **arrays)


def load(path: str | Path) -> tuple[list[AtCount], dict[str, Any]]:
    """The evaluation and the description that `store` wrote.

    Raises:
        InputError: the file is missing, damaged, or something else.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = dict(stored)
        told = json.loads(str(arrays["about"]))
        metrics = [str(name) for name in arrays["metrics"]]
        draws = [
            Draw(
                int(seed),
                dict(zip(metrics, values.tolist(), strict=True)),
                arrays["confusion"][number].tolist() if "confusion" in arrays else None,
                dict(told["draws"][number]),
            )
            for number, (seed, values) in enumerate(zip(arrays["seeds"], arrays["values"], strict=True))
        ]
        ends = np.cumsum(arrays["draws"]).tolist()
        evaluation = [
            AtCount(float(fraction), int(labels), tuple(draws[end - size : end]), dict(zip(metrics, rows, strict=True)))
            for fraction, labels, size, end, rows in zip(
                arrays["fractions"], arrays["labels"], arrays["draws"].tolist(), ends, arrays["resampled"], strict=True
            )
        ]
        about = dict(told["about"])
    except (OSError, EOFError, KeyError, IndexError, TypeError, ValueError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: is not a stored evaluation ({reason}); remove it and evaluate again") from error
    return evaluation, about
