"""What frozen networks give for one fixed signal."""

from pathlib import Path
from typing import Any

import numpy as np

from ecg_advmask.export.encoder import OnnxEncoder
from ecg_advmask.pretrain.run import Run
from golden.recordings import signal_uv


def values_of(run_path: Path, encoder_path: Path, classifier_path: Path) -> dict[str, Any]:
    """Outputs of the networks of a run, of an encoder file and of a classifier file, as plain numbers."""
    signal_mv = signal_uv(7, 600).astype(np.float32) / np.float32(1000)
    windows = np.stack([signal_mv[:250], signal_mv[250:500]])
    low, high = windows.min(axis=(1, 2), keepdims=True), windows.max(axis=(1, 2), keepdims=True)
    scaled = (windows - low) / (high - low)
    run = Run.open(run_path)
    adversary = run.adversary()
    assert adversary is not None
    classified = OnnxEncoder(classifier_path).embed(signal_mv, 100)
    assert classified.predictions is not None
    return {
        "run_encoder": np.asarray(run.encoder()(scaled, training=False)).tolist(),
        "run_adversary": np.asarray(adversary(scaled, training=False))[:, ::25].tolist(),
        "encoder_file": OnnxEncoder(encoder_path).embed(signal_mv, 100).embeddings.tolist(),
        "classifier_file": classified.embeddings.tolist(),
        "predictions": classified.predictions.tolist(),
    }
