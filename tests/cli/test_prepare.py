"""The command: its summary, and one line with exit code 2 for bad input."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ecg_advmask.cli import main
from ecg_advmask.pipeline.shards import DataSet

Write = Callable[..., Path]


@pytest.fixture
def archive(tmp_path: Path, write_wfdb: Write) -> Path:
    samples = np.random.default_rng(0).integers(-900, 900, (2, 1150, 12)).astype(np.int16)
    write_wfdb(tmp_path / "in" / "training" / "georgia" / "g1" / "E1.hea", samples[0], 100)
    write_wfdb(tmp_path / "in" / "training" / "chapman_shaoxing" / "g1" / "JS1.hea", samples[1], 100)
    return tmp_path / "in"


def test_summary_and_last_line(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["prepare", str(archive), str(out), "--format", "cinc2021", "--sampling-rate", "100", "--workers", "1"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    table = {line.split()[0]: line.split()[1:] for line in lines}
    assert table["chapman_shaoxing"] == ["1", "0", "0", "1", "left", "out", "1"]
    assert table["georgia"] == ["1", "1", "1", "0"]
    assert table["all"] == ["2", "1", "1", "1", "left", "out", "1"]
    assert "1.50 s at the ends of recordings did not fill a window." in lines
    assert lines[-1] == (f"Wrote {out}: 1 windows of 1 recordings, 1 recordings refused ({out}/refused.csv tells why)")
    assert DataSet.open(out).records["id"].tolist() == ["E1"]


@pytest.mark.parametrize(
    ("source", "options", "reason"),
    [
        ("absent", [], "is not a folder"),
        ("", [], "holds no recordings"),
        ("in", ["--seconds", "60"], "none of the 2 recordings can be used"),
        ("in", ["--patients", "absent.csv"], "absent.csv: cannot be read"),
        ("in", ["--sampling-rate", "-5"], "whole number of samples"),
        ("in", ["--workers", "0"], "workers 0"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    archive: Path, tmp_path: Path, source: str, options: list[str], reason: str
) -> None:
    (tmp_path / "empty").mkdir()
    folder = archive if source == "in" else tmp_path / (source or "empty")
    arguments = ["prepare", str(folder), str(tmp_path / "out"), "--format", "cinc2021", "--workers", "1", *options]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    last = result.stderr.splitlines()[-1]
    assert last.startswith("ecg-advmask prepare: ")
    assert reason in last
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


def test_help_names_the_options() -> None:
    result = CliRunner().invoke(main, ["prepare", "--help"])
    assert result.exit_code == 0
    for option in ("--format", "--sampling-rate", "--seconds", "--workers", "--patients", "--include-chapman"):
        assert option in result.output
