"""Training on several devices: two of them make the steps of one, be they of one machine or of two."""

import contextlib
import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from ecg_advmask.errors import InputError
from ecg_advmask.pretrain import distribute
from pretrain.one_step import SETTINGS, train
from pretrain.small import command_on_small_networks
from processes import command, started

AT_ONCE = "at once, accumulated, by patient"


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
@pytest.mark.parametrize("names", [[AT_ONCE], pytest.param(list(SETTINGS), marks=pytest.mark.exhaustive)], ids=len)
def test_two_devices_make_the_steps_of_one(tmp_path: Path, names: list[str]) -> None:
    """Losses, both players' weights, momenta and moving statistics after two steps, in double precision.

    Of two machines the settings with all that they exchange, unless asked for everything.
    """
    with contextlib.ExitStack() as stack:

        def begin(name: str, devices: int, settings: Sequence[str], cluster: dict[str, str] | None = None) -> Any:
            given = {"output": tmp_path / name, "environment": cluster}
            return stack.enter_context(started(train, tmp_path / f"{name}.npz", devices, settings, **given))

        processes = {"one": begin("one", 1, list(SETTINGS)), "two": begin("two", 2, list(SETTINGS))}
        for name, cluster in zip(("first", "second"), cluster_of(2), strict=True):
            processes[name] = begin(name, 1, names, cluster)
        for name, process in processes.items():
            process.join(900)
            assert process.exitcode == 0, (tmp_path / name).read_text()
    one, *others = (dict(np.load(tmp_path / f"{name}.npz")) for name in processes)
    assert len(one) > 80 and any("momentum" in name for name in one) and any("log loss" in name for name in one)
    assert others[0].keys() == one.keys() and others[1].keys() == others[2].keys()
    for other in others:
        assert {name.partition(":")[0] for name in other} >= set(names)
        for name, value in other.items():
            np.testing.assert_allclose(value, one[name], rtol=1e-5, atol=2e-6, err_msg=name)


@pytest.mark.exhaustive
def test_two_machines_write_the_run_that_one_with_two_devices_writes(generated_data: Path, tmp_path: Path) -> None:
    """And the run of the two machines goes on on one."""
    settings = "encoder_width=4 embedding_dim=8 projection_hidden=16 projection_dim=8"
    settings += " batch_size=8 positives=patient window_seconds=2.5"
    chosen = [part for setting in settings.split() for part in ("--set", setting)]

    def pretrain(run: str, epochs: int, *more: str, cluster: dict[str, str] | None = None) -> Any:
        words = ["pretrain", str(generated_data), str(tmp_path / run), "--preset", "cpu-gaussian", *chosen]
        words += ["--set", f"epochs={epochs}", *more]
        return started(command, *words, output=tmp_path / f"{run}.log", environment=cluster)

    first, second = cluster_of(2)
    with (
        pretrain("whole", 2, "--devices", "2") as whole,
        pretrain("shared", 1, cluster=first) as chief,
        pretrain("none", 1, cluster=second) as follower,
    ):
        for process in (whole, chief, follower):
            process.join(900)
            assert process.exitcode == 0
    assert not (tmp_path / "none").exists()
    with pretrain("shared", 2, "--devices", "2", "--resume") as process:
        process.join(900)
        assert process.exitcode == 0
    histories = [pd.read_csv(tmp_path / run / "history.csv") for run in ("whole", "shared")]
    assert histories[0]["epoch"].tolist() == [1, 2]
    np.testing.assert_allclose(histories[1].to_numpy(), histories[0].to_numpy(), rtol=1e-3)


@pytest.mark.slow
def test_machines_with_other_settings_do_not_train_together(generated_data: Path, tmp_path: Path) -> None:
    words = ["pretrain", str(generated_data), str(tmp_path / "run"), "--preset", "cpu-gaussian"]
    words += ["--set", "batch_size=8", "--set", "window_seconds=2.5", "--seed"]
    outputs = [tmp_path / "first", tmp_path / "second"]
    with contextlib.ExitStack() as stack:
        first, second = (
            stack.enter_context(
                started(command_on_small_networks, *words, str(n), output=outputs[n], environment=cluster)
            )
            for n, cluster in enumerate(cluster_of(2))
        )
        second.join(300)
        first.join(300)
        assert (first.exitcode, second.exitcode) == (2, 2)
    assert "another machine of this run has ended or cannot be reached" in outputs[0].read_text()
    assert "this machine has other settings or data than the first" in outputs[1].read_text()


def cluster_of(machines: int) -> list[dict[str, str]]:
    """The environment of each machine: all are this one, at ports that were free."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(machines)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        workers = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    tasks = [{"cluster": {"worker": workers}, "task": {"type": "worker", "index": n}} for n in range(machines)]
    return [{"TF_CONFIG": json.dumps(task)} for task in tasks]
