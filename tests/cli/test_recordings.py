"""What ``prepare`` and ``embed`` have in common: recordings are found, read and padded alike, by the same options."""

import csv
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ecg_advmask.cli import main
from ecg_advmask.cli.environment import output_may_close
from ecg_advmask.data.dataset import RECORD_COLUMNS, DataSet
from ecg_advmask.ecg.leads import STANDARD_LEADS, eight_from_twelve, twelve_from_eight
from ecg_advmask.export import tables

Array = np.ndarray[Any, Any]
Write = Callable[..., Path]


def samples(length: int = 200, seed: int = 0) -> Array:
    """Whole microvolts, (length, 12) int16."""
    return np.random.default_rng(seed).integers(-900, 900, (length, 12)).astype(np.int16)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def prepare(source: Path, out: Path, layout: str, *options: object) -> DataSet:
    """The data set of windows of 2 s at 100 Hz."""
    form = ("--format", layout, "--sampling-rate", 100, "--seconds", 2, "--workers", 1)
    result = run("prepare", source, out, *form, *options)
    assert result.exit_code == 0, result.output
    return DataSet.open(out)


def embed(encoder: Path, source: Path, out: Path, *options: object) -> dict[str, Array]:
    """Embedding by id."""
    result = run("embed", encoder, source, "--out", out, *options)
    assert result.exit_code == 0, result.output
    table = np.load(out)
    return dict(zip(table["ids"].tolist(), table["embeddings"], strict=True))


def refused(path: Path) -> dict[str, str]:
    with path.open(newline="", encoding="utf-8") as stream:
        return {row["id"]: row["reason"] for row in csv.DictReader(stream)}


def lead_means(window: Array) -> Array:
    return np.asarray(((window - window.min()) / (window.max() - window.min())).mean(axis=0))


def test_short_recordings_are_padded_alike(lead_means_onnx: Path, tmp_path: Path, write_wfdb: Write) -> None:
    """From half a window on, each lead with its own mean; so the mean of a lead is that of its own samples."""
    source, whole = tmp_path / "in", samples()
    for length in (99, 100, 150):
        write_wfdb(source / f"r{length}.hea", whole[:length], 100)
    data = prepare(source, tmp_path / "d", "wfdb")
    found = embed(lead_means_onnx, source, tmp_path / "e.npz")
    assert sorted(found) == sorted(data.records["id"]) == ["r100", "r150"]
    for name, embedding in found.items():
        np.testing.assert_allclose(embedding, lead_means(whole[: int(name[1:])]), atol=1e-5)
    for path in (tmp_path / "d" / "refused.csv", tmp_path / "e.refused.csv"):
        assert refused(path)["r99"].startswith("length: 0.99 s")
    result = run("embed", lead_means_onnx, source, "--out", tmp_path / "e.npz", "--min-seconds", 1.5)
    assert "windows padded, of recordings shorter than a window: 1" in result.output
    assert np.load(tmp_path / "e.npz")["ids"].tolist() == ["r150"]
    for wrong in (0, 2.5):
        assert run("embed", lead_means_onnx, source, "--out", tmp_path / "f.npz", "--min-seconds", wrong).exit_code == 2
    assert not (tmp_path / "f.npz").exists()


@pytest.mark.parametrize("form", ["wfdb", "csv", "npz"])
def test_eight_leads_become_twelve_and_are_marked(
    form: str, lead_means_onnx: Path, tmp_path: Path, write_wfdb: Write
) -> None:
    source, names = tmp_path / "in", [lead for lead in STANDARD_LEADS if lead not in {"III", "aVR", "aVL", "aVF"}]
    source.mkdir()
    eight = eight_from_twelve(samples().astype(float))
    if form == "wfdb":
        write_wfdb(source / "r.hea", eight.astype(np.int16), 100, leads=names)
    elif form == "csv":
        np.savetxt(source / "r.csv", eight, delimiter=",", header=",".join(names), comments="")
    else:
        np.savez(source / "r.npz", signals=eight, leads=names)
    options = ("--source-rate", 100, "--source-unit", "uV")
    data = prepare(source, tmp_path / "d", form, *options)
    assert data.records["rebuilt"].tolist() == ["III;aVR;aVL;aVF"]
    np.testing.assert_allclose(data.windows_uv([0])[0], twelve_from_eight(eight), atol=0.51)
    (found,) = embed(lead_means_onnx, source, tmp_path / "e.npz", *options).values()
    np.testing.assert_allclose(found, lead_means(twelve_from_eight(eight)), atol=1e-5)


