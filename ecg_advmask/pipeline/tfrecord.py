"""Windows in TFRecord files that any window can be read from by its place, without TensorFlow.

Every record is the bytes of one (L, 12) int16 array, little-endian, microvolts, so all records of a file have one size.
TensorFlow reads such a file with ``tf.data.TFRecordDataset`` and ``tf.io.decode_raw``. The framing of a record is that
of https://www.tensorflow.org/tutorials/load_data/tfrecord: length, its masked CRC-32C, data, their masked CRC-32C.
"""

import os
import struct
from types import TracebackType
from typing import IO, Final, Self

import google_crc32c
import numpy as np
import numpy.typing as npt

Microvolts = npt.NDArray[np.int16]

LEADS: Final = 12
_BEFORE: Final = 12
_AFTER: Final = 4
_BYTES_PER_SAMPLE: Final = 2 * LEADS


def record_bytes(window_samples: int) -> int:
    """Bytes that one window of so many samples takes in a file."""
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

    ``file`` is an open file descriptor. Other threads go on while this one reads. Returns whether all of it was there.
    """
    offset = place * record_bytes(window_samples) + _BEFORE + start * _BYTES_PER_SAMPLE
    return os.preadv(file, [target.reshape(-1).view(np.uint8).data], offset) == target.nbytes


def _masked_crc(data: bytes) -> bytes:
    crc: int = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
