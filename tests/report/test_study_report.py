"""The report of a study as its reader meets it: one page that loads nothing, and Markdown with the same content."""

import base64
import copy
import gzip
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from ecg_advmask.errors import InputError
from ecg_advmask.report import appendix
from ecg_advmask.report import study_report as one_task
from ecg_advmask.report.curves import forest
from ecg_advmask.report.figures import png
from ecg_advmask.report.results import StudyResult
from ecg_advmask.report.study_report import write_study_report
from ecg_advmask.report.text import against_baseline
from report.example import METHODS, study_result
from report.reading import Page

FEW = tuple(
    one for one in METHODS if one[0] in {"Block mask", "Untrained", "Adv Mask", "Adv Mask + 3KG", "From scratch"}
)
COMPARE = (("Adv Mask + 3KG", "Adv Mask"), ("From scratch", "Untrained"))
COUNTS = ((25.0, 25), (100.0, 100), (1.0, 584))
HOSTILE = '<script>alert("x")</script> | *a* $b$ `c` [d](http://e) & \\'


def save(folder: Path, result) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(result))
    return folder


def figures(text):
    """All numbers of a text, as they are written."""
    return re.findall(r"[+−]?\d+(?:[.,]\d+)*", text)


@pytest.fixture(scope="module")
def result():
    return study_result(("rhythm", "age"), FEW, counts=COUNTS, compare=COMPARE)


@pytest.fixture(scope="module")
def report(result, tmp_path_factory):
    """The folder of a study after its report is written, with pictures of one method's masks at two epochs."""
    folder = save(tmp_path_factory.mktemp("study"), result)
    masks = folder / "runs" / "Adv_Mask" / "seed-0" / "masks"
    masks.mkdir(parents=True)
    for epoch, shade in ((5, 10), (10, 200)):
        Image.new("RGB", (30, 20), (shade, shade, shade)).save(masks / f"epoch-{epoch:04d}-r1.png")
    (folder / "study.toml").write_text("name = 'as it was written'  # with its comments\n")
    assert write_study_report(folder) == (folder / "report.html", folder / "report.md")
    return folder


@pytest.fixture
def no_pictures(monkeypatch):
    """Figures are made, but not drawn, which takes most of the time."""
    monkeypatch.setattr(Figure, "savefig", lambda _, stream, **__: Image.new("RGB", (1, 1)).save(stream, "png"))


@pytest.fixture(scope="module")
def page(report):
    return Page((report / "report.html").read_text(encoding="utf-8"))


def test_page_loads_nothing_and_runs_nothing(page):
    assert not {"script", "link", "iframe", "object", "embed", "base", "form", "svg"} & set(page.tags)
    references = [value for _, name, value in page.attributes if name in {"src", "href", "srcset", "data", "action"}]
    anchors = {value for _, name, value in page.attributes if name == "id"}
    assert sum(value.startswith("data:image/png;base64,") for value in references) == 2 * 5 + 1 + 3 + 1 + 1
    assert all(value.startswith("data:image/png;base64,") or value[1:] in anchors for value in references)
    assert not [name for _, name, _ in page.attributes if name.startswith("on") or name == "style"]
    styles = "".join(re.findall(r"<style>(.*?)</style>", page.rawdata, re.DOTALL)) if page.rawdata else ""
    assert "url(" not in styles and "@import" not in styles


def test_page_is_small(report):
    assert (report / "report.html").stat().st_size < 0.8e6  # five methods, two tasks; twelve and four: 1.6 MB


def test_table_of_estimates_holds_the_means_and_intervals_of_the_result(page, result):
    for task, decimals in (("rhythm", 3), ("age", 2)):
        primary = next(one["primary"] for one in result["tasks"] if one["task"] == task)
        table = next(one for one in page.tables if one[0][-1] == "seeds × draws" and _unit_of(one) == decimals)
        assert table[0] == ["method", "25", "100", "584 (all)", "seeds × draws"]
        for row in table[1:]:
            method = row[0].removesuffix(" (baseline)")
            for (fraction, _), cell in zip(COUNTS, row[1:], strict=False):
                (entry,) = (one for one in result["summary"]
                            if (one["task"], one["method"], one["fraction"]) == (task, method, fraction))  # fmt: skip
                expected = entry["metrics"][primary]
                assert figures(cell) == [f"{expected[key]:.{decimals}f}" for key in ("mean", "low", "high")]
            assert row[-1] == ("1 × 3" if method == "From scratch" else "3 × 20")


def _unit_of(table):
    return len(figures(table[1][1])[0].partition(".")[2])


