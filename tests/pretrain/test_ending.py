"""When a run is over: by its epochs, by its probe, and by what its files say; and which epoch is the best."""

import dataclasses
from pathlib import Path

import pytest

from ecg_advmask.files import write_csv
from ecg_advmask.pretrain.probe import best_epoch, is_finished, should_stop
from ecg_advmask.pretrain.run import Run
from pretrain.small import SMALL


@pytest.mark.parametrize(
    ("probed", "best"), [({}, 0), ({2: 0.7, 4: 0.8, 6: 0.8}, 4), ({3: 0.5, 1: 0.5}, 1), ({1: 0.9, 2: 0.1}, 1)]
)
def test_the_best_epoch_is_the_first_of_the_highest(probed: dict[int, float], best: int) -> None:
    assert best_epoch(probed) == best


PROBED = {2: 0.7, 4: 0.6, 6: 0.7, 8: 0.9}


@pytest.mark.parametrize(
    ("patience", "epoch", "over"),
    [
        (0, 8, False),
        (0, 9, True),  # all epochs
        (2, 2, False),
        (2, 4, True),
        (1, 3, False),  # the probe is not asked in this epoch, and a run left alone goes on, too
        (1, 4, True),
        (4, 4, False),
        (4, 6, True),  # later values are not known then
        (5, 6, False),
        (2, 8, False),
    ],
)
def test_a_run_is_over_by_its_epochs_or_where_its_probe_finds_no_gain(patience: int, epoch: int, over: bool) -> None:
    config = dataclasses.replace(SMALL, epochs=9, probe_tasks=("sex",), probe_every=2, patience=patience)
    assert should_stop(Run(Path(), config, {}), PROBED, epoch) == over


def test_a_run_is_finished_by_its_files(tmp_path: Path) -> None:
    run = Run(tmp_path, dataclasses.replace(SMALL, epochs=3, probe_tasks=("sex",), patience=1), {})
    assert not is_finished(run)
    rows = [{"epoch": 1, "probe_auroc": 0.7}, {"epoch": 2, "probe_auroc": 0.8}, {"epoch": 3, "probe_auroc": ""}]
    write_csv(tmp_path / "history.csv", ["epoch", "probe_auroc"], rows)
    assert run.probed() == {1: 0.7, 2: 0.8}
    (tmp_path / "encoder.keras").touch()
    (tmp_path / "checkpoints").mkdir()
    for epoch, finished in ((2, False), (3, True)):
        (tmp_path / "checkpoints" / f"epoch-{epoch:05d}.npz").touch()
        assert is_finished(run) == finished
    (tmp_path / "encoder.keras").unlink()
    assert not is_finished(run)
