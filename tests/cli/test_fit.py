"""``ecg-advmask fit``: one file whose predictions are those of the head, with the figures of ``judge``."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ecg_advmask.cli import main
from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.errors import InputError
from ecg_advmask.export.encoder import OnnxEncoder

RECORDINGS = 60
FEMALE = np.random.default_rng(0).random(RECORDINGS) < 0.5
WARDS = np.where(np.random.default_rng(1).random(RECORDINGS) < 0.3, "north", "süd")
OPTIONS = ("--source-rate", "100")


def invoke(command: str, *arguments: object) -> Result:
    return CliRunner().invoke(main, [command, *map(str, arguments), *OPTIONS])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings whose lead V1 is higher in women, V2 in the north; and their labels."""
    place = tmp_path_factory.mktemp("fit")
    (place / "in").mkdir()
    for number in range(RECORDINGS):
        signals = np.random.default_rng(number).normal(size=(250, 12))
        signals[:, 6] += 0.3 * FEMALE[number] + 0.2 * np.random.default_rng(number).normal()
        signals[:, 7] += WARDS[number] == "north"
        path = place / "in" / f"r{number:02d}.csv"
        np.savetxt(path, signals, "%.4f", delimiter=",", header=",".join(STANDARD_LEADS), comments="")
    with (place / "labels.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "patient", "sex", "age", "ward"])
        for number in range(RECORDINGS):
            sex = "f" if FEMALE[number] else "m"
            writer.writerow([f"r{number:02d}", f"p{number // 2}", sex, 40 + number % 40, WARDS[number]])
    return place


@pytest.fixture(scope="module")
def fitted(folder: Path, lead_means_onnx: Path) -> Callable[[str], tuple[Path, str]]:
    def of(task: str, encoder: Path = lead_means_onnx) -> tuple[Path, str]:
        out = folder / f"{task}.onnx"
        if not out.exists():
            done = invoke("fit", encoder, folder / "in", folder / "labels.csv", "--task", task, "--out", out)
            assert done.exit_code == 0, done.output
            out.with_suffix(".txt").write_text(done.output)
        return out, out.with_suffix(".txt").read_text()

    return of


@pytest.mark.parametrize("task", ["sex", "ward", "age"])
def test_figures_are_those_of_judge(task: str, folder: Path, fitted: Any, tmp_path: Path) -> None:
    path, printed = fitted(task)
    out = tmp_path / "out.json"
    table, labels = folder / f"{task}.encoder.npz", folder / "labels.csv"
    done = invoke("judge", table, labels, "--task", task, "--labels", "1", "--draws", "1", "--out", out)
    assert done.exit_code == 0, done.output
    (figures,) = json.loads(out.read_text())["held_out"].values()
    stated = json.loads(OnnxEncoder(path).metadata["judged"])
    primary = "mae" if task == "age" else "macro_auroc"
    assert stated[primary] == figures["after"][primary]
    assert f"{figures['after'][primary]['mean']:.3f} (" in printed
    assert ("calibration error" in printed) == (task != "age")
    if task == "ward":
        assert stated["macro_auroc"]["mean"] > 0.95


def test_embed_gives_predictions_that_the_thresholds_are_of(folder: Path, fitted: Any, tmp_path: Path) -> None:
    path, _ = fitted("ward")
    classifier = OnnxEncoder(path)
    assert classifier.names == ("north", "süd") and set(classifier.thresholds) == {"north", "süd"}
    assert (classifier.metadata["task"], classifier.metadata["kind"]) == ("ward", "classes")
    out = tmp_path / "predictions.npz"
    done = invoke("embed", path, folder / "in", "--mean", "--out", out)
    assert done.exit_code == 0, done.output
    with np.load(out) as table:
        np.testing.assert_allclose(table["predictions"].sum(axis=1), 1, atol=1e-6)
        north = table["predictions"][:, 0] >= classifier.thresholds["north"]
        assert (north == (WARDS == "north")).mean() > 0.85
        with np.load(folder / "ward.encoder.npz") as plain:
            np.testing.assert_array_equal(table["embeddings"], plain["embeddings"])


def test_a_classifier_can_be_fitted_again_for_another_task(folder: Path, fitted: Any) -> None:
    """Its own head is replaced: names, thresholds and predictions are of the new task alone."""
    first, _ = fitted("ward")
    out = folder / "again.onnx"
    done = invoke("fit", first, folder / "in", folder / "labels.csv", "--task", "age", "--out", out)
    assert done.exit_code == 0, done.output
    again, directly = OnnxEncoder(out), OnnxEncoder(fitted("age")[0])
    assert again.names == ("years",) and again.thresholds == {} and again.metadata == directly.metadata
    windows = np.random.default_rng(0).normal(size=(3, 200, 12)).astype(np.float32)
    for found, expected in zip(again.run(windows), directly.run(windows), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_thresholds_in_a_file_must_be_of_its_predictions(fitted: Any, tmp_path: Path) -> None:
    import onnx

    path, _ = fitted("ward")
    for thresholds in ('{"east": 0.5}', '{"north": 2}', '{"north": "x"}', "[1]", "{"):
        model = onnx.load(path)
        metadata = {entry.key: entry.value for entry in model.metadata_props} | {"thresholds": thresholds}
        onnx.helper.set_model_props(model, metadata)
        onnx.save(model, tmp_path / "wrong.onnx")
        with pytest.raises(InputError, match=r"wrong\.onnx: .*thresholds"):
            OnnxEncoder(tmp_path / "wrong.onnx")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("absent.onnx", "{folder}/in", "{folder}/labels.csv", "--task", "sex", "--out", "x.onnx"), "absent.onnx"),
        (("{encoder}", "{folder}/in", "{folder}/labels.csv", "--task", "sex", "--out", "x.h5"), "x.h5"),
        (("{encoder}", "{folder}/in", "{folder}/labels.csv", "--task", "height", "--out", "x.onnx"), "height"),
        (("{encoder}", "{folder}/gone", "{folder}/labels.csv", "--task", "sex", "--out", "x.onnx"), "gone"),
    ],
)
def test_bad_input_is_one_line(
    arguments: tuple[str, ...],
    named: str,
    folder: Path,
    lead_means_onnx: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = invoke("fit", *(one.format(folder=folder, encoder=lead_means_onnx) for one in arguments))
    assert done.exit_code == 2 and named in done.output and "Traceback" not in done.output
    assert not list(tmp_path.glob("x.onnx"))
