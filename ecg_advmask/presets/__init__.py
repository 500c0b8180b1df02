"""One preset per experiment: a method of the papers at a size, as TOML.

A preset is named ``SIZE-METHOD`` after a file of `sizes` and one of `methods`, as in ``cpu-3kg``; the files beside this
one are presets with names of their own. A file may say ``base``: what it starts from, a method for methods, otherwise a
preset. The ``about`` of each is a sentence for the reader.
"""

import tomllib
from pathlib import Path
from typing import Any, Final

from ecg_advmask.errors import InputError

_FOLDER: Final = Path(__file__).parent


def names() -> list[str]:
    """Names of all presets."""
    return sorted(
        {*_stems(_FOLDER)} | {f"{size}-{method}" for size in _stems(_FOLDER / "sizes") for method in method_names()}
    )


def method_names() -> list[str]:
    """What comes after the size in the names of presets."""
    return _stems(_FOLDER / "methods")


def settings(name: str) -> dict[str, Any]:
    """The settings of a preset, and its ``about``.

    Raises:
        InputError: there is no such preset.
    """
    if name not in names():
        raise InputError(f"preset {name!r} does not exist; there are: {', '.join(names())}")
    if name in _stems(_FOLDER):
        return settings_of_file(_FOLDER / f"{name}.toml")
    size, _, method = name.partition("-")
    return read_toml(_FOLDER / "sizes" / f"{size}.toml") | _method(method)


def settings_of_file(path: str | Path) -> dict[str, Any]:
    """The settings of a TOML file, on top of those of the preset that its ``base`` names, if it does.

    Raises:
        InputError: the file is missing or not TOML, or there is no such preset.
    """
    own = read_toml(path)
    base = own.pop("base", None)
    if base is None:
        return own
    if base not in names():
        raise InputError(f"{path}: base {base!r} is no preset; ecg-advmask presets lists them")
    return settings(base) | own


def read_toml(path: str | Path) -> dict[str, Any]:
    """The table of a TOML file.

    Raises:
        InputError: the file is missing or not TOML.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a TOML file ({error})") from error


def _method(name: str) -> dict[str, Any]:
    own = read_toml(_FOLDER / "methods" / f"{name}.toml")
    base = own.pop("base", None)
    return (_method(base) if base else {}) | own


def _stems(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.toml"))
