"""What a base install is: its size, whether it is whole, and how soon it answers.

    python benchmarks/base_install.py [ENCODER.onnx RECORDING] [--repeats 7]

Installs the project, without extras and with the versions of constraints.txt, into a fresh environment in a temporary
folder. Prints what it takes on disk, what `pip check` says, that TensorFlow is absent, and the medians of the time that
`ecg-advmask --help` and `embed` of one recording take (files in the page cache), beside those of a
Python process that does nothing and of one that imports NumPy and onnxruntime. Without an encoder `embed` is left out.
"""

import argparse
import statistics
import subprocess
import tempfile
import time
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def megabytes(folder: Path) -> float:
    """Size of all files below a folder; links are not followed."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir()) / 1e6


def seconds(command: Sequence[str | Path], repeats: int) -> float:
    """Median wall time of a command that must succeed, after a first round that is not counted."""
    times = []
    for _ in range(1 + repeats):
        began = time.perf_counter()
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        times.append(time.perf_counter() - began)
        if done.returncode:
            raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return statistics.median(times[1:])


def main() -> None:
    """Install, look, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="ENCODER.onnx RECORDING")
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    if len(arguments.files) not in {0, 2}:
        parser.error("give an encoder and a recording, or neither")
    with tempfile.TemporaryDirectory() as temporary:
        environment = Path(temporary) / "base"
        venv.create(environment, with_pip=True)
        python, program = environment / "bin" / "python", environment / "bin" / "ecg-advmask"
        empty = megabytes(environment)
        pip = [python, "-m", "pip", "--disable-pip-version-check"]
        install = [*pip, "install", "--quiet", "--constraint", ROOT / "constraints.txt", ROOT]
        subprocess.run(list(map(str, install)), check=True)
        check = subprocess.run(list(map(str, [*pip, "check"])), capture_output=True, text=True, check=False)
        imported = subprocess.run([str(python), "-c", "import tensorflow"], capture_output=True, check=False)
        print(f"size: {megabytes(environment) - empty:.0f} MB")
        print(f"pip check: {check.stdout.strip()}")
        print(f"TensorFlow: {'absent' if imported.returncode else 'INSTALLED'}")
        print(f"medians of {arguments.repeats}")
        print(f"  python -c pass                            {seconds([python, '-c', 'pass'], arguments.repeats):.2f} s")
        both = [python, "-c", "import numpy, onnxruntime"]
        print(f"  python -c 'import numpy, onnxruntime'     {seconds(both, arguments.repeats):.2f} s")
        print(f"  ecg-advmask --help                        {seconds([program, '--help'], arguments.repeats):.2f} s")
        if arguments.files:
            embed = [program, "embed", *arguments.files, "--out", Path(temporary) / "table.npz"]
            print(f"  ecg-advmask embed, one recording          {seconds(embed, arguments.repeats):.2f} s")


if __name__ == "__main__":
    main()
