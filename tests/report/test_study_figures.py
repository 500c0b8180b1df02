"""Figures of a study: everybody can distinguish the methods, and the marks stand where the numbers are."""

import itertools

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from ecg_advmask.report.curves import apart, curves_by_method, curves_together, forest, spread_figure
from ecg_advmask.report.figures import (
    FONT_PT,
    confusion_matrices,
    label_counts_axis,
    method_styles,
    panels,
    png,
    shown,
    training_curves,
)
from ecg_advmask.report.results import StudyResult
from ecg_advmask.report.text import against_baseline, further, groups
from report.example import METHODS, study_result

COUNTS = ((25.0, 25), (100.0, 100), (1.0, 584))
FEW = tuple(one for one in METHODS if one[0] in {"Block mask", "Untrained", "Adv Mask", "From scratch"})
COMPARE = (("Adv Mask", "Untrained"), ("From scratch", "Adv Mask"))


@pytest.fixture(scope="module")
def study():
    return StudyResult(study_result(("rhythm", "age"), FEW, counts=COUNTS, compare=COMPARE))


def texts(figure):
    figure.draw_without_rendering()
    return [text for text in figure.findobj(lambda one: hasattr(one, "get_text")) if text.get_text()]


def words(figure):
    """Texts without those of ticks, which may lie outside the axes and are not drawn then."""
    return [text for text in texts(figure) if text.get_text().strip("0123456789.,−")]


def test_any_two_methods_differ_in_colour_or_in_dashes_and_marker():
    names = [f"method {index}" for index in range(40)]
    styles = list(method_styles(names, "method 3").values())
    assert len({(style.colour, str(style.dash), style.marker) for style in styles}) == 40
    for first in styles:
        for second in styles:
            assert first is second or first.colour != second.colour or first.marker != second.marker
    of_14 = list(method_styles(names[:14], names[0]).values())
    assert len({style.marker for style in of_14}) == 14  # also without colours
    assert len({style.colour for style in of_14[:8]}) == 8


def test_a_method_keeps_its_style_whatever_task_or_figure(study):
    styles = method_styles(study.methods, study.baseline)
    for task in study.tasks:
        for figure in (curves_by_method(study, task), curves_together(study, task)):
            drawn = {line.get_color() for axes in figure.axes for line in axes.get_lines()}
            assert {style.colour for style in styles.values()} <= drawn


