"""What the arrays of a file mean, by their names and contents, alike in NumPy, MATLAB and HDF5 files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from ecg_advmask.ecg.arrays import NAMES, opened
from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.ecg.recording import Recording, UnreadableRecordingError

h5py = pytest.importorskip("h5py")

SIGNALS = np.random.default_rng(0).normal(0, 1, (3, 40, 12)).astype(np.float32)
REVERSED = list(STANDARD_LEADS[::-1])


def _as_h5(path: Path, arrays: dict[str, Any]) -> None:
    with h5py.File(path, "w") as file:
        for name, value in arrays.items():
            file.create_dataset(name, data=value)


def _as_mat(path: Path, arrays: dict[str, Any]) -> None:
    savemat(path, {name: np.array(v, object) if isinstance(v, list) else v for name, v in arrays.items()})


SAVE: dict[str, Callable[[Path, dict[str, Any]], None]] = {
    ".npz": lambda path, arrays: np.savez(path, **arrays),
    ".mat": _as_mat,
    ".h5": _as_h5,
}


def read(
    folder: Path, suffix: str, arrays: dict[str, Any], rate: float | None = 250, unit: str = "mV"
) -> list[Recording]:
    path = folder / f"a{suffix}"
    SAVE[suffix](path, arrays)
    file = opened(str(path), rate, unit)
    return [file.read(number) for number in range(len(file))]


@pytest.fixture(params=sorted(SAVE))
def suffix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("name", [*NAMES["signals"], "ECG", "p_signal", "X", "ecg_data"])
def test_the_signals_have_any_of_their_usual_names(tmp_path: Path, suffix: str, name: str) -> None:
    found = read(tmp_path, suffix, {name: SIGNALS, "outcome": np.zeros(3)})
    np.testing.assert_array_equal([one.signals_mv for one in found], SIGNALS)


def test_the_only_array_needs_no_name_and_the_one_of_the_shape_of_signals_is_taken(tmp_path: Path, suffix: str) -> None:
    assert len(read(tmp_path, suffix, {"anything": SIGNALS})) == 3
    assert len(read(tmp_path, suffix, {"ecg": SIGNALS, "data": np.zeros(()), "x": 4.0})) == 3
    with pytest.raises(UnreadableRecordingError, match="features, table"):
        read(tmp_path, suffix, {"features": SIGNALS, "table": SIGNALS})
    with pytest.raises(UnreadableRecordingError, match="ecg, data"):
        read(tmp_path, suffix, {"data": SIGNALS, "ecg": SIGNALS})


@pytest.mark.parametrize("name", ["leads", "Lead_Names", "lead_order", "columns", "sig_name", "names", "order", "text"])
def test_names_of_leads_are_known_by_what_they_are(tmp_path: Path, suffix: str, name: str) -> None:
    """Whatever the array is called: in another order than the standard one, the samples would be other leads'."""
    for names in (REVERSED, ",".join(REVERSED)):
        (found, *_) = read(tmp_path, suffix, {"signals": SIGNALS[..., ::-1], name: names})
        np.testing.assert_array_equal(found.signals_mv, SIGNALS[0])


def test_two_orders_of_leads_are_refused(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(UnreadableRecordingError, match="several"):
        read(tmp_path, suffix, {"signals": SIGNALS, "leads": REVERSED, "names": list(STANDARD_LEADS)})


@pytest.mark.parametrize("name", ["leads", "columns", "names"])
def test_names_that_cannot_be_read_are_not_ignored(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnreadableRecordingError, match=f"{name}.*dtype=str"):
        read(tmp_path, ".npz", {"signals": SIGNALS, name: np.array(REVERSED, object)})


def test_leads_before_time_are_turned(tmp_path: Path, suffix: str) -> None:
    for several in (SIGNALS.transpose(0, 2, 1), SIGNALS[0].T):
        found = read(tmp_path, suffix, {"signals": several})
        np.testing.assert_array_equal(found[0].signals_mv, SIGNALS[0])
    with pytest.raises(UnreadableRecordingError, match="axis of time"):
        read(tmp_path, suffix, {"signals": np.zeros((12, 12))})


@pytest.mark.parametrize("name", ["fs", "Fs", "srate", "sampling_rate", "SamplingFrequency", "sample_rate_hz"])
def test_the_rate_has_any_of_its_usual_names(tmp_path: Path, suffix: str, name: str) -> None:
    for value in (500, np.array([500.0] * 3), "500 Hz"):
        assert {one.sampling_rate_hz for one in read(tmp_path, suffix, {"signals": SIGNALS, name: value})} == {500}
    for other in (np.array([500, 250, 250]), "fast"):
        with pytest.raises(UnreadableRecordingError, match=rf"{name}|fast"):
            read(tmp_path, suffix, {"signals": SIGNALS, name: other})


@pytest.mark.parametrize("name", ["patient", "patient_id", "SubjectID", "mrn"])
def test_patients_ages_and_sexes_come_with_the_recordings(tmp_path: Path, suffix: str, name: str) -> None:
    about = {name: np.array([7.0, 7.0, 9.0]), "age": np.array([50.0, 60, 70]), "sex": ["M", "F", "?"]}
    found = read(tmp_path, suffix, {"signals": SIGNALS, "ids": np.array([1.0, 2, 3]), **about})
    assert [(one.record_id, one.patient) for one in found] == [("1", "7"), ("2", "7"), ("3", "9")]
    assert [(one.age_years, one.sex) for one in found] == [(50, "male"), (60, "female"), (70, "")]
    (one, *others) = read(tmp_path, suffix, {"signals": SIGNALS, name: "p"})
    assert one.patient == "p" and {other.patient for other in others} == {"p"}
    with pytest.raises(UnreadableRecordingError, match="2 patient for 3"):
        read(tmp_path, suffix, {"signals": SIGNALS, name: np.array([1, 2])})
    with pytest.raises(UnreadableRecordingError, match="several arrays of patients"):
        read(tmp_path, suffix, {"signals": SIGNALS, name: np.array([1, 2, 3]), "pid": np.array([1, 1, 1])})


@pytest.mark.parametrize("name", ["gain", "adc_gain", "scale", "resolution", "baseline"])
def test_whole_numbers_beside_a_scale_are_refused(tmp_path: Path, suffix: str, name: str) -> None:
    """A scale is not applied: at 200 steps a millivolt an ECG of 1 mV would be one of 200 mV, at 5 one of 5 mV."""
    whole = np.rint(SIGNALS * 5).astype(np.int16)
    with pytest.raises(UnreadableRecordingError, match=f"{name}.*--source-unit"):
        read(tmp_path, suffix, {"signals": whole, name: 5})
    (found, *_) = read(tmp_path, suffix, {"signals": whole, name: 5}, unit="0.2mV")
    np.testing.assert_array_equal(found.signals_mv, (whole[0] * 0.2).astype(np.float32))
    assert len(read(tmp_path, suffix, {"signals": whole, "unit": "mV", name: 5})) == 3
    neutral = 0 if name == "baseline" else 1
    assert len(read(tmp_path, suffix, {"signals": whole, name: neutral})) == 3
