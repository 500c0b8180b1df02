"""From a run and its linear evaluation to files: what the export costs the head, recomputed from the files alone."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import onnxruntime
import pytest
from click.testing import CliRunner, Result
from sklearn.metrics import mean_absolute_error, roc_auc_score

from ecg_advmask.cli import main
from ecg_advmask.config import Config
from ecg_advmask.data.dataset import DataSet
from ecg_advmask.ecg.shift import Reference
from ecg_advmask.evaluate.heads import LinearHead
from ecg_advmask.export.encoder import REFERENCE, OnnxEncoder
from ecg_advmask.export.from_run import export_run
from ecg_advmask.pretrain.run import REFERENCE_FILE, Run

Array = np.ndarray[Any, Any]


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def run(
    small_encoder: keras.Model, config: Config, generated_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run that has seen nothing, judged by linear-eval on sex and age."""
    data, folder = DataSet.open(generated_data), tmp_path_factory.mktemp("runs") / "run"
    made = Run.create(folder, config, data, np.array([], np.int64))
    made.save(SimpleNamespace(kept_encoder=small_encoder))
    (folder / REFERENCE_FILE).write_text(Reference.of(data.signals_mv(np.arange(20)), 100).text())
    for task in ("sex", "age"):
        options = ["--labels", "0.5,1", "--draws", 1, "--no-random", "--out", folder / f"{task}.json"]
        done = invoke("linear-eval", folder, generated_data, "--task", task, *options)
        assert done.exit_code == 0, done.output
    return folder


