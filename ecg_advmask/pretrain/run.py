"""A run directory: the files of one pretraining, and how they are opened again.

``config.json`` (settings, data set, versions), ``history.csv`` (one row per epoch), ``seconds.csv`` (the time that each
took), ``seen.csv`` (recordings that were pretrained on), ``reference.json`` (features of some of their windows,
with which new recordings are compared), ``checkpoints/``, ``encoder.keras`` and ``adversary.keras`` (weights after the
last epoch, or after the best where a probe may end the run), ``masks/*.png``, ``tensorboard/``.
"""

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from ecg_advmask import config as configuration
from ecg_advmask.config import Config
from ecg_advmask.data.order import middle_starts
from ecg_advmask.data.summary import mentions_generated
from ecg_advmask.ecg.shift import FEWEST_WINDOWS, REFERENCE_WINDOWS, Reference
from ecg_advmask.errors import InputError
from ecg_advmask.files import atomic_path, clear_temporaries, locked, read_json, versions, write_json, write_text
from ecg_advmask.pretrain.history import HISTORY_FILE, SECONDS_FILE, read_rows, read_table, timed

if TYPE_CHECKING:
    import keras

    from ecg_advmask.data.dataset import DataSet
    from ecg_advmask.export.onnx import Exported


CONFIG_FILE: Final = "config.json"
SEEN_FILE: Final = "seen.csv"
REFERENCE_FILE: Final = "reference.json"
ENCODER_FILE: Final = "encoder.keras"
ADVERSARY_FILE: Final = "adversary.keras"
OWN_FILES: Final = (CONFIG_FILE, SEEN_FILE, REFERENCE_FILE, HISTORY_FILE, SECONDS_FILE, ENCODER_FILE, ADVERSARY_FILE)

CHECKPOINTS: Final = "checkpoints"
MASKS: Final = "masks"
TENSORBOARD: Final = "tensorboard"

PROBE_AUROC: Final = "probe_auroc"
"""The column of the history that holds the probe's mean over tasks."""

_SEEN_COLUMNS: Final = ("id", "patient", "signal_hash")
_PACKAGES: Final = ("keras", "numpy", "tensorflow")