@pytest.mark.parametrize("counted", ["method", "pair"])
def test_table_of_differences_holds_those_of_the_result_and_marks_them_by_the_interval(page, result, counted):
    if counted == "method":
        pairs = {one[0]: (one[0], "Block mask") for one in FEW if one[0] != "Block mask"}
    else:
        pairs = {f"{first} against {second}": (first, second) for first, second in COMPARE}
    all_signs = set()
    for task, decimals, lower in (("rhythm", 3, False), ("age", 2, True)):
        tables = [one for one in page.tables if len(one[0]) == 4 and one[1][1].startswith(("+", "−"))]
        (table,) = (one for one in tables if _unit_of(one) == decimals and one[0][0] == counted)
        signs = set()
        assert [row[0] for row in table[1:]] == list(pairs)
        for row in table[1:]:
            for (fraction, _), cell in zip(COUNTS, row[1:], strict=True):
                wanted = (task, *pairs[row[0]], fraction)
                (entry,) = (one for one in result["differences"]
                            if (one["task"], one["first"], one["second"], one["fraction"]) == wanted)  # fmt: skip
                estimate = entry["metrics"]["mae" if lower else "macro_auroc"]
                texts = [f"{estimate[key]:+.{decimals}f}".replace("-", "−") for key in ("mean", "low", "high")]
                assert figures(cell) == texts
                above, below = estimate["low"] > 0, estimate["high"] < 0
                better, worse = (below, above) if lower else (above, below)
                assert ("▲" in cell, "▼" in cell) == (better, worse)
                signs |= {"▲"} if better else {"▼"} if worse else {""}
        all_signs |= signs
        assert counted == "pair" or {"▼", ""} <= signs
    assert {"▲", ""} <= all_signs


DECIDED = {
    "confirmed": [
        {"endpoint": place, "task": "rhythm", "fraction": labels, "labels": int(labels), "metric": "macro_auroc",
         "first": "Adv Mask + 3KG", "second": "Adv Mask", "p": p, "p_holm": corrected, "of": 2}
        for place, labels, p, corrected in (("primary", 25.0, 0.0004, 0.0008), ("secondary", 100.0, 0.03, 0.06))
    ],
    "recommendation": {
        "tasks": ["rhythm"], "labels": [25], "margin": 0.01, "best": "Adv Mask + 3KG", "recommended": "Adv Mask",
        "methods": [
            {"method": "Adv Mask", "seeds": [0, 1], "mean": 0.801, "behind": 0.007, "low": -0.002, "high": 0.016},
            {"method": "Adv Mask + 3KG", "seeds": [0], "mean": 0.808, "behind": 0.0, "low": 0.0, "high": 0.0},
        ],
    },
}  # fmt: skip


@pytest.mark.usefixtures("no_pictures")
def test_what_was_decided_beforehand_comes_first_with_corrected_p_values(result, tmp_path):
    folder = save(tmp_path, result | DECIDED)
    write_study_report(folder)
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    (table,) = (one for one in page.tables if one[0][0] == "endpoint")
    entry = StudyResult(result).difference("rhythm", "Adv Mask + 3KG", 25.0, "Adv Mask")
    assert f"{entry['metrics']['macro_auroc']['mean']:+.3f}".replace("-", "−") in table[1][2]
    assert [row[3:5] for row in table[1:]] == [["< 0.001", "< 0.001"], ["0.030", "0.060"]]
    assert table[2][5] == "○" and table[1][6] == "3 and 3"
    (table,) = (one for one in page.tables if "mean AUROC" in one[0])
    assert [row[0] for row in table[1:]] == ["Adv Mask", "Adv Mask + 3KG"]
    assert figures(table[1][2]) == ["0.007", "−0.002", "+0.016"] and table[2][2] == "best"
    assert "Recommended by the rule of the study file: Adv Mask." in page.text


@pytest.mark.usefixtures("no_pictures")
def test_results_of_earlier_versions_say_that_encoders_are_held_fixed(result, tmp_path):
    old = copy.deepcopy(result)
    del old["confirmed"], old["recommendation"], old["protocol"]["intervals_over"], old["protocol"]["stratify"]
    for one in old["training"]:
        del one["updates"]
    for one in old["differences"]:
        del one["seeds"]
    texts = []
    for content in (old, result):
        write_study_report(save(tmp_path, content))
        texts.append(Page((tmp_path / "report.html").read_text(encoding="utf-8")).text)
    assert ["encoders held fixed" in text for text in texts] == [True, False]
    assert ["Student" in text for text in texts] == [False, True]