def luminance(colour):
    """Relative luminance of WCAG 2."""
    channels = np.array(to_rgb(colour))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def seen_by(colour, deficiency):
    """A colour as seen with full protanopia, deuteranopia or tritanopia (Machado et al. 2009), linear RGB."""
    matrices = {
        "none": np.eye(3),
        "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    }
    channels = np.array(to_rgb(colour))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return np.clip(np.array(matrices[deficiency]) @ linear, 0, 1)


@pytest.mark.parametrize("deficiency", ["none", "protan", "deutan", "tritan"])
def test_colours_of_solid_lines_differ_for_the_colour_blind(deficiency):
    colours = [style.colour for style in method_styles([str(i) for i in range(8)], "0").values()]
    seen = np.array([seen_by(colour, deficiency) for colour in colours])
    distances = np.linalg.norm(np.cbrt(seen)[:, None] - np.cbrt(seen)[None], axis=2)
    assert distances[~np.eye(8, dtype=bool)].min() > 0.09  # markers differ besides
    assert max(luminance(colour) for colour in colours) < 0.46  # dark enough for a line on white


def test_curves_pass_through_the_means_and_are_filled_where_the_interval_leaves_out_0(study):
    for task in study.tasks:
        figure = curves_by_method(study, task)
        assert len(figure.axes) == len(study.methods)
        for axes, name in zip(figure.axes[1:], study.others, strict=True):
            assert axes.get_title() == name
            markers = [line for line in axes.get_lines() if line.get_marker() not in {"None", None, ""}]
            assert len(markers) == len(COUNTS)
            for line, (fraction, labels) in zip(markers, COUNTS, strict=True):
                estimate = study.summary(task["task"], name, fraction)["metrics"][task["primary"]]
                assert [line.get_xdata()[0], line.get_ydata()[0]] == [labels, estimate["mean"]]
                is_hollow = line.get_markerfacecolor() == "white"
                assert is_hollow == (study.verdict(task, name, fraction) == "open")
        assert axes.get_xscale() == "log"


def test_names_of_the_overview_stand_in_the_order_of_the_last_points(study):
    for task in study.tasks:
        figure = curves_together(study, task)
        names = [text for text in figure.axes[0].texts if text.get_text()]
        heights = {text.get_text().removesuffix(" (baseline)"): text.get_position()[1] for text in names}
        last = {name: study.summary(task["task"], name, 1.0)["metrics"][task["primary"]]["mean"] for name in heights}
        assert sorted(heights, key=heights.get) == sorted(last, key=last.get)
        assert set(heights) == set(study.methods)


@pytest.mark.parametrize("task", [0, 1])
def test_forest_holds_every_interval(study, task):
    task = study.tasks[task]
    figure = forest(study, task, against_baseline(study))
    measured = "macro AUROC" if task["kind"] == "classes" else "mean absolute error (years)"
    assert figure.get_supxlabel().startswith(measured)
    assert ("left of 0 the method is better" in figure.get_supxlabel()) == (task["primary"] == "mae")
    for axes, (fraction, _) in zip(figure.axes, COUNTS, strict=True):
        spans = {tuple(line.get_xdata()) for line in axes.get_lines() if len(line.get_xdata()) == 2}
        strokes = [sorted(line.get_xdata()) for line in axes.get_lines() if line.get_marker() == "|"]
        for name in study.others:
            estimate = study.difference(task["task"], name, fraction)["metrics"][task["primary"]]
            assert (estimate["low"], estimate["high"]) in spans
            assert sorted(estimate["by_seed"].values()) in strokes


@pytest.mark.parametrize("task", [0, 1])
def test_forest_of_further_pairs_holds_their_intervals_and_no_others(study, task):
    task = study.tasks[task]
    figure = forest(study, task, further(study))
    assert "first method minus the second; " in figure.get_supxlabel()
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert names == ["Adv Mask\nagainst Untrained", "From scratch\nagainst Adv Mask"]
    for axes, (fraction, _) in zip(figure.axes, COUNTS, strict=True):
        for row, (first, second) in enumerate(COMPARE):
            estimate = study.difference(task["task"], first, fraction, second)["metrics"][task["primary"]]
            own = [line for line in axes.get_lines() if set(line.get_ydata()) == {row}]
            bar, marker = sorted(own, key=lambda line: len(line.get_xdata()), reverse=True)
            assert list(bar.get_xdata()) == [estimate["low"], estimate["high"]]
            assert list(marker.get_xdata()) == [estimate["mean"]]
            is_hollow = marker.get_markerfacecolor() == "white"
            assert is_hollow == (estimate["low"] <= 0 <= estimate["high"])
        strokes = [line for line in axes.get_lines() if line.get_marker() == "|"]
        assert len(strokes) == len(COMPARE)


def test_spread_draws_a_marker_for_each_seed_and_a_bar_of_the_draws(study):
    task = study.tasks[0]
    axes = spread_figure(study, task).axes[0]
    lines = axes.get_lines()
    for row, name in enumerate(study.methods):
        estimate = study.summary("rhythm", name, 25.0)["metrics"]["macro_auroc"]
        own = [line for line in lines if set(line.get_ydata()) == {row}]
        bar, seeds = sorted(own, key=lambda line: line.get_linewidth() < 5)
        assert np.diff(bar.get_xdata()) == pytest.approx(2 * estimate["sd_over_draws"])
        assert sorted(seeds.get_xdata()) == sorted(estimate["by_seed"].values())


def test_confusion_shows_shares_of_the_true_class_and_empty_classes_as_none(study):
    counts = np.array([[6, 2, 0, 0], [0, 0, 0, 0], [1, 0, 3, 0], [0, 0, 0, 5]])
    figure = confusion_matrices(study, study.tasks[0], {"Adv Mask": {"counts": counts.tolist(), "labels": 584}})
    numbers = [text.get_text() for text in figure.axes[0].texts]
    assert numbers == ["75", "25", "0", "0", "–", "–", "–", "–", "25", "0", "75", "0", "0", "0", "0", "100"]


def test_training_curves_leave_out_epochs_without_a_probe_and_methods_without_masks(study):
    probe = training_curves(study, "probe")
    assert [axes.get_title() for axes in probe.axes] == ["Block mask", "Adv Mask"]
    for line in probe.axes[0].get_lines():
        assert list(line.get_xdata()) == list(range(2, 21, 2))
    masks = training_curves(study, "masks")
    assert [axes.get_title() for axes in masks.axes] == ["Adv Mask"]
    assert len(masks.axes[0].get_lines()) == 2 * 3  # area and cover of three seeds
    assert training_curves(StudyResult(dict(study.content) | {"training": []}), "loss") is None


def test_print_is_at_least_8_points_at_the_width_of_a_text_column(study):
    task = study.tasks[0]
    for figure in (
        curves_by_method(study, task),
        curves_together(study, task),
        forest(study, task, against_baseline(study)),
        forest(study, task, further(study)),
        spread_figure(study, task),
    ):
        assert figure.get_figwidth() == 7.0
        assert min(text.get_fontsize() for text in texts(figure)) >= FONT_PT == 8


@pytest.mark.parametrize(
    ("heights", "gap", "expected"),
    [
        ([0.2, 0.5, 0.8], 0.1, [0.2, 0.5, 0.8]),
        ([0.5, 0.5], 0.1, [0.45, 0.55]),
        ([0.5, 0.5, 0.5, 0.9], 0.1, [0.4, 0.5, 0.6, 0.9]),
        ([0.99, 1.0], 0.1, [0.9, 1.0]),
        ([0.0, 0.0], 0.1, [0.0, 0.1]),
        ([], 0.1, []),
    ],
)
def test_names_are_moved_apart_as_little_as_possible(heights, gap, expected):
    assert apart(np.array(heights), gap) == pytest.approx(expected)


def test_ticks_that_would_touch_keep_no_print_but_the_largest_does():
    axes = Figure(figsize=(2, 2)).add_subplot()
    label_counts_axis(axes, [10, 20, 30, 40, 5000, 5100], 1.5)
    printed = [label.get_text() for label in axes.get_xticklabels()]
    assert len(printed) == 6 and printed[-1] == "5,100" and printed[-2] == "" and printed.count("") >= 2


def test_names_begin_no_formula_and_stay_short():
    figure, (axes,) = panels(1, 1, 1.0)
    axes.set_title(shown("$x^2$ " + "long " * 40))
    png(figure)
    assert axes.get_title().count("\n") == 1 and len(axes.get_title()) < 70 and r"\$x^2\$" in axes.get_title()


def test_long_names_stay_within_the_figure():
    names = [(f"{name}, with what a careful author adds to a name ({kind})", *rest) for name, kind, *rest in METHODS]
    names = [(name, "pretrained", *rest) for name, *rest in names]
    pairs = [(first[0], second[0]) for first, second in itertools.pairwise(names)]
    study = StudyResult(study_result(("rhythm",), names, names[0][0], COUNTS[:2], compare=pairs))
    task = study.tasks[0]
    forests = [forest(study, task, group) for group in groups(study)]
    for figure in (curves_by_method(study, task), curves_together(study, task), *forests):
        width = figure.get_figwidth() * figure.dpi
        assert len(words(figure)) > len(names)
        for text in words(figure):
            box = text.get_window_extent()
            assert box.x0 >= -1 and box.x1 <= width + 1, text.get_text()
    for figure in forests:
        boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
        assert all(above.y0 >= below.y1 for above, below in itertools.pairwise(boxes)), "rows of print do not touch"


@pytest.mark.parametrize("quantity", ["loss", "masks", "probe"])
def test_labels_of_a_single_row_of_panels_are_whole(study, quantity):
    figure = training_curves(study, quantity)
    height = figure.get_figheight() * figure.dpi
    for text in words(figure):
        box = text.get_window_extent()
        assert box.y0 >= -1 and box.y1 <= height + 1, text.get_text()
