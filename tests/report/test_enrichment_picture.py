"""The figure of enrichment by what it draws: heights of bars, intervals, and what belongs to which mask."""

import pytest

from ecg_advmask.ecg.annotations import PARTS
from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.report.enrichment_picture import enrichment_picture

CONTROLS = ("random block", "random block per lead", "learnt, shifted in time")


def value(kind, group, mask, lead, part):
    """A number of its own for each row, and None for P in atrial fibrillation."""
    if part == "P" and group == "rhythm AFIB":
        return None
    return 0.5 + (sum(map(ord, f"{kind}{group}{mask}{lead}{part}")) % 97) / 97


def rows(masks=("mask",), groups=("all", "rhythm AFIB", "rhythm SR")):
    found = []
    for kind in ("learnt", *CONTROLS):
        for group in groups:
            for lead in ("all", *STANDARD_LEADS):
                for mask in masks:
                    for part in PARTS:
                        middle = value(kind, group, mask, lead, part)
                        edges = (None, None) if middle is None else (middle - 0.1, middle + 0.2)
                        row = {"kind": kind, "group": group, "lead": lead, "mask": mask, "part": part}
                        found.append(row | {"enrichment": middle, "low": edges[0], "high": edges[1]})
    return found


def heights(axes):
    return {bars.get_label(): [bar.get_height() for bar in bars] for bars in axes.containers}


@pytest.mark.parametrize("masks", [("mask",), ("mask 1", "mask 2", "mean of masks")])
def test_bars_are_the_learnt_masks_and_the_controls_of_the_last(masks):
    axes = enrichment_picture(rows(masks), "title").axes[0]
    found = heights(axes)
    assert list(found) == [*masks, *CONTROLS]
    for mask in masks:
        assert found[mask] == pytest.approx([value("learnt", "all", mask, "all", part) for part in PARTS])
    for kind in CONTROLS:
        assert found[kind] == pytest.approx([value(kind, "all", masks[-1], "all", part) for part in PARTS])
    segments = axes.collections[0].get_segments()
    first = value("learnt", "all", masks[0], "all", "P")
    assert [point[1] for point in segments[0]] == pytest.approx([first - 0.1, first + 0.2])
    assert axes.get_ylim()[0] == 0 and axes.lines[0].get_ydata()[0] == 1
    looks = {(bars[0].get_facecolor(), bars[0].get_hatch()) for bars in axes.containers}
    assert len(looks) == len(found)


def test_rhythm_classes_have_a_panel_where_any_is_known_and_an_absent_wave_no_bar():
    with_rhythms, without = enrichment_picture(rows()), enrichment_picture(rows(groups=("all",)))
    assert len(with_rhythms.axes) == 3 and len(without.axes) == 2
    found = heights(with_rhythms.axes[1])
    assert list(found) == ["rhythm AFIB", "rhythm SR"]
    assert found["rhythm AFIB"][0] != found["rhythm AFIB"][0]  # not a number: no bar
    assert found["rhythm SR"] == pytest.approx([value("learnt", "rhythm SR", "mask", "all", part) for part in PARTS])


def test_points_by_lead_are_in_the_order_of_the_leads():
    axes = enrichment_picture(rows()).axes[-1]
    assert [label.get_text() for label in axes.get_xticklabels()] == list(STANDARD_LEADS)
    for line, part in zip(axes.lines, PARTS, strict=False):
        assert line.get_label() == part
        expected = [value("learnt", "all", "mask", lead, part) for lead in STANDARD_LEADS]
        assert line.get_ydata() == pytest.approx(expected)
