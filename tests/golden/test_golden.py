"""Files that version 0.1.0 wrote still open, and today's program writes the same from the same recordings.

``make.py`` says how the files were made. Bytes are compared where nothing depends on the processor or on the versions
of libraries, numbers within a tolerance elsewhere. A change of what is written is made once, knowingly: with a reader
for the files here, and new ones beside them.
"""

import csv
import json
import shutil
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
import tensorflow as tf

from ecg_advmask import config
from ecg_advmask.data.dataset import DataSet
from ecg_advmask.evaluate.heads import LinearHead
from ecg_advmask.export.encoder import OnnxEncoder
from ecg_advmask.pretrain.run import Run
from ecg_advmask.pretrain.trainer import pretrain
from ecg_advmask.report.results import StudyResult, read_result
from golden import steps
from golden.recordings import signal_uv, write_archive
from golden.values import values_of

pytestmark = pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions_eagerly`")

FILES = Path(__file__).parent / "files"
DATA_SHA256 = "36295c32c2575e5d8357ea11a811410bfa1b658f1023062337ea55700f3d2813"
"""Over the shards and tables of the frozen data set."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The frozen files, unpacked, as the current folder, and the recordings that they come from.

    Functions of TensorFlow run eagerly: the networks are so small that tracing would take longer.
    """
    folder = tmp_path_factory.mktemp("golden")
    for path in FILES.iterdir():
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                archive.extractall(folder)
        else:
            shutil.copy(path, folder / path.name)
    write_archive(folder)
    eager = tf.config.functions_run_eagerly()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        tf.config.run_functions_eagerly(True)
        yield folder
        tf.config.run_functions_eagerly(eager)


def settings(*further: str) -> config.Config:
    return config.load("cpu-advmask", overrides=[*steps.SETTINGS, *further])


def assert_same(found: Any, frozen: Any, tolerance: float, free: Sequence[str] = (), where: str = "") -> None:
    """The same plain value: keys in their order, texts and whole numbers exactly, other numbers within a tolerance.

    Of the keys in ``free`` only the presence counts. Later versions may add keys.
    """
    if isinstance(frozen, dict):
        assert isinstance(found, dict) and [key for key in found if key in frozen] == list(frozen), where
        for key, value in frozen.items():
            if key not in free:
                assert_same(found[key], value, tolerance, free, f"{where}/{key}")
    elif isinstance(frozen, list):
        assert isinstance(found, list) and len(found) == len(frozen), where
        for number, (ours, theirs) in enumerate(zip(found, frozen, strict=True)):
            assert_same(ours, theirs, tolerance, free, f"{where}/{number}")
    elif isinstance(frozen, float) and isinstance(found, int | float):
        assert found == pytest.approx(frozen, abs=tolerance, rel=tolerance), where
    else:
        assert type(found) is type(frozen) and found == frozen, where


def assert_same_history(found: Path, frozen: Path, first: int, last: int) -> None:
    """The rows of these epochs, numbers within 1e-4."""
    tables = [list(csv.DictReader(path.open(newline="", encoding="utf-8"))) for path in (found, frozen)]
    assert list(tables[0][0]) == list(tables[1][0])
    chosen = [[row for row in table if first <= int(row["epoch"]) <= last] for table in tables]
    assert len(chosen[0]) == len(chosen[1]) == last - first + 1
    for ours, theirs in zip(*chosen, strict=True):
        numbers = [{name: float(value) for name, value in row.items()} for row in (ours, theirs)]
        assert numbers[0] == pytest.approx(numbers[1], abs=1e-4, rel=1e-4)


def names_in(folder: Path, pattern: str = "*") -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob(pattern)}


def weights_in(model: onnx.ModelProto) -> list[np.ndarray[Any, Any]]:
    """The numbers of a graph that are no shapes or places, in their order."""
    arrays = [onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer]
    return [array for array in arrays if array.dtype == np.float32]


def read(path: str | Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return content


# ---- what was written before still opens


def test_nothing_tells_where_the_files_were_made() -> None:
    assert sum(path.stat().st_size for path in FILES.iterdir()) < 1_000_000
    for path in FILES.iterdir():
        contents = [path.read_bytes()]
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                contents += [archive.read(name) for name in archive.namelist()]
        for content in contents:
            assert not any(word in content for word in (b"/tmp/", b"/home/", b"/work/", b"/root/")), path


@pytest.mark.parametrize("name", ["data", "data-fast"])
def test_a_data_set_opens(place: Path, name: str) -> None:
    data = DataSet.open(place / name, verify=True)
    assert (data.sampling_rate_hz, data.window_samples) == (100, 250)
    assert len(data.records) == data.windows
    if name == "data":
        assert data.sha256 == DATA_SHA256
        assert list(data.labels.columns) == ["id", "tone"]
        row = data.records.index[data.records["id"] == "E00008"][0]
        np.testing.assert_array_equal(data.windows_uv([row])[0], signal_uv(7)[:250])
        assert list(data.records["duplicate_of"][data.records["duplicate_of"] != ""]) == ["E00001"]


def test_a_run_and_encoder_files_open_and_give_the_same(place: Path) -> None:
    run = Run.open("run")
    assert run.config == settings()
    assert len(run.history()) == 2 and "seconds" in run.history()
    assert set(run.seen()["id"]) < set(DataSet.open("data").records["id"])
    assert_same(values_of(place / "run", place / "encoder.onnx", place / "sex.onnx"), read("values.json"), 1e-5)
    assert OnnxEncoder("sex.onnx").names == ("female", "male")


def test_a_head_and_a_table_of_embeddings_go_together(place: Path) -> None:
    head = LinearHead.read(place / "sex.head.npz")
    with np.load("predictions.npz") as table:
        assert str(table["encoder_sha256"]) == head.encoder_sha256
        assert tuple(table["names"]) == head.names
        np.testing.assert_allclose(head.predict(table["embeddings"]), table["predictions"], atol=1e-5)


def test_results_open_in_a_report(place: Path) -> None:
    for name in ("sex.json", "finetune.json"):
        assert read_result(place / name)["task"] == "sex"
    steps.run("report", "run", "--eval", "sex.json", "--eval", "finetune.json", "--data", "data", "--out", "page.html")
    page = Path("page.html").read_text(encoding="utf-8")
    assert "Adv Mask − untrained" in page and "fine-tuned" in page
    assert "georgia" in page
    assert "## Figures" in Path("run/model_card.md").read_text(encoding="utf-8")


def test_a_run_goes_on(place: Path) -> None:
    shutil.copytree("run", "longer")
    lines: list[str] = []
    pretrain(DataSet.open("data"), "longer", settings("epochs=3"), resume=True, log=lines.append)
    assert not any("warning: checkpoint" in line for line in lines)
    old, new = (Path(name, "history.csv").read_text(encoding="utf-8") for name in ("run", "longer"))
    assert new.startswith(old)
    assert_same_history(place / "longer" / "history.csv", FILES / "resumed.csv", 3, 3)


# ---- today's program writes the same


def test_the_same_data_set(place: Path) -> None:
    steps.run("prepare", "raw", "again", *steps.PREPARE[3:], *steps.FORM)
    assert_same(read("again/dataset.json"), read("data/dataset.json"), 0, free=("made_by", "listing_sha256"))
    assert {path.name for path in Path("again").iterdir()} == {path.name for path in Path("data").iterdir()}
    for path in set(Path("data").iterdir()) - {Path("data/dataset.json")}:
        assert (Path("again") / path.name).read_bytes() == path.read_bytes(), path.name
    assert DataSet.open(place / "again").sha256 == DATA_SHA256


def test_the_same_windows_after_resampling(place: Path) -> None:
    steps.run("prepare", "fast", "again-fast", *steps.PREPARE_FAST[3:], *steps.FORM)
    new, old = (DataSet.open(place / name) for name in ("again-fast", "data-fast"))
    differences = new.windows_uv(range(new.windows)).astype(int) - old.windows_uv(range(old.windows))
    assert np.abs(differences).max() <= 1  # rounded to whole microvolts
    exact = [column for column in old.records.columns if column != "signal_hash"]
    pd.testing.assert_frame_equal(new.records[exact], old.records[exact])


def test_the_same_history(place: Path) -> None:
    """Of a run that goes on from its first step, with the recordings that it lists: patients are divided otherwise
    since."""
    Path("once").mkdir()
    shutil.copy("run/seen.csv", "once/seen.csv")
    stored = read("run/config.json")
    stored["config"]["epochs"] = 1
    Path("once/config.json").write_text(json.dumps(stored), encoding="utf-8")
    run = pretrain(DataSet.open("data"), "once", settings("epochs=1"), resume=True, log=lambda _: None)
    assert_same_history(run.path / "history.csv", FILES / "resumed.csv", 1, 1)
    stored, frozen = read("once/config.json"), read("run/config.json")
    assert_same(stored, frozen, 0, free=("epochs", "path", "versions"))
    assert Path("once/seen.csv").read_bytes() == Path("run/seen.csv").read_bytes()
    names = [
        {path.relative_to(folder).as_posix() for path in folder.rglob("*")} for folder in (run.path, place / "run")
    ]
    both = ("config.json", "seen.csv", "history.csv", "seconds.csv", "encoder.keras", "adversary.keras")
    assert names[0].issuperset((*both, "checkpoints/epoch-00001.npz", "checkpoints/epoch-00001.npz.sha256"))
    assert names[1].issuperset((*both, "checkpoints/epoch-00002.npz", "checkpoints/epoch-00002.npz.sha256"))
    with (
        np.load("once/checkpoints/epoch-00001.npz") as new,
        np.load("run/checkpoints/epoch-00002.npz") as old,
    ):
        assert {name: new[name].shape for name in new} == {name: old[name].shape for name in old}


def test_the_same_linear_evaluation(place: Path) -> None:
    """On the embeddings that the frozen run keeps, with the frozen split: patients are divided otherwise since."""
    steps.run(*steps.LINEAR_EVAL[:-1], "again.json", "--split", "sex.split.csv")
    again, frozen = read("again.json"), read("sex.json")
    assert again["split"]["path"] == "sex.split.csv"
    assert_same(again, frozen, 1e-6, ("versions", "command", "split"))
    heads = [LinearHead.read(name) for name in (place / "again.head.npz", place / "sex.head.npz")]
    np.testing.assert_allclose(heads[0].weights, heads[1].weights, rtol=1e-4, atol=1e-4)
    assert heads[0].encoder_sha256 == heads[1].encoder_sha256


def test_the_same_encoder_file(place: Path) -> None:
    tf.config.run_functions_eagerly(False)  # the converter wants graphs
    try:
        steps.run(*steps.EXPORT_CLASSIFIER[:2], "again.onnx", *steps.EXPORT_CLASSIFIER[3:])
    finally:
        tf.config.run_functions_eagerly(True)
    new, old = (onnx.load(place / name) for name in ("again.onnx", "sex.onnx"))
    metadata = [{entry.key: entry.value for entry in model.metadata_props} for model in (new, old)]
    assert_same(metadata[0], metadata[1], 0, free=("ecg_advmask_version",))
    assert new.producer_name == old.producer_name == "ecg-advmask"
    assert [(one.domain, one.version) for one in new.opset_import] == [("", 18)]
    assert list(new.graph.input) == list(old.graph.input) and list(new.graph.output) == list(old.graph.output)
    nodes = [[(node.op_type, *node.input, *node.output) for node in model.graph.node] for model in (new, old)]
    assert nodes[0] == nodes[1]
    for ours, theirs in zip(*map(weights_in, (new, old)), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    signal_mv = signal_uv(12, 800) / 1000
    again, before = (OnnxEncoder(name).embed(signal_mv, 100) for name in ("again.onnx", "sex.onnx"))
    np.testing.assert_allclose(again.embeddings, before.embeddings, atol=1e-5)
    np.testing.assert_allclose(again.predictions, before.predictions, atol=1e-5)
    assert_keys(read("again.parity.json"), read("sex.parity.json"))
    plain = onnx.load(place / "encoder.onnx")
    head = Counter(node.op_type for node in old.graph.node) - Counter(node.op_type for node in plain.graph.node)
    assert 0 < head.total() <= 3 and set(head) <= {"MatMul", "Gemm", "Add", "Softmax"}


def assert_keys(found: Any, frozen: Any) -> None:
    if isinstance(frozen, dict):
        assert list(found) == list(frozen)
        for key, value in frozen.items():
            assert_keys(found[key], value)


def test_the_same_table_of_embeddings(place: Path) -> None:
    """A table of labels beside the recordings was refused as one, and is ignored and named since."""
    for name in ("embeddings.npz", "embeddings.csv", "predictions.npz"):
        command = steps.EMBED if name.startswith("embeddings") else steps.EMBED_CLASSIFIER
        steps.run(*command, f"again-{name}")
        if name.endswith(".csv"):
            tables = [pd.read_csv(place / path) for path in (f"again-{name}", name)]
            assert list(tables[0].columns)[:4] == ["id", "window", "start_s", "e0"]
            pd.testing.assert_frame_equal(tables[0], tables[1], rtol=1e-5, atol=1e-5)
            continue
        with np.load(f"again-{name}") as new, np.load(name) as old:
            assert new.files == old.files
            for key in old.files:
                assert new[key].dtype == old[key].dtype, key
                if np.issubdtype(old[key].dtype, np.floating):
                    np.testing.assert_allclose(new[key], old[key], rtol=1e-5, atol=1e-5)
                else:
                    np.testing.assert_array_equal(new[key], old[key])
    refused = [
        pd.read_csv(place / name)[["id", "file"]] for name in ("again-embeddings.refused.csv", "embeddings.refused.csv")
    ]
    assert refused[1]["id"][0] == "patients"
    pd.testing.assert_frame_equal(refused[0], refused[1][1:].reset_index(drop=True))


def test_the_same_study(place: Path) -> None:
    """The frozen evaluations are taken as they are, nothing is done again, and the results are the same, but for the
    intervals: these are over seeds as well since."""
    shutil.copytree("study", "study-again")
    for name in ("results.json", "results.csv"):
        Path("study-again", name).unlink()
    output = steps.run("study", "study.toml", "study-again")
    assert "missing" not in output
    files = [
        {path.relative_to(top).as_posix() for path in Path(top).rglob("*.npz")} for top in ("study", "study-again")
    ]
    assert files[0] == files[1]
    for name in files[0]:
        assert Path("study", name).read_bytes() == Path("study-again", name).read_bytes(), name
    StudyResult.read(place / "study" / "results.json")
    assert_same(read("study-again/results.json"), read("study/results.json"), 1e-6, free=("versions", "low", "high"))
    tables = [pd.read_csv(place / folder / "results.csv") for folder in ("study-again", "study")]
    pd.testing.assert_frame_equal(tables[0], tables[1], rtol=1e-6, atol=1e-6)
    page, text = (Path("study-again", name).read_text(encoding="utf-8") for name in ("report.html", "report.md"))
    assert "Frozen study" in page and "Is a pretrained encoder better than an untrained one?" in text
