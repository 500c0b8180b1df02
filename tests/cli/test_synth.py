"""``ecg-advmask synth`` as a user types it."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from ecg_advmask.cli import main


def synth(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["synth", *map(str, arguments), "--workers", "1"])


def test_both_layouts_by_default(tmp_path: Path) -> None:
    result = synth(tmp_path / "out", "--records", 3, "--seed", 1)
    assert result.exit_code == 0, result.output
    last = result.output.splitlines()[-1]
    assert "wrote 3 generated recordings each of cinc2021 and chapman" in last
    assert str(tmp_path / "out") in last
    assert len(list((tmp_path / "out" / "cinc2021").rglob("*.hea"))) == 3
    assert len(pd.read_excel(tmp_path / "out" / "chapman" / "Diagnostics.xlsx")) == 3


@pytest.mark.parametrize(("layout", "other"), [("cinc2021", "chapman"), ("chapman", "cinc2021")])
def test_one_layout(layout: str, other: str, tmp_path: Path) -> None:
    assert synth(tmp_path / "out", "--records", 2, "--layout", layout).exit_code == 0
    assert len(pd.read_csv(tmp_path / "out" / layout / "subjects.csv")) == 2
    assert not (tmp_path / "out" / other).exists()


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert synth(tmp_path / "out", "--records", 1, "--layout", "cinc2021").exit_code == 0
    assert (tmp_path / "out" / "GENERATED.txt").is_file()


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_used_destination_ends_in_one_line_and_exit_code_2(kind: str, tmp_path: Path) -> None:
    target = tmp_path / "out"
    if kind == "folder":
        target.mkdir()
        (target / "mine.txt").write_text("keep")
    else:
        target.write_text("keep")
    result = synth(target, "--records", 1)
    assert result.exit_code == 2
    message = result.stderr.strip().splitlines()[-1]
    assert message.startswith("ecg-advmask synth: ")
    assert str(target) in message
    assert (target / "mine.txt" if kind == "folder" else target).read_text() == "keep"


def test_a_destination_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("keep")
    result = synth(tmp_path / "file" / "out", "--records", 1, "--layout", "cinc2021")
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


@pytest.mark.parametrize("arguments", [("--records", 0), ("--seed", -1), ("--layout", "other")])
def test_settings_out_of_range_are_refused(arguments: tuple[str, object], tmp_path: Path) -> None:
    assert synth(tmp_path / "out", *arguments).exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_neither_tensorflow_nor_pandas_is_needed() -> None:
    code = (
        "import sys; from ecg_advmask.synthetic import archive; archive.generate('chapman', 0, 0); "
        "sys.exit(bool({'tensorflow', 'keras', 'pandas', 'wfdb', 'openpyxl'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
