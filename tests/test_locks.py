"""Locks between processes: one holder at a time, freed by its death, and the file may stay."""

import errno
import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from ecg_advmask.files import locked

HOLD = """
import sys, time
from pathlib import Path
from ecg_advmask.files import locked
with locked(Path(sys.argv[1])) as mine:
    print(mine, flush=True)
    time.sleep(60)
"""


def test_a_lock_is_held_by_one_at_a_time_and_free_afterwards(tmp_path: Path) -> None:
    with locked(tmp_path / "locks" / "one") as first, locked(tmp_path / "locks" / "one") as second:
        assert first and not second
        with locked(tmp_path / "locks" / "other") as other:
            assert other
    with locked(tmp_path / "locks" / "one") as again:
        assert again


def test_a_process_that_is_killed_holds_it_no_more(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "True\n"
        with locked(path) as mine:
            assert not mine
        process.kill()
        with locked(path, wait_for_it=True) as mine:
            assert mine
    assert path.is_file()


def test_a_file_system_without_locks_is_worked_on_unguarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(number: int) -> None:
        def flock(*_: object) -> None:
            raise OSError(number, "no locks")

        monkeypatch.setattr(fcntl, "flock", flock)

    refuse(errno.ENOSYS)
    with locked(tmp_path / "lock") as mine:
        assert mine
    refuse(errno.EBADF)
    with pytest.raises(OSError, match="no locks"), locked(tmp_path / "lock"):
        pass
