"""``ecg-advmask linear-eval`` on a small data set in the real format, with an encoder that tells the class."""

import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from ecg_advmask import config
from ecg_advmask.cli import main
from ecg_advmask.files import sha256_of, write_csv, write_json
from ecg_advmask.pipeline import shards
from ecg_advmask.pretrain.run import Run

SAMPLES, RATE_HZ, RECORDINGS, SEEN = 1000, 100, 120, 20
QUICK = ["--fractions", "0.2,1", "--seeds", "2"]


def write_data_set(folder, rate_hz=RATE_HZ):
    """Sinus rhythm and bradycardia, a recording a patient; females have a deeper lead V1."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    seconds = np.arange(SAMPLES) / rate_hz
    windows, rows = [], []
    for i in range(RECORDINGS):
        slow, female = rng.random() < 0.5, rng.random() < 0.5
        beats = np.sin(2 * np.pi * (0.8 if slow else 1.4) * seconds + rng.uniform(0, 6)) ** 20
        signals_uv = 1000 * beats[:, None] * np.linspace(0.5, 1, 12) + rng.normal(scale=20, size=(SAMPLES, 12))
        signals_uv[:, 6] *= -2 if female else -1
        windows.append(signals_uv.astype(np.int16))
        known = {"id": f"r{i}", "patient": f"p{i}", "signal_hash": f"h{i}", "source": "chapman", "file": f"r{i}.csv"}
        known |= {"codes": "SB" if slow else "SR", "sex": "female" if female else "male", "age_years": "60"}
        rows.append(known | {"window": 0, "start_s": 0, "original_rate_hz": rate_hz, "valid_samples": SAMPLES})
    shards.write_shard(folder / "shard-00000.tfrecord", windows, 0)
    write_csv(folder / shards.RECORDS_FILE, shards.RECORD_COLUMNS, rows)
    entries = list(shards.shard_entries([folder / "shard-00000.tfrecord"], [RECORDINGS]))
    sha256 = shards.dataset_sha256([entry["sha256"] for entry in entries], folder / shards.RECORDS_FILE)
    counts = {"recordings_in": RECORDINGS, "recordings_kept": RECORDINGS, "recordings_refused": 0}
    write_json(
        folder / shards.DATASET_FILE,
        {
            "format_version": shards.FORMAT_VERSION,
            "layout": "chapman",
            "sources": {"chapman": counts | {"windows_kept": RECORDINGS, "reasons": {}}},
            "sampling_rate_hz": rate_hz,
            "window_samples": SAMPLES,
            "shards": entries,
            "sha256": sha256,
        },
    )
    return folder


def write_run(folder, data, rows):
    """A run whose encoder gives deviation and mean of each lead and of its slope: it tells sex and rate."""
    settings = config.load("demo", overrides=["method=simclr", "encoder_width=8", "embedding_dim=16"])
    run = Run.create(folder, settings, shards.DataSet.open(data), np.asarray(rows, np.int64))
    signals = keras.Input((None, 12))
    slope = keras.layers.Conv1D(12, 2, groups=12, use_bias=False, kernel_initializer="ones")(signals)
    squares = keras.layers.Multiply()([slope, slope])
    pooled = [keras.layers.GlobalAveragePooling1D()(x) for x in (signals, squares)]
    run.save(SimpleNamespace(encoder=keras.Model(signals, keras.layers.Concatenate()(pooled))))
    return run.path


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("linear-eval")
    data = write_data_set(root / "data")
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
    assert sex.output.splitlines()[-1] == f"wrote {sex.path} and {sex.path.with_suffix('.png')}"
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


def test_result_states_what_it_takes_to_repeat_it(sex, folders):
    result = sex.result
    assert result["dataset"]["sha256"] == json.loads((folders.data / "dataset.json").read_text())["sha256"]
    assert result["protocol"]["resamples"] >= 1000 and result["protocol"]["shares"] == [0.5, 0.1, 0.4]
    assert result["command"].startswith(f"ecg-advmask linear-eval {folders.run} {folders.data} --task sex")
    assert {"tensorflow", "keras", "scikit-learn", "numpy"} <= set(result["versions"])
    assert result["classes"] == ["female", "male"] and result["dataset"]["generated"] is False


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
        done = invoke(folders.run, folders.data, "--task", "sex", "--out", out, "--no-random", "--seeds", 1, *options)
        assert done.exit_code == 0, done.output
        return json.loads(out.read_text())

    other = ids("--fractions", "30", "--seed", 5)
    assert other["sha256_of_ids"] == sex.result["sha256_of_ids"]
    assert list(other["encoders"]) == ["trained"] and other["differences"] == []
    assert other["summary"][0]["labels"] == pytest.approx(30, abs=1)
    assert ids("--fractions", "1", "--split-seed", 1)["sha256_of_ids"] != sex.result["sha256_of_ids"]


@pytest.mark.slow
def test_an_untrained_encoder_of_a_preset_can_be_judged_alone(folders):
    out = folders.root / "random.json"
    done = invoke("random", folders.data, "--preset", "demo", "--task", "rhythm", *QUICK, "--out", out)
    assert done.exit_code == 0, done.output
    result = json.loads(out.read_text())
    assert list(result["encoders"]) == ["random"] and result["counts"]["seen"] == 0
    assert result["classes"] == ["SB", "SR"]


def test_bad_input_is_one_line_and_exit_code_2(folders):
    all_seen = write_run(folders.root / "all-seen", folders.data, range(RECORDINGS))
    slower = write_data_set(folders.root / "slower", rate_hz=50)
    for arguments, message in (
        ((folders.root, folders.data, "--task", "sex"), "is not a run directory"),
        ((folders.run, folders.root / "none", "--task", "sex"), "is not a data set"),
        ((folders.run, folders.data, "--task", "tea"), "there are: rhythm, sex"),
        ((folders.run, folders.data, "--task", "sex", "--fractions", "a,b"), "expected numbers"),
        ((folders.run, folders.data, "--task", "sex", "--fractions", "0"), "neither a share"),
        ((folders.run, folders.data, "--task", "sex", "--fractions", "4000"), "4000 labels asked for"),
        ((folders.run, folders.data, "--task", "sex", "--preset", "demo"), "--preset goes with"),
        (("random", folders.data, "--task", "sex"), "--preset goes with"),
        (("random", folders.data, "--task", "sex", "--preset", "no"), "preset 'no' does not exist"),
        ((folders.run, slower, "--task", "sex"), "--sampling-rate 100"),
        ((all_seen, folders.data, "--task", "sex"), "pretraining_share=0.7"),
    ):
        out = folders.root / "refused.json"
        done = invoke(*arguments, "--out", out)
        assert done.exit_code == 2, done.output
        assert message in done.output and len(done.output.strip().splitlines()) == 1
        assert not out.exists() and not out.with_suffix(".png").exists()
