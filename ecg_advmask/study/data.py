"""The recordings of a study: divided once, before any training; no pretraining sees those of the evaluation."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ecg_advmask.data.batches import pretraining_rows
from ecg_advmask.data.dataset import DataSet
from ecg_advmask.data.targets import Targets
from ecg_advmask.data.union import open_data_sets
from ecg_advmask.errors import InputError, some_of
from ecg_advmask.evaluate.eligibility import (
    account_of,
    labelled_targets,
    new_split,
    recordings_of,
    shared_split,
    stored_split,
    unseen,
)
from ecg_advmask.evaluate.embeddings import Embeddings, recording_embeddings
from ecg_advmask.evaluate.split import PARTS, Split
from ecg_advmask.files import read_json, write_json
from ecg_advmask.pretrain.run import Run, is_started
from ecg_advmask.pretrain.trainer import seen_rows
from ecg_advmask.study.design import Study
from ecg_advmask.study.jobs import Folder


@dataclass(frozen=True)
class StudyData:
    """The opened data sets of a study, and the division of the recordings for each task."""

    study: Study
    folder: Folder
    pretraining: DataSet | None
    evaluation: DataSet

    @classmethod
    def open(cls, study: Study, folder: Folder) -> "StudyData":
        """Open the data sets.

        Raises:
            InputError: one of them is missing or damaged.
        """
        evaluation = DataSet.open(study.evaluation)
        if not study.pretraining:
            return cls(study, folder, None, evaluation)
        same = [path.resolve() for path in study.pretraining] == [study.evaluation.resolve()]
        return cls(study, folder, evaluation if same else open_data_sets(study.pretraining), evaluation)

    @cached_property
    def recordings(self) -> pd.DataFrame:
        """Every recording of the evaluation, with what pretraining sees of it, as `recordings_of` gives it."""
        if self.pretraining is None:
            return recordings_of(self.evaluation.records, None)
        paths = [self.folder.run(method, seed) for method in self.study.methods for seed in method.seeds]
        started = [run for run in map(Run.open, filter(is_started, paths)) if self._has_share(run)]
        if started:
            rows = seen_rows(self.pretraining, started[0])
        else:
            rows, _ = pretraining_rows(self.pretraining, self.study.config(self.study.methods[0], 0))
        return recordings_of(self.evaluation.records, self.pretraining.records.iloc[rows])

    def _has_share(self, run: Run) -> bool:
        """Whether a run was started on this data set with the study's share of the patients."""
        same_data = self.pretraining is not None and run.dataset.get("sha256") == self.pretraining.sha256
        return same_data and run.config.pretraining_share == self.study.pretraining_share

    def targets(self, task: str, stated_by: str = "tasks") -> Targets:
        """The targets of `recordings` in a task that a key of the protocol names.

        Raises:
            InputError: there is no such task, or nothing to distinguish.
        """
        try:
            return labelled_targets(task, self.recordings, self.evaluation.labels, self.evaluation.path)
        except InputError as error:
            what = str(error).removeprefix("--task ")
            raise InputError(f"{self.study.path}: protocol.{stated_by}: {what}") from error

    def split(self, task: str) -> Split:
        """The division for a task: the stored one, if it was made of the same data in the same way, or else a new one,
        which is stored.

        Raises:
            InputError: there is no such task, too few recordings, or the stored division was altered.
        """
        path = self.folder.split(task)
        made_of: dict[str, Any] = {
            "task": task,
            "evaluation_sha256": self.evaluation.sha256,
            "pretraining_sha256": None if self.pretraining is None else self.pretraining.sha256,
            "pretraining_share": self.study.pretraining_share,
            "shares": list(self.study.shares),
            "split_seed": self.study.split_seed,
        }
        if self.study.stratify:  # absent where it is not used, as in the divisions of earlier versions
            made_of["stratify"] = list(self.study.stratify)
        origin = path.with_suffix(".json")
        targets, recordings = self.targets(task), self.recordings
        if path.is_file() and origin.is_file() and read_json(origin) == made_of:
            return stored_split(path, recordings, targets)
        if self.study.stratify:
            strata = [self.targets(one, "stratify") for one in self.study.stratify]
            split = shared_split(recordings, targets, strata, self.study.shares, self.study.split_seed)
        else:
            split = new_split(recordings, targets, self.study.shares, self.study.split_seed)
        split.write(path)
        write_json(origin, made_of)
        return split

    def check_labels(self, split: Split) -> None:
        """See that the training part has as many labelled recordings as are asked for.

        Raises:
            InputError: it has not.
        """
        for labels in self.study.labels:
            try:
                split.draw(labels, 0)
            except InputError as error:
                what = str(error).removeprefix("--labels: ")
                raise InputError(f"{self.study.path}: protocol.labels, task {split.targets.task}: {what}") from error

    def check_unseen(self, run: Run, split: Split) -> None:
        """See that a run has seen no recording of a division.

        Raises:
            InputError: it has seen some, by id, by signal, or by patient.
        """
        recordings = recordings_of(self.evaluation.records, run.seen())
        seen = set(recordings["key"][recordings["seen"]])
        leaked = [key for key in split.ids if key in seen]
        if leaked:
            raise InputError(
                f"{run.path / 'seen.csv'}: the run has seen {len(leaked)} recordings that it is to be judged on "
                f"({some_of(leaked)}); remove the run, so that it is trained again"
            )

    def account(self, split: Split) -> dict[str, Any]:
        """How many recordings a division uses, and why not the others."""
        task = split.targets.task
        counts = account_of(self.recordings, self.targets(task), split, len(self.evaluation.records))
        return {
            "task": task,
            "kind": split.targets.kind,
            "names": list(split.targets.names),
            "counts": counts,
            "parts": split.counts(),
            "sha256_of_ids": {part: split.digest(part) for part in PARTS},
        }

    def embeddings(self, encoder: Any, samples: int) -> Embeddings:
        """Embeddings of all recordings that no pretraining sees, in the order of their ids, kept for later."""
        return recording_embeddings(self.folder.embeddings, encoder, self.evaluation, self._unseen_keys, samples)

    def places(self, split: Split) -> npt.NDArray[np.int64]:
        """Where in `embeddings` the recordings of a division are."""
        return np.searchsorted(self._unseen_keys.astype(str), split.ids.astype(str))

    @cached_property
    def _unseen_keys(self) -> npt.NDArray[np.object_]:
        """Of which recordings embeddings are computed: the same for every task, so that it is done once."""
        keys: npt.NDArray[np.object_] = self.recordings["key"].to_numpy(object)[unseen(self.recordings)]
        return keys
