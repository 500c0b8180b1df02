"""PTB-XL, MIMIC-IV-ECG and CODE-15 % as published: miniature archives written here, what is listed and what is read."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ecg_advmask.data import code15, ptbxl
from ecg_advmask.data.archives import open_source
from ecg_advmask.data.cells import names_of
from ecg_advmask.data.dataset import DataSet
from ecg_advmask.data.diagnoses import classes_of, diagnoses
from ecg_advmask.data.prepare import prepare
from ecg_advmask.ecg.recording import UnreadableRecordingError
from ecg_advmask.ecg.sources import Entry, SourceOptions
from ecg_advmask.errors import InputError

Write = Callable[..., Path]


def samples(number: int, length: int) -> np.ndarray:
    return np.random.default_rng(number).integers(-900, 900, (length, 12)).astype(np.int16)


def entries_of(folder: Path, layout: str, rate: float | None = None) -> dict[str, Entry]:
    listed = list(open_source(folder, layout, SourceOptions(sampling_rate_hz=rate)).entries())
    assert len({entry.record_id for entry in listed}) == len(listed)
    return {entry.record_id: entry for entry in listed}


PTBXL_HEADER = "ecg_id,patient_id,age,sex,height,scp_codes,report,strat_fold,filename_lr,filename_hr"


@pytest.fixture
def small_ptbxl(tmp_path: Path, write_wfdb: Write) -> Path:
    folder, rows = tmp_path / "ptbxl", [PTBXL_HEADER]
    codes = ["{'NORM': 100.0, 'LVOLT': 0.0, 'SR': 0.0}", "{'PVC': 100.0}", "{'IMI': 15.0, 'HVOLT': 0.0}", "{}"]
    for k in range(4):
        low, high = f"records100/00000/{k + 1:05d}_lr", f"records500/00000/{k + 1:05d}_hr"
        write_wfdb(folder / f"{high}.hea", samples(k, 5000), 500)
        write_wfdb(folder / f"{low}.hea", samples(k + 10, 1000), 100)
        age = (56.0, 300.0, "", 61.0)[k]
        rows.append(f'{k + 1},{15709.0 + k // 2},{age},{k % 2},,"{codes[k]}","a, b",{k + 1},{low},{high}')
    rows.append('5,9.0,40.0,1,,"{}",,10,records100/00000/00005_lr,records500/00000/00005_hr')
    write_wfdb(folder / "records500" / "21000" / "21001_hr.hea", samples(30, 5000), 500)
    (folder / "ptbxl_database.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_ptbxl_is_read_at_one_of_its_rates(small_ptbxl: Path) -> None:
    found = entries_of(small_ptbxl, "ptbxl")
    assert set(found) == {"HR00001", "HR00002", "HR00003", "HR00004", "HR00005", "21000/21001_hr"}
    refusals = {name: entry.refusal.partition(":")[0] for name, entry in found.items() if entry.refusal}
    assert refusals == {"HR00005": "missing file", "21000/21001_hr": "missing row"}
    known = [found[f"HR0000{k}"] for k in range(1, 5)]
    assert [entry.patient for entry in known] == [f"ptb-xl/{number}" for number in (15709, 15709, 15710, 15710)]
    assert [entry.age_years for entry in known] == [56, None, None, 61]
    assert [entry.sex for entry in known] == ["male", "female", "male", "female"]
    assert [dict(entry.labels) for entry in known] == [{"strat_fold": str(k)} for k in range(1, 5)]
    assert known[0].codes == ("164854000", "251146004", "426783006")
    assert (known[1].codes, known[2].codes, known[3].codes) == (("427172004",), ("164865005", "HVOLT"), ())
    for rate, first in ((500, 0), (100, 10)):
        source = open_source(small_ptbxl, "ptbxl", SourceOptions(sampling_rate_hz=rate))
        listed = {entry.record_id: entry for entry in source.entries()}
        for k in range(4):
            recording = source.read(listed[f"HR0000{k + 1}"])
            assert (recording.sampling_rate_hz, recording.patient) == (rate, f"ptb-xl/{15709 + k // 2}")
            expected = (samples(first + k, rate * 10) / 1000).astype(np.float32)
            np.testing.assert_array_equal(recording.signals_mv, expected)
    with pytest.raises(InputError, match="at 500 and at 100 Hz"):
        entries_of(small_ptbxl, "ptbxl", 250)


def test_folds_of_ptbxl_are_a_column_of_labels(small_ptbxl: Path, tmp_path: Path) -> None:
    prepare(small_ptbxl, tmp_path / "out", "ptbxl", sampling_rate_hz=100, workers=1, refuse=())
    data = DataSet.open(tmp_path / "out")
    labels = data.labels.set_index("id")["strat_fold"].to_dict()
    assert labels == {"HR00001": "1", "HR00002": "2", "HR00003": "3", "HR00004": "4"}
    assert sorted(data.records["patient"]) == [f"ptb-xl/{number}" for number in (15709, 15709, 15710, 15710)]
    (tmp_path / "t.csv").write_text("id,outcome,strat_fold\nHR00001,yes,7\n")
    prepare(
        small_ptbxl, tmp_path / "two", "ptbxl", sampling_rate_hz=100, workers=1, refuse=(), labels=tmp_path / "t.csv"
    )
    labels = DataSet.open(tmp_path / "two").labels.set_index("id")
    assert labels.columns.tolist() == ["strat_fold", "outcome"]
    assert labels["strat_fold"].to_dict() == {"HR00001": "7", "HR00002": "2", "HR00003": "3", "HR00004": "4"}


def test_ptbxl_is_not_taken_for_records_of_two_rates(small_ptbxl: Path) -> None:
    with pytest.raises(InputError, match="--format ptbxl"):
        entries_of(small_ptbxl, "wfdb")
    assert len(entries_of(small_ptbxl / "records100", "wfdb")) == 4


@pytest.mark.parametrize("layout", [None, "ptbxl"])
def test_the_table_of_a_layout_is_no_table_of_labels(small_ptbxl: Path, tmp_path: Path, layout: str | None) -> None:
    """Whatever else is wrong with it as one: the sexes 0 and 1, ids that are no record's."""
    with pytest.raises(InputError, match=r"ptbxl_database.csv: .*--format ptbxl .*without --labels"):
        prepare(small_ptbxl, tmp_path / "out", layout, labels=small_ptbxl / "ptbxl_database.csv", workers=1)
    copy = tmp_path / "copy.csv"
    copy.write_text((small_ptbxl / "ptbxl_database.csv").read_text().replace("filename_hr", "id", 1))
    with pytest.raises(InputError, match="two rates; choose --format ptbxl"):
        prepare(small_ptbxl, tmp_path / "out", "wfdb", labels=copy, workers=1)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace("strat_fold", "fold"), "lacks the columns strat_fold"),
        (lambda text: text.replace("\n1,", "\nx,"), "line 2 has the ecg_id 'x'"),
        (lambda text: text.replace("'PVC': 100.0}", "'PVC': 100.0"), "line 3 has no dict"),
        (lambda text: text.replace("56.0,0,", "56.0,2,"), "line 2 has the sex '2'"),
    ],
)
def test_other_tables_of_ptbxl_are_refused(small_ptbxl: Path, damage: Callable[[str], str], message: str) -> None:
    table = small_ptbxl / "ptbxl_database.csv"
    table.write_text(damage(table.read_text()))
    with pytest.raises(InputError, match=message):
        entries_of(small_ptbxl, "ptbxl")
    table.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        entries_of(small_ptbxl, "ptbxl")


