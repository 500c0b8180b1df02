"""The appendix of the report of a study: training, masks, data, settings, versions, and how to repeat it."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ecg_advmask.errors import InputError
from ecg_advmask.files import in_file_name
from ecg_advmask.report.document import Block, Code, Folded, Heading, Paragraph, Picture, Table
from ecg_advmask.report.figures import DPI, QUANTITIES, WIDTH_IN, compact, png, training_curves
from ecg_advmask.report.results import NONE, JsonObject, StudyResult
from ecg_advmask.report.tables import common_settings, value_text
from ecg_advmask.study.jobs import STUDY_FILE

_COUNTS: Mapping[str, str] = {
    "windows": "windows of the data set",
    "recordings": "recordings of the data set",
    "seen": "left out: a pretraining meets them",
    "seen_by_id": "of these, by id",
    "seen_by_signal": "of these, by signal",
    "seen_by_patient": "of these, by patient",
    "copies": "left out: copies of another signal",
    "unlabelled": "left out: no label of the task",
    "unlabelled_reasons": "why there is no label",
    "outside_split": "left out: not in the division",
    "eligible": "used",
    "patients": "patients of the recordings used",
    "recordings_of_parts": "recordings in each part",
    "left_out_labels": "labels left out, since they are not in every part",
}
"""What the entries of the account of a task are."""
_CAPTIONS: Mapping[str, str] = {
    "loss": "Contrastive loss by epoch of pretraining, a line for each seed. Its value depends on the views that a "
    "method makes: it does not rank methods.",
    "masks": "Masks of the adversarial methods by epoch: mean of the mask (solid), and share of the samples (or of the "
    "bins of the spectrum) that it occludes once binarised (dotted); a line of each for each seed.",
    "probe": "Macro AUROC of the online probe on labelled patients of the pretraining part, mean over its tasks, by "
    "epoch; a line for each seed.",
}


def training(study: StudyResult) -> Iterator[Block]:
    """Training curves."""
    figures = {quantity: training_curves(study, quantity) for quantity in QUANTITIES}
    if any(figures.values()):
        yield Heading("Pretraining")
    for quantity, figure in figures.items():
        if figure:
            yield Picture(f"training-{quantity}", png(figure), _CAPTIONS[quantity], f"Training curves: {quantity}")


def masks(study: StudyResult, folder: Path) -> Iterator[Block]:
    """One picture for each method that has some: of its first seed, after the last pictured epoch.

    Raises:
        InputError: a picture cannot be read.
    """
    found = {name: _last_picture(folder / "runs" / in_file_name(name)) for name in study.methods}
    if any(found.values()):
        yield Heading("Masks")
        yield Paragraph("What the adversary occludes (shaded) in a recording, of the first seed after its last epoch.")
    for place, (name, path) in enumerate(found.items(), 1):
        if path:
            caption = f"{name}: {path.parent.parent.name}, {path.stem}."
            file = f"masks-{place}-{in_file_name(name)}"
            yield picture_of_masks(path, file, caption, f"12-lead ECG with masks of {name}")


def picture_of_masks(path: Path, name: str, caption: str, alternative: str) -> Picture:
    """A picture that a run has drawn.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return Picture(name, compact(path.read_bytes(), round(WIDTH_IN * DPI), DPI), caption, alternative)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a picture ({error}), remove it") from error


def _last_picture(runs: Path) -> Path | None:
    """The first picture of the last epoch of the first seed that has pictures; their names begin with epoch-NNNN-."""
    for seed in sorted(runs.glob("seed-*"), key=lambda path: (len(path.name), path.name)):
        by_epoch: dict[int, list[Path]] = {}
        for path in sorted((seed / "masks").glob("*.png")):
            if match := re.match(r"epoch-(\d+)-", path.name):
                by_epoch.setdefault(int(match[1]), []).append(path)
        if by_epoch:
            return by_epoch[max(by_epoch)][0]
    return None


def data_account(study: StudyResult) -> Iterator[Block]:
    """What went into the data sets, and what became of it on the way to each part of each task."""
    yield Heading("Data")
    described: dict[str, JsonObject] = {}
    for use, about in _data_sets(study):
        described.setdefault(str(about.get("sha256")), {**about, "uses": []})["uses"].append(use)
    for about in described.values():
        yield from data_set(about, " and ".join(about["uses"]))
    keys = dict.fromkeys(key for task in study.tasks for key in task["counts"] if key != "parts")
    counts = [[_COUNTS.get(key, key), *(_counts_text(task["counts"].get(key)) for task in study.tasks)] for key in keys]
    columns = ["", *(str(task["task"]) for task in study.tasks)]
    yield Table(columns, counts, "Account of the recordings of each task; each is left out once.", prose=True)
    yield from (parts_table(task) for task in study.tasks)


