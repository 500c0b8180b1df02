"""The effect of an export on a linear head: metrics of a stored linear evaluation with both embeddings.

In: a result of ``linear-eval`` with the division and the head beside it, and the run. Out: the change of the metric
that is reported first (macro AUROC, or the mean absolute error of a number) on the same test recordings.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import keras
import numpy as np
import numpy.typing as npt

from ecg_advmask.config import Config
from ecg_advmask.data import order
from ecg_advmask.data.dataset import DATASET_FILE, DataSet
from ecg_advmask.ecg.sources import FileSource, Refused, Windowing, read_or_refuse
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.eligibility import windows_of
from ecg_advmask.evaluate.embeddings import Embeddings, average_over_windows
from ecg_advmask.evaluate.evaluation import AtCount, evaluate, summarise
from ecg_advmask.evaluate.experiment import RunOnData, check_fit
from ecg_advmask.evaluate.heads import HEAD_SUFFIX, LinearHead
from ecg_advmask.evaluate.metrics import PRIMARY
from ecg_advmask.evaluate.protocol import Protocol
from ecg_advmask.export.encoder import windows_to_embed
from ecg_advmask.export.parity import Embed
from ecg_advmask.files import read_json
from ecg_advmask.models.resnet import weights_sha256

# ---- Windows of real recordings to calibrate exported files on and to compare them on, from all over their source.

Float32 = npt.NDArray[np.float32]
Item = TypeVar("Item")


def source_windows(source: Path, config: Config, most: int) -> Float32:
    """Windows (n, L, 12) float32 in millivolts, as the encoder takes them, evenly spread over the source.

    Args:
        source: a data set directory of `prepare`, or a file or folder with recordings as `embed` takes them.
        config: rate and length of the windows.
        most: as many at most.

    Raises:
        InputError: there is not one usable window, or the data set has another rate.
    """
    if (source / DATASET_FILE).is_file():
        data = DataSet.open(source)
        check_fit(config, data, "the encoder")
        return dataset_windows(data, np.array(spread(range(data.windows), most), np.int64), config.window_samples)
    files = FileSource(paths=(source,))
    chosen = spread(list(files.entries()), most)
    of_each = 2 * most // len(chosen)  # enough where half of them cannot be used
    windowing = Windowing(config.sampling_rate_hz, config.window_samples, most_windows=of_each)
    windows: list[Float32] = []
    reason = ""
    for entry in chosen:
        outline, found = windows_to_embed(read_or_refuse(files, entry), windowing)
        windows += found
        if isinstance(outline, Refused):
            reason = outline.reason
    if not windows:
        raise InputError(f"{source}: holds no usable recording to compare on ({reason})")
    return np.stack(spread(windows, most))


def dataset_windows(data: DataSet, rows: npt.NDArray[np.int64], samples: int) -> Float32:
    """Windows of a data set in millivolts, (n, samples, 12): of longer ones the middle, as evaluations take them."""
    if samples == data.window_samples:
        return data.signals_mv(rows)
    starts = order.middle_starts(data.valid_samples[rows], samples)
    return data.windows_uv(rows, starts, samples) * np.float32(1e-3)


def spread(values: Sequence[Item], most: int) -> list[Item]:
    """As many of the values at most, evenly spaced, in their order."""
    count = min(most, len(values))
    return [values[(2 * place + 1) * len(values) // (2 * count)] for place in range(count)]


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
