"""A table of embeddings in the making: parts of it in a folder beside the table, so that work goes on after a kill.

The folder ``<table>.parts`` holds `state.json` (of which encoder, options and recordings) and a NumPy archive for each
part, made one after the other. Each is written under another name and renamed: a process may be killed at any moment.
A job that ends within its first part never makes the folder.
"""

import contextlib
import json
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from ecg_advmask.errors import InputError
from ecg_advmask.export.rows import Account, Part
from ecg_advmask.files import atomic_path, read_json, write_json
from ecg_advmask.locks import locked

_STATE: Final = "state.json"
_LOCK: Final = ".lock"
_ACCOUNT: Final = "account"


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
        while (account := _account(self._path(self._count))) is not None and account.first == self.end:
            self.end = account.end
            self._count += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def add(self, part: Part) -> None:
        """Keep the next part: on disk, unless it is the only one."""
        if part.account.first == 0 and part.account.end == self._recordings:
            self._only = part
        else:
            if self._count == 0:
                self._lock()
                write_json(self.folder / _STATE, self._state)
            with atomic_path(self._path(self._count)) as temporary:
                account = np.array(json.dumps(asdict(part.account)))
                np.savez(temporary, allow_pickle=False, **{**part.columns, _ACCOUNT: account})
            self._count += 1
        self.end = part.account.end

    def __iter__(self) -> Iterator[Part]:
        """All parts, one at a time in memory."""
        if self._only is not None:
            yield self._only
        for number in range(self._count):
            with np.load(self._path(number), allow_pickle=False) as columns:
                yield Part(columns, Account(**json.loads(str(columns[_ACCOUNT]))))

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


def _account(path: Path) -> Account | None:
    """What a part says of itself; None if it is missing or damaged, and then it is made anew."""
    if not path.exists():
        return None
    try:
        with zipfile.ZipFile(path) as archive, np.load(path, allow_pickle=False) as columns:
            whole = archive.testzip() is None
            return Account(**json.loads(str(columns[_ACCOUNT]))) if whole else None
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return None


def _check_same(folder: Path, begun: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on with the work of another encoder, on other recordings or with other options."""
    words = {"encoder_file_sha256": "with another encoder", "listing_sha256": "on other recordings"}
    changed = [
        words.get(name, f"with {name} {json.dumps(begun.get(name))} instead of {json.dumps(value)}")
        for name, value in now.items()
        if begun.get(name) != value
    ]
    if changed:
        raise InputError(f"{folder}: was begun {', '.join(changed)}; remove it to begin anew")
