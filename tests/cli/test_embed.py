"""The command ``embed``: its files, its refusals, and that it runs where TensorFlow is absent."""

import csv
import os
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wfdb
from click.testing import CliRunner, Result
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ecg_advmask.cli import main
from ecg_advmask.ecg.leads import STANDARD_LEADS, eight_from_twelve, twelve_from_eight

Array = np.ndarray[Any, Any]


def signals(samples: int, seed: int = 0) -> Array:
    """Noise of about a millivolt in whole microvolts, (samples, 12)."""
    return np.round(np.random.default_rng(seed).normal(size=(samples, 12)), 3)


def write_record(folder: Path, name: str, signals_mv: Array, rate: int = 100) -> Path:
    """A WFDB record with its leads in the given order, resolution one microvolt."""
    folder.mkdir(parents=True, exist_ok=True)
    wfdb.wrsamp(
        name,
        fs=rate,
        units=["mV"] * 12,
        sig_name=list(STANDARD_LEADS),
        p_signal=signals_mv,
        fmt=["16"] * 12,
        adc_gain=[1000.0] * 12,
        baseline=[0] * 12,
        write_dir=str(folder),
    )
    return folder / f"{name}.hea"


def lead_means(window_mv: Array) -> Array:
    return np.asarray(((window_mv - window_mv.min()) / (window_mv.max() - window_mv.min())).mean(axis=0))


def embed(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["embed", *map(str, arguments)])


def test_folder_to_npz(lead_means_onnx: Path, tmp_path: Path) -> None:
    long, short = signals(450, 1), signals(90, 2)
    write_record(tmp_path / "in", "b_long", long)
    write_record(tmp_path / "in", "c_short", short)
    write_record(tmp_path / "in" / "deep", "a", signals(200, 3))
    out = tmp_path / "out.npz"
    result = embed(lead_means_onnx, tmp_path / "in", "--out", out)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1].startswith(f"wrote {out}: 3 embeddings of length 12")
    table = np.load(out, allow_pickle=False)
    assert table["ids"].dtype.kind == "U"
    assert table["embeddings"].dtype == np.float32
    keys = zip(table["ids"].tolist(), table["windows"].tolist(), strict=True)
    rows = {key: row for row, key in enumerate(keys)}
    assert rows.keys() == {("b_long", 0), ("b_long", 1), ("a", 0)}
    for window in (0, 1):
        row = rows["b_long", window]
        assert table["start_s"][row] == 2.0 * window
        expected = lead_means(long[200 * window : 200 * window + 200])
        np.testing.assert_allclose(table["embeddings"][row], expected, atol=1e-5)
    with (tmp_path / "out.refused.csv").open() as stream:
        (refused,) = csv.DictReader(stream)
    assert refused["id"] == "c_short"
    assert refused["reason"].startswith("length: 0.90 s")
    assert "left over at the ends, shorter than a window: 0.5 s" in result.output


