"""Recordings in NumPy files, ``.npz`` and ``.npy``, listed by their headers and read one at a time. No pickle.

The samples are never in memory as a whole: each recording is read where it lies in the file. Those of a compressed
archive are first unpacked, once per process, to a nameless temporary file (in TMPDIR), which goes with the process.
"""

import math
import os
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from ecg_advmask.ecg.arrays import MOST_NAMES, ArrayFile, Given, array_named_signals, described, is_beside, kind_of
from ecg_advmask.ecg.leads import AS_NAMED, LeadNames
from ecg_advmask.ecg.recording import Recording, UnreadableRecordingError, check_samples, one_line

_LARGEST_DEFLATE_RATIO: Final = 1040
"""Deflate cannot pack tighter (zlib's technical details say 1032 to 1); a member that claims so is damaged."""
_LONGEST_NAME_BYTES: Final = 4096
_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class _Array:
    """Where an array lies: in the file itself, or as a member of the archive."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran_order: bool
    header_bytes: int
    member: zipfile.ZipInfo | None = None

    @property
    def recordings(self) -> int:
        return self.shape[0] if len(self.shape) == 3 else 1


@dataclass
class NumpyFile(ArrayFile):
    """An opened file; its length is the number of recordings.

    An ``.npz`` holds the arrays of `ArrayFile`; an ``.npy`` holds the signals alone.
    """

    _signals: _Array
    _samples: tuple[BinaryIO, int] | None = field(default=None, repr=False)
    """File and place of the first sample, once they are checked."""
    _damage: str = field(default="", repr=False)
    """What the check found, so that a damaged file is read to its end but once."""

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        sampling_rate_hz: float | None = None,
        unit: str = "mV",
        rebuild_leads: bool = False,
        leads: LeadNames = AS_NAMED,
    ) -> "NumpyFile":
        """Read everything but the samples.

        Raises:
            UnreadableRecordingError: the file is missing, damaged, or does not hold these arrays in these shapes.
        """
        try:
            with Path(path).open("rb") as stream:
                others: dict[str, list[str]] = {}
                if stream.peek(2).startswith(b"PK"):
                    signals, others = _archive(stream, path)
                else:
                    signals = _header(stream, os.fstat(stream.fileno()).st_size, "the file", path)
                    _check_signals(signals, path)
        except UnreadableRecordingError:
            raise
        except Exception as error:  # zip, header and memory errors of many kinds mean that it cannot be read
            raise UnreadableRecordingError(path, f"cannot be read as NumPy arrays ({one_line(error)})") from error
        given = Given(sampling_rate_hz, unit, leads, rebuild_leads)
        fields = described(path, signals.shape, others, given, whole_numbers=signals.dtype.kind in "iu")
        return cls(os.fspath(path), **fields, _signals=signals)

    def read(self, number: int) -> Recording:
        """One recording, by its place; before the first the samples of an archive are held against its checksum.

        Raises:
            UnreadableRecordingError: the file is damaged or gone, or there is no room to unpack it.
        """
        if self._damage:
            raise UnreadableRecordingError(self.path, self._damage)
        return super().read(number)

    def _values(self, number: int) -> npt.NDArray[Any]:
        stream, offset = self._checked()
        order: Any = "F" if self._signals.fortran_order else "C"
        # Mapped again each time, so that what was read does not stay in memory.
        mapped = np.memmap(stream, self._signals.dtype, "r", offset, self._signals.shape, order)
        return np.array(mapped[number] if mapped.ndim == 3 else mapped)

    def _checked(self) -> tuple[BinaryIO, int]:
        if self._samples is None:
            try:
                self._samples = _checked_samples(self.path, self._signals)
            except UnreadableRecordingError as error:
                self._damage = error.reason
                raise
            except Exception as error:
                self._damage = f"cannot be read ({one_line(error)})"
                raise
        return self._samples


def read_numpy(
    path: str | os.PathLike[str], sampling_rate_hz: float | None = None, unit: str = "mV"
) -> Iterator[Recording]:
    """Every recording of a `NumpyFile`; ids that it does not state are made of the file's name.

    Raises:
        UnreadableRecordingError: as `NumpyFile.open` and `NumpyFile.read`.
    """
    file = NumpyFile.open(path, sampling_rate_hz, unit)
    yield from (file.read(number) for number in range(len(file)))


def _archive(stream: BinaryIO, path: str | os.PathLike[str]) -> tuple[_Array, dict[str, list[str]]]:
    """Place of the signals in an ``.npz``, and the values of its small arrays as text, by name."""
    archive_bytes = os.fstat(stream.fileno()).st_size
    with zipfile.ZipFile(stream) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        if len(members) != len(archive.infolist()):
            raise UnreadableRecordingError(path, "has an array twice under one name, save it again")
        arrays: dict[str, _Array] = {}
        for name, info in members.items():
            _check_member(info, archive_bytes, path)
            with archive.open(info) as member:
                arrays[name] = _header(member, info.file_size, name, path, info)
        chosen = array_named_signals({name: array.shape for name, array in arrays.items()}, path)
        signals = arrays.pop(chosen)
        _check_signals(signals, path)
        others = {}
        for name, array in arrays.items():
            values = math.prod(array.shape)
            may_be_names = array.dtype.hasobject and values in signals.shape[-2:]
            if is_beside(name, values, array.dtype.kind in "SU" or may_be_names):
                _check_small(name, array, signals.recordings, path)
                with archive.open(members[name]) as member:
                    member.read(array.header_bytes)
                    others[name] = _texts(member.read(), array)
    return signals, others


def _check_small(name: str, array: _Array, recordings: int, path: str | os.PathLike[str]) -> None:
    """Refuse an array beside the signals that holds more values, or longer ones, than are believed."""
    values, is_ids = math.prod(array.shape), kind_of(name) == "ids"
    if is_ids and values != recordings:
        raise UnreadableRecordingError(path, f"has {values} ids for {recordings} recordings")
    most = max(recordings, 1 if kind_of(name) == "rate" else MOST_NAMES)
    if array.dtype.hasobject:
        raise UnreadableRecordingError(
            path, f"{name}: pickled objects are not loaded; save it as text or numbers (dtype=str)"
        )
    if array.dtype.kind not in "fiuSU" or values > most or array.dtype.itemsize > _LONGEST_NAME_BYTES:
        raise UnreadableRecordingError(
            path, f"{name} have shape {array.shape} and type {array.dtype}, expected at most {most} names or numbers"
        )


def _texts(data: bytes, array: _Array) -> list[str]:
    """Values of a small array as text."""
    return [str(value).strip() for value in np.frombuffer(data, array.dtype, math.prod(array.shape)).astype(np.str_)]


def _header(
    stream: Any, size: int, name: str, path: str | os.PathLike[str], member: zipfile.ZipInfo | None = None
) -> _Array:
    """What the header of an ``.npy`` says, after checking that as many bytes follow."""
    version = np.lib.format.read_magic(stream)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        raise UnreadableRecordingError(path, f"{name}: has version {version} of the NumPy format, expected 1.0 or 2.0")
    shape, fortran_order, dtype = read(stream)
    header_bytes = stream.tell()
    due = size if dtype.hasobject else header_bytes + math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or size != due:
        raise UnreadableRecordingError(path, f"{name}: is damaged, it has {size} bytes where its header tells of {due}")
    return _Array(dtype, tuple(map(int, shape)), fortran_order, header_bytes, member)


def _check_member(info: zipfile.ZipInfo, archive_bytes: int, path: str | os.PathLike[str]) -> None:
    """Refuse members that numpy does not write, and those that claim more than the archive can hold."""
    if info.flag_bits & 1 or info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise UnreadableRecordingError(path, "is encrypted or packed by another method, save it with numpy.savez")
    ratio = _LARGEST_DEFLATE_RATIO if info.compress_type == zipfile.ZIP_DEFLATED else 1
    if info.compress_size > archive_bytes or info.file_size > ratio * info.compress_size + 64:
        raise UnreadableRecordingError(path, "is damaged, signals claim more bytes than the archive holds")


def _check_signals(signals: _Array, path: str | os.PathLike[str]) -> None:
    if signals.dtype.hasobject:
        raise UnreadableRecordingError(path, "signals: pickled objects are not loaded; save them as numbers")
    if len(signals.shape) not in {2, 3} or signals.dtype.kind not in "fiu":
        raise UnreadableRecordingError(
            path, f"signals have shape {signals.shape} and type {signals.dtype}, expected numbers (N, T, 12) or (T, 12)"
        )
    if 0 in signals.shape:
        raise UnreadableRecordingError(path, f"holds no samples (signals have shape {signals.shape})")
    check_samples(math.prod(signals.shape[-2:]), path)


def _checked_samples(path: str, array: _Array) -> tuple[BinaryIO, int]:
    """An open file that holds the samples as they are, and where in it they begin."""
    stream = Path(path).open("rb")  # noqa: SIM115 (it stays open as long as recordings are read from it)
    if array.member is None:
        return stream, array.header_bytes
    with zipfile.ZipFile(stream) as archive, archive.open(array.member) as member:
        if array.member.compress_type == zipfile.ZIP_STORED:
            while member.read(_CHUNK_BYTES):  # reading to the end compares the checksum
                pass
        else:
            _check_room(array.member.file_size, path)
            unpacked = tempfile.TemporaryFile()  # noqa: SIM115
            shutil.copyfileobj(member, unpacked, _CHUNK_BYTES)
            unpacked.flush()
            stream.close()
            return unpacked, array.header_bytes
    # The data follow the local header, whose lengths of name and extra field are its own.
    stream.seek(array.member.header_offset + 26)
    name_bytes, extra_bytes = struct.unpack("<2H", stream.read(4))
    return stream, array.member.header_offset + 30 + name_bytes + extra_bytes + array.header_bytes


def _check_room(needed_bytes: int, path: str) -> None:
    place = tempfile.gettempdir()
    if shutil.disk_usage(place).free < needed_bytes:
        raise UnreadableRecordingError(
            path, f"needs {needed_bytes} bytes in {place} to unpack; save it with numpy.savez or set TMPDIR"
        )
