"""A data set on disk: a folder of TFRecord shards with `dataset.json`, `records.csv` and `refused.csv`.

Each record of a shard is a `tf.train.Example` of one window: ``signals_uv``, the bytes of an (L, 12) int16 array,
little-endian, in microvolts, and ``row``, its row in ``records.csv``. Shards hold the rows in order.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from ecg_advmask.errors import InputError
from ecg_advmask.files import inside, read_json, sha256_of

FORMAT_VERSION: Final = 1
LEADS: Final = 12

DATASET_FILE: Final = "dataset.json"
RECORDS_FILE: Final = "records.csv"
REFUSED_FILE: Final = "refused.csv"

RECORD_COLUMNS: Final = (
    "id",
    "window",
    "start_s",
    "source",
    "patient",
    "age_years",
    "sex",
    "codes",
    "signal_hash",
    "file",
    "original_rate_hz",
    "valid_samples",
)
_NUMBERS: Final = {"window": int, "start_s": float, "age_years": float, "original_rate_hz": float, "valid_samples": int}


@dataclass(frozen=True)
class DataSet:
    """An opened data set; ``records`` has one row per window, in the order of the shards."""

    path: Path
    sampling_rate_hz: int
    window_samples: int
    sha256: str
    records: pd.DataFrame
    shard_paths: list[Path]
    shard_windows: list[int]

    @classmethod
    def open(cls, path: str | Path, *, verify: bool = False) -> "DataSet":
        """Open the data set in a folder; the sizes of its files are checked, with ``verify`` also their contents.

        Raises:
            InputError: the folder holds no data set, one of another format version, or one that was altered.
        """
        folder = Path(path)
        if not (folder / DATASET_FILE).is_file():
            raise InputError(f"{folder}: is not a data set (no {DATASET_FILE}), make one with ecg-advmask prepare")
        stated = read_json(folder / DATASET_FILE)
        version = stated.get("format_version")
        if version != FORMAT_VERSION:
            raise InputError(f"{folder}: has format version {version}, this program reads {FORMAT_VERSION}")
        try:
            shards = [
                (str(shard["name"]), int(shard["windows"]), int(shard["bytes"]), str(shard["sha256"]))
                for shard in stated["shards"]
            ]
            rate, samples, sha256 = (
                int(stated["sampling_rate_hz"]),
                int(stated["window_samples"]),
                str(stated["sha256"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{folder / DATASET_FILE}: is damaged ({error!r}), prepare the data set again") from error
        paths = [_checked(folder, name, size) for name, _, size, _ in shards]
        records = _read_records(folder / RECORDS_FILE)
        if len(records) != sum(windows for _, windows, _, _ in shards):
            raise InputError(f"{folder / RECORDS_FILE}: has {len(records)} rows, one per window was expected")
        if verify:
            for shard_path, (_, _, _, expected) in zip(paths, shards, strict=True):
                if sha256_of(shard_path) != expected:
                    raise InputError(f"{shard_path}: was altered since it was made, prepare the data set again")
            if sha256 != dataset_sha256([shard[3] for shard in shards], folder / RECORDS_FILE):
                raise InputError(f"{folder / RECORDS_FILE}: was altered since it was made, prepare the data set again")
        return cls(folder, rate, samples, sha256, records, paths, [windows for _, windows, _, _ in shards])

    def signals_mv(self, rows: Sequence[int] | npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
        """Windows of the given rows, in the order given: (n, window_samples, 12) float32, millivolts.

        Raises:
            IndexError: there is no such row.
        """
        import tensorflow as tf

        wanted = np.asarray(rows, dtype=np.int64)
        if len(wanted) and not (wanted.min() >= 0 and wanted.max() < len(self.records)):
            raise IndexError(f"rows must be from 0 to {len(self.records) - 1}")
        signals = np.empty((len(wanted), self.window_samples, LEADS), dtype=np.float32)
        first = 0
        for path, windows in zip(self.shard_paths, self.shard_windows, strict=True):
            places = np.flatnonzero((wanted >= first) & (wanted < first + windows))
            if len(places):
                serialized = list(tf.data.TFRecordDataset(str(path)))
                for place in places:
                    example = tf.train.Example.FromString(serialized[wanted[place] - first].numpy())
                    (raw,) = example.features.feature["signals_uv"].bytes_list.value
                    values = np.frombuffer(raw, dtype="<i2").reshape(self.window_samples, LEADS)
                    signals[place] = values * np.float32(1e-3)
            first += windows
        return signals


def write_shard(path: Path, windows_uv: Iterable[npt.NDArray[np.int16]], first_row: int) -> None:
    """Write windows, (L, 12) int16 microvolts each, as one TFRecord file; rows are counted from ``first_row``."""
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as writer:
        for row, window_uv in enumerate(windows_uv, first_row):
            signals = tf.train.BytesList(value=[window_uv.astype("<i2").tobytes()])
            feature = {
                "row": tf.train.Feature(int64_list=tf.train.Int64List(value=[row])),
                "signals_uv": tf.train.Feature(bytes_list=signals),
            }
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString(deterministic=True))


def shard_entries(paths: Iterable[Path], windows: Iterable[int]) -> Iterator[dict[str, Any]]:
    """What `dataset.json` says about each shard."""
    for path, count in zip(paths, windows, strict=True):
        yield {"name": path.name, "windows": count, "bytes": path.stat().st_size, "sha256": sha256_of(path)}


def dataset_sha256(shard_hashes: Iterable[str], records_path: Path) -> str:
    """One hash for the whole data set: over the hashes of its shards and of `records.csv`."""
    return hashlib.sha256("\n".join([*shard_hashes, sha256_of(records_path)]).encode()).hexdigest()


def _checked(folder: Path, name: str, size: int) -> Path:
    """Path of a shard that is there in the size it was written with."""
    path = inside(folder, name)
    if not path.is_file():
        raise InputError(f"{path}: is missing from the data set, prepare it again")
    if path.stat().st_size != size:
        raise InputError(f"{path}: has {path.stat().st_size} bytes instead of {size}, prepare the data set again")
    return path


def _read_records(path: Path) -> pd.DataFrame:
    try:
        records = pd.read_csv(path, dtype=str, keep_default_na=False)
        records = records[list(RECORD_COLUMNS)].replace({"age_years": {"": "nan"}}).astype(_NUMBERS)
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}), prepare the data set again") from error
    return records
