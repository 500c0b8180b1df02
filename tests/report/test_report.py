"""The report as a browser and a reader meet it: well-formed, self-contained, escaped, with the results' figures."""

import base64
import itertools
import json
import re
import shlex

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from ecg_advmask import config
from ecg_advmask.cli import main
from ecg_advmask.data.targets import Targets
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.evaluation import evaluate_all
from ecg_advmask.evaluate.linear import linear_fit
from ecg_advmask.evaluate.protocol import Protocol
from ecg_advmask.evaluate.split import PARTS, split_recordings
from ecg_advmask.pretrain.run import Run
from ecg_advmask.report import run_report, study_report
from ecg_advmask.report.curves import curves_by_method
from ecg_advmask.report.document import Picture
from ecg_advmask.report.html import as_html
from ecg_advmask.report.model_card import write_model_card
from ecg_advmask.report.protocol import protocol_in_words
from ecg_advmask.report.results import GENERATED_NOTICE, as_studies, read_result
from ecg_advmask.report.run_report import pretrain_command, write_report
from ecg_advmask.report.tables import difference_table, other_metrics, summary_table, terminal_table
from ecg_advmask.report.text import headline
from report.reading import Page

HOSTILE = '<script>alert("x")</script>&amp;'


def evaluated(kind, **settings):
    """A result of the real protocol on embeddings of which the first encoder's tell the target."""
    rng = np.random.default_rng(0)
    patients = np.arange(300).astype(str).astype(object)
    names = {"classes": ("SB", "SR"), "labels": ("AF", "PVC", "a|b"), "number": ("years",)}[kind]
    values = {
        "classes": rng.integers(2, size=300),
        "labels": (rng.random((300, 3)) < 0.3).astype(np.int64),
        "number": rng.uniform(20, 90, 300),
    }[kind]
    task = {"classes": "rhythm", "labels": "diagnosis", "number": "age"}[kind]
    targets = Targets(task, kind, names, values, np.full(300, "", object))
    protocol = Protocol(fractions=(0.2, 1.0), draws=2, resamples=50, **settings)
    split = split_recordings(patients, targets, patients, protocol.shares, 0)
    hidden = values.reshape(300, -1) * (0.05 if kind == "number" else 2.0)
    good = rng.normal(size=(300, 4)) + np.pad(hidden, [(0, 0), (0, 4 - hidden.shape[1])])
    embeddings = {"trained": good, "random": rng.normal(size=(300, 4))}
    fits = {name: linear_fit(one, split, protocol) for name, one in embeddings.items()}
    return {
        "format_version": 2,
        "kind": "linear evaluation",
        "task": task,
        "targets": {"kind": kind, "names": list(names)},
        "dataset": {
            "path": "data/chapman", "name": "chapman", "sha256": "d" * 64, "sampling_rate_hz": 100, "generated": False,
            "window_samples": 1000, "layout": "chapman",
            "sources": {"chapman": {"recordings_in": 310, "recordings_kept": 300, "recordings_refused": 10,
                                    "windows_kept": 300, "reasons": {"flat": 7, "not finite": 3}}},
        },
        "run": {"path": "runs/a", "preset": "demo", "method": "advmask"},
        "encoders": {"trained": {"name": "Adv Mask", "sha256": "a"}, "random": {"name": "untrained", "sha256": "b"}},
        "counts": {"windows": 310, "recordings": 310, "seen": 10, "seen_by_id": 10, "seen_by_signal": 9,
                   "seen_by_patient": 8, "copies": 0, "unlabelled": 0, "unlabelled_reasons": {}, "eligible": 300,
                   "patients": 300, "parts": split.counts(), "recordings_of_parts": split.sizes(),
                   "left_out_labels": {}},
        "sha256_of_ids": {part: split.digest(part) for part in PARTS},
        "protocol": vars(protocol) | {"shares": list(protocol.shares)},
        **evaluate_all(fits, split, protocol, "heads"),
        "versions": {"scikit-learn": "1.0"},
        "command": "ecg-advmask linear-eval runs/a data/chapman --task rhythm",
    }  # fmt: skip


@pytest.fixture(scope="module")
def evaluation():
    return evaluated("classes")


@pytest.fixture(scope="module")
def diagnosis():
    return evaluated("labels")


@pytest.fixture(scope="module")
def age():
    return evaluated("number")


