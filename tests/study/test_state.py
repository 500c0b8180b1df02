"""When a pretraining of a study counts as finished."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ecg_advmask.errors import InputError
from ecg_advmask.files import write_csv
from ecg_advmask.pretrain.run import Run
from ecg_advmask.study.data import StudyData
from ecg_advmask.study.design import Study, read_study
from ecg_advmask.study.jobs import Folder, jobs_of
from ecg_advmask.study.work import State

STUDY = """
name = "One"
question = "?"
baseline = "Gaussian"
[data]
pretraining = "data"
evaluation = "data"
[protocol]
tasks = ["sex"]
labels = [1.0]
settings = { epochs = 9, probe_tasks = ["sex"], patience = 2 }
[[methods]]
name = "Gaussian"
preset = "cpu-gaussian"
"""


@pytest.fixture
def state(tmp_path: Path, write_data: Callable[..., Path]) -> State:
    write_data(tmp_path / "data", np.zeros((4, 1000, 12), np.int16), [4])
    (tmp_path / "study.toml").write_text(STUDY)
    return opened(read_study(tmp_path / "study.toml"))


def opened(study: Study) -> State:
    return State(StudyData.open(study, Folder(study.path.parent / "out")))


def leave(state: State, epochs: int, probed: dict[int, float]) -> Run:
    """What a pretraining leaves behind after ``epochs`` epochs, without networks that work."""
    data, method = state.data.pretraining, state.study.methods[0]
    assert data is not None
    run = Run.create(state.folder.run(method, 0), state.study.config(method, 0), data, np.arange(4))
    rows = [{"epoch": epoch, "loss": 1.0, "probe_auroc": probed.get(epoch, "")} for epoch in range(1, epochs + 1)]
    write_csv(run.path / "history.csv", list(rows[0]), rows)
    (run.path / "checkpoints").mkdir()
    for epoch in (epochs - 1, epochs):
        (run.path / "checkpoints" / f"epoch-{epoch:05d}.npz").touch()
    (run.path / "encoder.keras").touch()
    return run


@pytest.mark.parametrize(
    ("epochs", "probed", "finished"),
    [
        (9, {}, True),  # all of them
        (8, {epoch: 0.5 + epoch / 100 for epoch in range(1, 9)}, False),  # still gains
        (5, {1: 0.6, 2: 0.6, 3: 0.7, 4: 0.65, 5: 0.7}, True),  # the best, of equals the first, was two epochs ago
        (4, {1: 0.6, 2: 0.6, 3: 0.7, 4: 0.65}, False),
        (5, {3: 0.7, 5: 0.6}, True),  # probed every other epoch
        (5, {}, False),
    ],
)
def test_a_run_is_finished_by_its_epochs_or_by_its_probe(
    state: State, epochs: int, probed: dict[int, float], finished: bool
) -> None:
    run = leave(state, epochs, probed)
    method = state.study.methods[0]
    assert (state.finished_run(method, 0) is not None) == finished
    unit = jobs_of(state.study)[0].units[0]
    assert state.is_done(unit) == finished and state.amount_done(unit) == epochs
    (run.path / "encoder.keras").unlink()
    assert not state.is_done(unit)


def test_a_row_of_the_history_without_its_checkpoint_does_not_count(state: State) -> None:
    run = leave(state, 9, {})
    (run.path / "checkpoints" / "epoch-00009.npz").unlink()
    assert state.finished_run(state.study.methods[0], 0) is None


def test_nobody_is_judged_who_is_in_any_of_several_data_sets(tmp_path: Path, write_data: Callable[..., Path]) -> None:
    """Of the recordings to judge on, one each is met by its id, its signal and its patient, in different data sets."""
    windows_uv = np.random.default_rng(0).integers(-900, 900, (8, 1000, 12)).astype(np.int16)
    for name, rows, ids, patients in (
        ("one", [0, 1], ["A", "x"], ["p0", "p1"]),
        ("two", [2, 3], ["A", "y"], ["p2", "p3"]),  # the id A is that of another recording
        ("judged", [4, 1, 5, 2, 6, 7], ["A", "B", "C", "D", "E", "F"], ["q0", "q1", "p3", "q3", "q4", "q5"]),
    ):
        hashes = [f"h{row}" for row in rows]
        write_data(tmp_path / name, windows_uv[rows], [len(rows)], id=ids, patient=patients, signal_hash=hashes)
    file = tmp_path / "study.toml"
    file.write_text(STUDY.replace('pretraining = "data"', 'pretraining = ["one", "two"]').replace('"data"', '"judged"'))
    found = opened(read_study(file)).data.recordings.set_index("key")
    assert {name: [*found.index[found[name]]] for name in ("seen_by_id", "seen_by_signal", "seen_by_patient")} == {
        "seen_by_id": ["A"], "seen_by_signal": ["B", "D"], "seen_by_patient": ["C"],
    }  # fmt: skip
    assert [*found.index[~found["seen"]]] == ["E", "F"]


def test_more_epochs_go_on_and_other_data_is_refused(state: State, write_data: Callable[..., Path]) -> None:
    leave(state, 9, {})
    file, method = state.study.path, state.study.methods[0]
    file.write_text(STUDY.replace("epochs = 9", "epochs = 12"))
    longer = opened(read_study(file))
    assert longer.finished_run(method, 0) is None and longer.started_run(method, 0) is not None
    write_data(file.parent / "other", np.ones((4, 1000, 12), np.int16), [4])
    elsewhere = opened(state.study.with_data(pretraining=[file.parent / "other"]))
    with pytest.raises(InputError, match="was started on another data set"):
        elsewhere.finished_run(method, 0)
