"""Anybody's embeddings judged on anybody's labels, by the protocol of ``linear-eval`` and without TensorFlow.

In: tables of embeddings, and labels: a label table, or a data set of ``prepare``. Out: the result of an evaluation, as
``linear-eval`` gives it, in which all tables have the same recordings, draws of labels and test patients.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from tqdm import tqdm

from ecg_advmask.data.dataset import DATASET_FILE, DataSet
from ecg_advmask.data.ids import IdMatcher, id_key
from ecg_advmask.data.label_table import read_label_table
from ecg_advmask.data.summary import describe, mentions_generated
from ecg_advmask.data.targets import Targets
from ecg_advmask.ecg.recording import Sex, is_missing
from ecg_advmask.errors import InputError, some_of
from ecg_advmask.evaluate.eligibility import account_of, labelled_targets, new_split, recordings_of, stored_split
from ecg_advmask.evaluate.embedding_table import EmbeddingTable, Float32
from ecg_advmask.evaluate.evaluation import compare, draws_of, evaluate
from ecg_advmask.evaluate.forecast import forecast
from ecg_advmask.evaluate.heads import standardisation
from ecg_advmask.evaluate.held_out import HeldOut, columns_of, held_out, held_out_figures
from ecg_advmask.evaluate.linear import linear_fit
from ecg_advmask.evaluate.metrics import PRIMARY
from ecg_advmask.evaluate.protocol import Protocol
from ecg_advmask.evaluate.split import PARTS, Split
from ecg_advmask.files import sha256_of, versions

KIND: Final = "linear evaluation"
FORMAT_VERSION: Final = 2
_PACKAGES: Final = ("numpy", "scipy", "pandas", "scikit-learn")
_MAPPED: Final = 600


@dataclass(frozen=True)
class Judged:
    """Tables of embeddings, ready to be judged in one task.

    Attributes:
        tables: what is compared, by their names.
        labels_path: where the labels come from.
        recordings: one row per recording that is in every table and in the labels, as `recordings_of` gives them.
        targets: theirs.
        split: the recordings that are used, divided by patient.
        split_path: where the division was stored before; None if it was computed.
        dataset: what a result states of the labels.
        remarks: lines on how the labels were taken, and on what is in one place only.
    """

    tables: Mapping[str, EmbeddingTable]
    labels_path: Path
    recordings: pd.DataFrame
    targets: Targets
    split: Split
    split_path: Path | None
    dataset: Mapping[str, Any]
    remarks: tuple[str, ...]
    _places: Mapping[str, Mapping[str, int]]

    @classmethod
    def open(
        cls,
        tables: Sequence[EmbeddingTable],
        labels_path: str | Path,
        task: str,
        protocol: Protocol,
        *,
        sex_codes: Mapping[str, Sex] | None = None,
        seen_paths: Sequence[str | Path] = (),
        split_path: str | Path | None = None,
    ) -> "Judged":
        """Match tables and labels by id, and divide the recordings.

        Args:
            tables: at least one; of several, the recordings that all of them have are used.
            labels_path: a label table as `prepare` takes it, or a data set directory.
            task: a column of it, or a name in ``ecg_advmask.data.targets.TASKS``.
            protocol: the constants of the evaluation.
            sex_codes: of a label table, as `read_label_table` takes them.
            seen_paths: CSV files with the columns id, patient and signal_hash, such as ``seen.csv`` of a run: what the
                encoders have seen in pretraining, which is left out.
            split_path: a division that an earlier evaluation stored.

        Raises:
            InputError: a file is not what it should be, tables and labels share no recording, or there are too few
                labels.
        """
        by_name = _by_name(tables)
        path = Path(labels_path)
        records, labels, dataset, remarks = _labels_of(path, sex_codes)
        keys = list(dict.fromkeys(records["id"]))
        places: dict[str, dict[str, int]] = {}
        for name, table in by_name.items():
            places[name], matching = _matched(table, keys, path)
            remarks += matching
        shared = [key for key in keys if all(key in found for found in places.values())]
        if not shared:
            raise InputError(f"{path}: no recording is in every table of embeddings ({', '.join(by_name)})")
        for name, found in places.items():
            if len(found) > len(shared):
                remarks.append(f"{name}: {len(found) - len(shared)} recordings are not in every other table, left out")
        seen = pd.concat([_seen(Path(one)) for one in seen_paths]) if seen_paths else None
        if seen is not None:  # ids as the labels have them
            of_tables = {id_key(str(by_name[name].ids[k])): key for name in places for key, k in places[name].items()}
            key_of = of_tables | {id_key(key): key for key in keys}
            seen = seen.assign(id=[key_of.get(id_key(one), one) for one in seen["id"]])
        recordings = recordings_of(records[records["id"].isin(shared)], seen)
        targets = labelled_targets(task, recordings, labels, path)
        if split_path is None:
            split = new_split(recordings, targets, protocol.shares, protocol.split_seed)
        else:
            split = stored_split(split_path, recordings, targets)
        stored = None if split_path is None else Path(split_path)
        return cls(by_name, path, recordings, targets, split, stored, dataset, tuple(remarks), places)

    def embeddings(self, name: str) -> Float32:
        """Embeddings ``(n, D)`` of the recordings of `split`, in its order, from one of the tables."""
        places = self._places[name]
        return self.tables[name].take(np.array([places[key] for key in self.split.ids], np.int64))

    def held_out(self, name: str, protocol: Protocol) -> tuple[HeldOut, dict[str, Any]]:
        """Cross-validated predictions from one of the tables, and their figures."""
        held = held_out(self.embeddings(name), self.split, protocol)
        return held, held_out_figures(held, columns_of(self.recordings, self.split.ids), protocol.level)

    def maps(self) -> dict[str, Any]:
        """Principal components of the standardised numbers of each table, of at most `_MAPPED` random recordings.

        Returns:
            ``values``: the target of each recording, a number or text. ``tables``: by name, ``points`` (n, 2), the
            first two components, and ``shares`` (2,) of the variance that they hold.
        """
        chosen = np.sort(np.random.default_rng(0).permutation(len(self.split.ids))[:_MAPPED])
        targets = self.split.targets.take(chosen)
        values = targets.values.tolist() if targets.kind == "number" else targets.texts().tolist()
        tables = {}
        for name in self.tables:
            embeddings = self.embeddings(name).astype(np.float64)
            mean, scale = standardisation(embeddings)
            centred = (embeddings - mean) / scale
            variances, directions = np.linalg.eigh(centred.T @ centred)
            first = directions[:, : -min(2, len(variances)) - 1 : -1]
            first = first * np.sign(first[np.abs(first).argmax(axis=0), np.arange(first.shape[1])])
            points = np.zeros((len(chosen), 2))
            points[:, : first.shape[1]] = centred[chosen] @ first
            shares = [*(variances[::-1][:2] / max(float(variances.sum()), 1e-300)), 0.0][:2]
            tables[name] = {"points": points.round(4).tolist(), "shares": np.round(shares, 4).tolist()}
        return {"values": values, "tables": tables}

    def result(self, protocol: Protocol) -> dict[str, Any]:
        """Every table evaluated, and each compared with each other on the same test patients, as plain values.

        Beside what ``linear-eval`` states, ``held_out`` holds of each table `held_out_figures`, ``forecast`` what
        more labels would bring (`ecg_advmask.evaluate.forecast.forecast`), and ``maps`` what `maps` gives.
        """
        primary = PRIMARY[self.split.targets.kind]
        fits = {name: linear_fit(self.embeddings(name), self.split, protocol) for name in self.tables}
        with tqdm(
            total=draws_of(self.split, protocol) * len(fits), desc="linear heads", unit="fit", disable=None
        ) as bar:
            evaluations = {name: evaluate(fit, self.split, protocol, bar.update) for name, fit in fits.items()}
        compared = compare(evaluations, protocol)
        _, *others = evaluations
        for first, second in combinations(others, 2):
            pair = {name: evaluations[name] for name in (first, second)}
            compared["differences"] += compare(pair, protocol)["differences"]
        split_path = self.split_path
        return {
            "format_version": FORMAT_VERSION,
            "kind": KIND,
            "task": self.targets.task,
            "targets": {"kind": self.split.targets.kind, "names": list(self.split.targets.names)},
            "dataset": dict(self.dataset),
            "run": {"path": ", ".join(str(table.path) for table in self.tables.values()), "preset": "", "method": ""},
            "counts": account_of(self.recordings, self.targets, self.split, len(self.recordings)),
            "split": None if split_path is None else {"path": str(split_path), "sha256": sha256_of(split_path)},
            "sha256_of_ids": {part: self.split.digest(part) for part in PARTS},
            "protocol": dataclasses.asdict(protocol),
            "versions": versions(_PACKAGES),
            "encoders": {name: {"name": name, "sha256": table.sha256()} for name, table in self.tables.items()},
            "remarks": list(self.remarks),
            "held_out": {name: self.held_out(name, protocol)[1] for name in self.tables},
            "forecast": {name: forecast(one, primary, protocol.level) for name, one in evaluations.items()},
            "maps": self.maps(),
            **compared,
        }


def _by_name(tables: Sequence[EmbeddingTable]) -> dict[str, EmbeddingTable]:
    found: dict[str, EmbeddingTable] = {}
    for table in tables:
        if found.setdefault(table.name, table) is not table:
            raise InputError(f"{table.path}: another table is called {table.name}, too; rename one of the files")
    return found


def _labels_of(
    path: Path, sex_codes: Mapping[str, Sex] | None
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any], list[str]]:
    """Records and labels as a data set has them, what a result states of them, and remarks."""
    if (path / DATASET_FILE).is_file():
        data = DataSet.open(path)
        return data.records, data.labels, describe(data), []
    table = read_label_table(path, sex_codes)
    columns = {
        "id": list(table.rows),
        "patient": [row.patient for row in table.rows.values()],
        "age_years": [np.nan if row.age_years is None else row.age_years for row in table.rows.values()],
        "sex": [row.sex for row in table.rows.values()],
        "codes": [";".join(row.codes) for row in table.rows.values()],
        "signal_hash": "",
    }
    records = pd.DataFrame(columns)
    cells = {
        name: ["" if is_missing(row.labels[place]) else row.labels[place] for row in table.rows.values()]
        for place, name in enumerate(table.columns)
    }
    labels = pd.DataFrame({"id": list(table.rows), **cells})
    stated = {"path": str(path), "name": path.stem, "sha256": sha256_of(path), "generated": mentions_generated(records)}
    return records, labels, stated, list(table.remarks)


def _matched(table: EmbeddingTable, keys: Sequence[str], path: Path) -> tuple[dict[str, int], list[str]]:
    """The place in a table of each recording of the labels that it has, by its id there; and remarks."""
    ids = IdMatcher(str(path), {key: (line, key) for line, key in enumerate(keys, 2)})
    found = _places(table, ids)
    remarks = [f"{table.path}: {line}"] if (line := ids.restore_zeros()) else []
    if remarks:
        found = _places(table, ids)
    if not found:
        raise InputError(
            f"{table.path}: none of its {len(table.ids)} recordings is in {path}, check the ids: it has "
            f"{table.ids[0]}, the labels {some_of(keys[:1])}"
        )
    if unmatched := len(table.ids) - len(found):
        remarks.append(f"{table.path}: {unmatched} of {len(table.ids)} recordings are not in {path}")
    return found, remarks


def _places(table: EmbeddingTable, ids: IdMatcher) -> dict[str, int]:
    found = {ids.find(str(name)): place for place, name in enumerate(table.ids)}
    return {key: place for key, place in found.items() if key is not None}


def _seen(path: Path) -> pd.DataFrame:
    columns = ["id", "patient", "signal_hash"]
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False)[columns]
    except (OSError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: is no list of recordings ({reason}), give {', '.join(columns)} as CSV") from error