@pytest.fixture
def run(tmp_path):
    """A run directory as pretraining leaves it, without its networks."""
    folder = tmp_path / "run"
    (folder / "masks").mkdir(parents=True)
    settings = config.load("demo", overrides=["epochs=3", "jit_compile=true"]).as_dict()
    described = {"config": settings, "dataset": {"path": "data/pre", "sha256": "e" * 64}, "versions": {"keras": "3"}}
    (folder / "config.json").write_text(json.dumps(described))
    history = pd.DataFrame({"epoch": [1, 2, 3], "loss": [4.0, 3.0, 2.5], "contrastive_accuracy": [0.1, 0.2, 0.3]})
    history["embedding_std"], history["mask_area"] = 0.5, 0.4
    history.to_csv(folder / "history.csv", index=False)
    pd.DataFrame({"epoch": [1, 2, 3], "seconds": 60.0}).to_csv(folder / "seconds.csv", index=False)
    pd.DataFrame({"id": ["r1", "r2"], "patient": ["p1", "p2"], "signal_hash": ["1", "2"]}).to_csv(
        folder / "seen.csv", index=False
    )
    for epoch in (1, 3):
        Image.new("RGB", (30, 20)).save(folder / "masks" / f"epoch-{epoch:04d}-r1.png")
    return folder


@pytest.fixture
def plain_figures(monkeypatch):
    """Figures that are not drawn, which takes most of the time."""
    for module in (run_report, study_report):
        monkeypatch.setattr(module, "png", lambda *_: b"\x89PNG")


def of(result):
    """A result as a study, and its task."""
    (study,) = as_studies([result])
    return study, study.tasks[0]


def estimate(figures, decimals=3, sign=""):
    """Mean and interval, as reports write them."""
    mean, low, high = (f"{figures[key]:{sign}.{decimals}f}" for key in ("mean", "low", "high"))
    return f"{mean} ({low} to {high})".replace("-", "−")


def save(folder, result, name="result.json"):
    path = folder / name
    path.write_text(json.dumps(result))
    return path


def test_report_is_one_well_formed_file_that_loads_nothing(run, evaluation):
    out = write_report(run, [save(run, evaluation)], run / "report.html")
    text = out.read_text()
    page = Page(text)
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    references = [value for _, name, value in page.attributes if name in {"src", "href", "srcset", "data", "action"}]
    images = [value for value in references if not value.startswith("#")]  # the others are the list of sections
    assert len(images) == 2 + 1 + 2  # label efficiency, confusion, training curves, two pictures of masks
    for reference in images:
        kind, _, content = reference.partition("base64,")
        assert kind == "data:image/png;"
        assert base64.b64decode(content, validate=True).startswith(b"\x89PNG")
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1]
    assert "url(" not in style and "@import" not in style
    assert not re.search(r"https?:|//[a-z]", re.sub(r"base64,[^\"]+", "", text))
    assert sum(bool(value) for tag, name, value in page.attributes if (tag, name) == ("img", "alt")) == len(images)
    assert ("meta", "name", "viewport") in page.attributes and "@media print" in style


@pytest.mark.usefixtures("plain_figures")
def test_report_holds_figures_account_protocol_settings_and_commands(run, evaluation):
    text = Page(write_report(run, [save(run, evaluation)], run / "report.html").read_text()).text
    for row in evaluation["summary"]:
        assert estimate(row["metrics"]["macro_auroc"]) in text
    assert estimate(evaluation["differences"][-1]["metrics"]["macro_auroc"], sign="+") in text
    assert "flat: 7; not finite: 3" in text
    assert "by id 10, by signal 9, by patient 8" in text
    assert "contrastive loss 4.000 in the first epoch, 2.500 in the last" in text.lower()
    assert "3.0 minutes in all" in text
    assert "ecg-advmask pretrain data/pre" in text and evaluation["command"] in text
    assert "adversary_learning_rate" in text and "d" * 64 in text
    assert GENERATED_NOTICE not in text