def test_csv_output_gives_the_same_numbers(lead_means_onnx: Path, tmp_path: Path) -> None:
    record = write_record(tmp_path, "r", signals(400))
    assert embed(lead_means_onnx, record, "--out", tmp_path / "o.npz").exit_code == 0
    assert embed(lead_means_onnx, record, "--out", tmp_path / "o.csv").exit_code == 0
    table = np.load(tmp_path / "o.npz", allow_pickle=False)
    with (tmp_path / "o.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["id", "window", "start_s", *(f"e{number}" for number in range(12))]
    assert [(row["id"], int(row["window"]), float(row["start_s"])) for row in rows] == [("r", 0, 0.0), ("r", 1, 2.0)]
    read = np.array([[row[f"e{number}"] for number in range(12)] for row in rows], np.float32)
    np.testing.assert_array_equal(read, table["embeddings"])


def test_mean_over_windows(lead_means_onnx: Path, tmp_path: Path) -> None:
    whole = signals(600)
    record = write_record(tmp_path, "r", whole)
    assert embed(lead_means_onnx, record, "--out", tmp_path / "o.npz", "--mean").exit_code == 0
    table = np.load(tmp_path / "o.npz", allow_pickle=False)
    expected = np.mean([lead_means(whole[start : start + 200]) for start in (0, 200, 400)], axis=0)
    np.testing.assert_allclose(table["embeddings"], [expected], atol=1e-5)
    assert table["ids"].tolist() == ["r"]
    assert table["windows"].tolist() == [3]
    assert "start_s" not in table


def test_csv_and_numpy_sources_in_microvolts_agree_with_wfdb(lead_means_onnx: Path, tmp_path: Path) -> None:
    whole = signals(200)
    write_record(tmp_path, "w", whole)
    np.savetxt(tmp_path / "c.csv", whole * 1000, delimiter=",")
    np.save(tmp_path / "n.npy", whole * 1000)
    stated = ("--sampling-rate", "100", "--unit", "uV")
    sources = [tmp_path / name for name in ("w.hea", "c.csv", "n.npy")]
    result = embed(lead_means_onnx, *sources, "--out", tmp_path / "o.npz", *stated)
    assert result.exit_code == 0, result.output
    table = np.load(tmp_path / "o.npz", allow_pickle=False)
    assert table["ids"].tolist() == ["w", "c", "n"]
    np.testing.assert_allclose(table["embeddings"], [lead_means(whole)] * 3, atol=1e-5)


def test_same_id_from_two_sources_stays_apart(lead_means_onnx: Path, tmp_path: Path) -> None:
    first, second = write_record(tmp_path / "a", "r", signals(200)), write_record(tmp_path / "b", "r", signals(200, 1))
    result = embed(lead_means_onnx, first, second, second, "--out", tmp_path / "o.npz")
    assert result.exit_code == 0, result.output
    table = np.load(tmp_path / "o.npz", allow_pickle=False)
    assert table["ids"].tolist() == ["r", f"{second.parent.as_posix()}/r"]
    assert "a recording with this id came before" in (tmp_path / "o.refused.csv").read_text()


def test_nothing_embedded_is_a_failure_that_says_why(lead_means_onnx: Path, tmp_path: Path) -> None:
    record = write_record(tmp_path, "r", signals(200))
    record.with_suffix(".dat").unlink()
    result = embed(lead_means_onnx, record, "--out", tmp_path / "o.npz")
    assert result.exit_code == 2
    assert "r.hea" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "o.npz").exists()
    assert "r.hea" in (tmp_path / "o.refused.csv").read_text()


def test_file_without_recordings(lead_means_onnx: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "none.npz", signals=np.zeros((0, 200, 12)), sampling_rate_hz=100)
    result = embed(lead_means_onnx, tmp_path / "none.npz", "--out", tmp_path / "o.csv")
    assert result.exit_code == 2
    assert "none.npz" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "o.csv").exists()


@pytest.mark.parametrize("ending", ["o.xlsx", "o", "o.npy"])
def test_unknown_ending_is_refused_before_any_work(tmp_path: Path, ending: str) -> None:
    result = embed(tmp_path / "none.onnx", tmp_path, "--out", tmp_path / ending)
    assert result.exit_code == 2
    assert "FILE.npz, FILE.csv or FILE.parquet" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_missing_source_and_encoder(lead_means_onnx: Path, tmp_path: Path) -> None:
    for encoder, source, message in (
        (lead_means_onnx, tmp_path / "nowhere", "nowhere"),
        (lead_means_onnx, tmp_path, "no recordings"),
        (tmp_path / "none.onnx", tmp_path, "none.onnx"),
    ):
        result = embed(encoder, source, "--out", tmp_path / "o.npz")
        assert result.exit_code == 2
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def base_modules() -> set[str]:
    """Modules that a base install brings: of the distributions that the package requires without extras, and so on."""
    waiting, found = ["ecg-advmask"], set[str]()
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name not in found:
            found.add(name)
            required = map(Requirement, metadata.requires(name) or [])
            waiting += [one.name for one in required if one.marker is None or one.marker.evaluate({"extra": ""})]
    return {
        module
        for module, distributions in metadata.packages_distributions().items()
        if found & {canonicalize_name(name) for name in distributions}
    }


GUARDED = """
import importlib.abc, sys
allowed = {*sys.argv[1].split(","), *sys.stdlib_module_names}
class Guard(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in allowed and not name.startswith("_sysconfigdata"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Guard())
"""


