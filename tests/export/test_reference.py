"""Recordings compared with those of pretraining: the warnings of commands, and the way of the reference to a file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ecg_advmask.cli import main
from ecg_advmask.data.dataset import DataSet
from ecg_advmask.ecg.shift import FEWEST_WINDOWS, Reference
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.heads import LinearHead
from ecg_advmask.export.embed import embed_files
from ecg_advmask.export.encoder import REFERENCE, OnnxEncoder
from ecg_advmask.export.graphs import write_classifier
from ecg_advmask.pretrain.run import reference_of

Array = np.ndarray[Any, Any]
TOWARDS = np.array([0.9, 1.1, 0.3, -1.0, 0.3, 0.7, -0.7, -1.2, -0.3, 0.9, 1.2, 0.8])


def beats(number: int, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    phase = (np.arange(200) / 100 + rng.random((number, 1))) % rng.uniform(0.7, 1.1, (number, 1))
    heights = TOWARDS * rng.lognormal(0, 0.15, (number, 12))
    signals = np.exp(-(((phase - 0.3) / 0.03) ** 2))[..., None] * heights[:, None]
    return np.asarray(signals + 0.02 * rng.normal(size=signals.shape), np.float32)


def with_reference(encoder: Path, path: Path, text: str) -> Path:
    import onnx

    model = onnx.load(encoder)
    entries = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, entries | {REFERENCE: text})
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference.of(beats(80, 0), 100)


@pytest.fixture(scope="module")
def encoder(lead_means_onnx: Path, reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_reference(lead_means_onnx, tmp_path_factory.mktemp("encoder") / "knows.onnx", reference.text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings like those of pretraining, the first of which are too few to say anything."""
    place = tmp_path_factory.mktemp("recordings")
    for number, signals in enumerate(beats(FEWEST_WINDOWS + 4, 1)):
        part = place / ("few" if number < FEWEST_WINDOWS - 1 else "more")
        part.mkdir(exist_ok=True)
        np.save(part / f"r{number:02d}.npy", signals)
    return place


def embed(encoder: Path, source: Path, out: Path, *options: str) -> Result:
    arguments = ["embed", str(encoder), str(source), "--out", str(out), "--source-rate", "100", *options]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    return done


def test_embed_warns_of_recordings_that_differ_and_says_what_would_explain_it(
    encoder: Path, folder: Path, tmp_path: Path
) -> None:
    assert "warning" not in embed(encoder, folder, tmp_path / "same.csv").output
    wrong = embed(encoder, folder, tmp_path / "wrong.csv", "--source-unit", "0.2mV").stderr
    assert "warning" in wrong and "amplitudes times" in wrong
    slow = embed(encoder, folder, tmp_path / "slow.csv", "--source-rate", "50").stderr
    assert "warning" in slow and "a sampling rate times 2" in slow


def test_few_recordings_and_files_without_a_reference_give_no_warning(
    encoder: Path, lead_means_onnx: Path, folder: Path, tmp_path: Path
) -> None:
    assert embed_files(encoder, [folder / "few"], tmp_path / "a.npz", sampling_rate_hz=100, unit="0.2mV").shift is None
    assert embed_files(lead_means_onnx, [folder], tmp_path / "b.npz", sampling_rate_hz=100).shift is None
    assert OnnxEncoder(lead_means_onnx).reference is None


def test_a_classifier_keeps_the_reference(encoder: Path, reference: Reference, tmp_path: Path) -> None:
    head = LinearHead("sex", "classes", ("f", "m"), np.zeros((12, 2)), np.zeros(2), "0" * 64, {})
    write_classifier(encoder, head, tmp_path / "sex.onnx", {})
    classifier = OnnxEncoder(tmp_path / "sex.onnx")
    assert classifier.names is not None and REFERENCE not in classifier.metadata and classifier.reference is not None
    np.testing.assert_array_equal(classifier.reference.features, reference.features)


def test_judge_warns_on_its_page(encoder: Path, folder: Path, tmp_path: Path) -> None:
    ids = [f"{'few' if number < FEWEST_WINDOWS - 1 else 'more'}/r{number:02d}" for number in range(FEWEST_WINDOWS + 4)]
    lines = [f"{one},{'fm'[place % 2]}" for place, one in enumerate(ids)]
    (tmp_path / "labels.csv").write_text("\n".join(["id,sex", *lines]))
    options = ["--task", "sex", "--source-rate", "100", "--source-unit", "0.2mV", "--labels", "1"]
    arguments = [str(encoder), str(tmp_path / "labels.csv"), "--recordings", str(folder), *options]
    judged = CliRunner().invoke(main, ["judge", *arguments, "--out", str(tmp_path / "sex.json")])
    assert judged.exit_code == 0 and "warning: knows:" in judged.stderr, judged.output
    page = (tmp_path / "sex.html").read_text()
    assert "Warning, knows: these recordings differ" in page and "amplitudes times" in page


def test_a_damaged_reference_is_refused(lead_means_onnx: Path, tmp_path: Path) -> None:
    for text in ("{}", "x", '{"format": 1, "float16": "AAAA"}'):
        with pytest.raises(InputError, match=REFERENCE):
            OnnxEncoder(with_reference(lead_means_onnx, tmp_path / "damaged.onnx", text))


def test_the_reference_of_a_run_is_of_the_middle_of_whole_windows(write_data: Any, tmp_path: Path) -> None:
    windows = np.round(beats(30, 3) * 1000).astype(np.int16)
    data = DataSet.open(write_data(tmp_path / "data", windows, [30], 100, valid_samples=[200] * 25 + [150] * 5))
    found = reference_of(data, np.arange(30), 100)
    assert found is not None
    expected = Reference.of(np.concatenate([windows[:25, 50:150], windows[25:, 25:125]]) * np.float32(1e-3), 100)
    np.testing.assert_array_equal(found.features, expected.features)
    whole = reference_of(data, np.arange(30), 200)
    assert whole is not None and len(whole.features) == 25
    assert reference_of(data, np.arange(FEWEST_WINDOWS - 1), 200) is None
