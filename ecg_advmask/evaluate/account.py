"""What a data set is and what became of the recordings that went into it, as results and reports state it."""

from typing import Any

import pandas as pd

from ecg_advmask.files import read_json
from ecg_advmask.pipeline.shards import DATASET_FILE, DataSet


def describe(data: DataSet) -> dict[str, Any]:
    """Name, hash, rate, window, layout and counts by source of a data set, and whether any recording is generated."""
    header = read_json(data.path / DATASET_FILE)
    return {
        "path": str(data.path),
        "name": data.path.resolve().name,
        "sha256": data.sha256,
        "sampling_rate_hz": data.sampling_rate_hz,
        "window_samples": data.window_samples,
        "layout": str(header.get("layout", "")),
        "sources": header.get("sources", {}),
        "generated": mentions_generated(data.records),
    }


def mentions_generated(table: pd.DataFrame) -> bool:
    """Whether any id, source or patient in a table of recordings says that it was generated, as those of synth do."""
    columns = [table[name].astype(str) for name in ("id", "source", "patient") if name in table]
    return any(bool(column.str.contains("generated", case=False).any()) for column in columns)
