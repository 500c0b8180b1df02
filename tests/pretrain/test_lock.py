"""A run directory in use is refused to a second process, and open to readers."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ecg_advmask.errors import InputError
from ecg_advmask.files import write_json
from ecg_advmask.pretrain.run import LOCK_FILE, Run, locked_run
from pretrain.small import SMALL

HOLD = """
import sys, time
from ecg_advmask.pretrain.run import locked_run
with locked_run(sys.argv[1]):
    assert "tensorflow" not in sys.modules and "keras" not in sys.modules
    print("held", flush=True)
    time.sleep(60)
"""


def begin(path: Path) -> None:
    write_json(path / "config.json", {"config": SMALL.as_dict(), "dataset": {}})


def test_another_process_is_refused_until_the_holder_is_dead(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "one"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(run)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=f"^{run}: another process is pretraining in it; wait .* another folder$"):
            locked_run(run).__enter__()
        begin(run)
        assert Run.open(run).config == SMALL, "readers are not kept out"
        process.send_signal(signal.SIGKILL)
    assert (run / LOCK_FILE).is_file()
    with locked_run(run):
        pass


def test_what_a_killed_process_left_half_written_is_removed_and_nothing_else(tmp_path: Path) -> None:
    begin(tmp_path)
    half = [".history.7.tmp.csv", ".encoder.7.tmp.keras", "checkpoints/.epoch-00004.7.tmp.npz"]
    half += ["checkpoints/.epoch-00004.npz.7.tmp.sha256", "masks/.epoch-0004-R1.7.tmp.png"]
    other = ["notes.txt", ".report.7.tmp.html", "checkpoints/epoch-00003.npz", "masks/epoch-0002-R1.png"]
    for name in (*half, *other):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with locked_run(tmp_path):
        assert not [name for name in half if (tmp_path / name).exists()]
        assert all((tmp_path / name).exists() for name in other)
