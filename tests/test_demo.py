"""The commands of `make demo`, as the Makefile states them, on fewer recordings and epochs."""

import re
import shlex
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from ecg_advmask.cli import main
from ecg_advmask.files import read_json

ROOT = Path(__file__).resolve().parents[1]
RECORDS = 100
SETTINGS = {"epochs": 2, "encoder_width": 4, "embedding_dim": 8, "batch_size": 32}
ONE_PROCESS = {"synth": ["--workers", "1"], "prepare": ["--workers", "1"]}
"""So few recordings are read before another process has started."""


def demo_commands(folder: Path) -> list[list[str]]:
    """Arguments of each `ecg-advmask` in the recipe of `make demo`."""
    settings = " ".join(f"--set {key}={value}" for key, value in SETTINGS.items())
    variables = [f"DEMO={folder}", f"DEMO_RECORDS={RECORDS}", f"DEMO_SETTINGS={settings}"]
    shown = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "demo", *variables],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.replace("\\\n", " ")
    return [shlex.split(line)[1:] for line in shown.splitlines() if re.match(r"\S*/ecg-advmask ", line)]


@pytest.mark.slow
def test_the_demo_goes_from_nothing_to_a_report(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    commands = demo_commands(folder)
    assert [arguments[0] for arguments in commands] == [
        *("synth", "embed", "prepare", "prepare", "pretrain", "linear-eval", "export", "embed", "report"),
    ]
    printed = {}
    for arguments in commands:
        result = CliRunner().invoke(main, arguments + ONE_PROCESS.get(arguments[0], []), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        printed[arguments[0]] = result.stdout
        assert result.stdout.splitlines()[-1].lower().startswith("wrote "), result.stdout

    counts = read_json(folder / "cinc2021" / "dataset.json")["counts"]
    assert counts["recordings_in"] == counts["recordings_kept"] + counts["recordings_refused"] == RECORDS
    assert pd.read_csv(folder / "run" / "history.csv")["epoch"].tolist() == [1, 2]
    assert len(list((folder / "run" / "masks").glob("epoch-0002-*.png"))) == 3
    assert list((folder / "run" / "tensorboard" / "train").iterdir())
    assert [float(value) < 1e-5 for value in re.findall(r"largest error (\S+),", printed["export"])] == [True] * 3
    subjects = pd.read_csv(folder / "raw" / "cinc2021" / "subjects.csv")
    with np.load(folder / "embeddings.npz") as archive:
        assert set(archive["ids"]) == set(subjects["record"][subjects["duration_s"] >= 5])  # half a window
        assert archive["embeddings"].shape == (len(archive["ids"]), SETTINGS["embedding_dim"])
        assert np.isfinite(archive["embeddings"]).all()
    rhythm = read_json(folder / "rhythm.json")
    assert rhythm["targets"]["names"] == ["AFIB", "GSVT", "SB", "SR"]
    page = (folder / "report.html").read_text()
    HTMLParser().feed(page)
    assert "generated recordings" in page
    assert not re.findall(r"(?:src|href)\s*=\s*[\"'](?!data:|#)", page)
