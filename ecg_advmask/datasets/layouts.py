"""The archive layouts that `prepare` knows, by name: how to list the recordings of each and how to read one."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ecg_advmask.datasets import chapman, cinc2021, own
from ecg_advmask.datasets.listing import Entry, SourceOptions
from ecg_advmask.formats import Recording


@dataclass(frozen=True)
class Layout:
    """``list_entries`` gives every recording in a folder, in any order, ids possibly repeated; ``read`` reads one."""

    meaning: str
    list_entries: Callable[[Path, SourceOptions], Iterator[Entry]]
    read: Callable[[Entry, SourceOptions], Recording]


LAYOUTS: Final[Mapping[str, Layout]] = {
    "cinc2021": Layout("PhysioNet/CinC 2020 and 2021, a folder per source", cinc2021.list_entries, cinc2021.read),
    "chapman": Layout("Chapman-Shaoxing, from figshare or PhysioNet", chapman.list_entries, chapman.read),
    "wfdb": Layout("any folder of WFDB records", own.list_wfdb, own.read),
    "csv": Layout("a folder of CSV files, one per recording", own.list_csv, own.read),
    "npz": Layout("NumPy archives (.npz, .npy) of many recordings", own.list_numpy, own.read),
}
