"""Where an encoder is: a file, a folder with a card, one that comes with the package, or a repository of a model hub.

Such a folder holds ``config.json`` (`CONFIG`), the ONNX file that it names, and ``README.md``, the model card in the
form that hubs read; ``ecg-advmask export --card`` writes it. Base install only; the hub needs ``huggingface-hub``.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import ecg_advmask
from ecg_advmask.errors import InputError
from ecg_advmask.files import read_json, sha256_of

CONFIG: Final = "config.json"
CARD: Final = "README.md"
LIBRARY: Final = "ecg-advmask"
"""``library_name`` in `CONFIG` and in the card."""

_SHIPPED: Final = Path(ecg_advmask.__file__).parent / "encoders"
_REPOSITORY: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


def shipped_encoders() -> dict[str, Path]:
    """Folders of the encoders that come with the package, by their names."""
    return {path.parent.name: path.parent for path in sorted(_SHIPPED.glob(f"*/{CONFIG}"))}


def encoder_file(name_or_path: str | os.PathLike[str], *, revision: str | None = None) -> Path:
    """The ONNX file of an encoder.

    Args:
        name_or_path: one of `shipped_encoders`, whatever files there are; else a file, or a folder with a card; else
            ``OWNER/NAME`` of a repository of huggingface.co, unless there is a folder OWNER here. It is downloaded once
            and then read from the hub's cache.
        revision: branch, tag or commit of the repository.

    Raises:
        InputError: there is none of them, the folder is damaged, ``huggingface-hub`` is not installed, or the
            repository cannot be read.
    """
    name = os.fspath(name_or_path)
    shipped = shipped_encoders()
    if name in shipped:
        return _named_file(shipped[name], name)
    path = Path(name)
    if path.is_dir():
        return _named_file(path, name)
    if not path.exists() and _REPOSITORY.fullmatch(name) and path.suffix != ".onnx" and not path.parent.exists():
        return _named_file(_downloaded(name, revision), name)
    if not path.is_file():
        names = ", ".join(shipped) or "none"
        raise InputError(
            f"{name}: is no file, give an encoder that `ecg-advmask export` wrote, or one that comes with the package "
            f"({names})"
        )
    return path


def encoder_config(folder: str | os.PathLike[str]) -> Mapping[str, Any]:
    """What `CONFIG` in a folder says: ``file`` and its ``sha256``, its ``metadata``, and how it was pretrained.

    Raises:
        InputError: it is missing or damaged.
    """
    path = Path(folder) / CONFIG
    config = read_json(path)
    name, sha256 = config.get("file"), config.get("sha256")
    bare = isinstance(name, str) and Path(name).name == name and name.endswith(".onnx")
    if config.get("library_name") != LIBRARY or not bare or not isinstance(sha256, str):
        raise InputError(f"{path}: does not describe an encoder of {LIBRARY}, give a folder that export --card wrote")
    return config


def _named_file(folder: Path, shown: str) -> Path:
    """The file that a folder's `CONFIG` names, if it is the one that was written."""
    if not (folder / CONFIG).is_file():
        raise InputError(f"{shown}: is a folder without {CONFIG}, give an ONNX file or a folder of export --card")
    config = encoder_config(folder)
    path = folder / str(config["file"])
    if not path.is_file():
        raise InputError(f"{path}: is missing, {CONFIG} beside it names it; export or download it again")
    if sha256_of(path) != config["sha256"]:
        raise InputError(f"{path}: is not the file that {CONFIG} beside it describes; export or download it again")
    return path


def _downloaded(repository: str, revision: str | None) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise InputError(
            f"{repository}: is no file here; a repository of a model hub needs the package huggingface-hub, "
            "pip install 'ecg-advmask[hub]' brings it"
        ) from error
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=[CONFIG, CARD, "*.onnx"]))
    except Exception as error:  # the hub's client raises a different exception for each kind of failure
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"{repository}: is no file here, and cannot be read from the hub ({reason})") from error
