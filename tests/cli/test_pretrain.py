"""``ecg-advmask pretrain`` where the data set turns out to be damaged while it is read."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib import image

from ecg_advmask.cli import main

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


@pytest.mark.slow
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
    assert f"{run}: its masks lie in the spectrum" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


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
