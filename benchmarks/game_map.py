"""Where the game of encoder and adversary stays healthy: the adversary's learning rate x alpha, several seeds.

    python benchmarks/game_map.py DATA OUT [--rates 1 0.33 0.1 0.033] [--alphas 0.03 0.1 0.3 1] [--seeds 0 1 2]
                                           [--preset cpu-advmask] [--set KEY=VALUE]... [--probe TASK ...]

For each adversary's learning rate (a multiple of the encoder's), alpha and seed, `ecg-advmask pretrain` runs in a
folder of its own under OUT; runs that are finished are kept, interrupted ones go on. A linear probe on labelled
pretraining patients judges each encoder as it is trained, and the same encoder before it is trained; test patients stay
unseen.

What a run is called (by the averages of its last epoch; the thresholds were fixed before the first run):

- collapsed: the loss is above 95 % of log(2B - 1), chance, or the embeddings spread below 0.05;
- covered: the masks occlude more than 90 % of all samples;
- vanished: they occlude less than 2 %;
- healthy: none of these.

OUT gets `map.csv` (a row per run) and `map.png`.
"""

import argparse
import dataclasses
import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from ecg_advmask import config as configuration
from ecg_advmask.config import Config
from ecg_advmask.data.dataset import DataSet
from ecg_advmask.files import atomic_path, write_csv
from ecg_advmask.pretrain.callbacks import troubles
from ecg_advmask.pretrain.probe import is_finished
from ecg_advmask.pretrain.run import Run, is_started

STATES = {"healthy": "o", "vanished": "v", "covered": "c", "collapsed": "x"}


def trained(data: Path, run: Path, preset: str, settings: list[str], seed: int) -> pd.DataFrame:
    """The history of a run, which is trained now as far as it was not."""
    if has_run(run, DataSet.open(data), configuration.load(preset, overrides=settings, seed=seed)):
        return Run.open(run).history()
    command = [sys.executable, "-m", "ecg_advmask", "pretrain", str(data), str(run), "--preset", preset]
    command += [word for setting in settings for word in ("--set", setting)] + ["--seed", str(seed)]
    command += ["--resume"] if run.exists() else []
    log = run.with_name(f"{run.name}.log")
    with log.open("a") as output:
        code = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False).returncode
    if code:
        raise SystemExit(f"{log}: {command} ended with {code}")
    return Run.open(run).history()


def has_run(path: Path, data: DataSet, config: Config) -> bool:
    """Whether there is a finished run of these settings on this data."""
    if not is_started(path):
        return False
    run = Run.open(path)
    return run.config == config and run.dataset.get("sha256") == data.sha256 and is_finished(run)


def untrained(data: Path, config: Config) -> dict[str, float]:
    """What the probe says of the encoder of these settings before its first step."""
    from ecg_advmask.data.batches import pretraining_rows
    from ecg_advmask.pretrain.probe import Probe
    from ecg_advmask.pretrain.trainer import build

    opened = DataSet.open(data)
    rows, _ = pretraining_rows(opened, config)
    return Probe(opened, rows, config).judge(build(config).encoder)


def picture(rows: pd.DataFrame, path: Path) -> None:
    """Gain of the probe over the untrained encoder, averaged over seeds; letters tell what single seeds came to."""
    gain = rows.pivot_table(index="alpha", columns="rate", values="gain", aggfunc="mean")
    figure, axes = plt.subplots(figsize=(2.6 + 1.1 * gain.shape[1], 2.4 + 0.8 * gain.shape[0]), layout="constrained")
    limit = max(0.02, float(np.abs(gain.to_numpy()).max()))
    image = axes.imshow(gain, cmap="PuOr", vmin=-limit, vmax=limit, origin="lower", aspect="auto")
    figure.colorbar(image, label="gain of the probe's AUROC\nover the untrained encoder")
    axes.set_xticks(range(gain.shape[1]), [f"{rate:.2g}" for rate in gain.columns])
    axes.set_yticks(range(gain.shape[0]), [f"{alpha:g}" for alpha in gain.index])
    axes.set_xlabel("adversary's learning rate / encoder's")
    axes.set_ylabel("alpha")
    for (row, alpha), (column, rate) in itertools.product(enumerate(gain.index), enumerate(gain.columns)):
        states = rows[(rows["alpha"] == alpha) & (rows["rate"] == rate)].sort_values("seed")["state"]
        text = f"{gain.iloc[row, column]:+.3f}\n{' '.join(STATES[one] for one in states)}"
        dark = abs(gain.iloc[row, column]) > 0.6 * limit
        axes.text(column, row, text, ha="center", va="center", color="white" if dark else "black")
    axes.set_title("mean gain; each seed: o healthy, v vanished,\nc covered, x collapsed", fontsize=9)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rates", type=float, nargs="+", default=[1, 0.33, 0.1, 0.033])
    parser.add_argument("--alphas", type=float, nargs="+", default=[0.03, 0.1, 0.3, 1])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--preset", default="cpu-advmask")
    parser.add_argument("--probe", nargs="+", default=["rhythm", "sex"])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()

    given.out.mkdir(parents=True, exist_ok=True)
    common = [*given.set, f"probe_tasks={','.join(given.probe)}", "pictures_every=0", "keep_checkpoints=1"]
    before: dict[int, dict[str, float]] = {}
    rows: list[dict[str, Any]] = []
    for seed, rate, alpha in itertools.product(given.seeds, given.rates, given.alphas):
        config = configuration.load(given.preset, overrides=common, seed=seed)
        settings = [*common, f"adversary_learning_rate={rate * config.learning_rate:g}", f"alpha={alpha:g}"]
        history = trained(
            given.data, given.out / f"rate-{rate:g}-alpha-{alpha:g}-seed-{seed}", given.preset, settings, seed
        )
        if seed not in before:
            before[seed] = untrained(given.data, dataclasses.replace(config, jit_compile=False))
        last = history.iloc[-1]
        best = history["probe_auroc"].idxmax()
        rows.append(
            {"rate": rate, "alpha": alpha, "seed": seed, "state": next(iter(troubles(last, config)), "healthy")}
            | {name: last[name] for name in ("epoch", "loss", "mask_area", "mask_cover", "embedding_rank")}
            | {name: last[name] for name in before[seed]}
            | {"best": history["probe_auroc"][best], "best_epoch": history["epoch"][best]}
            | {f"untrained_{name.removeprefix('probe_')}": value for name, value in before[seed].items()}
            | {"gain": last["probe_auroc"] - before[seed]["probe_auroc"]}
        )
        print(
            "  ".join(f"{key} {value:.3g}" if key != "state" else value for key, value in rows[-1].items()), flush=True
        )
        write_csv(given.out / "map.csv", list(rows[0]), rows)
        picture(pd.DataFrame(rows), given.out / "map.png")


if __name__ == "__main__":
    main()
