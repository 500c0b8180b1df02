"""The parts of an ECG that the masks of an adversary cover."""
