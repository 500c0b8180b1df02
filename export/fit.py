"""A classifier from an encoder, recordings and labels, as one ONNX file. Without TensorFlow.

In: an exported encoder, its embeddings of recordings, and their labels. Out: encoder, calibrated head, names and
thresholds in one file, and how good its predictions are, by cross-validation over patients.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.heads import LinearHead
from ecg_advmask.evaluate.held_out import final_head, thresholds
from ecg_advmask.evaluate.judge import Judged
from ecg_advmask.evaluate.metrics import PRIMARY
from ecg_advmask.evaluate.protocol import Protocol
from ecg_advmask.export.encoder import OnnxEncoder
from ecg_advmask.export.graphs import write_classifier

_STATED: Final = ("macro_auroc", "calibration_error", "mae", "r2")


@dataclass(frozen=True)
class Fitted:
    """A classifier that was written.

    Attributes:
        head: encoder and head in the file are these.
        thresholds: by the name of a class or label; those that no held-out recording could give are not there.
        figures: `ecg_advmask.evaluate.held_out.held_out_figures` of the predictions.
        primary: the metric that the task is judged by.
    """

    head: LinearHead
    thresholds: dict[str, float]
    figures: dict[str, Any]
    primary: str


def check_classifier_path(path: Path) -> None:
    """See that a classifier can have this name.

    Raises:
        InputError: it cannot.
    """
    if path.suffix != ".onnx" or path.is_dir():
        raise InputError(f"--out {path}: a classifier is written to a file that ends in .onnx")


def fit_classifier(encoder: OnnxEncoder, judged: Judged, path: Path, protocol: Protocol) -> Fitted:
    """Fit a head on all recordings, calibrate and judge it by cross-validation, and write it with its encoder.

    Args:
        encoder: what gave the embeddings.
        judged: they, as the only table, and the labels.
        path: the file to write, ``.onnx``.
        protocol: strengths of the penalty, the seed of the folds, resamples and level of the intervals.

    Raises:
        InputError: the encoder's file is of another version, or there are too few patients.
    """
    check_classifier_path(path)
    (name,) = judged.tables
    held, figures = judged.held_out(name, protocol)
    head = final_head(judged.embeddings(name), held, protocol, encoder.metadata["encoder_sha256"])
    kind = judged.split.targets.kind
    limits = [] if kind == "number" else thresholds(held)
    found = {label: limit for label, limit in zip(head.names, limits, strict=False) if not math.isnan(limit)}
    stated = {key: value for key, value in figures["after"].items() if key in _STATED}
    stated |= {"recordings": figures["recordings"], "folds": figures["folds"], "level": protocol.level}
    further = {"judged": json.dumps(stated), "fit": json.dumps(dict(head.about))}
    if found:
        further["thresholds"] = json.dumps(found, ensure_ascii=False)
    write_classifier(encoder.path, head, path, further)
    return Fitted(head, found, figures, PRIMARY[kind])