@pytest.fixture(scope="module")
def exported(run: Path, generated_cinc: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A classifier of sex in int8, with its SavedModel, and what the command printed."""
    path = tmp_path_factory.mktemp("exported") / "sex.onnx"
    options = ["--precision", "int8", "--recordings", generated_cinc, "--evaluation", run / "sex.json", "--classifier"]
    done = invoke("export", run, path, *options, "--saved-model", path.with_suffix(""))
    assert done.exit_code == 0, done.output
    return path, done.output


def embeddings_of_test_part(run: Path, task: str, data: DataSet, path: Path) -> tuple[Array, list[str]]:
    """Mean embedding of each test recording by onnxruntime, and its label."""
    with (run / f"{task}.split.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["part"] == "test"]
    session = onnxruntime.InferenceSession(path)
    ids = data.records["id"].to_numpy(str)
    means = []
    for row in rows:
        windows = data.signals_mv(np.flatnonzero(ids == row["id"]))
        means.append(session.run(["embedding"], {"ecg": windows})[0].mean(axis=0))
    return np.stack(means), [row["label"] for row in rows]


def logits(head: LinearHead, embeddings: Array) -> Array:
    return np.asarray(embeddings.astype(np.float64) @ head.weights + head.intercepts)


@pytest.mark.slow
def test_the_change_of_auroc_is_that_of_the_head_on_the_test_part(
    run: Path, generated_data: Path, exported: tuple[Path, str]
) -> None:
    path, output = exported
    found, labels = embeddings_of_test_part(run, "sex", DataSet.open(generated_data), path)
    head = LinearHead.read(run / "sex.head.npz")
    ahead = logits(head, found)[:, 1] - logits(head, found)[:, 0]
    with_file = roc_auc_score(np.array(labels) == head.names[1], ahead)
    result = json.loads((run / "sex.json").read_text())
    (with_keras,) = [row["metrics"]["macro_auroc"]["mean"] for row in result["summary"] if row["fraction"] == 1]
    change = json.loads(path.with_suffix(".parity.json").read_text())["linear_evaluation"]
    assert (change["metric"], change["test_recordings"], change["task"]) == ("macro_auroc", len(labels), "sex")
    assert change["keras"] == pytest.approx(with_keras, abs=1e-12)
    assert change["exported"] == pytest.approx(with_file, abs=1e-12)
    assert change["change"] == pytest.approx(with_file - with_keras, abs=1e-12)
    assert change["low"] <= change["change"] <= change["high"]
    assert change["head"]["fraction"] == 1 and change["head"]["head"] == "lbfgs"
    assert f"macro AUROC of sex on {len(labels)} test recordings: {with_keras:.4f} with Keras" in output


def test_what_the_command_tells(exported: tuple[Path, str], generated_cinc: Path) -> None:
    path, output = exported
    report = json.loads(path.with_suffix(".parity.json").read_text())
    lines = output.splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == [f"parity with Keras at batch {n:2d}" for n in (1, 7, 32)]
    for line, found in zip(lines, report["batch_sizes"].values(), strict=False):
        one = found["embedding"]
        assert f"largest error {one['largest_error']:.2g}, mean {one['mean_error']:.2g}" in line
        assert f"cosine at least {one['smallest_cosine']:.6f}, mean {one['mean_cosine']:.6f}" in line
    windows = report["compared_on"]["windows"]
    assert f"compared on: {generated_cinc} ({windows} windows)" in lines
    assert f"calibrated on: {report['calibration_windows']} other windows of {generated_cinc}" in lines
    assert int(report["calibration_windows"]) - windows in {0, 1}
    assert lines[-2].startswith(f"wrote {path.with_suffix('')}: SavedModel")
    assert lines[-1].startswith(f"wrote {path}: opset 18, int8, ") and "head for sex" in lines[-1]
    assert lines[-1].endswith(f"report {path.with_suffix('.parity.json')}")
    encoder = OnnxEncoder(path)
    assert encoder.names == ("female", "male") and encoder.metadata["task"] == "sex"


def test_a_number_and_an_encoder_alone(run: Path, generated_data: Path, tmp_path: Path) -> None:
    path = tmp_path / "encoder.onnx"
    done = export_run(run, path, precision="float16", recordings=generated_data, evaluation=run / "age.json")
    found, labels = embeddings_of_test_part(run, "age", DataSet.open(generated_data), path)
    head = LinearHead.read(run / "age.head.npz")
    change = done.report["linear_evaluation"]
    error = mean_absolute_error(np.array(labels, float), logits(head, found)[:, 0])
    assert change["metric"] == "mae" and change["exported"] == pytest.approx(error, rel=1e-6)
    assert abs(change["change"]) < 0.05 * change["keras"]
    assert "names" not in done.metadata and OnnxEncoder(path).names is None
    assert [value.name for value in onnxruntime.InferenceSession(path).get_outputs()] == ["embedding"]


def test_options_that_do_not_go_together(run: Path, make_small_encoder: Any, tmp_path: Path) -> None:
    out = tmp_path / "encoder.onnx"
    few, finetuned, moved = tmp_path / "few.npz", tmp_path / "finetune.json", tmp_path / "moved.json"
    np.savez(few, signals=np.random.default_rng(0).normal(size=(3, 500, 12)).astype(np.float32), sampling_rate_hz=100)
    finetuned.write_text("{}")
    for name in ("sex.json", "sex.head.npz", "sex.split.csv"):
        moved.with_name(name.replace("sex", "moved")).write_bytes((run / name).read_bytes())
    result = json.loads(moved.read_text())
    moved.write_text(json.dumps(result | {"dataset": result["dataset"] | {"path": "gone"}}))
    (tmp_path / "odd.json").write_text("[]")
    (tmp_path / "odd.head.npz").write_bytes((run / "sex.head.npz").read_bytes())
    (tmp_path / "bare.json").write_text("{}")
    (tmp_path / "bare.head.npz").write_bytes((run / "sex.head.npz").read_bytes())
    other = tmp_path / "other"
    other.mkdir()
    for name in ("config.json", "seen.csv", "sex.json", "sex.head.npz", "sex.split.csv"):
        (other / name).write_bytes((run / name).read_bytes())
    make_small_encoder(1).save(other / "encoder.keras")
    for arguments, message in (
        (
            ("--precision", "int8"),
            "--precision int8: takes its ranges from real recordings, give some with --recordings",
        ),
        (("--precision", "int8", "--recordings", few), "few.npz: int8 needs 16 usable windows of 2.5 s"),
        (("--classifier",), "--classifier: needs a linear head"),
        (("--saved-model", tmp_path), f"{tmp_path}: exists already"),
        (("--evaluation", tmp_path / "none.json"), "none.json: is no file"),
        (("--evaluation", run / "sex.split.csv"), "sex.split.csv: is no file, give the .json"),
        (("--evaluation", finetuned), "finetune.head.npz: is missing"),
        (("--evaluation", tmp_path / "odd.json"), "odd.json: expected a JSON object"),
        (("--evaluation", tmp_path / "bare.json"), "bare.json: is not a result of ecg-advmask linear-eval"),
        (("--evaluation", moved), "its data set is not at gone"),
    ):
        done = invoke("export", run, out, *arguments)
        assert done.exit_code == 2, (arguments, done.output)
        assert message in done.output and len(done.output.strip().splitlines()) == 1, done.output
    done = invoke("export", other, out, "--evaluation", other / "sex.json", "--classifier")
    assert done.exit_code == 2 and "sex.head.npz: was fitted on another encoder" in done.output
    assert not out.exists() and not out.with_suffix(".parity.json").exists()


def test_a_folder_with_a_card_holds_all_that_is_needed_and_no_path(
    run: Path, generated_cinc: Path, ecgs_mv: Array, tmp_path: Path
) -> None:
    folder = tmp_path / "encoders" / "mine"
    options = ["--precision", "float16-weights", "--recordings", generated_cinc, "--evaluation", run / "sex.json"]
    done = invoke("export", run, folder, "--card", *options, "--classifier", "--license", "cc-by-4.0")
    assert done.exit_code == 0, done.output
    assert {path.name for path in folder.iterdir()} == {"README.md", "classifier.onnx", "config.json", "head.npz"}
    assert [path.name for path in folder.parent.iterdir()] == ["mine"]
    found = OnnxEncoder.from_pretrained(folder)
    head = LinearHead.read(folder / "head.npz")
    embeddings, predictions = found.run(ecgs_mv)
    assert predictions is not None
    assert found.reference is not None and found.reference.text() == (run / REFERENCE_FILE).read_text()
    assert REFERENCE not in json.loads((folder / "config.json").read_text())["metadata"]
    np.testing.assert_allclose(predictions, head.predict(embeddings), atol=1e-5)
    card = (folder / "README.md").read_text()
    header = dict(line.split(": ", 1) for line in card.split("---\n")[1].splitlines())
    values = {name: json.loads(value) if value[0] in '"[{' else value for name, value in header.items()}
    assert values["license"] == "cc-by-4.0" and values["library_name"] == "ecg-advmask"
    result = json.loads((run / "sex.json").read_text())
    most = max(row["labels"] for row in result["summary"])
    (row,) = [row for row in result["summary"] if row["labels"] == most]
    (measured,) = values["model-index"][0]["results"]
    assert measured["metrics"][0]["value"] == round(row["metrics"]["macro_auroc"]["mean"], 4)
    for path in folder.iterdir():
        content = path.read_bytes()
        for machine in (run.parent, generated_cinc.parent, tmp_path, Path.home()):
            assert str(machine).encode() not in content, path


def test_a_card_is_refused_where_it_cannot_be_written(run: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "other").touch()
    for arguments, named in (
        ((tmp_path / "full", "--card"), "full"),
        ((tmp_path / "x.onnx", "--card"), "x.onnx"),
        ((tmp_path / "x.onnx", "--license", "mit"), "--license"),
        ((tmp_path / "x", "--card", "--saved-model", tmp_path / "saved"), "--saved-model"),
    ):
        done = invoke("export", run, *arguments)
        assert done.exit_code == 2 and named in done.output, done.output
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
