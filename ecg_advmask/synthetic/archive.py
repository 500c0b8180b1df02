"""Archives of generated recordings on disk, laid out like the real ones, with the truth beside them.

In: a folder to make, layouts, how many recordings, a seed. Out: files.

``cinc2021/training/<source>/g<k>/``: the eight sources of the PhysioNet/CinC Challenge 2021, with records such as
``GENERATED_HR00001.hea`` and ``.mat``. ``chapman/``: ``ECGDataDenoised/GENERATED_00001.csv`` and ``Diagnostics.xlsx``,
as in Chapman-Shaoxing. Each layout also holds ``subjects.csv`` (who, which rhythm, what rate), ``truth.csv`` (P, QRS
and T intervals), for cinc2021 ``patients.csv`` (whose recording), and ``GENERATED.txt``: no person was recorded.
"""

import functools
import multiprocessing
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from ecg_advmask.errors import InputError
from ecg_advmask.files import write_csv, write_text
from ecg_advmask.synthetic.noise import draw_noise
from ecg_advmask.synthetic.recording import GeneratedRecording, draw_recording
from ecg_advmask.synthetic.sources import (
    diagnostics_row,
    index_of,
    place_of,
    write_chapman,
    write_cinc2021,
    write_diagnostics,
)
from ecg_advmask.synthetic.subject import Subject, draw_subject

Layout = Literal["cinc2021", "chapman"]
LAYOUTS: Final[tuple[Layout, ...]] = ("cinc2021", "chapman")

RECORDS_PER_FOLDER: Final = 1000
"""About as in the Challenge, whose sources are cut into g1, g2, ..."""

_RETURNING: Final = 0.2
"""How often, in the cinc2021 layout, a recording shows the same person as the one before it of the same source."""

_SUBJECT_COLUMNS: Final = (
    "record", "patient", "sex", "age_years", "rhythm", "group", "heart_rate_bpm", "sampling_rate_hz", "duration_s"
)  # fmt: skip


class GeneratedEntry(NamedTuple):
    """One recording of an archive, before it is written."""

    record: str
    patient: str
    subject: Subject
    recording: GeneratedRecording


def generate(layout: Layout, seed: int, index: int) -> GeneratedEntry:
    """Recording ``index`` (from 0) of an archive; it depends on these three numbers and nothing else.

    In the cinc2021 layout sampling rate and length are those of its source, and a person may return; in the chapman
    layout all have 500 Hz, 10 s, one person each, and little noise, since the real ones are denoised.
    """
    rng = _stream(seed, layout, "recording", index)
    if layout == "cinc2021":
        source, rank = place_of(index)
        person = rank
        while person > 0 and _stream(seed, layout, "visit", index_of(source, person)).uniform() < _RETURNING:
            person -= 1
        first_visit = index_of(source, person)
        subject = draw_subject(_stream(seed, layout, "subject", first_visit))
        recording = draw_recording(
            subject,
            rng,
            sampling_rate_hz=source.sampling_rate_hz,
            duration_s=source.draw_duration_s(rng),
            noise=draw_noise(rng, mains_hz=float(rng.choice([50, 60]))),
        )
        return GeneratedEntry(source.record_name(rank), f"GENP{first_visit + 1:05d}", subject, recording)
    subject = draw_subject(_stream(seed, layout, "subject", index))
    recording = draw_recording(subject, rng, noise=draw_noise(rng, mains_hz=50, level=0.3))
    name = f"GENERATED_{index + 1:05d}"
    return GeneratedEntry(name, name, subject, recording)


