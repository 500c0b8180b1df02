"""The layout of PTB-XL as on PhysioNet: ``ptbxl_database.csv`` with the folders ``records500`` and ``records100``.

Wagner et al. 2020, "PTB-XL, a large publicly available electrocardiography dataset" (Scientific Data 7:154),
https://doi.org/10.13026/kfzx-aw45: 21,799 recordings of 10 s of 18,869 patients, each at 500 Hz and at 100 Hz. One of
the two rates is read. Ids are those of CinC 2021 (``HR00001``), so that a recording is known again there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from ecg_advmask.data.cells import named_rows, names_of
from ecg_advmask.ecg.recording import Sex, is_missing, parse_age, parse_patient
from ecg_advmask.ecg.sources import Entry, RecordingSource
from ecg_advmask.ecg.walking import Found
from ecg_advmask.errors import InputError, printable

TABLE: Final = "ptbxl_database.csv"
SOURCE: Final = "ptb-xl"

_FILES: Final = {500.0: ("records500", "filename_hr"), 100.0: ("records100", "filename_lr")}
"""Folder and column of each sampling rate in Hz."""

FOLDERS: Final = tuple(folder for folder, _ in _FILES.values())

_SEX_OF: Final[Mapping[str, Sex]] = {"0": "male", "1": "female"}

SNOMED_OF: Final[Mapping[str, str]] = {
    "SR": "426783006",
    "NORM": "164854000",  # normal ECG, which the Challenges do not name
    "AFIB": "164889003",
    "AFLT": "164890007",
    "STACH": "427084000",
    "SBRAD": "426177001",
    "SARRH": "427393009",
    "SVTAC": "426761007",
    "PSVT": "67198005",
    "PACE": "10370003",
    "BIGU": "11157007",
    "TRIGU": "251180001",
    "PAC": "284470004",
    "PVC": "427172004",  # the headers of CinC write 164884008, ventricular ectopics, which is not scored
    "1AVB": "270492004",
    "2AVB": "195042002",
    "3AVB": "27885002",
    "LPR": "164947007",
    "WPW": "74390002",
    "CLBBB": "164909002",
    "CRBBB": "713427006",
    "ILBBB": "251120003",
    "IRBBB": "713426002",
    "IVCD": "698252002",
    "LAFB": "445118002",
    "LPFB": "445211001",
    "LAO/LAE": "67741000119109",
    "LVH": "164873001",
    "RVH": "89792004",
    "LVOLT": "251146004",
    "LNGQT": "111975006",
    "QWAVE": "164917005",
    "ABQRS": "164951009",
    "INVT": "59931005",
    **dict.fromkeys(("NDT", "NT_", "LOWT", "TAB_"), "164934002"),
    "STD_": "429622005",
    "STE_": "164931005",
    **dict.fromkeys(("IMI", "ASMI", "ILMI", "AMI", "ALMI", "LMI", "IPLMI", "IPMI", "PMI"), "164865005"),
    **dict.fromkeys(("INJAS", "INJAL", "INJIN", "INJLA", "INJIL"), "164861001"),
    **dict.fromkeys(("ISC_", "ISCAL", "ISCAS", "ISCIL", "ISCIN", "ISCLA", "ISCAN"), "164861001"),
}
"""SNOMED CT code of SCP statements.

As the headers of PTB-XL's recordings in CinC 2021 code them (compared statement by statement with ``scp_codes``), but
for TAB_, which they leave out, and those that a remark names. A statement that is not here keeps its acronym.
"""


@dataclass(frozen=True)
class PtbxlSource(RecordingSource):
    """The recordings of one sampling rate: ``options.sampling_rate_hz``, 500 (default) or 100."""

    label_columns: ClassVar[tuple[str, ...]] = ("strat_fold",)

    folder: Path = Path()

    def entries(self) -> Iterator[Entry]:
        """One entry for each row of the table, with patient, age, sex, codes and fold; files without a row are refused.

        Ages of 300, which stand for any above 89, are unknown.

        Raises:
            InputError: there is no such table or folder, or no such rate.
        """
        rate = self.options.sampling_rate_hz or 500.0
        if rate not in _FILES:
            raise InputError(f"--source-rate {rate:g}: PTB-XL has its recordings at 500 and at 100 Hz")
        folder, column = _FILES[rate]
        files = {found.name: found for found in self.files(self.folder / folder, (".hea",))}
        rows = named_rows(
            self.folder / TABLE, ("ecg_id", "patient_id", "age", "sex", "scp_codes", "strat_fold", column)
        )
        for line, row in rows:
            name = f"{row[column].strip().removeprefix(f'{folder}/')}.hea"
            yield _entry(line, row, files.pop(name, None), f"{folder}/{name}", self.folder)
        for found in files.values():
            refusal = found.refusal or f"missing row: {TABLE} has none for this file"
            yield Entry(found.stem, found.path, f"{folder}/{found.name}", SOURCE, refusal=refusal)


def _entry(line: int, row: Mapping[str, str], found: Found | None, name: str, folder: Path) -> Entry:
    number, codes, sex = parse_patient(row["ecg_id"]), names_of(row["scp_codes"]), parse_patient(row["sex"])
    if not number.isdecimal():
        raise InputError(f"{folder / TABLE}: line {line} has the ecg_id {row['ecg_id'][:40]!r}, expected a number")
    if codes is None:
        raise InputError(f"{folder / TABLE}: line {line} has no dict of statements in scp_codes")
    if not is_missing(sex) and sex not in _SEX_OF:
        raise InputError(f"{folder / TABLE}: line {line} has the sex {sex[:40]!r}, expected 0 (male) or 1 (female)")
    patient = parse_patient(row["patient_id"])
    refusal = f"missing file: {TABLE} has a row for it, but there is no {printable(name)}"
    return Entry(
        f"HR{int(number):05d}",
        "" if found is None else found.path,
        printable(name),
        SOURCE,
        patient=f"{SOURCE}/{patient}" if patient else "",
        refusal=refusal if found is None else found.refusal,
        age_years=parse_age(row["age"]),
        sex=_SEX_OF.get(sex, ""),
        codes=tuple(dict.fromkeys(SNOMED_OF.get(code, code) for code in codes)),
        labels=() if is_missing(row["strat_fold"]) else (("strat_fold", row["strat_fold"].strip()),),
    )
