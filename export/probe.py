"""What an export costs a linear head: metrics of a stored linear evaluation with embeddings of Keras and of a file.

In: a result of ``linear-eval`` with the division and the head beside it, and the run. Out: the change of the metric
that is reported first (macro AUROC, or the mean absolute error of a number) on the same test recordings.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np

from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.eligibility import windows_of
from ecg_advmask.evaluate.embeddings import Embeddings, average_over_windows
from ecg_advmask.evaluate.evaluation import AtCount, evaluate, summarise
from ecg_advmask.evaluate.head_file import HEAD_SUFFIX, LinearHead
from ecg_advmask.evaluate.metrics import PRIMARY
from ecg_advmask.evaluate.protocol import Protocol
from ecg_advmask.evaluate.run_data import RunOnData
from ecg_advmask.export.parity import Embed
from ecg_advmask.export.source_windows import dataset_windows
from ecg_advmask.files import read_json
from ecg_advmask.models.weights import weights_sha256
from ecg_advmask.pipeline.shards import DATASET_FILE

SPLIT_SUFFIX: Final = ".split.csv"
_WINDOWS_AT_ONCE: Final = 256


@dataclass(frozen=True)
class StoredEvaluation:
    """A linear evaluation of a run, ready to be applied to other embeddings of the same recordings.

    Attributes:
        path: its result, as JSON.
        head: the head that was fitted on the most labels.
        judged: run, data set and division of the recordings.
        protocol: that of the evaluation.
        encoder: of the run.
    """

    path: Path
    head: LinearHead
    judged: RunOnData
    protocol: Protocol
    encoder: keras.Model

    @classmethod
    def open(cls, path: Path, run_path: Path, encoder: keras.Model) -> "StoredEvaluation":
        """Open a result of ``linear-eval`` with what was written beside it.

        Raises:
            InputError: something is missing or damaged, the evaluation is of another encoder, or the data set is not
                where it was, or was altered.
        """
        head = head_of(path, encoder)
        result = read_json(path)
        try:
            stated, task = result["dataset"], str(result["task"])
            place, sha256 = Path(stated["path"]), str(stated["sha256"])
            constants: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value for name, value in result["protocol"].items()
            }
            protocol = Protocol(**constants)
        except (AttributeError, KeyError, TypeError) as error:
            raise InputError(f"{path}: is not a result of ecg-advmask linear-eval, run it again") from error
        if not (place / DATASET_FILE).is_file():
            raise InputError(f"{path}: its data set is not at {place}; export from the folder where linear-eval ran")
        judged = RunOnData.open(str(run_path), place, task, protocol, split_path=path.with_suffix(SPLIT_SUFFIX))
        if judged.data.sha256 != sha256 or judged.split.targets.names != head.names:
            raise InputError(f"{place}: is not the data set that {path} is of any more, run linear-eval again")
        return cls(path, head, judged, protocol, encoder)

    def change(self, embed: Embed) -> dict[str, Any]:
        """The metric with Keras's embeddings and with those that ``embed`` gives, and the difference.

        Returns:
            ``metric``, ``keras``, ``exported``, ``change`` with its bootstrap interval (``low``, ``high``), paired by
            resample; and what evaluation and head are of.
        """
        split, data = self.judged.split, self.judged.data
        test = split.rows["test"]
        rows, recording_of_window = windows_of(data.records, split.ids[test])
        samples = self.judged.config.window_samples
        of_windows = [
            embed(dataset_windows(data, rows[start : start + _WINDOWS_AT_ONCE], samples))
            for start in range(0, len(rows), _WINDOWS_AT_ONCE)
        ]
        exported = self._with(average_over_windows(np.concatenate(of_windows), recording_of_window))
        keras_own = self._with(self.judged.embeddings(self.encoder)[test])
        metric = PRIMARY[self.head.kind]
        summary = summarise(exported.minus(keras_own), self.protocol)["metrics"][metric]
        return {
            "evaluation": str(self.path),
            "task": self.head.task,
            "head": dict(self.head.about),
            "test_recordings": len(test),
            "metric": metric,
            "keras": keras_own.mean.values[metric],
            "exported": exported.mean.values[metric],
            "change": summary["mean"],
            "low": summary["low"],
            "high": summary["high"],
        }

    def _with(self, embeddings: Embeddings) -> AtCount:
        """All metrics of the head with these embeddings of the test recordings, and their resamples."""
        once = dataclasses.replace(self.protocol, fractions=(1.0,), draws=1)
        predicted = self.head.predict(embeddings)
        (at,) = evaluate(lambda *_: (predicted, {}), self.judged.split, once)
        return at


def head_of(path: Path, encoder: keras.Model) -> LinearHead:
    """The head beside a result of ``linear-eval``.

    Raises:
        InputError: there is none, it is damaged, or it was fitted on another encoder.
    """
    stored = path.with_suffix(HEAD_SUFFIX)
    if path.suffix != ".json" or not path.is_file():
        raise InputError(f"{path}: is no file, give the .json that ecg-advmask linear-eval wrote")
    if not stored.is_file():
        raise InputError(f"{stored}: is missing, run ecg-advmask linear-eval again: it writes it beside the result")
    head = LinearHead.read(stored)
    if head.encoder_sha256 != weights_sha256(encoder):
        raise InputError(f"{stored}: was fitted on another encoder, run ecg-advmask linear-eval on this run")
    return head
