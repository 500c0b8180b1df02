"""``ecg-advmask masks`` with untrained adversaries on generated recordings."""

import csv
import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from ecg_advmask import config
from ecg_advmask.cli import main
from ecg_advmask.data.dataset import DataSet
from ecg_advmask.models.unet import unet1d
from ecg_advmask.pretrain.run import Run

pytest.importorskip("neurokit2")


@pytest.fixture(autouse=True)
def _same_initial_weights():
    """Whatever ran before: of some adversaries, a mask among four does reach one half."""
    keras.utils.set_random_seed(0)


def write_run(folder, data, masks=1, **networks):
    overrides = ["window_seconds=2.5", f"masks={masks}", "adversary_width=8", "adversary_depth=0"]
    settings = config.load("demo", overrides=[*overrides, *([] if networks else ["method=simclr"])])
    run = Run.create(folder, settings, DataSet.open(data), np.arange(3))
    run.save(SimpleNamespace(**{"kept_encoder": None, **networks}))
    return run.path


def invoke(*arguments):
    return CliRunner().invoke(main, ["masks", *map(str, arguments)])


@pytest.mark.parametrize("masks", [1, *(pytest.param(count, marks=pytest.mark.slow) for count in (4, 12))])
def test_files_and_table_agree(generated_data, tmp_path, masks):
    run = write_run(tmp_path / "run", generated_data, masks, adversary=unet1d(8, 0, masks))
    out = tmp_path / "out"
    done = invoke(run, generated_data, "--out", out, "--recordings", 8, "--pictures", 2, "--seed", 3)
    assert done.exit_code == 0, done.output
    assert (
        done.output.strip().splitlines()[-1] == f"wrote {out} (masks.json, enrichment.csv, enrichment.png, 2 pictures)"
    )
    result = json.loads((out / "masks.json").read_text())
    assert result["protocol"]["waves"] == "delineate" and "NeuroKit2" in result["protocol"]["delineator"]
    assert result["counts"]["recordings_drawn"] == 8
    assert result["counts"]["recordings_measured"] + len(result["excluded"]) == 8
    assert {"neurokit2", "tensorflow"} <= set(result["versions"])
    assert result["dataset"]["sha256"] == DataSet.open(generated_data).sha256
    assert "--seed 3" in result["command"]
    with (out / "enrichment.csv").open() as stream:
        table = list(csv.DictReader(stream))
    assert len(table) == len(result["enrichment"])
    for row, stored in zip(table, result["enrichment"], strict=True):
        assert {name: "" if value is None else str(value) for name, value in stored.items()} == row
    names = {row["mask"] for row in table}
    assert len(names) == (5 if masks == 4 else 1)
    for kind in {row["kind"] for row in table}:
        (stored,) = [
            row
            for row in result["enrichment"]
            if (row["kind"], row["group"], row["lead"], row["part"]) == (kind, "all", "all", "QRS")
            and row["mask"] == ("mask 2" if masks == 4 else row["mask"])
        ]
        (line,) = [line for line in done.output.splitlines() if line.startswith(f"{kind}: {stored['mask']} ")]
        nothing = stored["enrichment"] is None  # four untrained masks share the time, and none reaches one half
        assert nothing == (masks == 4 and kind.startswith("random"))
        assert (" - " if nothing else f"{stored['enrichment']:.2f}") in line and f"{stored['area']:.2f}" in line
    pictures = sorted(path.name for path in out.glob("*.png"))
    assert len(pictures) == 3 and pictures[0] == "enrichment.png" and pictures[1].startswith("recording-01-")
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in out.glob("*.png"))
    assert sorted(path.name for path in out.iterdir()) == sorted([*pictures, "masks.json", "enrichment.csv"])


@pytest.mark.slow
def test_ids_cannot_lead_out_of_the_folder(write_data, generated_data, tmp_path):
    windows_uv = DataSet.open(generated_data).windows_uv(np.arange(5))
    ids = [f"../../{'x' * 200}/{number}" for number in range(5)]
    data = write_data(tmp_path / "data", windows_uv, [5], 100, id=ids)
    run = write_run(tmp_path / "run", data, adversary=unet1d(8, 0, 1))
    done = invoke(run, data, "--out", tmp_path / "deep" / "out", "--pictures", 3)
    assert done.exit_code == 0, done.output
    assert len(list((tmp_path / "deep" / "out").glob("recording-0?-*.png"))) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "deep", "run"]


def test_bad_input_is_one_line_and_exit_code_2_and_leaves_nothing(generated_data, tmp_path):
    run = write_run(tmp_path / "run", generated_data, adversary=unet1d(8, 0, 1))
    plain = write_run(tmp_path / "plain", generated_data)
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "note").write_text("mine")
    out = tmp_path / "out"
    for arguments, message in (
        ((plain, generated_data, "--out", out), "plain: has no adversary (method simclr)"),
        ((tmp_path, generated_data, "--out", out), "is not a run directory"),
        ((run, tmp_path, "--out", out), "is not a data set"),
        ((run, generated_data, "--out", taken), "taken: already exists"),
        ((run, generated_data, "--out", out, "--waves", "marks"), "needs the folder of the marks (--source"),
        ((run, generated_data, "--out", out, "--source", tmp_path / "no"), "is not a folder"),
    ):
        done = invoke(*arguments)
        assert done.exit_code == 2, done.output
        assert message in done.output and len(done.output.strip().splitlines()) == 1, done.output
        assert not out.exists() and [path.name for path in taken.iterdir()] == ["note"]
