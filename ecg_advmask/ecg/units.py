"""Units of voltage as files and users write them, alone (``uV``), as a scale (``1e-4V``, ``4.88 uV``) or in words."""

import functools
import math
import re
from typing import Final

MILLIVOLTS_IN: Final = {"mv": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "nv": 1e-6, "v": 1e3}
"""Factor to millivolts of each unit, by its name in lower case."""

_IN_WORDS: Final = re.compile(r"(milli|micro|nano|)[ -]?volts?", re.IGNORECASE)
_LETTER_OF: Final = {"milli": "mv", "micro": "uv", "nano": "nv", "": "v"}
_SCALE: Final = re.compile(
    r"(?P<number>(?:\d{1,12}\.?\d{0,12}|\.\d{1,12})(?:e[+-]?\d{1,2})?)?\s*\*?\s*(?P<unit>[^\W\d_][\w \-]*)",
    re.IGNORECASE,
)


@functools.lru_cache(maxsize=1024)
def millivolts(unit: str) -> float | None:
    """Millivolts in one of a unit; None if it is no voltage.

    A number before the name scales it: one of ``4.88uV`` is 0.00488 mV.
    """
    match = _SCALE.fullmatch(unit.strip())
    if match is None:
        return None
    name = match["unit"].strip().lower()
    if words := _IN_WORDS.fullmatch(name):
        name = _LETTER_OF[words[1]]
    if name not in MILLIVOLTS_IN:
        return None
    factor = float(match["number"] or 1) * MILLIVOLTS_IN[name]
    return factor if math.isfinite(factor) and factor > 0 else None
