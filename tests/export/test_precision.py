"""Files in float16 and int8: near Keras, with what must stay float32 in float32, and the same bytes each time."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from ecg_advmask.config import Config
from ecg_advmask.errors import InputError
from ecg_advmask.export.onnx import export_encoder
from ecg_advmask.export.precision import PRECISIONS, to_float16, with_float16_weights

Array = np.ndarray[Any, Any]
HALF = np.finfo(np.float16)


def run(path: Path | bytes, signals_mv: Array) -> Array:
    (embeddings,) = onnxruntime.InferenceSession(path).run(["embedding"], {"ecg": signals_mv})
    return np.asarray(embeddings)


def cosines(first: Array, second: Array) -> Array:
    first, second = first.astype(np.float64), second.astype(np.float64)
    return np.sum(first * second, axis=1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)


def node_types(path: Path) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(path).graph.node)


@pytest.mark.parametrize(
    ("precision", "largest_error", "cosine"),
    [("float32", 1e-5, 1 - 1e-9), ("float16", 0.01, 0.99999), ("float16-weights", 0.01, 0.99999), ("int8", 0.5, 0.995)],
)
def test_embeddings_are_those_of_keras(
    files: dict[str, Path], ecgs_mv: Array, expected: Array, precision: str, largest_error: float, cosine: float
) -> None:
    found = run(files[precision], ecgs_mv)
    assert found.dtype == np.float32 and found.shape == (len(ecgs_mv), 8)
    assert np.abs(found - expected).max() < largest_error
    assert cosines(found, expected).min() > cosine
    if precision != "float32":
        assert np.abs(found - expected).max() > 1e-5  # it is another precision, not a copy


def test_float16_rounds_the_weights_and_nothing_else(files: dict[str, Path], ecgs_mv: Array) -> None:
    """onnxruntime on a processor computes in float32, so rounding the weights by hand gives nearly the same."""
    model = onnx.load(files["float32"])
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size > 1:
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16).astype(np.float32), tensor.name))
    rounded, found = run(model.SerializeToString(), ecgs_mv), run(files["float16"], ecgs_mv)
    exact = run(files["float32"], ecgs_mv)
    assert np.sqrt(np.mean((found - rounded) ** 2)) < 3 * np.sqrt(np.mean((rounded - exact) ** 2))


def test_float16_weights_are_rounded_in_the_file_and_computed_with_in_float32(
    files: dict[str, Path], ecgs_mv: Array
) -> None:
    """To the bits of float32 arithmetic with rounded weights, from a file of half the size."""
    model = onnx.load(files["float32"])
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size > 1:
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16).astype(np.float32), tensor.name))
    rounded, found = run(model.SerializeToString(), ecgs_mv), run(files["float16-weights"], ecgs_mv)
    np.testing.assert_array_equal(found, rounded)
    assert node_types(files["float16-weights"]) - node_types(files["float32"]) == Counter({"Cast": 2 * 21})
    assert files["float16-weights"].stat().st_size < 0.75 * files["float32"].stat().st_size


def test_scaling_is_float32_in_every_precision(files: dict[str, Path], ecgs_mv: Array) -> None:
    """A baseline of 200 mV would leave float16 steps of 0.125 mV; scaled in float32 it does no harm."""
    shifted = ecgs_mv.astype(np.float64) * 4 + 200
    for precision, path in files.items():
        bound = {"float32": 2e-3, "float16": 1e-2, "float16-weights": 1e-2, "int8": 0.2}[precision]
        assert np.abs(run(path, shifted.astype(np.float32)) - run(path, ecgs_mv)).max() < bound, precision


def test_graphs_hold_what_they_say(files: dict[str, Path]) -> None:
    plain, half, whole_numbers = (node_types(files[name]) for name in ("float32", "float16", "int8"))
    assert half - plain == Counter({"Cast": 2}) and plain - half == Counter()
    added = whole_numbers - plain
    assert set(added) == {"QuantizeLinear", "DequantizeLinear"}
    graphs = {name: onnx.load(path).graph for name, path in files.items() if name != "float16-weights"}
    kinds = {name: Counter(tensor.data_type for tensor in graph.initializer) for name, graph in graphs.items()}
    assert kinds["float16"][TensorProto.FLOAT16] == 2 * 21 and kinds["float16"][TensorProto.FLOAT] == 1
    assert kinds["int8"][TensorProto.INT8] >= 19  # weights of all convolutions but the first
    assert files["float16"].stat().st_size < 0.7 * files["float32"].stat().st_size
    for name, graph in graphs.items():
        (ecg,), (embedding,) = graph.input, graph.output
        assert {value.type.tensor_type.elem_type for value in (ecg, embedding)} == {TensorProto.FLOAT}, name
        weights = {tensor.name: tensor for tensor in graph.initializer}
        first = next(node for node in graph.node if node.op_type == "Conv")
        dense = next(node for node in graph.node if node.op_type == "MatMul")
        expected = TensorProto.FLOAT16 if name == "float16" else TensorProto.FLOAT
        assert {weights[node.input[1]].data_type for node in (first, dense)} == {expected}, name


def test_int8_weights_are_quantised_per_channel_in_seven_bits(files: dict[str, Path]) -> None:
    """Against overflow of 8-bit products added in pairs: 255 x 64 x 2 fits into 16 bits."""
    graph = onnx.load(files["int8"]).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    quantised = {node.output[0]: node for node in graph.node if node.op_type == "DequantizeLinear"}
    channels = []
    for node in graph.node:
        if node.op_type == "Conv" and node.input[1] in quantised:
            values, scales, _ = (constants[name] for name in quantised[node.input[1]].input)
            assert scales.shape == (len(values),) and np.abs(values.astype(int)).max() <= 64
            channels.append(len(values))
    assert sorted(channels) == sorted([4] * 4 + [8] * 5 + [16] * 5 + [32] * 5)


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_no_transposes_where_the_time_is_spent(files: dict[str, Path], precision: str) -> None:
    """Nothing moves axes between the first convolution and the last; before and after, one transpose each."""
    operations = [node.op_type for node in onnx.load(files[precision]).graph.node]
    first, last = operations.index("Conv"), len(operations) - operations[::-1].index("Conv")
    moving = {"Transpose", "Unsqueeze", "Squeeze", "Reshape"}
    assert operations.count("Conv") == 20 and not moving & set(operations[first:last])
    assert operations[:first].count("Transpose") == operations[last:].count("Transpose") == 1


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_nothing_in_the_graph_is_without_use(files: dict[str, Path], precision: str) -> None:
    """Every node and constant leads to the output; nothing is computed that depends on constants alone."""
    graph = onnx.load(files[precision]).graph
    constants = {tensor.name for tensor in graph.initializer}
    used = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    assert constants <= used and all(set(node.output) & used for node in graph.node)
    from_constants = {node.op_type for node in graph.node if node.input and set(node.input) <= constants}
    assert from_constants <= {"DequantizeLinear"}  # 8-bit weights stay small in the file
    assert "Identity" not in {node.op_type for node in graph.node}
    assert all(node.domain == "" for node in graph.node)


def test_metadata_say_the_precision_and_what_int8_was_calibrated_on(files: dict[str, Path], ecgs_mv: Array) -> None:
    import hashlib

    metadata = {name: {e.key: e.value for e in onnx.load(path).metadata_props} for name, path in files.items()}
    assert {name: found["precision"] for name, found in metadata.items()} == {name: name for name in files}
    calibration = {name: value for name, value in metadata["int8"].items() if name.startswith("calibration")}
    values = np.ascontiguousarray(ecgs_mv[::2]).tobytes()
    assert calibration == {"calibration_windows": "24", "calibration_sha256": hashlib.sha256(values).hexdigest()}
    assert not any(name.startswith("calibration") for name in (*metadata["float32"], *metadata["float16"]))


def test_other_calibration_windows_give_another_file(
    small_encoder: keras.Model, config: Config, ecgs_mv: Array, tmp_path: Path
) -> None:
    found = []
    for calibration_mv in (ecgs_mv[::2], ecgs_mv[:8]):
        options = {"precision": "int8", "calibration_mv": calibration_mv, "signals_mv": ecgs_mv}
        export_encoder(small_encoder, config, tmp_path / "int8.onnx", **options)
        found.append(run(tmp_path / "int8.onnx", ecgs_mv))
    assert np.abs(found[1] - found[0]).max() > 1e-3


def test_int8_needs_windows(encoder: keras.Model, config: Config, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="calibrate"):
        export_encoder(encoder, config, tmp_path / "encoder.onnx", precision="int8")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_same_bytes_after_other_exports(
    small_encoder: keras.Model, config: Config, ecgs_mv: Array, tmp_path: Path
) -> None:
    def exported(precision: str) -> tuple[bytes, bytes]:
        path = tmp_path / "encoder.onnx"
        options = {"precision": precision, "calibration_mv": ecgs_mv[::2], "signals_mv": ecgs_mv[1::2]}
        export_encoder(small_encoder, config, path, source="generated recordings", **options)
        return path.read_bytes(), path.with_suffix(".parity.json").read_bytes()

    first = {precision: exported(precision) for precision in PRECISIONS}
    assert {precision: exported(precision) for precision in reversed(PRECISIONS)} == first


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["small_encoder", pytest.param("encoder", marks=pytest.mark.exhaustive)])
def test_same_bytes_in_another_process(
    kind: str, config: Config, ecgs_mv: Array, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    encoder: keras.Model = request.getfixturevalue(kind)
    files = {precision: tmp_path / "here" / f"{precision}.onnx" for precision in PRECISIONS}
    for precision, path in files.items():
        path.parent.mkdir(exist_ok=True)
        options = {"precision": precision, "calibration_mv": ecgs_mv[::2], "signals_mv": ecgs_mv[1::2]}
        export_encoder(encoder, config, path, source="generated recordings", **options)
    encoder.save(tmp_path / "encoder.keras")
    np.save(tmp_path / "windows.npy", ecgs_mv)
    script = (
        "import sys, keras, numpy as np; from ecg_advmask.config import Config\n"
        "from ecg_advmask.export.onnx import export_encoder\n"
        "windows, encoder = np.load('windows.npy'), keras.saving.load_model('encoder.keras', compile=False)\n"
        "config = Config('test', sampling_rate_hz=100, window_seconds=2.5, encoder_width=4, embedding_dim=8)\n"
        f"for precision in {tuple(reversed(PRECISIONS))}:\n"
        "    export_encoder(encoder, config, precision + '.onnx', precision=precision, calibration_mv=windows[::2],\n"
        "                   signals_mv=windows[1::2], source='generated recordings')\n"
    )
    environment = os.environ | {"PYTHONHASHSEED": "12345"}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment, cwd=tmp_path)
    for path in files.values():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_weights_beyond_float16_are_refused_and_not_cut_off() -> None:
    def network(weight: float) -> onnx.ModelProto:
        values = numpy_helper.from_array(np.full((2, 2), weight, np.float32), "weights")
        ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2]) for name in ("x", "y")]
        node = helper.make_node("MatMul", ["x", "weights"], ["y"])
        graph = helper.make_graph([node], "network", ends[:1], ends[1:], [values])
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)

    kept = to_float16(network(float(HALF.max)))
    assert numpy_helper.to_array(kept.graph.initializer[0]).tolist() == [[65504.0] * 2] * 2
    for weight in (65520.0, -1e6, float("nan")):
        for form in (to_float16, with_float16_weights):
            with pytest.raises(InputError, match="float16: cannot hold a weight"):
                form(network(weight))
