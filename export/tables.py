"""Tables of embeddings, NPZ, CSV or Parquet, written part by part: memory does not grow with their length."""

import contextlib
import csv
import importlib.util
import json
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from ecg_advmask.errors import InputError
from ecg_advmask.export.encoder import Embedder
from ecg_advmask.export.rows import COLUMNS, EmbeddingSummary, Part
from ecg_advmask.files import atomic_path, check_writable, locked, read_json, write_json

_ZIP_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""Time of the members of an archive, so that the same table is the same bytes."""

_ROWS_AT_ONCE: Final = 1024


def check_table(path: Path) -> None:
    """See that a table of this name can be written, before any work is done.

    Raises:
        InputError: its ending is unknown, it is a folder, or pyarrow is missing for Parquet.
    """
    if path.suffix not in WRITERS or path.is_dir():
        raise InputError(f"--out {path}: is a folder or has an unknown ending, give FILE.npz, FILE.csv or FILE.parquet")
    check_writable(path)
    if path.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise InputError(
            f"--out {path}: Parquet needs the package pyarrow, pip install 'ecg-advmask[parquet]' brings it"
        )


def write_npz(path: Path, parts: Iterable[Part], encoder: Embedder) -> None:
    """`ids`, `windows`, `start_s`, `embeddings`, `encoder_sha256`; of a classifier also `predictions` and `names`."""
    summary, shapes = EmbeddingSummary(), dict[str, tuple[np.dtype[Any], tuple[int, ...]]]()
    for part in parts:
        summary.include(part.summary)
        for name in COLUMNS if not shapes and part.summary.rows else ():
            if name in part.columns:
                values = part.columns[name]
                shapes[name] = (values.dtype, values.shape[1:])
    shapes["ids"] = (np.dtype(f"<U{summary.longest_id}"), ())
    with zipfile.ZipFile(path, "w", allowZip64=True) as archive:
        for name, (dtype, shape) in shapes.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy", _ZIP_EPOCH), "w", force_zip64=True) as member:
                header = {
                    "descr": np.lib.format.dtype_to_descr(dtype),
                    "fortran_order": False,
                    "shape": (summary.rows, *shape),
                }
                np.lib.format.write_array_header_1_0(member, header)
                for part in parts:
                    if part.summary.rows:
                        member.write(np.ascontiguousarray(part.columns[name], dtype).tobytes())
        further = {"encoder_sha256": np.array(encoder.metadata["encoder_sha256"])}
        if encoder.names is not None:
            further["names"] = np.array(encoder.names)
        for name, values in further.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy", _ZIP_EPOCH), "w") as member:
                np.lib.format.write_array(member, values, allow_pickle=False)


def write_csv_table(path: Path, parts: Iterable[Part], encoder: Embedder) -> None:
    """A row per embedding, with a column for each of its numbers; nine digits give a float32 back exactly."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        for number, (columns, embeddings) in enumerate(_some_rows(parts, encoder)):
            if number == 0:
                writer.writerow([*columns, *(f"e{place}" for place in range(encoder.embedding_dim))])
            values = [*columns.values(), *embeddings.T]
            texts = [[f"{one:.9g}" for one in column] if column.dtype == np.float32 else column for column in values]
            writer.writerows(zip(*texts, strict=True))


