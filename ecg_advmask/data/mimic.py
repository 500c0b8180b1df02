"""The layout of MIMIC-IV-ECG as on PhysioNet: ``record_list.csv`` and the WFDB records that it names.

Gow et al. 2023, "MIMIC-IV-ECG: Diagnostic Electrocardiogram Matched Subset", https://doi.org/10.13026/4nqg-sb35: some
800,000 recordings of 10 s at 500 Hz of nearly 160,000 patients, several of most. The list has the patient of each; age,
sex and diagnoses are in other modules of MIMIC-IV and come by a table of labels.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ecg_advmask.data.cells import named_rows
from ecg_advmask.ecg.recording import parse_patient
from ecg_advmask.ecg.sources import Entry, RecordingSource
from ecg_advmask.errors import InputError, printable

TABLE: Final = "record_list.csv"
SOURCE: Final = "mimic-iv-ecg"


@dataclass(frozen=True)
class MimicSource(RecordingSource):
    """The recordings of the list; ids are those of the studies, patients those of the subjects, as in the headers."""

    folder: Path = Path()

    def entries(self) -> Iterator[Entry]:
        """One entry for each row of the list; files without a row are refused.

        Raises:
            InputError: there is no such list, or a row has no study or subject.
        """
        files = {found.stem: found for found in self.files(self.folder, (".hea",))}
        for line, row in named_rows(self.folder / TABLE, ("subject_id", "study_id", "path")):
            study, subject, name = parse_patient(row["study_id"]), parse_patient(row["subject_id"]), row["path"].strip()
            if not (study.isprintable() and study and subject):
                raise InputError(f"{self.folder / TABLE}: line {line} has no study_id or subject_id")
            found = files.pop(name, None)
            missing = f"missing file: {TABLE} has a row for it, but there is no {printable(name)}.hea"
            refusal = missing if found is None else found.refusal
            path = "" if found is None else found.path
            yield Entry(study, path, f"{printable(name)}.hea", SOURCE, patient=subject, refusal=refusal)
        for found in files.values():
            refusal = found.refusal or f"missing row: {TABLE} has none for this file"
            yield Entry(found.stem, found.path, found.name, SOURCE, refusal=refusal)
