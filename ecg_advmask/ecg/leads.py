"""The twelve standard leads: their order, their algebra, and the way to and from the heart vector.

Shapes are ``(..., 12)`` with the leads last, in the order of `STANDARD_LEADS`; amplitudes keep the unit they come in.
"""

import functools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ecg_advmask.ecg.units import millivolts
from ecg_advmask.errors import InputError

FloatArray = npt.NDArray[np.floating]

STANDARD_LEADS: Final = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
"""Lead order of every array in this project."""

INDEPENDENT_LEADS: Final = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
"""The leads from which the other four follow; also the rows of the Dower matrix here."""

_INDEPENDENT_COLUMNS: Final = [STANDARD_LEADS.index(lead) for lead in INDEPENDENT_LEADS]

DOWER: Final[npt.NDArray[np.float64]] = np.array(
    [  # X (left), Y (foot), Z (back)
        [0.632, -0.235, 0.059],  # I
        [0.235, 1.066, -0.132],  # II
        [-0.515, 0.157, -0.917],  # V1
        [0.044, 0.164, -1.387],  # V2
        [0.882, 0.098, -1.277],  # V3
        [1.213, 0.127, -0.601],  # V4
        [1.125, 0.127, -0.086],  # V5
        [0.831, 0.076, 0.230],  # V6
    ]
)
"""(8, 3): independent leads from the heart vector. Dower, Machado, Osborne 1980 (Clin Cardiol 3:87-95)."""

_LIMB: Final = np.array([[1, 0], [0, 1], [-1, 1], [-0.5, -0.5], [1, -0.5], [-0.5, 1]])
"""(6, 2): the limb leads from I and II, as in `twelve_from_eight`; any two of the rows are independent."""


@dataclass(frozen=True)
class LeadColumns:
    """Where a recording holds the standard leads.

    ``columns`` are those of the leads that it has, in the standard order, and ``rebuilt`` the limb leads that it lacks
    and that follow from the others. ``units`` are those that the names of these columns state, as in ``I (mV)``; empty
    where a name states none.
    """

    columns: tuple[int, ...]
    rebuilt: tuple[str, ...] = ()
    units: tuple[str, ...] = ()

    def to_twelve_leads(self, signals: FloatArray) -> FloatArray:
        """All twelve leads, ``(..., 12)``, from those that are there, ``(..., n)`` in their order.

        The limb leads span a plane (Einthoven, Goldberger): what is missing follows from the first two that are there.
        """
        if not self.rebuilt:
            return signals
        missing = [STANDARD_LEADS.index(lead) for lead in self.rebuilt]
        there = [lead for lead in range(len(STANDARD_LEADS)) if lead not in missing]
        weights = _LIMB[missing] @ np.linalg.inv(_LIMB[there[:2]])
        complete = np.empty((*signals.shape[:-1], len(STANDARD_LEADS)), signals.dtype)
        complete[..., there] = signals
        with np.errstate(over="ignore", invalid="ignore"):  # infinite samples are refused later, by name
            complete[..., missing] = signals[..., :2] @ weights.T.astype(signals.dtype)
        return complete


