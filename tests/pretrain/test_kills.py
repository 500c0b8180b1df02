"""`ecg-advmask pretrain` killed at random moments: the command that shows it for thirty of them, for one."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = Path(__file__).parents[2] / "benchmarks" / "kills.py"


@pytest.mark.slow
@pytest.mark.parametrize("kills", [1, pytest.param(3, marks=pytest.mark.exhaustive)])
def test_runs_that_were_killed_end_as_the_one_left_alone(tmp_path: Path, kills: int) -> None:
    size = ["--mode", "eager", "--epochs", "2", "--batch-size", "200"]
    command = [sys.executable, str(KILLS), str(tmp_path / "kills"), "--kills", str(kills), *size]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"^kill \d at ", done.stdout, re.MULTILINE)) == kills
    found = re.search(rf"^{kills} kills, (\d) runs resumed to their end, (\d) of them equal", done.stdout, re.MULTILINE)
    assert found and found[1] == found[2] != "0"
