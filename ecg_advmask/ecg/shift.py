"""Whether recordings differ from those that an encoder was pretrained on: a two-sample test of features of signals.

In: windows. Out: a `Reference`, which holds features of a few hundred pretraining windows and no signal, and travels in
the encoder's file; and what a comparison with it finds: a `Shift`. Any difference of amplitude, shape, spectrum or the
relation of leads shows, so also one of device or population; what a wrong rate or gain or exchanged leads would explain
is said to be so. NumPy only.

The test is a classifier two-sample test (Lopez-Paz and Oquab, Revisiting classifier two-sample tests, ICLR 2017): a
ridge regression learns to tell the two samples apart, its cross-validated AUROC is the statistic, and permutations of
the samples give its distribution without a difference.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from ecg_advmask.ecg.leads import STANDARD_LEADS

Float64 = npt.NDArray[np.float64]

REFERENCE_WINDOWS: Final = 256
"""Windows that a reference holds: one of each recording, none of them padded."""
MOST_WINDOWS: Final = 128
FEWEST_WINDOWS: Final = 20
"""The most, and the fewest, that are compared with a reference."""
SIGNIFICANCE: Final = 0.01
"""Samples without a difference are taken to differ this often."""

_FORMAT: Final = 1
_FOLDS: Final = 5
_PERMUTATIONS: Final = 199
_RIDGE: Final = 0.3
_BANDS_HZ: Final = ((0.5, 2), (2, 4), (4, 8), (8, 12), (12, 16), (16, 24), (24, 40))
_PAIRS: Final = (
    ("I", "II"), ("II", "III"), ("I", "III"), ("I", "aVR"), ("II", "aVL"), ("III", "aVF"), ("I", "V6"), ("II", "V6"),
    ("I", "V1"), ("V1", "V2"), ("V1", "V3"), ("V2", "V3"), ("V2", "V4"), ("V3", "V4"), ("V3", "V5"), ("V4", "V5"),
    ("V4", "V6"), ("V5", "V6"), ("V1", "V6"),
)  # fmt: skip
_ONE, _OTHER = np.array([[STANDARD_LEADS.index(lead) for lead in pair] for pair in _PAIRS]).T
_SMALLEST_MV: Final = 1e-4
FEATURES: Final = (
    *(f"amplitude of {lead}" for lead in STANDARD_LEADS),
    *(f"skewness of {lead}" for lead in STANDARD_LEADS),
    *(f"correlation of {one} and {other}" for one, other in _PAIRS),
    *(f"power from {low:g} to {high:g} Hz" for low, high in _BANDS_HZ),
)
"""Of each window: standard deviation of a lead (log10 of mV), cube root of its skewness, correlation of two leads
(Fisher-transformed), share of the power of all standardised leads (log10)."""


@dataclass(frozen=True)
class _Moments:
    """What the features of windows follow from, also of windows whose leads, gain or rate are others.

    Attributes:
        deviations, skewness: (n, 12) in mV, and cube roots.
        correlations: (n, 12, 12).
        power: (n, samples // 2 + 1) of the standardised leads together.
        samples: in a window.
    """

    deviations: Float64
    skewness: Float64
    correlations: Float64
    power: Float64
    samples: int

    @classmethod
    def of(cls, windows_mv: npt.NDArray[np.floating]) -> Self:
        centred = np.asarray(windows_mv, np.float64)
        centred = centred - centred.mean(axis=1, keepdims=True)
        deviations = np.maximum(centred.std(axis=1), _SMALLEST_MV)
        standard = centred / deviations[:, None]
        correlations = np.swapaxes(standard, 1, 2) @ standard / standard.shape[1]
        power = np.square(np.abs(np.fft.rfft(standard, axis=1))).sum(axis=2)
        return cls(deviations, np.cbrt(np.mean(standard**3, axis=1)), correlations, power, standard.shape[1])

    def features(self, sampling_rate_hz: float, leads: "_Leads | None" = None, gain: float = 1.0) -> Float64:
        """`FEATURES` (n, F), rounded as a `Reference` stores them."""
        order, signs = (np.arange(12), np.ones(12)) if leads is None else leads
        one, other = order[_ONE], order[_OTHER]
        correlations = self.correlations[:, one, other] * signs[_ONE] * signs[_OTHER]
        hertz = np.fft.rfftfreq(self.samples, 1 / sampling_rate_hz)
        inside = np.array([(hertz >= low) & (hertz < high) for low, high in _BANDS_HZ], np.float64)
        shares = self.power @ inside.T / np.maximum(self.power.sum(axis=1, keepdims=True), 1e-12)
        parts = [
            np.log10(self.deviations[:, order] * gain),
            self.skewness[:, order] * signs,
            np.arctanh(np.clip(correlations, -0.999, 0.999)),
            np.log10(np.maximum(shares, 1e-6)),
        ]
        return np.concatenate(parts, axis=1).astype(np.float16).astype(np.float64)


_Leads = tuple[npt.NDArray[np.int64], Float64]
"""The lead that stands in each place (12,), and its sign (12,)."""


def _exchanged(**leads: str) -> _Leads:
    """The twelve leads, of which some are others, given as the name of another with a sign."""
    order, signs = np.arange(12), np.ones(12)
    for place, text in leads.items():
        order[STANDARD_LEADS.index(place)] = STANDARD_LEADS.index(text.lstrip("-"))
        signs[STANDARD_LEADS.index(place)] = -1 if text.startswith("-") else 1
    return order, signs


_EXCHANGES: Final[Mapping[str, _Leads]] = {
    "the electrodes RA and LA exchanged": _exchanged(I="-I", II="III", III="II", aVR="aVL", aVL="aVR"),
    "the electrodes RA and LL exchanged": _exchanged(I="-III", II="-II", III="-I", aVR="aVF", aVF="aVR"),
    "the electrodes LA and LL exchanged": _exchanged(I="II", II="I", III="-III", aVL="aVF", aVF="aVL"),
    **{
        f"V{number} and V{number + 1} exchanged": _exchanged(
            **{f"V{number}": f"V{number + 1}", f"V{number + 1}": f"V{number}"}
        )
        for number in range(1, 6)
    },
    "V1 to V6 in reverse order": _exchanged(**{f"V{number}": f"V{7 - number}" for number in range(1, 7)}),
    "all leads inverted": (np.arange(12), -np.ones(12)),
}
_GAINS: Final = (0.001, 0.1, 0.5, 2.0, 10.0, 1000.0)
_RATES: Final = (0.25, 0.5, 2.0, 4.0)
_MOST_ARE: Final = 0.75
"""An explanation makes at least this share of the windows more like those of pretraining."""


@dataclass(frozen=True)
class Shift:
    """What a comparison found.

    Attributes:
        windows: how many were compared, one of each recording.
        auroc: of the classifier that tells them from those of pretraining; about 0.5 without a difference.
        p: how often samples without a difference would give such an AUROC or a higher one.
        features: those that differ most, with their median here and in pretraining, as text.
        explanation: what would make most of the windows more like those of pretraining, empty if nothing known does.
        explained: the share of the windows of which that holds.
    """

    windows: int
    auroc: float
    p: float
    features: tuple[tuple[str, str, str], ...] = ()
    explanation: str = ""
    explained: float = 0.0

    @property
    def differs(self) -> bool:
        """Whether the difference is significant."""
        return self.p <= SIGNIFICANCE

    def lines(self) -> list[str]:
        """The warning, in lines; empty where there is no significant difference."""
        if not self.differs:
            return []
        shown = "; ".join(f"{name} {here} (there {there})" for name, here, there in self.features)
        lines = [
            "these recordings differ from those that the encoder was pretrained on: a classifier tells them apart with "
            f"an AUROC of {self.auroc:.2f} (p = {self.p:.3f}, {self.windows} recordings compared); most in {shown}"
        ]
        if self.explanation:
            lines.append(
                f"{100 * self.explained:.0f} % of them would be more like those of pretraining with "
                f"{self.explanation}: check how they were read"
            )
        return lines


@dataclass(frozen=True)
class Reference:
    """Features (n, F) of pretraining windows, by the names in `FEATURES`."""

    features: Float64

    @classmethod
    def of(cls, windows_mv: npt.NDArray[np.floating], sampling_rate_hz: float) -> Self:
        """The reference of windows (n, L, 12) in mV without missing samples, one of each recording."""
        return cls(_Moments.of(windows_mv).features(sampling_rate_hz))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """What `text` gave.

        Raises:
            ValueError: it is something else, or of another version.
        """
        stored = json.loads(text)
        if not isinstance(stored, dict) or stored.get("format") != _FORMAT:
            raise ValueError("is of another version")
        values = np.frombuffer(base64.b64decode(stored["float16"], validate=True), "<f2").astype(np.float64)
        if not values.size or values.size % len(FEATURES) or not np.isfinite(values).all():
            raise ValueError("does not hold the features of windows")
        return cls(values.reshape(-1, len(FEATURES)))

    def text(self) -> str:
        """All of it as one line of ASCII."""
        values = base64.b64encode(self.features.astype("<f2").tobytes()).decode()
        return json.dumps({"format": _FORMAT, "float16": values})

    def compare(self, windows_mv: npt.NDArray[np.floating], sampling_rate_hz: float) -> Shift:
        """Compare windows (n, L, 12) in mV, one of each recording and none padded, with those of pretraining."""
        moments = _Moments.of(windows_mv)
        here = moments.features(sampling_rate_hz)
        auroc, p = two_sample_test(self.features, here)
        if p > SIGNIFICANCE:
            return Shift(len(here), auroc, p)
        explanation, explained = self._explanation(moments, sampling_rate_hz)
        return Shift(len(here), auroc, p, self._most_different(here), explanation, explained)

    def _most_different(self, here: Float64, most: int = 3) -> tuple[tuple[str, str, str], ...]:
        of_here = np.arange(len(self.features) + len(here)) >= len(self.features)
        each = np.abs(_aurocs(np.concatenate([self.features, here]), of_here[:, None]) - 0.5)
        medians = np.median(here, axis=0), np.median(self.features, axis=0)
        chosen = np.argsort(-each, kind="stable")[:most].tolist()
        return tuple((FEATURES[one], *(_in_words(one, median[one]) for median in medians)) for one in chosen)

    def _explanation(self, moments: _Moments, sampling_rate_hz: float) -> tuple[str, float]:
        """What would bring the windows closest to those of pretraining, and the share of those that it brings closer.

        The distance is Mahalanobis's, of features in units of their quartiles.
        """
        low, centre, high = np.percentile(self.features, [25, 50, 75], axis=0)
        scale = np.maximum((high - low) / 1.349, 1e-3)
        covariance = np.cov(np.clip((self.features - centre) / scale, -4, 4).T)
        precision = np.linalg.inv(0.9 * covariance + 0.1 * np.eye(len(covariance)))

        def distances(features: Float64) -> Float64:
            offset = np.clip((features - centre) / scale, -8, 8)
            return np.asarray(np.einsum("ni,ij,nj->n", offset, precision, offset))

        before = distances(moments.features(sampling_rate_hz))
        candidates = {name: moments.features(sampling_rate_hz, leads) for name, leads in _EXCHANGES.items()}
        candidates |= {f"amplitudes times {gain:g}": moments.features(sampling_rate_hz, gain=gain) for gain in _GAINS}
        candidates |= {f"a sampling rate times {rate:g}": moments.features(sampling_rate_hz * rate) for rate in _RATES}
        closer = {name: before - distances(features) for name, features in candidates.items()}
        best = max(closer, key=lambda name: float(np.median(closer[name])))
        share = float(np.mean(closer[best] > 0))
        return (best, share) if share >= _MOST_ARE else ("", 0.0)


def two_sample_test(one: Float64, other: Float64, seed: int = 0) -> tuple[float, float]:
    """Cross-validated AUROC of a ridge regression that tells two samples (n, F), (m, F) apart, and its p-value.

    The p-value is exact: it is at most a with a probability of at most a where both samples are of one distribution.

    Args:
        one, other: the samples.
        seed: of the folds and the permutations.
    """
    rng = np.random.default_rng(seed)
    both = np.concatenate([one, other])
    low, centre, high = np.percentile(both, [25, 50, 75], axis=0)
    scaled = np.clip((both - centre) / np.maximum(high - low, 1e-9), -3, 3)
    own = np.arange(len(both)) >= len(one)
    labels = np.stack([own, *(rng.permutation(own) for _ in range(_PERMUTATIONS))], axis=1)
    fold = rng.permutation(len(both)) % _FOLDS
    scores = np.empty(labels.shape)
    for number in range(_FOLDS):
        fitted = fold != number
        mean, share = scaled[fitted].mean(axis=0), labels[fitted].mean(axis=0)
        inputs = scaled[fitted] - mean
        gram = inputs.T @ inputs + _RIDGE * len(inputs) * np.eye(inputs.shape[1])
        weights = np.linalg.solve(gram, inputs.T @ (labels[fitted] - share))
        scores[~fitted] = (scaled[~fitted] - mean) @ weights + share
    aurocs = _aurocs(scores, labels)
    return float(aurocs[0]), float(np.mean(aurocs >= aurocs[0]))


def _aurocs(scores: Float64, labels: npt.NDArray[np.bool_]) -> Float64:
    """AUROC of each column of scores (n, K) for labels (n, K) or (n, 1)."""
    ranks, positive = np.stack([_ranks(column) for column in scores.T], axis=1), labels.sum(axis=0)
    above = (ranks * labels).sum(axis=0) - positive * (positive + 1) / 2
    return np.asarray(above / (positive * (len(scores) - positive)))


def _ranks(values: Float64) -> Float64:
    """Ranks from 1, equal values with their mean rank, as by `scipy.stats.rankdata`, whose import takes a second."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[places])


def _in_words(feature: int, value: float) -> str:
    """A value of a feature in its unit."""
    kind = FEATURES[feature].partition(" ")[0]
    if kind == "amplitude":
        return f"{10**value:.3g} mV"
    if kind == "skewness":
        return f"{value**3:.2f}"
    return f"{np.tanh(value):.2f}" if kind == "correlation" else f"{100 * 10**value:.2g} %"
