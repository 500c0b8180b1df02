"""Tables of embeddings, NPZ, CSV or Parquet, written part by part: memory does not grow with their length."""

import csv
import importlib.util
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ecg_advmask.errors import InputError
from ecg_advmask.export.rows import COLUMNS, Account, Part
from ecg_advmask.export.runtime import OnnxEncoder

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
    if path.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise InputError(
            f"--out {path}: Parquet needs the package pyarrow, pip install 'ecg-advmask[parquet]' brings it"
        )


def write_npz(path: Path, parts: Iterable[Part], encoder: OnnxEncoder) -> None:
    """`ids`, `windows`, `start_s`, `embeddings`, `encoder_sha256`; of a classifier also `predictions` and `names`."""
    account, shapes = Account(), dict[str, tuple[np.dtype[Any], tuple[int, ...]]]()
    for part in parts:
        account.include(part.account)
        for name in COLUMNS if not shapes and part.account.rows else ():
            if name in part.columns:
                values = part.columns[name]
                shapes[name] = (values.dtype, values.shape[1:])
    shapes["ids"] = (np.dtype(f"<U{account.longest_id}"), ())
    with zipfile.ZipFile(path, "w", allowZip64=True) as archive:
        for name, (dtype, shape) in shapes.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy", _ZIP_EPOCH), "w", force_zip64=True) as member:
                header = {
                    "descr": np.lib.format.dtype_to_descr(dtype),
                    "fortran_order": False,
                    "shape": (account.rows, *shape),
                }
                np.lib.format.write_array_header_1_0(member, header)
                for part in parts:
                    if part.account.rows:
                        member.write(np.ascontiguousarray(part.columns[name], dtype).tobytes())
        further = {"encoder_sha256": np.array(encoder.metadata["encoder_sha256"])}
        if encoder.names is not None:
            further["names"] = np.array(encoder.names)
        for name, values in further.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy", _ZIP_EPOCH), "w") as member:
                np.lib.format.write_array(member, values, allow_pickle=False)


def write_csv(path: Path, parts: Iterable[Part], encoder: OnnxEncoder) -> None:
    """A row per embedding; nine digits give a float32 back exactly."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        for number, columns in enumerate(_named(parts, encoder)):
            if number == 0:
                writer.writerow(columns)
            texts = [
                [f"{value:.9g}" for value in values] if values.dtype == np.float32 else values.tolist()
                for values in columns.values()
            ]
            writer.writerows(zip(*texts, strict=True))


def write_parquet(path: Path, parts: Iterable[Part], encoder: OnnxEncoder) -> None:
    """The columns of the CSV file, in their own types."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    try:
        for columns in _named(parts, encoder):
            table = pa.table(dict(columns))
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()


WRITERS: Final[Mapping[str, Callable[[Path, Iterable[Part], OnnxEncoder], None]]] = {
    ".npz": write_npz,
    ".csv": write_csv,
    ".parquet": write_parquet,
}
"""How to write a table, by the ending of its name."""


def _named(parts: Iterable[Part], encoder: OnnxEncoder) -> Iterator[dict[str, npt.NDArray[Any]]]:
    """Some rows at a time, each column one-dimensional and by its name in a flat table."""
    for part in parts:
        columns = {name: part.columns[name] for name in COLUMNS if name in part.columns}
        for first in range(0, part.account.rows, _ROWS_AT_ONCE):
            rows = slice(first, first + _ROWS_AT_ONCE)
            flat = {"id": columns["ids"][rows]}
            flat["window" if "start_s" in columns else "windows"] = columns["windows"][rows]
            if "start_s" in columns:
                flat["start_s"] = columns["start_s"][rows]
            if "predictions" in columns:
                names = [f"prediction:{name}" for name in encoder.names or ()]
                flat |= dict(zip(names, columns["predictions"][rows].T, strict=True))
            names = [f"e{number}" for number in range(encoder.embedding_dim)]
            yield flat | dict(zip(names, columns["embeddings"][rows].T, strict=True))
