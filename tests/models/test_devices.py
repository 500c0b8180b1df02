"""On what networks compute, and whether that has bfloat16."""

import dataclasses
from typing import Any

import pytest
import tensorflow as tf

from ecg_advmask import config as configuration
from ecg_advmask.errors import InputError
from ecg_advmask.models import devices

GPUS = {"old": ("NVIDIA V100", (7, 0)), "new": ("NVIDIA A100", (8, 0)), "newer": ("NVIDIA H100", (9, 0))}


@pytest.mark.parametrize(
    ("gpus", "half", "description"),
    [
        ([], False, "the CPU, "),
        (["old"], False, "1 x NVIDIA V100"),
        (["new", "new", "newer"], True, "2 x NVIDIA A100, 1 x NVIDIA H100"),
        (["new", "old"], False, "1 x NVIDIA A100, 1 x NVIDIA V100"),
    ],
)
def test_bfloat16_is_used_where_all_gpus_have_it(
    gpus: list[str], half: bool, description: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def details(gpu: str) -> dict[str, Any]:
        return {"device_name": GPUS[gpu][0], "compute_capability": GPUS[gpu][1]}

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: gpus)
    monkeypatch.setattr(tf.config.experimental, "get_device_details", details)
    assert devices.precision_of("auto") is half
    assert devices.dtype_policy("auto") == ("mixed_bfloat16" if half else "float32")
    assert devices.precision_of(True) and not devices.precision_of(False)
    assert devices.description(3).startswith(description)
    if gpus:
        assert devices.description(1) == f"1 x {GPUS[gpus[0]][0]}"


def test_the_setting_is_yes_no_or_auto() -> None:
    for text, value in (("true", True), ("false", False), ("auto", "auto")):
        config = configuration.load("cpu-advmask", overrides=[f"mixed_precision={text}"])
        assert config.mixed_precision == value and type(config.mixed_precision) is type(value)
    with pytest.raises(InputError, match="mixed_precision = 1"):
        dataclasses.replace(config, mixed_precision=1)