@pytest.mark.usefixtures("plain_figures")
def test_report_of_an_age_is_in_years_and_less_is_better(run, age):
    text = Page(write_report(run, [save(run, age)], run / "report.html").read_text()).text
    table = summary_table(*of(age))
    assert table.columns == ["encoder", "labels", "share", "draws", "mean absolute error (years)", "R²",
                             "mean absolute error over draws (SD; range)"]  # fmt: skip
    errors = {(row["encoder"], row["fraction"]): row["metrics"]["mae"] for row in age["summary"]}
    best, worst = errors["trained", 1.0], errors["random", 1.0]
    assert 5 < best["mean"] < 20 and worst["mean"] > best["mean"]
    assert table.rows[2][4] == estimate(best, 2) and table.rows[2][4] in text
    line = headline(of(age)[0])
    assert "age on chapman" in line and "Better than untrained: Adv Mask (at every number of labels)" in line
    assert "ridge regression" in text and "stratified by fifths of the number" in text
    assert {name for one in other_metrics(*of(age), ("f1",)) for name in one.columns} == {"method", "R²"}
    reversed_ = json.loads(json.dumps(age))
    for row in reversed_["differences"]:
        row["metrics"]["mae"] |= {"low": 0.5, "high": 1.0}
    assert "Worse than untrained: Adv Mask (at every number of labels)" in headline(of(reversed_)[0])


@pytest.mark.usefixtures("plain_figures")
def test_report_of_labels_shows_each_of_them_and_what_was_left_out(run, diagnosis):
    changed = json.loads(json.dumps(diagnosis))
    changed["counts"]["left_out_labels"] = {
        "LBBB": {"recordings": 2, "reason": "no recording with it in the test part"}
    }
    page = Page(write_report(run, [save(run, changed)], run / "report.html").read_text())
    assert "LBBB: 2 (no recording with it in the test part)" in page.text
    assert "stratified by the rarest label of a recording" in page.text and "all with the same C" in page.text
    of_labels = [table for table in page.tables if table[0] == ["method", "AF", "PVC", "a|b"]]
    assert len(of_labels) == 3  # AUROC, average precision, F1
    for table, metric in zip(of_labels, ("auroc", "average_precision", "f1"), strict=True):
        figures = diagnosis["summary"][2]["metrics"][f"{metric}:PVC"]
        assert table[1][:3:2] == ["Adv Mask", f"{figures['mean']:.3f} {figures['low']:.3f} to {figures['high']:.3f}"]
    card = write_model_card(run, [save(run, diagnosis)]).read_text()
    assert "macro average precision" in card


@pytest.mark.usefixtures("plain_figures")
def test_report_of_classes_shows_their_confusion_and_further_metrics(run, evaluation):
    page = Page(write_report(run, [save(run, evaluation)], run / "report.html").read_text())
    assert "per cent of the recordings of each true class (row)" in page.text
    study, task = of(evaluation)
    for one, name in zip(study.content["confusion"], ("Adv Mask", "untrained"), strict=True):
        assert one["method"] == name
        assert [sum(row) for row in one["counts"]] == list(evaluation["counts"]["parts"]["test"].values())
    table = summary_table(study, task, further=True)
    assert table.columns[4:] == ["balanced accuracy", "macro average precision", "calibration error"]
    names = ("balanced_accuracy", "macro_average_precision", "calibration_error")
    for row, entry in zip(table.rows, evaluation["summary"], strict=True):
        assert list(row[4:]) == [estimate(entry["metrics"][name]) for name in names]
        assert all(cell in page.text for cell in row[4:])


def test_results_on_one_test_set_judged_alike_stand_side_by_side(evaluation):
    other = json.loads(json.dumps(evaluation)) | {"run": {"path": "runs/b/", "preset": "demo", "method": "advmask"}}
    other["encoders"]["trained"]["sha256"] = "c"
    (study,) = as_studies([evaluation, other])
    assert study.methods == ("Adv Mask (a)", "untrained", "Adv Mask (b)")  # both have the same untrained encoder
    assert study.baseline == "untrained" and len(study.content["summary"]) == 3 * 2
    assert {(row["first"], row["second"]) for row in study.content["differences"]} == {
        ("Adv Mask (a)", "untrained"), ("Adv Mask (b)", "untrained")
    }  # fmt: skip
    for change in ({"sha256_of_ids": {"test": "another"}}, {"kind": "fine-tuning"},
                   {"protocol": evaluation["protocol"] | {"head": "adam"}}):  # fmt: skip
        assert len(as_studies([evaluation, other | change])) == 2
    others = json.loads(json.dumps(other)) | {"protocol": evaluation["protocol"] | {"draws": 7, "fractions": [0.5]}}
    assert len(as_studies([evaluation, others])) == 1


