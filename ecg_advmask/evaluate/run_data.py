"""A run and a data set brought together: on which recordings the run can be judged in a task, and how they are divided.

In: two folders, the name of a task, and a protocol. Out: the recordings that the run has not seen, with their targets,
divided by patient, and everything that a result must state of them.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import pandas as pd

from ecg_advmask.config import Config, load
from ecg_advmask.datasets.targets import Targets
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.account import describe
from ecg_advmask.evaluate.eligibility import account_of, labelled, new_split, recordings_of, unseen
from ecg_advmask.evaluate.embeddings import Embeddings, embed_recordings
from ecg_advmask.evaluate.partition import PARTS, Split
from ecg_advmask.evaluate.protocol import Protocol
from ecg_advmask.evaluate.stored_split import stored_split
from ecg_advmask.files import sha256_of
from ecg_advmask.pipeline.shards import DataSet
from ecg_advmask.pretrain.run import Run
from ecg_advmask.versions import versions

FORMAT_VERSION: Final = 2
_PACKAGES: Final = ("numpy", "scipy", "pandas", "scikit-learn", "keras", "tensorflow")


@dataclass(frozen=True)
class RunOnData:
    """What a run is to be judged on.

    Attributes:
        run_path: as it was given.
        run: None where an untrained encoder of a preset is judged alone.
        config: the settings of the run, or of the preset.
        data: the data set.
        recordings: all of its recordings, as `ecg_advmask.evaluate.eligibility.recordings_of` gives them.
        targets: theirs.
        split: the recordings that are used, divided.
        split_path: where the division was stored before; None if it was made anew.
    """

    run_path: str
    run: Run | None
    config: Config
    data: DataSet
    recordings: pd.DataFrame
    targets: Targets
    split: Split
    split_path: str | Path | None

    @classmethod
    def open(
        cls,
        run_path: str,
        data_path: str | Path,
        task: str,
        protocol: Protocol,
        preset: str | None = None,
        split_path: str | Path | None = None,
    ) -> "RunOnData":
        """Open a run and a data set, find the recordings to judge on, and divide them.

        Args:
            run_path: a run directory, or ``random`` for an untrained encoder of ``preset`` alone.
            data_path: a data set directory with the sampling rate of the run, and windows as long or longer.
            task: a column of the data set's labels, or a name in ``ecg_advmask.datasets.targets.TASKS``.
            protocol: shares of the parts and the seed of their division.
            preset: the preset of the untrained encoder; only with ``random``.
            split_path: a division that an earlier evaluation stored; by default one is made of the recordings that the
                run has not seen. A stored one may train a head on recordings that the run has seen, but never test it
                on them.

        Raises:
            InputError: a folder is not what it should be, the two or the stored division do not fit, or there are too
                few labels.
        """
        run = None if run_path == "random" else Run.open(Path(run_path))
        if (run is None) != (preset is not None):
            raise InputError(f"{run_path}: --preset goes with RUN = random, and RUN = random needs it")
        config = load(preset) if run is None else run.config
        data = DataSet.open(Path(data_path))
        check_fit(config, data, run_path)
        recordings = recordings_of(data.records, None if run is None else run.seen())
        targets = labelled(task, recordings, data.labels, data.path)
        if split_path is None:
            split = new_split(recordings, targets, protocol.shares, protocol.split_seed)
        else:
            split = stored_split(split_path, recordings, targets)
        return cls(run_path, run, config, data, recordings, targets, split, split_path)

    def embeddings(self, encoder: keras.Model) -> Embeddings:
        """Embeddings ``(n, D)`` of the recordings of `split`, in its order, by a frozen encoder; kept in the run."""
        keys = self.recordings["key"].to_numpy(object)
        used = np.isin(keys, self.split.ids)
        # The same recordings for every task, where nothing else is asked for, so that they are embedded once.
        embedded = unseen(self.recordings) | used
        folder = None if self.run is None else self.run.path / "embeddings"
        of_all = embed_recordings(folder, encoder, self.data, keys[embedded], self.config.window_samples)
        return of_all[used[embedded]]

    def stated(self, kind: str, protocol: Protocol) -> dict[str, Any]:
        """What a result of this kind of evaluation states before its figures, and versions."""
        targets, split_path = self.split.targets, self.split_path
        return {
            "format_version": FORMAT_VERSION,
            "kind": kind,
            "task": targets.task,
            "targets": {"kind": targets.kind, "names": list(targets.names)},
            "dataset": describe(self.data),
            "run": {"path": self.run_path, "preset": self.config.preset, "method": self.config.method},
            "counts": account_of(self.recordings, self.targets, self.split, len(self.data.records)),
            "split": None if split_path is None else {"path": str(split_path), "sha256": sha256_of(split_path)},
            "sha256_of_ids": {part: self.split.digest(part) for part in PARTS},
            "protocol": dataclasses.asdict(protocol),
            "versions": versions(_PACKAGES),
        }


def check_fit(config: Config, data: DataSet, run_path: str) -> None:
    """See that a run can work with the windows of a data set: of its rate, and as long or longer.

    Raises:
        InputError: it cannot.
    """
    if data.sampling_rate_hz != config.sampling_rate_hz or data.window_samples < config.window_samples:
        raise InputError(
            f"{data.path}: windows of {data.window_samples} samples at {data.sampling_rate_hz} Hz, but {run_path} "
            f"needs {config.window_samples} at {config.sampling_rate_hz} Hz; prepare the recordings again with "
            f"--sampling-rate {config.sampling_rate_hz} --seconds {config.window_seconds:g}"
        )
