"""Your own recordings, an exported encoder, and a classifier of scikit-learn; TensorFlow is not needed.

    python examples/classify.py ENCODER.onnx FOLDER LABELS.csv COLUMN

FOLDER holds recordings (WFDB, CSV or NumPy files at any sampling rate), LABELS.csv a column ``id`` with the names that
`ecg-advmask embed` gives the recordings and COLUMN with a class for each; with a column ``patient``, no patient is in
two folds. Prints how well the embeddings tell the classes apart, in five folds, beside guessing.
"""

import sys

import numpy as np
import pandas as pd
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ecg_advmask.ecg.sources import read_recordings
from ecg_advmask.export.encoder import EmbeddedRecording, OnnxEncoder
from ecg_advmask.export.rows import embed_recordings

# %% Embed every recording; what cannot be used is reported with its reason.


def embedded(encoder_path: str, folder: str) -> pd.DataFrame:
    """One row per recording, named by its id: the mean embedding of its windows."""
    rows = {}
    for found in embed_recordings(OnnxEncoder(encoder_path), read_recordings(folder)):
        if isinstance(found, EmbeddedRecording):
            rows[found.record_id] = found.mean
        else:
            print(f"left out {found.record_id}: {found.reason}")
    return pd.DataFrame.from_dict(rows, orient="index")


# %% Judge a linear classifier on them, patient by patient.


def judge(embeddings: pd.DataFrame, labels: pd.DataFrame, column: str) -> dict[str, np.ndarray]:
    """Macro AUROC of five folds: of logistic regression on the embeddings, and of guessing."""
    known = labels.dropna(subset=[column]).set_index("id")
    common = embeddings.index.intersection(known.index)
    x, y = embeddings.loc[common].to_numpy(), known.loc[common, column].astype(str).to_numpy()
    patients = known.loc[common, "patient"] if "patient" in known else np.arange(len(common))
    folds = list(StratifiedGroupKFold(5, shuffle=True, random_state=0).split(x, y, patients))
    models = {
        "embeddings": make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000)),
        "guessing": DummyClassifier(strategy="prior"),
    }
    scoring = "roc_auc" if len(set(y)) == 2 else "roc_auc_ovr"
    return {name: cross_val_score(model, x, y, cv=folds, scoring=scoring) for name, model in models.items()}


if __name__ == "__main__":
    encoder_file, recordings, table, label = sys.argv[1:]
    scores = judge(embedded(encoder_file, recordings), pd.read_csv(table, dtype={"id": str}), label)
    for name, values in scores.items():
        print(f"{name}: macro AUROC {values.mean():.3f} ({values.min():.3f} to {values.max():.3f} over folds)")