def test_runs_after_a_base_install(lead_means_onnx: Path, tmp_path: Path) -> None:
    """Of WFDB (also in a form that the wfdb package reads), CSV and NumPy files, where nothing else can be imported."""
    modules = base_modules()
    assert {"click", "numpy", "onnxruntime", "pandas", "scipy", "wfdb", "ecg_advmask"} <= modules
    assert not modules & {"tensorflow", "keras", "tf2onnx", "sklearn", "tqdm", "openpyxl", "tensorboard", "pyarrow"}
    whole = signals(1000)
    write_record(tmp_path / "in", "w", whole, rate=500)
    packed = write_record(tmp_path / "in", "p", whole, rate=500)
    packed.write_text(packed.read_text().replace("1000.0(0)/mV", "1e3(0)/mV"))
    np.savetxt(tmp_path / "in" / "c.csv", whole, delimiter=",")
    np.savez(tmp_path / "in" / "n.npz", signals=whole, sampling_rate_hz=500)
    script = f"{GUARDED}from ecg_advmask.cli import main\nmain(sys.argv[2:])"
    for out in (tmp_path / "o.npz", tmp_path / "o.csv"):
        arguments = ["embed", lead_means_onnx, tmp_path / "in", "--out", out, "--sampling-rate", "500"]
        command = [sys.executable, "-c", script, ",".join(modules), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert not (tmp_path / "o.refused.csv").exists()
    table = np.load(tmp_path / "o.npz", allow_pickle=False)
    assert table["ids"].tolist() == ["c", "n", "p", "w"]
    np.testing.assert_allclose(table["embeddings"], np.tile(table["embeddings"][0], (4, 1)), atol=1e-5)
    for module in ("keras", "sklearn"):  # the guard itself works
        command = [sys.executable, "-c", f"{GUARDED}import {module}", ",".join(modules)]
        assert subprocess.run(command, capture_output=True, check=False).returncode != 0


@pytest.mark.parametrize("form", ["o.npz", "o.csv"])
def test_a_classifier_and_rebuilt_leads_are_reported(classifier_onnx: Path, tmp_path: Path, form: str) -> None:
    whole = signals(400)
    eight = [lead for lead in STANDARD_LEADS if lead not in {"III", "aVR", "aVL", "aVF"}]
    columns = [STANDARD_LEADS.index(lead) for lead in eight]
    np.savez(tmp_path / "n.npz", signals=whole[:, columns], sampling_rate_hz=100, leads=eight)
    result = embed(classifier_onnx, tmp_path / "n.npz", "--out", tmp_path / form)
    assert result.exit_code == 0, result.output
    assert "limb leads rebuilt from others: 1 recordings" in result.output
    whole = twelve_from_eight(eight_from_twelve(whole))
    expected = np.stack([lead_means(whole[:200]), lead_means(whole[200:])])
    powers = np.exp(10 * expected[:, :3])
    predictions = powers / powers.sum(axis=1, keepdims=True)
    if form == "o.npz":
        table = np.load(tmp_path / form, allow_pickle=False)
        np.testing.assert_allclose(table["embeddings"], expected, atol=1e-5)
        np.testing.assert_allclose(table["predictions"], predictions, atol=1e-4)
        assert table["names"].tolist() == ["AFIB", "SB", "SR"]
    else:
        with (tmp_path / form).open() as stream:
            rows = list(csv.DictReader(stream))
        found = [[float(row[f"prediction:{name}"]) for name in ("AFIB", "SB", "SR")] for row in rows]
        np.testing.assert_allclose(found, predictions, atol=1e-4)


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    result = embed(tmp_path / "none.onnx", tmp_path, "--out", tmp_path / "o.parquet")
    assert result.exit_code == 2
    assert "needs the package pyarrow, pip install 'ecg-advmask[parquet]' brings it" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_job_that_is_stopped_says_how_to_go_on(
    lead_means_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setattr(
        "ecg_advmask.export.embed.embed_files", lambda *_, **__: os.kill(os.getpid(), number) or time.sleep(9)
    )
    result = embed(lead_means_onnx, tmp_path, "--out", tmp_path / "o.npz")
    assert result.exit_code == 128 + number
    assert result.stderr.strip().endswith("o.npz: stopped; the same command continues where it stopped")
    assert len(result.stderr.splitlines()) == 1