@dataclass(frozen=True)
class LeadNames:
    """What the user says about the columns of files whose names are not those of leads, or that have none.

    ``order`` names the columns of a file without names, one by one; names that are no leads, such as ``time``, stand
    for columns to ignore. ``renamed`` gives the lead of a column by the name that the file gives to it.
    """

    order: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> "LeadNames":
        """``I,II,...`` is an order, ``ECG1=I,ECG2=II`` gives leads to names; an empty text says nothing.

        Raises:
            InputError: it is neither, names a lead twice, or gives to a name what is no lead.
        """
        parts = [part.strip() for part in text.split(",")] if text.strip() else []
        if not any("=" in part for part in parts):
            return cls.of(parts)
        pairs = [tuple(side.strip() for side in part.rpartition("=")[::2]) for part in parts]
        if not all(name and lead for name, lead in pairs):
            raise InputError(f"leads: {text!r} is neither an order (I,II,...) nor names of leads (ECG1=I,ECG2=II,...)")
        for _, lead in pairs:
            if standard_lead(lead) is None:
                raise InputError(f"leads: {lead!r} is none of {', '.join(STANDARD_LEADS)}")
        for side, meaning in ((0, "the column"), (1, "the lead")):
            if twice := _twice([pair[side] for pair in pairs]):
                raise InputError(f"leads: {text!r} has {meaning} {twice} twice")
        return cls(renamed=tuple((name, lead) for name, lead in pairs))

    @classmethod
    def of(cls, order: Sequence[str]) -> "LeadNames":
        """The names of nameless columns, in their order.

        Raises:
            InputError: a lead is named twice, or a name is empty.
        """
        if not all(order):
            raise InputError(f"leads: {','.join(order)!r} has an empty name")
        leads = [STANDARD_LEADS[lead] for name in order if (lead := standard_lead(name)) is not None]
        if twice := _twice(leads):
            raise InputError(f"leads: names lead {twice} twice")
        return cls(order=tuple(order))

    def __str__(self) -> str:
        return ",".join(self.order) or ",".join(f"{name}={lead}" for name, lead in self.renamed)

    def of_nameless(self) -> tuple[str, ...]:
        """Names for columns that have none: the order, or the twelve in the standard one."""
        return self.order or STANDARD_LEADS

    def apply(self, names: Sequence[str]) -> list[str]:
        """The names of columns, with leads in the place of those that are renamed, each with the unit it stated."""
        renamed = dict(self.renamed)
        return [_renamed(str(name).strip(), renamed) for name in names] if renamed else list(map(str, names))


AS_NAMED: Final = LeadNames()
"""Names of columns are taken as they are, and nameless columns for the twelve leads in the standard order."""


def _renamed(name: str, renamed: Mapping[str, str]) -> str:
    bare, unit = _parted(name)
    lead = renamed.get(name) or renamed.get(bare)
    return name if lead is None else f"{lead} ({unit})" if unit else lead


def _twice(names: Sequence[str]) -> str:
    return next((name for place, name in enumerate(names) if name in names[:place]), "")


def find_leads(names: Sequence[str], *, rebuild: bool = False) -> LeadColumns:
    """The standard leads among the names of columns, in any order and spelling; other columns are ignored.

    Args:
        names: in any of the spellings that `standard_lead` knows.
        rebuild: take recordings that lack limb leads, as long as they have two of the six.

    Raises:
        InputError: a lead is there twice, whatever it is called; one is there in reverse only (``-aVR``); or one is
            missing that does not follow from the others.
    """
    return _find_leads(tuple(map(str, names)), rebuild)


@functools.lru_cache(maxsize=256)  # the recordings of an archive name their leads alike
def _find_leads(names: tuple[str, ...], rebuild: bool) -> LeadColumns:
    found: dict[int, int] = {}
    for column, name in enumerate(names):
        lead = standard_lead(name)
        if lead is None:
            continue
        if lead in found:
            other = names[found[lead]].strip()
            calls = "" if other == name.strip() else f" (as {other} and {name.strip()})"
            raise InputError(f"leads: has lead {STANDARD_LEADS[lead]} twice{calls}")
        found[lead] = column
    for name in names:
        reverse = _REVERSED.fullmatch(name.strip().strip(_QUOTES))
        lead = standard_lead(reverse[1]) if reverse else None
        if lead is not None and lead not in found:
            raise InputError(
                f"leads: has {name.strip()}, which is the reverse of {STANDARD_LEADS[lead]}; "
                f"change its sign and name it {STANDARD_LEADS[lead]}"
            )
    missing = [name for lead, name in enumerate(STANDARD_LEADS) if lead not in found]
    limb = sum(lead < len(_LIMB) for lead in found)
    if missing and not (rebuild and limb >= 2 and len(found) - limb == len(STANDARD_LEADS) - len(_LIMB)):
        needed = "; V1 to V6 and two limb leads are needed, from which the others follow" if rebuild else ""
        raise InputError(
            f"leads: has {len(found)} of the 12 standard leads, lacks {', '.join(missing)}{needed}; "
            f"its columns: {_shown(names)}"
        )
    columns = tuple(found[lead] for lead in sorted(found))
    return LeadColumns(columns, tuple(missing), tuple(stated_unit(names[column]) for column in columns))