def test_without_rebuilt_leads_the_table_is_as_before(tmp_path: Path, write_wfdb: Write) -> None:
    write_wfdb(tmp_path / "in" / "r.hea", samples(), 100)
    data = prepare(tmp_path / "in", tmp_path / "d", "wfdb")
    assert (tmp_path / "d" / "records.csv").read_text().splitlines()[0].split(",") == list(RECORD_COLUMNS)
    assert data.records["rebuilt"].tolist() == [""]


@pytest.fixture
def linked(tmp_path: Path, write_wfdb: Write) -> Path:
    """A folder of links: to files in a store of version control, to a folder outside, and around."""
    source, store = tmp_path / "in", tmp_path / "in" / ".git" / "annex"
    write_wfdb(store / "a.hea", samples(), 100)
    (source / "rec").mkdir()
    for number, path in enumerate(sorted(store.iterdir())):
        (source / "rec" / path.name).symlink_to(path.rename(store / f"KEY{number}-{path.name}"))
    write_wfdb(tmp_path / "other" / "deep" / "b.hea", samples(seed=1), 100)
    (source / "part").symlink_to(tmp_path / "other")
    (tmp_path / "other" / "back").symlink_to(source)
    (source / "rec" / "here").symlink_to(".")
    return source


def test_links_are_followed_when_that_is_asked(linked: Path, lead_means_onnx: Path, tmp_path: Path) -> None:
    """Each folder once, whatever leads around."""
    data = prepare(linked, tmp_path / "d", "wfdb", "--follow-links")
    values = dict(zip(data.records["id"], data.windows_uv(range(data.windows)), strict=True))
    assert sorted(values) == ["part/deep/b", "rec/a"]
    np.testing.assert_array_equal(values["rec/a"], samples())
    np.testing.assert_array_equal(values["part/deep/b"], samples(seed=1))
    again = "is a link to a folder that is read under another name"
    assert refused(tmp_path / "d" / "refused.csv") == {"part/back": again, "rec/here": again}
    found = embed(lead_means_onnx, linked, tmp_path / "e.npz", "--follow-links")
    assert sorted(found) == ["a", "b"]
    np.testing.assert_allclose(found["a"], lead_means(samples()), atol=1e-5)


def test_links_are_not_followed_otherwise(linked: Path, lead_means_onnx: Path, tmp_path: Path) -> None:
    result = run("prepare", linked, tmp_path / "d", "--format", "wfdb", "--workers", 1)
    assert result.exit_code == 2 and "none of the 3 recordings" in result.stderr
    assert run("embed", lead_means_onnx, linked, "--out", tmp_path / "e.npz").exit_code == 2
    reasons = refused(tmp_path / "e.refused.csv")
    assert set(reasons) == {"a", "part", "here"}
    assert all("--follow-links" in reasons[name] for name in ("part", "here"))


def test_own_files_are_no_recordings(lead_means_onnx: Path, tmp_path: Path) -> None:
    """The table of labels, a data set, one in the making, and tables of embeddings, wherever they lie."""
    source = tmp_path / "in"
    source.mkdir()
    np.savetxt(source / "a.csv", samples(), delimiter=",")
    np.savetxt(source / "short.csv", samples(50), delimiter=",")
    (source / "labels.csv").write_text("id,age\na,50\n")
    rate = ("--source-rate", 100, "--source-unit", "uV")
    data = prepare(source, source / "out", "csv", *rate, "--labels", source / "labels.csv")
    assert data.records["id"].tolist() == ["a"]
    assert set(refused(source / "out" / "refused.csv")) == {"short"}
    (source / "labels.csv").unlink()
    for name in ("e1.csv", "e2.npz", "e3.csv", "e2.npz"):
        options = ("--mean",) if name == "e3.csv" else ()
        result = run("embed", lead_means_onnx, source, "--out", source / name, *rate, *options)
        assert result.exit_code == 0, result.output
        assert set(refused((source / name).with_suffix(".refused.csv"))) == {"short"}
        assert result.output.splitlines()[-1].endswith("recordings: 1")
        assert "ignored, since ecg-advmask wrote them" in result.output
    second = prepare(source, tmp_path / "d", "csv", *rate)
    assert (second.records["id"].tolist(), set(refused(tmp_path / "d" / "refused.csv"))) == (["a"], {"short"})


