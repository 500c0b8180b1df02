"""Tables of anybody's embeddings: what is read of them, and what is refused by its name."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.embedding_table import EmbeddingTable

VALUES = np.array([[1, 2], [3, 4], [5, 7], [0.1, 0.2]], np.float32)
IDS = ["b", "a", "b", "10"]


def written(folder: Path, form: str) -> Path:
    path = folder / f"table.{form.rpartition(' ')[2]}"
    flat: dict[str, Any] = {"id": IDS, "window": [0, 0, 1, 0], "e1": VALUES[:, 1], "e0": VALUES[:, 0], "age": [1] * 4}
    match form:
        case "npz":
            np.savez(path, ids=np.array(IDS), windows=np.zeros(4), embeddings=VALUES)
        case "bytes npz":
            np.savez(path, id=np.array(IDS, "S"), X=VALUES.astype(np.float64))
        case "csv":
            pd.DataFrame(flat).to_csv(path, index=False)
        case "from 1 csv":
            pd.DataFrame({"record": IDS, "dim_1": VALUES[:, 0], "dim_2": VALUES[:, 1]}).to_csv(path, index=False)
        case "parquet":
            pytest.importorskip("pyarrow")
            pd.DataFrame({"id": IDS, "embedding": list(VALUES), "age": [1] * 4}).to_parquet(path)
        case "flat parquet":
            pytest.importorskip("pyarrow")
            pd.DataFrame(flat).to_parquet(path)
    return path


@pytest.mark.parametrize("form", ["npz", "bytes npz", "csv", "from 1 csv", "parquet", "flat parquet"])
def test_recordings_have_the_mean_of_their_rows(form: str, tmp_path: Path) -> None:
    table = EmbeddingTable.read(written(tmp_path, form))
    assert table.ids.tolist() == ["10", "a", "b"] and (table.name, table.rows) == ("table", 4)
    expected = np.array([[0.1, 0.2], [3, 4], [3, 4.5]], np.float32)
    assert table.embeddings.dtype == np.float32
    np.testing.assert_array_equal(table.embeddings, expected)


def test_other_columns_are_named_not_used(tmp_path: Path) -> None:
    assert EmbeddingTable.read(written(tmp_path, "csv")).ignored == ("window", "age")


def test_tables_that_differ_have_other_hashes(tmp_path: Path) -> None:
    path = written(tmp_path, "npz")
    other = tmp_path / "other.npz"
    np.savez(other, ids=np.array(IDS), embeddings=VALUES * 2)
    tables = [EmbeddingTable.read(path), EmbeddingTable.read(path, "again"), EmbeddingTable.read(other, "table")]
    assert len({table.sha256() for table in tables}) == 3


@pytest.mark.parametrize(
    ("columns", "named"),
    [
        ({"e0": [1], "e1": [2]}, "id"),
        ({"id": ["a"], "record": ["a"], "e0": [1], "e1": [2]}, "record"),
        ({"id": ["a"], "x": [1], "y": [2]}, "numbered"),
        ({"id": ["a"], "e0": [1], "e2": [2]}, "numbered"),
        ({"id": ["a"], "e0": [1], "e1": [2], "f0": [1], "f1": [2]}, "e0, ..., e1 and f0, ..., f1"),
        ({"id": ["a"], "e0": ["1"], "e1": ["one"]}, "e1"),
        ({"id": ["a", ""], "e0": [1, 2], "e1": [2, 3]}, "row 2"),
        ({"id": ["a", "R7"], "e0": [1, 2], "e1": [2, np.nan]}, "R7"),
        ({"id": ["a", "R7"], "e0": [1, 2], "e1": [2, np.inf]}, "R7"),
        ({"id": [], "e0": [], "e1": []}, "table.csv"),
    ],
)
def test_a_table_that_is_not_clear_is_refused(columns: dict[str, Any], named: str, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    pd.DataFrame(columns).to_csv(path, index=False)
    with pytest.raises(InputError, match=named) as refused:
        EmbeddingTable.read(path)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    "arrays",
    [
        {"ids": np.array(["a"])},
        {"ids": np.array(["a", "b"]), "embeddings": VALUES},
        {"ids": np.array(["a"] * 4), "embeddings": VALUES[:, 0]},
        {"ids": np.array(["a"] * 4), "embeddings": VALUES.astype(str)},
        {"ids": np.array(["a"] * 4, object), "embeddings": VALUES},
        {"ids": np.array([]), "embeddings": VALUES[:0]},
    ],
)
def test_arrays_that_are_no_table_are_refused(arrays: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "table.npz"
    np.savez(path, **arrays)
    with pytest.raises(InputError, match="table"):
        EmbeddingTable.read(path)


def test_a_file_that_is_damaged_or_absent_is_refused(tmp_path: Path) -> None:
    for name, content in {"a.npz": b"PK", "b.parquet": b"PAR1", "c.csv": b"\xff\xfe\x00", "d.txt": b"id"}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=name[0]):
            EmbeddingTable.read(tmp_path / name)
    with pytest.raises(InputError, match="absent"):
        EmbeddingTable.read(tmp_path / "absent.npz")
