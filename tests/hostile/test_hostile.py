"""Hostile archives: whatever is done to one, `prepare` and `embed` keep true numbers, refuse with a reason, or stop.

Every kind of damage in `hostile.damage.DAMAGES` is done on its own with a few fixed seeds; hypothesis then looks for
places, values and pairs of damages that hurt, always the same ones. To look further, with other seeds each time:
``HOSTILE_EXAMPLES=20000 pytest tests/hostile -k searched_further``.
"""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from zipfile import BadZipFile

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from openpyxl.utils.exceptions import IllegalCharacterError

from ecg_advmask.cli import main
from hostile import damage_csv, damage_folders, damage_npz, damage_tables, damage_wfdb
from hostile.archive import LAYOUTS, SECONDS, Place, build, write_labels
from hostile.damage import DAMAGES, FORMS, Damage
from hostile.judge import LIMIT_S, OUT, check_ends, check_good, check_readers, judged, options_of, prepared
from hostile.watch import limited

KINDS = {damage_wfdb: 90, damage_csv: 40, damage_npz: 30, damage_tables: 40, damage_folders: 20}
"""The least number of kinds in each module."""

EXAMPLES = int(os.environ.get("HOSTILE_EXAMPLES", "0"))
SEARCH = settings(
    deadline=None,  # `limited` watches
    derandomize=not EXAMPLES,
    phases=set(Phase) - {Phase.explain},  # which traces every line, so that a large table takes longer than `limited`
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
MEMORY_BYTES = 200_000_000


@contextmanager
def archive(damage: Damage, random: Random) -> Iterator[tuple[Place, str]]:
    """A sound archive of a form in which the damage can be done, in a layout that takes it."""
    form = random.choice(FORMS.get(damage.form, (damage.form,)))
    root = Path(tempfile.mkdtemp(prefix="hostile-"))
    try:
        place = build(root / "x", form)
        if damage.form == "labels":
            write_labels(place)
        yield place, random.choice(LAYOUTS[form])
    finally:
        shutil.rmtree(root)


def test_there_are_many_kinds() -> None:
    assert len(DAMAGES) >= 200
    for module, least in KINDS.items():
        assert sum(damage.do.__module__ == module.__name__ for damage in DAMAGES.values()) >= least, module


@pytest.mark.parametrize("form", LAYOUTS)
def test_a_sound_archive_is_kept_whole(form: str) -> None:
    for layout in LAYOUTS[form]:
        sound = Damage("none", form, "kept", lambda _place, _random: None)
        with archive(sound, Random(0)) as (place, _):
            write_labels(place)
            result = prepared(place, layout)
            check_ends(place, layout, sound, result)
            assert result.refused == []
            check_readers(place)


def one_damage(name: str, random: Random) -> None:
    """Do a damage, and hold what comes of it against what is expected."""
    damage = DAMAGES[name]
    with archive(damage, random) as (place, layout):
        if damage.late:
            result = prepared(place, layout, lambda: damage.do(place, random))
        else:
            damage.do(place, random)
            result = prepared(place, layout)
            check_readers(place)
        check_ends(place, layout, damage, result)


SOME = list(DAMAGES)[::3]


@pytest.mark.parametrize("name", SOME)
def test_one_damage(name: str) -> None:
    one_damage(name, Random(0))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in DAMAGES if name not in SOME])
def test_one_damage_of_the_others(name: str) -> None:
    one_damage(name, Random(0))


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", DAMAGES)
def test_one_damage_with_other_seeds(name: str) -> None:
    for seed in (1, 2):
        one_damage(name, Random(seed))


CLAIMS = [name for name, damage in DAMAGES.items() if damage.claims]


@pytest.mark.parametrize(
    "name", [*CLAIMS[::3], *(pytest.param(name, marks=pytest.mark.slow) for name in CLAIMS if name not in CLAIMS[::3])]
)
def test_what_claims_much_takes_little_memory(name: str) -> None:
    damage, random = DAMAGES[name], Random(1)
    with archive(damage, random) as (place, layout):
        damage.do(place, random)
        tracemalloc.start()
        try:
            prepared(place, layout)
            check_readers(place)
            assert tracemalloc.get_traced_memory()[1] < MEMORY_BYTES
        finally:
            tracemalloc.stop()


def arguments(place: Place, layout: str) -> list[str]:
    """The command that `prepared` runs as a function."""
    rate = options_of(place).sampling_rate_hz
    return [
        *("prepare", str(place.folder), str(place.root / OUT), "--format", layout, "--workers", "1"),
        *("--sampling-rate", str(place.rate_hz), "--seconds", str(SECONDS)),
        *([] if rate is None else ["--source-rate", str(rate)]),
        *([] if place.labels is None else ["--labels", str(place.labels)]),
    ]


