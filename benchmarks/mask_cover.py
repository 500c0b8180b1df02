"""Which waves the masks of several runs lie on: `ecg-advmask masks` for every run, gathered in one table and picture.

    python benchmarks/mask_cover.py OUT DATA RUN... [--source ARCHIVE] [--pictures 0]

RUN is the folder of a run in a study, ``.../METHOD/seed-S``. OUT gets what the command writes, in ``METHOD-seed-S/``
(what is finished there is kept), `cover.csv` (enrichment of all leads and recordings by run, kind of mask, mask and
wave) and `cover.png` (of each run's mean over its masks).
"""

import argparse
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from ecg_advmask.ecg.annotations import PARTS
from ecg_advmask.files import atomic_path

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")  # of Okabe and Ito (2008)
MARKERS = ("o", "s", "^", "D")


def measured(run: Path, data: Path, out: Path, options: list[str]) -> pd.DataFrame:
    """The rows of a run for all leads and recordings."""
    folder = out / f"{run.parent.name}-{run.name}"
    if not (folder / "enrichment.csv").is_file():
        command = ["ecg_advmask", "masks", str(run), str(data), "--out", str(folder), *options]
        subprocess.run([sys.executable, "-m", *command], check=True)
    rows = pd.read_csv(folder / "enrichment.csv")
    rows = rows[(rows["group"] == "all") & (rows["lead"] == "all")].drop(columns=["group", "lead"])
    return rows.assign(method=run.parent.name, seed=int(run.name.removeprefix("seed-")))


def picture(table: pd.DataFrame, path: Path) -> None:
    """A panel for every wave: each run's enrichment with its interval, and the control of random blocks."""
    runs = list(dict.fromkeys(zip(table["method"], table["seed"], strict=True)))
    figure, panels = plt.subplots(
        1, len(PARTS), figsize=(11, 0.9 + 0.27 * len(runs)), sharey=True, layout="constrained"
    )
    for panel, part, colour, marker in zip(panels, PARTS, COLOURS, MARKERS, strict=True):
        for place, (method, seed) in enumerate(runs):
            rows = table[(table["method"] == method) & (table["seed"] == seed) & (table["part"] == part)]
            mean = rows[rows["mask"] == rows["mask"].iloc[-1]].set_index("kind")
            learnt, random = mean.loc["learnt"], mean.loc["random block"]
            panel.plot([random["low"], random["high"]], [place, place], color="0.6", linewidth=6, solid_capstyle="butt")
            panel.plot([learnt["low"], learnt["high"]], [place, place], color=colour)
            panel.plot(learnt["enrichment"], place, marker, color=colour, markersize=5)
        panel.axvline(1, color="black", linewidth=0.8, linestyle="--")
        panel.set_title(part)
        panel.set_xlim(left=0)
        panel.grid(axis="x", color="0.9")
    panels[0].set_yticks(range(len(runs)), [f"{method.replace('_', ' ')}, seed {seed}" for method, seed in runs])
    panels[0].invert_yaxis()
    figure.supxlabel("enrichment (1: as at random), 95 % interval over patients; grey: random blocks of the same area")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--source", help="archive with hand marks")
    parser.add_argument("--pictures", default="0")
    given = parser.parse_args()
    options = ["--pictures", given.pictures, *(["--source", given.source] if given.source else [])]
    given.out.mkdir(parents=True, exist_ok=True)
    table = pd.concat([measured(run, given.data, given.out, options) for run in given.runs], ignore_index=True)
    with atomic_path(given.out / "cover.csv") as temporary:
        table.round(4).to_csv(temporary, index=False)
    picture(table, given.out / "cover.png")
    learnt = table[(table["kind"] == "learnt") & ~table["mask"].str.match(r"mask \d")]
    print(learnt.pivot(index=["method", "seed"], columns="part", values="enrichment").round(2).to_string())


if __name__ == "__main__":
    main()
