"""``ecg-advmask judge``: the figures of ``linear-eval``, from tables of embeddings and label tables of any kind."""

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
from ecg_advmask.evaluate.embedding_table import EmbeddingTable
from ecg_advmask.evaluate.judge import Judged
from ecg_advmask.evaluate.protocol import Protocol

Array = np.ndarray[Any, Any]
RECORDINGS, RATE = 90, 100
QUICK = ["--labels", "12,0.5,1", "--draws", "2"]
PROTOCOL = Protocol((12.0, 0.5, 1.0), draws=2)
RNG = np.random.default_rng(0)
FEMALE = RNG.random(RECORDINGS) < 0.5
PATIENTS = [f"P{number // 2}" for number in range(RECORDINGS)]
FEMALE[1::2] = FEMALE[::2]
SIGNAL_OF = {f"R{number:03d}": row for number, row in enumerate(RNG.normal(size=(RECORDINGS, 5)) + FEMALE[:, None])}
CODES = ["426177001" if one else "426783006" for one in RNG.random(RECORDINGS) < 0.4]
YEARS = np.round(40 + 20 * RNG.random(RECORDINGS))


def judge(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["judge", *map(str, arguments), *QUICK])


@pytest.fixture(scope="module")
def data(write_data: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set; the last recording has the signal of the first."""
    windows = RNG.integers(-900, 900, (RECORDINGS, 1000, 12)).astype(np.int16)
    windows[-1] = windows[0]
    sex = np.where(FEMALE, "female", "male")
    folder = tmp_path_factory.mktemp("data") / "set"
    return write_data(folder, windows, [RECORDINGS], RATE, patient=PATIENTS, sex=sex, codes=CODES, age_years=YEARS)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rows of each recording, in another order."""
    path = tmp_path_factory.mktemp("tables") / "first.npz"
    ids = np.array([*reversed(SIGNAL_OF), *SIGNAL_OF])
    values = np.array([SIGNAL_OF[one] for one in ids], np.float32)
    values[: len(SIGNAL_OF)] += 0.5
    values[len(SIGNAL_OF) :] -= 0.5
    np.savez(path, ids=ids, embeddings=values)
    return path


@pytest.fixture(scope="module")
def second(table: Path) -> Path:
    """Less informative embeddings, as CSV, under the ids' paths."""
    path = table.with_name("second.csv")
    noise = np.random.default_rng(1).normal(scale=3, size=(RECORDINGS, 5))
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", *(f"f{place}" for place in range(5))])
        writer.writerows([f"in/{one}.hea", *(row + noise[place])] for place, (one, row) in enumerate(SIGNAL_OF.items()))
    return path


@pytest.fixture(scope="module")
def labels(table: Path) -> Path:
    path = table.with_name("labels.csv")
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "patient_id", "gender", "age", "dx"])
        writer.writerows(zip(SIGNAL_OF, PATIENTS, np.where(FEMALE, "F", "M"), YEARS, CODES, strict=True))
    return path


def figures(result: dict[str, Any], encoder: str) -> list[Any]:
    return [
        [
            {key: value for key, value in row.items() if key != "encoder"}
            for row in result[part]
            if row["encoder"] == encoder
        ]
        for part in ("results", "summary", "confusion")
    ]


