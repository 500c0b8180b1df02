"""What README and docs/ show is what the program understands: every command, every example, every link."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from ecg_advmask import config as configuration
from ecg_advmask.augment import AUGMENTATIONS
from ecg_advmask.cli import main

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


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


@pytest.fixture
def recordings(generated_cinc: Path, lead_means_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder, with what the examples in Python need: an encoder and a few recordings."""
    (tmp_path / "encoder.onnx").symlink_to(lead_means_onnx)
    (tmp_path / "new_recordings").mkdir()
    for name, header in zip("abcde", sorted(generated_cinc.rglob("*.hea")), strict=False):
        text = header.read_text()
        for folder in (tmp_path, tmp_path / "new_recordings"):
            (folder / f"{header.stem}.mat").write_bytes(header.with_suffix(".mat").read_bytes())
            (folder / f"{name}.hea").write_text(text)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("page", ["README.md", "docs/export.md"])
@pytest.mark.usefixtures("recordings")
def test_the_examples_in_python_run(page: str) -> None:
    (example,) = blocks((ROOT / page).read_text("utf-8"), "python")
    names: dict[str, Any] = {}
    exec(compile(example, page, "exec"), names)
    if page == "README.md":
        assert names["model"].classes_.tolist() == ["AFIB", "SR"]
    else:
        assert names["one_for_all"].shape == (names["encoder"].embedding_dim,)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_are_named_exist(path: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", path.read_text("utf-8")) if "://" not in link]
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_every_augmentation_is_named() -> None:
    page = (ROOT / "docs" / "pretraining.md").read_text("utf-8")
    assert [name for name in AUGMENTATIONS if f"`{name}`" not in page] == []


def test_the_readme_is_short_and_opens_with_the_commands() -> None:
    lines = README.splitlines()
    assert len(lines) <= 165
    assert next(number for number, line in enumerate(lines) if line.startswith("make demo ")) < 30