def test_the_end_of_pretraining_is_in_a_table_and_a_figure(page, result):
    (table,) = (one for one in page.tables if "updates" in one[0])
    pretrained = [one[0] for one in FEW if one[1] == "pretrained"]
    assert [row[:3] for row in table[1:]] == [[name, "3", "220"] for name in pretrained]
    for row in table[1:]:
        ends = [one["history"]["contrastive_accuracy"][-1] for one in result["training"] if one["method"] == row[0]]
        losses = [one["history"]["loss"][-1] for one in result["training"] if one["method"] == row[0]]
        assert figures(row[3]) == [f"{np.mean(ends):.3f}", f"{np.std(ends, ddof=1):.3f}"]
        assert figures(row[4]) == [f"{np.mean(losses):.3f}", f"{np.std(losses, ddof=1):.3f}"]
        assert (row[6] == "–") == ("Adv" not in row[0])


def test_markdown_holds_the_same_numbers_and_headings_as_the_page(report, page):
    text = (report / "report.md").read_text(encoding="utf-8")
    body = re.sub(r"!\[.*?\]\(.*?\)", "", text).replace("\\", "").replace("&lt;", "<").replace("&amp;", "&")
    shown = page.text[page.text.index("Question and answer", page.text.index("Question and answer") + 5) :]
    start = body.index("## Question and answer")
    assert figures(body[start:]) == figures(shown)
    headings = [line.lstrip("# ") for line in body.splitlines() if line.startswith("#")]
    assert all(heading in page.text for heading in headings)
    assert len(headings) > 15


def test_figures_of_the_markdown_are_those_of_the_page(report, page):
    names = re.findall(r"\]\(figures/([^)]+)\)", (report / "report.md").read_text(encoding="utf-8"))
    embedded = [value.partition(",")[2] for tag, name, value in page.attributes if (tag, name) == ("img", "src")]
    assert [base64.b64decode(one) for one in embedded] == [(report / "figures" / name).read_bytes() for name in names]
    assert sorted(names) == sorted(path.name for path in (report / "figures").iterdir())
    for name in names:
        with Image.open(report / "figures" / name) as opened:
            assert name.startswith("masks") or (
                opened.width == 1050 and opened.info["dpi"] == pytest.approx((150, 150), abs=1)
            )


def test_masks_are_those_of_the_last_epoch(report):
    with Image.open(report / "figures" / "masks-3-Adv_Mask.png") as opened:
        assert np.asarray(opened.convert("RGB")).mean() == 200


def test_study_file_stands_in_the_report_word_by_word(page):
    assert "name = 'as it was written'  # with its comments" in page.text


@pytest.fixture
def plain_figures(monkeypatch):
    """Figures are made but not written as pictures, which takes most of the time."""
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1)).save(buffer, format="PNG")
    for module in (one_task, appendix):
        monkeypatch.setattr(module, "png", lambda figure: buffer.getvalue())  # noqa: ARG005


def test_same_figure_gives_the_same_bytes(result):
    study = StudyResult(result)
    first, second = (png(forest(study, study.tasks[0], against_baseline(study))) for _ in range(2))
    assert first == second


