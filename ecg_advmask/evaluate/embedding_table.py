"""Tables of anybody's embeddings, NPZ, CSV or Parquet: one embedding per recording, by its id. Without TensorFlow.

In: a table of ``ecg-advmask embed``, or one of the same simple form. Several rows of one id are windows of one
recording, which gets their mean, as in every evaluation here.
"""

import hashlib
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from ecg_advmask.ecg.recording import is_missing
from ecg_advmask.errors import InputError, some_of

Float32 = npt.NDArray[np.float32]
Names = npt.NDArray[np.object_]

SUFFIXES: Final = (".npz", ".csv", ".parquet")
_IDS: Final = ("ids", "id", "record", "record_id", "recording")
_EMBEDDINGS: Final = ("embeddings", "embedding", "features", "X")
_FORM: Final = "give an array or column id and embeddings (n, D), or columns that are numbered, such as e0, e1, ..."


@dataclass(frozen=True)
class EmbeddingTable:
    """Embeddings of recordings.

    Attributes:
        name: what reports call it.
        path: its file.
        ids: (n,) text, no two alike, in the order of the file.
        embeddings: (n, D) float32, finite; the mean over the rows of each recording.
        rows: of the file.
        ignored: columns that were not used.
    """

    name: str
    path: Path
    ids: Names
    embeddings: Float32
    rows: int
    ignored: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: str | Path, name: str = "") -> "EmbeddingTable":
        """Read a table.

        An ``.npz`` file has the arrays ``ids`` (or ``id``) and ``embeddings`` (n, D). A ``.csv`` or ``.parquet`` file
        has the column ``id``, and either a column ``embedding`` of lists or columns whose names differ in a number
        alone and count up (``e0, e1, ...``); all others are ignored.

        Raises:
            InputError: the file is missing, damaged or of another form, has a row without an id, or a number that is
                missing or infinite.
        """
        file = Path(path)
        if file.suffix not in SUFFIXES or not file.is_file():
            raise InputError(f"{path}: is no table of embeddings, give a file that ends in {', '.join(SUFFIXES)}")
        try:
            ids, values, ignored = _READERS[file.suffix](file)
        except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"{path}: cannot be read ({reason}); {_FORM}") from error
        texts = np.array([one.decode() if isinstance(one, bytes) else str(one) for one in ids.tolist()], object)
        if values.ndim != 2 or len(values) != len(texts) or not values.size or values.dtype.kind not in "fiu":
            raise InputError(
                f"{path}: has {len(texts)} ids and embeddings of shape {values.shape} and type {values.dtype}; {_FORM}"
            )
        nameless = [row for row, one in enumerate(texts) if is_missing(one)]
        if nameless:
            raise InputError(f"{path}: row {nameless[0] + 1} has no id, so it is not known what it is about")
        keys, recording_of = np.unique(texts.astype(str), return_inverse=True)
        total = np.zeros((len(keys), values.shape[1]), np.float64)
        np.add.at(total, recording_of, values)
        embeddings = (total / np.bincount(recording_of)[:, None]).astype(np.float32)
        bad = ~np.isfinite(embeddings).all(axis=1)
        if bad.any():
            raise InputError(
                f"{path}: embeddings of {int(bad.sum())} recordings are not finite numbers "
                f"({some_of(keys[bad].tolist())}), leave these out or correct them"
            )
        return cls(name or file.stem, file, keys.astype(object), embeddings, len(values), ignored)

    def take(self, places: npt.NDArray[np.int64]) -> Float32:
        """Embeddings of the recordings at these places of ``ids``, (n, D) float32."""
        return self.embeddings[places]

    def nearest(self, record_id: str, most: int) -> list[tuple[str, float]]:
        """The recordings nearest to one, by the cosine of embeddings less their mean over the table, nearest first.

        Args:
            record_id: one of ``ids``, which is not among the results.
            most: how many at most.

        Raises:
            InputError: there is no such recording.
        """
        found = np.flatnonzero(self.ids == record_id)
        if not len(found):
            raise InputError(f"{self.path}: has no recording {record_id}, it has {some_of(self.ids[:3].tolist())}, ...")
        centred = self.embeddings - self.embeddings.mean(axis=0, dtype=np.float64)
        directions = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
        similarity = directions @ directions[found[0]]
        order = [place for place in np.argsort(-similarity, kind="stable").tolist() if place != found[0]]
        return [(str(self.ids[place]), float(similarity[place])) for place in order[:most]]

    def sha256(self) -> str:
        """Of its name, ids and embeddings: different for each table that is compared."""
        digest = hashlib.sha256("\n".join([self.name, *self.ids]).encode("utf-8", "surrogatepass"))
        digest.update(np.ascontiguousarray(self.embeddings, "<f4").tobytes())
        return digest.hexdigest()


