"""``ecg-advmask linear-eval`` on a small data set in the real format, with an encoder that tells the class."""

import csv
import json
from collections import Counter
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import roc_auc_score

from ecg_advmask import config
from ecg_advmask.cli import main
from ecg_advmask.data import dataset
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.experiment import RunOnData
from ecg_advmask.evaluate.heads import LinearHead
from ecg_advmask.evaluate.protocol import Protocol
from ecg_advmask.evaluate.split import PARTS
from ecg_advmask.files import sha256_of, write_csv, write_json
from ecg_advmask.pretrain.run import Run

SAMPLES, RATE_HZ, RECORDINGS, SEEN = 1000, 100, 120, 20
SINUS_BRADYCARDIA, SINUS_RHYTHM, RIGHT_BLOCK, LEFT_BLOCK = "426177001", "426783006", "59118001", "164909002"
QUICK = ["--labels", "0.2,1", "--draws", "2"]


def write_data_set(write_data, folder, rate_hz=RATE_HZ):
    """Sinus rhythm and bradycardia, a recording a patient; females have a deeper lead V1, and most have a ward.

    Females have a right bundle branch block, are older and breathe more; one recording has a left one, too.
    """
    rng = np.random.default_rng(0)
    seconds = np.arange(SAMPLES) / rate_hz
    slow, female = rng.random(RECORDINGS) < 0.5, rng.random(RECORDINGS) < 0.5
    windows = []
    for i in range(RECORDINGS):
        beats = np.sin(2 * np.pi * (0.8 if slow[i] else 1.4) * seconds + rng.uniform(0, 6)) ** 20
        signals_uv = 1000 * beats[:, None] * np.linspace(0.5, 1, 12) + rng.normal(scale=20, size=(SAMPLES, 12))
        signals_uv[:, 6] *= -2 if female[i] else -1
        windows.append(signals_uv.astype(np.int16))
    years = np.round(30 + 25 * female + rng.normal(scale=2, size=RECORDINGS), 1)
    codes = [
        ";".join(
            [
                SINUS_BRADYCARDIA if slow[i] else SINUS_RHYTHM,
                *([RIGHT_BLOCK] if female[i] else []),
                *([LEFT_BLOCK] if i == SEEN else []),
            ]
        )
        for i in range(RECORDINGS)
    ]
    columns = {"source": ["chapman"] * RECORDINGS, "codes": codes, "age_years": years}
    write_data(folder, np.stack(windows), [RECORDINGS], rate_hz, sex=np.where(female, "female", "male"), **columns)
    wards = [["1 north/east", "2 south"][int(one)] if i % 10 else "" for i, one in enumerate(female)]
    rows = [{"id": f"R{i:03d}", "ward / side": ward, "litres": f"{years[i] / 7:.3f}"} for i, ward in enumerate(wards)]
    write_csv(folder / dataset.LABELS_FILE, list(rows[0]), rows)
    stated = json.loads((folder / dataset.DATASET_FILE).read_text())
    stated["tables"].append(dataset.stated_file(folder / dataset.LABELS_FILE))
    stated["sha256"] = dataset.dataset_sha256(file["sha256"] for file in [*stated["shards"], *stated["tables"]])
    counts = {"recordings_in": RECORDINGS, "recordings_kept": RECORDINGS, "recordings_refused": 0}
    sources = {"chapman": counts | {"windows_kept": RECORDINGS, "reasons": {}}}
    write_json(folder / dataset.DATASET_FILE, stated | {"layout": "chapman", "sources": sources})
    return folder


def write_run(folder, data, rows):
    """A run whose encoder gives deviation and mean of each lead and of its slope: it tells sex and rate."""
    settings = config.load("demo", overrides=["method=simclr", "encoder_width=8", "embedding_dim=16"])
    run = Run.create(folder, settings, dataset.DataSet.open(data), np.asarray(rows, np.int64))
    signals = keras.Input((None, 12))
    slope = keras.layers.Conv1D(12, 2, groups=12, use_bias=False, kernel_initializer="ones")(signals)
    squares = keras.layers.Multiply()([slope, slope])
    pooled = [keras.layers.GlobalAveragePooling1D()(x) for x in (signals, squares)]
    run.save(SimpleNamespace(kept_encoder=keras.Model(signals, keras.layers.Concatenate()(pooled))))
    return run.path


@pytest.fixture(scope="module")
def folders(tmp_path_factory, write_data):
    root = tmp_path_factory.mktemp("linear-eval")
    data = write_data_set(write_data, root / "data")
    return SimpleNamespace(root=root, data=data, run=write_run(root / "run", data, range(SEEN)))


def invoke(*arguments):
    return CliRunner().invoke(main, ["linear-eval", *map(str, arguments)])


