"""``ecg-advmask presets``: the list, and a preset as a file that gives the same settings."""

import dataclasses
from pathlib import Path

from click.testing import CliRunner

from ecg_advmask import config as configuration
from ecg_advmask import presets
from ecg_advmask.cli import main


def test_the_list_names_every_preset_with_a_sentence() -> None:
    lines = CliRunner().invoke(main, ["presets"]).stdout.splitlines()
    assert [line.split()[0] for line in lines] == presets.names()
    assert all(line.endswith(".") and len(line.split()) > 4 for line in lines)


def test_a_printed_preset_is_a_file_of_its_settings(tmp_path: Path) -> None:
    for name in ("paper", "cpu-3kg", "demo"):
        file = tmp_path / f"{name}.toml"
        file.write_text(CliRunner().invoke(main, ["presets", name]).stdout)
        assert dataclasses.replace(configuration.load(file=file), preset_name=name) == configuration.load(name)


def test_an_unknown_name_is_one_line() -> None:
    result = CliRunner().invoke(main, ["presets", "papre"])
    assert result.exit_code == 2
    assert result.stderr.startswith("ecg-advmask presets: preset 'papre' does not exist; there are: 3kg-both,")
