"""What a report and a model card read from a run directory and from the folder of a data set, without TensorFlow."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ecg_advmask import presets
from ecg_advmask.config import Config, from_mapping, load
from ecg_advmask.data.account import mentions_generated
from ecg_advmask.errors import InputError
from ecg_advmask.files import read_json
from ecg_advmask.pretrain.history import timed


@dataclass(frozen=True)
class RunFiles:
    """The readable part of a run directory."""

    path: Path
    config: Config
    description: Mapping[str, Any]
    """The whole of ``config.json``."""
    history: pd.DataFrame
    """One row per epoch; empty if none is finished."""
    recordings_seen: int
    generated: bool
    """Whether it was pretrained on recordings that `ecg-advmask synth` made."""
    pictures: tuple[Path, ...]
    """Pictures of the masks, in the order of their names."""

    @classmethod
    def read(cls, path: str | Path) -> "RunFiles":
        """Read a run directory.

        Raises:
            InputError: it is none, or one of its files is damaged.
        """
        folder = Path(path)
        if not (folder / "config.json").is_file():
            raise InputError(f"{folder}: is not a run directory (no config.json); give one that pretrain made")
        description = read_json(folder / "config.json")
        if not isinstance(description.get("config"), dict):
            raise InputError(f"{folder / 'config.json'}: holds no settings of a run; give a folder that pretrain made")
        seen = _read_table(folder / "seen.csv", "id")
        history = timed(_read_table(folder / "history.csv", "epoch"), _read_table(folder / "seconds.csv", "epoch"))
        return cls(
            folder,
            from_mapping(description["config"], str(folder / "config.json")),
            description,
            history.apply(pd.to_numeric, errors="coerce"),
            len(seen),
            mentions_generated(seen),
            tuple(sorted((folder / "masks").glob("*.png"))),
        )


def pretrain_command(run: RunFiles) -> str:
    """The command that repeats the run: its preset, and every setting that differs from it."""
    preset = run.config.preset_name if run.config.preset_name in presets.names() else "paper"
    standard = load(preset).as_dict()
    changed = {key: value for key, value in run.config.as_dict().items() if key != "preset" and value != standard[key]}
    data_path = str(run.description.get("dataset", {}).get("path", "DATA"))
    words = ["ecg-advmask", "pretrain", data_path, str(run.path), "--preset", preset]
    for key, value in changed.items():
        words += ["--set", f"{key}={_as_toml(value)}"]
    return shlex.join(words)


def account_rows(sources: Mapping[str, Any]) -> list[list[Any]]:
    """Per source of a data set: recordings found, kept, refused with reasons, windows."""
    rows = []
    for source, counts in sources.items():
        reasons = "; ".join(f"{reason}: {number}" for reason, number in dict(counts.get("reasons", {})).items())
        keys = ("recordings_in", "recordings_kept", "recordings_refused", "windows_kept")
        rows.append([source or "(none)", *[counts.get(key, 0) for key in keys], reasons])
    return rows


ACCOUNT_COLUMNS = ("source", "recordings found", "kept", "refused", "windows kept", "reasons for refusal")


def _as_toml(value: Any) -> str:
    """A setting as ``--set`` takes it."""
    return value if isinstance(value, str) else json.dumps(value)


def _read_table(path: Path, needed: str) -> pd.DataFrame:
    """A CSV file as text, empty if it does not exist."""
    if not path.is_file():
        return pd.DataFrame({needed: []})
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a table ({error}); is the run complete?") from error
    if needed not in table:
        raise InputError(f"{path}: has no column {needed}; is the folder a run of pretrain?")
    return table