def _shown(names: Sequence[str]) -> str:
    shown = [text[:_LONGEST_SHOWN] or "(nameless)" for text in (str(name).strip() for name in names[:_MOST_SHOWN])]
    return (", ".join(shown) or "none") + (", ..." if len(names) > _MOST_SHOWN else "")


_MOST_SHOWN: Final = 16
_LONGEST_SHOWN: Final = 20
_QUOTES: Final = "'\"`\u2018\u2019\u201c\u201d \t"
_REVERSED: Final = re.compile(r"(?:.*[ _.:])?[-\u2212\u2013](.+)")
_WITH_UNIT: Final = re.compile(r"(.*?)\s*(?:[(\[]([^()\[\]]*)[)\]]|[\s_/,:]\s*([munµμ]v))", re.IGNORECASE)
_LEAD_NAME: Final = re.compile(r"(?:(?:mdc|lead|ecg|ekg)(?:[ _.:]+|-)?)*([a-z][a-z0-9]*(?:[ _-]?[0-9])?)")
_COLUMN_OF: Final = (
    {lead.lower(): column for column, lead in enumerate(STANDARD_LEADS)}
    | {"di": 0, "dii": 1, "diii": 2, "d1": 0, "d2": 1, "d3": 2, "vr": 3, "vl": 4, "vf": 5}
    | {f"c{number}": 5 + number for number in range(1, 7)}
)


@functools.lru_cache(maxsize=4096)
def standard_lead(name: str) -> int | None:
    """Column of a lead in `STANDARD_LEADS` by the name that a file gives to it; None if it is no standard lead.

    Case, blanks and quotes around the name, a unit behind it (``I (mV)``) and words before it (``lead``, ``ECG``,
    ``EKG``, ``MDC_ECG_LEAD_``) do not matter. ``D1`` or ``DI`` to ``DIII`` are the limb leads as Latin languages call
    them, ``VR``, ``VL``, ``VF`` the augmented ones, ``C1`` to ``C6`` (and ``V-1``, ``V 1``) the chest leads. Other
    leads are not taken for their neighbours: neither ``MLII``, whose electrodes sit elsewhere than those of II, nor
    ``-aVR``, which is the reverse of aVR.
    """
    text = _parted(unicodedata.normalize("NFKC", name).lower())[0]
    bare = _LEAD_NAME.fullmatch(text)
    return _COLUMN_OF.get(re.sub("[ _-]", "", bare[1])) if bare else None


def stated_unit(name: str) -> str:
    """The voltage that the name of a column ends in, as in ``I (mV)``, ``II [uV]`` and ``V1_mV``; empty if in none."""
    return _parted(name)[1]


def _parted(name: str) -> tuple[str, str]:
    """The name of a column without quotes, and the unit of voltage that it ends in."""
    text = name.strip(_QUOTES)
    match = _WITH_UNIT.fullmatch(text)
    unit = (match[2] or match[3] or "").strip() if match else ""
    return (match[1].strip(_QUOTES), unit) if match and millivolts(unit) is not None else (text, "")


def twelve_from_eight(independent: FloatArray) -> FloatArray:
    """All twelve leads from the eight independent ones, ``(..., 8) -> (..., 12)``, in the input's dtype.

    Einthoven: III = II - I. Goldberger: aVR = -(I + II) / 2, aVL = I - II / 2, aVF = II - I / 2.
    """
    lead_i, lead_ii = independent[..., 0:1], independent[..., 1:2]
    derived = [lead_ii - lead_i, -(lead_i + lead_ii) / 2, lead_i - lead_ii / 2, lead_ii - lead_i / 2]
    return np.concatenate([lead_i, lead_ii, *derived, independent[..., 2:]], axis=-1)


def eight_from_twelve(signals: FloatArray) -> FloatArray:
    """The eight independent leads of ``(..., 12)`` signals, in the order of `INDEPENDENT_LEADS`."""
    return signals[..., _INDEPENDENT_COLUMNS]


def leads_from_heart_vector(heart_vector: FloatArray) -> FloatArray:
    """Twelve leads ``(..., 12)`` of a heart vector ``(..., 3)`` in the axes of `DOWER`, in the input's unit."""
    return twelve_from_eight(heart_vector @ DOWER.T)
