"""Encoders by name, folder and hub repository: the file that is opened, and what is refused."""

import json
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from ecg_advmask.cli import main
from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.errors import InputError
from ecg_advmask.export import pretrained
from ecg_advmask.export.encoder import OnnxEncoder
from ecg_advmask.export.pretrained import encoder_file, shipped_encoders
from ecg_advmask.export.transformer import EcgEncoder
from ecg_advmask.files import sha256_of

SIGNALS = np.random.default_rng(0).normal(size=(450, 12)).astype(np.float32)


@pytest.fixture
def folder(lead_means_onnx: Path, tmp_path: Path) -> Path:
    """A folder as `export --card` writes it."""
    place = tmp_path / "mine"
    place.mkdir()
    file = shutil.copy(lead_means_onnx, place / "encoder.onnx")
    metadata = OnnxEncoder(lead_means_onnx).metadata
    config = {"library_name": "ecg-advmask", "file": "encoder.onnx", "sha256": sha256_of(file), "metadata": metadata}
    (place / "config.json").write_text(json.dumps(config))
    (place / "README.md").write_text("---\n---\n")
    return place


@pytest.fixture
def shipped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same as an encoder that comes with the package."""
    monkeypatch.setattr(pretrained, "_SHIPPED", folder.parent)
    return folder


def alter(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_an_encoder_is_found_by_name_folder_and_file(
    shipped: Path, lead_means_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    expected = OnnxEncoder(lead_means_onnx).embed(SIGNALS, 100).embeddings
    for place in ("mine", shipped, str(shipped), shipped / "encoder.onnx"):
        found = OnnxEncoder.from_pretrained(place, threads=1)
        np.testing.assert_array_equal(found.embed(SIGNALS, 100).embeddings, expected)
    transformer = EcgEncoder("mine", sampling_rate_hz=100).fit()
    np.testing.assert_array_equal(
        transformer.transform(SIGNALS[None]), expected.mean(0, float).astype(np.float32)[None]
    )


def test_a_name_of_the_package_goes_before_a_folder_of_that_name(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "mine").mkdir(parents=True)
    monkeypatch.chdir(elsewhere)
    assert encoder_file("mine") == shipped / "encoder.onnx"
    with pytest.raises(InputError, match=r"without config\.json"):
        encoder_file("./mine")


def test_the_command_lists_and_uses_them(shipped: Path, tmp_path: Path) -> None:
    listed = CliRunner().invoke(main, ["encoders"])
    assert listed.output.startswith("mine: 100 Hz, windows of 2 s, embeddings of length 12, 0.0 MB; card: ")
    assert str(shipped / "README.md") in listed.output
    np.savetxt(tmp_path / "one.csv", SIGNALS, delimiter=",", header=",".join(STANDARD_LEADS), comments="")
    out = tmp_path / "out.npz"
    recording = [str(tmp_path / "one.csv"), "--source-rate", "100"]
    done = CliRunner().invoke(main, ["embed", "mine", *recording, "--out", str(out)])
    assert done.exit_code == 0, done.output
    with np.load(out) as table:
        expected = OnnxEncoder(shipped / "encoder.onnx").embed(SIGNALS, 100).embeddings
        np.testing.assert_allclose(table["embeddings"], expected, atol=1e-6)


def test_every_encoder_that_comes_with_the_package_opens_and_has_a_card() -> None:
    for name, place in shipped_encoders().items():
        encoder = OnnxEncoder.from_pretrained(name)
        assert encoder.metadata == json.loads((place / "config.json").read_text())["metadata"]
        assert np.isfinite(encoder.embed(np.tile(SIGNALS, (3, 1)), 100).embeddings).all()
        assert (place / "README.md").read_text().startswith("---\n")


@pytest.mark.parametrize("file", ["../encoder.onnx", "/etc/encoder.onnx", "encoder.txt", "", None])
def test_a_folder_names_a_file_of_its_own(file: object, folder: Path) -> None:
    alter(folder, file=file)
    with pytest.raises(InputError, match=r"config\.json"):
        encoder_file(folder)


def test_what_is_no_encoder_is_refused_by_its_name(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.onnx"):
        encoder_file(tmp_path / "absent.onnx")
    with (folder / "encoder.onnx").open("ab") as stream:
        stream.write(b"\0")
    with pytest.raises(InputError, match=r"encoder\.onnx: is not the file"):
        encoder_file(folder)
    (folder / "encoder.onnx").unlink()
    with pytest.raises(InputError, match=r"encoder\.onnx: is missing"):
        encoder_file(folder)
    alter(folder, library_name="timm")
    with pytest.raises(InputError, match=r"config\.json"):
        encoder_file(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config\.json"):
        encoder_file(folder)


# ---- A repository of a hub, by a client that keeps links into its cache, as the real one does.


@pytest.fixture
def hub(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Calls of the client."""
    calls: list[tuple[Any, ...]] = []
    snapshot = tmp_path / "cache" / "snapshot"
    snapshot.mkdir(parents=True)
    for file in folder.iterdir():
        (snapshot / file.name).symlink_to(file)

    def snapshot_download(repository: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        calls.append((repository, revision, allow_patterns))
        if repository != "owner/encoder":
            raise OSError("Repository Not Found for url\nmore lines")
        return str(snapshot)

    client = ModuleType("huggingface_hub")
    client.snapshot_download = snapshot_download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", client)
    monkeypatch.chdir(tmp_path)
    return calls


def test_a_repository_is_downloaded(hub: list[tuple[Any, ...]]) -> None:
    assert OnnxEncoder.from_pretrained("owner/encoder", revision="v1").embedding_dim == 12
    assert hub == [("owner/encoder", "v1", ["config.json", "README.md", "*.onnx"])]


@pytest.mark.usefixtures("hub")
def test_a_repository_that_is_not_there_is_one_line() -> None:
    with pytest.raises(InputError, match=r"^owner/other: .*\(Repository Not Found for url\)$"):
        encoder_file("owner/other")


@pytest.mark.parametrize("name", ["cache/absent", "owner/encoder.onnx", "owner/deep/encoder", "encoder", "/owner/x"])
def test_a_path_is_not_asked_for_at_the_hub(name: str, hub: list[tuple[Any, ...]]) -> None:
    with pytest.raises(InputError, match=name):
        encoder_file(name)
    assert hub == []


def test_without_the_hubs_client_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"owner/encoder: .*ecg-advmask\[hub\]"):
        encoder_file("owner/encoder")
