"""How fast and in how much memory `embed` turns folders into tables, beside onnxruntime alone.

    python benchmarks/embedding.py rates SOURCE... [--encoder ENCODER.onnx] [--repeats 5] [--workers N] [--threads N]
    python benchmarks/embedding.py memory [SOURCE] [--encoder ENCODER.onnx] [--records 1000 10000]

`rates`: windows per second of the whole command, from its start to its end, over those of onnxruntime with its default
settings on windows that are in memory already, in batches of 32; both in turns, so that a busy spell of the machine
meets both. `memory`: peak resident memory of the job (summed over its processes, each at its own peak) for two sizes of
archive, made of the records of SOURCE (default: generated ones of 500 Hz x 10 s) under as many new names as it takes.

Without an encoder an untrained one is exported first: for `rates` the full-size one (preset `paper`: 500 Hz x 10 s,
embeddings of 512 numbers), for `memory` the small one of `cpu-advmask` (100 Hz x 10 s).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from data import generated, peak_mb, repeated

BATCH = 32
IN_MEMORY = 8 * BATCH


def exported(path: Path, preset: str) -> Path:
    """An untrained encoder of a preset, made in a process of its own, so that TensorFlow is not in this one."""
    script = (
        "import sys; from ecg_advmask import config; from ecg_advmask.pretrain.run import random_encoder\n"
        "from ecg_advmask.export.onnx import export_encoder\n"
        "settings = config.load(sys.argv[1]); export_encoder(random_encoder(settings, 0), settings, sys.argv[2])"
    )
    subprocess.run([sys.executable, "-c", script, preset, str(path)], check=True, capture_output=True)
    return path


def windows_in_memory(encoder: Path, sources: list[Path]) -> Any:
    """The first `IN_MEMORY` windows of the sources, repeated if there are fewer."""
    from ecg_advmask.ecg.sources import FileSource
    from ecg_advmask.export.embed import read_windows
    from ecg_advmask.export.encoder import OnnxEncoder

    files, found = FileSource(paths=tuple(sources)), []
    for _, windows in read_windows(files, files.entries(), OnnxEncoder(encoder).windowing):
        found += list(windows)
        if len(found) >= IN_MEMORY:
            break
    return np.resize(np.stack(found), (IN_MEMORY, *found[0].shape))


def rates(sources: list[Path], encoder: Path, repeats: int, options: list[str], place: Path) -> None:
    """Print windows per second of the command and of onnxruntime alone, and their ratio."""
    import onnxruntime

    windows, session = windows_in_memory(encoder, sources), onnxruntime.InferenceSession(str(encoder))
    session.run(["embedding"], {"ecg": windows[:BATCH]})
    bare, whole = [], []
    table = place / "table.npz"
    command = [sys.executable, "-m", "ecg_advmask", "embed", encoder, *sources, "--out", table, *options]

    def alone() -> float:
        began = time.perf_counter()
        for first in range(0, IN_MEMORY, BATCH):
            session.run(["embedding"], {"ecg": windows[first : first + BATCH]})
        return IN_MEMORY / (time.perf_counter() - began)

    for _ in range(repeats):
        before = alone()
        began = time.perf_counter()
        subprocess.run(list(map(str, command)), check=True, capture_output=True)
        took = time.perf_counter() - began
        embedded = len(np.load(table)["ids"])
        whole.append(embedded / took)
        bare.append((before + alone()) / 2)
        print(f"{embedded} windows in {took:.1f} s, {whole[-1] / bare[-1]:.3f} of onnxruntime alone", flush=True)
    ratio = statistics.median(one / other for one, other in zip(whole, bare, strict=True))
    print(f"medians of {repeats}")
    print(f"  onnxruntime alone, windows in memory  {statistics.median(bare):7.1f} windows/s")
    print(f"  embed, the whole command              {statistics.median(whole):7.1f} windows/s, {ratio:.3f} of it")


def memory(source: Path | None, encoder: Path, sizes: list[int], place: Path) -> None:
    """Print the peak memory of the job for archives of several sizes."""
    folder, peaks = source or generated(place), []
    for records in sizes:
        archive = repeated(folder, place / f"archive-{records}", records)
        command = [sys.executable, __file__, "one-job", encoder, archive, place / "table.npz"]
        done = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
        peaks.append(json.loads(done.stdout.splitlines()[-1]))
        print(f"{records} recordings: {peaks[-1]:.0f} MB", flush=True)
    print(f"{100 * (peaks[-1] / peaks[0] - 1):+.1f} % from {sizes[0]} to {sizes[-1]} recordings")


def one_job(encoder: str, archive: str, table: str) -> None:
    """Embed an archive with two reading processes, and print the sum of the peaks of all processes in MB."""
    import multiprocessing

    from ecg_advmask.export.embed import embed_files

    highest: dict[int, float] = {}

    class Watch:
        done = 0

        def update(self, n: int, /) -> None:
            self.done += n
            if self.done % 50 == 0:
                for pid in [os.getpid(), *(child.pid or 0 for child in multiprocessing.active_children())]:
                    highest[pid] = max(highest.get(pid, 0), peak_mb(pid))

    embed_files(encoder, [archive], table, workers=2, progress=lambda _: Watch())
    highest[os.getpid()] = peak_mb(os.getpid())
    print(json.dumps(sum(highest.values())))


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["rates", "memory"])
    parser.add_argument("sources", nargs="*", type=Path)
    parser.add_argument("--encoder", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--records", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--workers")
    parser.add_argument("--threads")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        if arguments.what == "memory":
            encoder = arguments.encoder or exported(place / "encoder.onnx", "cpu-advmask")
            memory(arguments.sources[0] if arguments.sources else None, encoder, arguments.records, place)
            return
        if not arguments.sources:
            raise SystemExit("rates: give folders of recordings")
        encoder = arguments.encoder or exported(place / "encoder.onnx", "paper")
        given = {"--workers": arguments.workers, "--threads": arguments.threads}
        options = [text for name, value in given.items() if value is not None for text in (name, value)]
        rates(arguments.sources, encoder, arguments.repeats, options, place)


if __name__ == "__main__":
    if sys.argv[1:2] == ["one-job"]:
        one_job(*sys.argv[2:])
    else:
        main()