@pytest.mark.parametrize("task", ["sex", "age"])
def test_figures_are_those_of_linear_eval(
    task: str, data: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Number for number: a data set with patients, copies and seen recordings, embedded by the same encoder."""
    from ecg_advmask.evaluate import experiment

    read = EmbeddingTable.read(table)
    of_id = dict(zip(read.ids, read.embeddings, strict=True))
    monkeypatch.setattr(
        experiment.RunOnData, "embeddings", lambda self, _: np.stack([of_id[one] for one in self.split.ids])
    )
    expected, split, _ = experiment.evaluate_run("untrained:demo", data, task, PROTOCOL)
    done = judge(table, data, "--task", task, "--out", tmp_path / "out.json")
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "out.json").read_text())
    assert json.loads(json.dumps(figures(expected, "random"))) == figures(found, "first")
    assert found["sha256_of_ids"]["test"] == split.digest("test")
    assert found["counts"] == expected["counts"] and found["counts"]["copies"] == 1


def test_a_label_table_gives_the_same_as_a_data_set(data: Path, table: Path, labels: Path, tmp_path: Path) -> None:
    """The copy apart, of which a table of embeddings knows nothing: it is left out by a list of seen recordings."""
    seen = tmp_path / "seen.csv"
    seen.write_text(f"id,patient,signal_hash\nR{RECORDINGS - 1:03d},,\n")
    results = []
    for place in (data, labels):
        out = tmp_path / f"{place.stem}.json"
        done = judge(table, place, "--task", "rhythm", "--seen", seen, "--out", out)
        assert done.exit_code == 0, done.output
        results.append(json.loads(out.read_text()))
    assert figures(results[0], "first") == figures(results[1], "first")
    assert [result["counts"]["seen"] for result in results] == [1, 1]


@pytest.mark.slow
def test_tables_are_compared_on_the_same_patients(table: Path, second: Path, labels: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    done = judge(table, f"weak={second}", f"again={table}", labels, "--task", "sex", "--out", out)
    assert done.exit_code == 0, done.output
    result = json.loads(out.read_text())
    pairs = {(row["first"], row["second"]) for row in result["differences"]}
    assert pairs == {("first", "weak"), ("first", "again"), ("weak", "again")}
    at_most = {(row["first"], row["second"]): row["metrics"]["macro_auroc"] for row in result["differences"]}
    assert at_most["first", "weak"]["low"] > 0 > at_most["weak", "again"]["high"]
    assert at_most["first", "again"]["mean"] == at_most["first", "again"]["high"] == 0
    page = out.with_suffix(".html").read_text()
    assert "weak" in page and "again" in page and str(result["command"]).split()[1] == "judge"
    split = tmp_path / "out.split.csv"
    again = judge(second, labels, "--task", "sex", "--split", split, "--out", tmp_path / "two.json")
    assert again.exit_code == 0, again.output
    assert json.loads((tmp_path / "two.json").read_text())["sha256_of_ids"] == result["sha256_of_ids"]


def test_what_is_in_one_place_only_is_counted(table: Path, labels: Path, tmp_path: Path) -> None:
    lines = labels.read_text().splitlines()
    short = tmp_path / "short.csv"
    short.write_text("\n".join(lines[:-10]) + "\n")
    fewer = tmp_path / "fewer.npz"
    with np.load(table) as whole:
        kept = whole["ids"] != "R000"
        np.savez(fewer, ids=whole["ids"][kept], embeddings=whole["embeddings"][kept])
    done = judge(table, fewer, short, "--task", "sex", "--out", tmp_path / "out.json")
    assert done.exit_code == 0, done.output
    assert f"{table}: 10 of {RECORDINGS} recordings are not in {short}" in done.output
    assert "first: 1 recordings are not in every other table" in done.output
    assert json.loads((tmp_path / "out.json").read_text())["counts"]["recordings"] == RECORDINGS - 11


def test_ids_that_lost_their_zeros_match_also_those_of_what_was_seen(tmp_path: Path) -> None:
    """Embeddings of 00001, labels of 1 as a spreadsheet saves them, and pretraining on c/00003 of which 3 is known."""
    table, labels, seen = (tmp_path / name for name in ("e.npz", "t.csv", "seen.csv"))
    values = np.array([*SIGNAL_OF.values()], np.float32)
    np.savez(table, ids=np.array([f"c/{number:05d}" for number in range(RECORDINGS)]), embeddings=values)
    rows = (f"{number},P{number // 2},{'F' if FEMALE[number] else 'M'}\n" for number in range(RECORDINGS))
    labels.write_text("id,patient,sex\n" + "".join(rows))
    seen.write_text("id,patient,signal_hash\nc/00003,,\n")
    opened = Judged.open([EmbeddingTable.read(table)], labels, "sex", PROTOCOL, seen_paths=[seen])
    assert any("leading zeros" in line and str(table) in line for line in opened.remarks)
    assert opened.recordings.set_index("id")["seen"].to_dict() == {str(n): n == 3 for n in range(RECORDINGS)}
    for key, embedding in zip(opened.split.ids, opened.embeddings("e"), strict=True):
        np.testing.assert_array_equal(embedding, values[int(key)])


def test_an_encoder_is_judged_on_recordings(lead_means_onnx: Path, labels: Path, tmp_path: Path) -> None:
    """The embedding of this encoder is the mean of each lead, which tells the sex here."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    for place, name in enumerate(SIGNAL_OF):
        signals = np.random.default_rng(place).normal(size=(250, 12))
        signals[:, 6] += 2 * FEMALE[place]
        header = ",".join(STANDARD_LEADS)
        np.savetxt(folder / f"{name}.csv", signals, "%.3f", delimiter=",", header=header, comments="")
    (folder / "R000.csv").write_text("I\n1\n")
    out = tmp_path / "out.json"
    options = ["--task", "sex", "--recordings", folder, "--source-rate", RATE, "--out", out]
    done = judge(f"means={lead_means_onnx}", labels, *options)
    assert done.exit_code == 0, done.output
    assert "refused: 1 recordings" in done.output and (tmp_path / "out.means.npz").is_file()
    result = json.loads(out.read_text())
    assert result["summary"][-1]["metrics"]["macro_auroc"]["mean"] > 0.99
    refused = judge(lead_means_onnx, labels, "--task", "sex", "--out", out)
    assert refused.exit_code == 2 and "--recordings" in refused.output


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["absent.npz", "{labels}", "--task", "sex"], "absent.npz"),
        (["{table}", "absent.csv", "--task", "sex"], "absent.csv"),
        (["{table}", "{labels}", "--task", "height"], "height"),
        (["{table}", "{table}", "{labels}", "--task", "sex"], "first"),
        (["{table}", "{labels}", "--task", "sex", "--out", "{folder}/x.html"], "x.html"),
        (["{table}", "{labels}", "--task", "sex", "--seen", "{labels}"], "labels.csv"),
        (["{table}", "{labels}", "--task", "sex", "--sex-codes", "0"], "--sex-codes"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], named: str, table: Path, labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = judge(*(one.format(table=table, labels=labels, folder=tmp_path) for one in arguments))
    assert done.exit_code == 2 and named in done.output and "Traceback" not in done.output
    assert list(tmp_path.iterdir()) == []


