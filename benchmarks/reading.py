"""How fast WFDB records are read, as ratios against the wfdb package on the same files in one run.

    python benchmarks/reading.py [FOLDER] [--records 200] [--repeats 5]

Prints milliseconds per record for `wfdb.rdrecord` in a loop, for `wfdb.rdheader` alone, and for `read_wfdb`; without a
folder, for generated recordings in the layout of CinC 2021. Each figure is the median of several repeats, which
alternate with the others so that a busy spell of the machine meets all of them.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import wfdb

from ecg_advmask.ecg.wfdb import read_wfdb
from ecg_advmask.synthetic.archive import write_archive


def medians_ms(functions: dict[str, Callable[[Path], Any]], headers: list[Path], repeats: int) -> dict[str, float]:
    """Median milliseconds per record of each function, after a first round that is not counted."""
    milliseconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(1 + repeats):
        for name, function in functions.items():
            began = time.perf_counter()
            for header in headers:
                function(header)
            milliseconds[name].append(1000 * (time.perf_counter() - began) / len(headers))
    return {name: statistics.median(values[1:]) for name, values in milliseconds.items()}


def measure(folder: Path, records: int, repeats: int) -> None:
    """Measure and print for at most this many records below a folder."""
    headers = list(islice(folder.rglob("*.hea"), records))
    if not headers:
        raise SystemExit(f"{folder}: holds no WFDB headers (*.hea)")
    ms = medians_ms(
        {
            "wfdb.rdrecord": lambda header: wfdb.rdrecord(str(header.with_suffix(""))),
            "wfdb.rdheader": lambda header: wfdb.rdheader(str(header.with_suffix(""))),
            "read_wfdb": read_wfdb,
        },
        headers,
        repeats,
    )
    print(f"{len(headers)} records, median of {repeats}")
    print(f"wfdb.rdrecord: {ms['wfdb.rdrecord']:.2f} ms per record")
    print(f"wfdb.rdheader: {ms['wfdb.rdheader']:.2f} ms, {100 * ms['wfdb.rdheader'] / ms['wfdb.rdrecord']:.0f} % of it")
    print(
        f"read_wfdb: {ms['read_wfdb']:.2f} ms, {ms['wfdb.rdrecord'] / ms['read_wfdb']:.1f} times the rate of rdrecord"
    )


def main() -> None:
    """Measure the folder that is given, or generated recordings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--records", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.folder is not None:
        measure(arguments.folder, arguments.records, arguments.repeats)
        return
    with tempfile.TemporaryDirectory() as temporary:
        archive = Path(temporary) / "archive"
        write_archive(archive, ["cinc2021"], records=arguments.records, seed=0)
        measure(archive, arguments.records, arguments.repeats)


if __name__ == "__main__":
    main()
