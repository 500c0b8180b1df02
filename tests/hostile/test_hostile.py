"""Hostile archives: whatever is done to one, `prepare` and `embed` keep true numbers, refuse with a reason, or stop.

Every kind of damage in `hostile.damage.DAMAGES` is done on its own with a few fixed seeds; hypothesis then looks for
places, values and pairs of damages that hurt, always the same ones. To look further, with other seeds each time:
``HOSTILE_EXAMPLES=20000 pytest tests/hostile -k searched``.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecg_advmask.cli import main
from hostile import damage_csv, damage_folders, damage_npz, damage_tables, damage_wfdb
from hostile.archive import LAYOUTS, SECONDS, Place, build, write_labels
from hostile.damage import DAMAGES, FORMS, Damage
from hostile.judge import LIMIT_S, OUT, check_ends, check_readers, judged, options_of, prepared
from hostile.watch import limited

KINDS = {damage_wfdb: 90, damage_csv: 40, damage_npz: 30, damage_tables: 40, damage_folders: 20}
"""The least number of kinds in each module."""

EXAMPLES = int(os.environ.get("HOSTILE_EXAMPLES", "0"))
SEARCH = settings(
    deadline=None,  # `limited` watches
    derandomize=not EXAMPLES,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
MEMORY_BYTES = 100_000_000


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


@pytest.mark.parametrize("name", DAMAGES)
@pytest.mark.parametrize("seed", range(3))
def test_one_damage(name: str, seed: int) -> None:
    damage, random = DAMAGES[name], Random(seed)
    with archive(damage, random) as (place, layout):
        if damage.late:
            result = prepared(place, layout, lambda: damage.do(place, random))
        else:
            damage.do(place, random)
            result = prepared(place, layout)
            check_readers(place)
        check_ends(place, layout, damage, result)
