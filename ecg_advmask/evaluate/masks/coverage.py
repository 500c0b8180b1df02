"""The part of the ECG that the adversary of a run occludes in a data set, as numbers and for figures.

Out: a dictionary of plain values, written as JSON by ``ecg-advmask masks``, and a few recordings with their masks.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from ecg_advmask.config import Config
from ecg_advmask.data.dataset import DataSet
from ecg_advmask.data.scaling import scale_to_unit
from ecg_advmask.data.summary import describe
from ecg_advmask.data.targets import CLASSES_OF_TASK
from ecg_advmask.ecg.annotations import PARTS, UNKNOWN
from ecg_advmask.ecg.recording import UnreadableRecordingError
from ecg_advmask.errors import InputError
from ecg_advmask.evaluate.eligibility import recordings_of
from ecg_advmask.evaluate.experiment import check_fit
from ecg_advmask.evaluate.masks import delineation
from ecg_advmask.evaluate.masks.delineation import WavesFrom, draw, uses_marks, views, wave_parts
from ecg_advmask.evaluate.masks.enrichment import (
    KINDS,
    LEAST_PATIENTS,
    Tally,
    binarised,
    enrichment_rows,
    mask_names,
    tallies_of,
)
from ecg_advmask.evaluate.metrics import resample_counts
from ecg_advmask.files import versions
from ecg_advmask.models.resnet import weights_sha256
from ecg_advmask.pretrain.run import Run

FORMAT_VERSION: Final = 1
_BATCH: Final = 16
_UNKNOWN_RHYTHM: Final = "unknown"
_PACKAGES: Final = ("numpy", "pandas", "scikit-learn", "keras", "tensorflow", "wfdb", "neurokit2")

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class MaskProtocol:
    """The constants of a measurement.

    Attributes:
        waves: where the waves come from: hand marks of LUDB, the delineator, or marks where there are any.
        source: the archive that the data set was prepared from, beside whose headers the marks lie.
        recordings: how many to measure at most, drawn at random; one window of each.
        pictures: how many of them to draw.
        seed: of the draw, the controls and the resamples.
        control_draws: random masks and shifts for each mask.
        resamples: bootstrap resamples.
        level: of the intervals.
    """

    waves: WavesFrom = "auto"
    source: str | None = None
    recordings: int = 300
    pictures: int = 6
    seed: int = 0
    control_draws: int = 10
    resamples: int = 1000
    level: float = 0.95


@dataclass(frozen=True)
class Pictured:
    """A recording to be drawn: signals (L, 12) in millivolts and masks (L, N) as the adversary gives them."""

    record_id: str
    start_s: float
    signals_mv: Float32
    masks: Float32


def measure_masks(
    run_path: str | Path, data_path: str | Path, protocol: MaskProtocol
) -> tuple[dict[str, Any], list[Pictured]]:
    """Measure in which waves the masks of a run lie, beside random masks of the same area.

    Raises:
        InputError: the run has no adversary, or its masks are in the spectrum; the run and the data do not fit, no
            waves could be found, or marks are asked for without the folder where they lie.
    """
    run = Run.open(run_path)
    adversary = run.adversary()
    if adversary is None:
        raise InputError(f"{run_path}: has no adversary (method {run.config.method}), give a run of the method advmask")
    if run.config.mask_domain != "time":
        raise InputError(
            f"{run_path}: its masks are in the spectrum, whose bins belong to no wave; see the pictures in "
            f"{run.path / 'masks'}, or give a run with mask_domain = time"
        )
    config, data = run.config, DataSet.open(data_path)
    check_fit(config, data, str(run_path))
    recordings = draw(recordings_of(data.records, run.seen()), data.records, protocol.recordings, protocol.seed)
    source = protocol.source if uses_marks(recordings, protocol.source, protocol.waves) else None

    measured = _measure(run, adversary, data, recordings, source, protocol)
    if not measured.used.any():
        raise InputError(f"{data.path}: no waves in any recording, the first: {measured.excluded[0]['reason']}")
    kept = recordings[measured.used]
    return {
        "format_version": FORMAT_VERSION,
        "kind": "masks",
        "run": {
            "path": str(run_path),
            "preset": config.preset_name,
            "masks": config.masks,
            "alpha": config.alpha,
            "pairing": config.pairing,
            "adversary_sha256": weights_sha256(adversary),
        },
        "dataset": describe(data),
        "protocol": dataclasses.asdict(protocol)
        | {"waves": "marks" if source else "delineate", "asked_for_waves": protocol.waves}
        | {"delineator": None if source else delineation.METHOD, "parts": list(PARTS)}
        | dict(zip(("mask_sharpness", "mask_threshold"), config.binarisation, strict=True))
        | {"view_samples": config.view_samples}
        | {"patients_for_an_interval": LEAST_PATIENTS},
        "counts": _counts(len(recordings), kept),
        "excluded": measured.excluded,
        "enrichment": _rows(measured.tallies, kept, config, protocol),
        "versions": versions(_PACKAGES),
    }, measured.pictured


@dataclass(frozen=True)
class _Measured:
    """Tallies of the recordings that are ``used`` (n,), by kind of mask; and those that could not be."""

    used: npt.NDArray[np.bool_]
    tallies: dict[str, Tally]
    excluded: list[dict[str, str]]
    pictured: list[Pictured]


def _measure(
    run: Run,
    adversary: keras.Model,
    data: DataSet,
    recordings: pd.DataFrame,
    source: str | None,
    protocol: MaskProtocol,
) -> _Measured:
    config = run.config
    rng = np.random.default_rng([protocol.seed, 1])
    tallies: dict[str, list[Tally]] = {kind: [] for kind in KINDS}
    pictured: list[Pictured] = []
    excluded: list[dict[str, str]] = []
    used = np.zeros(len(recordings), bool)
    for begin in tqdm(range(0, len(recordings), _BATCH), desc="measuring masks", unit="batch", disable=None):
        batch = recordings.iloc[begin : begin + _BATCH]
        views_mv, starts_s = views(data, config, batch)
        masks = _masks(adversary, views_mv, run)
        parts = np.full(views_mv.shape, UNKNOWN, np.int8)
        for place, record in enumerate(batch.to_dict("records")):
            try:
                parts[place] = wave_parts(record, data, source, starts_s[place], config.view_samples)
            except (UnreadableRecordingError, delineation.DelineationError) as error:
                excluded.append({"id": str(record["key"]), "reason": str(error)})
        good = (parts != UNKNOWN).any(axis=(1, 2))
        used[begin : begin + len(batch)] = good
        if good.any():
            covered = binarised(masks[good], *config.binarisation)
            for kind, tally in tallies_of(covered, parts[good], protocol.control_draws, rng).items():
                tallies[kind].append(tally)
        for place in np.flatnonzero(good)[: protocol.pictures - len(pictured)]:
            pictured.append(
                Pictured(str(batch["key"].iloc[place]), float(starts_s[place]), views_mv[place], masks[place])
            )
    joined = {kind: Tally.joined(of_kind) for kind, of_kind in tallies.items()} if used.any() else {}
    return _Measured(used, joined, excluded, pictured)


def _masks(adversary: keras.Model, views_mv: Float32, run: Run) -> Float32:
    scaled = scale_to_unit(keras.ops.convert_to_tensor(views_mv))
    masks: Float32 = keras.ops.convert_to_numpy(adversary(scaled, training=False)).astype(np.float32)
    if masks.shape != (*views_mv.shape[:2], run.config.masks):
        raise InputError(
            f"{run.path}: its adversary does not give one mask value per sample, only such can be measured"
        )
    return masks


def _rows(
    tallies: dict[str, Tally], recordings: pd.DataFrame, config: Config, protocol: MaskProtocol
) -> list[dict[str, Any]]:
    """Rows of `enrichment_rows` for every kind of mask; patients are resampled within rhythm classes."""
    rhythm = _rhythm(recordings).to_numpy(object).astype(str)
    patients = recordings["person"].to_numpy(object)
    classes, codes = np.unique(rhythm, return_inverse=True)
    counts = resample_counts(codes.astype(np.int64), patients, protocol.resamples, protocol.seed)
    groups = {"all": np.ones(len(rhythm), bool)}
    groups |= {f"rhythm {name}": rhythm == name for name in classes.tolist() if name != _UNKNOWN_RHYTHM}
    return [
        {"kind": kind, **row}
        for kind, tally in tallies.items()
        for row in enrichment_rows(tally, mask_names(config.masks), groups, patients, counts, protocol.level)
    ]


def _counts(drawn: int, kept: pd.DataFrame) -> dict[str, Any]:
    rhythms = _rhythm(kept).value_counts().sort_index()
    return {
        "recordings_drawn": drawn,
        "recordings_measured": len(kept),
        "recordings_excluded": drawn - len(kept),
        "patients": int(kept["person"].nunique()),
        "seen_in_pretraining": int(kept["seen"].sum()),
        "rhythms": {str(name): int(count) for name, count in rhythms.items()},
    }


def _rhythm(recordings: pd.DataFrame) -> "pd.Series[str]":
    return CLASSES_OF_TASK["rhythm"](recordings).fillna(_UNKNOWN_RHYTHM)
