"""Reading a table of a study file key by key, so that every mistake is one line that names the file and the key."""

import math
from collections.abc import Mapping
from typing import Any

from ecg_advmask.errors import InputError, printable


class TomlTable:
    """A table of a TOML file; each method takes one key, and `end` refuses the keys that nobody took."""

    def __init__(self, file: object, values: Any, place: str = "") -> None:
        """``place`` precedes the keys in messages, such as ``protocol.``."""
        self._file, self._place = file, place
        if not isinstance(values, Mapping):
            raise InputError(f"{file}: {place.rstrip('.')} is not a table, write [{place.rstrip('.')}] and KEY = VALUE")
        self._values = values
        self._taken: list[str] = []

    def error(self, key: str, problem: str) -> InputError:
        """The complaint about a key."""
        shown = f" = {printable(repr(self._values[key]))}" if key in self._values else ""
        return InputError(f"{self._file}: {self._place}{key}{shown}: {problem}")

    def text(self, key: str, default: str | None = None) -> str:
        """A text that is not blank; without a default the key must be there."""
        value = self._take(key, default, "a text")
        if not isinstance(value, str) or (not value.strip() and value != default) or value != printable(value):
            raise self.error(key, "expected a text of one line")
        return value

    def number(self, key: str, default: int | None, minimum: int) -> int:
        """A whole number of at least ``minimum``."""
        value = self._take(key, default, "a whole number")
        if type(value) is not int or value < minimum:
            raise self.error(key, f"expected a whole number of at least {minimum}")
        return value

    def share(self, key: str, default: float) -> float:
        """A number above 0 and at most 1."""
        value = self._take(key, default, "a number")
        if not _is_number(value) or not 0 < value <= 1:
            raise self.error(key, "expected a share above 0, at most 1")
        return float(value)

    def rate(self, key: str, default: float) -> float:
        """A number of at least 0."""
        value = self._take(key, default, "a number")
        if not _is_number(value) or value < 0:
            raise self.error(key, "expected a number of at least 0")
        return float(value)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of different texts, not empty."""
        values = self._list(key, None)
        if not all(isinstance(value, str) and value.strip() and value == printable(value) for value in values):
            raise self.error(key, 'expected a list of texts, such as ["rhythm", "sex"]')
        return tuple(values)

    def text_or_texts(self, key: str) -> tuple[str, ...]:
        """One text, or a list of different ones, not empty."""
        return (self.text(key),) if isinstance(self._values.get(key), str) else self.texts(key)

    def pairs(self, key: str) -> tuple[tuple[str, str], ...]:
        """A list of pairs of texts, empty if it is not there."""
        values = self._take(key, [], "a list of pairs")
        if not isinstance(values, list) or not all(_is_pair(value) for value in values):
            raise self.error(key, 'expected a list of pairs of texts, such as [["Adv Mask", "3KG"]]')
        return tuple((first, second) for first, second in values)

    def endpoints(self, key: str) -> tuple[tuple[str, float], ...]:
        """A list of pairs of a text and a number, empty if it is not there."""
        values = self._take(key, [], "a list of pairs")
        if not isinstance(values, list) or not all(
            isinstance(one, list) and len(one) == 2 and isinstance(one[0], str) and _is_number(one[1]) for one in values
        ):
            raise self.error(key, 'expected a list of pairs of a task and a number of labels, such as [["rhythm", 25]]')
        return tuple((text, float(number)) for text, number in values)

    def numbers(self, key: str, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """A list of different whole numbers of at least 0, not empty."""
        values = self._list(key, default)
        if not all(type(value) is int and value >= 0 for value in values):
            raise self.error(key, "expected a list of whole numbers of at least 0, such as [0, 1, 2]")
        return tuple(values)

    def counts_of_labels(self, key: str) -> tuple[float, ...]:
        """A list of different shares (above 0, at most 1) or whole numbers above 1."""
        values = self._list(key, None)
        for value in values:
            if not _is_number(value) or value <= 0 or (value > 1 and value != int(value)):
                raise self.error(key, "expected shares, at most 1, or whole numbers of labels, such as [25, 100, 1.0]")
        return tuple(float(value) for value in values)

    def shares_of_parts(self, key: str, default: tuple[float, float, float]) -> tuple[float, float, float]:
        """Three positive numbers that sum to 1: training, validation and test part."""
        values = self._list(key, default, different=False)
        if (
            len(values) != 3
            or not all(_is_number(value) and value > 0 for value in values)
            or abs(sum(values) - 1) > 1e-6
        ):
            raise self.error(key, "expected the shares of training, validation and test part, with the sum 1")
        return float(values[0]), float(values[1]), float(values[2])

    def choice(self, key: str, choices: tuple[str, ...], default: str) -> str:
        """One of several words."""
        value = self._take(key, default, "a word")
        if value not in choices:
            raise self.error(key, f"expected one of {', '.join(choices)}")
        return str(value)

    def table(self, key: str, *, optional: bool = False) -> "TomlTable":
        """A table within this one."""
        return TomlTable(self._file, self._take(key, {} if optional else None, "a table"), f"{self._place}{key}.")

    def mapping(self, key: str) -> dict[str, Any]:
        """A table as it is, empty if it is not there."""
        value = self._take(key, {}, "a table")
        if not isinstance(value, dict):
            raise self.error(key, "expected a table, such as { epochs = 20 }")
        return dict(value)

    def tables(self, key: str) -> list["TomlTable"]:
        """An array of tables, not empty."""
        values = self._take(key, None, "a list of tables")
        if not isinstance(values, list) or not values:
            raise self.error(key, f"expected [[{self._place}{key}]], once for each")
        return [TomlTable(self._file, value, f"{self._place}{key}[{i}].") for i, value in enumerate(values, 1)]

    def has(self, key: str) -> bool:
        """Whether the file gives the key."""
        return key in self._values

    def end(self) -> None:
        """Refuse keys that mean nothing here."""
        for key in self._values:
            if key not in self._taken:
                raise self.error(key, f"there is no such key, here are: {', '.join(self._taken)}")

    def _take(self, key: str, default: Any, kind: str) -> Any:
        self._taken.append(key)
        if key not in self._values and default is None:
            raise InputError(f"{self._file}: {self._place}{key} is missing, give {kind}")
        return self._values.get(key, default)

    def _list(self, key: str, default: Any, *, different: bool = True) -> list[Any]:
        values = self._take(key, default, "a list")
        if not isinstance(values, list | tuple) or not values:
            raise self.error(key, "expected a list that is not empty")
        if different and any(values.index(value) != i for i, value in enumerate(values)):
            raise self.error(key, "names something twice")
        return list(values)


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(one, str) for one in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