def test_how_own_tables_are_known_is_how_they_are_written() -> None:
    assert tables.COLUMNS[0] == "ids" and RECORD_COLUMNS[:3] == ("id", "window", "start_s")


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (("--source-unit", "bananas"), "bananas"),
        (("--source-rate", "-5"), "-5"),
        (("--source-rate", "nan"), "nan"),
        (("--source-rate", "1e9"), "1e+09"),
    ],
)
@pytest.mark.parametrize("command", ["prepare", "embed"])
def test_wrong_options_are_refused_before_any_work(
    command: str, options: tuple[str, str], name: str, tmp_path: Path
) -> None:
    """Although neither the encoder nor the source is there."""
    arguments = {
        "prepare": ("prepare", tmp_path / "absent", tmp_path / "d", "--format", "csv"),
        "embed": ("embed", tmp_path / "absent.onnx", tmp_path / "absent", "--out", tmp_path / "e.npz"),
    }[command]
    result = run(*arguments, *options)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert options[0] in line and name in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["prepare", "embed"])
def test_a_place_where_nothing_can_be_written_is_refused_before_any_work(command: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    arguments = {
        "prepare": ("prepare", tmp_path / "absent", tmp_path / "file" / "d", "--format", "wfdb"),
        "embed": ("embed", tmp_path / "absent.onnx", tmp_path / "absent", "--out", tmp_path / "file" / "e.npz"),
    }[command]
    result = run(*arguments)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert str(tmp_path / "file") in line and "absent" not in line


def test_old_spellings_still_work_and_say_so_once(lead_means_onnx: Path, tmp_path: Path) -> None:
    sources = [tmp_path / name for name in ("c.csv", "d.csv")]
    for path in sources:
        np.savetxt(path, samples(), delimiter=",")
    options = ("--sampling-rate", "100", "--unit", "uV")
    result = run("embed", lead_means_onnx, *sources, "--out", tmp_path / "e.npz", *options)
    assert result.exit_code == 0, result.output
    np.testing.assert_allclose(np.load(tmp_path / "e.npz")["embeddings"], [lead_means(samples())] * 2, atol=1e-5)
    for new in ("--source-rate", "--source-unit"):
        assert result.stderr.count(new) == 1
    assert "--sampling-rate" not in run("embed", "--help").output


def test_a_batch_takes_the_memory_of_its_windows(lead_means_onnx: Path, tmp_path: Path) -> None:
    """A thousand million windows of 9,600 bytes fit nowhere."""
    np.save(tmp_path / "r.npy", samples(400))
    options = ("--source-rate", "100", "--source-unit", "uV", "--batch-size", "1000000000")
    embed(lead_means_onnx, tmp_path / "r.npy", tmp_path / "e.npz", *options)
    assert len(np.load(tmp_path / "e.npz")["embeddings"]) == 2


WITHOUT = """
import importlib.abc, os, sys
class Guard(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in {"fcntl", "resource"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Guard())
for name in ("sched_getaffinity", "sched_setaffinity"):
    delattr(os, name)
from ecg_advmask.cli import main
if __name__ == "__main__":
    main(sys.argv[1:])
"""


def test_embed_does_without_what_windows_and_macos_lack(lead_means_onnx: Path, tmp_path: Path) -> None:
    """Also in its worker processes, and with parts on disk under a lock."""
    (tmp_path / "elsewhere.py").write_text(
        WITHOUT.replace("if __name__", "from ecg_advmask.export import embed\nembed.PART_WINDOWS = 2\nif __name__")
    )
    np.save(tmp_path / "r.npy", np.stack([samples(400, seed) for seed in range(5)]))
    options = ["--source-rate", "100", "--source-unit", "uV", "--workers", "1", "--out", str(tmp_path / "e.npz")]
    command = [sys.executable, str(tmp_path / "elsewhere.py"), "embed", str(lead_means_onnx), str(tmp_path / "r.npy")]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    expected = [lead_means(samples(400, seed)[start : start + 200]) for seed in range(5) for start in (0, 200)]
    np.testing.assert_allclose(np.load(tmp_path / "e.npz")["embeddings"], expected, atol=1e-5)


def test_a_reader_that_stops_reading_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written after that goes nowhere."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        os.close(reading)
        with output_may_close():
            for _ in range(3):
                print("x" * 100_000)
        assert sys.stdout is stream
