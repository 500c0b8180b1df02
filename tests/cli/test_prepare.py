"""The command: its summary, and one line with exit code 2 for bad input."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ecg_advmask.cli import main
from ecg_advmask.data import parts
from ecg_advmask.data.dataset import DataSet

Write = Callable[..., Path]


@pytest.fixture
def archive(tmp_path: Path, write_wfdb: Write) -> Path:
    samples = np.random.default_rng(0).integers(-900, 900, (2, 1150, 12)).astype(np.int16)
    write_wfdb(tmp_path / "in" / "training" / "georgia" / "g1" / "E1.hea", samples[0], 100)
    write_wfdb(tmp_path / "in" / "training" / "chapman_shaoxing" / "g1" / "JS1.hea", samples[1], 100)
    return tmp_path / "in"


def test_summary_and_last_line(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["prepare", str(archive), str(out), "--format", "cinc2021", "--sampling-rate", "100", "--workers", "1"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    table = {line.split()[0]: line.split()[1:] for line in lines}
    assert table["chapman_shaoxing"] == ["1", "0", "1", "0", "left", "out", "1"]
    assert table["georgia"] == ["1", "1", "0", "1"]
    assert table["all"] == ["2", "1", "1", "1", "left", "out", "1"]
    assert "seconds at the ends of recordings that did not fill a window: 1.50" in lines
    assert lines[-1] == (
        f"Wrote {out}: 1 windows of 1 recordings, 1 recordings refused ({out}/refused.csv gives the reasons)"
    )
    assert DataSet.open(out).records["id"].tolist() == ["E1"]


@pytest.mark.parametrize(
    ("source", "options", "reason"),
    [
        ("in", ["--shard", "2"], "--shard 2: expected I/N"),
        ("in", ["--shard", "3/2"], "shard 3/2: must be from 1/2 to 2/2"),
        ("in", ["--refuse", "flat,ugly"], "ugly"),
        ("in", ["--min-seconds", "0"], "least length of 0 s"),
        ("absent", [], "is not a folder"),
        ("", [], "holds no recordings"),
        ("in", ["--seconds", "60"], "none of the 2 recordings can be used"),
        ("in", ["--patients", "absent.csv"], "absent.csv: cannot be read"),
        ("in", ["--sampling-rate", "-5"], "whole number of samples"),
        ("in", ["--workers", "0"], "workers 0"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    archive: Path, tmp_path: Path, source: str, options: list[str], reason: str
) -> None:
    (tmp_path / "empty").mkdir()
    folder = archive if source == "in" else tmp_path / (source or "empty")
    arguments = ["prepare", str(folder), str(tmp_path / "out"), "--format", "cinc2021", "--workers", "1", *options]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    last = result.stderr.splitlines()[-1]
    assert last.startswith("ecg-advmask prepare: ")
    assert reason in last
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


def test_jobs_and_merge(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["prepare", str(archive), str(out), "--format", "cinc2021", "--sampling-rate", "100", "--workers", "1"]
    first = CliRunner().invoke(main, [*arguments, "--shard", "1/2"])
    assert first.exit_code == 0, first.output
    assert first.stdout.splitlines()[-1] == (
        f"Wrote part 1/2 to {out}.partial; when all parts are there: ecg-advmask merge {out}"
    )
    early = CliRunner().invoke(main, ["merge", str(out)])
    assert early.exit_code == 2
    assert "1 of 2 shards are not finished (1)" in early.stderr
    assert CliRunner().invoke(main, [*arguments, "--shard", "2/2"]).exit_code == 0
    merged = CliRunner().invoke(main, ["merge", str(out)])
    assert merged.exit_code == 0, merged.output
    assert "Wrote" in merged.stdout.splitlines()[-1]
    assert DataSet.open(out, verify=True).records["id"].tolist() == ["E1"]


def test_an_interruption_says_how_to_go_on(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(parts, "read_entry", interrupt)
    arguments = ["prepare", str(archive), str(tmp_path / "out"), "--format", "cinc2021", "--workers", "1"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].endswith("out: interrupted; the same command continues where it stopped")


def test_info_prints_the_whole_account(archive: Path, tmp_path: Path, write_wfdb: Write) -> None:
    flat = np.random.default_rng(0).integers(-900, 900, (3000, 12)).astype(np.int16)
    flat[1000:2000, 3] = 5
    write_wfdb(archive / "training" / "ptb" / "g1" / "S1.hea", flat, 100, comments=["#Dx: 59118001,713427006,1"])
    write_wfdb(archive / "training" / "ptb" / "g1" / "S2.hea", flat[:300], 100)
    (tmp_path / "labels.csv").write_text("id,ward\nS1,north\nX,south\n")
    arguments = ["prepare", str(archive), str(tmp_path / "out"), "--format", "cinc2021", "--sampling-rate", "100"]
    arguments += ["--labels", str(tmp_path / "labels.csv"), "--workers", "1"]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    result = CliRunner().invoke(main, ["info", str(tmp_path / "out"), "--verify"])
    assert result.exit_code == 0, result.output
    cells = [line.split() for line in result.stdout.splitlines()]
    assert ["ptb", "2", "1", "1", "2", "length", "1"] in cells
    assert ["all", "4", "2", "2", "3", "left", "out", "1,", "length", "1"] in cells
    flat_line = next(line for line in cells if line[:1] == ["flat"])
    assert flat_line[:7] == ["flat", "below", "1", "uV", "0", "1", "0"]
    assert next(line for line in cells if line[:1] == ["einthoven"])[4:7] == ["0", "0", "3"]
    assert next(line for line in cells if line[:1] == ["CRBBB|RBBB"])[1:6] == ["0", "0", "1", "1", "1"]
    assert "windows refused of recordings that were kept: 1 (flat 1)" in result.stdout
    assert "ward: 1 recordings, 1 values" in result.stdout
    assert "rows of the table of labels that name no recording: 1" in result.stdout
    assert result.stdout.splitlines()[-1] == "Every file has the contents it was written with."

    shard = next(path for path in (tmp_path / "out").glob("shard-*.tfrecord") if path.stat().st_size)
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)
    assert CliRunner().invoke(main, ["info", str(tmp_path / "out")]).exit_code == 0
    result = CliRunner().invoke(main, ["info", str(tmp_path / "out"), "--verify"])
    assert result.exit_code == 2
    assert f"{shard.name}: was altered since it was made" in result.stderr


def prepared(source: Path, out: Path, layout: str, *options: object) -> tuple[DataSet, list[str]]:
    arguments = ["prepare", source, out, "--format", layout, "--sampling-rate", "100", "--workers", "1", *options]
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return DataSet.open(out), result.stdout.splitlines()


def test_patients_come_from_table_or_header_and_are_reported(tmp_path: Path, write_wfdb: Write) -> None:
    """Six recordings: three of the header's subject 100, of which the table gives one to patient 7; three unknown."""
    for number, comments in enumerate([["# <subject_id>: 100"]] * 3 + [["# Sex: M"], ["#Patient ID: NA"], []]):
        samples = np.random.default_rng(number).integers(-900, 900, (1000, 12)).astype(np.int16)
        write_wfdb(tmp_path / "in" / f"r{number}.hea", samples, 100, comments=comments)
    (tmp_path / "t.csv").write_text("id,Subject ID,x\nr0.hea,7.0,1\nr1,NA,1\nr3,,1\nr9,8,1\n")
    data, lines = prepared(tmp_path / "in", tmp_path / "out", "wfdb", "--labels", tmp_path / "t.csv")
    found = dict(zip(data.records["id"], data.records["patient"], strict=True))
    assert found == {"r0": "7", "r1": "100", "r2": "100", "r3": "in/r3", "r4": "in/r4", "r5": "in/r5"}
    line = next(line for line in lines if line.startswith("patients: "))
    assert "5 of 6 recordings, 1 with several (at most 2)" in line
    assert "1 recordings from a table" in line and "2 recordings from the files" in line
    assert "unknown of 3 recordings" in line
    assert "rows of the table of labels that name no recording: 1 (r9)" in lines
    assert any(one.startswith("recordings without a row in the table of labels: 3 (r") for one in lines)


