"""LUDB's hand marks: the regular form, the irregular ones that occur in it, and its files."""

import numpy as np
import pytest
import wfdb

from ecg_advmask.ecg import annotations
from ecg_advmask.ecg.annotations import Wave, WaveAnnotations
from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.ecg.recording import UnreadableRecordingError


def marks(text):
    """Marks of ``text`` at 1 s, 2 s, ..."""
    return annotations.marks_of(list(text), [float(second) for second in range(1, len(text) + 1)])


def test_three_marks_are_a_wave():
    assert marks("(p)(N)(t)") == WaveAnnotations((Wave("P", 1, 3), Wave("QRS", 4, 6), Wave("T", 7, 9)), 1, 9)


@pytest.mark.parametrize(
    ("text", "waves", "unclear_s"),
    [
        ("(p)N)(t)", (Wave("P", 1, 3), Wave("QRS", 4, 5), Wave("T", 6, 8)), ()),  # the peak is the onset
        ("(p)N()(t)", (Wave("P", 1, 3), Wave("QRS", 4, 6), Wave("T", 7, 9)), ()),  # the onset comes after the peak
        ("((tt))(p)", (Wave("T", 1, 6), Wave("P", 7, 9)), ()),
        ("(p)()(t)", (Wave("P", 1, 3), Wave("T", 6, 8)), (4, 5)),  # no peak
        ("(N)(t", (Wave("QRS", 1, 3),), (4, 5)),  # no end
        ("(pN)(t)", (Wave("QRS", 3, 4), Wave("T", 5, 7)), (1, 2)),
    ],
)
def test_irregular_marks(text, waves, unclear_s):
    assert marks(text) == WaveAnnotations(waves, 1, len(text), unclear_s)


@pytest.mark.parametrize("text", ["", "(V)", "(N)+"])
def test_other_annotations_are_refused(text):
    with pytest.raises(ValueError, match="holds no marks of waves"):
        marks(text)


@pytest.fixture
def record(tmp_path):
    """Header of a recording at 250 Hz whose lead number k has one QRS at sample 100 + k and a T wave."""
    for number, lead in enumerate(STANDARD_LEADS):
        samples = np.array([100, 110, 125, 150, 170, 200]) + number
        wfdb.wrann("1", "x", samples, list("(N)(t)"), fs=250, write_dir=str(tmp_path))  # it takes letters alone
        (tmp_path / "1.x").rename(tmp_path / f"1.{lead.lower()}")
    return tmp_path / "1.hea"


def test_files_give_each_lead_its_own_marks_in_seconds(record):
    assert annotations.has_marks(record) and not annotations.has_marks(record.with_name("2.hea"))
    for number, found in enumerate(annotations.read_marks(record)):
        times_s = ((np.array([100, 125, 150, 200]) + number) / 250).tolist()
        assert found == WaveAnnotations((Wave("QRS", *times_s[:2]), Wave("T", *times_s[2:])), times_s[0], times_s[3])


def test_missing_and_damaged_files_are_named(record):
    (record.with_suffix(".v3")).write_bytes(b"\x07")
    with pytest.raises(UnreadableRecordingError, match=r"1\.v3: cannot be read as marks of waves"):
        annotations.read_marks(record)
    record.with_suffix(".v3").unlink()
    with pytest.raises(UnreadableRecordingError, match=r"1\.hea: has no marks of lead V3 \(1\.v3 is missing\)"):
        annotations.read_marks(record)


@pytest.mark.parametrize("every", [40, pytest.param(1, marks=pytest.mark.exhaustive)])
def test_real_marks_are_read_and_almost_all_are_clear(shared, every):
    """Peaks counted straight from the files, and plausible widths."""
    folder = shared / "data" / "ludb" / "data"
    headers = sorted(folder.glob("*.hea"))
    peaks = clear = 0
    widths_ms = {"P": [], "QRS": [], "T": []}
    for header in headers[::every]:
        for lead, found in zip(STANDARD_LEADS, annotations.read_marks(header), strict=True):
            symbols = wfdb.rdann(str(header.with_suffix("")), lead.lower()).symbol
            peaks += sum(symbol in "pNt" for symbol in symbols)
            clear += len(found.waves)
            for wave in found.waves:
                widths_ms[wave.name].append(1000 * (wave.end_s - wave.onset_s))
    assert 0.995 * peaks <= clear <= peaks
    assert 60 < np.median(widths_ms["P"]) < 130
    assert 60 < np.median(widths_ms["QRS"]) < 130
    assert 120 < np.median(widths_ms["T"]) < 260
