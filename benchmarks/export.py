"""How near exported encoders are to Keras, on every recording that there is, and how fast they run.

    python benchmarks/export.py parity RUN SOURCE [--evaluation FILE.json ...]
    python benchmarks/export.py speed  [--preset paper] [--repeats 15]

`parity`: the encoder of RUN as float32, float16 and int8 file against Keras in float32, on every usable window of
SOURCE (a folder of recordings, or a data set of `prepare`), of which 128 calibrate int8; and by how much the first
metric of each linear evaluation of RUN changes.
`speed`: latency at batch 1 and rate at batch 32 of the files, of Keras and of the same network in PyTorch eager (where
torch can be imported), all from millivolts to embeddings, with the same random weights, in one process, on all cores.
Each figure is the median of several repeats, which alternate with those of the others; a call before each, which is
not timed, leaves the processor to it. The share of the peak is the convolutions' floating-point operations per second
over those of a float32 matrix product of 2048 x 2048 matrices.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from training import MATRIX, convolution_flops

from ecg_advmask import config as configuration
from ecg_advmask.config import Config
from ecg_advmask.data.dataset import DATASET_FILE, DataSet
from ecg_advmask.data.scaling import scale_to_unit
from ecg_advmask.ecg.sources import FileSource, Refused, Windowing, read_or_refuse
from ecg_advmask.export.conversion import generated_signals, in_float32, keras_embeddings
from ecg_advmask.export.encoder import windows_to_embed
from ecg_advmask.export.from_run import export_run
from ecg_advmask.export.onnx import export_encoder
from ecg_advmask.export.parity import Agreement, embedder
from ecg_advmask.export.precision import PRECISIONS
from ecg_advmask.export.probe import StoredEvaluation, dataset_windows
from ecg_advmask.models.resnet import resnet18_1d
from ecg_advmask.pretrain.run import Run

Float32 = npt.NDArray[np.float32]
BATCH = 32


def all_windows(source: Path, config: Config) -> Iterator[Float32]:
    """Every usable window of a source, (L, 12) in millivolts; prints how many recordings gave none."""
    if (source / DATASET_FILE).is_file():
        data = DataSet.open(source)
        for row in range(data.windows):
            yield from dataset_windows(data, np.array([row]), config.window_samples)
        return
    files = FileSource(paths=(source,))
    refused, listed = 0, list(files.entries())
    for one in listed:
        outline, windows = windows_to_embed(
            read_or_refuse(files, one), Windowing(config.sampling_rate_hz, config.window_samples)
        )
        refused += isinstance(outline, Refused)
        yield from windows
    print(f"{len(listed)} recordings, {refused} of them without a usable window", flush=True)


def batches(windows: Iterator[Float32]) -> Iterator[Float32]:
    """Windows in batches of `BATCH`, the last one with what is left."""
    batch: list[Float32] = []
    for window in windows:
        batch.append(window)
        if len(batch) == BATCH:
            yield np.stack(batch)
            batch.clear()
    if batch:
        yield np.stack(batch)


def parity(run_path: Path, source: Path, evaluations: list[Path]) -> None:
    """Print the agreement of each precision with Keras over all windows, and the change of each evaluation."""
    run = Run.open(run_path)
    encoder = in_float32(run.encoder())
    with tempfile.TemporaryDirectory() as folder:
        files = {precision: Path(folder) / f"{precision}.onnx" for precision in PRECISIONS}
        reports = {
            precision: export_run(run_path, path, precision=precision, recordings=source).report
            for precision, path in files.items()
        }
        embed = {precision: embedder(path) for precision, path in files.items()}
        found: dict[str, list[Float32]] = {name: [] for name in ("Keras", *PRECISIONS)}
        for batch in batches(all_windows(source, run.config)):
            found["Keras"].append(keras_embeddings(encoder, batch))
            for precision in PRECISIONS:
                found[precision].append(embed[precision](batch))
        expected = np.concatenate(found["Keras"])
        calibration = reports["int8"]["calibration_windows"]
        print(f"{len(expected)} windows of {run.config.window_samples} samples, {calibration} of them calibrate int8")
        for precision, path in files.items():
            one = Agreement.of(np.concatenate(found[precision]), expected)
            print(
                f"{precision:8s} {path.stat().st_size / 1e6:5.1f} MB, largest error {one.largest_error:.2g}, mean "
                f"{one.mean_error:.2g}, of embeddings up to {one.largest_value:.3g}; cosine at least "
                f"{one.smallest_cosine:.6f}, mean {one.mean_cosine:.6f}; error over spread {one.error_over_spread:.2g}"
            )
        for evaluation in evaluations:
            stored = StoredEvaluation.open(evaluation, run_path, run.encoder())
            for precision in PRECISIONS:
                change = stored.change(embed[precision])
                print(
                    f"{precision:8s} {change['metric']} of {change['task']} on {change['test_recordings']} test "
                    f"recordings: {change['keras']:.4f} with Keras, change {change['change']:+.4f} "
                    f"({change['low']:+.4f} to {change['high']:+.4f})"
                )


def torch_twin(encoder: keras.Model) -> Callable[[Float32], Any] | None:
    """The same network with the same weights in PyTorch, eager, as a function of millivolts; None without torch."""
    try:
        import torch  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return None
    from torch import nn  # type: ignore[import-not-found,unused-ignore]

    def conv_norm(name: str, stride: int = 1) -> Any:
        (kernel,) = encoder.get_layer(f"{name}_conv").get_weights()  # (kernel, in, out)
        size, inputs, outputs = kernel.shape
        conv, norm = nn.Conv1d(inputs, outputs, size, stride, size // 2, bias=False), nn.BatchNorm1d(outputs, eps=1e-5)
        values = [kernel.transpose(2, 1, 0), *encoder.get_layer(f"{name}_norm").get_weights()]
        places = [conv.weight, norm.weight, norm.bias, norm.running_mean, norm.running_var]
        for place, value in zip(places, values, strict=True):
            place.data.copy_(torch.from_numpy(np.ascontiguousarray(value)))
        return nn.Sequential(conv, norm)

    class Block(nn.Module):  # type: ignore[misc,unused-ignore]
        def __init__(self, name: str, stride: int) -> None:
            super().__init__()
            self.body = nn.Sequential(conv_norm(f"{name}_1", stride), nn.ReLU(), conv_norm(f"{name}_2"))
            self.shortcut = nn.Identity() if stride == 1 else conv_norm(f"{name}_shortcut", stride)

        def forward(self, x: Any) -> Any:
            return torch.relu(self.body(x) + self.shortcut(x))

    blocks = [
        Block(f"stage{stage}_block{block}", 2 if stage > 1 and block == 1 else 1)
        for stage in range(1, 5)
        for block in (1, 2)
    ]
    weights, bias = encoder.get_layer("embedding").get_weights()
    dense = nn.Linear(*weights.shape)
    dense.weight.data.copy_(torch.from_numpy(weights.T.copy()))
    dense.bias.data.copy_(torch.from_numpy(bias))
    stem = [conv_norm("stem", 2), nn.ReLU(), nn.MaxPool1d(3, 2, 1)]
    network = nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool1d(1), nn.Flatten(), dense).eval()
    torch.set_num_threads(os.cpu_count() or 1)

    def embed(signals_mv: Float32) -> Any:
        with torch.inference_mode():
            signals = torch.from_numpy(signals_mv).transpose(1, 2)
            smallest, largest = signals.amin((1, 2), keepdim=True), signals.amax((1, 2), keepdim=True)
            return network((signals - smallest) / (largest - smallest)).numpy()

    return embed


def medians(functions: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median seconds of each function, called once before each time: threads of others wait in a loop for a while."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            function()
            began = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def speed(preset: str, repeats: int) -> None:
    """Print latency and rate of everything that runs the encoder, with ratios and shares of the peak."""
    config = configuration.load(preset)
    keras.utils.set_random_seed(0)
    encoder = resnet18_1d(config.encoder_width, config.embedding_dim)
    windows = generated_signals(BATCH, config.window_samples)
    compiled = tf.function(lambda signals: encoder(scale_to_unit(signals), training=False), jit_compile=True)
    ways: dict[str, Callable[[Float32], Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for precision in PRECISIONS:
            path = Path(folder) / f"{precision}.onnx"
            export_encoder(encoder, config, path, precision=precision, calibration_mv=windows, signals_mv=windows)
            ways[f"onnxruntime, {precision}"] = embedder(path)
    ways["Keras, eager"] = lambda signals: encoder(scale_to_unit(signals), training=False).numpy()
    ways["Keras, compiled by XLA"] = lambda signals: compiled(signals).numpy()
    twin = torch_twin(encoder)
    if twin is None:
        print("torch cannot be imported: without PyTorch")
    else:
        ways["PyTorch, eager"] = twin
    expected = ways["Keras, eager"](windows)
    for name, embed in ways.items():
        assert "float16" in name or "int8" in name or np.abs(embed(windows) - expected).max() < 1e-4, name

    matrix = tf.random.normal((MATRIX, MATRIX))
    product = tf.function(lambda: tf.matmul(matrix, matrix))
    flops = convolution_flops(encoder, config.window_samples)
    print(f"preset {preset}: {config.window_samples} samples, {flops / 1e9:.2f} GFLOP a window; medians of {repeats}")
    for batch_size in (1, BATCH):
        batch = windows[:batch_size]
        calls = {name: lambda embed=embed: embed(batch) for name, embed in ways.items()}  # noqa: B023
        seconds = medians({"matrix product": lambda: product().numpy(), **calls}, repeats)
        peak = 2 * MATRIX**3 / seconds.pop("matrix product")
        reference = seconds["onnxruntime, float32"]
        print(f"batch {batch_size}; matrix product {MATRIX} x {MATRIX}, float32: {peak / 1e9:.0f} GFLOP/s")
        for name, value in seconds.items():
            print(
                f"  {name:24s} {1000 * value:8.1f} ms {batch_size / value:8.1f} windows/s, "
                f"{100 * flops * batch_size / value / peak:4.0f} % of the peak, "
                f"{reference / value:.2f} of onnxruntime's rate in float32"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    of_parity = commands.add_parser("parity")
    of_parity.add_argument("run", type=Path)
    of_parity.add_argument("source", type=Path)
    of_parity.add_argument("--evaluation", type=Path, nargs="*", default=[])
    of_speed = commands.add_parser("speed")
    of_speed.add_argument("--preset", default="paper")
    of_speed.add_argument("--repeats", type=int, default=15)
    given = parser.parse_args()
    if given.command == "parity":
        parity(given.run, given.source, given.evaluation)
    else:
        speed(given.preset, given.repeats)


if __name__ == "__main__":
    main()
