"""Where masks lie: on the samples of a view, or on the bins of its leads' short-time spectra.

A domain makes the adversary whose masks lie in it, and takes from signals what a mask covers.
"""

from typing import Any, Protocol

import keras
from keras import ops

from ecg_advmask.augment.spectral import frame_means, from_short_time_spectrum, short_time_spectrum
from ecg_advmask.config import Config
from ecg_advmask.data.scaling import SMALLEST_SPREAD, scale_to_unit
from ecg_advmask.models.unet import mask_activation, unet1d


class MaskDomain(Protocol):
    """What depends on where masks lie."""

    def adversary(self, config: Config) -> keras.Model:
        """The network from views (B, L, 12), scaled to [0, 1], to masks (B, places of the domain, N) in [0, 1]."""

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

    def adversary(self, config: Config) -> keras.Model:
        """As `MaskDomain.adversary`: the U-Net."""
        return unet1d(config.adversary_width, config.adversary_depth, config.masks, activation=config.mask_activation)

    def remaining(self, signals: Any, covered: Any, masked: Any) -> Any:
        """As `MaskDomain.remaining`."""
        return signals * (1.0 - covered * masked[:, None, :])

    def scaled(self, signals: Any) -> Any:
        """As `MaskDomain.scaled`."""
        return scale_to_unit(signals)


class SpectralDomain:
    """Masks (B, frames, bins, N) of a short-time spectrum, whose bins become zero.

    Frame j is centred on the sample ``j * hop`` and has ``2 * hop`` samples; bin k lies at ``k / (2 * hop)`` of the
    sampling rate.
    """

    def __init__(self, hop: int) -> None:
        self.hop = hop

    def adversary(self, config: Config) -> keras.Model:
        """As `MaskDomain.adversary`: the U-Net on the view in time, whose logits are averaged over each frame."""
        bins, masks = self.hop + 1, config.masks
        view = keras.Input((config.view_samples, 12), name="view")
        unet = unet1d(config.adversary_width, config.adversary_depth, bins * masks, activation="linear", name="unet")
        logits = frame_means(unet(view), self.hop)
        logits = ops.reshape(logits, (-1, logits.shape[1], bins, masks))
        return keras.Model(view, mask_activation(config.mask_activation, masks)(logits), name="adversary")

    def remaining(self, signals: Any, covered: Any, masked: Any) -> Any:
        """As `MaskDomain.remaining`.

        The recording's mean is kept: where a view's zero lies is arbitrary, and no content.
        """
        mean = ops.mean(signals, axis=(1, 2), keepdims=True)
        real, imaginary = short_time_spectrum(signals - mean, self.hop)
        kept = 1.0 - ops.transpose(covered, (0, 3, 1, 2)) * masked[:, :, None, None]
        return mean + from_short_time_spectrum(real * kept, imaginary * kept, self.hop, signals.shape[1])

    def scaled(self, signals: Any) -> Any:
        """As `MaskDomain.scaled`, through the places of the smallest and the largest value.

        The gradient of a minimum compares all values with it. XLA computes what remains anew for the comparison, by
        other roundings than for the minimum, finds other places or none, and errs by half of the gradient.
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