def test_label_efficiency_has_a_panel_for_each_encoder(evaluation):
    study, task = of(evaluation)
    figure = curves_by_method(study, task)
    assert [axes.get_title() for axes in figure.axes] == ["untrained (baseline)", "Adv Mask"]
    means = [row["metrics"]["macro_auroc"]["mean"] for row in evaluation["summary"] if row["encoder"] == "trained"]
    assert figure.axes[1].get_lines()[1].get_ydata().tolist() == means


def test_adam_heads_are_reported_with_their_constants():
    words = " ".join(protocol_in_words(evaluated("classes", head="adam", adam_epochs=3)))
    assert "trained by Adam (rate 0.001, batches of 256, at most 3 epochs" in words and "L-BFGS" not in words


def test_a_figure_that_is_not_defined_is_a_dash(age):
    changed = json.loads(json.dumps(age))
    changed["summary"][0]["metrics"]["r2"] = dict.fromkeys(changed["summary"][0]["metrics"]["r2"])
    assert summary_table(*of(changed)).rows[0][5] == "–"


def test_a_number_without_a_unit_is_shown_in_four_digits(age):
    changed = json.loads(json.dumps(age))
    changed["targets"]["names"] = [""]
    for row in changed["summary"]:
        row["metrics"]["mae"] |= {"mean": 0.012345, "low": 0.01, "high": 0.1}
    table = summary_table(*of(changed))
    assert table.columns[4] == "mean absolute error" and table.rows[0][4] == "0.01235 (0.01000 to 0.10000)"


def test_a_stored_split_is_reported_with_what_it_leaves_out(evaluation):
    assert "split once by patient (seed 0), stratified" in " ".join(protocol_in_words(evaluation))
    stored = evaluation | {"split": {"path": "runs/a/first.split.csv", "sha256": "0" * 64}}
    stored["counts"] = evaluation["counts"] | {"outside_split": 1234}
    words = " ".join(protocol_in_words(stored))
    assert "split once by patient (as stored in first.split.csv), stratified" in words
    assert "and 1,234 are not in the split. The other" in words


@pytest.mark.usefixtures("plain_figures")
def test_banner_where_the_evaluation_or_the_pretraining_used_generated_recordings(run, evaluation):
    made = evaluation | {"dataset": evaluation["dataset"] | {"generated": True}}
    assert GENERATED_NOTICE in write_report(run, [save(run, made)], run / "a.html").read_text()
    assert GENERATED_NOTICE not in write_report(run, [], run / "b.html").read_text()
    (run / "seen.csv").write_text("id,patient,signal_hash\nGENERATED_00001,chapman/GENERATED_00001,1\n")
    assert GENERATED_NOTICE in write_report(run, [], run / "b.html").read_text()
    assert GENERATED_NOTICE in write_model_card(run).read_text()


@pytest.mark.usefixtures("plain_figures")
def test_text_from_files_is_escaped(run, evaluation):
    hostile = json.loads(json.dumps(evaluation))
    hostile["task"] = hostile["dataset"]["name"] = hostile["dataset"]["layout"] = hostile["command"] = HOSTILE
    hostile["encoders"]["trained"]["name"] = hostile["versions"]["keras"] = HOSTILE
    hostile["dataset"]["sources"] = {HOSTILE: {"reasons": {HOSTILE: 1}}}
    described = json.loads((run / "config.json").read_text())
    described["dataset"]["path"] = described["versions"]["keras"] = HOSTILE
    (run / "config.json").write_text(json.dumps(described))
    Image.new("RGB", (30, 20)).save(run / "masks" / f"epoch-0003-{HOSTILE.replace('/', '_')}.png")
    text = write_report(run, [save(run, hostile)], run / "report.html", extra={HOSTILE: HOSTILE}).read_text()
    page = Page(text)
    assert "script" not in page.tags and "<script" not in text
    assert page.text.count(HOSTILE) >= 10


def test_attributes_are_escaped_too():
    page = Page(as_html("title", [Picture("name", b"\x89PNG", "caption", 'a" onerror="x')]))
    assert ("img", "alt", 'a" onerror="x') in page.attributes
    assert not any(name == "onerror" for _, name, _ in page.attributes)


