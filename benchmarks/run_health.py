"""How the games of several runs ended: a line of Markdown for each, from its history.

    python benchmarks/run_health.py RUN...

RUN is the folder of a run in a study, ``.../METHOD/seed-S``. The values are averages of the last epoch; the warnings
are those that `ecg-advmask pretrain` gives in any epoch after the first five, in which a game finds its balance.
"""

import argparse
from pathlib import Path

from ecg_advmask.pretrain.callbacks import troubles
from ecg_advmask.pretrain.run import Run

COLUMNS = {
    "loss": "loss",
    "contrastive_accuracy": "contrastive accuracy",
    "embedding_std": "spread",
    "embedding_rank": "rank",
    "mask_area": "mask area",
    "mask_cover": "samples occluded",
}
FOUND_ITS_BALANCE = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    print("| run | epochs |", " | ".join(COLUMNS.values()), "| warnings |")
    print("|---|---|", "|".join("---" for _ in COLUMNS), "|---|")
    for path in parser.parse_args().runs:
        run = Run.open(path)
        history = run.history()
        last = history.iloc[-1]
        values = " | ".join(f"{last[name]:.3g}" if name in last else "" for name in COLUMNS)
        epochs = history.iloc[FOUND_ITS_BALANCE:].to_dict("records")
        warned = sorted({name for epoch in epochs for name in troubles(epoch, run.config)})
        name = f"{path.parent.name.replace('_', ' ')}, {path.name.replace('-', ' ')}"
        print(f"| {name} | {len(history)} | {values} | {', '.join(warned) or 'none'} |")


if __name__ == "__main__":
    main()