@dataclass(frozen=True)
class Run:
    """An opened run directory."""

    path: Path
    config: Config
    dataset: Mapping[str, Any]
    versions: Mapping[str, str] = field(default_factory=dict)
    """Versions of the packages that it was started with."""

    @classmethod
    def create(cls, path: str | Path, config: Config, data: "DataSet", rows: npt.NDArray[np.int64]) -> "Run":
        """Begin a run directory: its settings, and which recordings (rows of ``data.records``) it will see.

        Raises:
            InputError: the place is taken.
        """
        folder = Path(path)
        if is_started(folder):
            raise InputError(f"{folder}: already exists; add --resume to continue it, or name another folder")
        check_place(folder)
        folder.mkdir(parents=True, exist_ok=True)
        seen = data.records.iloc[rows][["source", *_SEEN_COLUMNS]].drop_duplicates()
        with atomic_path(folder / SEEN_FILE) as temporary:
            seen.to_csv(temporary, index=False)
        reference = reference_of(data, rows, config.window_samples)
        if reference is not None:
            write_text(folder / REFERENCE_FILE, reference.text())
        stored = {
            "path": str(data.path.resolve()),
            "sha256": data.sha256,
            "windows": len(rows),
            "recordings": len(seen),
        }
        run = cls(folder, config, stored)
        run.write_config()
        return run

    @classmethod
    def open(cls, path: str | Path) -> "Run":
        """Open a run directory.

        Raises:
            InputError: the folder is missing or is no run directory, or its settings are damaged.
        """
        folder = Path(path)
        if not (folder / CONFIG_FILE).is_file():
            raise InputError(f"{folder}: is not a run directory (no {CONFIG_FILE}), make one with ecg-advmask pretrain")
        stored = read_json(folder / CONFIG_FILE)
        if not isinstance(stored.get("config"), dict) or not isinstance(stored.get("dataset"), dict):
            raise InputError(f"{folder / CONFIG_FILE}: is damaged (no settings or no data set), pretrain again")
        config = configuration.from_mapping(stored["config"], str(folder / CONFIG_FILE))
        return cls(folder, config, stored["dataset"], stored.get("versions") or {})

    def write_config(self) -> None:
        """Write ``config.json``: what it takes to repeat the run."""
        stored = {"config": self.config.as_dict(), "dataset": dict(self.dataset), "versions": versions(_PACKAGES)}
        write_json(self.path / CONFIG_FILE, stored)

    @property
    def epochs(self) -> int:
        """Epochs at its end, by its settings; the last of them may be cut short where these state ``updates``."""
        return self.config.epochs_of(self.dataset.get("windows", 0))

    def encoder(self) -> "keras.Model":
        """The pretrained encoder: (B, L, 12) float32 scaled to [0, 1] -> (B, embedding_dim) float32.

        Raises:
            InputError: the run has none yet, or the file is damaged.
        """
        return self._model(ENCODER_FILE)

    def adversary(self) -> "keras.Model | None":
        """The mask network: (B, L, 12) float32 scaled to [0, 1] -> masks, (B, L, N) or (B, frames, bins, N).

        None for a method without one.

        Raises:
            InputError: as for `encoder`.
        """
        return self._model(ADVERSARY_FILE) if self.config.method == "advmask" else None

    def save(self, model: "keras.Model") -> None:
        """Write the networks of the model as they are now, each atomically."""
        networks = {ENCODER_FILE: model.kept_encoder, ADVERSARY_FILE: getattr(model, "adversary", None)}
        for name, network in networks.items():
            if network is not None:
                with atomic_path(self.path / name) as temporary:
                    network.save(temporary)

    def export(self, path: str | Path, **options: Any) -> "Exported":
        """Write the encoder to one ONNX file: `ecg_advmask.export.from_run.export_run`, which has the options.

        Raises:
            InputError: as for `encoder`; the path does not end in ``.onnx``, or the options do not go together.
        """
        from ecg_advmask.export.from_run import export_run

        return export_run(self.path, path, **options)

    def seen(self) -> pd.DataFrame:
        """Recordings that the encoder was pretrained on: columns id, patient, signal_hash, all text.

        Raises:
            InputError: the list is missing or damaged.
        """
        return self._seen(list(_SEEN_COLUMNS))

    def reference(self) -> Reference | None:
        """Features of windows that it was pretrained on; None of few recordings, and of runs of older versions.

        Raises:
            InputError: the file is damaged.
        """
        path = self.path / REFERENCE_FILE
        if not path.is_file():
            return None
        try:
            return Reference.from_text(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read ({error}); without it encoders can be exported") from error

    def saw_generated(self) -> bool:
        """Whether it was pretrained on recordings that `ecg-advmask synth` made; raises as `seen`."""
        return mentions_generated(self._seen())

    def sources(self) -> dict[str, int]:
        """How many recordings of each source it was pretrained on, the most first; raises as `seen`."""
        seen = self._seen()
        counts = seen["source"].value_counts() if "source" in seen else pd.Series({}, dtype=int)
        return {str(source): int(count) for source, count in counts.items()}

    def pictures(self) -> list[Path]:
        """Pictures of the masks, in the order of their names, which begin with ``epoch-NNNN-``."""
        return sorted((self.path / MASKS).glob("*.png"))

    def history(self) -> pd.DataFrame:
        """One row per epoch, none before the first; the columns are those that the method tracks, and the ``seconds``.

        A run that was killed may have one row more than it has finished epochs.
        """
        return timed(read_table(self.path / HISTORY_FILE), read_table(self.path / SECONDS_FILE))

    def probed(self) -> dict[int, float]:
        """The probe's mean AUROC in each epoch in which it was asked."""
        rows = read_rows(self.path / HISTORY_FILE)  # exactly as they stand, which pandas does not promise
        return {int(row["epoch"]): float(row[PROBE_AUROC]) for row in rows if row.get(PROBE_AUROC)}

    def _seen(self, columns: list[str] | None = None) -> pd.DataFrame:
        path = self.path / SEEN_FILE
        try:
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
            return table if columns is None else table[columns]
        except (OSError, KeyError, ValueError) as error:
            raise InputError(f"{path}: cannot be read ({error}); without it leakage cannot be ruled out") from error

    def _model(self, name: str) -> "keras.Model":
        import keras

        path = self.path / name
        if not path.is_file():
            raise InputError(f"{path}: is missing; no epoch was finished (continue with ecg-advmask pretrain --resume)")
        try:
            network = keras.models.load_model(path, compile=False)
        except Exception as error:  # Keras lets errors of zip, HDF5 and JSON readers through
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"{path}: cannot be read as a Keras model ({reason})") from error
        if not all(np.isfinite(weight).all() for weight in network.get_weights()):
            raise InputError(f"{path}: holds weights that are not finite; pretrain again with a lower learning_rate")
        return network

    def discard(self) -> None:
        """Remove all that a run without a finished epoch has written, so that its place is free; the lock stays."""
        for name in OWN_FILES:
            (self.path / name).unlink(missing_ok=True)
        for name in (CHECKPOINTS, MASKS, TENSORBOARD):
            shutil.rmtree(self.path / name, ignore_errors=True)