@pytest.fixture(scope="module")
def sex(folders):
    """The result of one evaluation, and what the command printed."""
    done = invoke(folders.run, folders.data, "--task", "sex", *QUICK)
    assert done.exit_code == 0, done.output
    path = folders.run / "linear-eval-sex-data.json"
    return SimpleNamespace(path=path, result=json.loads(path.read_text()), output=done.output)


def test_result_figure_and_table_are_written(sex):
    assert sex.path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    figure, stored, head = (sex.path.with_suffix(suffix) for suffix in (".png", ".split.csv", ".head.npz"))
    assert sex.output.splitlines()[-1] == f"wrote {sex.path}, {figure}, {stored} and {head}"
    assert "macro AUROC" in sex.output and "Adv" not in sex.output and "SimCLR − untrained" in sex.output
    assert f"{RECORDINGS - SEEN} recordings used, {SEEN} left out" in sex.output


def test_seen_recordings_are_in_no_part(sex):
    counts = sex.result["counts"]
    assert counts["seen"] == counts["seen_by_id"] == counts["seen_by_signal"] == counts["seen_by_patient"] == SEEN
    assert counts["eligible"] == RECORDINGS - SEEN == sum(sum(part.values()) for part in counts["parts"].values())


def test_the_encoder_that_tells_sex_beats_the_untrained_one(sex):
    auroc = {(row["encoder"], row["fraction"]): row["metrics"]["macro_auroc"]["mean"] for row in sex.result["summary"]}
    assert auroc["trained", 1.0] > 0.95
    assert set(auroc) == {(name, fraction) for name in ("trained", "random") for fraction in (0.2, 1.0)}


def test_the_head_of_the_whole_training_part_is_kept(sex, folders):
    head = LinearHead.read(sex.path.with_suffix(".head.npz"))
    result = sex.result
    assert (head.task, head.kind, head.names) == ("sex", "classes", ("female", "male"))
    assert head.encoder_sha256 == result["encoders"]["trained"]["sha256"]
    (row,) = [row for row in result["results"] if row["encoder"] == "trained" and row["fraction"] == 1]
    stated = {name: row[name] for name in ("fraction", "labels", "seed", "strength", "validation", "iterations")}
    assert head.about == stated | {"head": "lbfgs", "converged": True}
    judged = RunOnData.open(str(folders.run), folders.data, "sex", Protocol(fractions=(1.0,)))
    test = judged.split.rows["test"]
    predicted = head.predict(judged.embeddings(judged.run.encoder())[test])
    sexes = judged.split.targets.values[test]
    assert row["metrics"]["macro_auroc"] == roc_auc_score(sexes, predicted[:, 1])
    assert row["metrics"]["accuracy"] == np.mean(predicted.argmax(axis=1) == sexes)


def test_result_states_what_it_takes_to_repeat_it(sex, folders):
    result = sex.result
    assert result["dataset"]["sha256"] == json.loads((folders.data / "dataset.json").read_text())["sha256"]
    assert result["protocol"]["resamples"] >= 1000 and result["protocol"]["shares"] == [0.5, 0.1, 0.4]
    assert result["command"].startswith(f"ecg-advmask linear-eval {folders.run} {folders.data} --task sex")
    assert {"tensorflow", "keras", "scikit-learn", "numpy"} <= set(result["versions"])
    assert (
        result["targets"] == {"kind": "classes", "names": ["female", "male"]}
        and result["dataset"]["generated"] is False
    )


def test_same_command_same_result_from_stored_embeddings(sex, folders):
    stored = {path: sha256_of(path) for path in (folders.run / "embeddings").iterdir()}
    assert len(stored) == 2
    out = folders.root / "again.json"
    assert invoke(folders.run, folders.data, "--task", "sex", *QUICK, "--out", out).exit_code == 0
    assert json.loads(out.read_text()) == sex.result
    assert {path: sha256_of(path) for path in (folders.run / "embeddings").iterdir()} == stored


def test_other_draws_and_fractions_keep_the_test_set_and_another_split_seed_does_not(sex, folders):
    def ids(*options):
        out = folders.root / "other.json"
        done = invoke(folders.run, folders.data, "--task", "sex", "--out", out, "--no-random", "--draws", 1, *options)
        assert done.exit_code == 0, done.output
        return json.loads(out.read_text())

    other = ids("--labels", "30", "--seed", 5)
    assert other["sha256_of_ids"] == sex.result["sha256_of_ids"]
    assert list(other["encoders"]) == ["trained"] and other["differences"] == []
    assert other["summary"][0]["labels"] == pytest.approx(30, abs=1)
    assert ids("--labels", "1", "--split-seed", 1)["sha256_of_ids"] != sex.result["sha256_of_ids"]


