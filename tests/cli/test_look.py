"""``ecg-advmask plot`` and ``neighbours``: pictures of recordings, what drives a prediction, and nearest embeddings."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ecg_advmask.cli import main
from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.errors import InputError
from ecg_advmask.export.encoder import OnnxEncoder
from ecg_advmask.export.occlusion import Occlusion
from ecg_advmask.report.ecg_picture import ecg_picture

Array = np.ndarray[Any, Any]


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Four seconds at 100 Hz; lead I is 1 mV from 0.5 s to 1 s, and noise of 0.02 mV."""
    signals = 0.02 * np.random.default_rng(0).normal(size=(400, 12))
    signals[50:100, 0] += 1
    path = tmp_path / "a.csv"
    np.savetxt(path, signals, "%.5f", delimiter=",", header=",".join(STANDARD_LEADS), comments="")
    return path


def test_traces_stand_at_their_millivolts_and_seconds() -> None:
    signals = np.random.default_rng(0).normal(size=(200, 12))
    figure = ecg_picture(signals, 100.0, "R1")
    (axes,) = figure.axes
    for lead, name in enumerate(STANDARD_LEADS):
        (line,) = [one for one in axes.lines if one.get_gid() == f"trace {name}"]
        found = np.asarray(line.get_ydata())
        np.testing.assert_allclose(np.diff(found), np.diff(signals[:, lead]))
        np.testing.assert_allclose(np.asarray(line.get_xdata()), np.arange(200) / 100)
    width, height = figure.get_size_inches()
    assert width > 3 * 25 / 25.4 and height > 6 * 10 / 25.4 and "25 mm/s" in axes.get_title(loc="left")


def test_support_is_shaded_where_it_is() -> None:
    support = np.zeros(200)
    support[50:80], support[120:140] = 0.4, -0.2
    figure = ecg_picture(np.zeros((200, 12)), 100.0, "R1", support, "AFIB")
    shaded = [one for one in figure.axes[0].collections if one.get_gid() == "support"]
    spans = [one.get_paths()[0].get_extents() for one in shaded]
    assert [(round(box.x0, 3), round(box.x1, 3)) for box in spans] == [(0.495, 0.795), (1.195, 1.395)]
    assert [one.get_alpha() for one in shaded] == pytest.approx([0.5, 0.25])


def test_occlusion_finds_what_a_prediction_hangs_on(classifier_onnx: Path) -> None:
    """Class 0 has ten times the mean of lead I, scaled to [0, 1], as its logit: the pulse alone raises it."""
    window = np.zeros((200, 12), np.float32)
    window[64:76, 0] = 1
    window[0, 3] = -1  # keeps the scaling when the pulse is gone
    window[199, 4] = 2
    classifier = OnnxEncoder(classifier_onnx)
    assert classifier.names is not None
    found = Occlusion.of(classifier, window, classifier.names[0])
    assert found.prediction == pytest.approx(float(classifier.run(window[None])[1][0, 0]))  # type: ignore[index]
    assert (found.support[64:76] > 1e-4).all() and np.abs(found.support[110:180]).max() < 1e-6
    with pytest.raises(InputError, match="nobody"):
        Occlusion.of(classifier, window, "nobody")


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_plot_writes_the_picture_that_its_name_says(suffix: str, recording: Path) -> None:
    out = recording.with_suffix(suffix)
    done = invoke("plot", recording, "--source-rate", 100, "--out", out, "--start", 1, "--seconds", 1)
    assert done.exit_code == 0, done.output
    assert out.read_bytes()[:5] in (b"\x89PNG\r", b"<?xml", b"%PDF-")


def test_plot_of_a_classifier_says_what_it_predicts(recording: Path, classifier_onnx: Path) -> None:
    out = recording.with_suffix(".svg")
    names = OnnxEncoder(classifier_onnx).names
    assert names is not None
    options = ("--source-rate", 100, "--classifier", classifier_onnx, "--out", out, "--start", 2.5)
    done = invoke("plot", recording, *options, "--class", names[2])
    assert done.exit_code == 0 and done.output.startswith(f"{names[2]}: 0."), done.output
    assert "support" in out.read_text() and "from 2 s" in out.read_text().replace("\n", " ")


def test_what_cannot_be_plotted_is_refused(recording: Path, lead_means_onnx: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.png"
    for arguments, offender in (
        ((recording, "--out", tmp_path / "a.jpg"), "a.jpg"),
        ((recording, "--out", out), "sampling rate"),
        ((recording, "--out", out, "--source-rate", 100, "--start", 9), "--start 9"),
        ((recording, "--out", out, "--source-rate", 100, "--class", "SR"), "--class SR"),
        ((recording, "--out", out, "--source-rate", 100, "--classifier", lead_means_onnx), lead_means_onnx.name),
        ((tmp_path / "none.csv", "--out", out), "none.csv"),
    ):
        done = invoke("plot", *arguments)
        assert done.exit_code == 2 and offender in done.output and not out.exists(), done.output


def test_neighbours_are_nearest_by_the_cosine_of_what_is_not_common(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(20, 6)) + 100
    values[7] = values[3] + 0.01
    path = tmp_path / "e.npz"
    np.savez(path, ids=np.array([f"r{number:02d}" for number in range(20)]), embeddings=values.astype(np.float32))
    done = invoke("neighbours", path, "r03", "--most", 3)
    lines = [line.split() for line in done.output.splitlines()]
    assert len(lines) == 3 and lines[0] == ["+1.000", "r07"] and "r03" not in done.output
    centred = values - values.mean(axis=0)
    cosine = {
        f"r{one:02d}": centred[one] @ centred[3] / np.linalg.norm(centred[one]) / np.linalg.norm(centred[3])
        for one in range(20)
    }
    assert [name for _, name in lines] == sorted(cosine, key=cosine.__getitem__, reverse=True)[1:4]
    missing = invoke("neighbours", path, "r99")
    assert missing.exit_code == 2 and "r99" in missing.output
