"""The projector: what stands between embedding and contrastive loss, in training only."""

import keras
from keras import layers


def projector(embedding_dim: int = 512, hidden: int = 2048, projection_dim: int = 128) -> keras.Model:
    """From ``(B, embedding_dim)`` embeddings to ``(B, projection_dim)`` float32 projections: dense, ReLU, dense.

    Chen et al. 2020 (SimCLR), section 4.2; sizes of Bo et al. 2022.
    """
    embedding = keras.Input((embedding_dim,), name="embedding")
    x = layers.Dense(hidden, activation="relu")(embedding)
    projection = layers.Dense(projection_dim, dtype="float32", name="projection")(x)
    return keras.Model(embedding, projection, name="projector")
