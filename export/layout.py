"""Rewrites a converted encoder into the layout in which onnxruntime computes fastest.

tf2onnx keeps Keras's arrays, time before channels, and wraps every convolution in Unsqueeze, Transpose and Squeeze;
this also keeps onnxruntime from fusing what stands between them. Here every array from the input to the average over
time becomes an image ``(B, C, 1, T)``, so that a single Transpose remains, at the input.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

Axes = tuple[int, ...]
Array = npt.NDArray[Any]

_ELEMENTWISE: Final = {"Add", "Sub", "Mul", "Div", "Max", "Min", "Relu", "Sigmoid", "Tanh"}
_REDUCTIONS: Final = {"ReduceMean", "ReduceMin", "ReduceMax", "ReduceSum"}
_CHANNELS, _HEIGHT, _TIME = 1, 2, 3


class NotUnderstoodError(Exception):
    """The graph holds something that has no known form as an image."""


class Images:
    """Rebuilds a graph node by node, with arrays as images.

    ``views`` says of an array of the old graph which image holds it, and which axis of the image each of its axes is:
    (0, 3, 1) for Keras's (B, T, C). Transpose, Unsqueeze and Squeeze then only change the view.
    """

    def __init__(self, input_name: str, constants: dict[str, Array]) -> None:
        self.constants = constants
        channels_first, image = f"{input_name}/channels_first", f"{input_name}/image"
        self.nodes = [
            helper.make_node("Transpose", [input_name], [channels_first], perm=[0, 2, 1]),
            helper.make_node("Unsqueeze", [channels_first, self._constant(np.array([_HEIGHT]))], [image]),
        ]
        self.views: dict[str, tuple[str, Axes]] = {input_name: (image, (0, _TIME, _CHANNELS))}

    def add(self, node: onnx.NodeProto) -> None:
        """Take over one node of the old graph.

        Raises:
            NotUnderstoodError: it is of a kind, or has arguments, that have no known form on images.
        """
        if not any(name in self.views for name in node.input):
            self.nodes.append(node)
        elif node.op_type in {"Transpose", "Unsqueeze", "Squeeze"}:
            image, axes = self._view(node.input[0])
            self.views[node.output[0]] = image, self._moved(node, axes)
        elif node.op_type in _ELEMENTWISE:
            self._add_elementwise(node)
        elif node.op_type in _REDUCTIONS:
            self._add_reduction(node)
        elif node.op_type in {"Conv", "Pad", "Slice"}:
            _, axes = self._view(node.input[0])
            if node.op_type == "Conv" and axes != (0, _CHANNELS, _HEIGHT, _TIME):
                raise NotUnderstoodError("a convolution over other axes")
            if node.op_type == "Pad":
                pads = np.zeros((2, 4), np.int64)
                pads[:, axes] = self._value(node.input[1]).reshape(2, len(axes))
                node.input[1] = self._constant(pads.ravel())
            elif node.op_type == "Slice":
                if len(node.input) < 4:
                    raise NotUnderstoodError("a Slice of all axes")
                same_type = self._value(node.input[1]).dtype
                node.input[3] = self._constant(self._image_axes(node.input[3], axes).astype(same_type))
            self._append(node, axes)
        else:
            raise NotUnderstoodError(node.op_type)

    def _append(self, node: onnx.NodeProto, axes: Axes) -> None:
        for position, name in enumerate(node.input):
            if name in self.views:
                node.input[position] = self.views[name][0]
        self.views[node.output[0]] = node.output[0], axes
        self.nodes.append(node)

    def _add_elementwise(self, node: onnx.NodeProto) -> None:
        (axes, *others) = {self.views[name][1] for name in node.input if name in self.views}
        if others:
            raise NotUnderstoodError("operands in different layouts")
        for position, name in enumerate(node.input):
            if name not in self.views:
                value = self._value(name)
                value = value.reshape((1,) * (len(axes) - value.ndim) + value.shape).transpose(np.argsort(axes))
                absent = tuple(axis for axis in range(4) if axis not in axes)
                node.input[position] = self._constant(np.expand_dims(value, absent))
        self._append(node, axes)

    def _add_reduction(self, node: onnx.NodeProto) -> None:
        image, axes = self._view(node.input[0])
        if len(node.input) < 2:
            raise NotUnderstoodError("a reduction over all axes")
        reduced = self._image_axes(node.input[1], axes)
        if attribute(node, "keepdims", 1):
            node.input[1] = self._constant(reduced)
            self._append(node, axes)
            return
        rest = [axis for axis in axes if axis not in reduced]
        if rest != sorted(rest):
            raise NotUnderstoodError("what is left of a reduction is transposed")
        node.input[0], node.input[1] = image, self._constant(np.array([axis for axis in range(4) if axis not in rest]))
        self.nodes.append(node)

    def _moved(self, node: onnx.NodeProto, axes: Axes) -> Axes:
        """The view after a Transpose, Unsqueeze or Squeeze of an array with the view ``axes``."""
        if node.op_type == "Transpose":
            return tuple(axes[axis] for axis in attribute(node, "perm", None))
        positions = [int(position) for position in self._value(node.input[1])]
        if node.op_type == "Squeeze":
            if self._image_axes(node.input[1], axes).tolist() != [_HEIGHT]:
                raise NotUnderstoodError("a Squeeze of another axis")
            return tuple(axis for axis in axes if axis != _HEIGHT)
        if len(positions) != 1 or _HEIGHT in axes:
            raise NotUnderstoodError("an array of too many axes")
        position = positions[0] % (len(axes) + 1)
        return (*axes[:position], _HEIGHT, *axes[position:])

    def _view(self, name: str) -> tuple[str, Axes]:
        if name not in self.views:
            raise NotUnderstoodError("an operand that is no image")
        return self.views[name]

    def _value(self, name: str) -> Array:
        if name not in self.constants:
            raise NotUnderstoodError("an operand that is computed")
        return self.constants[name]

    def _image_axes(self, name: str, axes: Axes) -> Array:
        return np.array([axes[int(axis)] for axis in self._value(name)], np.int64)

    def _constant(self, value: Array) -> str:
        name = f"image/{len(self.constants)}"
        self.constants[name] = value
        return name


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """Value of a node's attribute, or ``default`` where the node does not state it."""
    return next((helper.get_attribute_value(found) for found in node.attribute if found.name == name), default)
