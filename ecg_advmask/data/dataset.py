"""A data set on disk: a folder of shards with `dataset.json`, `records.csv`, `labels.csv` and `refused.csv`.

Shards (`ecg_advmask.data.dataset`) hold windows in the order of the rows of ``records.csv``. Recordings are dealt
to them in the order of a hash of their ids, so that each shard is a random sample of the archive.
"""

import hashlib
import os
import struct
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Final, Self

import google_crc32c
import numpy as np
import numpy.typing as npt
import pandas as pd

from ecg_advmask.errors import InputError
from ecg_advmask.files import inside, read_json, sha256_of

if TYPE_CHECKING:
    import tensorflow as tf

    from ecg_advmask.config import Config

# ---- Windows in TFRecord files that any window can be read from by its place, without TensorFlow.
#
# Every record is the bytes of one (L, 12) int16 array, little-endian, microvolts, so all records of a file have one
# size. TensorFlow reads such a file with ``tf.data.TFRecordDataset`` and ``tf.io.decode_raw``. The framing of a record
# is that of https://www.tensorflow.org/tutorials/load_data/tfrecord: length, its masked CRC-32C, data, their masked
# CRC-32C.

Microvolts = npt.NDArray[np.int16]

LEADS: Final = 12
_BEFORE: Final = 12
_AFTER: Final = 4
_BYTES_PER_SAMPLE: Final = 2 * LEADS


def record_bytes(window_samples: int) -> int:
    """Bytes that one window takes in a file, given its number of samples."""
    return _BEFORE + window_samples * _BYTES_PER_SAMPLE + _AFTER