def test_the_stored_split_lists_every_recording_used(sex, folders):
    with sex.path.with_suffix(".split.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    records = dataset.DataSet.open(folders.data).records.set_index("id")
    assert [row["id"] for row in rows] == sorted(records.index[SEEN:])
    for row in rows:
        assert (row["patient"], row["label"]) == tuple(records.loc[row["id"], ["patient", "sex"]])
    sizes = Counter((row["part"], row["label"]) for row in rows)
    assert {part: {name: sizes[part, name] for name in ("female", "male")} for part in PARTS} == (
        sex.result["counts"]["parts"]
    )


@pytest.mark.slow
def test_a_stored_split_gives_the_same_result_and_serves_another_run(sex, folders):
    stored, out = sex.path.with_suffix(".split.csv"), folders.root / "stored.json"
    again = invoke(folders.run, folders.data, "--task", "sex", *QUICK, "--split", stored, "--out", out)
    assert again.exit_code == 0, again.output
    result = json.loads(out.read_text())
    assert result["results"] == sex.result["results"] and result["sha256_of_ids"] == sex.result["sha256_of_ids"]
    assert result["split"] == {"path": str(stored), "sha256": sha256_of(stored)}
    assert result["command"].endswith(f"--split {stored}")
    assert out.with_suffix(".split.csv").read_bytes() == stored.read_bytes()
    with stored.open() as stream:
        parts = {row["id"]: row["part"] for row in csv.DictReader(stream)}
    rows_of = {part: [int(name[1:]) for name, found in parts.items() if found == part] for part in PARTS}
    same_ids = sex.result["sha256_of_ids"]
    trained_on_train = write_run(folders.root / "on-train", folders.data, rows_of["train"][:5])
    done = invoke(trained_on_train, folders.data, "--task", "sex", *QUICK, "--split", stored, "--out", out)
    assert done.exit_code == 0, done.output
    result = json.loads(out.read_text())
    assert result["sha256_of_ids"] == same_ids
    assert (result["counts"]["seen"], result["counts"]["outside_split"]) == (0, SEEN)
    leaking = write_run(folders.root / "on-test", folders.data, rows_of["test"][:7])
    done = invoke(leaking, folders.data, "--task", "sex", *QUICK, "--split", stored)
    assert done.exit_code == 2 and len(done.output.strip().splitlines()) == 1
    assert "7 recordings of the test part were seen by the encoder" in done.output
    assert f"R{rows_of['test'][0]:03d}, " in done.output and f"R{rows_of['test'][6]:03d}" not in done.output


def test_a_column_of_the_label_table_is_a_task(folders):
    done = invoke(folders.run, folders.data, "--task", "ward / side", *QUICK, "--no-random")
    assert done.exit_code == 0, done.output
    result = json.loads((folders.run / "linear-eval-ward_side-data.json").read_text())
    assert result["task"] == "ward / side" and result["targets"]["names"] == ["1 north/east", "2 south"]
    assert result["counts"]["unlabelled_reasons"] == {"ward / side is empty": (RECORDINGS - SEEN) // 10}
    assert result["counts"]["eligible"] == (RECORDINGS - SEEN) * 9 // 10
    most = max(row["fraction"] for row in result["summary"])
    (row,) = [row for row in result["summary"] if row["fraction"] == most]
    assert row["metrics"]["macro_auroc"]["mean"] > 0.95


@pytest.mark.parametrize(("task", "unit", "head"), [("age", "years", "lbfgs"), ("litres", "", "adam")])
def test_a_number_is_estimated(folders, task, unit, head):
    done = invoke(folders.run, folders.data, "--task", task, *QUICK, "--no-random", "--head", head)
    assert done.exit_code == 0, done.output
    name = f"linear-eval-{task}-data.json" if head == "lbfgs" else f"linear-eval-adam-{task}-data.json"
    result = json.loads((folders.run / name).read_text())
    assert result["targets"] == {"kind": "number", "names": [unit]} and f"--head {head}" in result["command"]
    assert f"mean absolute error{' (years)' if unit else ''}" in done.output
    (row,) = [row for row in result["summary"] if row["fraction"] == 1]
    spread = np.std(dataset.DataSet.open(folders.data).records["age_years"].astype(float)[SEEN:])
    error = row["metrics"]["mae"]["mean"] * (1 if unit else 7)
    assert error < spread / 2 if head == "lbfgs" else error < spread
    assert result["counts"]["parts"].keys() == result["counts"]["recordings_of_parts"].keys()
    assert result["confusion"] == []


@pytest.mark.parametrize("task", ["diagnosis", "diagnosis-2020:conduction"])
def test_several_labels_are_reported_and_one_that_is_too_rare_is_left_out(folders, task):
    out = folders.root / "diagnosis.json"
    done = invoke(folders.run, folders.data, "--task", task, *QUICK, "--no-random", "--out", out)
    assert done.exit_code == 0, done.output
    result = json.loads(out.read_text())
    names, left_block = ["CRBBB|RBBB", "NSR", "SB"], "CLBBB|LBBB"
    if task == "diagnosis-2020:conduction":
        names, left_block = ["CRBBB|RBBB"], "LBBB"
    assert result["targets"] == {"kind": "labels", "names": names}
    assert result["counts"]["left_out_labels"][left_block]["recordings"] == 1
    (row,) = [row for row in result["summary"] if row["fraction"] == 1]
    assert row["metrics"]["auroc:CRBBB|RBBB"]["mean"] > 0.95
    with out.with_suffix(".split.csv").open() as stream:
        labels = {row["id"]: row["label"].split(";") for row in csv.DictReader(stream)}
    stored = sum("CRBBB|RBBB" in of_recording for of_recording in labels.values())
    assert stored == sum(part["CRBBB|RBBB"] for part in result["counts"]["parts"].values())


@pytest.mark.slow
def test_an_untrained_encoder_of_a_preset_can_be_judged_alone(folders):
    out = folders.root / "random.json"
    done = invoke("untrained:demo", folders.data, "--task", "rhythm", *QUICK, "--out", out)
    assert done.exit_code == 0, done.output
    result = json.loads(out.read_text())
    assert list(result["encoders"]) == ["random"] and result["counts"]["seen"] == 0
    assert result["targets"]["names"] == ["SB", "SR"]


def test_old_names_of_options_mean_the_new_ones_and_say_so_once(folders, monkeypatch):
    asked = []

    def evaluate_run(run, _data, _task, protocol, **_):
        asked.append((run, protocol.fractions, protocol.draws))
        raise InputError("enough")

    monkeypatch.setattr("ecg_advmask.evaluate.experiment.evaluate_run", evaluate_run)
    for arguments, names in (
        (("random", folders.data, "--preset", "demo", "--fractions", "0.5,7", "--seeds", "3"),
         ("untrained:demo", "--labels", "--draws")),
        (("untrained:demo", folders.data, "--labels", "0.5,7", "--draws", "3"), ()),
    ):  # fmt: skip
        *said, last = invoke(*arguments, "--task", "sex").output.splitlines()
        assert len(said) == len(names) and all(any(name in line for line in said) for name in names)
        assert "enough" in last
    assert asked == [("untrained:demo", (0.5, 7.0), 3)] * 2
    both = invoke(folders.run, folders.data, "--task", "sex", "--labels", "1", "--fractions", "1")
    assert both.exit_code == 2 and "--fractions" in both.output and "--labels" in both.output
    assert not {"--fractions", "--seeds ", "--preset"} & set(invoke("--help").output.split())


def test_bad_input_is_one_line_and_exit_code_2(folders, write_data):
    all_seen = write_run(folders.root / "all-seen", folders.data, range(RECORDINGS))
    slower = write_data_set(write_data, folders.root / "slower", rate_hz=50)
    for arguments, message in (
        ((folders.root, folders.data, "--task", "sex"), "is not a run directory"),
        ((folders.run, folders.root / "none", "--task", "sex"), "is not a data set"),
        ((folders.run, folders.data, "--task", "tea"), "(ward / side, litres)"),
        ((folders.run, folders.data, "--task", "diagnosis:spleen"), "no such group of diseases"),
        ((folders.run, folders.data, "--task", "sex", "--split", folders.root / "no.csv"), "no.csv: cannot be read"),
        ((folders.run, folders.data, "--task", "sex", "--labels", "a,b"), "expected numbers"),
        ((folders.run, folders.data, "--task", "sex", "--labels", "0"), "neither a share"),
        ((folders.run, folders.data, "--task", "sex", "--labels", "4000"), "4000 labels asked for"),
        ((folders.run, folders.data, "--task", "sex", "--preset", "demo"), "--preset goes with"),
        (("random", folders.data, "--task", "sex"), "--preset goes with"),
        (("untrained:no", folders.data, "--task", "sex"), "preset 'no' does not exist"),
        ((folders.run, slower, "--task", "sex"), "--sampling-rate 100"),
        ((all_seen, folders.data, "--task", "sex"), "pretraining_share=0.7"),
    ):
        out = folders.root / "refused.json"
        done = invoke(*arguments, "--out", out)
        assert done.exit_code == 2, done.output
        assert message in done.output and len(done.output.strip().splitlines()) == 1
        assert not out.exists() and not out.with_suffix(".png").exists() and not out.with_suffix(".split.csv").exists()