def write_archive(
    destination: str | os.PathLike[str],
    layouts: Sequence[Layout | Literal["hospital"]],
    records: int,
    seed: int,
    *,
    workers: int = 1,
    progress: Callable[[int], object] = lambda _: None,
) -> None:
    """Write generated archives to a new folder, which appears only when it is whole.

    Args:
        destination: the folder; it may exist, but must be empty.
        layouts: which archives to write, each into the subfolder of its name; `hospital` is a folder of files in the
            formats of hospital ECG systems.
        records: recordings per layout; the first ones of a larger archive are those of a smaller one.
        seed: not negative.
        workers: processes that generate and write; the files do not depend on it.
        progress: called with the number of recordings written since its last call.

    Raises:
        InputError: the folder is not empty, or cannot be made.
    """
    from ecg_advmask.synthetic.hospital import write_hospital  # which generates its recordings by this module

    target = Path(destination).resolve()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{destination}: exists and is not an empty folder; name a new one")
    if os.path.ismount(target):
        raise InputError(f"{destination}: is a mount point and cannot be replaced; name a folder inside it")
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        unfinished.mkdir(parents=True)
        for layout in layouts:
            if layout == "hospital":
                write_hospital(unfinished / layout, records, seed, progress=progress)
            else:
                _write_layout(unfinished / layout, layout, records, seed, workers=workers, progress=progress)
        write_text(unfinished / "GENERATED.txt", _notice(layouts, records, seed))
        unfinished.replace(target)
    except OSError as error:
        raise InputError(f"{destination}: cannot be written ({error.strerror}); name another folder") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write_layout(
    folder: Path, layout: Layout, records: int, seed: int, *, workers: int, progress: Callable[[int], object]
) -> None:
    (folder / "ECGDataDenoised" if layout == "chapman" else folder).mkdir(parents=True)
    write_one = functools.partial(_write_recording, folder, layout, seed)
    tables: list[_Rows] = []
    if workers > 1:
        # Started afresh rather than forked: a fork of a process with running threads may hang.
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
            for rows in pool.map(write_one, range(records), chunksize=8):
                tables.append(rows)
                progress(1)
    else:
        for rows in map(write_one, range(records)):
            tables.append(rows)
            progress(1)

    subjects = [rows.subject for rows in tables]
    write_csv(folder / "subjects.csv", _SUBJECT_COLUMNS, subjects)
    waves = [wave for rows in tables for wave in rows.truth]
    write_csv(folder / "truth.csv", ("record", "wave", "onset_s", "end_s"), waves)
    if layout == "chapman":
        write_diagnostics(folder / "Diagnostics.xlsx", [rows.diagnostics for rows in tables], seed)
    else:
        patients = [{"record": row["record"], "patient": row["patient"]} for row in subjects]
        write_csv(folder / "patients.csv", ("record", "patient"), patients)
    write_text(folder / "GENERATED.txt", _notice([layout], records, seed))


class _Rows(NamedTuple):
    """What one recording adds to the tables of its archive."""

    subject: dict[str, Any]
    truth: list[dict[str, Any]]
    diagnostics: dict[str, Any]


def _write_recording(folder: Path, layout: Layout, seed: int, index: int) -> _Rows:
    record, patient, subject, recording = generate(layout, seed, index)
    if layout == "chapman":
        write_chapman(folder / "ECGDataDenoised", record, recording)
    else:
        source, rank = place_of(index)
        group = folder / "training" / source.name / f"g{rank // RECORDS_PER_FOLDER + 1}"
        group.mkdir(parents=True, exist_ok=True)
        write_cinc2021(group, record, subject, recording, seed, source=source, rank=rank)
    who = {
        "record": record,
        "patient": patient,
        "sex": subject.sex,
        "age_years": subject.age_years,
        "rhythm": subject.rhythm.acronym,
        "group": subject.rhythm.group,
        "heart_rate_bpm": round(recording.heart_rate_bpm, 1),
        "sampling_rate_hz": recording.sampling_rate_hz,
        "duration_s": len(recording.signals_mv) / recording.sampling_rate_hz,
    }
    truth = [
        {"record": record, "wave": name, "onset_s": round(onset_s, 4), "end_s": round(end_s, 4)}
        for name, onset_s, end_s in recording.waves
    ]
    return _Rows(who, truth, diagnostics_row(record, subject, recording))


def _stream(
    seed: int, layout: Layout, purpose: Literal["subject", "recording", "visit"], index: int
) -> np.random.Generator:
    """Random numbers of their own for each layout, purpose and index."""
    key = (LAYOUTS.index(layout), ("subject", "recording", "visit").index(purpose), index)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def _notice(layouts: Sequence[str], records: int, seed: int) -> str:
    return (
        "These recordings were generated by `ecg-advmask synth`. No person was recorded: names, ages, rhythms and\n"
        "signals come from a model and random numbers. They serve to try the program, not to draw conclusions.\n"
        f"Layouts: {', '.join(layouts)}. Recordings per layout: {records}. Seed: {seed}.\n"
    )
