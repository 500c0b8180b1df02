"""`ecg-advmask pretrain` killed at random moments: the command that shows it for thirty of them, for three.

`test_resume.py` has a process killed at one moment, and shows what kills at others leave.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = Path(__file__).parents[2] / "benchmarks" / "kills.py"


@pytest.mark.exhaustive
def test_runs_that_were_killed_end_as_the_one_left_alone(tmp_path: Path) -> None:
    size = ["--mode", "eager", "--epochs", "2", "--batch-size", "200"]
    command = [sys.executable, str(KILLS), str(tmp_path / "kills"), "--kills", "3", *size]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"^kill \d at ", done.stdout, re.MULTILINE)) == 3
    found = re.search(r"^3 kills, (\d) runs resumed to their end, (\d) of them equal", done.stdout, re.MULTILINE)
    assert found and found[1] == found[2] != "0"
