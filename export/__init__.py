"""Exported encoders: made by `ecg_advmask.export.onnx`, run by `runtime`, on whole folders by `embedding`."""
