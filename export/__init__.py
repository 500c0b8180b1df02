"""Exported encoders: made by `ecg_advmask.export.onnx`, run by `ecg_advmask.export.runtime`."""