def write_parquet(path: Path, parts: Iterable[Part], encoder: Embedder) -> None:
    """The columns of the CSV file in their own types, but for the embeddings: one column `embedding` of lists."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with contextlib.ExitStack() as stack:
        writer: Any = None
        for columns, embeddings in _some_rows(parts, encoder):
            lists = pa.FixedSizeListArray.from_arrays(pa.array(embeddings.ravel()), encoder.embedding_dim)
            table = pa.table({**columns, "embedding": lists})
            writer = writer or stack.enter_context(pq.ParquetWriter(path, table.schema, use_dictionary=["id"]))
            writer.write_table(table)


WRITERS: Final[Mapping[str, Callable[[Path, Iterable[Part], Embedder], None]]] = {
    ".npz": write_npz,
    ".csv": write_csv_table,
    ".parquet": write_parquet,
}
"""How to write a table, by the ending of its name."""


def _some_rows(
    parts: Iterable[Part], encoder: Embedder
) -> Iterator[tuple[dict[str, npt.NDArray[Any]], npt.NDArray[np.float32]]]:
    """Some rows at a time: all but the embeddings in columns by their names in a flat table, and the embeddings."""
    for part in parts:
        columns = {name: part.columns[name] for name in COLUMNS if name in part.columns}
        for first in range(0, part.summary.rows, _ROWS_AT_ONCE):
            rows = {name: values[first : first + _ROWS_AT_ONCE] for name, values in columns.items()}
            flat = {"id": rows["ids"], "window" if "start_s" in rows else "windows": rows["windows"]}
            if "start_s" in rows:
                flat["start_s"] = rows["start_s"]
            if "predictions" in rows:
                names = [f"prediction:{name}" if name else "prediction" for name in encoder.names or ()]
                flat |= dict(zip(names, rows["predictions"].T, strict=True))
            yield flat, rows["embeddings"]


# ---- A table of embeddings under way: parts of it in a folder beside the table, to continue after a kill.
#
# The folder ``<table>.parts`` holds `state.json` (of which encoder, options and recordings) and a NumPy archive for
# each part, made one after the other. Each is written under another name and renamed: a process may be killed at any
# moment. A job that ends within its first part never makes the folder.

_STATE: Final = "state.json"
_LOCK: Final = ".lock"
_SUMMARY: Final = "account"


class Parts:
    """The parts that are finished, in order; those of an earlier run are found again.

    A context: as long as it lasts, no other process can write to the folder. ``end`` is the number of recordings that
    the parts account for.
    """

    def __init__(self, folder: Path, state: Mapping[str, Any], recordings: int) -> None:
        """Find the parts in a folder, which need not be there.

        Raises:
            InputError: it holds other things, or work with another encoder, other options or other recordings; or
                another process works there.
        """
        self.folder = folder
        self._state, self._recordings = dict(state), recordings
        self._only: Part | None = None
        self._count, self.end = 0, 0
        self._stack = contextlib.ExitStack()
        if not folder.exists():
            return
        if (folder / _STATE).exists():
            _check_same(folder, read_json(folder / _STATE), self._state)
        elif not folder.is_dir() or any(not path.name.startswith(".") for path in folder.iterdir()):
            raise InputError(f"{folder}: is in the way, embeddings are put there until they are complete; remove it")
        self._lock()
        while (summary := _summary(self._path(self._count))) is not None and summary.first == self.end:
            self.end = summary.end
            self._count += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def add(self, part: Part) -> None:
        """Keep the next part: on disk, unless it is the only one."""
        if part.summary.first == 0 and part.summary.end == self._recordings:
            self._only = part
        else:
            if self._count == 0:
                self._lock()
                write_json(self.folder / _STATE, self._state)
            with atomic_path(self._path(self._count)) as temporary:
                summary = np.array(json.dumps(asdict(part.summary)))
                np.savez(temporary, allow_pickle=False, **{**part.columns, _SUMMARY: summary})
            self._count += 1
        self.end = part.summary.end

    def __iter__(self) -> Iterator[Part]:
        """All parts, one at a time in memory."""
        if self._only is not None:
            yield self._only
        for number in range(self._count):
            with np.load(self._path(number), allow_pickle=False) as columns:
                yield Part(columns, EmbeddingSummary(**json.loads(str(columns[_SUMMARY]))))

    @contextlib.contextmanager
    def path_for(self, table: Path) -> Iterator[Path]:
        """Where to write the table, which gets its name at the end; in the folder, if there is one."""
        target = self.folder / f"table{table.suffix}" if self._count else table
        with atomic_path(target) as temporary:
            yield temporary
        target.replace(table)

    def remove(self) -> None:
        """Remove the folder, the last part first: what a kill leaves of it is a beginning of the same work."""
        for number in reversed(range(self._count)):
            self._path(number).unlink()
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def _lock(self) -> None:
        self._stack.close()
        if not self._stack.enter_context(locked(self.folder / _LOCK)):
            raise InputError(f"{self.folder}: another process is at work there, wait for it or choose another FILE")

    def _path(self, number: int) -> Path:
        return self.folder / f"part-{number:06d}.npz"


def _summary(path: Path) -> EmbeddingSummary | None:
    """The summary of a stored part; None if it is missing or damaged, and is then recomputed."""
    if not path.exists():
        return None
    try:
        with zipfile.ZipFile(path) as archive, np.load(path, allow_pickle=False) as columns:
            whole = archive.testzip() is None
            return EmbeddingSummary(**json.loads(str(columns[_SUMMARY]))) if whole else None
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return None


def _check_same(folder: Path, started: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to continue the work of another encoder, on other recordings or with other options."""
    words = {"encoder_file_sha256": "with another encoder", "listing_sha256": "on other recordings"}
    changed = [
        words.get(name, f"with {name} {json.dumps(started.get(name))} instead of {json.dumps(value)}")
        for name, value in now.items()
        if started.get(name) != value
    ]
    if changed:
        raise InputError(f"{folder}: was started {', '.join(changed)}; remove it to start again")
