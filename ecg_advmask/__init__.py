"""Self-supervised pretraining for 12-lead ECG by adversarial masking.

Data flows one way: ``datasets -> pipeline -> pretrain -> evaluate -> report`` and ``pretrain -> export``.
Importing this package imports neither TensorFlow nor Keras; the modules that need them do.
"""

__version__ = "0.2.0"
