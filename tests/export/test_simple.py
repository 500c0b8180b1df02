"""Simple features of ECGs: hand-made waves give the numbers they should, and the commands take them as an encoder."""

import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from ecg_advmask.cli import main
from ecg_advmask.ecg.annotations import Wave, WaveAnnotations
from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.errors import InputError
from ecg_advmask.export.simple import FEATURE_NAMES, SimpleFeatures, features_of_waves

Array = np.ndarray[Any, Any]
RATE = 100.0


def beat(start_s: float, *, p: bool = True) -> list[Wave]:
    waves = [Wave("P", start_s, start_s + 0.1)] if p else []
    return [*waves, Wave("QRS", start_s + 0.16, start_s + 0.26), Wave("T", start_s + 0.36, start_s + 0.54)]


def signals_of(waves: list[Wave]) -> Array:
    """P 0.1, R 1, S -0.4, ST 0.05, T 0.3 mV above a level of 2 mV, times 1 to 12 in the leads."""
    found = np.zeros((600, 12))
    for wave in waves:
        first, last = round(wave.onset_s * RATE), round(wave.end_s * RATE)
        if wave.name == "QRS":
            found[first + 4], found[first + 7] = 1.0, -0.4
            found[last + 6] = 0.05
        else:
            found[(first + last) // 2] = 0.1 if wave.name == "P" else 0.3
    return np.asarray(2 + found * np.arange(1, 13), np.float32)


def named(waves: list[Wave], signals: Array | None = None) -> dict[str, float]:
    marks = WaveAnnotations(tuple(waves), 0.0, 6.0)
    values = features_of_waves(marks, signals_of(waves) if signals is None else signals, RATE)
    assert values.shape == (len(FEATURE_NAMES),) and values.dtype == np.float32
    return dict(zip(FEATURE_NAMES, values.tolist(), strict=True))


def test_intervals_and_amplitudes_are_those_of_the_waves() -> None:
    starts = (0.3, 1.1, 1.9, 2.9)  # RR 0.8, 0.8, 1.0
    found = named([wave for start in starts for wave in beat(start, p=start != 1.1)])
    mean = 2.6 / 3
    expected = {"heart rate (1/min)": 60 / mean, "shortest RR / mean RR": 0.8 / mean, "longest RR / mean RR": 1 / mean}
    expected |= {"deviation of RR / mean RR": np.std([0.8, 0.8, 1.0]) / mean, "RMSSD / mean RR": 0.02**0.5 / mean}
    expected |= {"beats with a P wave (share)": 0.75, "P (s)": 0.1, "PR (s)": 0.16, "QRS (s)": 0.1, "T (s)": 0.18}
    expected |= {"QT (s)": 0.38, "QTc, Bazett (s)": 0.38 / mean**0.5}
    for number, lead in enumerate(STANDARD_LEADS, 1):
        heights = {"P": 0.1, "R": 1.0, "S": -0.4, "ST": 0.05, "T": 0.3}
        expected |= {f"{what} in {lead} (mV)": number * height for what, height in heights.items()}
    foot = 6 * 0.6 * 2 / 3**0.5
    expected |= {
        "cosine of the QRS axis": 0.6 / np.hypot(0.6, foot),
        "sine of the QRS axis": foot / np.hypot(0.6, foot),
    }
    expected |= {"no beats": 0, "no P waves": 0, "no T waves": 0}
    assert found == pytest.approx(expected, rel=1e-6, abs=2e-6)


def test_what_is_missing_says_so_in_columns_of_its_own() -> None:
    without_p = named([*beat(1.0, p=False), *beat(2.0, p=False)])
    assert (without_p["no P waves"], without_p["no T waves"], without_p["no beats"]) == (1, 0, 0)
    assert without_p["beats with a P wave (share)"] == 0 and without_p["P in II (mV)"] == 0
    nothing = named([], np.zeros((600, 12), np.float32))
    assert (nothing["no beats"], nothing["no P waves"], nothing["no T waves"]) == (1, 1, 1)
    assert all(np.isfinite(value) for value in nothing.values())


def test_commands_take_simple_as_an_encoder(generated_cinc: Path, tmp_path: Path) -> None:
    pytest.importorskip("neurokit2")
    records = sorted(generated_cinc.rglob("*.hea"))[:2]
    out = tmp_path / "simple.csv"
    done = CliRunner().invoke(main, ["embed", "simple", *map(str, records), "--out", str(out), "--mean"])
    assert done.exit_code == 0, done.output
    with out.open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["id"] for row in rows] == [record.stem for record in records]
    assert all(30 < float(row["e0"]) < 200 and float(row[f"e{len(FEATURE_NAMES) - 3}"]) == 0 for row in rows)


def test_padding_of_short_recordings_is_no_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    from ecg_advmask.export import simple

    seen = []
    monkeypatch.setattr(simple, "delineate", lambda signals, _: seen.append(signals) or WaveAnnotations((), 0, 0))
    window = np.concatenate([np.random.default_rng(0).normal(size=(700, 12)), np.ones((300, 12))]).astype(np.float32)
    SimpleFeatures().run(window[None])
    assert len(seen[0]) == 701  # the first sample of the padding differs from what comes before it


def test_without_neurokit_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "neurokit2", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(InputError, match="neurokit2"):
        SimpleFeatures()
