"""Runs that were killed, damaged or out of room: each goes on, and ends to the last bit as one left alone."""

import dataclasses
import errno
import hashlib
import io
import os
import random
import re
import resource
import shutil
import signal
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from ecg_advmask.data.dataset import DataSet
from ecg_advmask.errors import InputError
from ecg_advmask.files import write_csv, write_text
from ecg_advmask.pretrain import checkpoints, trainer
from ecg_advmask.pretrain.callbacks import Events
from ecg_advmask.pretrain.probe import is_finished
from ecg_advmask.pretrain.run import Run
from ecg_advmask.pretrain.trainer import pretrain
from pretrain.small import SMALL, Small, draw, train_until_killed
from processes import started

PROBED = dataclasses.replace(SMALL, probe_tasks=("sex",), patience=1, keep_checkpoints=1)


@pytest.fixture(autouse=True)
def _small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "build", Small)


@pytest.fixture(scope="module")
def data(generated_data: Path) -> DataSet:
    return DataSet.open(generated_data)


def trained(data: DataSet, path: Path, config: Any = SMALL, **options: Any) -> list[str]:
    """What a run said that was started or resumed."""
    said: list[str] = []
    pretrain(data, path, config, **{"resume": True, "draw_masks": draw, "log": said.append} | options)
    return said


def outcome(path: Path) -> dict[str, str]:
    """Digests of all that a run ends with, and that must not depend on how often it was killed."""
    found = [*path.glob("*.csv"), *path.glob("checkpoints/*"), *path.glob("masks/*")]
    files = {str(file.relative_to(path)): file.read_bytes() for file in found if file.name != "seconds.csv"}
    files |= {name: weights_in(path / name) for name in ("encoder.keras", "adversary.keras")}
    files["config.json"] = (path / "config.json").read_bytes()
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def weights_in(path: Path) -> bytes:
    """All weights in the file of a network, which is not built from it."""
    arrays: list[bytes] = []

    def take(_: str, found: Any) -> None:
        if isinstance(found, h5py.Dataset):
            arrays.append(found[()].tobytes())

    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as stored:
        stored.visititems(take)
    return b"".join(arrays)


def half_written(path: Path) -> list[Path]:
    return [file for file in path.rglob(".*") if file.name != ".lock"]


