"""``ecg-advmask pretrain`` where it is stopped, or the data set turns out to be damaged, or the disk to be full."""

import errno
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib import image

from ecg_advmask.cli import main
from pretrain.small import Small, eager

TINY = {
    "sampling_rate_hz": 100,
    "window_seconds": 2.5,
    "encoder_width": 4,
    "embedding_dim": 8,
    "projection_hidden": 16,
    "projection_dim": 8,
    "batch_size": 16,
    "accumulation": 1,
    "epochs": 1,
    "jit_compile": "false",
    "method": "simclr",
}


@pytest.fixture
def eagerly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small networks, without compilation."""
    from ecg_advmask.pretrain import trainer

    monkeypatch.setattr(trainer, "build", eager)


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_masks_in_the_spectrum_from_the_command_line(write_data: Callable[..., Path], tmp_path: Path) -> None:
    """Two steps, and the pictures; the measure of masks in time refuses such a run."""
    windows_uv = np.random.default_rng(0).integers(-900, 900, (32, 250, 12)).astype(np.int16)
    data, run = write_data(tmp_path / "data", windows_uv, [32]), tmp_path / "run"
    spectral = {"method": "advmask", "mask_domain": "spectrum", "masks": 12, "adversary_width": 8}
    settings = [word for key, value in (TINY | spectral).items() for word in ("--set", f"{key}={value}")]
    done = CliRunner().invoke(main, ["pretrain", str(data), str(run), *settings])
    assert done.exit_code == 0, done.output
    assert "32 windows, 2 steps per epoch" in done.output
    pictures = [image.imread(path) for path in sorted((run / "masks").glob("*.png"))]
    assert len(pictures) == 3
    assert all(min(picture.shape[:2]) > 400 and picture.std() > 0.05 for picture in pictures)
    refused = CliRunner().invoke(main, ["masks", str(run), str(data), "--out", str(tmp_path / "out")])
    assert refused.exit_code == 2
    assert f"{run}: its masks are in the spectrum" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("eagerly")
def test_several_data_sets_are_pretrained_on_as_one(write_data: Callable[..., Path], tmp_path: Path) -> None:
    """A signal that both have counts once: 31 of the 32 windows; what the run has seen is of both."""
    windows_uv = np.random.default_rng(0).integers(-900, 900, (31, 250, 12)).astype(np.int16)
    data = [
        write_data(tmp_path / "one", windows_uv[:16], [16], source=["a"] * 16),
        write_data(tmp_path / "two", windows_uv[15:], [16], source=["b"] * 16),
    ]
    settings = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]
    done = CliRunner().invoke(main, ["pretrain", *map(str, data), str(tmp_path / "run"), *settings])
    assert done.exit_code == 0, done.output
    assert "31 windows, 1 steps per epoch" in done.output
    lines = next((tmp_path / "run").glob("seen*.csv")).read_text().splitlines()[1:]
    assert [line.partition(",")[0] for line in lines] == ["a"] * 16 + ["b"] * 15


def test_an_altered_shard_is_one_line_and_exit_code_2(write_data: Callable[..., Path], tmp_path: Path) -> None:
    windows_uv = np.random.default_rng(0).integers(-2000, 2000, (32, 250, 12)).astype(np.int16)
    data = write_data(tmp_path / "data", windows_uv, [16, 16])
    shard = data / "shard-00001.tfrecord"
    content = bytearray(shard.read_bytes())
    content[-100] ^= 1
    shard.write_bytes(content)
    settings = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]
    result = CliRunner().invoke(main, ["pretrain", str(data), str(tmp_path / "run"), *settings])
    assert result.exit_code == 2
    lines = [line for line in result.stderr.splitlines() if "ecg-advmask" in line]
    assert lines == [f"ecg-advmask pretrain: {shard}: was altered since it was made, prepare the data set again"]
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.fixture
def small(write_data: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command for three epochs of small networks, and a data set for it."""
    from ecg_advmask.pretrain import trainer

    monkeypatch.setattr(trainer, "build", Small)
    windows_uv = np.random.default_rng(0).integers(-2000, 2000, (16, 250, 12)).astype(np.int16)
    data = write_data(tmp_path / "my data", windows_uv, [16])
    settings = [word for key, value in (TINY | {"epochs": 3}).items() for word in ("--set", f"{key}={value}")]
    return ["pretrain", str(data), str(tmp_path / "run"), *settings]


def at_the_second_checkpoint(monkeypatch: pytest.MonkeyPatch, what: Callable[[], None]) -> None:
    """Let something happen while the checkpoint of the second epoch is written."""
    savez, calls = np.savez, list[int]()

    def happens(*given: Any, **arrays: Any) -> None:
        savez(*given, **arrays)
        calls.append(1)
        if len(calls) == 2:
            what()

    monkeypatch.setattr(np, "savez", happens)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_when_stopped_it_says_how_to_go_on(
    small: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    run, before = tmp_path / "run", signal.getsignal(number)
    at_the_second_checkpoint(monkeypatch, lambda: signal.raise_signal(number))
    stopped = CliRunner().invoke(main, small)
    assert stopped.exit_code == code
    go_on = f"ecg-advmask pretrain '{tmp_path / 'my data'}' {run} --resume"
    assert last_line(stopped.stderr) == f"ecg-advmask pretrain: stopped after epoch 1; continue: {go_on}"
    assert signal.getsignal(number) == before
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == [
        "epoch-00001.npz",
        "epoch-00001.npz.sha256",
    ]
    resumed = CliRunner().invoke(main, shlex.split(go_on)[1:])
    assert resumed.exit_code == 0, resumed.output
    assert "epochs 2 to 3" in resumed.output


def test_when_stopped_before_it_began_it_says_so(small: list[str], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(
        sys.modules["ecg_advmask.cli.pretrain"], "import_tensorflow", lambda: signal.raise_signal(signal.SIGTERM)
    )
    stopped = CliRunner().invoke(main, small)
    assert stopped.exit_code == 143
    assert "before the run was started" in last_line(stopped.stderr)
    assert not (tmp_path / "run").exists()


def test_a_full_disk_is_one_line_and_exit_code_2(
    small: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    at_the_second_checkpoint(monkeypatch, full)
    result = CliRunner().invoke(main, small)
    assert result.exit_code == 2
    file = tmp_path / "run" / "checkpoints" / "epoch-00002.npz"
    assert last_line(result.stderr).startswith(
        f"ecg-advmask pretrain: {file}: could not be written (No space left on device, "
    )
    assert last_line(result.stderr).endswith(" MB are free); free some space and continue with --resume")
    assert "Traceback" not in result.stderr
    assert [path.name for path in (tmp_path / "run").rglob(".*")] == [".lock"]


def test_resuming_what_was_not_started_needs_the_settings(small: list[str], tmp_path: Path) -> None:
    refused = CliRunner().invoke(main, [*small[:3], "--resume"])
    assert refused.exit_code == 2
    assert refused.stderr == (
        f"ecg-advmask pretrain: {tmp_path / 'run'}: no run was started there; name its --preset or --config, or leave "
        "out --resume\n"
    )
    assert not (tmp_path / "run").exists()


def last_line(text: str) -> str:
    return text.replace("\r", "\n").strip().splitlines()[-1].strip()
