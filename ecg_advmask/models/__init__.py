"""Networks: the encoder, the projector and the adversary."""
