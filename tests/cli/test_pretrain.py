"""``ecg-advmask pretrain`` where the data set turns out to be damaged while it is read."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from click.testing import CliRunner

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
