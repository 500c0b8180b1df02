"""The one exception that a user is meant to see."""


class InputError(Exception):
    """Bad input, told in one line: which file or setting, what is wrong with it, what to do.

    The command line prints the message and exits with code 2.
    """