def test_maps_are_principal_components_of_what_is_judged(table: Path, labels: Path) -> None:
    from ecg_advmask.evaluate.embedding_table import EmbeddingTable
    from ecg_advmask.evaluate.judge import Judged
    from ecg_advmask.report.judge_report import embedding_maps

    judged = Judged.open([EmbeddingTable.read(table)], labels, "sex", PROTOCOL)
    maps, embeddings = judged.maps(), judged.embeddings("first").astype(np.float64)
    standard = (embeddings - embeddings.mean(axis=0)) / embeddings.std(axis=0)
    left, sizes, _ = np.linalg.svd(standard, full_matrices=False)
    found = np.array(maps["tables"]["first"]["points"])
    np.testing.assert_allclose(np.abs(found), np.abs(left[:, :2] * sizes[:2]), atol=1e-3)
    np.testing.assert_allclose(maps["tables"]["first"]["shares"], (sizes**2 / (sizes**2).sum())[:2], atol=1e-4)
    assert maps["values"] == judged.split.targets.texts().tolist()
    (axes,) = embedding_maps(maps, "sex").axes
    drawn = {one.get_label(): len(one.get_offsets()) for one in axes.collections}
    assert drawn == {"(others)": 0, "female": maps["values"].count("female"), "male": maps["values"].count("male")}
