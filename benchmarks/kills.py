"""Pretraining killed at random moments and resumed: does it end as a run left alone, to the last bit?

    python benchmarks/kills.py FOLDER [--kills 30] [--mode xla|graph|eager] [--epochs 4] [--batch-size 64] [--seed S]

FOLDER, a new one, gets generated recordings, a run left alone, and one after the other runs that are killed (SIGKILL)
while `ecg-advmask pretrain` starts, trains or writes, at a moment drawn uniformly from the time that the run left alone
took, and resumed until one comes to its end; then the next begins, until there were as many kills as asked for. Every
run that has ended is compared with the one left alone by the SHA-256 of ``history.csv``, of the weights of both
networks, and of the last checkpoint, which holds all that the next step would depend on. A line tells of each kill, the
last line the verdict; the exit code is 1 if any run differs.

The networks are tiny, the rest is that of a real run: two players with an optimizer each, augmentations, a probe with
patience, checkpoints. ``--mode xla`` compiles as presets do, and keeps what is compiled from one start to the next.
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

SETTINGS = {
    "sampling_rate_hz": 100,
    "window_seconds": 2.5,
    "encoder_width": 4,
    "embedding_dim": 8,
    "projection_hidden": 16,
    "projection_dim": 8,
    "adversary_width": 8,
    "adversary_depth": 0,
    "augmentations": "vcg",
    "accumulation": 1,
    "pictures_every": 2,
    "keep_checkpoints": 1,
    "probe_tasks": "sex",
    "patience": 50,
}
EAGERLY = "import tensorflow; tensorflow.config.run_functions_eagerly(True)"


def recordings(folder: Path) -> Path:
    """A small prepared data set of generated recordings."""
    from ecg_advmask.data.prepare import prepare
    from ecg_advmask.synthetic.archive import write_archive

    write_archive(folder / "raw", ["cinc2021"], records=48, seed=11, workers=1)
    prepare(folder / "raw" / "cinc2021", folder / "data", "cinc2021", sampling_rate_hz=100, seconds=2.5, workers=1)
    return folder / "data"


def pretraining(data: Path, run: Path, given: argparse.Namespace) -> "subprocess.Popen[bytes]":
    """The command, in a process of its own; the same whether the run was started or not."""
    settings = SETTINGS | {"epochs": given.epochs, "batch_size": given.batch_size}
    settings |= {"jit_compile": str(given.mode == "xla").lower()}
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    start = f"{EAGERLY if given.mode == 'eager' else ''}\nfrom ecg_advmask.cli import main\nmain()"
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    if given.mode == "xla":
        environment["TF_XLA_FLAGS"] = f"--tf_xla_persistent_cache_directory={run.parent / 'programs'}"
    with run.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", start, "pretrain", data, run, "--preset", "cpu-advmask", "--resume", *words],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
        )


def digests(run: Path) -> dict[str, str]:
    """SHA-256 of what a run ends with. Of the files of networks, which hold the date, that of the weights."""
    content = {"history.csv": (run / "history.csv").read_bytes()}
    for name in ("encoder.keras", "adversary.keras"):
        with zipfile.ZipFile(run / name) as archive:
            content[name] = archive.read("model.weights.h5")
    last = max(run.glob("checkpoints/epoch-*.npz"))
    content[last.name] = last.read_bytes()
    return {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}


def state(run: Path) -> str:
    """How far a run has come, in words."""
    saved = sorted(run.glob("checkpoints/epoch-*.npz"))
    half_written = len([path for path in run.rglob(".*.tmp*") if path.is_file()])
    started = f"after epoch {int(saved[-1].stem[-5:])}" if saved else "before the first checkpoint"
    place = started if (run / "config.json").is_file() else "before it was started"
    return place + (f", {half_written} files half-written" if half_written else "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--mode", choices=["xla", "graph", "eager"], default="xla")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=64, help="of 228 windows in all")
    parser.add_argument("--seed", type=int, default=None)
    given = parser.parse_args()
    given.folder.mkdir(parents=True)
    data, alone, run = recordings(given.folder), given.folder / "alone", given.folder / "killed"

    for _ in range(2 if given.mode == "xla" else 1):  # the second time nothing is left to compile, as later
        shutil.rmtree(alone, ignore_errors=True)
        began = time.monotonic()
        if pretraining(data, alone, given).wait():
            raise SystemExit(f"{alone}.log: the run left alone failed")
        duration = time.monotonic() - began
    expected = digests(alone)
    print(f"left alone: {duration:.1f} s", *(f"{name} {digest[:16]}" for name, digest in expected.items()), sep="\n  ")

    chance, kills, ended, same = random.Random(given.seed), 0, 0, 0
    while kills < given.kills or run.exists() or not ended:
        process = pretraining(data, run, given)
        moment = chance.uniform(0, duration)
        try:
            if process.wait(timeout=moment if kills < given.kills else None):
                raise SystemExit(f"{run}.log: it was not resumed")
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            print(f"kill {kills} at {moment:.1f} s: {state(run)}", flush=True)
            continue
        found = digests(run)
        ended, same = ended + 1, same + (found == expected)
        wrong = [name for name in expected if found.get(name) != expected[name]]
        print(f"end of run {ended}: {'other ' + ', '.join(wrong) if wrong else 'the same to the last bit'}", flush=True)
        shutil.rmtree(run)
    print(f"{kills} kills, {ended} runs resumed to their end, {same} of them equal to the one left alone")
    return 0 if same == ended > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
