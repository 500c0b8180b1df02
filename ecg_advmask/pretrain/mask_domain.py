"""The domain of the masks: the samples of a view, or the bins of its short-time spectra.

A domain takes from signals what a mask covers; `ecg_advmask.models.unet` has an adversary for each.
"""

from typing import Any, Protocol

from keras import ops

from ecg_advmask.augment.spectral import from_short_time_spectrum, short_time_spectrum
from ecg_advmask.config import Config
from ecg_advmask.data.scaling import SMALLEST_SPREAD, scale_to_unit


class MaskDomain(Protocol):
    """What depends on where masks lie."""

    def remaining(self, signals: Any, covered: Any, masked: Any) -> Any:
        """The signals (B, L, 12) without what is covered of the ``masked`` leads.

        Args:
            signals: in any unit.
            covered: (B, places of the domain, 1 or 12), 1 where all is taken away and 0 where nothing is; for all leads
                alike, or for each.
            masked: (B, 12), 1 for leads that the mask applies to and 0 for others.
        """

    def scaled(self, signals: Any) -> Any:
        """What remains, scaled to [0, 1] as by `scale_to_unit`."""


class TimeDomain:
    """Masks (B, L, N) of samples, which become zero, as in Bo et al. 2022."""

    def remaining(self, signals: Any, covered: Any, masked: Any) -> Any:
        """As `MaskDomain.remaining`."""
        return signals * (1.0 - covered * masked[:, None, :])

    def scaled(self, signals: Any) -> Any:
        """As `MaskDomain.scaled`."""
        return scale_to_unit(signals)


class SpectralDomain:
    """Masks (B, frames, bins, N) of a short-time spectrum, whose bins become zero.

    Frame j is centred on the sample ``j * hop`` and has ``2 * hop`` samples; bin k is at ``k / (2 * hop)`` of the
    sampling rate.
    """

    def __init__(self, hop: int) -> None:
        self.hop = hop

    def remaining(self, signals: Any, covered: Any, masked: Any) -> Any:
        """As `MaskDomain.remaining`.

        The recording's mean is kept: the zero of a view is arbitrary, and no content.
        """
        mean = ops.mean(signals, axis=(1, 2), keepdims=True)
        real, imaginary = short_time_spectrum(signals - mean, self.hop)
        kept = 1.0 - ops.transpose(covered, (0, 3, 1, 2)) * masked[:, :, None, None]
        return mean + from_short_time_spectrum(real * kept, imaginary * kept, self.hop, signals.shape[1])

    def scaled(self, signals: Any) -> Any:
        """As `MaskDomain.scaled`, through the places of the smallest and the largest value.

        The gradient of a minimum compares all values with it. XLA recomputes them for the comparison, and rounds
        them differently than for the minimum: it finds other places or none, and errs by half of the gradient.
        """
        flat = ops.reshape(signals, (-1, signals.shape[1] * signals.shape[2]))
        smallest, largest = (
            ops.sum(flat * ops.one_hot(place(flat, axis=1), flat.shape[1]), axis=1)[:, None, None]
            for place in (ops.argmin, ops.argmax)
        )
        return (signals - smallest) / ops.maximum(largest - smallest, SMALLEST_SPREAD)


def mask_domain(config: Config) -> MaskDomain:
    """The domain that the settings name."""
    return TimeDomain() if config.mask_domain == "time" else SpectralDomain(config.mask_hop_samples)
