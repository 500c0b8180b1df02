"""The layouts that recordings come in, generated recordings, labels and splits."""
