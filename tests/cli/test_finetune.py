"""``ecg-advmask finetune`` on a small data set in the real format, from a narrow encoder."""

import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from keras import layers

from ecg_advmask import config
from ecg_advmask.cli import main
from ecg_advmask.data import dataset
from ecg_advmask.evaluate import finetune
from ecg_advmask.files import sha256_of
from ecg_advmask.models.resnet import weights_sha256
from ecg_advmask.pretrain.run import Run, random_encoder
from ecg_advmask.report.html import as_html
from ecg_advmask.report.protocol import protocol_in_words
from ecg_advmask.report.results import as_studies, read_result
from ecg_advmask.report.run_report import evaluation_section
from ecg_advmask.report.text import headline

RECORDINGS, SEEN = 60, 10
SETTINGS = config.load("demo", overrides=["method=simclr", "window_seconds=1.25", "encoder_width=2", "embedding_dim=8"])
QUICK = ["--task", "sex", "--labels", "12", "--draws", "2", "--updates", "1"]


def small_encoder(width=2, embedding_dim=8):
    """Stands in for the ResNet, which takes seconds to build and much longer to train without being compiled."""
    signals = keras.Input((None, 12))
    x = layers.BatchNormalization()(layers.Conv1D(width, 7, strides=2, use_bias=False)(signals))
    return keras.Model(signals, layers.Dense(embedding_dim)(layers.GlobalAveragePooling1D()(keras.ops.relu(x))))


