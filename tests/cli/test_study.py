"""``ecg-advmask study`` on a small data set: done in parts, killed and resumed, changed, and what it refuses."""

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from click.testing import CliRunner, Result

from ecg_advmask.cli import main
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.evaluation import load_evaluation
from ecg_advmask.evaluate.metrics import bootstrap_interval
from ecg_advmask.files import locked
from ecg_advmask.pretrain.checkpoints import epoch_of
from ecg_advmask.pretrain.run import Run
from ecg_advmask.study.data import StudyData
from ecg_advmask.study.design import read_study
from ecg_advmask.study.intervals import Arm
from ecg_advmask.study.jobs import Folder
from ecg_advmask.study.work import State
from pretrain.small import eager, encoder
from report.example import study_result
from study.jobs import do_jobs_here

SAMPLES, RECORDINGS, EPOCHS = 250, 120, 3
TINY = "window_seconds = 2.5, encoder_width = 4, embedding_dim = 8, projection_hidden = 16, projection_dim = 8"
STUDY = f"""
name = "Tiny"
question = "Does it go on?"
baseline = "Untrained"
compare = [["Gaussian, a little", "Tuned"]]
[data]
pretraining = "data"
evaluation = "data"
[protocol]
pretraining_share = 0.4
seeds = [3]
tasks = ["sex", "age"]
labels = [12, 1.0]
draws = 2
shares = [0.5, 0.2, 0.3]
resamples = 100
settings = {{ {TINY}, batch_size = 24, epochs = {EPOCHS}, jit_compile = false }}
fine_tuning = {{ updates = 4, fewest_passes = 1, checks = 2 }}
[[methods]]
name = "Untrained"
kind = "random"
preset = "cpu-gaussian"
seeds = [3, 4]
[[methods]]
name = "Gaussian, a little"
preset = "cpu-gaussian"
[[methods]]
name = "Tuned"
kind = "finetune"
of = "Gaussian, a little"
draws = 1
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, write_data: Callable[..., Path]) -> Path:
    """The study file beside its data: beats whose height tells the sex, and whose rate the age."""
    folder = tmp_path_factory.mktemp("study")
    rng = np.random.default_rng(0)
    female, age = rng.random(RECORDINGS) < 0.5, rng.integers(20, 90, RECORDINGS)
    phase = rng.uniform(0, 6, (RECORDINGS, 1)) + (1 + age[:, None] / 50) * np.arange(SAMPLES) * np.pi / 100
    beats = (np.sin(phase) ** 8)[:, :, None] * np.linspace(0.4, 1, 12)
    windows_uv = (600 + 600 * female[:, None, None]) * beats + rng.normal(scale=40, size=beats.shape)
    sex = np.where(female, "female", "male")
    write_data(folder / "data", windows_uv.astype(np.int16), [RECORDINGS], sex=sex, age_years=age)
    path = folder / "study.toml"
    path.write_text(STUDY)
    return path


def study(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["study", *map(str, arguments)])


def at(folder: Path, method: str) -> list[dict[str, str]]:
    """Rows of ``results.csv``: the MAE of a method with 12 labels."""
    with (folder / "results.csv").open() as stream:
        wanted = {"task": "age", "method": method, "labels": "12", "metric": "mae"}
        return [row for row in csv.DictReader(stream) if wanted.items() <= row.items()]


def results(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text())


def files(folder: Path) -> dict[str, int]:
    """When each file of the work (not of its results) was written."""
    found = [path for part in ("splits", "runs", "evaluations", "embeddings") for path in folder.glob(f"{part}/**/*")]
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in found if path.is_file()}


@pytest.fixture(scope="module", autouse=True)
def in_this_process() -> Iterator[None]:
    """Small networks in this process, without compilation.

    Processes of their own are tested by `study.test_processes`, and those with the networks of the method by the test
    that kills them.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ecg_advmask.study.runner.do_jobs", do_jobs_here)
        patch.setattr("ecg_advmask.pretrain.trainer.build", eager)
        for module in ("evaluate.finetune", "models.resnet"):
            patch.setattr(f"ecg_advmask.{module}.resnet18_1d", lambda _, embedding_dim: encoder(embedding_dim))
        tf.config.run_functions_eagerly(True)
        yield
        tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def finished(file: Path, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The folder of the study, done in two parts, with the results and the last line of the first of them."""
    folder = tmp_path_factory.mktemp("alone") / "out"
    part = study(file, folder, "--only", "Untrained", "--seed", 4)
    assert part.exit_code == 0, part.output
    first = results(folder)
    whole = study(file, folder)
    assert whole.exit_code == 0, whole.output
    return SimpleNamespace(path=folder, first=first, part=part.output.splitlines(), whole=whole.output.splitlines())


@pytest.mark.slow
def test_a_part_tells_what_is_missing_and_the_whole_has_everything(finished: SimpleNamespace) -> None:
    missing = [(one["method"], one["seed"], one["task"]) for one in finished.first["missing"]]
    others = [("Untrained", 3), ("Gaussian, a little", 3), ("Tuned", 3)]
    assert missing == [(*one, task) for task in ("sex", "age") for one in others]
    assert finished.part[-1].endswith("; missing: evaluations of Untrained, Gaussian, a little, Tuned (6 in all)")
    assert {one["method"] for one in finished.first["summary"]} == {"Untrained"} and not finished.first["differences"]
    assert results(finished.path)["missing"] == [] and "missing" not in finished.whole[-1]
    lines = [line for line in finished.whole if line.endswith(" units")]
    assert [line.rpartition(", ")[2] for line in lines] == [f"{done}/9 units" for done in range(3, 10)]


@pytest.mark.slow
def test_summary_and_differences_are_those_of_the_table(finished: SimpleNamespace) -> None:
    """Means by plain loops over ``results.csv``; intervals of paired differences from the stored resamples."""
    found, values = results(finished.path), defaultdict(lambda: defaultdict(list))
    with (finished.path / "results.csv").open() as stream:
        for row in csv.DictReader(stream):
            values[row["task"], row["method"], float(row["fraction"]), row["metric"]][row["seed"]] += [row["value"]]
    assert len(found["summary"]) == 2 * 3 * 2
    for entry in found["summary"]:
        draws = 1 if entry["fraction"] == 1 or entry["method"] == "Tuned" else 2
        for name, metric in entry["metrics"].items():
            by_seed = values[entry["task"], entry["method"], entry["fraction"], name]
            means = {seed: np.mean([float(value) for value in of_seed]) for seed, of_seed in by_seed.items()}
            assert {len(of_seed) for of_seed in by_seed.values()} == {draws}
            assert metric["by_seed"] == pytest.approx(means) and metric["mean"] == pytest.approx(
                np.mean([*means.values()])
            )
            assert metric["low"] <= metric["high"]
    each = [(task, fraction) for task in ("sex", "age") for fraction in (12, 1)]
    against_baseline = [("Gaussian, a little", "Untrained"), ("Tuned", "Untrained")]
    places = [(one["task"], one["fraction"], one["first"], one["second"]) for one in found["differences"]]
    assert sorted(places[:8]) == sorted((*one, *pair) for one in each for pair in against_baseline)
    assert places[8:] == [(*one, "Gaussian, a little", "Tuned") for one in each]
    assert found["compare"] == [["Gaussian, a little", "Tuned"]] and found["format_version"] == 1
    means = {(one["task"], one["fraction"], one["method"]): one["metrics"] for one in found["summary"]}
    for entry in found["differences"]:
        ours, theirs = (means[entry["task"], entry["fraction"], entry[role]] for role in ("first", "second"))
        for name, metric in entry["metrics"].items():
            assert metric["mean"] == pytest.approx(ours[name]["mean"] - theirs[name]["mean"], abs=1e-12)
            common = ours[name]["by_seed"].keys() & theirs[name]["by_seed"].keys()
            assert metric["by_seed"] == pytest.approx(
                {seed: ours[name]["by_seed"][seed] - theirs[name]["by_seed"][seed] for seed in common}, abs=1e-12
            )
    (entry,) = [
        one for one in found["differences"] if (one["task"], one["first"], one["fraction"]) == ("age", "Tuned", 12)
    ]
    ours, *theirs = [
        load_evaluation(finished.path / "evaluations" / place / "age/12.npz")[0][0].resampled["mae"]
        for place in ("Tuned/seed-3", "Untrained/seed-3", "Untrained/seed-4")
    ]
    means = {(one["task"], one["fraction"], one["method"]): one["metrics"]["mae"]["by_seed"] for one in found["summary"]
             if one["task"] == "age"}  # fmt: skip
    one, two = (np.array([*means["age", 12, name].values()]) for name in ("Tuned", "Untrained"))
    draws = []
    for name, count in (("Tuned", 1), ("Untrained", 2)):
        rows = at(finished.path, name)
        of_draw = [[float(row["value"]) for row in rows if row["draw"] == str(draw)] for draw in range(count)]
        draws.append(np.mean(of_draw, axis=1))
    plausible = Arm(one, ours[None]).plausible(draws, minus=Arm(two, np.stack(theirs)))
    limits = bootstrap_interval(plausible)
    assert [entry["metrics"]["mae"][key] for key in ("low", "high")] == pytest.approx(limits)
    assert entry["seeds"] == [1, 2] and found["protocol"]["intervals_over"] == ["seeds", "draws", "patients"]
    assert (found["confirmed"], found["recommendation"]) == ([], None)
    assert list(entry["metrics"]["mae"]["by_seed"]) == ["3"]


@pytest.mark.slow
def test_the_example_of_the_tests_of_the_report_has_the_parts_of_a_real_result(finished: SimpleNamespace) -> None:
    real, made = results(finished.path), study_result()
    assert made.keys() == real.keys()
    for name in ("methods", "tasks", "summary", "differences", "training"):
        assert {frozenset(one) for one in made[name]} == {frozenset(one) for one in real[name]}, name
    for name in ("summary", "differences"):
        metrics = [
            {frozenset(each) for one in found[name] for each in one["metrics"].values()} for found in (made, real)
        ]
        assert metrics[0] == metrics[1]
    assert made["tasks"][0]["counts"].keys() == real["tasks"][0]["counts"].keys()
    assert made["protocol"].keys() <= real["protocol"].keys()


@pytest.mark.slow
def test_nobody_is_judged_on_what_a_pretraining_has_seen(finished: SimpleNamespace, file: Path) -> None:
    run = Run.open(finished.path / "runs/Gaussian_a_little/seed-3")
    seen = set(run.seen()["id"])
    split = pd.read_csv(finished.path / "splits/sex.csv")
    assert len(seen) == round(0.4 * RECORDINGS) and len(split) == RECORDINGS - len(seen)
    assert not seen & set(split["id"])
    (task, _) = results(finished.path)["tasks"]
    assert task["counts"]["seen"] == len(seen) and task["parts"]["test"] == {
        name: int(((split["part"] == "test") & (split["label"] == name)).sum()) for name in ("female", "male")
    }
    data = StudyData.open(read_study(file), Folder(finished.path))
    data.check_unseen(run, data.split("sex"))
    leaked = split["id"][split["part"] == "test"].iloc[0]
    path = run.path / "seen.csv"
    honest = path.read_text()
    try:
        path.write_text(f"{honest}made,{leaked},P,\n")
        with pytest.raises(InputError, match=rf"seen\.csv: the run has seen 1 recordings .* \({leaked}\)"):
            data.check_unseen(run, data.split("sex"))
    finally:
        path.write_text(honest)


@pytest.mark.slow
def test_nothing_is_done_twice(finished: SimpleNamespace, file: Path) -> None:
    assert len(list((finished.path / "embeddings").iterdir())) == 3, "one file for each encoder, for all tasks"
    before = files(finished.path)
    bytes_before = (finished.path / "results.json").read_bytes()
    again = study(file, finished.path)
    assert again.exit_code == 0 and len(again.output.splitlines()) == 1
    assert files(finished.path) == before
    assert (finished.path / "results.json").read_bytes() == bytes_before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "stale"),
    [
        ('question = "Does', 'question = "Would', set()),
        ("labels = [12, 1.0]", "labels = [12, 30, 1.0]", {(name, 30.0) for name in ("Untrained", "Gaussian", "Tuned")}),
        ("updates = 4", "updates = 5", {("Tuned", 12.0), ("Tuned", 1.0)}),
        ("draws = 1", "draws = 2", {("Tuned", 12.0), ("Tuned", 1.0)}),
        ("split_seed = 0", "split_seed = 1", {(n, c) for n in ("Untrained", "Gaussian", "Tuned") for c in (12.0, 1.0)}),
    ],
)
def test_a_change_makes_anew_what_it_concerns(
    finished: SimpleNamespace, file: Path, tmp_path: Path, old: str, new: str, stale: set[tuple[str, float]]
) -> None:
    shutil.copytree(finished.path, tmp_path / "out")
    text = file.read_text().replace("resamples = 100", "resamples = 100\nsplit_seed = 0").replace(old, new)
    text = text.replace('"data"', f'"{file.parent / "data"}"')
    (tmp_path / "study.toml").write_text(text)
    changed = read_study(tmp_path / "study.toml")
    state = State(StudyData.open(changed, Folder(tmp_path / "out")))
    for task in changed.tasks:
        state.data.split(task)
        found = {
            (method.name.partition(",")[0], labels)
            for method in changed.methods
            for labels in state.missing_labels(method, 3, task)
        }
        assert found == stale
    assert state.finished_run(changed.methods[1], 3) is not None


@pytest.mark.slow
def test_what_does_not_go_together_is_refused_in_one_line(
    finished: SimpleNamespace, file: Path, tmp_path: Path
) -> None:
    def refused(text: str, folder: Path, *options: object) -> str:
        path = tmp_path / "study.toml"
        path.write_text(text.replace('"data"', f'"{file.parent / "data"}"'))
        done = study(path, folder, *options)
        assert done.exit_code == 2 and len(done.output.splitlines()) == 1, done.output
        return done.output

    text = file.read_text()
    before = files(finished.path)
    for changed, message in (
        (text.replace("batch_size = 24", "batch_size = 8"), "with other settings (batch_size 24 -> 8)"),
        (text.replace(f"epochs = {EPOCHS}", "epochs = 2"), f"with other settings (epochs {EPOCHS} -> 2)"),
        (text.replace('name = "Tiny"', 'name = "Other"'), "holds the study 'Tiny', name another folder for 'Other'"),
    ):
        assert message in refused(changed, finished.path)
    assert files(finished.path) == before
    new = tmp_path / "new"
    assert "protocol.labels, task sex: 4000 labels asked for" in refused(text.replace("12, ", "4000, "), new)
    assert "protocol.tasks: coffee: no such task" in refused(text.replace('"sex"', '"coffee"'), new)
    assert "is not a data set" in refused(text, new, "--data", f"evaluation={tmp_path}")
    assert "--data test=x: expected KEY=PATH" in refused(text, new, "--data", "test=x")
    assert "there are: Untrained, Gaussian, a little, Tuned" in refused(text, new, "--only", "Gauss")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter").touch()
    assert "already exists and holds no study" in refused(text, tmp_path / "full")


@pytest.mark.slow
def test_a_run_that_another_study_works_on_is_left_to_it(file: Path, tmp_path: Path) -> None:
    with locked(tmp_path / "out/locks/Untrained/seed-3"), locked(tmp_path / "out/locks/Untrained/seed-4"):
        (tmp_path / "out" / "study.toml").write_bytes(file.read_bytes())
        done = study(file, tmp_path / "out", "--only", "Untrained")
    assert done.exit_code == 0 and not (tmp_path / "out" / "evaluations").exists()
    lines = done.output.splitlines()
    assert lines[0] == "Untrained, seed 3: left to another study, which works on it" and "(8 in all)" in lines[-1]


def command(file: Path, folder: Path) -> list[str]:
    return [sys.executable, "-m", "ecg_advmask", "study", str(file), str(folder)]


def killed(file: Path, folder: Path, when: Callable[[], bool]) -> None:
    """Begin the study in a process of its own, and kill that at some moment."""
    process = subprocess.Popen(command(file, folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 300
    while not when():
        assert process.poll() is None and time.monotonic() < end, "it was to be killed before"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.exhaustive
def test_killed_twice_and_resumed_it_gives_the_same_results(file: Path, tmp_path: Path) -> None:
    """At random moments: after some epoch of the pretraining, and after some evaluation of the encoder."""
    alone, folder, chance = tmp_path / "alone", tmp_path / "out", random.Random()
    subprocess.run(command(file, alone), check=True)
    epoch, evaluations = chance.randint(1, EPOCHS), chance.randint(1, 5)
    print(f"killed after epoch {epoch}, and after {evaluations} evaluations")  # shown if it fails
    killed(
        file, folder, lambda: any(epoch_of(path) >= epoch for path in folder.glob("runs/*/*/checkpoints/epoch-*.npz"))
    )
    killed(file, folder, lambda: len(list(folder.glob("evaluations/[GT]*/*/*/*.npz"))) >= evaluations)
    subprocess.run(command(file, folder), check=True)
    for name in ("results.json", "results.csv", "splits/sex.csv", "splits/age.csv"):
        assert (folder / name).read_bytes() == (alone / name).read_bytes(), name
