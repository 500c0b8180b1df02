"""Fixtures that several test modules use."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with real recordings and reference arrays; a test that asks for it is skipped where there is none."""
    folder = Path(os.environ.get("ECG_ADVMASK_SHARED") or Path(__file__).resolve().parents[2] / "shared")
    if not (folder / "data").is_dir():
        pytest.skip(f"no real recordings at {folder} (set ECG_ADVMASK_SHARED to their folder)")
    return folder