def test_statements_of_ptbxl_mean_what_the_headers_of_cinc_say(shared: Path) -> None:
    """Scored classes from scp_codes against those of the published headers, recording by recording."""
    headers = {int(path.stem[2:]): path for path in (shared / "data" / "cinc2021").glob("training/ptb*/*/HR*.hea")}
    with (shared / "data" / "ptbxl_metadata.csv").open(newline="") as stream:
        rows = {int(row["ecg_id"]): row for row in csv.DictReader(stream)}
    compared = 0
    for number in sorted(set(headers) & set(rows)):
        line = next(line for line in headers[number].read_text().splitlines() if line.startswith("# Dx"))
        published = set(classes_of(line.partition(":")[2].replace(",", ";"), 2021))
        statements = set(names_of(rows[number]["scp_codes"]) or ()) - {"TAB_", "PVC"}  # coded otherwise there
        codes = [ptbxl.SNOMED_OF.get(code, code) for code in statements]
        assert set(classes_of(codes, 2021)) == published - {"PVC|VPB"}
        compared += 1
    assert compared > 1000


def test_codes_of_the_layouts_are_named() -> None:
    normal = "164854000"
    for table in (ptbxl.SNOMED_OF, code15.SNOMED_OF):
        assert set(table.values()) <= {*diagnoses(), normal}


