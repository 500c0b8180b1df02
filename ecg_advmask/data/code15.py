"""The layout of CODE-15 % as on Zenodo: ``exams.csv`` and the parts ``exams_part*.hdf5``, or some of them.

Ribeiro et al. 2021, https://doi.org/10.5281/zenodo.4916206: 345,779 exams of 233,770 patients, 7 or 10 s at 400 Hz. A
part holds ``exam_id`` (N,) and ``tracings`` (N, 4096, 12), leads DI, DII, DIII, aVR, aVL, aVF, V1 to V6, in units of
1e-4 V, with zeros before and after each recording to fill 4096 samples.
"""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np

from ecg_advmask.data.cells import named_rows
from ecg_advmask.ecg.recording import Recording, Sex, UnreadableRecordingError, one_line, parse_age, parse_patient
from ecg_advmask.ecg.sources import Entry, RecordingSource
from ecg_advmask.errors import InputError, printable

TABLE: Final = "exams.csv"
SOURCE: Final = "code-15"
SAMPLING_RATE_HZ: Final = 400.0
MILLIVOLTS_PER_UNIT: Final = 0.1

SNOMED_OF: Final[Mapping[str, str]] = {
    "1dAVb": "270492004",
    "RBBB": "59118001",
    "LBBB": "164909002",
    "SB": "426177001",
    "ST": "427084000",
    "AF": "164889003",
    "normal_ecg": "164854000",
}
"""SNOMED CT code of each column of diagnoses, which hold True or False."""


@dataclass(frozen=True)
class Code15Source(RecordingSource):
    """The exams of all parts that are there; each column of diagnoses is a label, too."""

    label_columns: ClassVar[tuple[str, ...]] = tuple(SNOMED_OF)

    folder: Path = Path()

    def entries(self) -> Iterator[Entry]:
        """One entry for each tracing; those that the table has no row for are refused, as are rows without a tracing.

        Raises:
            InputError: there is no such table or no part, or a cell of a diagnosis or sex is neither True nor False.
        """
        table = self.folder / TABLE
        rows: dict[str, tuple[int, dict[str, str]]] = {}
        for line, row in named_rows(table, ("exam_id", "age", "is_male", "patient_id", *SNOMED_OF)):
            rows[parse_patient(row["exam_id"])] = line, row
        empty = True
        for found in self.files(self.folder, (".hdf5", ".h5")):
            empty = False
            try:
                if found.refusal:
                    raise UnreadableRecordingError(found.path, found.refusal)
                ids = [str(int(number)) for number in _opened(found.path, Path(found.path).stat().st_mtime_ns)[0]]
            except (OSError, UnreadableRecordingError) as error:
                reason = error.reason if isinstance(error, UnreadableRecordingError) else one_line(error)
                yield Entry(found.stem, found.path, found.name, SOURCE, refusal=reason)
                continue
            for number, exam in enumerate(ids):
                if exam in rows:
                    yield _entry(table, *rows.pop(exam), exam, found.path, found.name, number)
                else:
                    refusal = f"missing row: {TABLE} has none for this exam, or has it for another tracing"
                    yield Entry(exam, found.path, found.name, SOURCE, refusal=refusal, number=number)
        if empty:
            raise InputError(f"{self.folder}: holds no parts of CODE-15 % (exams_part*.hdf5)")
        for exam, (_, row) in rows.items():
            part = printable(row.get("trace_file", "") or "exams_part*.hdf5")
            yield Entry(
                printable(exam), "", part, SOURCE, refusal=f"missing file: {TABLE} has a row for it, no part has it"
            )

    def read(self, entry: Entry) -> Recording:
        """The exam of an entry, without the zeros around it.

        Raises:
            UnreadableRecordingError: its part is gone or damaged, or it holds nothing but zeros.
        """
        try:
            _, tracings = _opened(entry.file, Path(entry.file).stat().st_mtime_ns)
            values = np.asarray(tracings[entry.number], np.float64)
        except UnreadableRecordingError:
            raise
        except Exception as error:  # HDF5 raises errors of many kinds on damaged files
            raise UnreadableRecordingError(entry.file, f"cannot be read as HDF5 ({one_line(error)})") from error
        held = np.flatnonzero((values != 0).any(axis=1))
        if not len(held):
            raise UnreadableRecordingError(entry.file, "holds nothing but zeros for this exam")
        signals_mv = (values[held[0] : held[-1] + 1] * MILLIVOLTS_PER_UNIT).astype(np.float32)
        return entry.complete(Recording(entry.record_id, signals_mv, SAMPLING_RATE_HZ, file=entry.file))


def _entry(table: Path, line: int, row: Mapping[str, str], exam: str, path: str, name: str, number: int) -> Entry:
    given = {column: row[column].strip().lower() for column in ("is_male", *SNOMED_OF)}
    for column, cell in given.items():
        if cell not in {"true", "false", ""}:
            raise InputError(f"{table}: line {line} has {cell[:40]!r} in {column}, expected True or False")
    patient = parse_patient(row["patient_id"])
    sexes: dict[str, Sex] = {"true": "male", "false": "female"}
    return Entry(
        exam,
        path,
        name,
        SOURCE,
        patient=f"{SOURCE}/{patient}" if patient else "",
        age_years=parse_age(row["age"]),
        sex=sexes.get(given["is_male"], ""),
        codes=tuple(code for column, code in SNOMED_OF.items() if given[column] == "true"),
        labels=tuple((column, given[column].capitalize()) for column in SNOMED_OF if given[column]),
        number=number,
    )


@functools.lru_cache(maxsize=32)
def _opened(path: str, _changed_ns: int) -> tuple[Any, Any]:
    """Exam ids (N,) and tracings (N, T, 12) of a part, which stays open.

    Raises:
        UnreadableRecordingError: it is no such part.
    """
    import h5py

    try:
        part = h5py.File(path, "r")
        ids, tracings = np.asarray(part["exam_id"]).reshape(-1), part["tracings"]
        shape = tracings.shape
    except Exception as error:  # HDF5 raises errors of many kinds on damaged files
        raise UnreadableRecordingError(path, f"cannot be read as HDF5 ({one_line(error)})") from error
    if ids.dtype.kind not in "iu" or len(shape) != 3 or shape[2] != 12 or shape[0] != len(ids):
        raise UnreadableRecordingError(
            path, f"has tracings of shape {shape} for {len(ids)} exams, expected (N, 4096, 12) and N whole numbers"
        )
    return ids, tracings
