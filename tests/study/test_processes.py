"""Jobs in processes of their own: order, reuse, what happens when one is refused, fails, or is killed."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from ecg_advmask.errors import InputError
from ecg_advmask.study.jobs import JobLine, Message, StudyJob, do_jobs
from study.jobs import StandIn, job, work_endlessly


def do(folder: Path, jobs: list[StudyJob], workers: int = 1) -> tuple[list[str], list[str], list[StudyJob]]:
    """Methods in the order in which they were done, the process of each, and the jobs that were left."""
    said: list[tuple[str, str]] = []

    def listen(job: StudyJob, message: Message) -> None:
        if isinstance(message, JobLine):
            said.append((job.method, message.text))

    left = do_jobs(StandIn(folder), jobs, workers, listen, lambda: None)
    return [name for name, _ in said], [process for _, process in said], left


def test_jobs_are_done_in_order_by_one_process_until_it_has_trained(tmp_path: Path) -> None:
    done, processes, left = do(tmp_path, [job("a"), job("b"), job("training"), job("c")])
    assert done == ["a", "b", "training", "c"] and left == []
    assert processes[0] == processes[1] == processes[2] != processes[3]
    assert str(os.getpid()) not in processes
    assert (tmp_path / "logs" / "b-0.log").read_text() == "working on b\n"


@pytest.mark.parametrize("cache", ["off", "that of the user"])
def test_processes_share_what_is_compiled_in_the_cache_or_in_a_folder_that_goes_at_the_end(
    cache: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"
    monkeypatch.setenv("TF_XLA_FLAGS", "--own=1")
    monkeypatch.setenv("ECG_ADVMASK_CACHE", "off" if cache == "off" else str(kept))
    do(tmp_path, [job("flags", 0), job("training"), job("flags", 1)])
    first, second = (tmp_path / f"flags-{seed}" for seed in (0, 1))
    assert first.read_text() == second.read_text()
    own, shared = first.read_text().split()
    name, _, folder = shared.partition("=")
    assert own == "--own=1" and name == "--tf_xla_persistent_cache_directory"
    place = Path(folder.strip("'"))
    assert (place.exists(), place.is_relative_to(kept)) == ((False, False) if cache == "off" else (True, True))


def test_a_job_waits_for_the_one_that_it_comes_after(tmp_path: Path) -> None:
    jobs = [job("built", after="ground"), job("other"), job("ground"), job("ground", 1)]
    done, _, left = do(tmp_path, jobs, workers=2)
    assert sorted(done) == ["built", "ground", "ground", "other"] and left == []
    assert done.index("ground") < done.index("built")


def test_what_another_study_works_on_is_left_with_all_that_comes_after(tmp_path: Path) -> None:
    done, _, left = do(tmp_path, [job("busy"), job("built", after="busy"), job("a")])
    assert done == ["busy", "a"]
    assert [one.method for one in left] == ["busy", "built"]


def test_a_refusal_a_failure_and_a_death_are_one_line(tmp_path: Path) -> None:
    for method, message in (
        ("refused", r"^somewhere: is not good, fix it$"),
        ("broken", r"broken-0\.log: broken, seed 0 failed \(ZeroDivisionError: one line\)$"),
        ("killed", r"killed-0\.log: the process for killed, seed 0 died, perhaps for lack of memory; the same command"),
    ):
        with pytest.raises(InputError, match=message):
            do(tmp_path, [job(method), job("a")])
    assert "Traceback" in (tmp_path / "logs" / "broken-0.log").read_text()


def test_processes_end_with_the_one_that_began_them(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    parent = context.Process(target=work_endlessly, args=(tmp_path,))
    parent.start()
    _until(lambda: (tmp_path / "pid").is_file() and (tmp_path / "pid").read_text() != "")
    child = int((tmp_path / "pid").read_text())
    assert parent.pid is not None
    os.kill(parent.pid, signal.SIGKILL)
    parent.join()
    _until(lambda: not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text().split()[2])


def _until(condition: object, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
