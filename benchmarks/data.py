"""How fast and in how much memory archives become data sets and data sets become batches.

    python benchmarks/data.py rates  [--records 4000] [--repeats 3] [--source FOLDER]
    python benchmarks/data.py stream [--records 2000] [--repeats 5] [--source FOLDER]
    python benchmarks/data.py memory [--records 10000 100000] [--source FOLDER]

`rates`: recordings per second of `prepare` with one and two processes, beside plain `wfdb.rdrecord` in a loop over the
same files. `stream`: windows per second of one epoch of shuffled batches at 500 Hz x 10 s, beside `wfdb.rdrecord` in a
loop and beside the training step of the full-size encoder. `memory`: peak resident memory of `prepare` (summed over
its processes, each at its own peak) and of one epoch of the stream, for two sizes of archive.

Archives are made of the records of FOLDER (default: 64 generated ones of 500 Hz x 10 s) under as many new names as it
takes: every header is a file of its own, and refers to the signal file of the record that it repeats.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ecg_advmask.data.prepare import prepare
from ecg_advmask.ecg.sources import SourceOptions

BATCH = 128


def repeated(folder: Path, archive: Path, records: int) -> Path:
    """An archive of ``records`` records: those of a folder, under new names as often as needed."""
    originals = sorted(folder.rglob("*.hea"))
    for place, original in enumerate(originals):
        target = archive / "training" / "repeated" / f"g{place}"
        target.mkdir(parents=True)
        name, *rest = original.read_text().split(" ", 1)
        (signal_name,) = {line.split()[0] for line in rest[0].splitlines()[1:] if line and not line.startswith("#")}
        (target / signal_name).write_bytes((original.parent / signal_name).read_bytes())
        for number in range(place, records, len(originals)):
            (target / f"{name}_{number:07d}.hea").write_text(f"{name}_{number:07d} {rest[0]}")
    return archive


def generated(folder: Path) -> Path:
    """64 generated records of 500 Hz x 10 s."""
    import shutil

    from ecg_advmask.synthetic.archive import write_archive

    write_archive(folder / "made", ["cinc2021"], records=400, seed=5)
    chosen = folder / "chosen"
    chosen.mkdir()
    whole = [path for path in sorted(folder.rglob("*.hea")) if path.read_text().split()[2:4] == ["500", "5000"]]
    for header in whole[:64]:
        for path in header.parent.glob(f"{header.stem}.*"):
            shutil.copy(path, chosen)
    return chosen


def made(archive: Path, target: Path, workers: int, sampling_rate_hz: int = 500) -> Path:
    """The data set of an archive."""
    options = SourceOptions(include_chapman=True)
    prepare(archive, target, "cinc2021", sampling_rate_hz=sampling_rate_hz, workers=workers, options=options)
    return target


def seconds(function: Callable[[], object]) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def read_plainly(archive: Path, records: int) -> float:
    """Recordings per second of `wfdb.rdrecord` in a loop."""
    import wfdb

    names = [str(path)[:-4] for path in sorted(archive.rglob("*.hea"))[:records]]
    wfdb.rdrecord(names[0])
    return len(names) / seconds(lambda: [wfdb.rdrecord(name) for name in names])


def rates(folder: Path, records: int, repeats: int) -> None:
    """Print the rate of `prepare` with one and two processes, as ratios."""
    with tempfile.TemporaryDirectory() as place:
        archive = repeated(folder, Path(place) / "archive", records)
        for rate in (500, 100):
            found: dict[str, list[float]] = {"plain": [], "one": [], "two": []}
            for repeat in range(repeats):
                found["plain"].append(read_plainly(archive, min(records, 1000)))
                for name, workers in (("one", 1), ("two", 2)):
                    target = Path(place) / f"{rate}-{name}-{repeat}"
                    found[name].append(records / seconds(lambda: made(archive, target, workers, rate)))  # noqa: B023
                    subprocess.run(["rm", "-r", target], check=True)
            plain, one, two = (statistics.median(values) for values in found.values())
            print(f"500 Hz to {rate} Hz, {records} records, medians of {repeats}")
            print(f"  wfdb.rdrecord in a loop   {plain:7.0f} recordings/s")
            print(f"  prepare, one process      {one:7.0f} recordings/s, {one / plain:.2f} of rdrecord")
            print(f"  prepare, two processes    {two:7.0f} recordings/s, {two / one:.2f} of one process")


def stream_rates(folder: Path, records: int, repeats: int) -> None:
    """Print the rate of the stream beside that of training and of reading WFDB files, as ratios."""
    import numpy as np

    from ecg_advmask import config
    from ecg_advmask.data.batches import stream
    from ecg_advmask.data.dataset import DataSet
    from ecg_advmask.pretrain.trainer import build

    with tempfile.TemporaryDirectory() as place:
        archive = repeated(folder, Path(place) / "archive", records)
        data = DataSet.open(made(archive, Path(place) / "data", 2), verify=True)
        model = build(config.override(config.load("paper"), ["method=simclr", "accumulation=1", "batch_size=8"]))
        signals = np.random.default_rng(0).normal(size=(8, data.window_samples, 12)).astype(np.float32)
        model.train_on_batch(signals)

        def epoch() -> int:
            return sum(len(batch) for batch in stream(data, BATCH, seed=0))

        windows = epoch()
        found = [
            (windows / seconds(epoch), 8 / seconds(lambda: model.train_on_batch(signals)), read_plainly(archive, 500))
            for _ in range(repeats)
        ]
    streamed, trained, plain = (statistics.median(values) for values in zip(*found, strict=True))
    print(f"500 Hz x 10 s, batches of {BATCH}, {windows} windows, medians of {repeats}")
    print(f"  stream, shuffled           {streamed:7.0f} windows/s")
    print(
        f"  full-size encoder, trained {trained:7.1f} windows/s: the stream is {streamed / trained:.0f} times as fast"
    )
    print(f"  wfdb.rdrecord in a loop    {plain:7.0f} windows/s: the stream is {streamed / plain:.1f} times as fast")


def memory(folder: Path, sizes: list[int]) -> None:
    """Print the peak memory of `prepare` and of one epoch, for archives of several sizes."""
    peaks: list[tuple[float, float]] = []
    for records in sizes:
        with tempfile.TemporaryDirectory() as place:
            archive = repeated(folder, Path(place) / "archive", records)
            data = Path(place) / "data"
            preparing = [sys.executable, __file__, "one-prepare", str(archive), str(data)]
            reading = [sys.executable, __file__, "one-epoch", str(data)]
            of_prepare, of_epoch = (
                json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
                for command in (preparing, reading)
            )
            peaks.append((of_prepare, of_epoch))
            print(
                f"{records} recordings: prepare {of_prepare:.0f} MB, one epoch of the stream {of_epoch:.0f} MB",
                flush=True,
            )
    for name, (first, last) in zip(("prepare", "stream"), zip(peaks[0], peaks[-1], strict=True), strict=True):
        print(f"{name}: {100 * (last / first - 1):+.1f} % from {sizes[0]} to {sizes[-1]} recordings")


def one_prepare(archive: Path, target: Path) -> None:
    """Make a data set at 100 Hz with two processes, and print the sum of their peaks in MB."""
    import multiprocessing

    highest: dict[int, float] = {}

    class Watch:
        def update(self, _: int, /) -> None:
            for pid in [os.getpid(), *(child.pid or 0 for child in multiprocessing.active_children())]:
                highest[pid] = max(highest.get(pid, 0), peak_mb(pid))

    watch = Watch()
    options = SourceOptions(include_chapman=True)
    prepare(archive, target, "cinc2021", sampling_rate_hz=100, workers=2, options=options, progress=lambda _: watch)
    watch.update(0)
    print(json.dumps(sum(highest.values())))


def one_epoch(path: Path) -> None:
    """Go through one epoch of a data set, and print this process's peak in MB."""
    from ecg_advmask.data.batches import stream
    from ecg_advmask.data.dataset import DataSet

    data = DataSet.open(path)
    assert sum(len(batch) for batch in stream(data, BATCH, seed=0)) == data.windows // BATCH * BATCH
    print(json.dumps(peak_mb(os.getpid())))


def peak_mb(pid: int) -> float:
    """Peak resident memory of a process so far; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM")), 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["rates", "stream", "memory"])
    parser.add_argument("--records", type=int, nargs="+")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--source", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = arguments.source or generated(Path(place))
        if arguments.what == "rates":
            rates(folder, (arguments.records or [4000])[0], arguments.repeats)
        elif arguments.what == "stream":
            stream_rates(folder, (arguments.records or [2000])[0], arguments.repeats)
        else:
            memory(folder, arguments.records or [10_000, 100_000])


if __name__ == "__main__":
    if sys.argv[1:2] == ["one-prepare"]:
        one_prepare(Path(sys.argv[2]), Path(sys.argv[3]))
    elif sys.argv[1:2] == ["one-epoch"]:
        one_epoch(Path(sys.argv[2]))
    else:
        main()