def test_a_table_that_is_not_understood_does_not_lose_to_the_header(tmp_path: Path, write_wfdb: Write) -> None:
    for number in range(3):
        samples = np.random.default_rng(number).integers(-900, 900, (1000, 12)).astype(np.int16)
        write_wfdb(tmp_path / "in" / f"r{number}.hea", samples, 100, comments=["# Age: 50", "# Sex: Male"])
    (tmp_path / "t.csv").write_text("id,sex,age\nr0,Woman,062Y\nr1,divers,old\n")
    data, lines = prepared(tmp_path / "in", tmp_path / "out", "wfdb", "--labels", tmp_path / "t.csv")
    rows = data.records.set_index("id")
    assert rows["sex"].to_dict() == {"r0": "female", "r1": "", "r2": "male"}
    assert rows["age_years"].fillna(-1).to_dict() == {"r0": 62, "r1": -1, "r2": 50}
    assert any("sex: 1 cells are not understood" in line for line in lines)
    (tmp_path / "t.csv").write_text("id,sex\nr0,0\nr1,1\n")
    arguments = ["prepare", str(tmp_path / "in"), str(tmp_path / "two"), "--format", "wfdb", "--workers", "1"]
    refused = CliRunner().invoke(main, [*arguments, "--labels", str(tmp_path / "t.csv")])
    assert refused.exit_code == 2 and "--sex-codes" in refused.stderr and not (tmp_path / "two").exists()
    codes = ("--labels", tmp_path / "t.csv", "--sex-codes", "0=female, 1=male")
    data, _ = prepared(tmp_path / "in", tmp_path / "two", "wfdb", *codes)
    assert data.records.set_index("id")["sex"].to_dict() == {"r0": "female", "r1": "male", "r2": "male"}
    for wrong in ("0", "0=x", "0=male,0=female", "=male"):
        result = CliRunner().invoke(main, [*arguments, "--labels", str(tmp_path / "t.csv"), "--sex-codes", wrong])
        assert result.exit_code == 2 and "--sex-codes" in result.stderr


