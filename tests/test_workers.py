"""Pools of worker processes: they end with the block that uses them, and with the process that started them."""

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ecg_advmask.errors import InputError
from ecg_advmask.workers import processors, worker_pool

STARTER = """
import sys, time
from ecg_advmask.workers import worker_pool
if __name__ == "__main__":
    with worker_pool(1) as pool:
        import os
        print(pool.submit(os.getpid).result(), flush=True)
        pool.submit(time.sleep, 60).result()
"""


def test_results_come_back_and_nothing_is_left() -> None:
    with worker_pool(2) as pool:
        assert list(pool.map(abs, range(-5, 0))) == [5, 4, 3, 2, 1]
    assert multiprocessing.active_children() == []


def test_an_interruption_ends_the_processes_at_once() -> None:
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), worker_pool(1) as pool:
        pool.submit(abs, -1).result()
        pool.submit(time.sleep, 60)
        raise KeyboardInterrupt
    assert time.monotonic() - started < 40
    assert multiprocessing.active_children() == []


def test_a_process_that_dies_is_an_input_error() -> None:
    with pytest.raises(InputError, match="--workers"), worker_pool(1) as pool:
        pool.submit(os._exit, 9).result()


def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    (tmp_path / "starter.py").write_text(STARTER)
    with subprocess.Popen([sys.executable, tmp_path / "starter.py"], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        worker = int(starter.stdout.readline())
        starter.kill()
    for _ in range(400):
        if not Path(f"/proc/{worker}").exists() or " Z " in Path(f"/proc/{worker}/stat").read_text():
            return
        time.sleep(0.05)
    pytest.fail("the worker is still there")


def test_there_is_a_processor_where_the_system_does_not_say_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert processors() == 1
