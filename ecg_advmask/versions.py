"""Which versions a result was made with."""

import importlib.metadata
import platform
from collections.abc import Iterable

from ecg_advmask import __version__


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions of this package, of Python and of the installed ``packages``."""
    installed = {name: importlib.metadata.version(name) for name in packages}
    return {"ecg-advmask": __version__, "python": platform.python_version(), **installed}
