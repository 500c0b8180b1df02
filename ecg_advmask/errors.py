"""The one exception that a user is meant to see, and how text from a damaged file is shown in it."""


class InputError(Exception):
    """Bad input, told in one line: which file or setting, what is wrong with it, what to do.

    The command line prints the message and exits with code 2.
    """


def printable(text: str) -> str:
    """The text itself, with escapes for what is not text (bytes that are no UTF-8, control characters)."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )
