"""Several data sets as one, to pretrain on all of them: each signal and each patient counts once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from ecg_advmask.data.dataset import DataSet, dataset_sha256
from ecg_advmask.errors import InputError


def open_data_sets(paths: Sequence[str | Path]) -> DataSet:
    """The data set in one folder, or the union of those in several.

    Raises:
        InputError: as `DataSet.open` and `DataSetUnion.of`.
    """
    members = [DataSet.open(path) for path in paths]
    return members[0] if len(members) == 1 else DataSetUnion.of(members)


@dataclass(frozen=True)
class DataSetUnion(DataSet):
    """The windows of ``members``, one data set after the other.

    An id that an earlier data set has gets the name of its own in front (``mine/A1``). A recording with exactly the
    signal of one in an earlier data set is a copy of that one (``duplicate_of``), which pretraining leaves out.
    Patients of one name are one patient, whichever data sets they are in: two people taken for one are kept in one part
    of a split, which does no harm, one taken for two would be in both. ``sha256`` is over those of the members.
    """

    members: tuple[DataSet, ...] = field(kw_only=True)

    @classmethod
    def of(cls, members: Sequence[DataSet]) -> Self:
        """Put data sets together.

        Raises:
            InputError: they have different rates or windows, or one is given twice.
        """
        first, *others = members
        for other in others:
            if other.sampling_rate_hz != first.sampling_rate_hz or other.window_samples != first.window_samples:
                raise InputError(
                    f"{other.path}: has windows of {other.window_samples} samples at {other.sampling_rate_hz} Hz, "
                    f"{first.path} of {first.window_samples} at {first.sampling_rate_hz} Hz; prepare them alike"
                )
        for name in ("sha256", "name"):
            values = [one.sha256 if name == "sha256" else one.path.resolve().name for one in members]
            for number, value in enumerate(values):
                if value in values[:number]:
                    what = "is the same data set as" if name == "sha256" else "has the same name as"
                    before = members[values.index(value)].path
                    raise InputError(f"{members[number].path}: {what} {before}; give each once, under its own name")
        return cls(
            Path(" + ".join(str(one.path.resolve()) for one in members)),
            first.sampling_rate_hz,
            first.window_samples,
            dataset_sha256(one.sha256 for one in members),
            [path for one in members for path in one.shard_paths],
            [windows for one in members for windows in one.shard_windows],
            {},
            members=tuple(members),
        )

    @cached_property
    def records(self) -> pd.DataFrame:
        """As `DataSet.records`, of all members."""
        tables: list[pd.DataFrame] = []
        original: dict[str, str] = {}  # by signal hash, the id of the first recording that has it
        for own_ids, member in zip(self._ids, self.members, strict=True):
            table = member.records.copy()
            for column in ("id", "duplicate_of"):
                table[column] = table[column].map(lambda name, own=own_ids: own.get(name, name))
            earlier = [original.get(signal, "") for signal in table["signal_hash"]]
            table["duplicate_of"] = table["duplicate_of"].where(table["duplicate_of"] != "", earlier)
            for signal, name in zip(table["signal_hash"], table["id"], strict=True):
                original.setdefault(signal, name)
            tables.append(table)
        return pd.concat(tables, ignore_index=True)

    def account(self) -> list[str]:
        """A line for each member, with what an earlier one has of it, and one for all; the lines add up."""
        lines, patients, copies, start = [], set[str](), 0, 0
        for member in self.members:
            own = self.records.iloc[start : start + len(member.records)]
            start += len(own)
            recordings = own.drop_duplicates("id")
            shared = patients & set(recordings["patient"])
            patients |= set(recordings["patient"])
            copied = int((recordings["duplicate_of"] != "").sum())
            copies += copied
            line = f"{member.path.resolve().name}: {len(recordings)} recordings, {len(own)} windows"
            line += f", {recordings['patient'].nunique()} patients"
            line += f" ({len(shared)} by name in a data set before)" if shared else ""
            lines.append(line + (f", {copied} copies of recordings" if copied else ""))
        count = self.records["id"].nunique()
        return [*lines, f"together: {count} recordings, {start} windows, {len(patients)} patients, {copies} copies"]

    @cached_property
    def valid_samples(self) -> npt.NDArray[np.int64]:
        """As `DataSet.valid_samples`, of all members."""
        return np.concatenate([one.valid_samples for one in self.members])

    @cached_property
    def labels(self) -> pd.DataFrame:
        """As `DataSet.labels`, of all members; what the table of one has no column for is empty."""
        tables = []
        for own_ids, member in zip(self._ids, self.members, strict=True):
            table = member.labels.copy()
            table["id"] = table["id"].map(lambda name, own=own_ids: own.get(name, name)).astype(str)
            tables.append(table)
        return pd.concat(tables, ignore_index=True).fillna("")

    @cached_property
    def _ids(self) -> list[dict[str, str]]:
        """Of each member, the ids that an earlier one has, and what they are here."""
        taken: set[str] = set()
        renamed = []
        for member in self.members:
            ids = set(member.records["id"])
            renamed.append({name: f"{member.path.resolve().name}/{name}" for name in ids & taken})
            taken |= ids | set(renamed[-1].values())
        return renamed

    def _verified_shard(self, shard: int) -> Path:
        for member in self.members:
            if shard < len(member.shard_paths):
                return member._verified_shard(shard)
            shard -= len(member.shard_paths)
        raise IndexError("there is no such shard")
