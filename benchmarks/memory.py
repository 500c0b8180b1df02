"""``python benchmarks/memory.py [PRESET ...]``: what a training step needs of a GPU's memory, estimated.

With A values given out by the operations of a network for one view, and b bytes for each (4, or 2 in bfloat16), a
batch of B recordings takes

    16 bytes per parameter (weights, gradients, two moments)  +  b * B * (2 * A_encoder + A_adversary)

Gradients of the adversary hold the most: its own values, and the encoder's on both views. The work space of
convolutions is not counted, nor what XLA saves by joining operations.
"""

import sys

import keras
import tensorflow as tf

from ecg_advmask import config as configuration
from ecg_advmask.models.resnet import resnet18_1d
from ecg_advmask.pretrain.trainer import adversary

RECORDINGS = 7
VIEWS = {"Reshape", "ExpandDims", "Squeeze", "Identity", "Cast", "Placeholder"}
"""Operations that give out what they were given."""


def values_of(network: keras.Model, samples: int) -> int:
    """The number of values that the operations of a network give out for one view."""
    step = tf.function(lambda views: network(views, training=True))
    graph = step.get_concrete_function(tf.TensorSpec((RECORDINGS, samples, 12))).graph
    total = 0
    for operation in graph.get_operations():
        for output in operation.outputs if operation.type not in VIEWS else ():
            if output.dtype.is_floating and output.shape.rank and output.shape[0] == RECORDINGS:
                total += output.shape.num_elements() // RECORDINGS
    return total


def main() -> None:
    """Print a row for each preset."""
    print(f"{'preset':24} {'parameters':>12} {'batch':>6} {'float32':>9} {'bfloat16':>9}")
    for name in sys.argv[1:] or ["paper-advmask", "paper-3kg", "cpu-advmask", "cpu-3kg"]:
        config = configuration.load(name)
        encoder = resnet18_1d(config.encoder_width, config.embedding_dim)
        values, parameters = 2 * values_of(encoder, config.view_samples), encoder.count_params()
        if config.method == "advmask":
            network = adversary(config)
            values += values_of(network, config.view_samples)
            parameters += network.count_params()
        gigabytes = [(16 * parameters + size * config.batch_size * values) / 1e9 for size in (4, 2)]
        print(f"{name:24} {parameters:12,} {config.batch_size:6} {gigabytes[0]:6.1f} GB {gigabytes[1]:6.1f} GB")


if __name__ == "__main__":
    main()
