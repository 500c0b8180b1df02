"""The twelve standard leads: their order, their algebra, and the way to and from the heart vector.

Shapes are ``(..., 12)`` with the leads last, in the order of `STANDARD_LEADS`; amplitudes keep the unit they come in.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

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
    and that follow from the others.
    """

    columns: tuple[int, ...]
    rebuilt: tuple[str, ...] = ()

    def twelve(self, signals: FloatArray) -> FloatArray:
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


def find_leads(names: Sequence[str], *, rebuild: bool = False) -> LeadColumns:
    """The standard leads among the names of columns, in any order and spelling; other columns are left aside.

    Args:
        names: as `lead_index` takes them.
        rebuild: take recordings that lack limb leads, as long as they have two of the six.

    Raises:
        InputError: a lead is there twice, or one is missing that does not follow from the others.
    """
    found: dict[int, int] = {}
    for column, name in enumerate(names):
        try:
            lead = lead_index(str(name))
        except KeyError:
            continue
        if lead in found:
            raise InputError(f"leads: has lead {STANDARD_LEADS[lead]} twice")
        found[lead] = column
    missing = [name for lead, name in enumerate(STANDARD_LEADS) if lead not in found]
    limb = sum(lead < len(_LIMB) for lead in found)
    if missing and not (rebuild and limb >= 2 and len(found) - limb == len(STANDARD_LEADS) - len(_LIMB)):
        needed = "; V1 to V6 and two limb leads are needed, from which the others follow" if rebuild else ""
        raise InputError(f"leads: has {len(found)} of the 12 standard leads, lacks {', '.join(missing)}{needed}")
    return LeadColumns(tuple(found[lead] for lead in sorted(found)), tuple(missing))


def lead_index(name: str) -> int:
    """Column of a lead, whatever the case of its name.

    Surrounding blanks and a leading ``lead``, ``ECG`` or ``EKG`` are ignored; ``DI``, ``DII`` and ``DIII`` are the limb
    leads as Latin languages call them. Other leads are not taken for their neighbours: neither ``MLII``, whose
    electrodes sit elsewhere than those of II, nor ``-aVR``, which is the reverse of aVR.

    Raises:
        KeyError: no standard lead has this name.
    """
    match = _LEAD_NAME.fullmatch(name.strip().lower())
    return _COLUMN_OF[match[1] if match else name]


_LEAD_NAME: Final = re.compile(r"(?:(?:lead|ecg|ekg)[ _-]?)?(\w+)")
_COLUMN_OF: Final = {lead.lower(): column for column, lead in enumerate(STANDARD_LEADS)} | {
    "di": 0,
    "dii": 1,
    "diii": 2,
}


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
