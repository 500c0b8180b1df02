"""A float32 graph in fewer bits: float16 throughout or in the file alone, or convolutions in 8-bit whole numbers.

All take the network after the scaling to [0, 1], which stays float32: amplitudes in millivolts span too much for
either. Input and output stay float32, too.
"""

import tempfile
from pathlib import Path
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from ecg_advmask.errors import InputError
from ecg_advmask.export.graphs import named_anew

Precision = Literal["float32", "float16", "float16-weights", "int8"]
PRECISIONS: Final[tuple[Precision, ...]] = get_args(Precision)

LARGEST_FLOAT16: Final = float(np.finfo(np.float16).max)
_CALIBRATION_BATCH: Final = 8


def to_float16(network: onnx.ModelProto) -> onnx.ModelProto:
    """Weights and arithmetic in float16, with casts after the input and before the output.

    Processors without such arithmetic (onnxruntime on x86) compute in float32 with the rounded weights.

    Raises:
        InputError: a weight is beyond the largest float16, 65504; the converter would cut it off silently.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16

    _check_float16(network)
    # The converter keeps some operators in float32 by default, such as Max, for old versions of onnxruntime.
    return named_anew(convert_float_to_float16(network, keep_io_types=True, op_block_list=[]))


def with_float16_weights(network: onnx.ModelProto) -> onnx.ModelProto:
    """Weights in float16 in the file, arithmetic in float32: a cast follows each, which onnxruntime does when it opens
    the file, so that a processor computes at the rate of float32.

    Raises:
        InputError: a weight is beyond the largest float16, 65504.
    """
    _check_float16(network)
    stored = onnx.ModelProto()
    stored.CopyFrom(network)
    casts = []
    for tensor in stored.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size > 1:
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_float16"))
            casts.append(helper.make_node("Cast", [tensor.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *stored.graph.node]
    del stored.graph.node[:]
    stored.graph.node.extend(nodes)
    return named_anew(stored)


def _check_float16(network: onnx.ModelProto) -> None:
    for tensor in network.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            largest = float(np.max(np.abs(numpy_helper.to_array(tensor)), initial=0))
            if not largest <= LARGEST_FLOAT16:  # "not <=" also catches NaN
                raise InputError(
                    f"float16: cannot hold a weight of {largest:.3g} (at most {LARGEST_FLOAT16:g}), export float32"
                )


def to_int8(network: onnx.ModelProto, scaled: npt.NDArray[np.float32]) -> onnx.ModelProto:
    """Convolutions, all but the first, in whole numbers of 8 bits, with ranges taken from calibration windows.

    The first convolution sees the signals themselves, whose range a few large samples set: quantised, it alone would
    raise the error threefold. The dense layer and the additions stay float32, which costs no time. Weights are
    quantised per channel, to 7 bits, since processors without VNNI instructions add pairs of 8-bit products in 16 bits,
    which can overflow: so the embeddings are the same on all processors.

    Args:
        network: takes (batch, window, 12) float32 scaled to [0, 1].
        scaled: calibration windows (n, window, 12), scaled likewise.
    """
    from onnxruntime import quantization

    class Windows(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            starts = range(0, len(scaled), _CALIBRATION_BATCH)
            self.batches = iter([scaled[start : start + _CALIBRATION_BATCH] for start in starts])

        def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
            batch = next(self.batches, None)
            return None if batch is None else {network.graph.input[0].name: batch}

    prepared = onnx.ModelProto()
    prepared.CopyFrom(network)
    # Says that shapes are inferred and constants folded, which tf2onnx did; otherwise a warning asks for it.
    helper.set_model_props(prepared, {"onnx.quant.pre_process": "onnxruntime.quant"})
    first = next((node.name for node in network.graph.node if node.op_type == "Conv"), "")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "quantised.onnx"
        quantization.quantize_static(
            prepared,
            path,
            Windows(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=[first],
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod.MinMax,
        )
        return named_anew(onnx.load(path))