@pytest.fixture(scope="module")
def alone(data: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run left alone, of three epochs."""
    path = tmp_path_factory.mktemp("alone") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "build", Small)
        trained(data, path)
    return path


def says(monkeypatch: pytest.MonkeyPatch, values: list[float]) -> None:
    """Let the probe say these values, one after the other."""
    remaining = iter(values)
    monkeypatch.setattr(
        trainer.Probe, "judge", lambda *_: {"probe_auroc": (value := next(remaining)), "probe_sex": value}
    )


def after(epochs: int, alone: Path, path: Path) -> Path:
    """A copy of the run as it was after an epoch, the history of all epochs left in it."""
    shutil.copytree(alone, path)
    for saved in checkpoints.found(path / "checkpoints"):
        if checkpoints.epoch_of(saved) > epochs:
            checkpoints.remove(saved)
    return path


@pytest.mark.parametrize(
    "kills",
    [2, pytest.param(4, marks=pytest.mark.slow), pytest.param(None, marks=pytest.mark.exhaustive)],
    ids=["two", "some", "any"],
)
def test_killed_before_any_change_on_disk_it_ends_as_one_left_alone(
    data: DataSet, tmp_path: Path, kills: int | None
) -> None:
    """What is in the folder just before a file is renamed or removed is what a kill at that moment leaves."""
    run, left = tmp_path / "run", list[Path]()

    def noted(change: Callable[..., Any]) -> Callable[..., Any]:
        def noting(path: Path, *given: Any, **options: Any) -> Any:
            if path.is_relative_to(run) and path.exists():
                left.append(tmp_path / "left" / str(len(left)))
                shutil.copytree(run, left[-1])
                for half in half_written(left[-1]):
                    os.rename(half, half.with_name(half.name.replace(str(os.getpid()), "77")))  # noqa: PTH104
            return change(path, *given, **options)

        return noting

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", noted(Path.replace))
        patch.setattr(Path, "unlink", noted(Path.unlink))
        trained(data, run, PROBED, resume=False)
    expected = outcome(run)
    epochs = len(Run.open(run).history())
    assert len(left) >= 2 + 4 * epochs + 2 + 3  # settings; tables and checkpoints; networks of the best; pictures
    assert is_finished(Run.open(run))
    assert half_written(left[0]) and not half_written(run)
    for killed in random.Random(0).sample(left, kills or len(left)):
        trained(data, killed, PROBED)
        assert outcome(killed) == expected, killed.name
        assert not half_written(killed)


@pytest.mark.slow
def test_a_process_that_was_killed_while_it_trained_leaves_a_run_that_goes_on(
    data: DataSet, alone: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with started(train_until_killed, data.path, run, 2, output=tmp_path / "output") as process:
        process.join(300)
        assert process.exitcode == -signal.SIGKILL, (tmp_path / "output").read_text()
    assert [checkpoints.epoch_of(path) for path in checkpoints.found(run / "checkpoints")] == [1]
    trained(data, run)
    assert outcome(run) == outcome(alone)


@pytest.mark.parametrize(("how", "checksums"), [("half", True), ("flipped", True), ("empty", True), ("flipped", False)])
def test_a_damaged_checkpoint_is_reported_and_the_one_before_is_used(
    data: DataSet, alone: Path, tmp_path: Path, how: str, checksums: bool
) -> None:
    run = after(3, alone, tmp_path / "run")
    older, last = checkpoints.found(run / "checkpoints")
    for path in (older, last):  # as sha256sum writes it
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert path.with_name(f"{path.name}.sha256").read_text() == f"{digest}  {path.name}\n"
    if not checksums:  # as runs were before
        for checksum in run.glob("checkpoints/*.sha256"):
            checksum.unlink()
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 16
    last.write_bytes({"half": content[: len(content) // 2], "flipped": content, "empty": b""}[how])
    said = trained(data, run)
    assert said[0].startswith(f"warning: {last}: is damaged (")
    assert said[0].endswith(f"continuing after epoch 2 instead, from {older.name}")
    for checksum in () if checksums else [run / "checkpoints" / f"{older.name}.sha256"]:
        assert not checksum.exists()
        checksum.write_bytes((alone / "checkpoints" / checksum.name).read_bytes())
    assert outcome(run) == outcome(alone)


def test_if_all_checkpoints_are_damaged_it_says_what_to_do(data: DataSet, alone: Path, tmp_path: Path) -> None:
    run = after(3, alone, tmp_path / "run")
    for path in checkpoints.found(run / "checkpoints"):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(
        InputError, match=r"and so is every other checkpoint in .*; put a copy back, or remove"
    ) as raised:
        trained(data, run)
    assert "\n" not in str(raised.value)
    assert len(checkpoints.found(run / "checkpoints")) == 2, "none is removed"
    shutil.rmtree(run / "checkpoints")
    trained(data, run)
    assert outcome(run) == outcome(alone)


def test_rows_that_are_not_finished_leave_the_history_at_once(data: DataSet, alone: Path, tmp_path: Path) -> None:
    run, seen = after(2, alone, tmp_path / "run"), list[list[int]]()

    class Look(keras.callbacks.Callback):
        def on_epoch_begin(self, *_: Any) -> None:
            seen.append(Run.open(run).history()["epoch"].tolist())

    assert len(Run.open(run).history()) == 3
    trained(data, run, callbacks=[Look()])
    assert seen == [[1, 2]]
    assert outcome(run) == outcome(alone)
    (run / "history.csv").unlink()
    with pytest.raises(InputError, match=r"history\.csv: lacks rows of the 3 finished epochs"):
        trained(data, run)


def test_a_run_of_the_older_format_goes_on(data: DataSet, alone: Path, tmp_path: Path) -> None:
    """Time within the history, no checksums."""
    run = after(2, alone, tmp_path / "run")
    rows = pd.read_csv(run / "history.csv", dtype=str).assign(seconds=["1.5", "2.25", "3.0"]).to_dict("records")
    write_csv(run / "history.csv", list(rows[0]), rows)
    (run / "seconds.csv").unlink()
    for checksum in run.glob("checkpoints/*.sha256"):
        checksum.unlink()
    assert Run.open(run).history()["seconds"].tolist() == [1.5, 2.25, 3.0]
    trained(data, run)
    assert (run / "history.csv").read_bytes() == (alone / "history.csv").read_bytes()
    assert Run.open(run).history()["seconds"].tolist()[:2] == [1.5, 2.25]
    last = "checkpoints/epoch-00003.npz"
    assert (run / last).read_bytes() == (alone / last).read_bytes()


def test_the_checkpoint_that_the_probe_likes_best_is_kept_and_gives_lost_networks_back(
    data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(monkeypatch, [0.5, 0.7, 0.6, 0.65])
    run = tmp_path / "run"
    trained(data, run, dataclasses.replace(PROBED, patience=2, epochs=9))
    assert [checkpoints.epoch_of(path) for path in checkpoints.found(run / "checkpoints")] == [2, 4]
    expected = outcome(run)
    (run / "encoder.keras").unlink()
    said = trained(data, run, dataclasses.replace(PROBED, patience=2, epochs=9))
    assert said[0].endswith("wrote the networks again from the checkpoint of epoch 2")
    assert said[1].endswith("stopped after epoch 4, the probe was best after epoch 2")
    assert outcome(run) == expected


@pytest.mark.slow
def test_the_probe_decides_by_the_digits_that_the_history_keeps(
    data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.7000001 and 0.7000004 are both 0.7 there, so a resumed run could not tell that the second is better."""
    values, longer = [0.7000001, 0.7000004, 0.6], dataclasses.replace(PROBED, patience=2, epochs=9)
    says(monkeypatch, [*values, *values])
    trained(data, tmp_path / "whole", longer)
    trained(data, tmp_path / "run", dataclasses.replace(longer, epochs=2))
    trained(data, tmp_path / "run", longer)
    for name in ("whole", "run"):
        assert Run.open(tmp_path / name).history()["probe_auroc"].tolist() == [0.7, 0.7, 0.6]


@pytest.mark.slow
def test_a_run_killed_between_two_probes_is_not_over(
    data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(PROBED, probe_every=2, patience=1, epochs=6)

    class Kill(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, *_: Any) -> None:
            if epoch == 2:
                raise KeyboardInterrupt

    says(monkeypatch, [0.7, 0.8, 0.7])
    with pytest.raises(KeyboardInterrupt):
        trained(data, tmp_path / "run", config, callbacks=[Kill()])
    assert checkpoints.epoch_of(checkpoints.found(tmp_path / "run" / "checkpoints")[-1]) == 3
    trained(data, tmp_path / "run", config)
    assert Run.open(tmp_path / "run").probed() == {2: 0.7, 4: 0.8, 6: 0.7}


@pytest.mark.parametrize(
    ("left", "resume"), [([], True), (["seen.csv", ".seen.77.tmp.csv", ".config.77.tmp.json", ".lock"], False)]
)
def test_what_a_kill_at_the_very_beginning_left_is_started_again(
    data: DataSet, tmp_path: Path, alone: Path, left: list[str], resume: bool
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in left:
        (run / name).touch()
    trained(data, run, resume=resume)
    assert outcome(run) == outcome(alone)
    assert not half_written(run)


def test_a_folder_of_something_else_is_refused_and_left_as_it_is(data: DataSet, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    for path in (tmp_path / "letters" / "letter.txt", tmp_path / "file"):
        path.touch()
    for place in (tmp_path / "letters", tmp_path / "file"):
        for resume in (True, False):
            with pytest.raises(InputError, match="already exists and is no run, name another folder"):
                trained(data, place, resume=resume)
    assert [path.name for path in (tmp_path / "letters").iterdir()] == ["letter.txt"]


def test_other_data_and_other_settings_are_refused_and_named(
    data: DataSet, alone: Path, tmp_path: Path, write_data: Callable[..., Path]
) -> None:
    other = DataSet.open(write_data(tmp_path / "other", np.ones((100, 250, 12), np.int16), [100]))
    before = outcome(alone)
    anywhere = dataclasses.replace(SMALL, mixed_precision="auto")
    assert checkpoints.continued(alone, anywhere, data).config == SMALL
    with pytest.raises(InputError, match=f"was started on another data set \\({data.path}\\) than {other.path}"):
        trained(other, alone)
    changed = dataclasses.replace(SMALL, learning_rate=1.0, seed=4)
    with pytest.raises(InputError, match=r"other settings \(learning_rate 0.0004 -> 1.0, seed 0 -> 4\)"):
        trained(data, alone, changed)
    assert outcome(alone) == before


@pytest.mark.parametrize(
    ("limit_bytes", "picture_bytes", "file"),
    [
        pytest.param(10_000, 0, "encoder.keras", marks=pytest.mark.slow),
        pytest.param(40_000, 50_000, "masks/epoch-0002-", marks=pytest.mark.slow),
        (60_000, 0, "checkpoints/epoch-00002.npz"),
    ],
)
def test_without_room_it_ends_with_one_line_and_goes_on_later(
    data: DataSet, alone: Path, tmp_path: Path, limit_bytes: int, picture_bytes: int, file: str
) -> None:
    run, limits = tmp_path / "run", resource.getrlimit(resource.RLIMIT_FSIZE)

    class Limit(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, *_: Any) -> None:
            if epoch == 1:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limits[1]))

    try:
        with pytest.raises(InputError) as raised:
            trained(data, run, callbacks=[Limit()], draw_masks=lambda path, *_: write_text(path, picture_bytes * "x"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(raised.value).startswith(f"{run}/{file}")
    assert re.search(
        r"could not be written \(File too large, [\d,]+ MB are free\); free some space and continue with --resume$",
        str(raised.value),
    )
    assert not half_written(run)
    trained(data, run)
    assert outcome(run) == outcome(alone)


@pytest.mark.parametrize(
    ("error", "number"), [(tf.errors.ResourceExhaustedError, errno.ENOSPC), (tf.errors.OutOfRangeError, errno.EFBIG)]
)
def test_a_full_disk_that_tensorflow_meets_is_an_error_of_the_system(tmp_path: Path, error: Any, number: int) -> None:
    events = Events(Run(tmp_path, SMALL, {}))

    def flush() -> None:
        raise error(None, None, "events.out; No space left on device")

    events.writer.flush = flush
    with pytest.raises(OSError) as raised:
        events.on_epoch_end(0, {"loss": 1.0})
    assert (raised.value.errno, raised.value.filename) == (number, str(tmp_path / "tensorboard" / "train"))
