"""The networks, given the published implementation's weights, give its outputs."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ecg_advmask.models.resnet import resnet18_1d
from ecg_advmask.models.unet import unet1d

Arrays = dict[str, np.ndarray]


def load(path: Path) -> Arrays:
    with np.load(path) as archive:
        return {key.removeprefix("w:"): archive[key] for key in archive.files}


def set_weights(model: keras.Model, layer: str, *values: np.ndarray) -> None:
    model.get_layer(layer).set_weights(list(values))


def convolution(weights: Arrays, name: str) -> list[np.ndarray]:
    """Kernel as (kernel, in, out), and the bias where there is one."""
    bias = [weights[f"{name}.bias"]] if f"{name}.bias" in weights else []
    return [weights[f"{name}.weight"].transpose(2, 1, 0), *bias]


def norm(weights: Arrays, name: str) -> list[np.ndarray]:
    return [weights[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]


def encoder_with(weights: Arrays) -> keras.Model:
    model = resnet18_1d(weights["conv1.weight"].shape[0], weights["fc.bias"].size)
    places = {"stem": ("conv1", "bn1")}
    for stage in range(1, 5):
        for block in range(2):
            ours, theirs = f"stage{stage}_block{block + 1}", f"layer{stage}.{block}"
            places |= {f"{ours}_{i}": (f"{theirs}.conv{i}", f"{theirs}.bn{i}") for i in (1, 2)}
        if stage > 1:
            places[f"stage{stage}_block1_shortcut"] = tuple(f"layer{stage}.0.downsample.{i}" for i in (0, 1))
    for ours, (conv, bn) in places.items():
        set_weights(model, f"{ours}_conv", *convolution(weights, conv))
        set_weights(model, f"{ours}_norm", *norm(weights, bn))
    set_weights(model, "embedding", weights["fc.weight"].T, weights["fc.bias"])
    return model


def unet_with(weights: Arrays) -> keras.Model:
    depth = sum(1 for key in weights if key.startswith("layer1.") and key.endswith(".cbr1.conv1.bias"))
    model = unet1d(weights["layer1.0.conv1.bias"].size, depth, weights["outcov.bias"].size)
    places = {}
    for level in range(4):
        places[f"down{level}"] = f"layer{level + 1}.0"
        for block in range(1, depth + 1):
            theirs = f"layer{level + 1}.{block}"
            places |= {f"down{level}_block{block}_{i}": f"{theirs}.cbr{i}" for i in (1, 2)}
            for ours, conv in (("squeeze", "conv1"), ("excite", "conv2")):
                kernel, bias = convolution(weights, f"{theirs}.seblock.{conv}")
                set_weights(model, f"down{level}_block{block}_gate_{ours}", kernel[0], bias)
    places |= {f"up{2 - i}": f"cbr_up{i + 1}" for i in range(3)}
    for ours, theirs in places.items():
        set_weights(model, f"{ours}_conv", *convolution(weights, f"{theirs}.conv1"))
        set_weights(model, f"{ours}_norm", *norm(weights, f"{theirs}.bn"))
    set_weights(model, "logits", *convolution(weights, "outcov"))
    return model


def time_first(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.transpose(0, 2, 1))


@pytest.mark.parametrize("training", [False, True])
def test_encoder_gives_the_published_outputs(shared: Path, training: bool) -> None:
    arrays = load(shared / "reference" / "resnet18_1d.npz")
    output = encoder_with(arrays)(time_first(arrays["x"]), training=training)
    expected = arrays["y_train" if training else "y_eval"]
    assert np.abs(keras.ops.convert_to_numpy(output) - expected).max() < 1e-4


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", ["unet1d_w8_n1", "unet1d_w8_n3", "unet1d_w8_d2_n12"])
def test_adversary_gives_the_published_masks(shared: Path, name: str, training: bool) -> None:
    arrays = load(shared / "reference" / f"{name}.npz")
    output = unet_with(arrays)(time_first(arrays["x"]), training=training)
    expected = time_first(arrays["y_train" if training else "y_eval"])
    assert np.abs(keras.ops.convert_to_numpy(output) - expected).max() < 1e-4


def trainable(model: Any) -> int:
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


def test_parameter_counts_are_those_of_the_published_networks() -> None:
    assert trainable(resnet18_1d(64, 512)) == 4_111_488
    assert trainable(unet1d(16)) == 157_509
    assert trainable(unet1d(32)) == 610_697


@pytest.mark.slow
def test_parameter_counts_of_the_adversary_are_those_of_the_paper() -> None:
    assert trainable(unet1d(512, masks=1)) == 151_697_537
    assert trainable(unet1d(512, masks=4)) == 151_705_220
