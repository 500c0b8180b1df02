"""Exported encoders: written by `onnx`, run by `encoder`, on whole folders by `embed`."""