def test_mimic_has_its_patients_from_the_list(tmp_path: Path, write_wfdb: Write) -> None:
    rows = ["subject_id,study_id,file_name,ecg_time,path"]
    order = [0, 1, 2, 3, 5, 4, *range(6, 12)]
    leads = [("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")[place] for place in order]
    for k in range(4):
        subject, study = 10000032 + k // 2, 40689238 + k
        path = f"files/p1000/p{subject}/s{study}/{study}"
        if k < 3:
            write_wfdb(tmp_path / f"{path}.hea", samples(k, 5000)[:, order], 500, leads=leads)
        rows.append(f"{subject},{study},{study},2180-07-23 08:44:00,{path}")
    write_wfdb(tmp_path / "files" / "p1001" / "x.hea", samples(9, 5000), 500)
    (tmp_path / "record_list.csv").write_text("\n".join(rows) + "\n")
    found = entries_of(tmp_path, "mimic")
    assert {name: entry.patient for name, entry in found.items() if not entry.refusal} == {
        "40689238": "10000032",
        "40689239": "10000032",
        "40689240": "10000033",
    }
    refusals = {name: entry.refusal.partition(":")[0] for name, entry in found.items() if entry.refusal}
    assert refusals == {"40689241": "missing file", "files/p1001/x": "missing row"}
    recording = open_source(tmp_path, "mimic").read(found["40689239"])
    assert (recording.source, recording.patient) == ("mimic-iv-ecg", "10000032")
    np.testing.assert_array_equal(recording.signals_mv, (samples(1, 5000) / 1000).astype(np.float32))
    (tmp_path / "record_list.csv").unlink()
    with pytest.raises(InputError, match=r"record_list.csv: cannot be read"):
        entries_of(tmp_path, "mimic")


CODE15_HEADER = (
    "exam_id,age,is_male,nn_predicted_age,1dAVb,RBBB,LBBB,SB,ST,AF,patient_id,death,timey,normal_ecg,trace_file"
)


def test_code15_is_read_in_millivolts_without_its_padding(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    truth = {
        590674: np.round(np.random.default_rng(0).normal(0, 0.5, (4000, 12)), 4),
        3271960: np.ones((2800, 12)) * 0.3,
    }
    truth[3271960][5:9] = 0  # zeros within a recording stay
    tracings = np.zeros((3, 4096, 12), np.float32)
    tracings[0, 48:4048], tracings[1, 648:3448] = truth[590674] * 10, truth[3271960] * 10
    with h5py.File(tmp_path / "exams_part3.hdf5", "w") as part:
        part["exam_id"], part["tracings"] = np.array([590674, 3271960, 0]), tracings
    (tmp_path / "exams_part4.hdf5").write_bytes(b"no HDF5")
    false = ",".join(["False"] * 5)
    (tmp_path / "exams.csv").write_text(
        f"{CODE15_HEADER}\n590674,38,True,40.1,True,{false},7.0,False,2.1,False,exams_part3.hdf5\n"
        f"3271960,72,False,63.4,False,{false},7,,,True,exams_part3.hdf5\n5,20,True,1,False,{false},8,,,False,exams_part9.hdf5\n"
    )
    found = entries_of(tmp_path, "code15")
    refusals = {name: entry.refusal.partition(":")[0] for name, entry in found.items() if entry.refusal}
    assert refusals.pop("exams_part4").startswith("cannot be read as HDF5")
    assert refusals == {"0": "missing row", "5": "missing file"}
    first, second = found["590674"], found["3271960"]
    assert (first.patient, first.age_years, first.sex, first.codes) == ("code-15/7", 38, "male", ("270492004",))
    assert (second.patient, second.age_years, second.sex, second.codes) == ("code-15/7", 72, "female", ("164854000",))
    assert dict(first.labels) == {
        **dict.fromkeys(("RBBB", "LBBB", "SB", "ST", "AF", "normal_ecg"), "False"),
        "1dAVb": "True",
    }
    source = open_source(tmp_path, "code15")
    for entry in (first, second):
        recording = source.read(entry)
        assert (recording.sampling_rate_hz, recording.source) == (400, "code-15")
        np.testing.assert_allclose(recording.signals_mv, truth[int(entry.record_id)], atol=1e-6)
    with pytest.raises(UnreadableRecordingError, match="nothing but zeros"):
        source.read(found["0"])
    prepare(tmp_path, tmp_path / "out", "code15", sampling_rate_hz=100, workers=2, refuse=())
    data = DataSet.open(tmp_path / "out")
    assert sorted(data.records["id"]) == ["3271960", "590674"] and set(data.records["original_rate_hz"]) == {400}
    (tmp_path / "exams.csv").write_text(f"{CODE15_HEADER}\n590674,38,maybe,40.1,True,{false},7,False,2.1,False,x\n")
    with pytest.raises(InputError, match="line 2 has 'maybe' in is_male"):
        entries_of(tmp_path, "code15")
    (tmp_path / "exams_part3.hdf5").unlink()
    (tmp_path / "exams_part4.hdf5").unlink()
    with pytest.raises(InputError, match="holds no parts"):
        entries_of(tmp_path, "code15")
