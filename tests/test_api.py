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
from ecg_advmask.report.results import read_result
from ecg_advmask.synthetic.archive import write_archive
from test_readme import blocks

ROOT = Path(__file__).resolve().parents[1]
SMALLER = {
    'ecg.Config.preset("cpu-advmask", epochs=5)': """ecg.Config.preset(
        "cpu-advmask", epochs=1, batch_size=64, jit_compile=False, encoder_width=4, embedding_dim=8,
        projection_hidden=8, projection_dim=8, adversary_width=8, adversary_depth=0, window_seconds=5,
    )""",
    "ecg.resnet18_1d(32), ecg.unet1d(16)": "ecg.resnet18_1d(4, 8), ecg.unet1d(8, 0)",
    "labels=[25, 100, 1.0]": "labels=[20], draws=1",
}
"""What the test writes instead of parts of the page, each of which stands there once."""


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
    write_archive(folder / "raw", ["cinc2021", "chapman"], 100, 1)
    (folder / "raw" / "cinc2021" / "training").rename(folder / "my_records")
    for name, header in zip("ab", sorted((folder / "my_records").rglob("*.hea")), strict=False):
        (folder / f"{name}.hea").write_text(header.read_text())
        (folder / f"{header.stem}.mat").write_bytes(header.with_suffix(".mat").read_bytes())
    ecg.prepare(folder / "raw" / "chapman", folder / "chapman", "chapman", sampling_rate_hz=100)
    code = "\n".join(blocks((ROOT / "docs" / "api.md").read_text("utf-8"), "python"))
    for written, smaller in SMALLER.items():
        assert code.count(written) == 1
        code = code.replace(written, smaller)
    names, compile_model = {}, ecg.SimCLR.compile
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        # two steps in all: to trace them takes longer than to compute them
        patch.setattr(ecg.SimCLR, "compile", lambda model, *given: compile_model(model, *given, run_eagerly=True))
        exec(compile(code, "docs/api.md", "exec"), names)
    return names, folder


def test_the_page_opens_with_ten_lines():
    first = blocks((ROOT / "docs" / "api.md").read_text("utf-8"), "python")[0]
    assert len(first.split("\n\n")) == 2 and len(first.strip().splitlines()) <= 11


@pytest.mark.slow
def test_the_blocks_of_the_page_do_what_they_say(page):
    names, folder = page
    assert names["signals_uv"].shape == (2, names["data"].window_samples, 12)
    run = ecg.Run.open(folder / "runs" / "a")
    assert run.config == names["config"] and run.history()["epoch"].tolist() == [1]
    assert names["model"].encoder.output_shape == (None, 8)
    assert names["adversary"].output_shape == (None, None, 1)
    evaluation = names["evaluation"]
    assert str(evaluation).count("untrained") and read_result(folder / "sex.json")["task"] == "sex"
    assert [row["labels"] for row in evaluation.result["summary"]] == [len(evaluation.split.rows["train"])] * 2
    found = names["found"]
    assert found.start_s.tolist() == [0.0, 5.0] and found.embeddings.shape == (2, 8)
    np.testing.assert_allclose(found.mean, found.embeddings.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(names["classifier"][0].transform(names["signals_mv"][:1])[0], found.mean, atol=1e-5)
    assert names["X"].shape == (2, 8)
    assert OnnxEncoder(folder / "encoder.onnx").metadata["preset"] == "cpu-advmask"


@pytest.mark.slow
def test_the_example_tells_apart_what_its_embeddings_tell_apart(page, tmp_path):
    """The classes are made of an embedding's first number, so that a linear classifier finds them."""
    _, folder = page
    example = runpy.run_path(str(ROOT / "examples" / "classify.py"))
    embeddings = example["embedded"](str(folder / "encoder.onnx"), str(folder / "my_records"))
    assert len(embeddings) == 100
    high = embeddings[0] > embeddings[0].median()
    labels = pd.DataFrame({"id": embeddings.index, "kind": np.where(high, "high", "low")})
    scores = example["judge"](embeddings, labels, "kind")
    assert scores["embeddings"].mean() > 0.9 and np.all(scores["guessing"] == 0.5)
    table = tmp_path / "labels.csv"
    with table.open("w", newline="") as stream:
        csv.writer(stream).writerows([["id", "kind"], *labels.to_numpy().tolist()])
    command = [sys.executable, ROOT / "examples" / "classify.py", folder / "encoder.onnx", folder / "my_records"]
    done = subprocess.run([*command, table, "kind"], capture_output=True, text=True, check=True)
    assert f"embeddings: macro AUROC {scores['embeddings'].mean():.3f}" in done.stdout
    assert "tensorflow" not in done.stderr.lower()
