"""One recording: its leads, formats, signals, windows and annotations. No TensorFlow."""
