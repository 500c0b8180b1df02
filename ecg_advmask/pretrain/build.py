"""Settings in, a model ready to train out."""

from typing import Any

import keras

from ecg_advmask.config import Config
from ecg_advmask.pretrain import replicas
from ecg_advmask.pretrain.advmask import AdvMask
from ecg_advmask.pretrain.simclr import SimCLR


def build(config: Config) -> SimCLR:
    """The model of these settings, initialised by their seed and compiled, its optimizers' state made."""
    keras.utils.set_random_seed(config.seed)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if config.mixed_precision else "float32")
    try:
        model = (AdvMask if config.method == "advmask" else SimCLR)(config)
    finally:
        keras.config.set_dtype_policy(policy)  # it counts when layers are made
    optimizers = {"optimizer": _adam(config.learning_rate)}
    if config.method == "advmask":
        rate = config.adversary_learning_rate
        steps = config.adversary_decay_steps
        optimizers["adversary_optimizer"] = _adam(
            keras.optimizers.schedules.CosineDecay(rate, steps) if steps else rate
        )
    # XLA compiles nothing that devices exchange
    model.compile(**optimizers, jit_compile=config.jit_compile and replicas.count() == 1)
    model.build_optimizers()
    return model


def _adam(learning_rate: Any) -> keras.optimizers.Optimizer:
    return keras.optimizers.Adam(learning_rate, epsilon=1e-8)
