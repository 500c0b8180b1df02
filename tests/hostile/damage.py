"""The table of damages: what is done to an archive, to what, and how it must end.

A damage is a function of a `Place` and a source of random numbers. Hypothesis is that source when it looks for damage
that hurts, so that what it finds is shrunk and can be repeated.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final, Literal

from hostile.archive import Place

Ends = Literal["kept", "refused", "stated", "stops", "any"]
"""How a damage ends when it is the only one: the victim is kept with its values, is refused, is refused or kept with
exactly what its files state by `hostile.oracle`, or the whole work stops with one error. ``any``: it hurts more than
the victim, so that sound recordings may be refused with it, or the work stops."""

FORMS: Final = {"labels": ("wfdb", "csv", "npz"), "folders": ("wfdb", "csv", "npz")}
"""Forms of archives in which damage to tables of labels and to folders is done; other damage has its own form."""


@dataclass(frozen=True)
class Damage:
    """One kind of damage. ``form`` is that of the archive, or a key of `FORMS`.

    ``reason`` is part of the reason or error where there must be one. ``claims`` marks files that claim more than they
    hold or are large, so that memory is measured; ``late`` what happens after the archive was listed.
    """

    name: str
    form: str
    ends: Ends
    do: Callable[[Place, Random], object]
    reason: str = ""
    claims: bool = False
    late: bool = False


DAMAGES: Final[dict[str, Damage]] = {}


def damages(
    form: str, ends: Ends, reason: str = "", *, claims: bool = False, late: bool = False
) -> Callable[..., Callable[..., object]]:
    """Enter a function into the table under its own name."""

    def enter(do: Callable[[Place, Random], object]) -> Callable[[Place, Random], object]:
        name = do.__name__.strip("_").replace("_", " ")
        assert name not in DAMAGES, name
        DAMAGES[name] = Damage(name, form, ends, do, reason, claims, late)
        return do

    return enter


def spoil_bytes(data: bytes, random: Random, most: int = 8) -> bytes:
    """Data with up to ``most`` bytes replaced, taken out or put in, anywhere."""
    spoilt = bytearray(data)
    for _ in range(random.randint(1, most)):
        place = random.randrange(len(spoilt) + 1)
        how = random.choice("rio")
        if how == "i":
            spoilt.insert(place, random.randrange(256))
        elif place < len(spoilt):
            if how == "o":
                del spoilt[place]
            else:
                spoilt[place] = random.randrange(256)
    return bytes(spoilt)