def is_started(path: str | Path) -> bool:
    """Whether there is a run directory. One that was killed before it had its settings does not count."""
    return (Path(path) / CONFIG_FILE).is_file()


def check_place(folder: Path) -> None:
    """See that a folder is a run, or can become one: absent, or with no more in it than a beginning that was killed.

    Raises:
        InputError: something else is there.
    """
    if is_started(folder) or not folder.exists():
        return
    if not folder.is_dir() or any(
        not file.name.startswith(".") and file.name not in (SEEN_FILE, REFERENCE_FILE) for file in folder.iterdir()
    ):
        raise InputError(f"{folder}: already exists and is no run, name another folder")


def reference_of(data: "DataSet", rows: npt.NDArray[np.int64], window_samples: int) -> Reference | None:
    """Features of the middle of random windows of a data set, one of each recording, none of them padded.

    Args:
        data: the data set.
        rows: rows of its records to draw from.
        window_samples: of the windows that an encoder takes.

    Returns:
        None where fewer than `FEWEST_WINDOWS` recordings have such a window.
    """
    records = data.records.iloc[rows]
    whole = rows[(records["valid_samples"] >= window_samples).to_numpy() & ~records["id"].duplicated().to_numpy()]
    if len(whole) < FEWEST_WINDOWS:
        return None
    chosen = np.sort(np.random.default_rng(0).permutation(whole)[:REFERENCE_WINDOWS])
    starts = middle_starts(data.records["valid_samples"].to_numpy(np.int64)[chosen], window_samples)
    return Reference.of(data.windows_uv(chosen, starts, window_samples) * np.float32(1e-3), data.sampling_rate_hz)


def random_encoder(config: Config, seed: int) -> "keras.Model":
    """The encoder of these settings with its initial weights: the companion of every evaluation."""
    import keras

    from ecg_advmask.models.resnet import resnet18_1d

    keras.utils.set_random_seed(seed)
    return resnet18_1d(config.encoder_width, config.embedding_dim)


# ---- A run directory belongs to one process at a time; those that only read it are not kept out.

LOCK_FILE: Final = ".lock"
"""It stays when the process ends; the lock on it does not."""


@contextlib.contextmanager
def locked_run(path: str | Path) -> Iterator[None]:
    """Hold the lock of a run directory while the block runs; what killed processes left half-written in it is removed.

    The folder is made if it is absent.

    Raises:
        InputError: another process holds it, or the place is taken by something that is no run.
    """
    folder = Path(path)
    check_place(folder)
    with locked(folder / LOCK_FILE) as mine:
        if not mine:
            raise InputError(f"{folder}: another process is pretraining in it; wait for its end or name another folder")
        clear_temporaries(folder, *OWN_FILES)
        clear_temporaries(folder / CHECKPOINTS, "*.npz", "*.sha256")
        clear_temporaries(folder / MASKS, "*.png")
        yield
