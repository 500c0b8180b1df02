"""Parameters of augmentations: their kinds with unit and range, and how ``vcg(angle_degrees=30, scale=2)`` is read.

An augmentation declares each parameter as a keyword-only argument of one of the kinds below, with a default; what a
user may write, and what is refused, follows from that declaration.
"""

import functools
import re
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, NamedTuple

from ecg_advmask.errors import InputError


class Range(NamedTuple):
    """The smallest and the largest value of a parameter."""

    minimum: float
    maximum: float


Amplitude = Annotated[float, Range(0, 100)]
"""In standardised units: 1 is the deviation of the recording over time and leads."""
Hertz = Annotated[float, Range(0.001, 100_000)]
MainsHertz = Annotated[float | None, Range(1, 1000)]
"""None: 50 or 60 Hz."""
Seconds = Annotated[float, Range(0.01, 3600)]
Degrees = Annotated[float, Range(0, 180)]
Factor = Annotated[float, Range(1, 10)]
Probability = Annotated[float, Range(0, 1)]
Share = Annotated[float, Range(0, 0.9)]
"""Of a window, a spectrum, or the like: never so much that nothing is left to learn from."""

_CALL: Final = re.compile(r"\s*(\w+)\s*(?:\(([^()]*)\))?\s*")
_ARGUMENT: Final = re.compile(r"\s*(\w+)\s*=\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*")


def parse(text: str, functions: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    """The function that ``NAME`` or ``NAME(KEY=NUMBER, ...)`` names, with the parameters that are given.

    Raises:
        InputError: the text is not of this form, names no function or no parameter of it, or a number is out of range.
    """
    call = _CALL.fullmatch(text)
    if not call:
        raise InputError(f"augmentations: {text!r} is not understood; write NAME or NAME(KEY=NUMBER, KEY=NUMBER)")
    name, arguments = call[1], (call[2] or "").strip()
    if name not in functions:
        raise InputError(f"augmentations: {name!r} does not exist; there are: {', '.join(functions)}")
    ranges = parameters(functions[name])
    known = ", ".join(f"{key} ({low:g} to {high:g})" for key, (low, high) in ranges.items())
    values: dict[str, float] = {}
    for argument in arguments.split(",") if arguments else ():
        match = _ARGUMENT.fullmatch(argument)
        if not match:
            raise InputError(f"augmentations: {name}: {argument.strip()!r} is not KEY=NUMBER; there are: {known}")
        key, value = match[1], float(match[2])
        if key not in ranges:
            raise InputError(f"augmentations: {name} has no parameter {key!r}; there are: {known}")
        if key in values:
            raise InputError(f"augmentations: {name}: {key} is given twice; give each parameter once")
        if not ranges[key].minimum <= value <= ranges[key].maximum:
            raise InputError(f"augmentations: {name}: {key} = {match[2]} is out of range; there are: {known}")
        values[key] = value
    return functools.partial(functions[name], **values)


def parameters(function: Callable[..., Any]) -> dict[str, Range]:
    """The parameters of an augmentation, by name, each with its range."""
    hints = typing.get_type_hints(function, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items() if typing.get_origin(hint) is Annotated}
