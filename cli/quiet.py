"""Keeps TensorFlow's start-up notes off the screen."""

import os


def import_tensorflow() -> None:
    """Import TensorFlow without the notes on processors and drivers that it writes at import, whatever the log level.

    They come from C++ code before TensorFlow's logging is set up, so the stream itself is turned away while the import
    runs; what goes wrong still arrives as an exception.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    screen = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        import tensorflow  # noqa: F401
    finally:
        os.dup2(screen, 2)
        os.close(screen)
        os.close(nowhere)