Read = tuple[npt.NDArray[Any], npt.NDArray[Any], tuple[str, ...]]
"""Ids (n,), embeddings (n, D) and the columns that are ignored."""


def _read_npz(path: Path) -> Read:
    with np.load(path, allow_pickle=False) as archive:
        names = list(archive.files)
        ids, embeddings = (_one_of(names, wanted, path) for wanted in (_IDS, _EMBEDDINGS))
        return archive[ids], archive[embeddings], tuple(name for name in names if name not in (ids, embeddings))


def _read_csv(path: Path) -> Read:
    header = pd.read_csv(path, dtype=str, nrows=0, keep_default_na=False)
    id_column = _one_of(list(header.columns), _IDS, path)
    return _of_frame(pd.read_csv(path, dtype={id_column: str}), path)


def _read_parquet(path: Path) -> Read:
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise InputError(
            f"{path}: Parquet needs the package pyarrow, pip install 'ecg-advmask[parquet]' brings it"
        ) from error
    return _of_frame(pq.read_table(path).to_pandas(), path)


_READERS: Final = {".npz": _read_npz, ".csv": _read_csv, ".parquet": _read_parquet}


def _of_frame(frame: pd.DataFrame, path: Path) -> Read:
    names = [str(name) for name in frame.columns]
    id_column = _one_of(names, _IDS, path)
    ids = frame[id_column].astype(object).where(frame[id_column].notna(), "").to_numpy(object)
    lists = [name for name in names if name in _EMBEDDINGS]
    if lists:
        used, values = lists[:1], np.stack([np.asarray(one) for one in frame[lists[0]]])
    else:
        used = _numbered([name for name in names if name != id_column], path)
        values = frame[used].to_numpy()
        texts = [name for name in used if frame[name].dtype.kind not in "fiu"]
        if texts:
            raise InputError(f"{path}: column {texts[0]} holds something other than numbers, correct it")
    return ids, values, tuple(name for name in names if name not in (id_column, *used))


def _numbered(names: Sequence[str], path: Path) -> list[str]:
    """The columns whose names are one beginning and the numbers from 0 or 1 on, in the order of the numbers."""
    by_prefix: dict[str, dict[int, str]] = {}
    for name in names:
        match = re.fullmatch(r"(.*?)(\d+)", name, re.ASCII)
        if match:
            by_prefix.setdefault(match[1], {})[int(match[2])] = name
    complete = {
        prefix: [found[number] for number in sorted(found)]
        for prefix, found in by_prefix.items()
        if sorted(found) in (list(range(len(found))), list(range(1, len(found) + 1))) and len(found) > 1
    }
    if len(complete) != 1:
        shown = " and ".join(f"{columns[0]}, ..., {columns[-1]}" for columns in complete.values())
        problem = f"has several sets of numbered columns ({shown})" if complete else "has no numbered columns"
        raise InputError(f"{path}: {problem}, so it is not known which are the embedding; {_FORM}")
    (columns,) = complete.values()
    return columns


def _one_of(names: Sequence[str], wanted: Sequence[str], path: Path) -> str:
    found = [name for name in wanted if name in names]
    if len(found) != 1:
        problem = f"has {' and '.join(found)}, which mean the same" if found else f"has no {wanted[0]}"
        shown = ", ".join(map(str, names[:6])) + (", ..." if len(names) > 6 else "")
        raise InputError(f"{path}: {problem} (it has {shown}); {_FORM}")
    return found[0]
