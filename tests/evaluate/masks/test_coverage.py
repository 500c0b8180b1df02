"""Masks of a run on a data set: an adversary that masks the QRS exactly, on windows that were resampled and cut."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import wfdb

from ecg_advmask import config
from ecg_advmask.data.dataset import DataSet
from ecg_advmask.data.prepare import prepare
from ecg_advmask.ecg.annotations import PARTS, UNKNOWN, Wave, WaveAnnotations, parts_at
from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.masks.coverage import MaskProtocol, measure_masks
from ecg_advmask.evaluate.masks.enrichment import BLOCK, KINDS, LEARNT
from ecg_advmask.pretrain.run import Run

RECORDINGS, SOURCE_HZ, RATE_HZ, SEEN = 12, 500, 100, 20
CODES = ("426783006", "426177001")


def pulses(number):
    """First and last 100 Hz sample of each pulse of a recording."""
    firsts = np.arange(60 + 7 * number, 900, 70 + 2 * number)
    return firsts, firsts + 9


@pytest.fixture(scope="module")
def archive(tmp_path_factory, write_wfdb):
    """Recordings of 10 s at 500 Hz whose lead I is a pulse at each QRS, with marks as LUDB has them on every lead."""
    folder = tmp_path_factory.mktemp("archive")
    rng = np.random.default_rng(0)
    for number in range(RECORDINGS):
        samples = rng.normal(scale=8, size=(5000, 12))
        firsts, lasts = (5 * edges for edges in pulses(number))
        for first, last in zip(firsts, lasts, strict=True):
            samples[first - 2 : last + 3, 0] += 1000  # its edges lie halfway between two samples at 100 Hz
        name = f"r{number}"
        comments = ("# Age: 61", "# Sex: Female", f"# Dx: {CODES[number % 2]}")
        write_wfdb(folder / "d" / f"{name}.hea", np.rint(samples).astype(np.int16), SOURCE_HZ, comments=comments)
        if number == 3:
            continue  # one without marks
        marks = np.stack([firsts - 2, (firsts + lasts) // 2, lasts + 2], axis=1).ravel()
        for lead in STANDARD_LEADS:
            wfdb.wrann(name, "x", marks, list("(N)") * len(firsts), fs=SOURCE_HZ, write_dir=str(folder / "d"))
            (folder / "d" / f"{name}.x").rename(folder / "d" / f"{name}.{lead.lower()}")
    return folder


def threshold(masks=1, slope=100.0):
    """Adversary that masks the samples at which lead I of the scaled view is above one half."""
    view = keras.Input((None, 12))
    layer = keras.layers.Conv1D(masks, 1, activation="sigmoid")
    model = keras.Model(view, layer(view))
    kernel = np.zeros((1, 12, masks), np.float32)
    kernel[0, 0, 0] = slope
    kernel[0, 0, 1:] = -slope
    layer.set_weights([kernel, np.where(np.arange(masks) == 0, -slope / 2, slope / 2).astype(np.float32)])
    return model


def write_run(folder, data, adversary, *overrides):
    settings = config.load("demo", overrides=["window_seconds=2.5", *overrides])
    run = Run.create(folder, settings, DataSet.open(data), np.arange(SEEN))
    run.save(SimpleNamespace(kept_encoder=None, adversary=adversary))
    return run.path


def true_parts(number, start_s, samples):
    firsts, lasts = pulses(number)
    edges_s = [(5 * first - 2) / SOURCE_HZ for first in firsts], [(5 * last + 2) / SOURCE_HZ for last in lasts]
    waves = tuple(Wave("QRS", *edges) for edges in zip(*edges_s, strict=True))
    return parts_at(WaveAnnotations(waves, edges_s[0][0], edges_s[1][-1]), start_s + np.arange(samples) / RATE_HZ)


def overall(result, kind=LEARNT, group="all", lead="all"):
    rows = [r for r in result["enrichment"] if (r["kind"], r["group"], r["lead"]) == (kind, group, lead)]
    return {row["part"]: row for row in rows}


@pytest.mark.parametrize(("seconds", "pairing"), [(2.5, "simclr"), (5, "simclr"), (5, "cmsc")])
def test_a_mask_of_the_qrs_is_found_to_be_one_wherever_the_window_starts(archive, tmp_path, seconds, pairing):
    prepare(archive, tmp_path / "data", "wfdb", sampling_rate_hz=RATE_HZ, seconds=seconds, workers=1)
    run = write_run(tmp_path / "run", tmp_path / "data", threshold(), f"pairing={pairing}")
    protocol = MaskProtocol(source=str(archive), pictures=RECORDINGS, resamples=100)
    result, pictured = measure_masks(run, tmp_path / "data", protocol)
    samples = 125 if pairing == "cmsc" else 250
    starts_s = {one.start_s % seconds for one in pictured}
    assert starts_s == {(seconds - 2.5) / 2 + (1.25 if pairing == "cmsc" else 0)}
    assert len({one.start_s for one in pictured}) > 1 and all(one.masks.shape == (samples, 1) for one in pictured)
    assert [row["id"] for row in result["excluded"] if "has no marks of lead I" in row["reason"]] == ["d/r3"]
    assert result["counts"]["recordings_measured"] == RECORDINGS - len(result["excluded"]) == len(pictured)

    found = due = mass = 0.0
    for one in pictured:
        parts = true_parts(int(one.record_id[3:]), one.start_s, samples)
        known = parts != UNKNOWN
        inside = (parts == PARTS.index("QRS")).sum()
        assert np.array_equal(one.masks[known, 0] > 0.5, parts[known] == PARTS.index("QRS"))
        found, mass, due = found + inside, mass + inside, due + inside * inside / known.sum()
    qrs = overall(result)["QRS"]
    assert qrs["mass_share"] == pytest.approx(1, abs=1e-6)
    assert qrs["enrichment"] == pytest.approx(found / due, rel=1e-6)
    assert overall(result)["rest"]["enrichment"] == pytest.approx(0, abs=1e-6)
    assert overall(result)["P"]["enrichment"] is None
    assert overall(result, lead="V4")["QRS"]["enrichment"] == pytest.approx(qrs["enrichment"])
    assert overall(result, BLOCK)["QRS"]["enrichment"] < 0.5 * qrs["enrichment"]


@pytest.fixture(scope="module")
def data(archive, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared") / "data"
    prepare(archive, folder, "wfdb", sampling_rate_hz=RATE_HZ, seconds=2.5, workers=1)
    return folder


def test_each_of_several_masks_is_measured_and_their_mean(archive, data, tmp_path):
    """The first masks the QRS, the second everything else: their mean is everywhere one half."""
    run = write_run(tmp_path / "run", data, threshold(masks=2), "masks=2")
    result, _ = measure_masks(run, data, MaskProtocol(source=str(archive), resamples=50))
    rows = {(r["mask"], r["part"]): r for r in result["enrichment"] if (r["kind"], r["lead"]) == (LEARNT, "all")}
    assert {mask for mask, _ in rows} == {"mask 1", "mask 2", "mean of masks"}
    assert rows["mask 1", "rest"]["enrichment"] == pytest.approx(0, abs=1e-6)
    assert rows["mask 2", "QRS"]["enrichment"] == pytest.approx(0, abs=1e-6)
    assert rows["mask 2", "rest"]["mass_share"] == pytest.approx(1, abs=1e-6)
    assert rows["mean of masks", "QRS"]["enrichment"] == pytest.approx(1, abs=1e-6)
    assert rows["mean of masks", "QRS"]["area"] == pytest.approx(0.5, abs=1e-6)


def test_twelve_masks_are_each_of_their_lead(archive, data, tmp_path):
    run = write_run(tmp_path / "run", data, threshold(masks=12), "masks=12")
    result, _ = measure_masks(run, data, MaskProtocol(source=str(archive), resamples=50))
    assert {row["mask"] for row in result["enrichment"]} == {"mask of the lead"}
    assert overall(result, lead="I")["QRS"]["mass_share"] == pytest.approx(1, abs=1e-6)
    for lead in STANDARD_LEADS[1:]:
        assert overall(result, lead=lead)["rest"]["mass_share"] == pytest.approx(1, abs=1e-6)
    # the block over all leads has the mean area of the twelve
    areas = [overall(result, lead=lead)["QRS"]["area"] for lead in STANDARD_LEADS]
    assert overall(result, BLOCK)["QRS"]["area"] == pytest.approx(np.mean(areas), abs=0.03)


def test_the_draw_is_the_seeds_and_rhythm_classes_are_counted(archive, data, tmp_path):
    run = write_run(tmp_path / "run", data, threshold())
    first, again, other = (
        measure_masks(run, data, MaskProtocol(source=str(archive), recordings=8, pictures=8, resamples=50, seed=seed))
        for seed in (0, 0, 1)
    )
    assert first[0] == again[0]
    assert [one.record_id for one in first[1]] != [one.record_id for one in other[1]]
    counts = first[0]["counts"]
    assert counts["recordings_drawn"] == 8 and sum(counts["rhythms"].values()) == counts["recordings_measured"]
    assert set(counts["rhythms"]) == {"SR", "SB"}
    measured = {one.record_id for one in first[1]}
    assert len(measured) == counts["recordings_measured"]
    assert counts["seen_in_pretraining"] == len(measured & set(DataSet.open(data).records["id"][:SEEN]))
    groups = {row["group"] for row in first[0]["enrichment"]}
    assert groups == {"all", "rhythm SR", "rhythm SB"}
    of_classes = [overall(first[0], group=f"rhythm {name}")["QRS"]["recordings"] for name in ("SR", "SB")]
    assert sum(of_classes) == overall(first[0])["QRS"]["recordings"]
    assert {row["kind"] for row in first[0]["enrichment"]} == set(KINDS)


def test_what_cannot_be_measured_is_refused(data, tmp_path):
    run = write_run(tmp_path / "run", data, threshold())
    for protocol, message in (
        (MaskProtocol("marks"), "--waves marks: needs the folder"),
        (MaskProtocol("marks", source=str(tmp_path / "none")), "is not a folder"),
        (
            MaskProtocol("marks", source=str(tmp_path)),
            "no waves in any recording, the first: .* has no marks of lead I",
        ),
    ):
        with pytest.raises(InputError, match=message):
            measure_masks(run, data, protocol)
    without = write_run(tmp_path / "without", data, None, "method=simclr")
    with pytest.raises(InputError, match=r"without: has no adversary \(method simclr\)"):
        measure_masks(without, data, MaskProtocol())
    pooled = keras.Sequential([keras.Input((None, 12)), keras.layers.AveragePooling1D(2), keras.layers.Dense(1)])
    with pytest.raises(InputError, match="does not give one mask value per sample"):
        measure_masks(write_run(tmp_path / "spectral", data, pooled), data, MaskProtocol())