@pytest.mark.usefixtures("plain_figures")
def test_a_run_without_epochs_evaluations_or_pictures_is_reported(run):
    (run / "history.csv").unlink()
    text = Page(write_report(run, [], run / "report.html").read_text()).text
    assert "No epoch is finished." in text and "No evaluation was given" in text


def test_terminal_table_has_a_line_for_every_row(evaluation):
    study, task = of(evaluation)
    text = terminal_table(study)
    lines = text.splitlines()
    assert len(lines) == (2 + 4) + 1 + (2 + 2)
    assert lines[2].split()[:2] == ["Adv", "Mask"]
    for table in (summary_table(study, task), difference_table(study, task)):
        assert all(row[4] in text for row in table.rows)


def test_pretrain_command_gives_the_settings_back(run):
    words = pretrain_command(Run.open(run)).split()
    assert words[:6] == ["ecg-advmask", "pretrain", "data/pre", str(run), "--preset", "demo"]
    overrides = [word for before, word in itertools.pairwise(words) if before == "--set"]
    assert sorted(overrides) == ["epochs=3", "jit_compile=true"]
    assert config.load("demo", overrides=overrides) == Run.open(run).config


def test_pretrain_command_of_settings_from_a_file(run):
    settings = config.load("paper", overrides=["augmentations=gaussian", "masks=4", "alpha=0.25"]).as_dict()
    described = {"config": settings | {"preset": "custom"}, "dataset": {"path": "a b", "sha256": ""}, "versions": {}}
    (run / "config.json").write_text(json.dumps(described))
    words = shlex.split(pretrain_command(Run.open(run)))
    assert words[2] == "a b"
    overrides = [word for before, word in itertools.pairwise(words) if before == "--set"]
    assert config.load("paper", overrides=overrides).as_dict() | {"preset": ""} == settings | {"preset": ""}


def test_model_card_tells_preprocessing_figures_and_limits(run, evaluation):
    card = write_model_card(run, [save(run, evaluation)])
    assert card == run / "model_card.md"
    text = card.read_text()
    assert "I, II, III, aVR, aVL, aVF, V1, V2, V3, V4, V5, V6" in text
    assert "100 Hz, windows of 10 s (1,000 samples)" in text and "millivolts" in text
    alpha = config.load("demo").alpha
    assert f"| alpha | {alpha} |" in text and "no medical device" in text
    for row in summary_table(*of(evaluation)).rows:
        assert f"| {row[0]} | {row[1]} |" in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "is not a result of linear-eval"),
        ("[1]", "expected a JSON object"),
        ("{", "not a JSON file"),
        (None, "cannot be read"),
    ],
)
def test_files_that_are_no_results_are_refused(tmp_path, content, message):
    path = tmp_path / "result.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=message) as error:
        read_result(path)
    assert str(path) in str(error.value)


def test_results_of_another_format_version_are_refused(tmp_path, evaluation):
    with pytest.raises(InputError, match="format version 1, this program reads 2"):
        read_result(save(tmp_path, evaluation | {"format_version": 1}))


def test_a_result_that_lacks_a_part_is_refused(tmp_path, evaluation):
    with pytest.raises(InputError, match="is not a whole result, it lacks targets"):
        read_result(save(tmp_path, {key: value for key, value in evaluation.items() if key != "targets"}))


@pytest.mark.usefixtures("plain_figures")
def test_command_writes_page_and_card_or_one_clear_line(run, evaluation, tmp_path):
    result = save(tmp_path, evaluation)
    done = CliRunner().invoke(main, ["report", str(run), "--eval", str(result)])
    assert done.exit_code == 0, done.output
    assert (run / "report.html").is_file() and (run / "model_card.md").is_file()
    assert done.output.splitlines()[-1] == f"wrote {run / 'report.html'} and {run / 'model_card.md'}"

    for arguments, message in (
        (["report", str(tmp_path)], "is not a run directory"),
        (["report", str(run), "--eval", str(run / "config.json")], "is not a result of linear-eval"),
        (["report", str(run), "--data", str(tmp_path)], "is not a data set"),
    ):
        refused = CliRunner().invoke(main, [*arguments, "--out", str(tmp_path / "no.html")])
        assert refused.exit_code == 2 and message in refused.output
        assert len(refused.output.strip().splitlines()) == 1
    assert not (tmp_path / "no.html").exists()
