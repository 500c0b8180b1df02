"""Checks of one window: what makes a stretch of a recording unfit, by name, measure and threshold.

The checks judge the recording's own samples, at its own rate, because resampling smears what they look for. `CHECKS` is
the one place of every threshold.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ecg_advmask.leads import STANDARD_LEADS
from ecg_advmask.signals import FloatSignals

Values = npt.NDArray[np.floating | np.integer]


@dataclass(frozen=True)
class Span:
    """What the checks judge: a window's span of a recording, padding left out.

    ``leads_mv`` (12, n) holds the recording's own samples at ``sampling_rate_hz``, leads first, and ``resampled_mv``
    (12, m) what they became at the rate of the window; both float32, millivolts.
    """

    leads_mv: FloatSignals
    sampling_rate_hz: float
    resampled_mv: FloatSignals


@dataclass(frozen=True)
class Check:
    """One check: a measure of each lead (or other part), and the threshold beyond which it fails.

    ``meaning`` is a sentence for the reader of an account; ``refuses`` says whether a window that fails is refused by
    default. ``says`` is the sentence on one failing part, with its ``{value}``. ``fails_below`` turns the comparison.
    """

    name: str
    threshold: float
    unit: str
    meaning: str
    refuses: bool
    measure: Callable[[Span], Values]
    says: str
    parts: tuple[str, ...] = tuple(f"lead {lead}" for lead in STANDARD_LEADS)
    fails_below: bool = False

    def find(self, span: Span) -> list[str]:
        """A sentence with measured value and threshold for every part that fails; none if the window passes."""
        values = self.measure(span)
        failing = values < self.threshold if self.fails_below else values > self.threshold
        limit = f"{'less' if self.fails_below else 'more'} than {self.threshold:g} {self.unit}"
        return [
            f"{self.parts[part]} {self.says.format(value=f'{values[part]:.4g} {self.unit}')}, {limit}"
            for part in np.flatnonzero(failing)
        ]


def _missing(span: Span) -> Values:
    return np.asarray(np.count_nonzero(~np.isfinite(span.leads_mv), axis=1))


def _peak(span: Span) -> Values:
    return np.asarray(np.maximum(np.abs(span.leads_mv).max(axis=1), np.abs(span.resampled_mv).max(axis=1)))


def _deviation_uv(span: Span) -> Values:
    return np.asarray(1000 * np.std(span.leads_mv, axis=1, dtype=np.float64))


_ALL: Final = (
    Check(
        "finite",
        threshold=0,
        unit="samples",
        meaning="A lead has missing or infinite samples.",
        refuses=True,
        measure=_missing,
        says="has {value} missing or infinite",
    ),
    Check(
        "amplitude",
        threshold=32.767,
        unit="mV",
        meaning="A lead reaches an amplitude that no heart produces.",
        refuses=True,
        measure=_peak,
        says="reaches {value}",
    ),
    Check(
        "flat",
        threshold=1,
        unit="uV",
        meaning="A lead carries no signal: its standard deviation is almost nothing.",
        refuses=True,
        measure=_deviation_uv,
        says="is flat, its standard deviation is {value}",
        fails_below=True,
    ),
)

CHECKS: Final[Mapping[str, Check]] = {check.name: check for check in _ALL}
"""All checks by name, in the order in which they are made."""

REFUSED: Final = tuple(check.name for check in _ALL if check.refuses)
"""Names of the checks that refuse a window by default; the others are reported."""

ALWAYS_REFUSED: Final = ("finite", "amplitude")
"""Names of the checks that refuse a window in any case: 16-bit microvolts cannot hold such samples."""
