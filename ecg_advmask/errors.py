"""The exception for errors of the user, and how ids and text from a damaged file are shown in it."""

from collections.abc import Sequence
from typing import Final

_NAMES_SHOWN: Final = 5


class InputError(Exception):
    """Bad input, described in one line: which file or setting, what is wrong with it, what to do.

    The command line prints the message and exits with code 2.
    """


def printable(text: str) -> str:
    """The text itself, with escapes for what is not text (bytes that are no UTF-8, control characters)."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def some_of(names: Sequence[str]) -> str:
    """The first few of many names, with commas between them."""
    return ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
