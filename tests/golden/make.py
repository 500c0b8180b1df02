"""Writes the frozen files of ``tests/golden/files``: run it with the version whose files are to be frozen.

    python tests/golden/make.py

Those in the repository were written by version 0.1.0 (data sets of format version 2, evaluations of 2, studies of 1,
``ecg-advmask encoder 1``, ``ecg-advmask linear head 1``). They are not to be made again because a test fails: files
of finished users look as they do. A change of a format gets a folder of its own beside them.

Folders are packed as zip archives. Of a run, what nothing reads is left out: pictures, events for TensorBoard, locks
and logs. The program writes the whole path of the data set into ``config.json`` of a run; here a relative one takes its
place, so that the files do not depend on where they were made.
"""

import json
import os
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
HERE = Path(__file__).resolve().parent
FILES = HERE / "files"
sys.path.insert(0, str(HERE.parent))

from golden import steps  # noqa: E402
from golden.recordings import write_archive  # noqa: E402
from golden.values import values_of  # noqa: E402

FOLDERS = ("data", "data-fast", "run", "study")
PLAIN = (
    "embeddings.csv",
    "embeddings.npz",
    "embeddings.refused.csv",
    "encoder.onnx",
    "encoder.parity.json",
    "finetune.json",
    "predictions.npz",
    "resumed.csv",
    "sex.head.npz",
    "sex.json",
    "sex.onnx",
    "sex.parity.json",
    "sex.split.csv",
    "values.json",
)
LEFT_OUT = {"masks", "tensorboard", "locks", "logs", "figures", ".lock", "report.html", "report.md"}
"""Names of files and folders that are not packed."""


def make() -> None:
    """Run all steps in the current folder, which is empty."""
    import tensorflow as tf

    write_archive(Path())
    shutil.copy(FILES / "study.toml", "study.toml")
    steps.run(*steps.PREPARE, *steps.FORM)
    steps.run(*steps.PREPARE_FAST, *steps.FORM)
    steps.run(*steps.STUDY)  # in processes of its own
    tf.config.run_functions_eagerly(True)  # the small networks are traced longer than they train
    steps.run(*steps.with_settings(steps.PRETRAIN))
    _resume()
    steps.run(*steps.LINEAR_EVAL)
    steps.run(*steps.FINETUNE, "--out", "finetune.json")
    tf.config.run_functions_eagerly(False)
    steps.run(*steps.EXPORT)
    steps.run(*steps.EXPORT_CLASSIFIER)
    for name in ("embeddings.npz", "embeddings.csv"):
        steps.run(*steps.EMBED, name)
    steps.run(*steps.EMBED_CLASSIFIER, "predictions.npz")
    for path in Path().rglob("config.json"):
        stored = json.loads(path.read_text(encoding="utf-8"))
        stored["dataset"]["path"] = "data"
        path.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")
    values = values_of(Path("run"), Path("encoder.onnx"), Path("sex.onnx"))
    Path("values.json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _resume() -> None:
    """``resumed.csv``: the history of a copy of the run that went on for one more epoch."""
    shutil.copytree("run", "resumed")
    settings = (*steps.SETTINGS, "epochs=3")
    steps.run(*steps.with_settings(("pretrain", "data", "resumed", "--preset", "cpu-advmask", "--resume"), settings))
    shutil.copy("resumed/history.csv", "resumed.csv")
    shutil.rmtree("resumed")


def _pack(folder: Path, target: Path) -> None:
    """A zip archive of a folder, its entries in the order of their names and without times."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not LEFT_OUT & set(path.relative_to(folder).parts):
                name = f"{folder.name}/{path.relative_to(folder).as_posix()}"
                entry = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
                archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, 9)


def main() -> None:
    """Make everything in a temporary folder, then put it in its place."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as temporary:
        os.chdir(temporary)
        try:
            make()
            for name in FOLDERS:
                _pack(Path(temporary) / name, FILES / f"{name}.zip")
            for name in PLAIN:
                shutil.copyfile(name, FILES / name)
        finally:
            os.chdir(before)


if __name__ == "__main__":
    main()