def test_csv_files_have_the_rates_that_the_table_states(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, rate in (("a", 100), ("b", 200), ("c", 400)):
        times = np.arange(10 * rate) / rate
        samples = np.sin(2 * np.pi * 1.5 * times)[:, None] * np.arange(1, 13) / 10
        np.savetxt(tmp_path / "in" / f"{name}.csv", samples, delimiter=",", fmt="%.5f")
    (tmp_path / "t.csv").write_text("filename,sampling_rate_hz\na.csv,100\nb.csv,200.0\n")
    options = ("--labels", tmp_path / "t.csv", "--refuse", "")
    data, _ = prepared(tmp_path / "in", tmp_path / "out", "csv", *options)
    assert dict(zip(data.records["id"], data.records["original_rate_hz"], strict=True)) == {"a": 100, "b": 200}
    refused = (tmp_path / "out" / "refused.csv").read_text()
    assert "c.csv" in refused and "--source-rate" in refused
    data, _ = prepared(tmp_path / "in", tmp_path / "all", "csv", *options, "--source-rate", "400")
    rates = dict(zip(data.records["id"], data.records["original_rate_hz"], strict=True))
    assert rates == {"a": 100, "b": 200, "c": 400}
    first, second, third = (data.signals_mv([data.records["id"].tolist().index(name)])[0] for name in "abc")
    np.testing.assert_allclose(first[50:-50], second[50:-50], atol=0.02)
    np.testing.assert_allclose(first[50:-50], third[50:-50], atol=0.02)


def test_help_names_the_options() -> None:
    result = CliRunner().invoke(main, ["prepare", "--help"])
    assert result.exit_code == 0
    for option in (
        "--format",
        "--sampling-rate",
        "--seconds",
        "--workers",
        "--patients",
        "--include-chapman",
        "--labels",
        "--sex-codes",
        "--shard",
    ):
        assert option in result.output