class WindowWriter:
    """Writes windows to a file, one after the other; a context that closes it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file: IO[bytes] = open(path, "wb")  # noqa: SIM115, PTH123 (closed by __exit__)
        self.windows = 0

    def write(self, window_uv: Microvolts) -> None:
        """Append a window, (L, 12) int16."""
        data = np.ascontiguousarray(window_uv, "<i2").tobytes()
        length = struct.pack("<Q", len(data))
        self._file.write(length + _masked_crc(length) + data + _masked_crc(data))
        self.windows += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def read_window_into(file: int, place: int, window_samples: int, start: int, target: Microvolts) -> bool:
    """Read samples of the window at ``place`` from sample ``start`` on into ``target``, (samples, 12) int16.

    ``file`` is an open file descriptor. Other threads run while this one reads. Returns whether all of it was there.
    """
    offset = place * record_bytes(window_samples) + _BEFORE + start * _BYTES_PER_SAMPLE
    return os.preadv(file, [target.reshape(-1).view(np.uint8).data], offset) == target.nbytes


def _masked_crc(data: bytes) -> bytes:
    crc: int = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


FORMAT_VERSION: Final = 2

DATASET_FILE: Final = "dataset.json"
RECORDS_FILE: Final = "records.csv"
LABELS_FILE: Final = "labels.csv"
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
    "reported",
    "duplicate_of",
)
REBUILT_COLUMN: Final = "rebuilt"
"""A further column, if limb leads of any recording were computed from others: their names, with semicolons between."""

_NUMBERS: Final = {"window": int, "start_s": float, "age_years": float, "original_rate_hz": float, "valid_samples": int}
_AGAIN: Final = "prepare the data set again"

Rows = Sequence[int] | range | npt.NDArray[np.integer]


@dataclass(frozen=True)
class DataSet:
    """An opened data set; its tables are read when they are asked for, its shards are verified when first opened.

    ``shard_windows`` is the number of windows in each of ``shard_paths``; ``files`` what `dataset.json` says of every
    file: its bytes and its SHA-256, by name.
    """

    path: Path
    sampling_rate_hz: int
    window_samples: int
    sha256: str
    shard_paths: list[Path]
    shard_windows: list[int]
    files: Mapping[str, tuple[int, str]] = field(repr=False)
    _verified: set[int] = field(default_factory=set, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @classmethod
    def open(cls, path: str | Path, *, verify: bool = False) -> "DataSet":
        """Open the data set in a folder; the sizes of its files are checked, with ``verify`` all their contents.

        Raises:
            InputError: the folder holds no data set, one of another format version, or one that was altered.
        """
        folder = Path(path)
        if not (folder / DATASET_FILE).is_file():
            raise InputError(f"{folder}: is not a data set (no {DATASET_FILE}), make one with ecg-advmask prepare")
        stated = read_json(folder / DATASET_FILE)
        version = stated.get("format_version")
        if version != FORMAT_VERSION:
            raise InputError(f"{folder}: has format version {version}, this program reads {FORMAT_VERSION}, {_AGAIN}")
        try:
            windows = {str(shard["name"]): int(shard["windows"]) for shard in stated["shards"]}
            files = {str(file["name"]): (int(file["bytes"]), str(file["sha256"])) for file in _files(stated)}
            rate, samples, sha256 = (
                int(stated["sampling_rate_hz"]),
                int(stated["window_samples"]),
                str(stated["sha256"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{folder / DATASET_FILE}: is damaged ({error!r}), {_AGAIN}") from error
        paths = {name: _checked(folder, name, size) for name, (size, _) in files.items()}
        for name, count in windows.items():
            if files[name][0] != count * record_bytes(samples):
                raise InputError(f"{folder / name}: is not a shard of {count} windows of {samples} samples, {_AGAIN}")
        if sha256 != dataset_sha256(digest for _, digest in files.values()) or RECORDS_FILE not in files:
            raise InputError(f"{folder / DATASET_FILE}: was altered since it was made, {_AGAIN}")
        data = cls(folder, rate, samples, sha256, [paths[name] for name in windows], [*windows.values()], files)
        if verify:
            for name in files:
                data._verify(name)
            data.records  # noqa: B018 (one row per window is checked when it is read)
        return data

    @property
    def windows(self) -> int:
        """Number of windows."""
        return sum(self.shard_windows)

    @cached_property
    def records(self) -> pd.DataFrame:
        """One row per window, in the order of the shards; columns as in `RECORD_COLUMNS`, and `REBUILT_COLUMN`.

        Raises:
            InputError: the table was altered or is damaged.
        """
        records = self._table(RECORDS_FILE)
        try:
            if REBUILT_COLUMN not in records:
                records[REBUILT_COLUMN] = ""
            records = records[[*RECORD_COLUMNS, REBUILT_COLUMN]].replace({"age_years": {"": "nan"}}).astype(_NUMBERS)
        except (KeyError, ValueError) as error:
            raise InputError(f"{self.path / RECORDS_FILE}: cannot be read ({error}), {_AGAIN}") from error
        if len(records) != self.windows:
            raise InputError(
                f"{self.path / RECORDS_FILE}: has {len(records)} rows for {self.windows} windows, {_AGAIN}"
            )
        return records

    @cached_property
    def valid_samples(self) -> npt.NDArray[np.int64]:
        """Samples of each window before its padding, (windows,), read without the rest of `records`; errors alike."""
        column = self._table(RECORDS_FILE, ["valid_samples"])["valid_samples"]
        if len(column) != self.windows or not column.str.fullmatch(r"\d+").all():
            raise InputError(f"{self.path / RECORDS_FILE}: valid_samples is not a number for every window, {_AGAIN}")
        return column.to_numpy(np.int64)

    @cached_property
    def labels(self) -> pd.DataFrame:
        """The user's columns as text, one row per recording, the column ``id`` first; empty if there are none.

        Raises:
            InputError: the table was altered or is damaged.
        """
        return self._table(LABELS_FILE) if LABELS_FILE in self.files else pd.DataFrame({"id": []}, dtype=str)

    def windows_uv(self, rows: Rows, starts: Rows | None = None, samples: int | None = None) -> Microvolts:
        """Windows in the order of ``rows``, as they are stored. Several threads may call this at the same time.

        Args:
            rows: (n,) rows of ``records``.
            starts: (n,) first sample to take of each; by default 0.
            samples: how many samples to take; by default whole windows.

        Returns:
            (n, samples, 12) int16, microvolts.

        Raises:
            IndexError: there is no such row or sample.
            InputError: a shard was altered since it was made.
        """
        wanted = np.asarray(rows, np.int64)
        length = self.window_samples if samples is None else samples
        first_samples = np.zeros(len(wanted), np.int64) if starts is None else np.asarray(starts, np.int64)
        if len(wanted) and not (wanted.min() >= 0 and wanted.max() < self.windows):
            raise IndexError(f"rows must be from 0 to {self.windows - 1}")
        if len(wanted) and not (first_samples.min() >= 0 and first_samples.max() + length <= self.window_samples):
            raise IndexError(f"samples must be from 0 to {self.window_samples - 1}")
        ends = np.cumsum(self.shard_windows)
        shard_of = np.searchsorted(ends, wanted, side="right")
        result = np.empty((len(wanted), length, LEADS), "<i2")
        for shard in np.unique(shard_of):
            path, first_row = self._verified_shard(shard), ends[shard] - self.shard_windows[shard]
            with path.open("rb", buffering=0) as file:
                for i in np.flatnonzero(shard_of == shard):
                    place = int(wanted[i] - first_row)
                    if not read_window_into(
                        file.fileno(), place, self.window_samples, int(first_samples[i]), result[i]
                    ):
                        raise InputError(f"{path}: was cut short while it was in use, {_AGAIN}")
        return result

    def signals_mv(self, rows: Rows) -> npt.NDArray[np.float32]:
        """Windows in the order of ``rows``: (n, window_samples, 12) float32, millivolts; errors as `windows_uv`."""
        return self.windows_uv(rows) * np.float32(1e-3)

    def batches(self, config: "Config") -> "tf.data.Dataset":
        """Standardised windows in the batches, and the order, in which these settings pretrain on them.

        To be given to the ``fit`` of `ecg_advmask.pretrain.simclr.SimCLR`; all epochs of the settings follow one
        another (`ecg_advmask.data.batches.pretraining_batches`). Imports TensorFlow.

        Raises:
            InputError: data set and settings do not go together.
        """
        from ecg_advmask.data.batches import pretraining_batches

        return pretraining_batches(self, config)

    def verify_shards(self) -> None:
        """Compare every shard with its checksum now, once, and not when it is first read.

        Raises:
            InputError: a shard was altered since it was made.
        """
        for shard in range(len(self.shard_paths)):
            self._verified_shard(shard)

    def _verified_shard(self, shard: int) -> Path:
        """Path of a shard; the first to ask compares its contents with the checksum."""
        if shard not in self._verified:
            with self._lock:
                if shard not in self._verified:
                    self._verify(self.shard_paths[shard].name)
                    self._verified.add(shard)
        return self.shard_paths[shard]

    def _verify(self, name: str) -> None:
        try:
            same = sha256_of(self.path / name) == self.files[name][1]
        except OSError as error:
            raise InputError(f"{self.path / name}: cannot be read ({error.strerror}), {_AGAIN}") from error
        if not same:
            raise InputError(f"{self.path / name}: was altered since it was made, {_AGAIN}")

    def _table(self, name: str, columns: list[str] | None = None) -> pd.DataFrame:
        self._verify(name)
        try:
            return pd.read_csv(self.path / name, dtype=str, keep_default_na=False, usecols=columns)
        except (OSError, ValueError) as error:
            raise InputError(f"{self.path / name}: cannot be read ({error}), {_AGAIN}") from error


def stated_file(path: Path) -> dict[str, Any]:
    """What `dataset.json` says about a file."""
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": sha256_of(path)}


def dataset_sha256(file_hashes: Iterable[str]) -> str:
    """One hash for the whole data set: over the hashes of its shards and tables, in their order."""
    return hashlib.sha256("\n".join(file_hashes).encode()).hexdigest()


def _files(stated: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*stated["shards"], *stated["tables"]]


def _checked(folder: Path, name: str, size: int) -> Path:
    """Path of a file of the data set that is there in the size it was written with."""
    path = inside(folder, name)
    if not path.is_file():
        raise InputError(f"{path}: is missing from the data set, {_AGAIN}")
    if path.stat().st_size != size:
        raise InputError(f"{path}: has {path.stat().st_size} bytes instead of {size}, {_AGAIN}")
    return path