def _data_sets(study: StudyResult) -> Iterator[tuple[str, JsonObject]]:
    """The use of each data set, and what it is; of several that are pretrained on together, each by itself."""
    for use, about in study.content["data"].items():
        for one in (about.get("members") or [about]) if about else ():
            yield use, one


def data_set(about: JsonObject, use: str) -> Iterator[Block]:
    """A data set, and its account by source: recordings found, kept, refused with reasons, windows."""
    yield Heading(f"{about.get('name', 'data set')}{use and f' ({use})'}", 3)
    window, rate = about.get("window_samples"), about.get("sampling_rate_hz")
    yield Paragraph(f"Windows of {_text(window)} samples at {rate} Hz; layout {about.get('layout') or 'not stated'}.")
    rows = []
    for source, counts in about.get("sources", {}).items():
        reasons = "; ".join(f"{reason}: {number}" for reason, number in dict(counts.get("reasons", {})).items())
        keys = ("recordings_in", "recordings_kept", "recordings_refused", "windows_kept")
        rows.append([source or "(none)", *(_text(counts.get(key, 0)) for key in keys), _text(reasons)])
    columns = ["source", "recordings found", "kept", "refused", "windows kept", "reasons for refusal"]
    yield Table(columns, rows, f"Account of the recordings. SHA-256 of the data set: {about.get('sha256')}")


def parts_table(task: JsonObject) -> Table:
    """Recordings in each part, by class or label."""
    names = list(dict.fromkeys(name for found in task["parts"].values() for name in found))
    rows = [[name, *(_text(found.get(name, 0)) for found in task["parts"].values())] for name in names]
    of = {"classes": "class", "labels": "label"}.get(task["kind"], "")
    digest = task.get("sha256_of_ids") or {}
    ids = f" SHA-256 of the ids of the test part: {digest['test']}" if "test" in digest else ""
    return Table([of, *task["parts"]], rows, f"{task['task']}: recordings in each part{of and f', by {of}'}.{ids}")


def configuration(study: StudyResult, folder: Path) -> Iterator[Block]:
    """Settings that all methods share, the protocol, the study file, versions."""
    yield Heading("Configuration and versions")
    yield Paragraph("What is particular to a method is in the table of methods above.")
    common = [[key, value_text(value)] for key, value in common_settings(study).items()]
    yield folded("Settings of pretraining that all methods share", "Settings shared by all methods.", common)
    protocol = [[key, value_text(value)] for key, value in study.content["protocol"].items()]
    yield folded("Constants of the evaluation", "Protocol.", protocol)
    yield folded("Versions", "Versions.", [[key, str(value)] for key, value in study.content["versions"].items()])
    hashes = [
        [f"{one['method']}, seed {one['seed']}", str(one["encoder_sha256"])]
        for one in study.content["training"]
        if one.get("encoder_sha256")
    ]
    yield folded("Hashes of the encoders", "SHA-256 of each pretrained encoder.", hashes)
    file = folder / STUDY_FILE
    try:
        text = file.read_text(encoding="utf-8").rstrip() if file.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read ({error})") from error
    yield Folded("The study file", [Code(text or json.dumps(study.content["study"], indent=2, ensure_ascii=False))])


def repetition(study: StudyResult) -> Iterator[Block]:
    """The commands that repeat the study."""
    yield Heading("How to repeat it")
    yield Paragraph(
        "With the study file above and the same data sets, as prepare made them (their hashes are under Data). A run "
        "that was interrupted continues where it stopped when the command is repeated."
    )
    uses = " ".join(f"--data {use}=PATH" for use, _ in _data_sets(study))
    yield Code(f"ecg-advmask study {STUDY_FILE} FOLDER {uses}".strip())


def folded(title: str, caption: str, rows: list[list[str]]) -> Folded:
    """Names and values that are shown on a click."""
    return Folded(title, [Table(["name", "value"], rows, caption, prose=True)])


def _counts_text(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{str(key).replace('_', ' ')}: {_counts_text(one)}" for key, one in value.items()) or NONE
    if isinstance(value, list):
        return "; ".join(map(_counts_text, value)) or NONE
    return _text(value)


def _text(value: Any) -> str:
    if value is None or value == "":
        return NONE
    return f"{value:,}" if isinstance(value, int) else str(value)
