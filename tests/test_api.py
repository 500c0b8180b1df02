"""The blocks of docs/api.md run one after the other, and so does the example, on recordings whose classes are known."""

import csv
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ecg_advmask as ecg
from ecg_advmask.export.encoder import OnnxEncoder
from ecg_advmask.pretrain.run import Run
from test_readme import blocks

ROOT = Path(__file__).resolve().parents[1]
AS_WRITTEN = 'overrides=["epochs=2", "batch_size=32"]'
SMALL = [
    "epochs=1", "batch_size=32", "jit_compile=false", "encoder_width=4", "embedding_dim=8", "projection_hidden=8",
    "projection_dim=8", "adversary_width=8", "window_seconds=5",
]  # fmt: skip


def test_every_public_name_is_what_its_module_defines():
    for name in ecg.__all__:
        assert name in dir(ecg)
        assert getattr(ecg, name) is getattr(ecg, name)
    assert ecg.EcgEncoder.__module__ == "ecg_advmask.export.transformer"
    with pytest.raises(AttributeError, match="no attribute 'pretrian'"):
        _ = ecg.pretrian


def test_pretrain_can_be_called_and_is_still_the_package(monkeypatch):
    from ecg_advmask.pretrain import losses, trainer

    monkeypatch.setattr(trainer, "pretrain", lambda *given, **options: (given, options))
    assert ecg.pretrain(1, "run", 2, resume=True) == ((1, "run", 2), {"resume": True})
    assert ecg.pretrain.losses is losses


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """What the names of the page's blocks stand for after all have run, and the folder that they ran in."""
    folder = tmp_path_factory.mktemp("api")
    code = blocks((ROOT / "docs" / "api.md").read_text("utf-8"), "python")
    assert sum(AS_WRITTEN in block for block in code) == 1
    names = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for block in code:
            exec(block.replace(AS_WRITTEN, f"overrides={SMALL!r}"), names)
    return names, folder


@pytest.mark.slow
def test_the_blocks_of_the_page_do_what_they_say(page):
    names, folder = page
    assert names["signals_uv"].shape == (2, names["data"].window_samples, 12)
    run = Run.open(folder / "run")
    assert run.config == names["run"].config and run.history()["epoch"].tolist() == [1]
    assert names["adversary"].output_shape == (None, None, 1)
    assert {row["labels"] for row in names["result"]["summary"]} == {
        len(names["split"].draw(fraction, 0)) for fraction in (0.25, 1.0)
    }
    found = names["found"]
    assert found.start_s.tolist() == [0.0, 5.0] and found.embeddings.shape == (2, 8)
    np.testing.assert_allclose(found.mean, found.embeddings.mean(axis=0), rtol=1e-6)
    assert OnnxEncoder(folder / "encoder.onnx").metadata["preset"] == "demo"


@pytest.mark.slow
def test_the_example_tells_apart_what_its_embeddings_tell_apart(page, tmp_path):
    """The classes are made of an embedding's first number, so that a linear classifier finds them."""
    _, folder = page
    example = runpy.run_path(str(ROOT / "examples" / "classify.py"))
    embeddings = example["embedded"](str(folder / "encoder.onnx"), str(folder / "raw" / "cinc2021"))
    assert len(embeddings) == 160
    high = embeddings[0] > embeddings[0].median()
    labels = pd.DataFrame({"id": embeddings.index, "kind": np.where(high, "high", "low")})
    scores = example["judge"](embeddings, labels, "kind")
    assert scores["embeddings"].mean() > 0.9 and np.all(scores["guessing"] == 0.5)
    table = tmp_path / "labels.csv"
    with table.open("w", newline="") as stream:
        csv.writer(stream).writerows([["id", "kind"], *labels.to_numpy().tolist()])
    command = [sys.executable, ROOT / "examples" / "classify.py", folder / "encoder.onnx", folder / "raw" / "cinc2021"]
    done = subprocess.run([*command, table, "kind"], capture_output=True, text=True, check=True)
    assert f"embeddings: macro AUROC {scores['embeddings'].mean():.3f}" in done.stdout
    assert "tensorflow" not in done.stderr.lower()
