"""Masks of the spectrum: what the adversary gives, and what a mask takes away, against slow loops and closed forms."""

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit, softmax

from ecg_advmask.config import Config
from ecg_advmask.models.unet import spectral_adversary
from ecg_advmask.pretrain import trainer
from ecg_advmask.pretrain.mask_domain import SpectralDomain, mask_domain

RATE_HZ, SAMPLES = 100, 250
CONFIG = Config(
    sampling_rate_hz=RATE_HZ,
    window_seconds=2.5,
    adversary_width=8,
    adversary_depth=0,
    mask_domain="spectrum",
    mask_frame_seconds=0.8,
)
HOP, FRAMES, BINS = 40, 8, 41


def signals(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(1.0, 1.0, (3, SAMPLES, 12)).astype(np.float32)


def remaining(x: np.ndarray, covered: np.ndarray, masked: np.ndarray | None = None, hop: int = HOP) -> np.ndarray:
    leads = np.ones((len(x), 12), np.float32) if masked is None else masked
    result: np.ndarray = keras.ops.convert_to_numpy(
        SpectralDomain(hop).remaining(keras.ops.convert_to_tensor(x), covered.astype(np.float32), leads)
    )
    return result


@pytest.mark.parametrize("masks", [1, 12])
def test_what_remains_is_what_a_loop_over_frames_gives(masks: int) -> None:
    rng = np.random.default_rng(1)
    x = signals()
    covered, masked = rng.random((3, FRAMES, BINS, masks)), (rng.random((3, 12)) < 0.6).astype(np.float32)
    expected = np.zeros((3, HOP * (FRAMES + 1), 12))
    for recording in range(3):
        mean = np.mean(x[recording], dtype=np.float64)
        for lead in range(12):
            for frame in range(FRAMES):
                cut = np.zeros(2 * HOP)
                for n in range(2 * HOP):
                    sample = (frame - 1) * HOP + n
                    if 0 <= sample < SAMPLES:
                        cut[n] = (x[recording, sample, lead] - mean) * np.sin(np.pi * (n + 0.5) / (2 * HOP))
                spectrum = np.fft.rfft(cut)
                for k in range(BINS):
                    taken = covered[recording, frame, k, lead if masks == 12 else 0] * masked[recording, lead]
                    spectrum[k] = complex(spectrum[k].real * (1 - taken), spectrum[k].imag * (1 - taken))
                back = np.fft.irfft(spectrum, 2 * HOP)
                for n in range(2 * HOP):
                    expected[recording, frame * HOP + n, lead] += back[n] * np.sin(np.pi * (n + 0.5) / (2 * HOP))
        expected[recording] += mean
    result = remaining(x, covered, masked)
    np.testing.assert_allclose(result, expected[:, HOP : HOP + SAMPLES], rtol=0, atol=1e-5)
    assert np.abs(result - x).max() > 0.5


def test_an_empty_mask_gives_the_view_back_and_a_full_one_nothing() -> None:
    x = signals()
    np.testing.assert_allclose(remaining(x, np.zeros((3, FRAMES, BINS, 1))), x, rtol=0, atol=1e-5)
    nothing = remaining(x, np.ones((3, FRAMES, BINS, 1)))
    np.testing.assert_allclose(nothing, np.broadcast_to(x.mean((1, 2), keepdims=True), x.shape), rtol=0, atol=1e-5)
    spared = np.zeros((3, 12), np.float32)
    np.testing.assert_allclose(remaining(x, np.ones((3, FRAMES, BINS, 1)), spared), x, rtol=0, atol=1e-5)


def test_a_tone_is_gone_with_its_bins_and_stays_without_others() -> None:
    time_s = np.arange(SAMPLES) / RATE_HZ
    tone = np.sin(2 * np.pi * 20 * time_s).astype(np.float32)  # in the middle of bin 16 of frames of 0.8 s
    x = np.repeat(np.stack([tone] * 3)[..., None], 12, axis=2)
    near = np.abs(np.arange(BINS) - 16) <= 3
    own, others = (np.broadcast_to(bins[None, None, :, None], (3, FRAMES, BINS, 1)) for bins in (near, ~near))
    inner = slice(HOP, SAMPLES - HOP)
    assert np.abs(remaining(x, own)[:, inner]).max() < 0.02
    np.testing.assert_allclose(remaining(x, others)[:, inner], x[:, inner], atol=0.02)


def test_frames_that_are_masked_lose_their_time_and_no_other() -> None:
    x = signals() - 1
    covered = np.zeros((3, FRAMES, BINS, 1))
    covered[:, 2:4] = 1  # samples 40 to 160, of which both frames that see 80 to 120 are gone
    result = remaining(x, covered)
    mean = x.mean((1, 2), keepdims=True)
    np.testing.assert_allclose(result[:, 80:120], np.broadcast_to(mean, (3, 40, 12)), atol=1e-5)
    np.testing.assert_allclose(result[:, :40], x[:, :40], atol=1e-5)
    np.testing.assert_allclose(result[:, 160:], x[:, 160:], atol=1e-5)


def test_a_mask_of_a_lead_takes_from_this_lead_alone() -> None:
    x = signals()
    covered = np.zeros((3, FRAMES, BINS, 12))
    covered[..., 4] = 1
    result = remaining(x, covered)
    np.testing.assert_allclose(np.delete(result, 4, axis=2), np.delete(x, 4, axis=2), rtol=0, atol=1e-5)
    assert np.ptp(result[:, :, 4]) < np.ptp(x.mean((1, 2))) + 1e-5


@pytest.mark.parametrize("name", ["time", "spectrum"])
def test_the_gradient_through_the_scaling_is_the_same_under_xla(name: Any) -> None:
    """XLA computes what it scales more than once, not always to the same last bit, on which a minimum's place hangs."""
    rng = np.random.default_rng(2)
    domain = mask_domain(dataclasses.replace(CONFIG, mask_domain=name))
    places = (SAMPLES,) if name == "time" else (FRAMES, BINS)
    x, weights = tf.constant(signals()), tf.constant(rng.normal(size=(3, SAMPLES, 12)), tf.float32)
    masks, all_leads = tf.constant(rng.random((3, *places, 12)), tf.float32), tf.ones((3, 12))

    def scaled_and_gradient(masks: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(masks)
            scaled = domain.scaled(domain.remaining(x, tf.sigmoid(5 * (masks - 0.5)), all_leads))
            weighted = tf.reduce_sum(scaled * weights)
        return scaled, tape.gradient(weighted, masks)

    scaled, gradient = scaled_and_gradient(masks)
    compiled = tf.function(scaled_and_gradient, jit_compile=True, autograph=False)(masks)
    np.testing.assert_allclose(tf.reduce_min(scaled, axis=(1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(tf.reduce_max(scaled, axis=(1, 2)), 1, atol=1e-6)
    np.testing.assert_allclose(compiled[0], scaled, atol=1e-5)
    assert tf.norm(compiled[1] - gradient) < 1e-4 * tf.norm(gradient)


@pytest.mark.parametrize(
    ("masks", "kind"), [(1, "auto"), (2, "sigmoid"), (3, "auto"), (4, "softmax"), (12, "auto"), (12, "softmax")]
)
def test_masks_are_the_activated_means_of_the_logits_over_each_frame(masks: int, kind: Any, tmp_path: Path) -> None:
    keras.utils.set_random_seed(3)
    network = keras.Sequential([keras.Input((None, 12)), keras.layers.Conv1D(BINS * masks, 3, padding="same")])
    adversary = spectral_adversary(network, SAMPLES, HOP, masks, kind)
    x = signals()
    logits = keras.ops.convert_to_numpy(network(x)).astype(np.float64)
    assert logits.shape == (3, SAMPLES, BINS * masks)
    means = np.zeros((3, FRAMES, BINS, masks))
    for frame in range(FRAMES):
        seen = [n for n in range((frame - 1) * HOP, (frame + 1) * HOP) if 0 <= n < SAMPLES]
        means[:, frame] = np.mean(logits[:, seen], axis=1).reshape(3, BINS, masks)
    by_softmax = kind == "softmax" or (kind == "auto" and masks == 3)
    expected = softmax(means, axis=-1) if by_softmax else expit(means)
    found = keras.ops.convert_to_numpy(adversary(x))
    assert found.shape == (3, FRAMES, BINS, masks)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert found.std() > 1e-3

    adversary.save(tmp_path / "adversary.keras")
    keras.utils.set_random_seed(4)
    again = keras.models.load_model(tmp_path / "adversary.keras", compile=False)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(again(x)), found)


def test_frames_are_as_long_at_any_rate_and_under_cmsc_the_view_is_half_the_window() -> None:
    for rate_hz, pairing, frames in ((100, "simclr", 11), (500, "simclr", 11), (500, "cmsc", 6)):
        config = dataclasses.replace(
            CONFIG, sampling_rate_hz=rate_hz, window_seconds=5.0, pairing=pairing, mask_frame_seconds=1.0, masks=2
        )
        adversary = trainer.adversary(config)
        assert adversary.output_shape == (None, frames, rate_hz // 2 + 1, 2)
