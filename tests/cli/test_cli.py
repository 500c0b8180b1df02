"""The command as a whole: quick help, and bad input that ends in one line and exit code 2 with nothing written."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ecg_advmask.cli import main

COMMANDS = ["synth", "prepare", "pretrain", "linear-eval", "masks", "export", "embed", "report", "info"]


def run(*arguments: object) -> tuple[int, str]:
    """Exit code and what went to stderr, the progress bar's lines left out."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stderr


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from ecg_advmask.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'tensorflow', 'keras', 'numpy', 'scipy', 'pandas', 'wfdb', 'matplotlib', 'sklearn', 'onnxruntime'}\n"
        "print('imported:', sorted(heavy & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert all(f"  {command} " in shown for command in COMMANDS)
    assert shown.endswith("imported: []\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    result = CliRunner().invoke(main, [command, "--help"])
    assert result.exit_code == 0
    assert result.output.startswith("Usage: ")


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A folder of things that are not what a command wants."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("no model\n")
    (tmp_path / "text.onnx").write_text("no model\n")
    (tmp_path / "other_run").mkdir()
    (tmp_path / "other_run" / "config.json").write_text('{"name": "another program"}')
    (tmp_path / "half.json").write_text('{"task": ')
    np.save(tmp_path / "signals.npy", np.zeros((1000, 12), np.float32))
    return tmp_path


CASES = {
    "prepare: missing folder": (["prepare", "absent", "out", "--format", "cinc2021"], "absent"),
    "prepare: no recordings": (["prepare", "empty", "out", "--format", "cinc2021"], "empty"),
    "prepare: no Chapman layout": (["prepare", "empty", "out", "--format", "chapman"], "empty"),
    "pretrain: missing data": (["pretrain", "absent", "out", "--preset", "demo"], "absent: is not a data set"),
    "pretrain: no data set": (["pretrain", "empty", "out", "--preset", "demo"], "empty: is not a data set"),
    "pretrain: wrong preset": (["pretrain", "empty", "out", "--preset", "dmeo"], "preset 'dmeo' does not exist"),
    "pretrain: wrong setting": (["pretrain", "empty", "out", "--set", "alhpa=1"], "--set alhpa=1"),
    "pretrain: resume nothing": (["pretrain", "empty", "empty", "--resume"], "no run was started there"),
    "pretrain: missing settings": (["pretrain", "empty", "out", "--config", "absent.toml"], "absent.toml"),
    "linear-eval: no run": (["linear-eval", "empty", "empty", "--task", "sex"], "is not a run directory"),
    "linear-eval: another program's run": (["linear-eval", "other_run", "empty", "--task", "sex"], "other_run"),
    "export: no run": (["export", "empty", "out.onnx"], "is not a run directory"),
    "embed: missing encoder": (["embed", "absent.onnx", "signals.npy", "--out", "out.npz"], "absent.onnx"),
    "embed: not an encoder": (["embed", "text.onnx", "signals.npy", "--out", "out.npz"], "text.onnx"),
    "report: no run": (["report", "empty"], "is not a run directory"),
    "report: damaged result": (["report", "other_run", "--eval", "half.json"], ""),
    "info: nothing": (["info", "empty"], "is neither a data set"),
    "info: text": (["info", "notes.txt"], "is neither a data set"),
    "info: not an encoder": (["info", "text.onnx"], "text.onnx"),
    "info: another program's run": (["info", "other_run"], "other_run"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_line_and_exit_code_2(case: str, bad: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(bad)
    before = sorted(bad.rglob("*"))
    arguments, complaint = CASES[case]
    code, stderr = run(*arguments)
    assert code == 2, stderr
    (line,) = [line for line in stderr.splitlines() if line.strip() and "%|" not in line]
    assert line.startswith(f"ecg-advmask {arguments[0]}: ")
    assert complaint in line
    assert sorted(bad.rglob("*")) == before


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With a base install the user learns what to install, and sees no traceback."""
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    code, stderr = run("pretrain", tmp_path, tmp_path / "out", "--preset", "demo")
    assert code == 2
    assert "needs the package tensorflow" in stderr
    assert "ecg-advmask[train]" in stderr


def test_info_tells_what_a_data_set_holds(generated_data: Path) -> None:
    result = CliRunner().invoke(main, ["info", str(generated_data)])
    assert result.exit_code == 0
    assert "250 samples at 100 Hz" in result.output
    (whole,) = [line.split() for line in result.output.splitlines() if line.startswith("all ")]
    assert whole[1] == "48"
    assert int(whole[2]) + int(whole[3]) == 48