@pytest.fixture(scope="module", autouse=True)
def light():
    """Small networks, without compilation."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finetune, "resnet18_1d", small_encoder)
        patch.setattr("ecg_advmask.models.resnet.resnet18_1d", small_encoder)
        tf.config.run_functions_eagerly(True)
        yield
        tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def folders(tmp_path_factory, write_data):
    """Recordings of one patient each, and a run that has seen the first of them."""
    root = tmp_path_factory.mktemp("finetune")
    rng = np.random.default_rng(0)
    windows_uv = rng.integers(-1000, 1000, (RECORDINGS, SETTINGS.window_samples + 15, 12)).astype(np.int16)
    sex = np.where(rng.random(RECORDINGS) < 0.5, "female", "male")
    data = write_data(root / "data", windows_uv, [RECORDINGS], sex=sex)
    run = Run.create(root / "run", SETTINGS, dataset.DataSet.open(data), np.arange(SEEN))
    encoder = random_encoder(SETTINGS, 99)
    run.save(SimpleNamespace(kept_encoder=encoder))
    return SimpleNamespace(root=root, data=data, run=run.path, sha256=weights_sha256(encoder))


def invoke(*arguments):
    return CliRunner().invoke(main, ["finetune", *map(str, arguments)])


@pytest.fixture(scope="module")
def sex(folders):
    """The result of one evaluation, and what the command printed."""
    done = invoke(folders.run, folders.data, *QUICK)
    assert done.exit_code == 0, done.output
    path = folders.run / "finetune-sex-data.json"
    return SimpleNamespace(path=path, result=json.loads(path.read_text()), output=done.output)


@pytest.mark.slow
def test_the_run_stands_beside_training_from_scratch_on_the_same_draws(sex, folders):
    result = sex.result
    assert result["kind"] == "fine-tuning" and result["counts"]["eligible"] == RECORDINGS - SEEN
    assert [one["name"] for one in result["encoders"].values()] == ["SimCLR, fine-tuned", "from scratch"]
    hashes = {one["sha256"] for one in result["encoders"].values()}
    assert len(hashes | {folders.sha256, weights_sha256(random_encoder(SETTINGS, 0))}) == 4  # frozen ones have theirs
    auroc = {(row["encoder"], row["seed"]): row["metrics"]["macro_auroc"] for row in result["results"]}
    assert set(auroc) == {(name, seed) for name in ("trained", "scratch") for seed in (0, 1)}
    (difference,) = result["differences"]
    assert (difference["first"], difference["second"], difference["labels"]) == ("trained", "scratch", 12)
    pairs = [auroc["trained", seed] - auroc["scratch", seed] for seed in (0, 1)]
    assert difference["metrics"]["macro_auroc"]["mean"] == pytest.approx(np.mean(pairs))
    # twelve labels in one batch: five passes at least are five updates
    assert {(row["updates"], row["passes"]) for row in result["results"]} == {(5, 5.0)}
    assert all(1 <= row["best_update"] <= 5 and 0 <= row["validation"] <= 1 for row in result["results"])
    assert result["fine_tuning"]["updates"] == 1 and result["fine_tuning"]["encoder_rate"] == 1e-4


def test_files_and_table_are_written(sex):
    figure, stored = (sex.path.with_suffix(suffix) for suffix in (".png", ".split.csv"))
    assert figure.read_bytes().startswith(b"\x89PNG") and stored.read_text().count("\n") == RECORDINGS - SEEN + 1
    assert sex.output.splitlines()[-1] == f"wrote {sex.path}, {figure} and {stored}"
    assert "SimCLR, fine-tuned − from scratch" in sex.output


def test_a_report_tells_how_the_networks_were_trained(sex):
    result = read_result(sex.path)
    words = " ".join(protocol_in_words(result))
    assert "frozen" not in words and "Encoder and linear head are trained together" in words
    assert "0.001 for the head, 0.0001 for a pretrained and 0.001 for a random encoder" in words
    assert "no fewer than 5 and no more than 100 passes through the labels" in words
    line = headline(*as_studies([result]))
    assert line.startswith("sex on data, fine-tuned, 12 labels: macro AUROC SimCLR, fine-tuned 0.")
    html = as_html("title", list(evaluation_section([result])))
    assert "sex on data, fine-tuned" in html and "SimCLR, fine-tuned − from scratch" in html


@pytest.mark.slow
def test_the_command_in_the_result_repeats_it(sex, folders):
    words = sex.result["command"].split()
    assert words[:4] == ["ecg-advmask", "finetune", str(folders.run), str(folders.data)]
    out = folders.root / "again.json"
    done = invoke(*words[2:], "--out", out)
    assert done.exit_code == 0, done.output
    assert json.loads(out.read_text()) == sex.result


@pytest.mark.slow
def test_training_from_scratch_alone_gives_what_it_gives_beside_a_run(sex, folders, monkeypatch):
    """The preset of the test has the settings of the run; the split is the one that was stored."""
    monkeypatch.setattr("ecg_advmask.evaluate.experiment.load", lambda preset: {"tiny": SETTINGS}[preset])
    stored, out = sex.path.with_suffix(".split.csv"), folders.root / "scratch.json"
    done = invoke("untrained:tiny", folders.data, *QUICK, "--split", stored, "--out", out)
    assert done.exit_code == 0, done.output
    result = json.loads(out.read_text())
    beside = [row for row in sex.result["results"] if row["encoder"] == "scratch"]
    assert result["results"] == beside and result["differences"] == []
    assert result["split"]["sha256"] == sha256_of(stored)


def test_bad_input_is_one_line_and_exit_code_2(folders):
    other = Run.create(folders.root / "other", SETTINGS, dataset.DataSet.open(folders.data), np.arange(SEEN))
    other.save(SimpleNamespace(kept_encoder=small_encoder(3)))
    for arguments, message in (
        ((folders.root, folders.data, *QUICK), "is not a run directory"),
        ((folders.run, folders.root / "none", *QUICK), "is not a data set"),
        ((folders.run, folders.data, *QUICK, "--task", "tea"), "no such task"),
        ((folders.run, folders.data, *QUICK, "--labels", "a,b"), "expected numbers"),
        ((folders.run, folders.data, *QUICK, "--labels", "4000"), "4000 labels asked for"),
        ((folders.run, folders.data, *QUICK, "--preset", "demo"), "--preset goes with"),
        (("random", folders.data, *QUICK), "--preset goes with"),
        (("untrained:demo", folders.data, *QUICK), "--sampling-rate 100 --seconds 10"),
        ((folders.run, folders.data, *QUICK, "--encoder-rate", "nan"), "learning rates"),
        ((other.path, folders.data, *QUICK), "encoder.keras: is not the network that its config.json describes"),
    ):
        out = folders.root / "refused.json"
        done = invoke(*arguments, "--out", out)
        assert done.exit_code == 2, done.output
        assert message in done.output and len(done.output.strip().splitlines()) == 1
        assert not out.exists() and not out.with_suffix(".png").exists() and not out.with_suffix(".split.csv").exists()
