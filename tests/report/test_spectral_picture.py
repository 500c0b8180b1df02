"""The picture of a mask in the spectrum by what it draws: traces, rectangles and their share."""

import numpy as np
import pytest

from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.report.mask_pictures import spectral_picture

SAMPLES = 1000


def arrays(rate_hz, masks, seed=0):
    """Signals of ten seconds, what remains of them, and a mask in frames of one second."""
    rng = np.random.default_rng(seed)
    samples = 10 * rate_hz
    signals_mv = rng.normal(scale=0.3, size=(samples, 12)) + np.linspace(-1, 1, 12)
    covered = (rng.random((21, rate_hz // 2 + 1, masks)) < 0.3).astype(float)
    return signals_mv, signals_mv / 2 + 0.1, covered


@pytest.mark.parametrize("masks", [1, 12])
@pytest.mark.parametrize("rate_hz", [100, 500])
def test_recording_remainder_and_mask_are_drawn_as_they_are(rate_hz, masks):
    signals_mv, remaining_mv, covered = arrays(rate_hz, masks)
    figure = spectral_picture(signals_mv, remaining_mv, covered, rate_hz, "a title")
    traces = {line.get_gid(): line for line in figure.axes[0].lines if line.get_gid()}
    assert len(traces) == 24
    for lead, name in enumerate(STANDARD_LEADS):
        recording, left = (traces[f"{kind} {name}"] for kind in ("recording", "what the mask leaves of it"))
        np.testing.assert_allclose(recording.get_xdata(), np.arange(len(signals_mv)) / rate_hz)
        difference = np.asarray(recording.get_ydata()) - left.get_ydata()
        np.testing.assert_allclose(difference, signals_mv[:, lead] - remaining_mv[:, lead], atol=1e-9)
        assert recording.get_zorder() <= left.get_zorder() and recording.get_color() != left.get_color()
    title = figure.axes[0].get_title(loc="left")
    assert title.startswith("a title") and f"{covered.mean():.0%} of the bins removed" in title

    images = [mesh for axes in figure.axes for mesh in axes.collections if mesh.get_gid() == "mask"]
    assert len(images) == masks
    for index, image in enumerate(images):
        np.testing.assert_array_equal(np.asarray(image.get_array()), covered[:, :, index].T)
        corners = image.get_coordinates()
        seconds, hertz = corners[0, :, 0], corners[:, 0, 1]
        assert seconds[0] == 0 and seconds[-1] == 10
        np.testing.assert_allclose(seconds[1:-1], np.arange(20) * 0.5 + 0.25)
        assert hertz[0] == 0 and hertz[-1] == rate_hz / 2
        np.testing.assert_allclose(hertz[1:-1], np.arange(rate_hz // 2) + 0.5)
        if masks == 12:
            assert image.axes.get_title(loc="left") == STANDARD_LEADS[index]


def test_shapes_that_do_not_fit_are_refused():
    signals_mv, remaining_mv, covered = arrays(100, 1)
    for arguments in (
        (signals_mv, remaining_mv, covered[:-1]),
        (signals_mv, remaining_mv[:-1], covered),
        (signals_mv, remaining_mv, covered[:, :, 0]),
        (signals_mv, remaining_mv, np.repeat(covered, 4, axis=2)),
    ):
        with pytest.raises(ValueError, match=r"\(frames, bins, 1 or 12\)"):
            spectral_picture(*arguments, 100)
