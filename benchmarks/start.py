"""From the start of a process to the end of its first training step, with and without the programs of earlier runs.

    python benchmarks/start.py [--preset cpu-advmask]

Four processes: without a cache; with an empty one; with what that has left there; the same with another seed. Seconds
of wall and of processors, for the imports, the networks, the first step (tracing, compiling or loading, computing) and
one more.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time

STAGES = ("imports", "networks", "first step", "second step")


def start(preset: str, seed: int) -> None:
    """One process: a line of wall and processor seconds for each stage."""
    from ecg_advmask.cli.environment import import_tensorflow

    wall, cpu = time.perf_counter(), time.process_time()

    def mark() -> None:
        nonlocal wall, cpu
        print(f"{time.perf_counter() - wall:.1f} {time.process_time() - cpu:.1f}", flush=True)
        wall, cpu = time.perf_counter(), time.process_time()

    import_tensorflow()
    import numpy as np
    import tensorflow as tf

    from ecg_advmask.config import Config
    from ecg_advmask.pretrain.trainer import build

    mark()
    config = Config.preset(preset, seed=seed)
    model = build(config)
    model.make_train_function()
    shape = (config.batch_size * config.accumulation, config.window_samples, 12)
    batch = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    batches = iter(tf.data.Dataset.from_tensors(batch).repeat())
    mark()
    for _ in range(2):
        float(model.train_function(batches)["loss"])
        mark()


def main() -> None:
    """Run the processes and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="cpu-advmask")
    parser.add_argument("--process", type=int, metavar="SEED", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.process is not None:
        start(given.preset, given.process)
        return
    print("| seconds of wall (of processors) |", " | ".join(STAGES), "|\n|---|" + "---|" * len(STAGES))
    with tempfile.TemporaryDirectory() as folder:
        runs = {"no cache": ("off", 0), "empty cache": (folder, 0), "again": (folder, 0), "another seed": (folder, 1)}
        for name, (cache, seed) in runs.items():
            command = [sys.executable, __file__, "--preset", given.preset, "--process", str(seed)]
            environment = os.environ | {"ECG_ADVMASK_CACHE": cache}
            done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
            cells = ["{} ({})".format(*line.split()) for line in done.stdout.splitlines()[-len(STAGES) :]]
            print(f"| {name} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
