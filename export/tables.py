"""Tables of embeddings, NPZ, CSV or Parquet, written part by part: memory does not grow with their length."""

import contextlib
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
    """A row per embedding, with a column for each of its numbers; nine digits give a float32 back exactly."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        for number, (columns, embeddings) in enumerate(_some_rows(parts, encoder)):
            if number == 0:
                writer.writerow([*columns, *(f"e{place}" for place in range(encoder.embedding_dim))])
            values = [*columns.values(), *embeddings.T]
            texts = [[f"{one:.9g}" for one in column] if column.dtype == np.float32 else column for column in values]
            writer.writerows(zip(*texts, strict=True))


def write_parquet(path: Path, parts: Iterable[Part], encoder: OnnxEncoder) -> None:
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


WRITERS: Final[Mapping[str, Callable[[Path, Iterable[Part], OnnxEncoder], None]]] = {
    ".npz": write_npz,
    ".csv": write_csv,
    ".parquet": write_parquet,
}
"""How to write a table, by the ending of its name."""


def _some_rows(
    parts: Iterable[Part], encoder: OnnxEncoder
) -> Iterator[tuple[dict[str, npt.NDArray[Any]], npt.NDArray[np.float32]]]:
    """Some rows at a time: all but the embeddings in columns by their names in a flat table, and the embeddings."""
    for part in parts:
        columns = {name: part.columns[name] for name in COLUMNS if name in part.columns}
        for first in range(0, part.account.rows, _ROWS_AT_ONCE):
            rows = {name: values[first : first + _ROWS_AT_ONCE] for name, values in columns.items()}
            flat = {"id": rows["ids"], "window" if "start_s" in rows else "windows": rows["windows"]}
            if "start_s" in rows:
                flat["start_s"] = rows["start_s"]
            if "predictions" in rows:
                names = [f"prediction:{name}" if name else "prediction" for name in encoder.names or ()]
                flat |= dict(zip(names, rows["predictions"].T, strict=True))
            yield flat, rows["embeddings"]
