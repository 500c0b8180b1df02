"""Compiled programs are kept between runs: where, how many, and that results are the same with and without them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ecg_advmask import programs
from ecg_advmask.cli import main
from ecg_advmask.errors import InputError

FLAG = "--tf_xla_persistent_cache_directory="


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the variable names, TensorFlow not imported, no flags."""
    monkeypatch.setenv(programs.VARIABLE, str(tmp_path / "my cache"))
    monkeypatch.setenv("TF_XLA_FLAGS", "")
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    return tmp_path / "my cache" / "programs"


def write(path: Path, size: int, used: float) -> Path:
    """A message of one field of 127 bytes or less, or of 16383 or less."""
    path.parent.mkdir(parents=True, exist_ok=True)
    length = bytes([size - 2]) if size < 130 else bytes([(size - 3) % 128 + 128, (size - 3) // 128])
    path.write_bytes(b"\x0a" + length + b"x" * (size - 1 - len(length)))
    assert path.stat().st_size == size
    os.utime(path, (used, used))
    return path


def test_the_folder_is_that_of_the_variable_or_of_the_users_cache(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert programs.folder() == place
    monkeypatch.setenv(programs.VARIABLE, "OFF")
    assert programs.folder() is None
    programs.share()
    assert os.environ["TF_XLA_FLAGS"] == ""
    monkeypatch.delenv(programs.VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert programs.folder() == tmp_path / "xdg" / "ecg-advmask" / "programs"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert programs.folder() == tmp_path / ".cache" / "ecg-advmask" / "programs"


def test_every_kind_of_machine_has_a_folder_of_its_own(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs.share()
    (own,) = place.iterdir()
    assert os.environ["TF_XLA_FLAGS"] == f"{FLAG}'{own}'"
    programs.share()  # once
    assert os.environ["TF_XLA_FLAGS"] == f"{FLAG}'{own}'"
    for name, value in (("XLA_FLAGS", "--other=1"), ("TF_XLA_FLAGS", "--own=1")):
        monkeypatch.setenv("TF_XLA_FLAGS", "")
        monkeypatch.setenv(name, value)
        programs.share()
    assert len(list(place.iterdir())) == 3
    assert os.environ["TF_XLA_FLAGS"].startswith("--own=1 ")


def test_where_nothing_can_be_kept_nothing_is(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", programs)  # imported already
    programs.share()
    monkeypatch.delitem(sys.modules, "tensorflow")
    (tmp_path / "file").touch()
    programs.share(tmp_path / "file")
    assert os.environ["TF_XLA_FLAGS"] == ""
    monkeypatch.setattr(programs, "LEAST_FREE_BYTES", 2**80)
    programs.share(place)
    assert os.environ["TF_XLA_FLAGS"].startswith(f"--tf_xla_persistent_cache_read_only=true {FLAG}")


def test_those_used_longest_ago_are_removed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, older = write(place / "a" / "old.pb", 40, 1000), write(place / "b" / "older.pb", 40, 900)
    new, written = write(place / "b" / "new.pb", 60, 2000), place / "b" / "x.pb17.tmp"
    written.touch()
    assert programs.size_bytes(place) == 140
    monkeypatch.setattr(programs, "MOST_BYTES", 100)
    programs.share()
    assert [path.exists() for path in (new, old, older, written)] == [True, True, False, True]


@pytest.mark.parametrize("damage", ["empty", "cut in its field", "cut in its length", "longer", "of another kind"])
def test_a_damaged_program_is_removed(place: Path, damage: str) -> None:
    whole, damaged = write(place / "a" / "whole.pb", 5000, 1000), write(place / "a" / "damaged.pb", 5000, 1000)
    content = damaged.read_bytes()
    changed = {
        "empty": b"",
        "cut in its field": content[:-1],
        "cut in its length": content[:2],
        "longer": content + b"\x0a",
        "of another kind": b"\x0b" + content[1:],
    }
    damaged.write_bytes(changed[damage])
    programs.share()
    assert whole.exists() and not damaged.exists()


def test_the_command_says_how_much_and_removes_it(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(place / "a" / "one.pb", 10_000, 1000)
    kept = write(tmp_path / "my cache" / "other" / "file", 9, 1000)
    assert f"{place}: 0.01 MB" in CliRunner().invoke(main, ["cache"]).output
    assert file.exists()
    for size in ("0.01", "0.00"):
        result = CliRunner().invoke(main, ["cache", "--clear"])
        assert (result.exit_code, f"{size} MB" in result.output) == (0, True)
    assert not file.exists() and kept.exists()
    monkeypatch.setenv(programs.VARIABLE, "off")
    assert programs.VARIABLE in CliRunner().invoke(main, ["cache", "--clear"]).output

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    place.mkdir(parents=True)
    monkeypatch.setattr(programs.shutil, "rmtree", refuse)
    with pytest.raises(InputError, match="Permission denied"):
        programs.clear(place)


STEPS = """
import sys
from ecg_advmask.cli.environment import import_tensorflow
import_tensorflow()
import keras, numpy as np
from pretrain.small import SMALL, small
import dataclasses
config = dataclasses.replace(SMALL, seed=int(sys.argv[1]), batch_size=4, adversary_every=2, augmentations=("gaussian",))
keras.utils.set_random_seed(config.seed)
model = small(config)
model.compile(jit_compile=True)
model.fit(np.random.default_rng(0).normal(size=(12, 250, 12)).astype("f4"), batch_size=4, verbose=0)
np.savez(sys.argv[2], *(keras.ops.convert_to_numpy(variable) for variable in model.state))
"""


@pytest.mark.slow
def test_results_are_the_same_and_another_seed_takes_the_programs(place: Path, tmp_path: Path) -> None:
    """Three processes: without a cache; with an empty one and another seed; with what that has left there."""
    own = {name: value for name, value in os.environ.items() if name not in (programs.VARIABLE, "TF_XLA_FLAGS")}
    own["PYTHONPATH"] = str(Path(__file__).parent)
    found, kept = {}, []
    for name, seed, cache in (("without", 3, "off"), ("first", 4, place.parent), ("again", 3, place.parent)):
        command = [sys.executable, "-c", STEPS, str(seed), str(tmp_path / f"{name}.npz")]
        subprocess.run(command, env=own | {programs.VARIABLE: str(cache)}, check=True, timeout=900)
        found[name] = (tmp_path / f"{name}.npz").read_bytes()
        kept.append({path: path.stat().st_mtime_ns for path in place.glob("*/*")})
    assert kept[0] == {} and len(kept[1]) >= 1 and kept[2] == kept[1]
    assert found["without"] == found["again"] != found["first"]
