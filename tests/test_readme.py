"""What the README tells a user to type is what the program understands."""

import re
import shlex
from pathlib import Path

import pytest

from ecg_advmask import config as configuration
from ecg_advmask.augment import AUGMENTATIONS
from ecg_advmask.cli import main

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def commands() -> list[str]:
    lines = [
        line for path in DOCUMENTS for block in blocks(path.read_text("utf-8"), "sh") for line in block.splitlines()
    ]
    return sorted({line.partition("#")[0].strip() for line in lines if line.startswith("ecg-advmask ")})


@pytest.mark.parametrize("line", commands())
def test_every_command_is_understood(line: str) -> None:
    _, name, *arguments = shlex.split(line)
    command = main.commands[name]
    context = command.make_context(name, arguments)
    if preset := context.params.get("preset"):
        configuration.load(preset, overrides=context.params.get("overrides", ()))


def test_every_subcommand_but_the_generator_is_shown() -> None:
    assert {line.split()[1] for line in commands()} >= set(main.commands) - {"synth"}


def test_the_python_example_runs(
    generated_cinc: Path, lead_means_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (example,) = blocks(README, "python")
    assert len(example.strip().splitlines()) <= 11
    (tmp_path / "encoder.onnx").symlink_to(lead_means_onnx)
    (tmp_path / "new_recordings").symlink_to(next(generated_cinc.rglob("GENERATED_HR00001.hea")).parent)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), names)
    assert names["one_for_all"].shape == (names["encoder"].embedding_dim,)


def test_files_and_augmentations_that_are_named_exist() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert links
    assert all((ROOT / link).is_file() for link in links)
    assert all(f"`{name}`" in README for name in AUGMENTATIONS)