@pytest.mark.usefixtures("plain_figures")
def test_same_result_gives_the_same_bytes(tmp_path):
    small = study_result(("rhythm",), FEW[:1], counts=COUNTS[:2])
    first, second = (write_study_report(save(tmp_path / name, small)) for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


@pytest.mark.usefixtures("plain_figures")
def test_compressed_results_are_read_and_damaged_ones_refused(result, tmp_path):
    path = tmp_path / "results.json.gz"
    path.write_bytes(gzip.compress(json.dumps(result).encode()))
    assert StudyResult.read(path).content == result
    for damage in (path.read_bytes()[:-9], b"{}", path.read_bytes()[:40] + bytes(30) + path.read_bytes()[70:]):
        path.write_bytes(damage)
        with pytest.raises(InputError, match=r"results\.json\.gz"):
            write_study_report(tmp_path)


@pytest.mark.parametrize("name", ["study-ptbxl", "study-ptbxl-variants"])
def test_results_of_the_studies_in_the_documentation_can_be_read(name):
    study = StudyResult.read(Path(__file__).parents[2] / "docs" / name / "results.json.gz")
    assert study.baseline in study.methods and study.tasks


@pytest.mark.usefixtures("plain_figures")
def test_names_never_become_markup(tmp_path):
    result = study_result(("rhythm",), FEW[:2], counts=COUNTS[:2])
    text = json.dumps(result).replace(json.dumps("Untrained")[1:-1], json.dumps(HOSTILE)[1:-1])
    page_file, markdown_file = write_study_report(save(tmp_path, json.loads(text)))
    page, markdown = Page(page_file.read_text()), markdown_file.read_text()
    assert "script" not in page.tags
    assert all(HOSTILE in table for table in (_cells(page, 0), _cells(page, 1)))
    rows = [line for line in markdown.splitlines() if "alert" in line and line.startswith("|")]
    assert rows
    for row in rows:
        assert "<script" not in row and not re.search(r"(?<!\\)\]\(http", row)
        columns = len(re.findall(r"(?<!\\)(?:\\\\)*\|", row))
        heads = markdown.splitlines()[: markdown.splitlines().index(row)]
        head = next(line for line in reversed(heads) if line.startswith("| ---"))
        assert columns == head.count("|")


def _cells(page, number):
    return [cell for row in page.tables[number] for cell in row]


@pytest.mark.usefixtures("plain_figures")
def test_unfinished_study_says_so_and_lists_what_is_missing(tmp_path):
    result = study_result(("rhythm",), FEW[:3], counts=COUNTS[:2])
    gone = {"task": "rhythm", "method": "Adv Mask"}
    result["missing"] = [{"method": "Adv Mask", "seed": seed, "task": "rhythm"} for seed in (0, 2)]
    result["summary"] = [one for one in result["summary"] if one["method"] != gone["method"]]
    result["differences"] = [one for one in result["differences"] if one["first"] != gone["method"]]
    result["confusion"] = [one for one in result["confusion"] if one["method"] != gone["method"]]
    page = Page(write_study_report(save(tmp_path, result))[0].read_text())
    assert "This study is not finished: 2 evaluations are missing" in page.text
    assert "Adv Mask, rhythm: seeds 0, 2" in page.text
    estimates = next(one for one in page.tables if one[0][-1] == "seeds × draws")
    assert next(row for row in estimates if row[0] == "Adv Mask")[1:] == ["–"] * 3
    assert next(row for row in page.tables[0] if row[0] == "Adv Mask")[1] == "– –"


@pytest.mark.usefixtures("plain_figures")
def test_study_without_any_evaluation_still_has_a_report(tmp_path):
    result = study_result(("rhythm",), FEW[:2], counts=COUNTS[:2])
    result |= {"summary": [], "differences": [], "confusion": [], "training": []}
    page = Page(write_study_report(save(tmp_path, result))[0].read_text())
    assert "No evaluation of this task is finished." in page.text
    assert "there are no paired differences yet" in page.text


@pytest.mark.usefixtures("plain_figures")
def test_generated_recordings_are_named_as_such(tmp_path):
    result = study_result(("rhythm",), FEW[:1], counts=COUNTS[:2])
    result["data"]["evaluation"] = {**result["data"]["evaluation"], "generated": True}
    result["data"]["pretraining"] = None
    page = Page(write_study_report(save(tmp_path, result))[0].read_text())
    assert "they say nothing about patients" in page.text


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda one: one.update(kind="linear evaluation"), "is not the result of a study"),
        (lambda one: one.update(format_version=2), "format version 2"),
        (lambda one: one.pop("differences"), "no part 'differences'"),
        (lambda one: one["summary"][0].pop("metrics"), "an entry of 'summary' lacks metrics"),
        (lambda one: one["summary"][0].update(method="nobody"), "a method or task that the study does not have"),
        (lambda one: one.update(compare=[["Adv Mask", "nobody"]]), "no part 'compare' of its form"),
        (lambda one: one.update(compare=[["Adv Mask"]]), "no part 'compare' of its form"),
        (lambda one: one.update(compare="Adv Mask"), "no part 'compare' of its form"),
        (lambda one: one.update(protocol=[]), "no part 'protocol'"),
    ],
)
def test_damaged_results_are_refused_in_one_line(damage, words, tmp_path):
    result = copy.deepcopy(study_result(("rhythm",), FEW[:2], counts=COUNTS[:2]))
    damage(result)
    with pytest.raises(InputError, match=re.escape(words)) as refusal:
        write_study_report(save(tmp_path, result))
    assert str(refusal.value).startswith(str(tmp_path / "results.json")) and "\n" not in str(refusal.value)
    assert not (tmp_path / "report.html").exists() and not (tmp_path / "figures").exists()


@pytest.mark.usefixtures("plain_figures")
def test_picture_of_masks_that_is_none_is_refused(tmp_path):
    folder = save(tmp_path, study_result(("rhythm",), FEW[:1], counts=COUNTS[:2]))
    broken = folder / "runs" / "Block_mask" / "seed-0" / "masks" / "epoch-0001-r.png"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"epoch-0001-r\.png: cannot be read as a picture"):
        write_study_report(folder)