def check_command(place: Place, layout: str, damage: Damage, code: int, output: str, errors: str) -> None:
    """Exit code 0 and a summary, or 2 and one line; the files that are left as for `prepared`."""
    assert "Traceback" not in output + errors
    last = errors.splitlines()[-1] if errors else ""
    assert code in {0, 2}
    error = last.removeprefix("ecg-advmask prepare: ") if code == 2 else ""
    assert bool(error) == (code == 2)
    check_ends(place, layout, damage, judged(place, layout, error))


@pytest.mark.parametrize(
    "name", [name for name, damage in DAMAGES.items() if damage.ends == "stops" and not damage.late]
)
def test_what_stops_the_command_is_one_line(name: str) -> None:
    damage, random = DAMAGES[name], Random(2)
    with archive(damage, random) as (place, layout):
        damage.do(place, random)
        with limited(LIMIT_S):
            result = CliRunner().invoke(main, arguments(place, layout))
        check_command(place, layout, damage, result.exit_code, result.stdout, result.stderr)


@pytest.mark.parametrize(
    "name",
    [
        "header that is a pipe",
        pytest.param("signal file named elsewhere", marks=pytest.mark.exhaustive),
        pytest.param("npz of pickled objects", marks=pytest.mark.exhaustive),
    ],
)
def test_a_process_of_its_own(name: str) -> None:
    """Nothing that the tests themselves have set up protects it."""
    damage, random = DAMAGES[name], Random(3)
    with archive(damage, random) as (place, layout):
        damage.do(place, random)
        command = [sys.executable, "-m", "ecg_advmask", *arguments(place, layout)]
        run = subprocess.run(command, capture_output=True, text=True, timeout=6 * LIMIT_S, check=False)
        check_command(place, layout, damage, run.returncode, run.stdout, run.stderr)


# --- the search


def intact(place: Place) -> bool:
    """Whether there are regular files of a common size alone: others must not be opened by a second damage either."""
    try:
        for path in (place.folder, *place.root.rglob("*")):
            found = path.lstat()
            if not stat.S_ISDIR(found.st_mode) and not (stat.S_ISREG(found.st_mode) and found.st_size < 1_000_000):
                return False
    except OSError:  # a path is too long
        return False
    return True


def two_damages(names: tuple[str, str], form: str, random: Random) -> None:
    """Do one damage after the other, the second as far as the first left ground for it."""
    both = [DAMAGES[name] for name in names]
    with archive(Damage("both", form, "any", lambda _place, _random: None), random) as (place, layout):
        if any(damage.form == "labels" for damage in both):
            write_labels(place)
        for damage in both:
            if intact(place):
                with suppress(OSError, ValueError, LookupError, BadZipFile, IllegalCharacterError):
                    damage.do(place, random)
        result = prepared(place, layout)
        check_readers(place)
        if not any(
            damage.ends in {"stops", "any"} or damage.do.__module__ == damage_tables.__name__ for damage in both
        ):
            check_good(place, layout, result)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[tuple[str, str], str]:
    """Two damages, and a form of archive in which both can be done."""
    form = draw(st.sampled_from(sorted(LAYOUTS)))
    names = [
        name for name, damage in DAMAGES.items() if form in FORMS.get(damage.form, (damage.form,)) and not damage.late
    ]
    return (draw(st.sampled_from(names)), draw(st.sampled_from(names))), form


RANDOM = st.randoms(use_true_random=False)


@settings(SEARCH, max_examples=10)
@given(name=st.sampled_from(sorted(DAMAGES)), random=RANDOM)
def test_searched_for_one_damage(name: str, random: Random) -> None:
    one_damage(name, random)


@settings(SEARCH, max_examples=15)
@given(pair=pairs(), random=RANDOM)
def test_searched_for_two_damages(pair: tuple[tuple[str, str], str], random: Random) -> None:
    two_damages(*pair, random)


@pytest.mark.exhaustive
@settings(SEARCH, max_examples=EXAMPLES or 60)
@given(name=st.sampled_from(sorted(DAMAGES)), random=RANDOM)
def test_searched_further_for_one_damage(name: str, random: Random) -> None:
    one_damage(name, random)


@pytest.mark.exhaustive
@settings(SEARCH, max_examples=EXAMPLES or 250)
@given(pair=pairs(), random=RANDOM)
def test_searched_further_for_two_damages(pair: tuple[tuple[str, str], str], random: Random) -> None:
    two_damages(*pair, random)
