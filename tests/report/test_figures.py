"""Figures by what they draw: which samples are shaded, where lines and bands lie."""

import itertools

import numpy as np
import pandas as pd
import pytest

from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.report import figures, mask_pictures

RATE_HZ = 100
SAMPLES = 1000


def ecg(seed=0):
    return np.random.default_rng(seed).normal(scale=0.3, size=(SAMPLES, 12))


def block_masks(masks, seed=0):
    """Soft masks with stretches above and below one half, some a single sample long, some at the edges."""
    rng = np.random.default_rng(seed)
    values = np.where(rng.random((SAMPLES, masks)) < 0.3, 0.7, 0.2)
    values[:50], values[-1:] = 0.9, 0.9
    return values


def shaded_samples(collection):
    """Which sample times lie in the rectangles of a shading."""
    seconds = np.arange(SAMPLES) / RATE_HZ
    inside = np.zeros(SAMPLES, bool)
    for path in collection.get_paths():
        extent = path.get_extents()
        inside |= (seconds > extent.x0) & (seconds < extent.x1)
    return inside


def shadings(figure):
    return {c.get_gid(): c for c in figure.axes[0].collections if (c.get_gid() or "").startswith("mask")}


@pytest.mark.parametrize("masks", [1, 2, 3, 4])
def test_a_mask_for_all_leads_shades_exactly_its_samples_over_the_whole_height(masks):
    values = block_masks(masks)
    figure = mask_pictures.mask_picture(ecg(), values, RATE_HZ)
    found = shadings(figure)
    assert sorted(found) == [f"mask {i + 1}" for i in range(masks)]
    height = figure.axes[0].get_ylim()
    for i in range(masks):
        assert np.array_equal(shaded_samples(found[f"mask {i + 1}"]), values[:, i] > 0.5)
        extent = found[f"mask {i + 1}"].get_paths()[0].get_extents()
        assert (extent.y0, extent.y1) == pytest.approx(height)
    assert len({tuple(c.get_facecolor()[0]) for c in found.values()}) == masks
    assert [text.get_text().split(" > ")[0] for text in figure.legends[0].get_texts()] == (
        ["mask"] if masks == 1 else [f"mask {i + 1}" for i in range(masks)]
    )


def test_masks_of_leads_shade_their_own_row_which_holds_the_lead():
    values = block_masks(12)
    figure = mask_pictures.mask_picture(ecg(), values, RATE_HZ)
    found = shadings(figure)
    traces = {line.get_gid(): line for line in figure.axes[0].lines if line.get_gid()}
    rows = []
    for i, lead in enumerate(STANDARD_LEADS):
        assert np.array_equal(shaded_samples(found[f"mask {lead}"]), values[:, i] > 0.5)
        extent = found[f"mask {lead}"].get_paths()[0].get_extents()
        assert extent.y0 < np.median(traces[f"trace {lead}"].get_ydata()) < extent.y1
        rows.append((extent.y1, extent.y0))
    assert all(above[1] == pytest.approx(below[0]) for above, below in itertools.pairwise(rows))


@pytest.mark.parametrize("masks", [4, 12])
def test_the_threshold_of_a_mask_says_what_is_shaded(masks):
    values = np.random.default_rng(0).random((SAMPLES, masks))
    figure = mask_pictures.mask_picture(ecg(), values, RATE_HZ, threshold=0.25)
    for found, mask in zip(shadings(figure).values(), values.T, strict=True):
        assert np.array_equal(shaded_samples(found), mask > 0.25)
    assert all("> 0.25 (" in text.get_text() for text in figure.legends[0].get_texts())


def test_an_empty_mask_shades_nothing_and_a_full_one_everything():
    nothing, everything = (mask_pictures.mask_picture(ecg(), np.full((SAMPLES, 1), v), RATE_HZ) for v in (0.5, 1.0))
    assert not shaded_samples(shadings(nothing)["mask 1"]).any()
    assert shaded_samples(shadings(everything)["mask 1"]).all()
    assert len(shadings(everything)["mask 1"].get_paths()) == 1


def test_traces_keep_millivolts_and_are_in_order_from_above():
    signals_mv = ecg() + np.linspace(-2, 2, 12)
    figure = mask_pictures.mask_picture(signals_mv, block_masks(1), RATE_HZ, "a title")
    traces = [line for line in figure.axes[0].lines if line.get_gid()]
    assert [line.get_gid() for line in traces] == [f"trace {lead}" for lead in STANDARD_LEADS]
    baselines = [np.median(line.get_ydata()) for line in traces]
    assert baselines == sorted(baselines, reverse=True)
    for i, line in enumerate(traces):
        assert np.ptp(line.get_ydata()) == pytest.approx(np.ptp(signals_mv[:, i]))
        assert line.get_xdata()[-1] == pytest.approx((SAMPLES - 1) / RATE_HZ)
    mean_area = block_masks(1).mean()
    assert f"mean mask area {mean_area:.2f}" in figure.axes[0].get_title(loc="left")
    assert figure.axes[0].get_title(loc="left").startswith("a title")


def test_tall_recordings_are_drawn_at_half_the_gain():
    assert "5 mm/mV" in mask_pictures.mask_picture(ecg() * 20, block_masks(1), RATE_HZ).axes[0].get_title(loc="left")


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"\(L, 12\)"):
        mask_pictures.mask_picture(ecg(), block_masks(1)[:-1], RATE_HZ)


def history(epochs=5, adversary=True):
    table = {"epoch": range(1, epochs + 1), "loss": np.linspace(4, 2, epochs)}
    table |= {"contrastive_accuracy": np.linspace(0.1, 0.7, epochs), "embedding_std": np.linspace(0.4, 0.9, epochs)}
    if adversary:
        table |= {"mask_area": np.full(epochs, 0.5), "mask_area_min": np.full(epochs, 0.3)}
        table |= {
            "mask_area_max": np.full(epochs, 0.8),
            "sparsity": np.ones(epochs),
            "mask_cover": np.full(epochs, 0.7),
        }
    return pd.DataFrame(table)


def panels(figure):
    return {axes.get_title(): axes for axes in figure.axes if axes.get_visible()}


def test_training_curves_draw_the_logged_values_and_the_level_of_collapse():
    figure = panels(figures.run_curves(history(), batch_size=32))
    loss = figure["contrastive loss (NT-Xent)"]
    assert loss.lines[0].get_ydata().tolist() == [4.0, 3.5, 3.0, 2.5, 2.0]
    assert loss.lines[1].get_ydata()[0] == pytest.approx(np.log(63))
    masks = figure["masks"]
    assert [line.get_ydata()[0] for line in masks.lines] == [0.5, 0.7]
    band = masks.collections[0].get_paths()[0].get_extents()
    assert (band.y0, band.y1) == pytest.approx((0.3, 0.8))


def test_a_run_without_adversary_has_no_mask_panel():
    figure = panels(figures.run_curves(history(adversary=False)))
    assert len(figure) == 3 and not any("mask" in title for title in figure)
    assert figure["contrastive loss (NT-Xent)"].lines[0].get_ydata()[0] == 4.0


def test_png_is_one():
    assert figures.png(figures.run_curves(history())).startswith(b"\x89PNG\r\n")
