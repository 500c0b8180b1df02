"""Training on several devices: two of them make the steps of one, be they of one machine or of two."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from ecg_advmask.errors import InputError
from ecg_advmask.pretrain import distribute

ONE_STEP = Path(__file__).with_name("one_step.py")


def test_one_device_is_as_without_any_of_this() -> None:
    assert distribute.strategy_of(1) is tf.distribute.get_strategy()
    assert distribute.count() == 1 and distribute.is_chief() and not distribute.are_several()
    value = tf.constant(2.0)
    assert distribute.gathered(value) is distribute.share_of(value) is distribute.logged(value) is value
    ours, theirs = distribute.Seeds(7), keras.random.SeedGenerator(7)
    for _ in range(2):
        np.testing.assert_array_equal(ours.next(), theirs.next())
    assert distribute.begin_together([], 3, "any") == 3
    assert distribute.shared_out(lambda places: places, 7, 1) is None


@pytest.mark.parametrize("due", [True, False])
def test_a_move_that_is_not_due_is_taken_back(due: bool) -> None:
    weight, count = keras.Variable([1.0, -2.0]), keras.Variable(0, dtype="int32")

    @tf.function
    def step(due: tf.Tensor) -> None:
        distribute.moved_if(due, [weight, count], lambda: (weight.assign(weight * 3), count.assign(count + 1)))

    step(tf.constant(due))
    assert weight.numpy().tolist() == ([3.0, -6.0] if due else [1.0, -2.0])
    assert count.numpy() == int(due)


@pytest.mark.parametrize(
    ("text", "devices", "message"),
    [
        ("{", 1, "is not a cluster in JSON"),
        ('{"cluster": {}}', 1, "is not a cluster in JSON"),
        ('{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}}', 1, "workers alone"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', 1, "the number of this one"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}', 2, "--devices 2"),
    ],
)
def test_clusters_that_cannot_be_are_refused(
    text: str, devices: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(InputError, match=message):
        distribute.strategy_of(devices)


def test_a_batch_is_divided_evenly_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distribute, "count", lambda: 3)
    assert distribute.check_divisible(12) == 4
    for size in (2, 13):
        with pytest.raises(InputError, match=f"batch_size = {size}: cannot be divided evenly among 3 devices"):
            distribute.check_divisible(size)


@pytest.mark.slow
def test_two_devices_make_the_steps_of_one(tmp_path: Path) -> None:
    """Losses, both players' weights, momenta and moving statistics after two steps, in double precision."""
    names = ["one", "two", "first", "second"]
    script = [sys.executable, str(ONE_STEP)]
    with ended(
        [
            started([*script, str(tmp_path / "one.npz"), "1"]),
            started([*script, str(tmp_path / "two.npz"), "2"]),
            *(started([*script, str(tmp_path / f"{names[2 + n]}.npz"), "1"], cluster) for n, cluster in cluster_of(2)),
        ]
    ) as processes:
        for process in processes:
            assert process.wait(900) == 0
    one, two, first, second = (dict(np.load(tmp_path / f"{name}.npz")) for name in names)
    assert len(one) > 80 and any("momentum" in name for name in one) and any("log loss" in name for name in one)
    for other in (two, first, second):
        assert other.keys() == one.keys()
        for name, value in one.items():
            np.testing.assert_allclose(other[name], value, rtol=1e-5, atol=2e-6, err_msg=name)


@pytest.mark.exhaustive
def test_two_machines_write_the_run_that_one_with_two_devices_writes(generated_data: Path, tmp_path: Path) -> None:
    """And the run of the two machines goes on on one."""
    settings = "encoder_width=4 embedding_dim=8 projection_hidden=16 projection_dim=8"
    settings += " batch_size=8 positives=patient window_seconds=2.5"
    chosen = [part for setting in settings.split() for part in ("--set", setting)]

    def pretrain(run: str, epochs: int, *more: str) -> list[str]:
        command = [sys.executable, "-m", "ecg_advmask", "pretrain", str(generated_data), str(tmp_path / run)]
        return [*command, "--preset", "cpu-gaussian", *chosen, "--set", f"epochs={epochs}", *more]

    with ended(
        [
            started(pretrain("whole", 2, "--devices", "2")),
            *(started(pretrain("shared" if n == 0 else "none", 1), cluster) for n, cluster in cluster_of(2)),
        ]
    ) as processes:
        for process in processes:
            assert process.wait(900) == 0
    assert not (tmp_path / "none").exists()
    with ended([started(pretrain("shared", 2, "--devices", "2", "--resume"))]) as (process,):
        assert process.wait(900) == 0
    whole, shared = (pd.read_csv(tmp_path / run / "history.csv") for run in ("whole", "shared"))
    assert whole["epoch"].tolist() == [1, 2]
    np.testing.assert_allclose(shared.to_numpy(), whole.to_numpy(), rtol=1e-3)


@pytest.mark.slow
def test_machines_with_other_settings_do_not_train_together(generated_data: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ecg_advmask", "pretrain", str(generated_data), str(tmp_path / "run")]
    command += ["--preset", "cpu-gaussian", "--set", "batch_size=8", "--set", "window_seconds=2.5"]
    with ended(
        [started([*command, "--seed", str(n)], cluster, stderr=subprocess.PIPE) for n, cluster in cluster_of(2)]
    ) as (first, second):
        told_second, told_first = second.communicate(timeout=300)[1], first.communicate(timeout=300)[1]
    assert (first.returncode, second.returncode) == (2, 2)
    assert "this machine has other settings or data than the first" in told_second
    assert "another machine of this run has ended or cannot be reached" in told_first


def cluster_of(machines: int) -> list[tuple[int, dict[str, str]]]:
    """The number of each machine and its environment: all are this one, at ports that were free."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(machines)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        workers = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    tasks = [{"cluster": {"worker": workers}, "task": {"type": "worker", "index": n}} for n in range(machines)]
    return [(n, {"TF_CONFIG": json.dumps(task)}) for n, task in enumerate(tasks)]


def started(
    command: Sequence[str], environment: dict[str, str] | None = None, stderr: int | None = None
) -> "subprocess.Popen[str]":
    own = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"}
    return subprocess.Popen(command, env=own | (environment or {}), stderr=stderr, text=True)


@contextlib.contextmanager
def ended(processes: "list[subprocess.Popen[str]]") -> "Iterator[list[subprocess.Popen[str]]]":
    """None of them outlives the block."""
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()
